//! `mvctl -batch`: which requests its lines become, where it stops and what it says.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, dead_code)]

mod peer;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use peer::{Peer, ended, refuse, result, run};
use serde_json::{Value, json};

/// Each request's method; of a batch also how many it carries.
fn methods(asked: &[Value]) -> Vec<String> {
    let one = |asked: &Value| match asked[1]["requests"].as_array() {
        Some(requests) => format!("{}", requests.len()),
        None => asked[0].as_str().unwrap().to_owned(),
    };
    asked.iter().map(one).collect()
}

#[test]
fn changes_that_follow_each_other_go_together() {
    let peer = Peer::content();
    let file = peer.file(
        "link add link lan0 mv1 # first\n\nlink set mv1 \\\n  up\nfdb add 33:33:0:0:0:1 dev mv1\nlink \
         show\nlink del mv1\nstats clear\nlower set lan0 up\n",
    );
    let ran = peer.run(&format!("-batch {file}"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let asked = peer.asked();
    assert_eq!(methods(&asked), ["3", "link.show", "1", "stats.clear-baseline", "1"]);
    assert_eq!(
        asked[0],
        json!(["batch", {"requests": [
            {"method": "link.add", "params": {"name": "mv1", "link": "lan0"}},
            {"method": "link.set", "params": {"name": "mv1", "up": true}},
            {"method": "filter.add", "params": {"name": "mv1", "address": "33:33:00:00:00:01"}},
        ]}])
    );
}

#[test]
fn many_changes_go_in_requests_that_fit() {
    let peer = Peer::content();
    let lines: String = (0..5000)
        .map(|number| format!("link set mv{number} address 02:00:00:00:00:01\n"))
        .collect();
    let ran = run(&peer.socket(), "-b -", &lines);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    let asked = peer.asked();
    let sent: Vec<&Value> =
        asked.iter().flat_map(|asked| asked[1]["requests"].as_array().unwrap()).collect();
    assert_eq!(sent.len(), 5000);
    assert_eq!(sent[4321]["params"]["name"], "mv4321");
    // An unfilled one where the pipe was empty.
    assert!(asked.len() < 200, "{}", asked.len());
}

/// Refuses what concerns `bad`; as a daemon does, one of a batch without force ends it.
fn picky() -> Peer {
    Peer::new(|method, params| {
        if method != "batch" {
            return Some(result(json!([])));
        }
        let mut results = Vec::new();
        for request in params["requests"].as_array().unwrap() {
            if request["params"]["name"] == "bad" {
                results.push(refuse("EEXIST", None));
                if params["force"] != true {
                    break;
                }
            } else {
                results.push(result(json!({})));
            }
        }
        Some(result(json!({"results": results, "held": 0})))
    })
}

#[test]
fn the_first_failure_ends_it() {
    let peer = picky();
    let file = peer.file("link set x1 up\nlink set bad up\nlink set x3 up\nlink show\n");
    let ran = peer.run(&format!("-batch {file}"));
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_eq!(ran.err, format!("mvctl: EEXIST: because of EEXIST\nCommand failed {file}:2\n"));
    assert_eq!(methods(&peer.asked()), ["3"]);
    // What is before a line that makes no sense is carried out.
    let ran =
        run(&peer.socket(), "-batch -", "link set x1 up\nlink set x1 mtu x\nlink set x2 up\n");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.ends_with("\nCommand failed -:2\n"), "{ran:?}");
    assert_eq!(methods(&peer.asked()), ["1"]);
    for line in ["-batch x", "monitor", "link set 'x1 up", "link help"] {
        let ran = run(&peer.socket(), "-batch -", &format!("{line}\n"));
        assert_eq!((ran.code, ran.err.contains("failed -:1")), (2, true), "{ran:?}");
    }
    let ran = peer.run("-batch /nonexistent");
    assert_eq!((ran.code, ran.err.contains("cannot read /nonexistent")), (1, true), "{ran:?}");
}

#[test]
fn force_goes_on() {
    let peer = picky();
    let file =
        peer.file("link set bad up\nlink set x2 up\nlink frob\nlink show\nlink set bad down\n");
    let ran = peer.run(&format!("-force -batch {file}"));
    assert_eq!(ran.code, 5, "{ran:?}");
    let failed: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("Command")).collect();
    assert_eq!(failed, [1, 3, 5].map(|line| format!("Command failed {file}:{line}")));
    let asked = peer.asked();
    assert_eq!(methods(&asked), ["2", "link.show", "1"]);
    assert_eq!(asked[0][1]["force"], true);
    // But not without mvswitch.
    let ran = run(std::path::Path::new("/nonexistent/s"), "-fo -b -", "link set x1 up\nlink\n");
    assert_eq!((ran.code, ran.err.matches("Command failed").count()), (3, 1), "{ran:?}");
}

#[test]
fn all_or_nothing_is_one_batch_in_parts() {
    let lines: String = (0..2000).map(|number| format!("link set mv{number} mtu 1400\n")).collect();
    let peer = Peer::new(|_, params| {
        Some(if params["more"] == true {
            result(json!({"results": [], "held": 1}))
        } else {
            refuse("EBUSY", Some(1234))
        })
    });
    let file = peer.file(&lines);
    let ran = peer.run(&format!("-atomic -batch {file}"));
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_eq!(
        ran.err,
        format!(
            "mvctl: EBUSY: because of EBUSY\nCommand failed {file}:1235\nmvctl: nothing of {file} was \
             carried out\n"
        )
    );
    let asked = peer.asked();
    assert!(asked.len() > 1);
    let (last, before) = asked.split_last().unwrap();
    assert!(asked.iter().all(|asked| asked[1]["atomic"] == true));
    assert!(before.iter().all(|asked| asked[1]["more"] == true));
    assert_eq!(last[1].get("more"), None);

    // A line that makes no sense: nothing is sent at all.
    for line in ["link show", "link frob", "shutdown"] {
        let ran = run(&peer.socket(), "-atomic -b -", &format!("link set x1 up\n{line}\n"));
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("Command failed -:2"), "{ran:?}");
    }
    assert_eq!(run(&peer.socket(), "-atomic -b -", "# nothing\n").code, 0);
    assert!(peer.asked().is_empty());
}

#[test]
fn a_line_from_a_pipe_is_not_kept_waiting() {
    let peer = Peer::content();
    let mut child = peer.start("-batch -");
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"link set mv0 up\n").unwrap();
    let begun = Instant::now();
    while peer.asked().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing was sent");
        std::thread::yield_now();
    }
    drop(input);
    assert_eq!(ended(child).code, 0);
}

#[test]
fn options_before_batch_hold_for_its_lines() {
    let peer = Peer::content();
    let file = peer.file("link show\nlower show\n");
    let mut child = peer.start(&format!("-j -b {file}"));
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(out, "[]\n[]\n");
    assert!(child.wait().unwrap().success());
}
