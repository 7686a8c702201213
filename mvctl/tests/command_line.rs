//! mvctl as a process: what it sends, what it prints, with which code it ends.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, dead_code)]

mod peer;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use peer::{Peer, Ran, refuse, result, run};
use serde_json::json;

fn silent(code: i32, err: &str) -> Ran {
    Ran { code, out: String::new(), err: err.to_owned() }
}

#[test]
fn a_change_is_sent_and_nothing_printed() {
    let peer = Peer::content();
    for (line, method, params) in [
        ("link set mv0 down", "link.set", json!({"name": "mv0", "up": false})),
        (
            "l a li lan0 mv9 mtu 1400",
            "link.add",
            json!({"name": "mv9", "link": "lan0", "mtu": 1400}),
        ),
        ("-j link del mv0", "link.del", json!({"name": "mv0"})),
        ("lower set lan0 up", "lower.set", json!({"name": "lan0", "up": true})),
        ("host del link lan0", "host.del", json!({"link": "lan0"})),
        (
            "m del 33:33:0:0:0:1 dev mv0",
            "filter.del",
            json!({"name": "mv0", "address": "33:33:00:00:00:01"}),
        ),
        ("stats clear", "stats.clear-baseline", json!({})),
        ("shutdown", "shutdown", json!({})),
    ] {
        assert_eq!(peer.run(line), silent(0, ""), "{line}");
        assert_eq!(peer.asked(), [json!([method, params])], "{line}");
    }
}

#[test]
fn wrong_words_are_not_sent() {
    let peer = Peer::content();
    for line in ["link set mv0 mtu x", "frob", "link set mv0 type macvlan mode x", "-x link"] {
        let ran = peer.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}: {ran:?}");
        assert!(ran.err.starts_with("mvctl: ") && ran.err.lines().count() == 1, "{ran:?}");
    }
    assert!(peer.asked().is_empty());
}

#[test]
fn each_refusal_has_its_code() {
    for (errno, code) in [
        ("ENOENT", 4),
        ("ENODEV", 4),
        ("EEXIST", 5),
        ("EADDRINUSE", 5),
        ("EBUSY", 5),
        ("EINVAL", 1),
    ] {
        let peer = Peer::new(move |_, _| Some(refuse(errno, None)));
        let told = format!("mvctl: {errno}: because of {errno}\n");
        assert_eq!(peer.run("link del mv0"), silent(code, &told));
    }
}

#[test]
fn why_it_is_not_reachable_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let told = |needle: &str| {
        let ran = run(&path, "link show", "");
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.err.contains(needle), "{ran:?}");
    };
    told("there is no /");
    drop(UnixListener::bind(&path).unwrap());
    told("left over");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    told("is not a socket");
    let ran = run(&path, "--socket /nonexistent/other link", "");
    assert!(ran.err.contains("/nonexistent/other"), "{ran:?}");
    // It hangs up.
    let peer = Peer::new(|_, _| None);
    let ran = peer.run("link show");
    assert_eq!((ran.code, ran.err.contains("hung up")), (3, true), "{ran:?}");
    // It says what this mvctl does not understand.
    let peer = Peer::new(|_, _| Some(result(json!({"links": []}))));
    let ran = peer.run("link show");
    assert_eq!((ran.code, ran.err.contains("another version")), (3, true), "{ran:?}");
}

#[test]
fn what_needs_no_mvswitch_asks_none() {
    let nowhere = std::path::Path::new("/nonexistent/s");
    for (line, needle) in [
        ("schema", "\"link.add\""),
        ("schema config", "{"),
        ("-V", "mvctl "),
        ("help", "Exit codes:"),
        ("link add help", "MACVLAN-WORDS"),
    ] {
        let ran = run(nowhere, line, "");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}: {ran:?}");
        assert!(ran.out.contains(needle), "{line}: {ran:?}");
    }
    let ran = run(nowhere, "-j", "");
    assert_eq!((ran.code, ran.err.contains("an object is missing")), (2, true), "{ran:?}");
    let ran = run(nowhere, "", "");
    assert_eq!((ran.code, ran.err.contains("Usage: mvctl")), (2, true), "{ran:?}");
}

#[test]
fn a_call_is_answered_as_it_is() {
    let peer = Peer::new(|_, _| Some(result(json!({"b": 1, "a": [2]}))));
    assert_eq!(peer.run("call link.show {\"name\":\"mv0\"}").out, "{\"a\":[2],\"b\":1}\n");
    assert_eq!(peer.asked(), [json!(["link.show", {"name": "mv0"}])]);
    assert_eq!(peer.run("-p call version").out.lines().count(), 6);
    assert_eq!(peer.run("call link.frob").code, 2);
    assert_eq!(peer.run("call link.del {}").code, 2);
}

#[test]
fn a_config_goes_in_parts() {
    let peer = Peer::new(|_, params| {
        let more = params["more"].as_bool().unwrap_or_default();
        Some(result(json!({"changes": [], "applied": !more})))
    });
    let text = "key = \"value\"\n".repeat(10_000);
    let file = peer.file(&text);
    assert_eq!(peer.run(&format!("config apply {file} --dry-run")).out, "nothing differs\n");
    let asked = peer.asked();
    assert!(asked.len() > 3);
    let (last, before) = asked.split_last().unwrap();
    assert!(before.iter().all(|part| part[1]["more"] == true));
    assert_eq!(last[1].get("more"), None);
    let sent: String = asked.iter().map(|part| part[1]["text"].as_str().unwrap()).collect();
    assert_eq!(sent, text);
    assert!(asked.iter().all(|part| part[1]["file"] == *file && part[1]["dry_run"] == true));
    // Standard input has no name.
    assert_eq!(run(&peer.socket(), "config diff -", "x = 1\n").code, 0);
    assert_eq!(
        peer.asked(),
        [json!(["config.diff", {"file": "standard input", "text": "x = 1\n"}])]
    );
    let ran = peer.run("config diff /nonexistent");
    assert_eq!((ran.code, ran.err.contains("cannot read /nonexistent")), (1, true), "{ran:?}");
}

#[test]
fn a_config_is_saved_with_the_caller_s_rights() {
    let peer = Peer::new(|method, _| {
        Some(result(match method {
            "config.show" => json!({"file": "/etc/x", "text": "# kept\nname = \"x\"\n"}),
            _ => json!({"file": "/etc/x"}),
        }))
    });
    let file = peer.file("old");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(peer.run(&format!("config save {file}")).out, format!("{file} is written\n"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "# kept\nname = \"x\"\n");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(peer.asked(), [json!(["config.show", {}])]);
    assert_eq!(peer.run("config save").out, "/etc/x is written\n");
    assert_eq!(peer.asked(), [json!(["config.save", {}])]);
    assert_eq!(peer.run("config").out, "# kept\nname = \"x\"\n");
}
