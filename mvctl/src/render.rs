//! Links as `ip -d link show` prints them.

use std::fmt::Write as _;

use crate::proto::{Drops, InfoData, LinkShow, LowerShow, Stats64};

/// The text for these links; with their counters if asked for.
#[must_use]
pub fn links(links: &[LinkShow], statistics: bool) -> String {
    let mut text = String::new();
    for (number, link) in (1..).zip(links) {
        // Writing to a String cannot fail.
        _ = one(&mut text, number, link, statistics);
    }
    text
}

fn one(text: &mut String, number: usize, link: &LinkShow, statistics: bool) -> std::fmt::Result {
    let LinkShow {
        ifname, link: lower, flags, mtu, operstate, link_type, address, broadcast, ..
    } = link;
    let flags = flags.join(",");
    writeln!(text, "{number}: {ifname}@{lower}: <{flags}> mtu {mtu} state {operstate}")?;
    writeln!(text, "    link/{link_type} {address} brd {broadcast}")?;
    writeln!(text, "    {} {}", link.linkinfo.info_kind, details(&link.linkinfo.info_data))?;
    let extra = &link.mvswitch;
    let peer = if extra.peer_connected { "connected" } else { "absent" };
    match (&extra.socket, &extra.device) {
        (Some(socket), _) => {
            let role = extra.role.as_deref().unwrap_or_default();
            writeln!(text, "    socket {socket} role {role} peer {peer} worker {}", extra.worker)?;
        }
        (None, device) => {
            let device = device.as_deref().unwrap_or_default();
            writeln!(text, "    device {device} peer {peer} worker {}", extra.worker)?;
        }
    }
    if statistics {
        counters(text, &link.stats64)?;
        for Drops { direction, reason, frames } in &extra.drops {
            writeln!(text, "    dropped {direction} {reason} {frames}")?;
        }
    }
    Ok(())
}

/// What is particular to macvlan, as `ip -d` words it.
fn details(info: &InfoData) -> String {
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

fn counters(text: &mut String, Stats64 { rx, tx }: &Stats64) -> std::fmt::Result {
    let heads = ["bytes", "packets", "errors", "dropped"];
    for (name, last, counts) in [
        ("RX", "mcast", [rx.bytes, rx.packets, rx.errors, rx.dropped, rx.multicast]),
        ("TX", "collsns", [tx.bytes, tx.packets, tx.errors, tx.dropped, tx.collisions]),
    ] {
        let [a, b, c, d] = heads;
        writeln!(text, "    {name}:  {a:>14} {b:>13} {c:>8} {d:>8} {last:>8}")?;
        let [a, b, c, d, e] = counts;
        writeln!(text, "         {a:>14} {b:>13} {c:>8} {d:>8} {e:>8}")?;
    }
    Ok(())
}

/// The text for these lowers; with their counters if asked for.
#[must_use]
pub fn lowers(lowers: &[LowerShow], statistics: bool) -> String {
    let mut text = String::new();
    for (number, lower) in (1..).zip(lowers) {
        // Writing to a String cannot fail.
        _ = one_lower(&mut text, number, lower, statistics);
    }
    text
}

fn one_lower(
    text: &mut String,
    number: usize,
    lower: &LowerShow,
    statistics: bool,
) -> std::fmt::Result {
    let LowerShow { ifname, flags, mtu, operstate, link_type, address, mvswitch: extra, .. } =
        lower;
    let flags = flags.join(",");
    writeln!(text, "{number}: {ifname}: <{flags}> mtu {mtu} state {operstate}")?;
    writeln!(text, "    link/{link_type} {address} device {}", extra.device)?;
    if let Some(host) = &extra.host {
        let reachable = if extra.reachable { " reachable" } else { "" };
        writeln!(text, "    host {host}{reachable}")?;
    }
    let filter = match &extra.promiscuous_because {
        Some(why) => format!("promiscuous: {why}"),
        None => format!("unicast filter {}", list(&extra.unicast)),
    };
    writeln!(text, "    {filter}")?;
    let (used, limit) = (extra.usedbcqueuelen, extra.bclim);
    writeln!(text, "    usedbcqueuelen {used} bclim {limit} links {}", list(&extra.links))?;
    if statistics {
        counters(text, &lower.stats64)?;
        for Drops { direction, reason, frames } in &extra.drops {
            writeln!(text, "    dropped {direction} {reason} {frames}")?;
        }
    }
    Ok(())
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Extra, LinkInfo, LowerExtra, RxStats, TxStats};

    #[test]
    fn looks_like_ip() {
        let link = LinkShow {
            ifindex: 3,
            qdisc: "noqueue".into(),
            linkmode: "DEFAULT".into(),
            group: "default".into(),
            txqlen: 1000,
            num_tx_queues: 1,
            num_rx_queues: 1,
            ifname: "mv0".into(),
            link: "lan0".into(),
            flags: vec!["BROADCAST".into(), "UP".into()],
            mtu: 1500,
            operstate: "UP".into(),
            link_type: "ether".into(),
            address: "02:00:00:00:00:01".into(),
            broadcast: "ff:ff:ff:ff:ff:ff".into(),
            linkinfo: LinkInfo {
                info_kind: "macvlan".into(),
                info_data: InfoData {
                    mode: "source".into(),
                    nodst: true,
                    bcqueuelen: 1000,
                    usedbcqueuelen: 5000,
                    macaddr_count: Some(1),
                    macaddr_data: vec!["02:00:00:00:00:81".into()],
                    ..InfoData::default()
                },
            },
            promiscuity: 0,
            allmulti: 1,
            min_mtu: 68,
            max_mtu: 65535,
            stats64: Stats64 {
                rx: RxStats { packets: 7, ..RxStats::default() },
                tx: TxStats::default(),
            },
            mvswitch: Extra {
                socket: Some("/run/mv0.sock".into()),
                role: Some("server".into()),
                drops: vec![Drops {
                    direction: "receive".into(),
                    reason: "runt".into(),
                    frames: 3,
                }],
                ..Extra::default()
            },
        };
        assert_eq!(
            links(std::slice::from_ref(&link), false),
            "1: mv0@lan0: <BROADCAST,UP> mtu 1500 state UP\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    \
             macvlan mode source nodst bcqueuelen 1000 usedbcqueuelen 5000 remotes (1) \
             02:00:00:00:00:81\n    socket /run/mv0.sock role server peer absent worker 0\n"
        );
        let text = links(std::slice::from_ref(&link), true);
        assert!(
            text.contains("             7 ") && text.contains("dropped receive runt 3"),
            "{text}"
        );
        let extra = Extra { device: Some("net_tap0".into()), worker: 1, ..Extra::default() };
        let text = links(&[link.clone(), LinkShow { mvswitch: extra, ..link }], false);
        assert!(text.starts_with("1: mv0@lan0: ") && text.contains("\n2: mv0@lan0: "), "{text}");
        assert!(text.ends_with("    device net_tap0 peer absent worker 1\n"), "{text}");
        assert_eq!(links(&[], true), "");
    }
    #[test]
    fn lowers_say_what_they_hear() {
        let lower = LowerShow {
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
        };
        assert_eq!(
            lowers(std::slice::from_ref(&lower), false),
            "1: lan0: <BROADCAST,UP> mtu 1500 state UP\n    link/ether 02:00:00:00:00:01 device demo\n    \
             unicast filter 02:00:00:00:00:02\n    usedbcqueuelen 1000 bclim 1 links none\n"
        );
        let extra = LowerExtra {
            promiscuous_because: Some("a link asks for it".into()),
            host: Some("net_tap0".into()),
            reachable: true,
            ..lower.mvswitch.clone()
        };
        let text = lowers(&[LowerShow { mvswitch: extra, ..lower }], true);
        assert!(
            text.contains("    host net_tap0 reachable\n    promiscuous: a link asks"),
            "{text}"
        );
        assert!(text.contains("mcast"), "{text}");
    }
}
