//! Devices that do not do what they are told: what is refused changes nothing,
//! and what must not be refused is done again later.
//!
//! A kernel interface is made to refuse by another name: the drivers know it by
//! the one it had.

use std::process::Command;

use serde_json::json;

use super::NEEDS;
use super::common::{Need, Switch, have, run};
use super::rig::{Rig, kernel, link, mac, quiet, tap};

/// The tap of lan0's host.
fn host(more: &str) -> String {
    format!("[[host]]\nlink = \"lan0\"\ndevice = \"net_tap9,iface={}\"\n{more}\n", tap("h"))
}

/// An interface under another name, until this goes.
struct Renamed(String);

impl Renamed {
    fn new(interface: &str) -> Self {
        let renamed = Self(interface.to_owned());
        run("ip", &["link", "set", interface, "name", &renamed.name()]);
        renamed
    }

    fn name(&self) -> String {
        format!("{}x", self.0)
    }
}

impl Drop for Renamed {
    fn drop(&mut self) {
        // A test that has failed leaves to the others what they expect.
        _ = Command::new("ip").args(["link", "set", &self.name(), "name", &self.0]).output();
    }
}

#[test]
fn an_address_is_changed_everywhere_or_nowhere() {
    const OTHER: &str = "02:00:00:00:00:aa";
    let needs = [NEEDS, &[Need::Program("bridge")]].concat();
    if !have("an_address_is_changed_everywhere_or_nowhere", &needs) {
        return;
    }
    // A VLAN has OTHER: the device has it in its filter.
    let vlan = format!(
        "[[lower]]\nname = \"lan0.10\"\nlower = \"lan0\"\nvlan = 10\naddress = \"{OTHER}\"\n"
    );
    let rig = Rig::start("", &[vlan, host(""), link("g1", "lan0", "")].concat());
    let outer = rig.veth.outer.clone();
    let own = kernel(&outer)["address"].clone();
    let change = json!({"name": "lan0", "address": OTHER});
    let filter = || run("bridge", &["fdb", "show", "dev", &outer]);
    assert!(filter().contains(OTHER), "{}", filter());
    let before = rig.uncounted("lan0");

    let away = Renamed::new(&tap("h"));
    let error = rig.switch.try_rpc("lower.set", change.clone()).unwrap_err();
    assert_eq!(kernel(&outer)["address"], own, "the device was left with the new address");
    assert_eq!(kernel(&away.name())["address"], own);
    assert_eq!(rig.uncounted("lan0"), before);
    assert!(error["message"].as_str().unwrap().contains("host of lan0"), "{error}");
    assert!(filter().contains(OTHER), "the VLAN is deaf: {}", filter());

    drop(away);
    rig.switch.rpc("lower.set", change);
    assert_eq!(kernel(&outer)["address"], OTHER);
    assert_eq!(kernel(&tap("h"))["address"], OTHER);

    // A host that is gone is asked for nothing.
    run("ip", &["link", "del", &tap("h")]);
    rig.switch.rpc("lower.set", json!({"name": "lan0", "address": own}));
    assert_eq!(kernel(&outer)["address"], own);
    rig.switch.stop();
}

/// LC-19, LC-21: the kernel ignores what comes of it.
#[test]
fn a_link_goes_although_its_device_keeps_the_address() {
    if !have("a_link_goes_although_its_device_keeps_the_address", NEEDS) {
        return;
    }
    let mut rig = Rig::start("", &[host(""), link("g1", "lan0", "mode = \"passthru\"")].concat());
    rig.switch.allow("does not take its address");
    let outer = rig.veth.outer.clone();
    let own = kernel(&outer)["address"].clone();
    let others = "02:00:00:00:00:55";
    rig.switch.rpc("link.set", json!({"name": "g1", "address": others}));
    assert_eq!(
        (&kernel(&outer)["address"], &kernel(&tap("h"))["address"]),
        (&json!(others), &json!(others))
    );

    let away = [&outer, &tap("h")].map(|interface| Renamed::new(interface));
    rig.switch.rpc("link.del", json!({"name": "g1"}));
    assert!(rig.links().is_empty());
    assert_eq!(rig.lower("lan0")["address"], own);
    assert_eq!(kernel(&away[0].name())["address"], others);
    // Until then the device hears its own address as a further one.
    assert_eq!(rig.lower("lan0")["mvswitch"]["unicast"], json!([own]));
    // It is no reason to refuse anything else, either.
    let g2 =
        json!({"name": "g2", "link": "lan0", "device": format!("net_tap2,iface={}", tap("g2"))});
    rig.switch.rpc("link.add", g2);
    rig.switch.rpc("link.set", json!({"name": "g2", "up": false}));

    drop(away);
    rig.switch.rpc("link.del", json!({"name": "g2"}));
    assert_eq!((&kernel(&outer)["address"], &kernel(&tap("h"))["address"]), (&own, &own));
    assert_eq!(rig.lower("lan0")["mvswitch"]["unicast"], json!([]));
    rig.switch.stop();
}

/// NT-03: what a host or a guest behind a device may send is known there, too.
#[test]
fn an_mtu_reaches_hosts_and_links() {
    if !have("an_mtu_reaches_hosts_and_links", NEEDS) {
        return;
    }
    let mut rig =
        Rig::start("", &[host(""), link("g1", "lan0", ""), link("g2", "lan0", "")].concat());
    let mtus = || ["h", "g1", "g2"].map(|name| kernel(&tap(name))["mtu"].as_u64().unwrap());
    rig.switch.rpc("lower.set", json!({"name": "lan0", "mtu": 1400}));
    assert_eq!(kernel(&rig.veth.outer)["mtu"], 1400);
    assert_eq!(mtus(), [1400; 3]);
    rig.switch.rpc("link.set", json!({"name": "g1", "mtu": 1300}));
    rig.switch.rpc("lower.set", json!({"name": "lan0", "mtu": 1500}));
    assert_eq!(mtus(), [1500, 1300, 1400]);
    // One that does not take it is no reason to refuse: frames are kept off it.
    rig.switch.allow("the device of link g2 takes an mtu of 1400, not 1200");
    let away = Renamed::new(&tap("g2"));
    rig.switch.rpc("lower.set", json!({"name": "lan0", "mtu": 1200}));
    assert_eq!(
        (rig.link("g1")["mtu"].as_u64(), rig.link("g2")["mtu"].as_u64()),
        (Some(1200), Some(1200))
    );
    drop(away);
    rig.switch.rpc("link.set", json!({"name": "g1", "up": false}));
    assert_eq!(mtus(), [1200; 3], "it is told again");
    rig.switch.stop();
}

/// A tap takes no more than a VLAN tag above 1500.
#[test]
fn a_host_gets_the_most_that_its_device_takes() {
    if !have("a_host_gets_the_most_that_its_device_takes", NEEDS) {
        return;
    }
    let lower = "[cores]\ncontrol = 0\nworkers = \"1\"\n[eal]\nmemory = \"4k\"\n\
         [[lower]]\nname = \"lan0\"\ndevice = \"net_ring0\"\n";
    let mut switch = Switch::start(&[lower, &host(""), &link("g1", "lan0", "")].concat());
    switch.allow("the device of the host of lan0 takes an mtu of 1504, not 2000");
    switch.rpc("lower.set", json!({"name": "lan0", "mtu": 2000}));
    assert_eq!(kernel(&tap("h"))["mtu"], 1504);
    assert_eq!(kernel(&tap("g1"))["mtu"], 1500);
    switch.rpc("lower.set", json!({"name": "lan0", "mtu": 1500}));
    assert_eq!(kernel(&tap("h"))["mtu"], 1500);
    switch.stop();
}

/// What a tap does not take is dropped before it, and nothing behind it.
#[test]
fn a_frame_that_a_tap_does_not_take_is_kept_off_it() {
    if !have("a_frame_that_a_tap_does_not_take_is_kept_off_it", NEEDS) {
        return;
    }
    let mut rig = Rig::start("mtu = 1200", &[host(""), link("g1", "lan0", "")].concat());
    quiet(&tap("h"));
    let mtus = || ["h", "g1"].map(|name| kernel(&tap(name))["mtu"].as_u64().unwrap());
    assert_eq!(mtus(), [1200; 2], "the interfaces were not told at the start");
    rig.switch.allow("the device of the host of lan0 takes an mtu of 1200, not 1500");
    let away = Renamed::new(&tap("h"));
    rig.switch.rpc("lower.set", json!({"name": "lan0", "mtu": 1500}));
    drop(away);
    rig.up();
    let lower = mac(rig.lower("lan0")["address"].as_str().unwrap());
    let mut frame = rig.frame(lower, [2, 9, 9, 9, 9, 9]);
    frame.resize(1514, 0);
    rig.expect("wire", &frame, &[]);
    assert_eq!(rig.switch.port("host@lan0").dropped("too_long"), 1);
    // Told again, it takes it.
    rig.switch.rpc("link.set", json!({"name": "g1", "up": false}));
    rig.expect("wire", &frame, &["h"]);
    rig.switch.stop();
}
