//! Devices that do not do what they are told: what is refused changes nothing,
//! and what must not be refused is done again later.
//!
//! A kernel interface is made to refuse by another name: the drivers know it by
//! the one it had.

use std::process::Command;

use serde_json::json;

use super::NEEDS;
use super::common::{Need, have, run};
use super::rig::{Rig, kernel, link, tap};

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
    let before = rig.lower("lan0");

    let away = Renamed::new(&tap("h"));
    let error = rig.switch.try_rpc("lower.set", change.clone()).unwrap_err();
    assert_eq!(kernel(&outer)["address"], own, "the device was left with the new address");
    assert_eq!(kernel(&away.name())["address"], own);
    assert_eq!(rig.lower("lan0"), before);
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
