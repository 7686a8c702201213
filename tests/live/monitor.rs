//! Those who listen: every change once, in order; whoever is too slow is told.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::client::{Line, link, lower, mvctl_program};
use super::common::{PATIENCE, Process, Switch, Testpmd, Vdev, have, pause, wait_until};
use super::flow;

/// How long nothing must come for a test to believe that nothing comes.
const SILENCE: Duration = Duration::from_millis(300);

struct Listener {
    line: Line,
    sequence: u64,
}

impl Listener {
    #[track_caller]
    fn open(switch: &Switch) -> Self {
        let mut line = Line::open(switch);
        let sequence = line.call("monitor", json!({})).unwrap()["sequence"].as_u64().unwrap();
        Self { line, sequence }
    }

    /// The events that have come, as `change name`, each numbered one up.
    #[track_caller]
    fn events(&mut self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        while let Some(event) = self.line.hear_within(SILENCE) {
            assert_eq!(event["method"], "event", "{event}");
            let event = &event["params"];
            self.sequence += 1;
            assert_eq!(event["sequence"], self.sequence, "{event}");
            let kinds = ["link", "lower"].map(|kind| event.get(kind));
            let [shown] = kinds.into_iter().flatten().collect::<Vec<_>>()[..] else {
                panic!("one of both: {event}");
            };
            let change = event["change"].as_str().unwrap();
            events.push((format!("{change} {}", shown["ifname"].as_str().unwrap()), shown.clone()));
        }
        events
    }
}

#[test]
fn every_change_is_told_once() {
    let mut switch = Switch::start(flow::CONFIG);
    switch.allow("gone, and its links with it");
    let switch = switch;
    let mut listeners = [Listener::open(&switch), Listener::open(&switch)];
    let many = json!({"requests": [
        {"method": "link.set", "params": {"name": "mv0", "mtu": 1300}},
        {"method": "link.set", "params": {"name": "mv0", "mtu": 1200}},
        {"method": "link.set", "params": {"name": "mv1", "mtu": 1200}},
        {"method": "link.add", "params": {"name": "mv7", "link": "lan0"}},
        {"method": "link.del", "params": {"name": "mv7"}},
        {"method": "link.add", "params": {"name": "mv8", "link": "lan0"}},
    ]});
    let config = std::fs::read_to_string(switch.config_file()).unwrap();
    for (method, params, wanted) in [
        ("link.add", json!({"name": "mv2", "link": "lan0"}), &["add mv2"][..]),
        ("link.set", json!({"name": "mv2", "mode": "source", "mtu": 1400}), &["set mv2"]),
        ("source.add", json!({"name": "mv2", "address": "02:00:00:00:02:01"}), &["set mv2"]),
        ("source.set", json!({"name": "mv2", "addresses": ["02:00:00:00:02:02"]}), &["set mv2"]),
        ("source.flush", json!({"name": "mv2"}), &["set mv2"]),
        ("filter.add", json!({"name": "mv2", "address": "01:00:5e:00:00:05"}), &["set mv2"]),
        ("filter.del", json!({"name": "mv2", "address": "01:00:5e:00:00:05"}), &["set mv2"]),
        // It is one for the lower and all its links.
        (
            "link.set",
            json!({"name": "mv2", "bclim": 5}),
            &["set lan0", "set mv0", "set mv1", "set mv2"],
        ),
        // What changes nothing is no change.
        ("link.set", json!({"name": "mv2", "mtu": 1400}), &[]),
        ("link.set", json!({"name": "mv2"}), &[]),
        ("source.flush", json!({"name": "mv2"}), &[]),
        ("lower.set", json!({"name": "lan0", "up": true, "mtu": 1500}), &[]),
        ("announce", json!({}), &[]),
        ("stats.clear-baseline", json!({}), &[]),
        ("lower.add", json!({"name": "lan1", "device": "net_null1,no-rx=1"}), &["add lan1"]),
        ("lower.add", json!({"name": "v5", "lower": "lan1", "vlan": 5}), &["add v5"]),
        ("link.add", json!({"name": "mv3", "link": "v5"}), &["add mv3"]),
        ("host.add", json!({"link": "lan1", "device": "net_null2,no-rx=1"}), &["set lan1"]),
        ("host.set", json!({"link": "lan1", "reachable": true}), &["set lan1"]),
        ("host.del", json!({"link": "lan1"}), &["set lan1"]),
        ("lower.set", json!({"name": "lan1", "private_strict": true}), &["set lan1"]),
        // The VLAN and its links go down with it.
        ("lower.set", json!({"name": "lan1", "up": false}), &["set lan1", "set v5", "set mv3"]),
        ("lower.del", json!({"name": "lan1"}), &["del mv3", "del lan1", "del v5"]),
        ("link.del", json!({"name": "mv2"}), &["del mv2"]),
        ("batch", many, &["set mv0", "set mv1", "add mv8"]),
        ("config.apply", json!({ "text": config }), &["del mv8", "set mv0", "set mv1"]),
    ] {
        switch.rpc(method, params.clone());
        let heard = listeners.each_mut().map(Listener::events);
        assert_eq!(heard[0], heard[1]);
        let words: Vec<&str> = heard[0].iter().map(|(words, _)| &**words).collect();
        assert_eq!(words, wanted, "{method} {params}");
        for (words, told) in &heard[0] {
            let (change, name) = words.split_once(' ').unwrap();
            let show = if name.starts_with("mv") { link } else { lower };
            if change != "del" {
                assert_eq!(*told, show(&switch, name), "{method} {params}");
            }
        }
    }
    switch.try_rpc("link.del", json!({"name": "mv9"})).unwrap_err();
    assert_eq!(listeners[0].events(), []);
    // Whoever listens can go on asking.
    let shown = listeners[0].line.call("link.show", json!({})).unwrap();
    assert_eq!(shown, switch.rpc("link.show", json!({})));
    switch.stop();
}

#[test]
fn a_guest_that_comes_and_goes_is_told_of() {
    if !have("a_guest_that_comes_and_goes_is_told_of", flow::NEEDS) {
        return;
    }
    let switch = Switch::start(flow::CONFIG);
    let mut listener = Listener::open(&switch);
    let mut told = |connected: bool| {
        let events = listener.events();
        let seen: Vec<(&str, &Value)> = events
            .iter()
            .map(|(words, shown)| (&**words, &shown["mvswitch"]["peer_connected"]))
            .collect();
        assert_eq!(seen, [("set mv0", &json!(connected))], "{events:?}");
    };
    let guest = Vdev::virtio_user(&switch.socket("mv0.sock"), flow::A);
    let guest = Testpmd::start("guest", "rxonly", &[guest]);
    switch.wait_up(&["mv0"], true);
    told(true);
    guest.quit();
    switch.wait_up(&["mv0"], false);
    told(false);
    switch.stop();
}

/// Sets the MTU of [`add_links`]' links so often: more events than are kept for
/// anybody.
fn flood(switch: &Switch, times: u32) {
    let mut line = Line::open(switch);
    for round in 0..times {
        for part in 0..4 {
            let set = |link: u32| {
                let params = json!({"name": format!("t{link}"), "mtu": 1000 + round});
                json!({"method": "link.set", "params": params})
            };
            let requests: Vec<Value> = (part * 100..(part + 1) * 100).map(set).collect();
            line.call("batch", json!({"requests": requests, "more": part < 3})).unwrap();
        }
    }
}

fn add_links(switch: &Switch) {
    let mut line = Line::open(switch);
    let add = |link: u32| json!({"method": "link.add", "params": {"name": format!("t{link}"), "link": "lan0"}});
    for part in 0..4 {
        let requests: Vec<Value> = (part * 100..(part + 1) * 100).map(add).collect();
        line.call("batch", json!({ "requests": requests })).unwrap();
    }
}

/// Reads a little now and then until `over`, and so keeps its connection.
fn doze(line: &mut Line, last: &mut u64, over: &AtomicBool) -> u64 {
    let mut lost = 0;
    loop {
        let hurry = over.load(Ordering::SeqCst);
        let Some(event) = line.hear_within(SILENCE) else {
            if hurry {
                return lost;
            }
            continue;
        };
        let sequence = event["params"]["sequence"].as_u64().unwrap();
        assert!(sequence > *last, "{sequence} after {last}");
        lost += sequence - *last - 1;
        *last = sequence;
        if !hurry {
            pause(Duration::from_millis(5));
        }
    }
}

#[test]
fn whoever_is_too_slow_sees_the_gap() {
    let switch = Switch::start(flow::CONFIG);
    add_links(&switch);
    let mut slow = Line::open(&switch);
    let mut last = slow.call("monitor", json!({})).unwrap()["sequence"].as_u64().unwrap();
    // mvctl, which is held most of the time, but never as long as the switch is patient.
    let mut command = Command::new(mvctl_program());
    command.arg("--socket").arg(switch.socket("control.sock")).args(["-j", "monitor"]);
    let held = Process::start("mvctl", &mut command);
    wait_until("mvctl listens", PATIENCE, || {
        switch.rpc("link.set", json!({"name": "mv0", "up": false}));
        switch.rpc("link.set", json!({"name": "mv0", "up": true}));
        !held.stdout().is_empty()
    });
    let over = AtomicBool::new(false);
    let mut lost = std::thread::scope(|scope| {
        let slow = scope.spawn(|| doze(&mut slow, &mut last, &over));
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                held.signal(Signal::SIGSTOP);
                pause(Duration::from_millis(300));
                held.signal(Signal::SIGCONT);
                pause(Duration::from_millis(1));
            }
        });
        flood(&switch, 30);
        over.store(true, Ordering::SeqCst);
        slow.join().unwrap()
    });
    // The next event tells of what was lost in the end; from then on nothing is.
    for mtu in [1234, 1235] {
        switch.rpc("link.set", json!({"name": "mv0", "mtu": mtu}));
        let event = slow.hear_within(PATIENCE).expect("the switch has hung up");
        let sequence = event["params"]["sequence"].as_u64().unwrap();
        assert!(sequence > last && (mtu == 1234 || sequence == last + 1), "{sequence} {last}");
        assert_eq!(event["params"]["link"]["mtu"], mtu);
        lost += sequence - last - 1;
        last = sequence;
    }
    assert!(lost > 0, "nothing was lost: this test is none");
    wait_until("mvctl says so", PATIENCE, || held.stderr().contains("events were missed"));
    switch.stop();
}
