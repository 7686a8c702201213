//! Real Linux guests under QEMU talk to each other, to the demo wire and to a host.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::process::Command;

use common::{
    Guest, GuestKernel, Namespace, Need, PATIENCE, Process, Switch, Veth, have, wait_until,
};
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

/// Asks for a lease from the start, as a client that never had one, and takes the address.
#[track_caller]
fn lease(guest: &mut Guest) -> String {
    let (said, code) = guest.shell("udhcpc -i eth0 -f -n -q -t 8 -T 1 -s /bin/true", PATIENCE);
    assert_eq!(code, 0, "no lease: {said}");
    let words: Vec<&str> = said.split_whitespace().collect();
    let at = words.windows(2).position(|pair| pair == ["lease", "of"]);
    let address = words[at.unwrap_or_else(|| panic!("{said}")) + 2].to_owned();
    command(
        guest,
        &format!("ip addr flush dev eth0 scope global; ip addr add {address}/24 dev eth0"),
    );
    address
}

/// Runs a line that must succeed; what it said.
#[track_caller]
fn command(guest: &mut Guest, line: &str) -> String {
    let (said, code) = guest.shell(line, PATIENCE);
    assert_eq!(code, 0, "{line}: {said}");
    said
}

/// The neighbour tables of both families.
#[track_caller]
fn neighbours(guest: &mut Guest) -> String {
    command(guest, "ip neigh show; ip -6 neigh show")
}

/// Empties the neighbour tables; the host may be back at once, for it looks for its guests.
#[track_caller]
fn forget(guest: &mut Guest, sibling: &str) {
    command(guest, "ip neigh flush dev eth0; ip -6 neigh flush dev eth0");
    let known = neighbours(guest);
    assert!(!known.contains(sibling), "flushed, and yet there: {known}");
}

/// All answers but the first, which may be lost while the neighbour is looked for.
#[track_caller]
fn answers(guest: &mut Guest, address: &str) {
    guest.ping(address, 1);
    assert_eq!(guest.ping(address, 5), 5, "answers from {address}");
}

/// The same from the host.
#[track_caller]
fn host_hears(host: &Namespace, address: &str) {
    host.ping(address, 1);
    assert_eq!(host.ping(address, 5), 5, "answers from {address}");
}

/// The wire: a host in a namespace with a DHCP server and an IPv6 link-local address.
fn host(veth: &Veth) -> (Namespace, Process, tempfile::TempDir) {
    let host = Namespace::new("host");
    host.adopt(&veth.inner, "10.0.0.1/24");
    let line = format!("echo 0 > /proc/sys/net/ipv6/conf/{}/disable_ipv6", veth.inner);
    host.run("sh", &["-c", &line]);
    host.run("ip", &["addr", "add", "fe80::1/64", "dev", &veth.inner, "nodad"]);
    let directory = tempfile::tempdir().unwrap();
    let (file, leases) = (directory.path().join("udhcpd.conf"), directory.path().join("leases"));
    let text = format!(
        "start 10.0.0.100\nend 10.0.0.120\nmax_leases 21\ninterface {}\nlease_file {}\npidfile {}\n\
         option subnet 255.255.255.0\n",
        veth.inner,
        leases.display(),
        directory.path().join("pid").display()
    );
    std::fs::write(&file, text).unwrap();
    std::fs::write(&leases, "").unwrap();
    let mut server = Command::new("ip");
    // The server asks the wire for each address before it offers it; 200 ms of silence do.
    server.args(["netns", "exec", host.name(), "busybox", "udhcpd", "-f", "-a", "200"]).arg(&file);
    (host, Process::start("udhcpd", &mut server), directory)
}

/// Switches both links over while the guests run.
fn switch_mode(switch: &Switch, mode: &str) {
    for link in ["mv0", "mv1"] {
        switch.rpc("link.set", json!({"name": link, "mode": mode}));
    }
}

#[test]
fn guests_get_leases_and_find_neighbours() {
    const NAME: &str = "guests_get_leases_and_find_neighbours";
    const A_MAC: &str = "02:00:00:00:00:10";
    const B_MAC: &str = "02:00:00:00:00:11";
    // The link-local addresses that follow from the MAC addresses, and the host's.
    const A6: &str = "fe80::ff:fe00:10%eth0";
    const B6: &str = "fe80::ff:fe00:11%eth0";
    const HOST6: &str = "fe80::1%eth0";
    let more = [
        Need::Root,
        Need::Program("ip"),
        Need::Program("ethtool"),
        Need::Program("busybox"),
        Need::Path("/proc/sys/net/ipv6"),
    ];
    if !have(NAME, &[NEEDS, &more].concat()) {
        return;
    }
    let veth = Veth::new();
    let (host, mut server, _files) = host(&veth);
    let kernel = GuestKernel::build();
    let config = CONFIG.replace("\"demo\"", &format!("\"net_af_packet0,iface={}\"", veth.outer));
    let switch = Switch::start(&config);
    // What stands in until there is a lease.
    let power_on = |name: &str, socket: &str, mac: &str| {
        Guest::power_on(&kernel, name, &switch.socket(socket), mac, "169.254.0.1/32")
    };
    let mut a = power_on("guest a", "mv0.sock", A_MAC);
    let mut b = power_on("guest b", "mv1.sock", B_MAC);
    for guest in [&mut a, &mut b] {
        guest.booted();
        let conf = "/proc/sys/net/ipv6/conf/eth0";
        command(guest, &format!("echo 0 >{conf}/accept_dad && echo 0 >{conf}/disable_ipv6"));
    }
    switch.wait_up(&["mv0", "mv1"], true);

    let (a4, b4) = (lease(&mut a), lease(&mut b));
    assert_ne!(a4, b4);
    for (guest, others) in
        [(&mut a, [&*b4, "10.0.0.1", B6, HOST6]), (&mut b, [&*a4, "10.0.0.1", A6, HOST6])]
    {
        for other in others {
            answers(guest, other);
        }
        // Nobody has these addresses: a ping that always succeeds would prove nothing.
        for nobody in ["10.0.0.99", "fe80::99%eth0"] {
            assert_eq!(guest.ping(nobody, 1), 0, "answers from {nobody}");
        }
    }
    // Else its absence below would prove nothing.
    let known = neighbours(&mut a);
    assert!(known.contains(B_MAC), "bridge: the sibling is unknown: {known}");
    let on_the_wire = |address: &str| address.replace("eth0", &veth.inner);
    for address in [&*a4, &*b4, &on_the_wire(A6), &on_the_wire(B6)] {
        host_hears(&host, address);
    }

    switch_mode(&switch, "private");
    forget(&mut a, B_MAC);
    forget(&mut b, A_MAC);
    for (guest, siblings, mac) in [(&mut a, [&*b4, B6], B_MAC), (&mut b, [&*a4, A6], A_MAC)] {
        for sibling in siblings {
            assert_eq!(guest.ping(sibling, 2), 0, "private: answers from {sibling}");
        }
        for wire in ["10.0.0.1", HOST6] {
            answers(guest, wire);
        }
        let known = neighbours(guest);
        assert!(!known.contains(mac), "private: the sibling was found: {known}");
    }
    for address in [&*a4, &*b4, &on_the_wire(A6), &on_the_wire(B6)] {
        host_hears(&host, address);
    }
    // The server gives a MAC address what it had before, so its log says what is new.
    for (guest, before) in [(&mut a, &a4), (&mut b, &b4)] {
        let heard = server.stderr().len();
        assert_eq!(&lease(guest), before);
        for answer in ["OFFER", "ACK"] {
            let line = format!("sending {answer} to {before}");
            wait_until(&line, PATIENCE, || server.stderr()[heard..].contains(&line));
        }
    }
    answers(&mut a, "10.0.0.1");

    // It was the mode that kept them apart.
    switch_mode(&switch, "bridge");
    answers(&mut b, &a4);
    answers(&mut a, B6);
    assert!(server.is_running(), "udhcpd ended: {}", server.stderr());
    a.power_off();
    b.power_off();
    switch.wait_up(&["mv0", "mv1"], false);
    switch.stop();
}
