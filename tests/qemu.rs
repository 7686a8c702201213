//! Real Linux guests under QEMU ping each other and the demo wire.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::process::Command;

use common::{Guest, GuestKernel, Namespace, Need, PATIENCE, Process, Switch, Veth, have};
use serde_json::json;

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

/// Asks for a lease and takes the address.
fn lease(guest: &mut Guest) -> String {
    let line = "udhcpc -i eth0 -f -n -q -t 8 -T 1 -s /bin/true";
    let (said, code) = guest.shell(line, PATIENCE);
    assert_eq!(code, 0, "no lease: {said}");
    let words: Vec<&str> = said.split_whitespace().collect();
    let at = words.windows(2).position(|pair| pair == ["lease", "of"]);
    let address = words[at.unwrap_or_else(|| panic!("{said}")) + 2].to_owned();
    guest.shell(&format!("ip addr add {address}/24 dev eth0"), PATIENCE);
    address
}

/// A fresh conversation: nobody remembers a neighbour.
fn forget(guest: &mut Guest) {
    guest.shell("ip neigh flush dev eth0; ip -6 neigh flush dev eth0", PATIENCE);
}

/// A DHCP server and an IPv6 neighbour on the wire: a host in a namespace.
fn host(veth: &Veth) -> (Namespace, Process, tempfile::TempDir) {
    let host = Namespace::new("host");
    host.adopt(&veth.inner, "10.0.0.1/24");
    for which in ["all", "default", &veth.inner] {
        let line = format!("echo 0 > /proc/sys/net/ipv6/conf/{which}/disable_ipv6");
        host.run("sh", &["-c", &line]);
    }
    host.run("ip", &["addr", "add", "fd00::1/64", "dev", &veth.inner, "nodad"]);
    let directory = tempfile::tempdir().unwrap();
    let (file, leases) = (directory.path().join("udhcpd.conf"), directory.path().join("leases"));
    let text = format!(
        "start 10.0.0.100\nend 10.0.0.120\ninterface {}\nlease_file {}\npidfile {}\n\
         option subnet 255.255.255.0\n",
        veth.inner,
        leases.display(),
        directory.path().join("pid").display()
    );
    std::fs::write(&file, text).unwrap();
    std::fs::write(&leases, "").unwrap();
    let mut server = Command::new("ip");
    server.args(["netns", "exec", host.name(), "busybox", "udhcpd", "-f"]).arg(&file);
    (host, Process::start("udhcpd", &mut server), directory)
}

#[test]
fn guests_get_leases_and_find_neighbours() {
    const NAME: &str = "guests_get_leases_and_find_neighbours";
    let more = [Need::Root, Need::Program("ip"), Need::Program("ethtool")];
    if !have(NAME, &[NEEDS, &more].concat()) {
        return;
    }
    let veth = Veth::new();
    let (_host, mut server, _files) = host(&veth);
    let kernel = GuestKernel::build();
    let config = CONFIG.replace("\"demo\"", &format!("\"net_af_packet0,iface={}\"", veth.outer));
    let switch = Switch::start(&config);
    let power_on = |name: &str, socket: &str, mac: &str| {
        Guest::power_on(&kernel, name, &switch.socket(socket), mac, "169.254.0.1/32")
    };
    let mut a = power_on("guest a", "mv0.sock", "02:00:00:00:00:10");
    let mut b = power_on("guest b", "mv1.sock", "02:00:00:00:00:11");
    for (guest, address) in [(&mut a, "fd00::10"), (&mut b, "fd00::11")] {
        guest.booted();
        let lines = [
            "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad",
            "echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
            &format!("ip addr add {address}/64 dev eth0"),
        ];
        guest.shell(&lines.join("; "), PATIENCE);
    }
    switch.wait_up(&["mv0", "mv1"], true);

    let (at_a, at_b) = (lease(&mut a), lease(&mut b));
    assert_ne!(at_a, at_b);
    for (guest, others) in [
        (&mut a, [&*at_b, "10.0.0.1", "fd00::11", "fd00::1"]),
        (&mut b, [&*at_a, "10.0.0.1", "fd00::10", "fd00::1"]),
    ] {
        for other in others {
            guest.ping(other, 1);
            assert_eq!(guest.ping(other, 5), 5, "bridge: answers from {other}");
        }
    }

    // Private: the wire and its services, and nothing of the neighbour.
    for link in ["mv0", "mv1"] {
        switch.rpc("link.set", json!({"name": link, "mode": "private"}));
    }
    for guest in [&mut a, &mut b] {
        forget(guest);
    }
    for (guest, siblings) in [(&mut a, [&*at_b, "fd00::11"]), (&mut b, [&*at_a, "fd00::10"])] {
        for sibling in siblings {
            assert_eq!(guest.ping(sibling, 2), 0, "private: answers from {sibling}");
        }
        for wire in ["10.0.0.1", "fd00::1"] {
            guest.ping(wire, 1);
            assert_eq!(guest.ping(wire, 5), 5, "private: answers from {wire}");
        }
    }
    assert_eq!(lease(&mut a), at_a, "the lease of before");
    assert!(server.is_running(), "udhcpd ended: {}", server.stderr());
    a.power_off();
    b.power_off();
    switch.wait_up(&["mv0", "mv1"], false);
    switch.stop();
}
