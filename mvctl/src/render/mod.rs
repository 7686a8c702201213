//! How results look: ip's text, ip's JSON, ip's colours.
//!
//! Makes strings of the protocol's types and a [`Style`]; prints nothing and
//! asks nobody. [`link`] and [`lower`] are as `ip link show` shows a macvlan and
//! its lower, [`table`] is what `ip` does not have.

pub(crate) mod link;
pub(crate) mod lower;
pub(crate) mod style;
pub(crate) mod table;

pub(crate) use style::Style;

use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use crate::proto::{Drops, Stats64};
use style::Lines;

/// `value` as JSON in the order of its fields, with a newline at its end.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T, pretty: bool) -> String {
    let mut text = Vec::new();
    // Writing into memory does not fail, and what we serialise has string keys.
    _ = if pretty {
        let formatter = PrettyFormatter::with_indent(b"    ");
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))
    } else {
        value.serialize(&mut serde_json::Serializer::new(&mut text))
    };
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

/// The counters of `-s`, in columns as wide as ip makes them.
fn counters(lines: &mut Lines<'_>, Stats64 { rx, tx }: &Stats64) {
    let received = [rx.bytes, rx.packets, rx.errors, rx.dropped, rx.over_errors, rx.multicast];
    let sent = [tx.bytes, tx.packets, tx.errors, tx.dropped, tx.carrier_errors, tx.collisions];
    let mut widths = [10, 7, 6, 7, 7, 7];
    for counts in [received, sent] {
        for (width, count) in widths.iter_mut().zip(counts) {
            *width = count.to_string().len().max(*width);
        }
    }
    let [a, b, c, d, e, f] = widths;
    for (side, fifth, sixth, counts) in
        [("RX", "missed", "mcast", received), ("TX", "carrier", "collsns", sent)]
    {
        let (bytes, packets, errors, dropped) = ("bytes", "packets", "errors", "dropped");
        let rest = a.saturating_sub(4);
        lines.push(format!(
            "    {side}: {bytes:>rest$} {packets:>b$} {errors:>c$} {dropped:>d$} {fifth:>e$} {sixth:>f$}"
        ));
        let [bytes, packets, errors, dropped, fifth, sixth] = counts;
        lines.push(format!(
            "    {bytes:>a$} {packets:>b$} {errors:>c$} {dropped:>d$} {fifth:>e$} {sixth:>f$}"
        ));
    }
}

fn drops(lines: &mut Lines<'_>, drops: &[Drops]) {
    for Drops { direction, reason, frames } in drops {
        lines.push(format!("    dropped {direction} {reason} {frames}"));
    }
}

/// Names with blanks between them, or `none`.
fn list(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::proto::{Extra, InfoData, LinkInfo, LinkShow, RxStats, TxStats};

    /// A link as mvswitch describes it.
    pub(crate) fn link() -> LinkShow {
        LinkShow {
            ifindex: 5,
            link: "lan0".into(),
            ifname: "mv0".into(),
            flags: ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"].map(Into::into).into(),
            mtu: 1400,
            qdisc: "noqueue".into(),
            operstate: "UP".into(),
            linkmode: "DEFAULT".into(),
            group: "default".into(),
            txqlen: 1000,
            link_type: "ether".into(),
            address: "02:00:00:00:00:01".into(),
            broadcast: "ff:ff:ff:ff:ff:ff".into(),
            promiscuity: 0,
            allmulti: 1,
            min_mtu: 68,
            max_mtu: 65535,
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
            num_tx_queues: 1,
            num_rx_queues: 1,
            stats64: Stats64 {
                rx: RxStats { packets: 7, bytes: 12_345_678_901, ..RxStats::default() },
                tx: TxStats { collisions: 3, ..TxStats::default() },
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
        }
    }

    #[test]
    fn json_keeps_the_order_of_fields() {
        let text = json(&Drops { direction: "r".into(), reason: "x".into(), frames: 1 }, false);
        assert_eq!(text, "{\"direction\":\"r\",\"reason\":\"x\",\"frames\":1}\n");
        assert_eq!(json(&[1], true), "[\n    1\n]\n");
    }
}
