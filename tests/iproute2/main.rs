//! The same commands to `ip` and to `mvctl`: links of the kernel's macvlan beside links of the switch.
//!
//! What is compared after each command is whether it was carried out, and every
//! key of `-j -d link show` that both can have. Random commands are repeatable:
//! a failure prints its seed, `MVSWITCH_SEED=N` runs it again, and
//! `MVSWITCH_OPERATIONS` makes runs longer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../kernel/linkwatch.rs"]
mod linkwatch;
#[allow(dead_code, reason = "the part that asks ethtool is enough here")]
#[path = "../kernel/netlink.rs"]
mod netlink;
#[allow(dead_code, reason = "each test takes what it needs")]
#[path = "../kernel/random.rs"]
mod random;

mod batches;
mod directed;
mod pair;
mod sequences;
mod shown;
mod text;
mod words;

use std::fmt::Write;
use std::process::Command;
use std::time::Instant;

use common::{Need, have};
use nix::sched::{CloneFlags, unshare};
use pair::Pair;
use random::Random;

/// Commands of one random sequence.
const SEQUENCE: usize = 50;

/// Where there is iproute2, and a kernel that lets us make links.
fn ip_is_here(test: &str) -> bool {
    // The namespace ends with the thread.
    let possible = std::thread::spawn(|| {
        let add = ["link", "add", "near", "type", "veth", "peer", "name", "far"];
        let macvlan = ["link", "add", "link", "near", "name", "above", "type", "macvlan"];
        let done = |words: &[&str]| Command::new("ip").args(words).output();
        let done = |words: &[&str]| done(words).is_ok_and(|output| output.status.success());
        unshare(CloneFlags::CLONE_NEWNET).is_ok() && done(&add) && done(&macvlan)
    });
    have(test, &[Need::Root, Need::Program("ip")])
        && (possible.join().unwrap_or(false)
            || have(test, &[Need::Path("a kernel with veth and macvlan (try modprobe)")]))
}

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn commands_end_as_they_do_with_ip() {
    if !ip_is_here("commands_end_as_they_do_with_ip") {
        return;
    }
    let deviations = include_str!("../deviations.toml");
    let mut pair = Pair::new();
    let (mut commands, mut failures) = (0, String::new());
    for (name, text) in directed::CASES {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (mark, command) = line.split_once(' ').unwrap();
            if mark == "ip" {
                assert!(pair.ip(command).ok, "{line}");
                continue;
            }
            commands += 1;
            let step = pair.step(command);
            let fine = match mark {
                "+" => step.agrees() && step.ip.ok,
                "-" => step.agrees() && !step.ip.ok,
                _ => {
                    let id = mark.strip_prefix('~').unwrap();
                    assert!(deviations.contains(&format!("id = \"{id}\"")), "{id}");
                    step.ip.ok && !step.mvctl.ok
                }
            };
            if !fine {
                // What follows would differ because of this.
                writeln!(failures, "{name}: {line}\n{step}").unwrap();
                break;
            }
        }
        pair.clear();
    }
    assert!(failures.is_empty(), "not as with ip:\n{failures}");
    eprintln!("{commands} commands");
    assert!(commands >= 80, "{commands} commands are not many");
    pair.stop();
}

#[test]
fn random_commands_end_as_they_do_with_ip() {
    if !ip_is_here("random_commands_end_as_they_do_with_ip") {
        return;
    }
    let wanted = setting("MVSWITCH_OPERATIONS").unwrap_or(1500);
    let first = setting("MVSWITCH_SEED");
    let started = Instant::now();
    let mut pair = Pair::new();
    let (mut commands, mut refused, mut parts) = (0, 0, 0);
    for seed in first.unwrap_or(1).. {
        let mut random = Random::new(seed);
        let mut given = String::new();
        let mut state = pair.states()[0].clone();
        for _ in 0..SEQUENCE {
            let command = sequences::command(&mut random, &state);
            writeln!(given, "{command}").unwrap();
            let mut step = pair.step(&command);
            commands += 1;
            refused += u64::from(!step.ip.ok);
            // LC-43: of what the kernel refuses, a part may be in force. Without
            // that link the two must be equal again.
            let part = !step.ip.ok && !step.mvctl.ok && command.contains(" type macvlan ");
            if part && !step.agrees() {
                parts += 1;
                let gone = format!("link del {}", command.split(' ').nth(2).unwrap());
                writeln!(given, "{gone}").unwrap();
                step = pair.step(&gone);
            }
            assert!(step.agrees(), "MVSWITCH_SEED={seed}: not as with ip:\n{step}\n{given}");
            state = step.state;
        }
        pair.clear();
        if first.is_some() || commands >= wanted {
            break;
        }
    }
    eprintln!("{commands} commands, {refused} refused, {parts} in part, {:?}", started.elapsed());
    let enough = refused > commands / 10 && refused < commands / 2;
    assert!(first.is_some() || enough, "{refused} of {commands} refused: that proves little");
    pair.stop();
}

#[test]
fn the_default_mode_is_bridge_where_ip_s_is_vepa() {
    if !ip_is_here("the_default_mode_is_bridge_where_ip_s_is_vepa") {
        return;
    }
    let mut pair = Pair::new();
    let step = pair.step("link add link lan0 mv0 type macvlan");
    assert!(step.ip.ok && step.mvctl.ok, "{step}");
    let mode = "/linkinfo/info_data/mode";
    let modes = pair.states().map(|state| state.get("mv0", mode));
    assert_eq!(modes, ["vepa", "bridge"]);
    pair.must("link set mv0 type macvlan mode private");
    // A link of ours begins up, hears all groups, and need not say what it is.
    assert!(pair.mvctl("link add link lan0 mv1").ok);
    let [_, ours] = pair.states();
    assert_eq!(ours.get("mv1", mode), "bridge");
    let flags = serde_json::json!(["BROADCAST", "MULTICAST", "ALLMULTI", "UP", "LOWER_UP"]);
    assert_eq!(ours.get("mv1", "/flags"), flags);
    pair.clear();
    pair.stop();
}
