//! Each method once, on a running switch: what it changes, what it answers, and
//! how it refuses.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Line, errno, files, link, lower, mvctl, state};
use super::common::{Switch, Testpmd, Vdev, have, wait_until};
use super::flow::{self, Flow};

/// Each is refused with this errno and sentence, and changes nothing.
#[track_caller]
fn are_refused(switch: &Switch, cases: &[(&str, Value, &str, &str)]) {
    let before = state(switch);
    for (method, params, wanted, needle) in cases {
        let error = switch.try_rpc(method, params.clone()).unwrap_err();
        assert_eq!(errno(&error), *wanted, "{method} {params}: {error}");
        let said = error["message"].as_str().unwrap();
        assert!(said.contains(needle), "{method} {params}: {error}");
        assert_eq!(state(switch), before, "{method} {params}: {error}");
    }
}

#[test]
fn lowers_and_hosts_come_change_and_go() {
    let mut switch = Switch::start(flow::CONFIG);
    switch.allow("gone, and its links with it");
    let switch = switch;
    let begin = state(&switch);
    let nothing = |number: u32| format!("net_null{number},no-rx=1");
    for _ in 0..3 {
        switch.rpc("lower.add", json!({"name": "lan1", "device": nothing(1), "mtu": 2000}));
        switch.rpc("lower.add", json!({"name": "v5", "lower": "lan1", "vlan": 5}));
        switch.rpc("link.add", json!({"name": "mv5", "link": "v5"}));
        switch.rpc("host.add", json!({"link": "lan1", "device": nothing(2), "reachable": true}));
        assert_eq!(lower(&switch, "v5")["mtu"], 2000);
        assert_eq!(link(&switch, "mv5")["mtu"], 2000);
        assert_eq!(lower(&switch, "lan1")["mvswitch"]["reachable"], true);
        are_refused(
            &switch,
            &[
                ("lower.add", json!({"name": "lan1", "device": nothing(8)}), "EEXIST", "lan1"),
                ("lower.add", json!({"name": "mv5", "device": nothing(8)}), "EEXIST", "mv5"),
                (
                    "lower.add",
                    json!({"name": "x", "device": nothing(1)}),
                    "EADDRINUSE",
                    "lower lan1",
                ),
                (
                    "lower.add",
                    json!({"name": "x", "device": nothing(2)}),
                    "EADDRINUSE",
                    "the host of",
                ),
                ("lower.add", json!({"name": "x"}), "EINVAL", "a device, or a lower and a vlan"),
                ("lower.add", json!({"name": "../x", "device": nothing(8)}), "EINVAL", "../x"),
                ("lower.add", json!({"name": "x", "device": "net_nix0"}), "EIO", "net_nix0"),
                ("lower.add", json!({"name": "x", "device": ""}), "EINVAL", "device"),
                (
                    "lower.add",
                    json!({"name": "x", "device": nothing(8), "mtu": 60000}),
                    "EINVAL",
                    "mtu",
                ),
                ("lower.add", json!({"name": "x", "lower": "lan1", "vlan": 5}), "EEXIST", "v5"),
                ("lower.add", json!({"name": "x", "lower": "lan1", "vlan": 0}), "EINVAL", "vlan 0"),
                ("lower.add", json!({"name": "x", "lower": "v5", "vlan": 6}), "EINVAL", "v5"),
                ("lower.add", json!({"name": "x", "lower": "lan7", "vlan": 6}), "ENODEV", "lan7"),
                ("lower.set", json!({"name": "lan7"}), "ENODEV", "lan7"),
                ("lower.set", json!({"name": "lan1", "mtu": 67}), "EINVAL", "mtu 67"),
                ("lower.set", json!({"name": "v5", "mtu": 2001}), "EINVAL", "the mtu of lan1"),
                ("lower.set", json!({"name": "lan1", "address": "x"}), "EINVAL", "x"),
                ("lower.set", json!({"name": "lan0", "address": flow::A}), "EADDRINUSE", "mv0"),
                ("lower.del", json!({"name": "mv5"}), "ENODEV", "mv5"),
                (
                    "host.add",
                    json!({"link": "lan1", "device": nothing(9)}),
                    "EEXIST",
                    "a host already",
                ),
                (
                    "host.add",
                    json!({"link": "lan0", "device": nothing(1)}),
                    "EADDRINUSE",
                    "lower lan1",
                ),
                ("host.add", json!({"link": "lan7", "device": nothing(9)}), "ENODEV", "lan7"),
                ("host.add", json!({"link": "lan0", "device": "demo"}), "EINVAL", "demo"),
                ("host.set", json!({"link": "lan0", "reachable": true}), "ENODEV", "no host"),
                ("host.del", json!({"link": "lan0"}), "ENODEV", "no host"),
            ],
        );
        switch.rpc("lower.set", json!({"name": "lan1", "mtu": 1400}));
        assert_eq!(
            (&lower(&switch, "v5")["mtu"], &link(&switch, "mv5")["mtu"]),
            (&json!(1400), &json!(1400))
        );
        switch.rpc("lower.set", json!({"name": "lan1", "up": false}));
        assert_eq!(link(&switch, "mv5")["operstate"], "LOWERLAYERDOWN");
        are_refused(
            &switch,
            &[("lower.set", json!({"name": "v5", "up": true}), "ENETDOWN", "lan1")],
        );
        switch.rpc("lower.set", json!({"name": "lan1", "up": true}));
        assert_eq!(link(&switch, "mv5")["operstate"], "UP");
        switch.rpc("lower.set", json!({"name": "lan1", "address": "02:00:00:00:03:01"}));
        assert_eq!(lower(&switch, "v5")["address"], "02:00:00:00:03:01");
        switch.rpc("host.set", json!({"link": "lan1", "reachable": false}));
        assert_eq!(lower(&switch, "lan1")["mvswitch"]["reachable"], false);
        switch.rpc("host.del", json!({"link": "lan1"}));
        // Its device is free at once.
        switch.rpc("host.add", json!({"link": "lan1", "device": nothing(2)}));
        switch.rpc("lower.del", json!({"name": "lan1"}));
        assert!(!files(&switch).contains("mv5.sock"));
        assert_eq!(state(&switch), begin);
    }
    switch.stop();
}

#[test]
fn source_lists_and_filters_change() {
    let switch = Switch::start(flow::CONFIG);
    let address = |number: u8| format!("02:00:00:00:02:{number:02x}");
    let group = "01:00:5e:00:00:05";
    switch.rpc("link.set", json!({"name": "mv0", "mode": "source"}));
    let list = || link(&switch, "mv0")["linkinfo"]["info_data"].clone();
    let named = json!({"name": "mv0"});
    switch.rpc("source.add", json!({"name": "mv0", "address": address(1)}));
    switch.rpc("source.add", json!({"name": "mv0", "address": address(1)}));
    assert_eq!(
        (&list()["macaddr_count"], &list()["macaddr_data"]),
        (&json!(1), &json!([address(1)]))
    );
    switch.rpc("source.set", json!({"name": "mv0", "addresses": [address(2), address(3)]}));
    assert_eq!(list()["macaddr_data"], json!([address(2), address(3)]));
    switch.rpc("source.del", json!({"name": "mv0", "address": address(2)}));
    switch.rpc("source.del", json!({"name": "mv0", "address": address(2)}));
    assert_eq!(list()["macaddr_data"], json!([address(3)]));
    switch.rpc("source.flush", named.clone());
    assert_eq!(list()["macaddr_count"], 0);

    let groups = || link(&switch, "mv0")["mvswitch"]["groups"].clone();
    switch.rpc("filter.add", json!({"name": "mv0", "address": group}));
    assert_eq!(groups(), json!([group]));
    are_refused(
        &switch,
        &[
            ("source.add", json!({"name": "mv1", "address": address(1)}), "EINVAL", "source"),
            ("source.flush", json!({"name": "mv1"}), "EINVAL", "source"),
            ("source.add", json!({"name": "mv9", "address": address(1)}), "ENODEV", "mv9"),
            ("source.add", json!({"name": "mv0", "address": group}), "EADDRNOTAVAIL", group),
            ("source.set", json!({"name": "mv0", "addresses": [address(1), "x"]}), "EINVAL", "x"),
            ("filter.add", json!({"name": "mv0", "address": group}), "EEXIST", group),
            ("filter.add", json!({"name": "mv0", "address": address(1)}), "EOPNOTSUPP", "passthru"),
            ("filter.add", json!({"name": "mv0", "address": "x"}), "EINVAL", "x"),
            ("filter.del", json!({"name": "mv1", "address": group}), "ENOENT", group),
            ("filter.del", json!({"name": "mv9", "address": group}), "ENODEV", "mv9"),
        ],
    );
    switch.rpc("filter.del", json!({"name": "mv0", "address": group}));
    assert_eq!(groups(), json!([]));
    switch.stop();
}

#[test]
fn a_baseline_is_for_those_who_ask_for_it_and_not_for_prometheus() {
    if !have("a_baseline_is_for_those_who_ask_for_it_and_not_for_prometheus", flow::NEEDS) {
        return;
    }
    let switch = Switch::start(flow::CONFIG);
    let flow = Flow::start(&switch, &[]);
    // Counters move: what is cleared is less than what was, and grows from there.
    let shown = |params: Value| switch.rpc("stats.show", params)[0]["receive_packets"].as_u64();
    let cleared = |mvctl_too: bool| {
        let before = shown(json!({"name": "mv0"})).unwrap();
        let all = switch.port("mv0").received;
        let links = link(&switch, "mv0")["stats64"]["tx"]["packets"].as_u64().unwrap();
        if mvctl_too {
            mvctl(&switch, &["stats", "clear"]).good();
        } else {
            switch.rpc("stats.clear-baseline", json!({}));
        }
        (before, all, links)
    };
    for mvctl_too in [false, true] {
        let (_, all, links) = cleared(mvctl_too);
        let now = shown(json!({"name": "mv0"})).unwrap();
        let since_start = shown(json!({"name": "mv0", "since_start": true})).unwrap();
        assert!(now < since_start && since_start >= all, "{now} {since_start} {all}");
        assert!(switch.port("mv0").received >= all, "Prometheus' counter went back");
        assert!(link(&switch, "mv0")["stats64"]["tx"]["packets"].as_u64().unwrap() >= links);
    }
    let names = switch.rpc("stats.show", json!({}));
    let names: Vec<&str> =
        names.as_array().unwrap().iter().map(|port| port["port"].as_str().unwrap()).collect();
    assert_eq!(names, ["lan0", "mv0", "mv1"]);
    flow.finish(&switch);
    // At rest both say the same, but for the baseline.
    let since_start = shown(json!({"name": "mv0", "since_start": true})).unwrap();
    assert_eq!(since_start, switch.port("mv0").received);
    switch.rpc("stats.clear-baseline", json!({}));
    assert_eq!(shown(json!({"name": "mv0"})), Some(0));
    are_refused(&switch, &[("stats.show", json!({"name": "mv9"}), "ENODEV", "mv9")]);

    let workers = switch.rpc("worker.show", json!({}));
    let worker = &workers[0];
    assert_eq!((workers.as_array().unwrap().len(), &worker["core"]), (1, &json!(1)));
    let polled: Vec<_> =
        worker["ports"].as_array().unwrap().iter().map(|port| &port["port"]).collect();
    assert_eq!(polled, ["lan0", "mv0", "mv1"]);
    assert_eq!(worker["ports"][0]["queue"], 0);
    assert!(worker["load"].as_f64().unwrap() > 0.0, "{worker}");
    let both = switch.port("mv0").received + switch.port("mv1").received;
    assert_eq!(worker["frames"], both, "{worker}");
    assert!(worker["batches"].as_u64().unwrap() > 0 && worker["turns"].as_u64().unwrap() > 0);
    switch.stop();
}

#[test]
fn an_announcement_reaches_the_others() {
    if !have("an_announcement_reaches_the_others", flow::NEEDS) {
        return;
    }
    let switch = Switch::start(flow::CONFIG);
    let guest = Vdev::virtio_user(&switch.socket("mv1.sock"), flow::B);
    let mut guest = Testpmd::start("guest", "rxonly", &[guest]);
    switch.wait_up(&["mv1"], true);
    guest.go();
    let before = guest.stats(0).rx_packets;
    assert_eq!(switch.rpc("announce", json!({"name": "mv0"})), json!({"links": 1}));
    wait_until("the frame arrives", Duration::from_secs(5), || {
        guest.stats(0).rx_packets == before + 1
    });
    assert_eq!(switch.rpc("announce", json!({"name": "lan0"})), json!({"links": 2}));
    assert_eq!(switch.rpc("announce", json!({})), json!({"links": 2}));
    wait_until("the frames arrive", Duration::from_secs(5), || {
        guest.stats(0).rx_packets == before + 3
    });
    are_refused(&switch, &[("announce", json!({"name": "mv9"}), "ENODEV", "mv9")]);
    guest.quit();
    switch.stop();
}

#[test]
fn it_says_which_it_is_and_ends_when_told() {
    let switch = Switch::start(&format!("[switch]\nname = \"t\"\n{}", flow::CONFIG));
    let version = switch.rpc("version", json!({}));
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&version["switch"], &version["pid"]), (&json!("t"), &json!(switch.id())));
    assert!(version["dpdk"].as_str().unwrap().contains("DPDK") || version["dpdk"] != "");
    assert!(version["uptime_seconds"].as_u64().unwrap() < 60);
    assert!(mvctl(&switch, &["version"]).good().contains(env!("CARGO_PKG_VERSION")));
    // Others are connected, and one listens: that holds nothing up.
    let _silent = Line::open(&switch);
    let mut listener = Line::open(&switch);
    listener.call("monitor", json!({})).unwrap();
    let control = switch.socket("control.sock");
    mvctl(&switch, &["shutdown"]).good();
    assert_eq!(listener.hear(), None);
    assert!(switch.has_ended(), "it did not end, or not well");
    assert!(!control.exists());
}
