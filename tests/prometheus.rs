//! `/metrics` as Prometheus sees it: accepted by its own checker, and true.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

use common::{Need, Switch, Testpmd, Vdev, have, wait_until};

const A: &str = "02:00:00:00:00:10";
const B: &str = "02:00:00:00:00:11";

const CONFIG: &str = r#"
    [cores]
    control = 0
    workers = "1"
    [eal]
    memory = "4k"
    [[lower]]
    name = "lan0"
    device = "net_null0,no-rx=1"
    [[macvlan]]
    name = "mv0"
    link = "lan0"
    address = "02:00:00:00:00:10"
    socket = "mv0.sock"
    [[macvlan]]
    name = "mv1"
    link = "lan0"
    address = "02:00:00:00:00:11"
    socket = "mv1.sock"
    [[macvlan]]
    name = "mv2"
    link = "lan0"
    mode = "private"
    socket = "mv2.sock"
"#;

/// Panics unless `promtool check metrics` accepts `text` without a word.
#[track_caller]
fn promtool_accepts(text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("metrics");
    fs::write(&file, text).unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(File::open(&file).unwrap());
    let output = promtool.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "promtool: {said}\n{text}");
}

#[test]
fn the_checker_of_this_test_refuses_what_is_wrong() {
    if !have("the_checker_of_this_test_refuses_what_is_wrong", &[Need::Program("promtool")]) {
        return;
    }
    promtool_accepts("# HELP a_total b\n# TYPE a_total counter\na_total 1\n");
    for wrong in ["no metric\n", "# TYPE a counter\na 1\n"] {
        assert!(std::panic::catch_unwind(|| promtool_accepts(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn metrics_are_clean_and_equal_what_the_guests_counted() {
    let needs = [Need::Program("promtool"), Need::Program("dpdk-testpmd")];
    if !have("metrics_are_clean_and_equal_what_the_guests_counted", &needs) {
        return;
    }
    let switch = Switch::start(CONFIG);
    let idle = switch.metrics();
    promtool_accepts(&idle.text);
    assert_eq!(idle.count("mvswitch_build_info", &[]), 1);
    assert!(idle.is_up("lan0"));
    assert!(!idle.is_up("mv0") && !idle.is_up("mv1") && !idle.is_up("mv2"));

    let guests = [
        Vdev::virtio_user(&switch.socket("mv0.sock"), A).to(B),
        Vdev::virtio_user(&switch.socket("mv1.sock"), B).to(A),
    ];
    let mut guests = Testpmd::start("guests", "mac", &guests);
    switch.wait_up(&["mv0", "mv1"], true);
    guests.go_with_bursts(8);
    // A scrape while counters move must be as clean as any other.
    for _ in 0..20 {
        promtool_accepts(&switch.metrics().text);
    }
    wait_until("frames arrive", Duration::from_secs(20), || guests.stats(1).rx_packets > 100_000);
    guests.halt();
    guests.forward("rxonly");
    guests.go();
    let ports = switch.ports_at_rest(["mv0", "mv1"]);
    for (index, port) in ports.iter().enumerate() {
        let guest = guests.stats(index);
        let theirs = (guest.tx_packets, guest.tx_bytes, guest.rx_packets, guest.rx_bytes);
        let ours = (port.received, port.received_bytes, port.transmitted, port.transmitted_bytes);
        assert_eq!(theirs, ours, "guest {index} and the switch's port");
        assert_eq!(port.received, ports[1 - index].transmitted + ports[1 - index].all_dropped());
    }

    // Nobody listens on the private link, and a bridge link does not reach it: no drop either.
    assert_eq!(switch.port("mv2"), common::PortCounters::default());
    guests.quit();
    switch.wait_up(&["mv0", "mv1"], false);
    let last = switch.metrics();
    promtool_accepts(&last.text);
    let sum = ["mv0", "mv1", "mv2", "lan0"].map(|name| last.port(name));
    let stopped = switch.stop();
    assert_eq!(stopped.received, sum.iter().map(|port| port.received).sum::<u64>());
    assert_eq!(stopped.delivered, sum.iter().map(|port| port.transmitted).sum::<u64>());
    assert_eq!(stopped.dropped, sum.iter().map(|port| port.all_dropped()).sum::<u64>());
}
