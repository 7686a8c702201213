//! Lowers in the manner of `ip link show`.

use serde::Serialize;

use super::style::{Colour, Lines, Style};
use super::{counters, drops, json, list};
use crate::proto::{LowerExtra, LowerShow, Stats64};

/// These lowers, as text or JSON.
pub(crate) fn lowers(lowers: &[LowerShow], style: &Style) -> String {
    if style.json {
        let shown: Vec<Shown<'_>> = lowers.iter().map(|lower| Shown::of(lower, style)).collect();
        return json(&shown, style.pretty);
    }
    let mut text = String::new();
    for lower in lowers {
        one(&mut text, lower, style);
    }
    text
}

/// One lower as text.
pub(crate) fn one(text: &mut String, lower: &LowerShow, style: &Style) {
    let LowerShow { ifindex, ifname, flags, mtu, operstate, link_type, mvswitch: extra, .. } =
        lower;
    let flags = flags.join(",");
    let mut lines = Lines::new(text, style);
    let address = style.paint(Colour::Address, &lower.address);
    if style.brief {
        let name = style.paint(Colour::Name, &format!("{ifname:<16}"));
        let state = style.state(&format!("{operstate:<14}"));
        lines.push(format!("{name} {state} {address} <{flags}>"));
        return lines.end();
    }
    let name = style.paint(Colour::Name, &format!("{ifname}: "));
    let state = style.state(operstate);
    lines.push(format!("{ifindex}: {name}<{flags}> mtu {mtu} state {state}"));
    let LowerShow { promiscuity, allmulti, max_mtu, .. } = lower;
    let details = if style.details {
        format!(" promiscuity {promiscuity}  allmulti {allmulti} maxmtu {max_mtu}")
    } else {
        String::new()
    };
    lines.push(format!("    link/{link_type} {address} device {}{details}", extra.device));
    if let Some(host) = &extra.host {
        let reachable = if extra.reachable { " reachable" } else { "" };
        lines.push(format!("    host {host}{reachable}"));
    }
    lines.push(match &extra.promiscuous_because {
        Some(why) => format!("    promiscuous: {why}"),
        None => format!("    unicast filter {}", list(&extra.unicast)),
    });
    if style.details {
        lines.push(format!("    groups {}", list(&extra.groups)));
    }
    if style.statistics {
        counters(&mut lines, &lower.stats64);
        drops(&mut lines, &extra.drops);
    }
    let (used, limit) = (extra.usedbcqueuelen, extra.bclim);
    lines.push(format!("    usedbcqueuelen {used} bclim {limit} links {}", list(&extra.links)));
    lines.end();
}

/// The keys that a link has, too, and as there only with `-d` and `-s`.
#[derive(Serialize)]
struct Shown<'a> {
    ifindex: u32,
    ifname: &'a str,
    flags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    operstate: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_type: Option<&'a str>,
    address: &'a str,
    #[serde(flatten)]
    details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats64: Option<&'a Stats64>,
    mvswitch: &'a LowerExtra,
}

#[derive(Serialize)]
struct Details {
    promiscuity: u32,
    allmulti: u32,
    max_mtu: u32,
}

impl<'a> Shown<'a> {
    fn of(lower: &'a LowerShow, style: &Style) -> Self {
        let LowerShow { promiscuity, allmulti, max_mtu, .. } = *lower;
        let full = !style.brief;
        Self {
            ifindex: lower.ifindex,
            ifname: &lower.ifname,
            flags: &lower.flags,
            mtu: full.then_some(lower.mtu),
            operstate: &lower.operstate,
            link_type: full.then_some(&lower.link_type),
            address: &lower.address,
            details: (full && style.details).then_some(Details { promiscuity, allmulti, max_mtu }),
            stats64: (full && style.statistics).then_some(&lower.stats64),
            mvswitch: &lower.mvswitch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lower() -> LowerShow {
        LowerShow {
            ifindex: 1,
            ifname: "lan0".into(),
            flags: vec!["BROADCAST".into(), "UP".into()],
            mtu: 1500,
            operstate: "UP".into(),
            link_type: "ether".into(),
            address: "02:00:00:00:00:01".into(),
            promiscuity: 0,
            allmulti: 0,
            max_mtu: 9000,
            stats64: Stats64::default(),
            mvswitch: LowerExtra {
                device: "demo".into(),
                unicast: vec!["02:00:00:00:00:02".into()],
                usedbcqueuelen: 1000,
                bclim: 1,
                ..LowerExtra::default()
            },
        }
    }

    #[test]
    fn lowers_say_what_they_hear() {
        let lower = lower();
        assert_eq!(
            lowers(std::slice::from_ref(&lower), &Style::default()),
            "1: lan0: <BROADCAST,UP> mtu 1500 state UP\n    link/ether 02:00:00:00:00:01 device demo\n    \
             unicast filter 02:00:00:00:00:02\n    usedbcqueuelen 1000 bclim 1 links none\n"
        );
        let extra = LowerExtra {
            promiscuous_because: Some("a link asks for it".into()),
            host: Some("net_tap0".into()),
            reachable: true,
            ..lower.mvswitch.clone()
        };
        let style = Style { statistics: true, details: true, ..Style::default() };
        let text = lowers(&[LowerShow { mvswitch: extra, ..lower }], &style);
        for needle in [
            "device demo promiscuity 0  allmulti 0 maxmtu 9000\n",
            "    host net_tap0 reachable\n    promiscuous: a link asks",
            "mcast",
            "groups none",
        ] {
            assert!(text.contains(needle), "{text}");
        }
    }

    #[test]
    fn json_leaves_out_what_was_not_asked_for() {
        let style = Style { json: true, ..Style::default() };
        let text = lowers(&[lower()], &style);
        assert!(
            text.starts_with(
                "[{\"ifindex\":1,\"ifname\":\"lan0\",\"flags\":[\"BROADCAST\",\"UP\"],\"mtu\":1500,\
                 \"operstate\":\"UP\",\"link_type\":\"ether\",\"address\":\"02:00:00:00:00:01\",\
                 \"mvswitch\":{\"device\":\"demo\""
            ),
            "{text}"
        );
        let text = lowers(&[lower()], &Style { details: true, statistics: true, ..style });
        assert!(text.contains("\"max_mtu\":9000,\"stats64\":{\"rx\""), "{text}");
    }
}
