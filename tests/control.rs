//! Links over the control socket: what is refused changes nothing and says why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use common::Switch;
use serde_json::{Value, json};

const CONFIG: &str = r#"
    [eal]
    memory = "4k"
    [[lower]]
    name = "lan0"
    device = "demo"
    [[lower]]
    name = "lan1"
    device = "net_null0,no-rx=1"
    mtu = 1400
    [[macvlan]]
    name = "mv0"
    link = "lan0"
    address = "02:00:00:00:00:10"
    [[macvlan]]
    name = "mv1"
    link = "lan0"
    address = "02:00:00:00:00:11"
    up = false
"#;

/// What `link.show` says, without what moves by itself.
fn state(switch: &Switch) -> Value {
    let mut links = switch.rpc("link.show", json!({}));
    for link in links.as_array_mut().unwrap() {
        link.as_object_mut().unwrap().remove("stats64");
    }
    links
}

#[test]
fn what_is_refused_changes_nothing_and_says_why() {
    let switch = Switch::start(CONFIG);
    let before = state(&switch);
    let occupied = switch.socket("file");
    std::fs::write(&occupied, "").unwrap();
    let foreign = UnixListener::bind(switch.socket("foreign.sock")).unwrap();
    let long = "s".repeat(108);
    for (method, params, errno, needle) in [
        ("link.add", json!({"name": "mv0", "link": "lan0"}), "EEXIST", "mv0 exists already"),
        ("link.add", json!({"name": "lan1", "link": "lan0"}), "EEXIST", "lan1 exists already"),
        ("link.add", json!({"name": "mv2", "link": "lan7"}), "ENODEV", "there are lan0, lan1"),
        ("link.add", json!({"name": "../x", "link": "lan0"}), "EINVAL", "../x"),
        ("link.add", json!({"name": "mv2", "link": "lan0", "mode": "brigde"}), "EINVAL", "bridge"),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan0", "mtu": 1501}),
            "EINVAL",
            "the mtu of lan0",
        ),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan1", "mtu": 1401}),
            "EINVAL",
            "the mtu of lan1",
        ),
        ("link.add", json!({"name": "mv2", "link": "lan0", "mtu": 67}), "EINVAL", "68 to 65535"),
        ("link.add", json!({"name": "mv2", "link": "lan0", "address": "02:zz"}), "EINVAL", "02:zz"),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan0", "address": "01:00:5e:00:00:01"}),
            "EADDRNOTAVAIL",
            "01:00:5e:00:00:01",
        ),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan0", "address": "02:00:00:00:00:10"}),
            "EADDRINUSE",
            "belongs to link mv0",
        ),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan0", "socket": "mv0.sock"}),
            "EADDRINUSE",
            "belongs to link mv0",
        ),
        ("link.add", json!({"name": "mv2", "link": "lan0", "socket": long}), "EINVAL", "107"),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan0", "socket": "file"}),
            "EIO",
            "not a socket",
        ),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan0", "socket": "foreign.sock"}),
            "EIO",
            "in use",
        ),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan0", "device": "net_nix0"}),
            "EIO",
            "net_nix0",
        ),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan0", "device": "net_null0"}),
            "EADDRINUSE",
            "belongs to lower lan1",
        ),
        (
            "link.add",
            json!({"name": "mv2", "link": "lan0", "device": "net_null5", "socket": "x.sock"}),
            "EINVAL",
            "not both",
        ),
        ("link.set", json!({"name": "mv7", "up": true}), "ENODEV", "no link mv7"),
        ("link.set", json!({"name": "mv0", "mode": "passthru"}), "EINVAL", "passthru"),
        ("link.del", json!({"name": "mv7"}), "ENODEV", "no link mv7"),
        ("link.del", json!({"name": "lan0"}), "ENODEV", "no link lan0"),
        ("link.show", json!({"name": "mv7"}), "ENODEV", "no link mv7"),
    ] {
        let error = switch.try_rpc(method, params.clone()).unwrap_err();
        assert_eq!(error["data"]["errno"], errno, "{method} {params}: {error}");
        assert!(error["message"].as_str().unwrap().contains(needle), "{method} {params}: {error}");
        assert_eq!(state(&switch), before, "{method} {params} changed something");
    }
    drop(foreign);
    std::fs::remove_file(switch.socket("foreign.sock")).unwrap();
    assert!(occupied.exists(), "a file that is not ours was removed");
    switch.stop();
}

#[test]
fn links_are_added_changed_and_deleted() {
    let switch = Switch::start(CONFIG);
    let one = |name: &str| switch.rpc("link.show", json!({"name": name}))[0].clone();
    switch.rpc("link.add", json!({"name": "mv2", "link": "lan1"}));
    let mv2 = one("mv2");
    assert_eq!((&mv2["link"], &mv2["mtu"]), (&json!("lan1"), &json!(1400)));
    assert_eq!(mv2["linkinfo"]["info_data"]["mode"], "bridge");
    assert_eq!(mv2["mvswitch"]["socket"], switch.socket("mv2.sock").display().to_string());
    assert_eq!(mv2["flags"], json!(["BROADCAST", "MULTICAST", "ALLMULTI", "UP", "LOWER_UP"]));
    assert!(switch.socket("mv2.sock").exists());

    for mode in ["private", "vepa", "source", "bridge"] {
        switch.rpc("link.set", json!({"name": "mv2", "mode": mode}));
        assert_eq!(one("mv2")["linkinfo"]["info_data"]["mode"], mode);
    }
    switch.rpc("link.set", json!({"name": "mv2", "up": false}));
    assert_eq!(
        (&one("mv2")["operstate"], &one("mv2")["mvswitch"]["peer_connected"]),
        (&json!("DOWN"), &json!(false))
    );

    // The same address as a link that is down is no clash until it goes up (LC-14, ER-22).
    switch.rpc("link.add", json!({"name": "mv3", "link": "lan0", "address": "02:00:00:00:00:11"}));
    let error = switch.try_rpc("link.set", json!({"name": "mv1", "up": true})).unwrap_err();
    assert_eq!(error["data"]["errno"], "EADDRINUSE", "{error}");
    assert_eq!(one("mv1")["operstate"], "DOWN");
    switch.rpc("link.del", json!({"name": "mv3"}));
    switch.rpc("link.set", json!({"name": "mv1", "up": true}));
    assert_eq!(one("mv1")["operstate"], "UP");

    // A name and a socket are free again at once.
    for _ in 0..5 {
        switch.rpc("link.del", json!({"name": "mv2"}));
        assert!(!switch.socket("mv2.sock").exists());
        switch.rpc("link.add", json!({"name": "mv2", "link": "lan0", "mode": "vepa"}));
    }
    // An ethdev as a link, added at run time.
    switch.rpc("link.add", json!({"name": "mv4", "link": "lan0", "device": "net_null4,no-rx=1"}));
    switch.rpc("link.del", json!({"name": "mv4"}));
    switch.rpc("link.add", json!({"name": "mv4", "link": "lan0", "device": "net_null4,no-rx=1"}));
    assert!(switch.metrics().is_up("mv4"));
    switch.stop();
}

#[test]
fn a_derived_address_is_the_same_after_a_restart() {
    let address = || {
        let switch = Switch::start(&format!("[switch]\nname = \"t\"\n{CONFIG}"));
        switch.rpc("link.add", json!({"name": "mv9", "link": "lan0"}));
        let address = switch.rpc("link.show", json!({"name": "mv9"}))[0]["address"].clone();
        switch.stop();
        address
    };
    assert_eq!(address(), address());
}

#[test]
fn only_the_owner_and_its_group_reach_the_control_socket() {
    let switch = Switch::start(CONFIG);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&switch.runtime_dir()), 0o700);
    assert_eq!(mode(&switch.socket("control.sock")), 0o660);
    switch.stop();
}

#[test]
fn mvctl_shows_the_links() {
    let switch = Switch::start(CONFIG);
    let mvctl = |args: &[&str], socket: &str| {
        // Beside the daemon: cargo builds all members into one directory.
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_mvswitch")).with_file_name("mvctl");
        assert!(
            program.exists(),
            "no mvctl: type cargo build --profile peers, as scripts/test.sh does"
        );
        let output = Command::new(program)
            .arg("--socket")
            .arg(switch.socket(socket))
            .args(args)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, text, _) = mvctl(&["link", "show"], "control.sock");
    assert_eq!(code, Some(0));
    assert!(
        text.starts_with(
            "3: mv0@lan0: <BROADCAST,MULTICAST,ALLMULTI,UP,LOWER_UP> mtu 1500 qdisc noqueue \
             state UP mode DEFAULT group default qlen 1000\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("4: mv1@lan0: <BROADCAST,MULTICAST,ALLMULTI> mtu 1500 qdisc noop state DOWN"),
        "{text}"
    );
    let (code, text, _) = mvctl(&["-j", "link", "show", "mv1"], "control.sock");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json[0]["ifname"]), (Some(0), &json!("mv1")));
    let (code, _, said) = mvctl(&["link", "show", "mv7"], "control.sock");
    assert!(code == Some(4) && said.contains("no link mv7"), "{said}");
    let (code, _, said) = mvctl(&["link", "show"], "nobody.sock");
    assert!(code == Some(3) && said.contains("no mvswitch runs here"), "{said}");
    assert_eq!(mvctl(&["link", "frobnicate"], "control.sock").0, Some(2));
    switch.stop();
}

#[test]
fn the_demo_runs_against_a_switch_and_leaves_it_as_it_was() {
    let config = "[eal]\nmemory = \"4k\"\n[[lower]]\nname = \"lan0\"\ndevice = \"demo,hairpin=1\"\n\
        [[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\n[[macvlan]]\nname = \"mv1\"\nlink = \"lan0\"\nmode = \"vepa\"\n";
    let switch = Switch::start(config);
    let mut demo = Command::new(env!("CARGO_BIN_EXE_mvswitch"));
    demo.args(["demo", "--count", "3", "--runtime-dir"])
        .arg(switch.runtime_dir())
        .stdin(Stdio::null());
    let output = demo.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let sections: Vec<&str> = said.split("-- mode ").collect();
    for (mode, direct) in [("bridge", "3/3"), ("private", "0/3"), ("vepa", "3/3")] {
        let section = sections.iter().find(|section| section.starts_with(mode)).unwrap();
        assert!(section.contains(&format!("mv0 -> mv1        {direct}")), "{said}");
        assert!(section.contains("mv1 -> the wire   3/3"), "{said}");
    }
    assert!(
        said.contains("lan0 receive no_member +"),
        "reflected frames find nobody in bridge mode: {said}"
    );
    let links = switch.rpc("link.show", json!({}));
    let modes: Vec<&str> = links
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|link| link["linkinfo"]["info_data"]["mode"].as_str())
        .collect();
    assert_eq!(modes, ["bridge", "vepa"]);
    // A link with a guest, or only one link, is no place for the demo.
    switch.rpc("link.del", json!({"name": "mv1"}));
    let output = demo.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("two links of one lower"));
    switch.stop();
}

#[test]
fn statistics_are_printed_as_a_table() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "[eal]\nmemory = \"4k\"\n[[lower]]\nname = \"lan0\"\ndevice = \"net_null0\"\n")
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_mvswitch"))
        .arg("-c")
        .arg(file.path())
        .args(["--stats-period", "0.2", "--runtime-dir"])
        .arg(directory.path().join("run"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    common::pause(std::time::Duration::from_secs(2));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output();
    let said = String::from_utf8(output.unwrap().stdout).unwrap();
    for needle in [
        "port lan0",
        "RX-packets:",
        "TX-bps:",
        "dropped: RX",
        "worker 0  core",
        "cycles/frame",
        "stopped  received",
    ] {
        assert!(said.contains(needle), "{needle}: {said}");
    }
}
