//! `mvswitch import` beside the kernel's own macvlan links: what it prints is a
//! config that says what `ip -d link` says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::process::{Command, Output};

use common::{Namespace, Need, PATIENCE, Process, have, run};
use nix::sys::signal::Signal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mvswitch");
const NEEDS: &[Need] = &[Need::Root, Need::Program("ip")];

/// A namespace with the veth pair `low0`, `peer0` in it.
fn machine(name: &str) -> Namespace {
    let machine = Namespace::new(name);
    machine.run("ip", &["link", "add", "low0", "type", "veth", "peer", "name", "peer0"]);
    machine.run("ip", &["link", "set", "low0", "up"]);
    machine
}

fn ip(machine: &Namespace, words: &str) {
    machine.run("ip", &words.split_whitespace().collect::<Vec<_>>());
}

/// The imported config, which `mvswitch check` has taken.
#[track_caller]
fn import(machine: &Namespace, interface: &str) -> (String, toml::Table) {
    let text = machine.run(PROGRAM, &["import", interface]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("imported.toml");
    std::fs::write(&file, &text).unwrap();
    run(PROGRAM, &["check", "-c", file.to_str().unwrap()]);
    let table = text.parse().unwrap();
    (text, table)
}

/// The section of that name in the list `kind`.
#[track_caller]
fn section<'a>(config: &'a toml::Table, kind: &str, name: &str) -> &'a toml::Table {
    let sections = config[kind].as_array().unwrap().iter().map(|one| one.as_table().unwrap());
    let mut named = sections.filter(|one| one["name"].as_str() == Some(name));
    named.next().unwrap_or_else(|| panic!("no {kind} {name} in {config}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn links_of_every_mode_come_out_as_they_are() {
    if !have("links_of_every_mode_come_out_as_they_are", NEEDS) {
        return;
    }
    let machine = machine("import");
    for words in [
        "name b0 address 02:00:00:00:00:10 type macvlan mode bridge bcqueuelen 2345",
        "name p0 address 02:00:00:00:00:11 mtu 1400 type macvlan mode private",
        "name v0 address 02:00:00:00:00:12 type macvtap mode vepa",
        "name s0 address 02:00:00:00:00:13 type macvlan mode source flag nodst \
         macaddr set 02:00:00:00:01:01 02:00:00:00:01:02",
        "name odd+name address 02:00:00:00:00:14 type macvlan mode bridge",
    ] {
        ip(&machine, &format!("link add link low0 {words}"));
    }
    ip(&machine, "link set b0 up");
    ip(&machine, "link set v0 up");
    let (text, config) = import(&machine, "low0");
    let lower = section(&config, "lower", "low0");
    assert_eq!(lower["device"].as_str(), Some("net_af_packet0,iface=low0"));
    assert_eq!(lower["mtu"].as_integer(), Some(1500));
    assert!(!lower.contains_key("up"), "it is up: {text}");
    for (name, mode, last, mtu, up) in [
        ("b0", "bridge", "10", 1500, true),
        ("p0", "private", "11", 1400, false),
        ("v0", "vepa", "12", 1500, true),
        ("s0", "source", "13", 1500, false),
        ("odd-name", "bridge", "14", 1500, false),
    ] {
        let link = section(&config, "macvlan", name);
        assert_eq!(link["link"].as_str(), Some("low0"), "{name}");
        assert_eq!(link["mode"].as_str(), Some(mode), "{name}");
        assert_eq!(link["address"].as_str(), Some(&*format!("02:00:00:00:00:{last}")), "{name}");
        assert_eq!(link["mtu"].as_integer(), Some(mtu), "{name}");
        assert_eq!(link.get("up").is_none_or(|up| up.as_bool() == Some(true)), up, "{name}");
    }
    let source = section(&config, "macvlan", "s0");
    let expected = ["02:00:00:00:01:01", "02:00:00:00:01:02"].map(toml::Value::from);
    assert_eq!(source["macaddr"].as_array().unwrap()[..], expected);
    assert_eq!(source["nodst"].as_bool(), Some(true));
    let bridge = section(&config, "macvlan", "b0");
    assert_eq!(bridge["bcqueuelen"].as_integer(), Some(2345));
    assert!(!source.contains_key("bcqueuelen"), "the default needs no line: {text}");
    assert!(text.contains("# \"odd+name\""), "{text}");
    assert!(text.contains("# a macvtap"), "{text}");
    assert!(text.contains("ip link del odd+name"), "{text}");
    // Reading changed nothing.
    assert_eq!(import(&machine, "low0").0, text);
}

#[test]
fn a_passthru_link_has_its_lowers_address() {
    if !have("a_passthru_link_has_its_lowers_address", NEEDS) {
        return;
    }
    let machine = machine("passthru");
    ip(&machine, "link add link low0 name t0 type macvlan mode passthru nopromisc");
    let (text, config) = import(&machine, "low0");
    let link = section(&config, "macvlan", "t0");
    assert_eq!(link["mode"].as_str(), Some("passthru"));
    assert_eq!(link["nopromisc"].as_bool(), Some(true));
    assert!(!link.contains_key("address"), "{text}");
}

#[test]
fn links_in_other_namespaces_are_found() {
    if !have("links_in_other_namespaces_are_found", NEEDS) {
        return;
    }
    let (machine, container) = (machine("host"), machine("box"));
    let inside = container.name().to_owned();
    // One is moved there; the other, by its name, might be mistaken for it.
    ip(&machine, "link add link low0 name eth0 address 02:00:00:00:00:10 type macvlan mode bridge");
    ip(&machine, &format!("link set eth0 netns {inside}"));
    ip(&container, "link add link low0 name mine type macvlan mode vepa");
    let (text, config) = import(&machine, "low0");
    let [link] = &config["macvlan"].as_array().unwrap()[..] else { panic!("{text}") };
    assert_eq!(link["address"].as_str(), Some("02:00:00:00:00:10"));
    assert_eq!(link["name"].as_str(), Some(&*format!("{inside}-eth0")));
    assert!(text.contains(&format!("ip -n {inside} link del eth0")), "{text}");
    let (text, config) = import(&container, "low0");
    let [link] = &config["macvlan"].as_array().unwrap()[..] else { panic!("{text}") };
    assert_eq!(link["name"].as_str(), Some("mine"), "{text}");
}

#[test]
fn a_vlan_with_links_becomes_a_lower() {
    if !have("a_vlan_with_links_becomes_a_lower", NEEDS) {
        return;
    }
    let machine = machine("vlan");
    let add = ["link", "add", "link", "low0", "name", "low0.10", "type", "vlan", "id", "10"];
    if !machine.output("ip", &add).status.success() {
        // Some kernels are built without; the translation has a test of its own.
        // print! would be captured.
        _ = writeln!(std::io::stderr(), "\nnot tried with VLANs: this kernel has none");
        return;
    }
    ip(&machine, "link add link low0.10 name mv0 type macvlan mode bridge");
    let (_, config) = import(&machine, "low0");
    let lower = section(&config, "lower", "low0.10");
    assert_eq!((lower["lower"].as_str(), lower["vlan"].as_integer()), (Some("low0"), Some(10)));
    assert_eq!(section(&config, "macvlan", "mv0")["link"].as_str(), Some("low0.10"));
}

#[test]
fn an_imported_config_starts_in_the_place_of_the_links() {
    if !have("an_imported_config_starts_in_the_place_of_the_links", NEEDS) {
        return;
    }
    let machine = machine("start");
    ip(&machine, "link add link low0 name mv0 address 02:00:00:00:00:10 type macvlan mode private");
    let (text, _) = import(&machine, "low0");
    ip(&machine, "link del mv0");
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("low0.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", machine.name(), PROGRAM, "-c"]).arg(&file);
    command.arg("--runtime-dir").arg(base.path().join("run"));
    let mut switch = Process::start("mvswitch", &mut command);
    switch.expect("ready", 0, PATIENCE, |said| said.contains("\nready").then_some(()));
    let said = switch.stdout();
    assert!(said.contains("private on low0  02:00:00:00:00:10"), "{said}");
    switch.signal(Signal::SIGTERM);
    assert!(switch.ended(PATIENCE).unwrap().success());
}

#[test]
fn what_is_not_there_is_said() {
    let output = Command::new(PROGRAM).args(["import", "nosuchif"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let message = said(&output);
    assert!(message.contains("no interface \"nosuchif\"; write one of "), "{message}");
    assert!(message.contains("lo"), "{message}");
    let output = Command::new(PROGRAM).args(["import", "lo"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no macvlan link on lo"), "{output:?}");
    assert_eq!(Command::new(PROGRAM).arg("import").output().unwrap().status.code(), Some(2));
}
