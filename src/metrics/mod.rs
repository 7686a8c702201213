//! Prometheus' view of the switch.
//!
//! One collector that reads the inventory and sums the workers' counters when it
//! is scraped: nothing on the data path knows of it. Served by `api`.

use macvlan::drop::DropReason;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::control::InventoryHandle;
use crate::datapath::Totals;
use crate::dpdk;

/// A registry with everything mvswitch exposes.
///
/// # Errors
/// Two metrics have the same name: a mistake in this file.
pub fn registry(inventory: InventoryHandle) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    let info = IntGaugeVec::new(
        Opts::new("mvswitch_build_info", "The running program, as labels; always 1."),
        &["version", "revision", "dpdk"],
    )?;
    let labels = [env!("CARGO_PKG_VERSION"), env!("MVSWITCH_REVISION"), &dpdk::release()];
    info.with_label_values(&labels).set(1);
    registry.register(Box::new(info))?;
    registry.register(Box::new(Ports { inventory, families: Families::new()? }))?;
    Ok(registry)
}

/// Collects the metrics of all ports.
struct Ports {
    inventory: InventoryHandle,
    /// Kept for their descriptions; a scrape fills fresh ones, so that a port
    /// that has gone leaves no series behind.
    families: Families,
}

struct Families {
    receive_packets: IntCounterVec,
    receive_bytes: IntCounterVec,
    transmit_packets: IntCounterVec,
    transmit_bytes: IntCounterVec,
    drops: IntCounterVec,
    up: IntGaugeVec,
}

impl Families {
    fn new() -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        Ok(Self {
            receive_packets: counter(
                "mvswitch_port_receive_packets_total",
                "Frames the switch's port received: from the guest, from the wire.",
                &["port"],
            )?,
            receive_bytes: counter(
                "mvswitch_port_receive_bytes_total",
                "Bytes the switch's port received, without FCS.",
                &["port"],
            )?,
            transmit_packets: counter(
                "mvswitch_port_transmit_packets_total",
                "Frames the switch's port delivered: to the guest, to the wire.",
                &["port"],
            )?,
            transmit_bytes: counter(
                "mvswitch_port_transmit_bytes_total",
                "Bytes the switch's port delivered, without FCS.",
                &["port"],
            )?,
            drops: counter(
                "mvswitch_port_drop_total",
                "Frames dropped: received by the port (receive) or meant for it (transmit), by reason.",
                &["port", "direction", "reason"],
            )?,
            up: IntGaugeVec::new(
                Opts::new(
                    "mvswitch_port_up",
                    "1 if a lower has carrier, or a link is administratively up and its guest is there.",
                ),
                &["port"],
            )?,
        })
    }

    fn add(&self, port: &str, up: bool, totals: &Totals) {
        let counters = [
            (&self.receive_packets, totals.rx_packets),
            (&self.receive_bytes, totals.rx_bytes),
            (&self.transmit_packets, totals.tx_packets),
            (&self.transmit_bytes, totals.tx_bytes),
        ];
        for (family, value) in counters {
            family.with_label_values(&[port]).inc_by(value);
        }
        for (direction, counts) in [("receive", &totals.rx_drops), ("transmit", &totals.tx_drops)] {
            for (reason, &frames) in DropReason::ALL.iter().zip(counts) {
                self.drops.with_label_values(&[port, direction, reason.name()]).inc_by(frames);
            }
        }
        self.up.with_label_values(&[port]).set(i64::from(up));
    }

    fn all(&self) -> [&dyn Collector; 6] {
        let Self { receive_packets, receive_bytes, transmit_packets, transmit_bytes, drops, up } =
            self;
        [receive_packets, receive_bytes, transmit_packets, transmit_bytes, drops, up]
    }
}

impl Collector for Ports {
    fn desc(&self) -> Vec<&Desc> {
        self.families.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Their names and labels are valid: the same ones were made at start.
        let Ok(families) = Families::new() else { return Vec::new() };
        for port in &self.inventory.load().ports {
            families.add(&port.name, port.up, &port.stats.totals());
        }
        families.all().into_iter().flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Write};
    use std::process::{Command, Stdio};

    /// The text of everything there is, with two ports.
    fn text() -> String {
        let families = Families::new().unwrap();
        let totals =
            Totals { rx_packets: 3, rx_drops: [1; DropReason::COUNT], ..Totals::default() };
        families.add("mv0", true, &totals);
        families.add("lan0", false, &Totals::default());
        let ports = families.all().into_iter().flat_map(Collector::collect);
        let others = registry(InventoryHandle::default()).unwrap().gather();
        let all: Vec<_> = ports.chain(others).collect();
        prometheus::TextEncoder::new().encode_to_string(&all).unwrap()
    }

    #[test]
    fn families_are_valid_and_complete() {
        let text = text();
        for line in [
            "mvswitch_port_receive_packets_total{port=\"mv0\"} 3",
            "mvswitch_port_receive_packets_total{port=\"lan0\"} 0",
            "mvswitch_port_up{port=\"mv0\"} 1",
            "mvswitch_port_up{port=\"lan0\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        let info = format!(
            "mvswitch_build_info{{dpdk=\"{}\",revision=\"{}\",version=\"{}\"}} 1\n",
            dpdk::release(),
            env!("MVSWITCH_REVISION"),
            env!("CARGO_PKG_VERSION")
        );
        assert!(text.contains(&info), "{info}: {text}");
        for reason in DropReason::ALL {
            for (direction, frames) in [("receive", 1), ("transmit", 0)] {
                let labels =
                    format!("direction=\"{direction}\",port=\"mv0\",reason=\"{}\"", reason.name());
                assert!(
                    text.contains(&format!("mvswitch_port_drop_total{{{labels}}} {frames}")),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_switch_without_ports_has_metrics() {
        let families = registry(InventoryHandle::default()).unwrap().gather();
        let text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap();
        assert!(text.contains("mvswitch_build_info{") && !text.contains("_port_"), "{text}");
    }

    #[test]
    fn promtool_has_nothing_to_say() {
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(Stdio::piped());
        let mut child = match promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
            Ok(child) => child,
            // As the tests with real peers do: aloud, past the capture, and never in CI.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                assert!(std::env::var_os("CI").is_none(), "no promtool");
                let said = "SKIPPED: promtool_has_nothing_to_say: no program promtool: scripts/test.sh installs it";
                _ = writeln!(std::io::stderr(), "{said}");
                return;
            }
            Err(error) => panic!("promtool: {error}"),
        };
        let text = text();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    }
}
