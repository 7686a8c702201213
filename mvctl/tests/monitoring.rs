//! `mvctl monitor`: what it prints, and how it ends.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, dead_code)]

mod peer;

use std::io::{BufRead, BufReader};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use peer::{Peer, ended, refuse};
use serde_json::{Value, json};

fn event(sequence: u64, change: &str) -> Value {
    let lower = json!({
        "ifindex": 1, "ifname": "lan0", "flags": ["UP"], "mtu": 1500, "operstate": "UP",
        "link_type": "ether", "address": "02:00:00:00:00:01", "promiscuity": 0, "allmulti": 0,
        "max_mtu": 9000,
        "stats64": {
            "rx": {"bytes": 0, "packets": 0, "errors": 0, "dropped": 0, "over_errors": 0,
                   "multicast": 0},
            "tx": {"bytes": 0, "packets": 0, "errors": 0, "dropped": 0, "carrier_errors": 0,
                   "collisions": 0},
        },
        "mvswitch": {"device": "demo", "reachable": false, "unicast": [], "groups": [],
                     "usedbcqueuelen": 0, "bclim": 1, "links": [], "drops": []},
    });
    let params =
        json!({"sequence": sequence, "time_us": 1_000_000, "change": change, "lower": lower});
    json!({"jsonrpc": "2.0", "method": "event", "params": params})
}

/// Tells three events, one of them after a gap, at once with its answer.
fn telling() -> Peer {
    Peer::new(|method, _| match method {
        "monitor" => Some(json!({
            "result": {"sequence": 7},
            "after": [event(8, "set"), event(9, "del"), event(12, "add")],
        })),
        _ => None,
    })
}

#[test]
fn events_are_printed_and_gaps_told() {
    let peer = telling();
    let mut child = peer.start("-ts monitor");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut heads = Vec::new();
    while heads.len() < 3 {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "{heads:?}");
        heads.extend(line.contains("lan0: <UP>").then_some(line));
    }
    assert!(heads[0].starts_with("[1970-01-01T00:00:01.000000] 1: lan0: <UP>"), "{heads:?}");
    assert!(heads[1].starts_with("[1970-01-01T00:00:01.000000] Deleted 1: lan0"), "{heads:?}");
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let ran = ended(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("2 events were missed"), "{ran:?}");
}

#[test]
fn one_object_a_line_for_programs() {
    let peer = telling();
    let mut child = peer.start("monitor -j");
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    for (sequence, change) in [(8, "set"), (9, "del"), (12, "add")] {
        let line: Value = serde_json::from_str(&out.next().unwrap().unwrap()).unwrap();
        assert_eq!((&line["sequence"], &line["change"]), (&json!(sequence), &json!(change)));
    }
    // Nobody reads any more, and nothing happens either.
    drop(out);
    assert_eq!(ended(child).code, 0);
}

#[test]
fn it_fails_without_mvswitch() {
    // Answers, and then goes.
    let peer = Peer::new(|_, _| Some(json!({"result": {"sequence": 0}, "last": true})));
    let ran = ended(peer.start("monitor"));
    assert_eq!((ran.code, ran.err.contains("gone away")), (3, true), "{ran:?}");
    let peer = Peer::new(|_, _| Some(refuse("EBUSY", None)));
    assert_eq!(ended(peer.start("monitor")).code, 5);
}
