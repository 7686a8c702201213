//! Links as `ip -d link show` prints them.

use std::fmt::Write as _;

use crate::proto::{Drops, LinkShow};

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
    writeln!(text, "    {} mode {}", link.linkinfo.info_kind, link.linkinfo.info_data.mode)?;
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
        for (name, stats) in [("RX", &link.stats64.rx), ("TX", &link.stats64.tx)] {
            writeln!(
                text,
                "    {name}:  {:>14} {:>13} {:>8} {:>8}",
                "bytes", "packets", "errors", "dropped"
            )?;
            writeln!(
                text,
                "         {:>14} {:>13} {:>8} {:>8}",
                stats.bytes, stats.packets, stats.errors, stats.dropped
            )?;
        }
        for Drops { direction, reason, frames } in &extra.drops {
            writeln!(text, "    dropped {direction} {reason} {frames}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Extra, InfoData, LinkInfo, Stats, Stats64};

    #[test]
    fn looks_like_ip() {
        let link = LinkShow {
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
                info_data: InfoData { mode: "bridge".into() },
            },
            stats64: Stats64 { rx: Stats { packets: 7, ..Stats::default() }, tx: Stats::default() },
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
             macvlan mode bridge\n    socket /run/mv0.sock role server peer absent worker 0\n"
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
}
