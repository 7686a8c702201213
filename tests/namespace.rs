//! A real host in a network namespace, behind a real lower device.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{Namespace, Need, Switch, Testpmd, Vdev, Veth, have, wait_until};

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Program("ip"),
    Need::Program("ethtool"),
    Need::Program("busybox"),
    Need::Program("dpdk-testpmd"),
    Need::Path("/dev/net/tun"),
];

/// So many links `mv0`, `mv1`, … with addresses of their own on one lower.
fn config(device: &str, links: usize) -> String {
    let mut text = format!(
        "[cores]\ncontrol = 0\nworkers = \"1\"\n[eal]\nmemory = \"4k\"\n\
         [[lower]]\nname = \"lan0\"\ndevice = \"{device}\"\n"
    );
    for index in 0..links {
        let address = mac(index);
        text += &format!(
            "[[macvlan]]\nname = \"mv{index}\"\nlink = \"lan0\"\nmode = \"bridge\"\n\
             address = \"{address}\"\nsocket = \"mv{index}.sock\"\n"
        );
    }
    text
}

fn mac(index: usize) -> String {
    format!("02:00:00:00:00:{:02x}", 0x10 + index)
}

/// The guests of links 0, 1, …, all in one testpmd.
fn guests(switch: &Switch, forward: &str, links: usize) -> Testpmd {
    let vdev = |index| Vdev::virtio_user(&switch.socket(&format!("mv{index}.sock")), &mac(index));
    let vdevs: Vec<Vdev> = (0..links).map(vdev).collect();
    let mut guests = Testpmd::start("guests", forward, &vdevs);
    switch.wait_up(&["mv0", "mv1", "mv2"][..links], true);
    guests.go();
    guests
}

#[test]
fn a_host_pings_a_guest_through_af_packet() {
    if !have("a_host_pings_a_guest_through_af_packet", NEEDS) {
        return;
    }
    let veth = Veth::new();
    let host = Namespace::new("host");
    host.adopt(&veth.inner, "10.0.0.1/24");
    let switch = Switch::start(&config(&format!("net_af_packet0,iface={}", veth.outer), 1));
    // testpmd's icmpecho answers for every address; the switch delivers by MAC.
    let mut guest = guests(&switch, "icmpecho", 1);
    host.ping("10.0.0.10", 1);
    assert_eq!(host.ping("10.0.0.10", 20), 20);
    let neighbours = host.run("ip", &["neigh", "show", "10.0.0.10"]);
    assert!(neighbours.contains(&mac(0)), "{neighbours}");

    // Of what the host sends to somebody else, nothing may reach the guest.
    host.run(
        "ip",
        &["neigh", "add", "10.0.0.77", "lladdr", "02:00:00:00:00:77", "dev", &veth.inner],
    );
    let before = guest.stats(0).rx_packets;
    assert_eq!(host.ping("10.0.0.77", 3), 0);
    assert_eq!(guest.stats(0).rx_packets, before, "a guest got a frame for another MAC address");
    assert!(switch.port("lan0").dropped("unknown_unicast") >= 3);
    guest.quit();
    switch.stop();
}

#[test]
fn a_broadcast_reaches_every_bridge_link_once() {
    if !have("a_broadcast_reaches_every_bridge_link_once", NEEDS) {
        return;
    }
    const FRAMES: u64 = 400;
    let veth = Veth::new();
    let host = Namespace::new("host");
    host.adopt(&veth.inner, "10.0.0.1/24");
    let switch = Switch::start(&config(&format!("net_af_packet0,iface={}", veth.outer), 3));
    let mut guests = guests(&switch, "rxonly", 3);
    let names = ["mv0", "mv1", "mv2"];
    let before = switch.ports_at_rest(names).map(|port| port.transmitted);

    host.broadcast("10.0.0.255", FRAMES.try_into().unwrap());
    wait_until("broadcasts arrive", Duration::from_secs(10), || {
        switch.port("mv2").transmitted >= before[2] + FRAMES
    });
    let after = switch.ports_at_rest(names).map(|port| port.transmitted);
    assert_eq!(after, before.map(|frames| frames + FRAMES));

    // Nobody answers for this address, so every one of the requests is a broadcast.
    let asked = host.output("busybox", &["arping", "-c", "3", "-I", &veth.inner, "10.0.0.99"]);
    assert!(!asked.status.success(), "{asked:?}");
    let after = switch.ports_at_rest(names).map(|port| port.transmitted);
    assert_eq!(after, before.map(|frames| frames + FRAMES + 3), "ARP requests to the links");
    let seen = [0, 1, 2].map(|port| guests.stats(port).rx_packets);
    assert_eq!(seen, after, "the guests saw what the switch delivered");
    guests.quit();
    let stopped = switch.stop();
    assert!(stopped.copies >= 2 * (FRAMES + 3), "{stopped:?}");
}

#[test]
fn a_host_pings_a_guest_through_a_tap() {
    if !have("a_host_pings_a_guest_through_a_tap", NEEDS) {
        return;
    }
    let tap = format!("mvt{}t", std::process::id());
    let host = Namespace::new("host");
    let switch = Switch::start(&config(&format!("net_tap0,iface={tap}"), 1));
    host.adopt(&tap, "10.0.0.1/24");
    let guest = guests(&switch, "icmpecho", 1);
    host.ping("10.0.0.10", 1);
    assert_eq!(host.ping("10.0.0.10", 20), 20);
    guest.quit();
    switch.stop();
}
