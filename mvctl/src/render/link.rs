//! Links as `ip link show` shows macvlan links, with one line of mvswitch's own.

use serde::Serialize;

use super::style::{Colour, Lines, Style};
use super::{counters, drops, json};
use crate::proto::{Extra, InfoData, LinkInfo, LinkShow, Stats64};

/// These links, as text or JSON.
pub(crate) fn links(links: &[LinkShow], style: &Style) -> String {
    if style.json {
        return if style.brief {
            json(&links.iter().map(Brief::of).collect::<Vec<_>>(), style.pretty)
        } else {
            json(&links.iter().map(|link| Full::of(link, style)).collect::<Vec<_>>(), style.pretty)
        };
    }
    let mut text = String::new();
    for link in links {
        one(&mut text, link, style);
    }
    text
}

/// One link as text.
pub(crate) fn one(text: &mut String, link: &LinkShow, style: &Style) {
    let LinkShow { ifname, link: lower, flags, mtu, qdisc, operstate, .. } = link;
    let flags = flags.join(",");
    let mut lines = Lines::new(text, style);
    if style.brief {
        let name = style.paint(Colour::Name, &format!("{:<16}", format!("{ifname}@{lower}")));
        let state = style.state(&format!("{operstate:<14}"));
        let address = style.paint(Colour::Address, &link.address);
        lines.push(format!("{name} {state} {address} <{flags}>"));
        return lines.end();
    }
    let LinkShow { ifindex, linkmode, group, txqlen, link_type, .. } = link;
    let name = style.paint(Colour::Name, &format!("{ifname}@{lower}: "));
    let state = style.state(operstate);
    lines.push(format!(
        "{ifindex}: {name}<{flags}> mtu {mtu} qdisc {qdisc} state {state} mode {linkmode} group {group} \
         qlen {txqlen}"
    ));
    let address = style.paint(Colour::Address, &link.address);
    let broadcast = style.paint(Colour::Address, &link.broadcast);
    let address = format!("    link/{link_type} {address} brd {broadcast}");
    if style.details {
        let LinkShow { promiscuity, allmulti, min_mtu, max_mtu, .. } = link;
        lines.push(format!(
            "{address} promiscuity {promiscuity}  allmulti {allmulti} minmtu {min_mtu} maxmtu {max_mtu}"
        ));
        let LinkShow { linkinfo, num_tx_queues, num_rx_queues, .. } = link;
        let LinkInfo { info_kind, info_data } = linkinfo;
        lines.push(format!(
            "    {info_kind} {} numtxqueues {num_tx_queues} numrxqueues {num_rx_queues}",
            kind(info_data)
        ));
    } else {
        lines.push(address);
    }
    if style.statistics {
        counters(&mut lines, &link.stats64);
        drops(&mut lines, &link.mvswitch.drops);
    }
    if style.details {
        more(&mut lines, &link.mvswitch);
    }
    lines.push(own(&link.mvswitch));
    lines.end();
}

/// What is particular to macvlan, as `ip -d` words it.
fn kind(info: &InfoData) -> String {
    let mut words = vec![format!("mode {}", info.mode)];
    words.extend(info.nopromisc.then(|| "nopromisc".to_owned()));
    words.extend(info.nodst.then(|| "nodst".to_owned()));
    words.push(format!("bcqueuelen {}", info.bcqueuelen));
    words.push(format!("usedbcqueuelen {}", info.usedbcqueuelen));
    words.extend(info.bclim.map(|limit| format!("bclim {limit}")));
    if let Some(count) = info.macaddr_count {
        words.push(format!("remotes ({count})"));
        words.extend(info.macaddr_data.iter().cloned());
    }
    words.join(" ")
}

/// mvswitch's details, where there are any.
fn more(lines: &mut Lines<'_>, extra: &Extra) {
    let mut words = Vec::new();
    words.extend(extra.spoof_check.then(|| "spoof_check on".to_owned()));
    for (what, values) in [("addresses", &extra.addresses), ("groups", &extra.groups)] {
        if !values.is_empty() {
            words.push(format!("{what} {}", values.join(" ")));
        }
    }
    if !words.is_empty() {
        lines.push(format!("    {}", words.join(" ")));
    }
}

/// Where the guest is.
fn own(extra: &Extra) -> String {
    let peer = if extra.peer_connected { "connected" } else { "absent" };
    let worker = extra.worker;
    match (&extra.socket, &extra.device) {
        (Some(socket), _) => {
            let role = extra.role.as_deref().unwrap_or_default();
            format!("    socket {socket} role {role} peer {peer} worker {worker}")
        }
        (None, device) => {
            let device = device.as_deref().unwrap_or_default();
            format!("    device {device} peer {peer} worker {worker}")
        }
    }
}

/// The keys of `ip -j`, and with `-d` and `-s`.
#[derive(Serialize)]
struct Full<'a> {
    ifindex: u32,
    link: &'a str,
    ifname: &'a str,
    flags: &'a [String],
    mtu: u32,
    qdisc: &'a str,
    operstate: &'a str,
    linkmode: &'a str,
    group: &'a str,
    txqlen: u32,
    link_type: &'a str,
    address: &'a str,
    broadcast: &'a str,
    #[serde(flatten)]
    details: Option<Details<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats64: Option<&'a Stats64>,
    mvswitch: &'a Extra,
}

#[derive(Serialize)]
struct Details<'a> {
    promiscuity: u32,
    allmulti: u32,
    min_mtu: u32,
    max_mtu: u32,
    linkinfo: &'a LinkInfo,
    num_tx_queues: u32,
    num_rx_queues: u32,
}

impl<'a> Full<'a> {
    fn of(link: &'a LinkShow, style: &Style) -> Self {
        Self {
            ifindex: link.ifindex,
            link: &link.link,
            ifname: &link.ifname,
            flags: &link.flags,
            mtu: link.mtu,
            qdisc: &link.qdisc,
            operstate: &link.operstate,
            linkmode: &link.linkmode,
            group: &link.group,
            txqlen: link.txqlen,
            link_type: &link.link_type,
            address: &link.address,
            broadcast: &link.broadcast,
            details: style.details.then_some(Details {
                promiscuity: link.promiscuity,
                allmulti: link.allmulti,
                min_mtu: link.min_mtu,
                max_mtu: link.max_mtu,
                linkinfo: &link.linkinfo,
                num_tx_queues: link.num_tx_queues,
                num_rx_queues: link.num_rx_queues,
            }),
            stats64: style.statistics.then_some(&link.stats64),
            mvswitch: &link.mvswitch,
        }
    }
}

/// The keys of `ip -br -j`.
#[derive(Serialize)]
struct Brief<'a> {
    link: &'a str,
    ifname: &'a str,
    operstate: &'a str,
    address: &'a str,
    flags: &'a [String],
    mvswitch: &'a Extra,
}

impl<'a> Brief<'a> {
    fn of(link: &'a LinkShow) -> Self {
        Self {
            link: &link.link,
            ifname: &link.ifname,
            operstate: &link.operstate,
            address: &link.address,
            flags: &link.flags,
            mvswitch: &link.mvswitch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::link;

    const FIRST: &str = "5: mv0@lan0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc noqueue state UP \
                         mode DEFAULT group default qlen 1000\n    \
                         link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff";
    const OWN: &str = "    socket /run/mv0.sock role server peer absent worker 0\n";

    fn shown(style: &Style) -> String {
        links(&[link()], style)
    }

    #[test]
    fn text_is_ip_s_and_a_line_more() {
        assert_eq!(shown(&Style::default()), format!("{FIRST}\n{OWN}"));
        assert_eq!(
            shown(&Style { details: true, ..Style::default() }),
            format!(
                "{FIRST} promiscuity 0  allmulti 1 minmtu 68 maxmtu 65535\n    macvlan mode source nodst \
                 bcqueuelen 1000 usedbcqueuelen 5000 remotes (1) 02:00:00:00:00:81 numtxqueues 1 \
                 numrxqueues 1\n{OWN}"
            )
        );
        assert_eq!(
            shown(&Style { statistics: true, ..Style::default() }),
            format!(
                "{FIRST}\n    \
                 RX:   bytes packets errors dropped  missed   mcast\n    \
                 12345678901       7      0       0       0       0\n    \
                 TX:   bytes packets errors dropped carrier collsns\n    \
                 \u{20}         0       0      0       0       0       3\n    \
                 dropped receive runt 3\n{OWN}"
            )
        );
        assert_eq!(links(&[], &Style::default()), "");
    }

    #[test]
    fn text_is_short_or_coloured_if_asked() {
        let brief = Style { brief: true, ..Style::default() };
        assert_eq!(
            shown(&brief),
            "mv0@lan0         UP             02:00:00:00:00:01 <BROADCAST,MULTICAST,UP,LOWER_UP>\n"
        );
        let text = shown(&Style::one_line());
        assert_eq!(text, format!("{FIRST}\n{OWN}").trim_end().replace('\n', "\\") + "\n");
        let text = shown(&Style::coloured());
        assert!(text.starts_with("5: \u{1b}[36mmv0@lan0: \u{1b}[0m<BROADCAST"), "{text}");
        assert!(text.contains("state \u{1b}[32mUP\u{1b}[0m mode"), "{text}");
        assert!(text.contains("link/ether \u{1b}[33m02:00:00:00:00:01\u{1b}[0m brd"), "{text}");
    }

    #[test]
    fn a_device_and_extensions_are_told() {
        let extra = Extra {
            device: Some("net_tap0".into()),
            worker: 1,
            spoof_check: true,
            addresses: vec!["02:00:00:00:00:02".into()],
            ..Extra::default()
        };
        let link = LinkShow { mvswitch: extra, ..link() };
        let text = links(&[link], &Style { details: true, ..Style::default() });
        assert!(
            text.ends_with(
                "\n    spoof_check on addresses 02:00:00:00:00:02\n    device net_tap0 peer absent worker 1\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn json_has_ip_s_keys_in_ip_s_order() {
        let plain = "[{\"ifindex\":5,\"link\":\"lan0\",\"ifname\":\"mv0\",\"flags\":[\"BROADCAST\",\
                     \"MULTICAST\",\"UP\",\"LOWER_UP\"],\"mtu\":1400,\"qdisc\":\"noqueue\",\
                     \"operstate\":\"UP\",\"linkmode\":\"DEFAULT\",\"group\":\"default\",\"txqlen\":1000,\
                     \"link_type\":\"ether\",\"address\":\"02:00:00:00:00:01\",\
                     \"broadcast\":\"ff:ff:ff:ff:ff:ff\",";
        let style = Style { json: true, ..Style::default() };
        let text = shown(&style);
        assert!(text.starts_with(&format!("{plain}\"mvswitch\":{{")), "{text}");
        assert!(text.ends_with("}}]\n"), "{text}");
        let text = shown(&Style { details: true, ..style.clone() });
        assert!(
            text.starts_with(&format!(
                "{plain}\"promiscuity\":0,\"allmulti\":1,\"min_mtu\":68,\"max_mtu\":65535,\"linkinfo\":\
                 {{\"info_kind\":\"macvlan\",\"info_data\":{{\"mode\":\"source\",\"nodst\":true,\
                 \"bcqueuelen\":1000,\"usedbcqueuelen\":5000,\"macaddr_count\":1,\
                 \"macaddr_data\":[\"02:00:00:00:00:81\"]}}}},\"num_tx_queues\":1,\"num_rx_queues\":1,\
                 \"mvswitch\":{{"
            )),
            "{text}"
        );
        let text = shown(&Style { statistics: true, ..style.clone() });
        assert!(
            text.starts_with(&format!(
                "{plain}\"stats64\":{{\"rx\":{{\"bytes\":12345678901,\"packets\":7,\"errors\":0,\
                 \"dropped\":0,\"over_errors\":0,\"multicast\":0}},\"tx\":{{\"bytes\":0,\"packets\":0,\
                 \"errors\":0,\"dropped\":0,\"carrier_errors\":0,\"collisions\":3}}}},\"mvswitch\":{{"
            )),
            "{text}"
        );
        let text = shown(&Style { brief: true, ..style });
        assert!(
            text.starts_with(
                "[{\"link\":\"lan0\",\"ifname\":\"mv0\",\"operstate\":\"UP\",\
                 \"address\":\"02:00:00:00:00:01\",\"flags\":["
            ),
            "{text}"
        );
    }
}
