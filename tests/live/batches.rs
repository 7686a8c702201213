//! Batches: all or nothing, one after another, in parts, a thousand at once.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Line, errno, files, has_not_grown, link, lower, memory, mvctl, state};
use super::common::{PATIENCE, Switch, have, pause, wait_until};
use super::flow::{self, Flow};

fn add(name: &str) -> Value {
    json!({"method": "link.add", "params": {"name": name, "link": "lan0"}})
}

fn del(name: &str) -> Value {
    json!({"method": "link.del", "params": {"name": name}})
}

fn set(name: &str, params: Value) -> Value {
    let mut params = params;
    params["name"] = json!(name);
    json!({"method": "link.set", "params": params})
}

#[test]
fn an_atomic_batch_is_carried_out_as_a_whole_or_not_at_all() {
    let switch = Switch::start(flow::CONFIG);
    let good = [
        add("mv2"),
        set("mv0", json!({"mtu": 1300})),
        json!({"method": "lower.add", "params": {"name": "lan1", "device": "net_null1,no-rx=1"}}),
        json!({"method": "link.add", "params": {"name": "mv3", "link": "lan1"}}),
        json!({"method": "host.add", "params": {"link": "lan1", "device": "net_null2,no-rx=1"}}),
        json!({"method": "lower.add", "params": {"name": "v5", "lower": "lan1", "vlan": 5}}),
        json!({"method": "filter.add", "params": {"name": "mv2", "address": "01:00:5e:00:00:05"}}),
        set("mv2", json!({"mode": "source"})),
        json!({"method": "source.add", "params": {"name": "mv2", "address": "02:00:00:00:02:01"}}),
        del("mv1"),
    ];
    let bad = [
        (add("mv0"), "EEXIST"),
        (del("mv9"), "ENODEV"),
        (set("mv0", json!({"mtu": 9000})), "EINVAL"),
        (
            json!({"method": "link.add", "params": {"name": "x", "link": "lan0", "socket": "file"}}),
            "EIO",
        ),
        (json!({"method": "lower.add", "params": {"name": "x", "device": "net_nix0"}}), "EIO"),
        (json!({"method": "link.add", "params": {"name": "x"}}), "EINVAL"),
        (json!({"method": "link.show"}), "EINVAL"),
        (json!({"method": "config.apply", "params": {"text": ""}}), "EINVAL"),
        (json!({"method": "batch", "params": {"requests": []}}), "EINVAL"),
        (json!({"method": "monitor"}), "EINVAL"),
    ];
    std::fs::write(switch.socket("file"), "").unwrap();
    let before = state(&switch);
    for (bad, why) in &bad {
        for at in [0, 4, good.len()] {
            let mut requests = good.to_vec();
            requests.insert(at, bad.clone());
            let batch = json!({"requests": requests, "atomic": true});
            let error = switch.try_rpc("batch", batch).unwrap_err();
            assert_eq!((&error["data"]["index"], errno(&error)), (&json!(at), *why), "{error}");
            assert_eq!(state(&switch), before, "{bad} at {at}: {error}");
        }
    }
    // Devices that the refused ones had opened are free: all of it is possible.
    let done = switch.rpc("batch", json!({"requests": good, "atomic": true}));
    assert_eq!(done["results"].as_array().unwrap().len(), good.len());
    assert!(files(&switch).contains("mv3.sock") && !files(&switch).contains("mv1.sock"));
    assert_eq!(link(&switch, "mv2")["linkinfo"]["info_data"]["macaddr_count"], 1);
    switch.stop();
}

#[test]
fn a_link_that_is_deleted_and_added_at_once_keeps_its_guest() {
    if !have("a_link_that_is_deleted_and_added_at_once_keeps_its_guest", flow::NEEDS) {
        return;
    }
    let switch = Switch::start(flow::CONFIG);
    let mut flow = Flow::start(&switch, &[]);
    let before = link(&switch, "mv0");
    for mtu in [1400, 1300, 1500] {
        let add = json!({"method": "link.add", "params": {
            "name": "mv0", "link": "lan0", "address": flow::A, "mtu": mtu}});
        switch.rpc("batch", json!({"requests": [del("mv0"), add], "atomic": true}));
        assert_eq!(link(&switch, "mv0")["mtu"], mtu);
        flow.goes_on();
    }
    let after = link(&switch, "mv0");
    assert_ne!(after["ifindex"], before["ifindex"], "it is another link");
    // And back: what is refused in the end leaves even that as it was.
    let add = json!({"method": "link.add", "params": {"name": "mv0", "link": "lan0"}});
    let requests = json!([del("mv0"), add, del("mv9")]);
    let before = state(&switch);
    switch.try_rpc("batch", json!({"requests": requests, "atomic": true})).unwrap_err();
    assert_eq!(state(&switch), before);
    flow.finish(&switch);
    switch.stop();
}

#[test]
fn a_batch_stops_or_goes_on_after_a_refusal() {
    let switch = Switch::start(flow::CONFIG);
    let requests = json!([add("mv2"), add("mv0"), add("mv3"), del("mv9"), del("mv1")]);
    let kinds = |done: &Value| -> Vec<String> {
        let of = |one: &Value| match one.get("error") {
            Some(error) => errno(error).to_owned(),
            None => "done".to_owned(),
        };
        done["results"].as_array().unwrap().iter().map(of).collect()
    };
    let done = switch.rpc("batch", json!({ "requests": requests }));
    assert_eq!(kinds(&done), ["done", "EEXIST"]);
    assert!(files(&switch).contains("mv2.sock") && !files(&switch).contains("mv3.sock"));
    let done = switch.rpc("batch", json!({"requests": requests, "force": true}));
    assert_eq!(kinds(&done), ["EEXIST", "EEXIST", "done", "ENODEV", "done"]);
    assert!(files(&switch).contains("mv3.sock") && !files(&switch).contains("mv1.sock"));
    // One that cannot be read is found before the first is carried out.
    let wrong = json!([add("mv4"), {"method": "link.add", "params": {"nmae": "x"}}]);
    let error = switch.try_rpc("batch", json!({ "requests": wrong })).unwrap_err();
    assert_eq!(error["data"]["index"], 1, "{error}");
    assert!(!files(&switch).contains("mv4.sock"));
    assert_eq!(switch.rpc("batch", json!({"requests": []}))["results"], json!([]));
    switch.stop();
}

/// Sends all of it in parts, and hears what became of the whole.
#[track_caller]
fn in_parts(line: &mut Line, requests: &[Value], atomic: bool) -> Result<Value, Value> {
    let parts: Vec<&[Value]> = requests.chunks(300).collect();
    let (last, before) = parts.split_last().unwrap();
    let mut held = 0;
    for part in before {
        held += part.len();
        let told = line.call("batch", json!({"requests": part, "atomic": atomic, "more": true}));
        assert_eq!(told.unwrap()["held"], held);
    }
    line.call("batch", json!({"requests": last, "atomic": atomic}))
}

#[test]
fn a_thousand_links_come_and_go_and_leave_nothing_behind() {
    if !have("a_thousand_links_come_and_go_and_leave_nothing_behind", flow::NEEDS) {
        return;
    }
    let mut switch = Switch::start(flow::CONFIG);
    // Nobody listens where they would connect to.
    switch.allow("failed to connect");
    let switch = switch;
    let mut flow = Flow::start(&switch, &[]);
    let empty = state(&switch);
    let name = |number: usize| format!("t{number}");
    let connecting = |number: usize| {
        let mut call = add(&name(number));
        call["params"]["role"] = json!("client");
        call
    };
    // The library takes as many that listen, and twice as many that connect.
    let listening: Vec<Value> = (0..450).map(|number| add(&name(number))).collect();
    let connecting: Vec<Value> = (0..1000).map(connecting).collect();
    let mut line = Line::open(&switch);
    let mut come_and_go = |line: &mut Line, adds: &[Value], sockets: usize, atomic: bool| {
        let dels: Vec<Value> = (0..adds.len()).map(|number| del(&name(number))).collect();
        let done = in_parts(line, adds, atomic).unwrap();
        assert_eq!(done["results"].as_array().unwrap().len(), adds.len());
        assert_eq!(files(&switch).iter().filter(|name| name.starts_with('t')).count(), sockets);
        flow.goes_on();
        let done = in_parts(line, &dels, atomic).unwrap();
        assert_eq!(done["results"].as_array().unwrap().len(), adds.len());
        assert_eq!(state(&switch), empty);
    };
    // What is made once and kept is not a leak.
    come_and_go(&mut line, &listening, 450, true);
    come_and_go(&mut line, &connecting, 0, true);
    pause(Duration::from_millis(300));
    let (descriptors, kilobytes) = (switch.open_files(), memory(&switch));
    come_and_go(&mut line, &listening, 450, false);
    come_and_go(&mut line, &connecting, 0, false);
    come_and_go(&mut line, &connecting, 0, true);
    // The last one fails: none of the thousand has come.
    let mut bad = connecting.clone();
    bad.push(add("mv0"));
    let error = in_parts(&mut line, &bad, true).unwrap_err();
    assert_eq!((&error["data"]["index"], errno(&error)), (&json!(1000), "EEXIST"));
    assert_eq!(state(&switch), empty);
    // A script of mvctl's.
    let script = tempfile::NamedTempFile::new().unwrap();
    let lines = |verb: &str, more: &str| -> String {
        (0..1000).map(|number| format!("link {verb} {}{more}\n", name(number))).collect()
    };
    let text =
        lines("add link lan0 name", " type macvlan mode bridge role client") + &lines("del", "");
    std::fs::write(script.path(), text).unwrap();
    mvctl(&switch, &["-batch", script.path().to_str().unwrap()]).good();
    assert_eq!(state(&switch), empty);
    wait_until("descriptors return", PATIENCE, || switch.open_files() <= descriptors);
    has_not_grown(&switch, kilobytes);
    drop(line);
    flow.finish(&switch);
    switch.stop();
}

/// What one deletes, another can take over in the next step, but not in the same:
/// that is said at once, for waiting would not help.
#[test]
fn a_socket_or_device_changes_hands_step_by_step() {
    let switch = Switch::start(flow::CONFIG);
    let device = "net_null5,no-rx=1";
    let add = |name: &str, params: Value| {
        let mut call = add(name);
        call["params"].as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        call
    };
    switch.rpc("link.add", add("d1", json!({"device": device}))["params"].clone());
    let host =
        |link: &str| json!({"method": "host.add", "params": {"link": link, "device": device}});
    for requests in [
        json!([del("mv1"), add("mv2", json!({"socket": "mv1.sock"}))]),
        json!([del("d1"), add("d2", json!({"device": device}))]),
        json!([del("d2"), host("lan0")]),
    ] {
        let (before, asked) = (state(&switch), Instant::now());
        let batch = json!({"requests": requests, "atomic": true});
        let error = switch.try_rpc("batch", batch).unwrap_err();
        assert_eq!((errno(&error), &error["data"]["index"]), ("EBUSY", &json!(1)), "{error}");
        assert!(error["message"].as_str().unwrap().contains("in an earlier one"), "{error}");
        assert!(asked.elapsed() < Duration::from_secs(1), "it waited {:?}", asked.elapsed());
        assert_eq!(state(&switch), before);
        let done = switch.rpc("batch", json!({ "requests": requests }));
        assert!(
            done["results"].as_array().unwrap().iter().all(|it| it.get("error").is_none()),
            "{done}"
        );
    }
    assert_eq!(lower(&switch, "lan0")["mvswitch"]["host"], device);
    switch.stop();
}

#[test]
fn a_vlan_follows_a_carrier_that_is_as_new_as_itself() {
    let mut switch = Switch::start(flow::CONFIG);
    let requests = json!([
        {"method": "lower.add", "params": {"name": "lan1", "device": "net_null1,no-rx=1"}},
        {"method": "lower.add", "params": {"name": "v5", "lower": "lan1", "vlan": 5}},
        {"method": "lower.add", "params": {"name": "v6", "lower": "lan1", "vlan": 6}},
        {"method": "lower.set", "params": {"name": "v6", "address": "02:00:00:00:03:06"}},
        {"method": "lower.set", "params": {"name": "lan1", "address": "02:00:00:00:03:01"}},
    ]);
    for atomic in [true, false] {
        switch.rpc("batch", json!({"requests": requests, "atomic": atomic}));
        for (name, address) in [("lan1", "01"), ("v5", "01"), ("v6", "06")] {
            let shown = lower(&switch, name);
            assert_eq!(shown["address"], format!("02:00:00:00:03:{address}"), "{shown}");
        }
        switch.rpc("lower.del", json!({"name": "lan1"}));
    }
    switch.allow("gone, and its links with it");
    switch.stop();
}

/// A guest that is connected, but has nothing to say, for whoever looks after it.
#[test]
fn what_is_refused_cuts_nobody_off() {
    let switch = Switch::start(flow::CONFIG);
    let mut guest = UnixStream::connect(switch.socket("mv0.sock")).unwrap();
    let again = json!({"method": "link.add", "params": {"name": "mv0", "link": "lan0"}});
    for requests in [json!([del("mv0"), del("mv9")]), json!([del("mv0"), again, del("mv9")])] {
        switch.try_rpc("batch", json!({"requests": requests, "atomic": true})).unwrap_err();
    }
    guest.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let silence = guest.read(&mut [0; 1]).unwrap_err();
    assert_eq!(silence.kind(), ErrorKind::WouldBlock, "the guest was cut off");
    drop(guest);
    switch.stop();
}

/// Its port was handed on and then given up: it is closed, and counted, once.
#[test]
fn a_link_that_comes_back_only_to_go_is_counted_once() {
    let switch = Switch::start(flow::CONFIG);
    switch.rpc("announce", json!({"name": "mv0"}));
    wait_until("the announcement is sent", PATIENCE, || {
        link(&switch, "mv0")["stats64"]["tx"]["packets"] == 1
            || switch.rpc("stats.show", json!({"name": "mv0"}))[0]["receive_packets"] == 1
    });
    for requests in [json!([del("mv0"), add("mv0"), del("mv0")]), json!([add("mv0"), del("mv0")])] {
        switch.rpc("batch", json!({"requests": requests, "atomic": true}));
        assert!(!files(&switch).contains("mv0.sock"));
    }
    // Which adds up all that was ever counted.
    switch.stop();
}

/// A wire inside the process takes no other address: the rest of the batch is none
/// the worse for it.
#[test]
fn what_a_device_refuses_hinders_no_other_request() {
    let config = flow::CONFIG.replace("net_null0,no-rx=1", "net_ring0");
    let switch = Switch::start(&config);
    let address = json!({"name": "lan0", "address": "02:00:00:00:03:00"});
    let refused = json!({"method": "lower.set", "params": address});
    let requests = json!([add("mv2"), add("mv3"), refused, del("mv2"), add("mv2")]);
    let kinds = |done: &Value| -> Vec<String> {
        let results = done["results"].as_array().unwrap().iter();
        results.map(|one| one.get("error").map_or("done", errno).to_owned()).collect()
    };
    let done = switch.rpc("batch", json!({"requests": requests}));
    assert_eq!(kinds(&done), ["done", "done", "EOPNOTSUPP"], "{done}");
    switch.rpc("batch", json!({"requests": [del("mv2"), del("mv3")]}));
    let done = switch.rpc("batch", json!({"requests": requests, "force": true}));
    assert_eq!(kinds(&done), ["done", "done", "EOPNOTSUPP", "done", "done"], "{done}");
    assert!(["mv2.sock", "mv3.sock"].iter().all(|name| files(&switch).contains(*name)));
    switch.stop();
}

/// What was accepted before it stays written down, too.
#[test]
fn a_refusal_does_not_forget_the_address_before_it() {
    let switch = Switch::start(flow::CONFIG);
    let set = |params: Value| json!({"method": "lower.set", "params": params});
    let requests = json!([
        set(json!({"name": "lan0", "address": "02:00:00:00:03:00"})),
        set(json!({"name": "lan0", "mtu": 1})),
    ]);
    let done = switch.rpc("batch", json!({ "requests": requests }));
    assert_eq!(errno(&done["results"][1]["error"]), "EINVAL", "{done}");
    assert_eq!(lower(&switch, "lan0")["address"], "02:00:00:00:03:00");
    let shown = switch.rpc("config.show", json!({}))["text"].as_str().unwrap().to_owned();
    assert!(shown.contains("address = \"02:00:00:00:03:00\""), "{shown}");
    switch.stop();
}
