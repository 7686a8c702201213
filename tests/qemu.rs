//! Real Linux guests under QEMU ping each other and the demo wire.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Guest, GuestKernel, Need, PATIENCE, Switch, have};

const NEEDS: &[Need] = &[
    Need::Program("qemu-system-x86_64"),
    Need::Program("cpio"),
    Need::Path("/bin/busybox"),
    Need::GuestKernel,
];

const CONFIG: &str = r#"
    [cores]
    control = 0
    workers = "1"
    [[lower]]
    name = "lan0"
    device = "demo"
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
"#;

#[test]
fn two_guests_ping_each_other_and_the_wire() {
    if !have("two_guests_ping_each_other_and_the_wire", NEEDS) {
        return;
    }
    let kernel = GuestKernel::build();
    let switch = Switch::start(CONFIG);
    let power_on = |name: &str, socket: &str, mac: &str, address: &str| {
        Guest::power_on(&kernel, name, &switch.socket(socket), mac, address)
    };
    let mut a = power_on("guest a", "mv0.sock", "02:00:00:00:00:10", "10.0.0.10/24");
    let mut b = power_on("guest b", "mv1.sock", "02:00:00:00:00:11", "10.0.0.11/24");
    a.booted();
    b.booted();
    switch.wait_up(&["mv0", "mv1"], true);

    for (guest, others) in
        [(&mut a, ["10.0.0.11", "10.0.0.1"]), (&mut b, ["10.0.0.10", "10.0.0.1"])]
    {
        for other in others {
            // The first may be lost to address resolution, no other.
            guest.ping(other, 1);
            assert_eq!(guest.ping(other, 10), 10, "answers from {other}");
        }
        // Nobody has this address: a ping that always succeeds would prove nothing.
        assert_eq!(guest.ping("10.0.0.99", 1), 0);
    }
    let (neighbours, _) = a.shell("cat /proc/net/arp", PATIENCE);
    assert!(neighbours.contains("02:00:00:00:00:11"), "{neighbours}");

    a.power_off();
    switch.wait_up(&["mv0"], false);
    assert_eq!(b.ping("10.0.0.1", 5), 5, "the other guest goes on");
    b.power_off();
    let stopped = switch.stop();
    // Two guests, two partners, eleven pings, each a request and an answer.
    assert!(stopped.delivered >= 2 * 2 * 11 * 2, "{stopped:?}");
}
