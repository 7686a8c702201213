//! The switch on real interfaces: what happens to a lower reaches its links, and
//! what links need reaches the lower.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "shared with tests/kernel, which needs more of it")]
#[path = "../kernel/packets.rs"]
mod packets;
mod refusals;
mod rig;

use std::time::Duration;

use common::{Need, Testpmd, Vdev, have, run, wait_until};
use rig::{Rig, kernel, link, mac, quiet, tap};
use serde_json::json;

const NEEDS: &[Need] =
    &[Need::Root, Need::Program("ip"), Need::Program("ethtool"), Need::Path("/dev/net/tun")];

const SOON: Duration = Duration::from_secs(5);
const OUTSIDE: [u8; 6] = [2, 9, 9, 9, 9, 9];
const BROADCAST: [u8; 6] = [0xff; 6];

/// NT-01, NT-03 to NT-06.
#[test]
fn links_follow_their_lower() {
    if !have("links_follow_their_lower", NEEDS) {
        return;
    }
    let links = [link("g1", "lan0", ""), link("g2", "lan0", "mtu = 1400")].concat();
    let mut rig = Rig::start("", &links);
    rig.switch.allow("gone, and its links with it");
    let (g1, g2) = (rig.address("g1"), rig.address("g2"));
    let frame = rig.frame(g2, g1);
    rig.expect("g1", &frame, &["g2"]);

    // No carrier: not even siblings reach each other. It comes back by itself.
    run("ip", &["link", "set", &rig.veth.inner, "down"]);
    wait_until("no carrier", SOON, || rig.link("g1")["operstate"] == "LOWERLAYERDOWN");
    assert_eq!(rig.link("g1")["flags"][0], "NO-CARRIER");
    let frame = rig.frame(g2, g1);
    rig.expect("g1", &frame, &[]);
    assert!(rig.switch.port("g1").dropped("lower_down") > 0);
    run("ip", &["link", "set", &rig.veth.inner, "up"]);
    wait_until("carrier", SOON, || rig.link("g1")["operstate"] == "UP");
    let frame = rig.frame(g2, g1);
    rig.expect("g1", &frame, &["g2"]);

    // Administratively down is the same, without a cable being pulled.
    rig.switch.rpc("lower.set", json!({"name": "lan0", "up": false}));
    assert_eq!(rig.link("g2")["operstate"], "LOWERLAYERDOWN");
    let frame = rig.frame(OUTSIDE, g1);
    rig.expect("g1", &frame, &[]);
    rig.switch.rpc("lower.set", json!({"name": "lan0", "up": true}));

    // The larger MTU is cut, the smaller one stays, and raising raises nobody.
    rig.switch.rpc("lower.set", json!({"name": "lan0", "mtu": 1450}));
    assert_eq!((&rig.link("g1")["mtu"], &rig.link("g2")["mtu"]), (&json!(1450), &json!(1400)));
    rig.switch.rpc("lower.set", json!({"name": "lan0", "mtu": 1500}));
    assert_eq!(rig.link("g1")["mtu"], 1450);
    assert_eq!(rig.lower("lan0")["mtu"], 1500);

    // An address that a link has is refused; another one reaches the interface.
    let taken = rig.link("g1")["address"].clone();
    let before = rig.uncounted("lan0");
    let error =
        rig.switch.try_rpc("lower.set", json!({"name": "lan0", "address": taken, "mtu": 900}));
    let error = error.unwrap_err();
    assert_eq!(error["data"]["errno"], "EADDRINUSE", "{error}");
    assert!(error["message"].as_str().unwrap().contains("link g1"), "{error}");
    assert_eq!(rig.uncounted("lan0"), before, "half of what was refused was done");
    rig.switch.rpc("lower.set", json!({"name": "lan0", "address": "02:00:00:00:00:aa"}));
    assert_eq!(kernel(&rig.veth.outer)["address"], "02:00:00:00:00:aa");

    // The device goes, and all its links with it.
    run("ip", &["link", "del", &rig.veth.outer]);
    wait_until("the links to go", SOON, || rig.links().is_empty());
    assert_eq!(rig.switch.rpc("lower.show", json!({})), json!([]));
    wait_until("the taps to go", SOON, || {
        !std::path::Path::new("/sys/class/net").join(tap("g1")).exists()
    });
    rig.switch.stop();
}

/// LC-15, LC-19, MA-02, MA-03, RXU-05, UCF-07.
#[test]
fn a_passthru_link_is_its_lower() {
    if !have("a_passthru_link_is_its_lower", NEEDS) {
        return;
    }
    let mut rig = Rig::start("", &link("g1", "lan0", "mode = \"passthru\""));
    let outer = rig.veth.outer.clone();
    let own = kernel(&outer)["address"].clone();
    assert_eq!(rig.link("g1")["address"], own);
    let promiscuity = || kernel(&outer)["promiscuity"].as_u64().unwrap();
    assert_eq!(promiscuity(), 1);
    assert_eq!(rig.lower("lan0")["mvswitch"]["promiscuous_because"], "a link asks for it");
    let frame = rig.frame([2, 7, 7, 7, 7, 7], OUTSIDE);
    rig.expect("wire", &frame, &["g1"]);

    let error = rig.switch.try_rpc("link.add", json!({"name": "g2", "link": "lan0"})).unwrap_err();
    assert_eq!(error["data"]["errno"], "EINVAL");
    assert!(error["message"].as_str().unwrap().contains("g1"), "{error}");

    rig.switch.rpc("link.set", json!({"name": "g1", "nopromisc": true}));
    assert_eq!(promiscuity(), 0);
    rig.switch.rpc("link.set", json!({"name": "g1", "nopromisc": false}));
    assert_eq!(promiscuity(), 1);
    rig.switch.rpc("link.set", json!({"name": "g1", "up": false}));
    assert_eq!(promiscuity(), 0);
    rig.switch.rpc("link.set", json!({"name": "g1", "up": true}));

    // Its address is the lower's, both ways, and the lower gets its own back.
    rig.switch.rpc("link.set", json!({"name": "g1", "address": "02:00:00:00:00:55"}));
    assert_eq!(kernel(&outer)["address"], "02:00:00:00:00:55");
    rig.switch.rpc("lower.set", json!({"name": "lan0", "address": "02:00:00:00:00:66"}));
    assert_eq!(rig.link("g1")["address"], "02:00:00:00:00:66");
    rig.switch.rpc("link.set", json!({"name": "g1", "address": "02:00:00:00:00:77"}));
    rig.switch.rpc("link.del", json!({"name": "g1"}));
    assert_eq!(kernel(&outer)["address"], "02:00:00:00:00:66");
    assert_eq!(promiscuity(), 0);
    rig.switch.rpc("link.add", json!({"name": "g1", "link": "lan0", "mode": "passthru"}));
    rig.switch.rpc("link.set", json!({"name": "g1", "address": "02:00:00:00:00:88"}));
    rig.switch.stop();
    assert_eq!(kernel(&outer)["address"], "02:00:00:00:00:66", "the switch left its own");
}

/// UCF-01, UCF-02, UCF-04, MCF-05, MCF-06, SRC-02, SRC-05.
#[test]
fn filters_let_through_what_links_need() {
    if !have("filters_let_through_what_links_need", NEEDS) {
        return;
    }
    let links = [
        link("g1", "lan0", "multicast = [\"01:00:5e:00:00:fb\"]"),
        link("g2", "lan0", "allmulticast = false"),
        link("g3", "lan0", "mode = \"source\"\nmacaddr = [\"02:00:00:00:05:01\"]"),
    ];
    let mut rig = Rig::start("", &links.concat());
    let groups = |rig: &Rig| run("ip", &["maddr", "show", "dev", &rig.veth.outer]);
    assert!(groups(&rig).contains("01:00:5e:00:00:fb"), "{}", groups(&rig));
    let (listed, other) = ([1, 0, 0x5e, 0, 0, 0xfb], [1, 0, 0x5e, 0, 0, 0x10]);
    let frame = rig.frame(listed, OUTSIDE);
    rig.expect("wire", &frame, &["g1"]);
    let frame = rig.frame(other, OUTSIDE);
    rig.expect("wire", &frame, &[]);
    let frame = rig.frame(BROADCAST, OUTSIDE);
    rig.expect("wire", &frame, &["g1", "g2"]);

    let filter = json!({"name": "g2", "address": "01:00:5e:00:00:10"});
    rig.switch.rpc("filter.add", filter.clone());
    let error = rig.switch.try_rpc("filter.add", filter.clone()).unwrap_err();
    assert_eq!(error["data"]["errno"], "EEXIST");
    assert!(groups(&rig).contains("01:00:5e:00:00:10"), "{}", groups(&rig));
    let frame = rig.frame(other, OUTSIDE);
    rig.expect("wire", &frame, &["g2"]);
    rig.switch.rpc("filter.del", filter.clone());
    assert_eq!(rig.switch.try_rpc("filter.del", filter).unwrap_err()["data"]["errno"], "ENOENT");
    assert!(!groups(&rig).contains("01:00:5e:00:00:10"), "{}", groups(&rig));
    let error =
        rig.switch.try_rpc("filter.add", json!({"name": "g2", "address": "02:00:00:00:00:01"}));
    assert_eq!(error.unwrap_err()["data"]["errno"], "EOPNOTSUPP");

    // By sender: a copy beside the rules, or instead of them.
    let source = mac("02:00:00:00:05:01");
    let g1 = rig.address("g1");
    let frame = rig.frame(g1, source);
    rig.expect("wire", &frame, &["g1", "g3"]);
    rig.switch.rpc("link.set", json!({"name": "g3", "nodst": true}));
    let frame = rig.frame(g1, source);
    rig.expect("wire", &frame, &["g3"]);
    rig.switch.rpc("link.set", json!({"name": "g3", "macaddr": {"add": "02:00:00:00:05:02"}}));
    let info = rig.link("g3")["linkinfo"]["info_data"].clone();
    let text = r#"{"mode":"source","nodst":true,"bcqueuelen":1000,"usedbcqueuelen":1000,"macaddr_count":2,"macaddr_data":["02:00:00:00:05:01","02:00:00:00:05:02"]}"#;
    assert_eq!(info, serde_json::from_str::<serde_json::Value>(text).unwrap());
    rig.switch.rpc("link.set", json!({"name": "g3", "macaddr": {"del": "02:00:00:00:05:01"}}));
    rig.switch.rpc("link.set", json!({"name": "g3", "macaddr": {"set": ["02:00:00:00:05:03"]}}));
    assert_eq!(
        rig.link("g3")["linkinfo"]["info_data"]["macaddr_data"],
        json!(["02:00:00:00:05:03"])
    );
    rig.switch.rpc("link.set", json!({"name": "g3", "macaddr": "flush"}));
    assert_eq!(rig.link("g3")["linkinfo"]["info_data"]["macaddr_count"], 0);

    let promisc = kernel(&rig.veth.outer)["promiscuity"].clone();
    rig.switch.rpc("link.set", json!({"name": "g1", "promisc": true}));
    assert_eq!(kernel(&rig.veth.outer)["promiscuity"].as_u64(), promisc.as_u64().map(|n| n + 1));
    rig.switch.rpc("link.set", json!({"name": "g1", "promisc": false}));
    assert_eq!(kernel(&rig.veth.outer)["promiscuity"], promisc);

    // A VLAN's links are heard by the device below, and take that along when they go.
    rig.switch.rpc("lower.add", json!({"name": "v5", "lower": "lan0", "vlan": 5}));
    rig.switch.rpc("link.add", json!({"name": "g5", "link": "v5", "promisc": true}));
    assert_eq!(kernel(&rig.veth.outer)["promiscuity"].as_u64(), promisc.as_u64().map(|n| n + 1));
    rig.switch.rpc("lower.del", json!({"name": "v5"}));
    assert_eq!(kernel(&rig.veth.outer)["promiscuity"], promisc);
    rig.switch.allow("gone, and its links with it");
    rig.switch.stop();
}

/// NT-09, B19.
#[test]
fn links_are_announced() {
    if !have("links_are_announced", NEEDS) {
        return;
    }
    let links = [
        link("g1", "lan0", "addresses = [\"02:00:00:00:0b:01\"]"),
        link("g2", "lan0", ""),
        link("g3", "lan0", "mode = \"private\"\nup = false"),
    ];
    let mut rig = Rig::start("", &links.concat());
    rig.collect(Duration::from_millis(100));
    let rarp = |address: [u8; 6]| {
        let head = [&BROADCAST[..], &address, &[0x80, 0x35]].concat();
        move |(_, bytes): &&(String, Vec<u8>)| bytes.starts_with(&head) && bytes[22..28] == address
    };
    assert_eq!(rig.switch.rpc("announce", json!({"name": "g1"})), json!({"links": 1}));
    let seen = rig.collect(Duration::from_millis(200));
    for address in [rig.address("g1"), mac("02:00:00:00:0b:01")] {
        let who: Vec<&str> = seen.iter().filter(rarp(address)).map(|(who, _)| &**who).collect();
        // As the guest's own broadcast: to the sibling and to the wire.
        assert_eq!(who, ["g2", "wire"], "{seen:02x?}");
    }
    assert_eq!(seen.len(), 4);
    rig.switch.rpc("announce", json!({}));
    let seen = rig.collect(Duration::from_millis(200));
    assert_eq!(seen.iter().filter(rarp(rig.address("g2"))).count(), 2);
    assert_eq!(seen.iter().filter(rarp(rig.address("g3"))).count(), 0, "it is down");
    let error = rig.switch.try_rpc("announce", json!({"name": "g9"})).unwrap_err();
    assert_eq!(error["data"]["errno"], "ENODEV");
    rig.switch.stop();
}

/// B19: a guest that comes back is announced, the first one is not.
#[test]
fn a_guest_that_comes_back_is_announced() {
    const NAME: &str = "a_guest_that_comes_back_is_announced";
    if !have(NAME, &[NEEDS, &[Need::Program("dpdk-testpmd")]].concat()) {
        return;
    }
    let vhost = "[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\naddress = \"02:00:00:00:00:10\"\n";
    let mut rig = Rig::start("", &[vhost, &link("g1", "lan0", "")].concat());
    for visit in 0..2 {
        rig.collect(Duration::from_millis(100));
        let vdev = Vdev::virtio_user(&rig.switch.socket("mv0.sock"), "02:00:00:00:00:10");
        let guest = Testpmd::start("guest", "rxonly", &[vdev]);
        rig.switch.wait_up(&["mv0"], true);
        let seen = rig.collect(Duration::from_millis(500));
        let who: Vec<&str> = seen
            .iter()
            .filter(|(_, bytes)| bytes[12..14] == [0x80, 0x35])
            .map(|(who, _)| &**who)
            .collect();
        let expected: &[&str] = if visit == 0 { &[] } else { &["g1", "wire"] };
        assert_eq!(who, expected, "visit {visit}: {seen:02x?}");
        guest.quit();
        rig.switch.wait_up(&["mv0"], false);
    }
    rig.switch.stop();
}

/// What the kernel would hand to the host, and B1.
#[test]
fn a_host_port_is_the_host() {
    if !have("a_host_port_is_the_host", NEEDS) {
        return;
    }
    for reachable in [false, true] {
        let host = format!(
            "[[host]]\nlink = \"lan0\"\ndevice = \"net_tap9,iface={}\"\nreachable = {reachable}\n",
            tap("h")
        );
        let links = [link("g1", "lan0", ""), link("g2", "lan0", "mode = \"private\"")].concat();
        let mut rig = Rig::start("", &[host, links].concat());
        quiet(&tap("h"));
        rig.up();
        let lower = mac(rig.lower("lan0")["address"].as_str().unwrap());
        assert_eq!(mac(kernel(&tap("h"))["address"].as_str().unwrap()), lower);
        let g1 = rig.address("g1");
        let frame = rig.frame(lower, OUTSIDE);
        rig.expect("wire", &frame, &["h"]);
        let frame = rig.frame(BROADCAST, OUTSIDE);
        rig.expect("wire", &frame, &["g1", "g2", "h"]);
        let frame = rig.frame(OUTSIDE, lower);
        rig.expect("h", &frame, &["wire"]);
        let (down, up): (&[&str], &[&str]) =
            if reachable { (&["g1"], &["h"]) } else { (&["wire"], &["wire"]) };
        let frame = rig.frame(g1, lower);
        rig.expect("h", &frame, down);
        let frame = rig.frame(lower, g1);
        rig.expect("g1", &frame, up);
        let g2 = rig.address("g2");
        let frame = rig.frame(lower, g2);
        rig.expect("g2", &frame, &["wire"]);
        // The host's address follows the lower's.
        rig.switch.rpc("lower.set", json!({"name": "lan0", "address": "02:00:00:00:00:ab"}));
        assert_eq!(kernel(&tap("h"))["address"], "02:00:00:00:00:ab");
        rig.switch.stop();
    }
}

/// `frame` with a tag behind its addresses.
fn tagged(frame: &[u8], tpid: u16, tci: u16) -> Vec<u8> {
    [&frame[..12], &tpid.to_be_bytes(), &tci.to_be_bytes(), &frame[12..]].concat()
}

/// OF-05.
#[test]
fn vlans_are_lowers() {
    if !have("vlans_are_lowers", NEEDS) {
        return;
    }
    let config = [
        "[[lower]]\nname = \"lan0.10\"\nlower = \"lan0\"\nvlan = 10\n".to_owned(),
        link("g1", "lan0", ""),
        link("g2", "lan0.10", ""),
        link("g3", "lan0.10", ""),
    ];
    let mut rig = Rig::start("", &config.concat());
    let both = |rig: &mut Rig, tpid, id, to: &str| {
        let address = rig.address(to);
        let frame = rig.frame(address, OUTSIDE);
        let seen = rig.exchange("wire", &tagged(&frame, tpid, id));
        assert_eq!(seen, [(to.to_owned(), frame)]);
        let frame = rig.frame(OUTSIDE, address);
        let seen = rig.exchange(to, &frame);
        assert_eq!(seen, [("wire".to_owned(), tagged(&frame, tpid, id & 0xfff))]);
    };
    both(&mut rig, 0x8100, 10, "g2");
    // The priority of what comes is the sender's affair.
    both(&mut rig, 0x8100, 0xe00a, "g3");
    let (g1, g2) = (rig.address("g1"), rig.address("g2"));
    let frame = rig.frame(g1, OUTSIDE);
    rig.expect("wire", &frame, &["g1"]);
    let frame = rig.frame(g2, OUTSIDE);
    rig.expect("wire", &frame, &[]);
    // Another tag is none of theirs: it stays on.
    let frame = rig.frame(g1, OUTSIDE);
    rig.expect("wire", &tagged(&frame, 0x8100, 11), &["g1"]);
    let frame = rig.frame(BROADCAST, g2);
    let seen = rig.exchange("g2", &frame);
    let tagged_frame = tagged(&frame, 0x8100, 10);
    assert_eq!(seen, [("g3".to_owned(), frame), ("wire".to_owned(), tagged_frame)]);
    // The VLAN follows the lower that carries it.
    let error = rig.switch.try_rpc("lower.set", json!({"name": "lan0.10", "mtu": 1501}));
    assert!(error.unwrap_err()["message"].as_str().unwrap().contains("the mtu of lan0"));
    rig.switch.rpc("lower.set", json!({"name": "lan0", "mtu": 1400}));
    assert_eq!(
        (&rig.lower("lan0.10")["mtu"], &rig.link("g2")["mtu"]),
        (&json!(1400), &json!(1400))
    );
    run("ip", &["link", "set", &rig.veth.inner, "down"]);
    wait_until("no carrier", SOON, || rig.link("g2")["operstate"] == "LOWERLAYERDOWN");
    rig.switch.allow("gone, and its links with it");
    run("ip", &["link", "del", &rig.veth.outer]);
    wait_until("the links to go", SOON, || rig.links().is_empty());
    rig.switch.stop();
}

/// What the kernel's driver does not have; RXU-06, TX-14.
#[test]
fn extensions_do_what_they_say() {
    if !have("extensions_do_what_they_say", NEEDS) {
        return;
    }
    let links = [
        link("g1", "lan0", "spoof_check = true\naddresses = [\"02:00:00:00:0b:01\"]"),
        link("g2", "lan0", "mode = \"private\""),
    ];
    let mut rig = Rig::start("private_strict = true\ndrop_link_local = true", &links.concat());
    let (g1, g2, second) = (rig.address("g1"), rig.address("g2"), mac("02:00:00:00:0b:01"));
    let frame = rig.frame(second, OUTSIDE);
    rig.expect("wire", &frame, &["g1"]);
    let frame = rig.frame(OUTSIDE, second);
    rig.expect("g1", &frame, &["wire"]);
    // A tap may have spoken of its own accord before it was made quiet.
    let spoofed = rig.switch.port("g1").dropped("spoofed");
    let frame = rig.frame(OUTSIDE, OUTSIDE);
    rig.expect("g1", &frame, &[]);
    assert_eq!(rig.switch.port("g1").dropped("spoofed"), spoofed + 1);
    rig.switch.rpc("link.set", json!({"name": "g1", "spoof_check": false}));
    let frame = rig.frame([2, 8, 8, 8, 8, 8], OUTSIDE);
    rig.expect("g1", &frame, &["wire"]);

    // Reflected by an external switch.
    let frame = rig.frame(g2, g1);
    rig.expect("wire", &frame, &[]);
    assert_eq!(rig.switch.port("lan0").dropped("private_strict"), 1);
    let frame = rig.frame(g2, OUTSIDE);
    rig.expect("wire", &frame, &["g2"]);

    let link_local = [1, 0x80, 0xc2, 0, 0, 0x0e];
    let frame = rig.frame(link_local, OUTSIDE);
    rig.expect("wire", &frame, &[]);
    let frame = rig.frame(link_local, g1);
    rig.expect("g1", &frame, &[]);
    assert_eq!(rig.switch.port("g1").dropped("link_local"), 1);
    let error =
        rig.switch.try_rpc("link.set", json!({"name": "g2", "addresses": ["02:00:00:00:0b:01"]}));
    let error = error.unwrap_err();
    assert_eq!(error["data"]["errno"], "EADDRINUSE");
    assert!(error["message"].as_str().unwrap().contains("g1"), "{error}");
    rig.switch.stop();
}

/// ER-16, ER-17, LC-04, LC-11.
#[test]
fn what_does_not_fit_is_refused() {
    if !have("what_does_not_fit_is_refused", NEEDS) {
        return;
    }
    let mut rig = Rig::start("", &link("g1", "lan0", ""));
    let refused = |params: serde_json::Value, errno: &str, needle: &str| {
        let error = rig.switch.try_rpc("link.add", params).unwrap_err();
        assert_eq!(error["data"]["errno"], errno, "{error}");
        assert!(error["message"].as_str().unwrap().contains(needle), "{error}");
    };
    refused(
        json!({"name": "x", "link": "lan0", "type": "ipvlan"}),
        "EOPNOTSUPP",
        "macvlan, macvtap",
    );
    refused(json!({"name": "x", "link": "lan9"}), "ENODEV", "there are lan0");
    rig.switch.rpc("link.add", json!({"name": "x", "link": "g1", "type": "macvtap"}));
    assert_eq!(rig.link("x")["link"], "lan0", "beside, not on top");
    rig.up();
    let directory = tempfile::tempdir().unwrap();
    for (interface, needle) in
        [("lo".to_owned(), "no Ethernet device"), (bridge(&rig), "belongs to")]
    {
        let file = directory.path().join("bad.toml");
        let text = format!(
            "[[lower]]\nname = \"a\"\ndevice = \"net_af_packet7,iface={interface}\"\n\
             [[macvlan]]\nname = \"b\"\nlink = \"a\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mvswitch"));
        command.arg("-c").arg(&file).arg("--runtime-dir").arg(directory.path().join("run"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(needle), "{interface}: {said}");
    }
    run("ip", &["link", "del", &tap("b")]);
    rig.switch.stop();
}

/// Puts the far end of the wire into a bridge and names it.
fn bridge(rig: &Rig) -> String {
    run("ip", &["link", "add", &tap("b"), "type", "bridge"]);
    run("ip", &["link", "set", &rig.veth.inner, "master", &tap("b")]);
    rig.veth.inner.clone()
}
