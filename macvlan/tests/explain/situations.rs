//! Situations one by one: the rules that are named, and the verdict.
//!
//! A line such as `RXM-01 MCF-04 RXM-10: host mv0*` is the rules' ids, then who
//! receives the frame, with a star where the copy may wait; or `dropped` and why.

use macvlan::driver::{Event, HostPort, Index, LowerSpec};
use macvlan::explain::{Explanation, Place, explain};
use macvlan::fib::Head;
use macvlan::mac::MacAddr;
use macvlan::mode::Mode::{self, Bridge, Passthru, Private, Source, Vepa};
use macvlan::request::LinkRequest;

use super::switch::{BROADCAST, GROUP, LOWER, OTHER_GROUP, OUTSIDE, Switch, data, mac};

const STP: MacAddr = MacAddr::new([1, 0x80, 0xc2, 0, 0, 0]);
const PAUSE: u16 = 0x8808;
const PLAIN: u16 = 0x88b5;

/// One of each mode that can be together, in this order: mv0 to mv3.
const MIXED: [Mode; 4] = [Bridge, Vepa, Private, Source];

fn explained(switch: &Switch, from: &str, dst: MacAddr, src: MacAddr, kind: u16) -> Explanation {
    let bytes = [&dst.bytes()[..], &src.bytes(), &kind.to_be_bytes()].concat();
    let place = match from {
        "wire" => Place::Wire,
        "host" => Place::Host,
        link => Place::Link(switch.index(link)),
    };
    explain(&switch.driver, switch.lan0, place, Head::read(&bytes.try_into().unwrap())).unwrap()
}

fn line(switch: &Switch, explanation: &Explanation) -> String {
    let ids: Vec<&str> = explanation.rules.iter().map(|rule| rule.id).collect();
    let name = |place| match place {
        Place::Wire => "wire".to_owned(),
        Place::Host => "host".to_owned(),
        Place::Link(index) => switch.driver.link(index).unwrap().name.clone(),
    };
    let receivers = explanation.receivers.iter();
    let mut to: Vec<String> =
        receivers.map(|to| name(to.place) + if to.queued { "*" } else { "" }).collect();
    to.extend(explanation.dropped.map(|reason| format!("dropped {}", reason.name())));
    format!("{}: {}", ids.join(" "), to.join(" "))
}

#[track_caller]
fn is(switch: &Switch, from: &str, (dst, src): (MacAddr, MacAddr), expected: &str) {
    kind_is(switch, from, (dst, src, PLAIN), expected);
}

#[track_caller]
fn kind_is(switch: &Switch, from: &str, frame: (MacAddr, MacAddr, u16), expected: &str) {
    let explanation = explained(switch, from, frame.0, frame.1, frame.2);
    assert_eq!(line(switch, &explanation), expected, "{:#?}", explanation.rules);
}

/// Sets a link's source list and its flag.
fn list(switch: &mut Switch, name: &str, address: MacAddr, nodst: bool) {
    let change = |r: &mut LinkRequest| {
        let data = data(r);
        (data.macaddr_mode, data.macaddr) = (Some(3), Some(address.bytes().to_vec()));
        data.flags = Some(if nodst { 2 } else { 0 });
    };
    switch.set(name, change).unwrap();
}

fn reachable(spec: &mut LowerSpec) {
    spec.host = HostPort::Reachable;
}

fn no_host(spec: &mut LowerSpec) {
    spec.host = HostPort::None;
}

#[test]
fn unicast_from_the_wire() {
    let mut switch = Switch::new(&MIXED);
    for (number, name) in [(0, "mv0"), (1, "mv1"), (2, "mv2")] {
        is(&switch, "wire", (mac(number), OUTSIDE), &format!("RXU-02: {name}"));
    }
    is(&switch, "wire", (mac(3), OUTSIDE), "RXU-03: host");
    is(&switch, "wire", (LOWER, OUTSIDE), "RXU-04: host");
    is(&switch, "wire", (mac(9), OUTSIDE), "RXU-04: host");
    is(&switch, "wire", (mac(0), mac(0)), "RXU-02: mv0");
    is(&switch, "wire", (mac(0), mac(1)), "RXU-02 RXU-06: mv0");
    is(&switch, "wire", (mac(2), mac(0)), "RXU-02 RXU-06: mv2");
    is(&switch, "wire", (mac(3), mac(0)), "RXU-03: host");
    kind_is(&switch, "wire", (mac(0), OUTSIDE, PAUSE), "RXU-02: mv0");
    switch.down("mv0");
    is(&switch, "wire", (mac(0), OUTSIDE), "LC-34 RXU-04: host");
    let switch = Switch::with(no_host, &MIXED);
    is(&switch, "wire", (mac(9), OUTSIDE), "RXU-04: dropped unknown_unicast");
    is(&switch, "wire", (mac(3), OUTSIDE), "RXU-03: dropped unknown_unicast");
}

#[test]
fn a_passthru_link_and_the_wire() {
    let mut switch = Switch::new(&[Passthru]);
    for dst in [LOWER, OUTSIDE] {
        is(&switch, "wire", (dst, OUTSIDE), "RXU-05: mv0");
    }
    is(&switch, "wire", (BROADCAST, OUTSIDE), "RXM-01 MCF-04 MCF-09 BCQ-01 RXM-10: host mv0*");
    // It makes the lower promiscuous: that hears what the link does not.
    is(&switch, "wire", (GROUP, OUTSIDE), "RXM-01 MCF-01 RXM-10: host");
    switch.fdb_add("mv0", GROUP).unwrap();
    is(&switch, "wire", (GROUP, OUTSIDE), "RXM-01 MCF-01 MCF-07 BCQ-01 RXM-10: host mv0*");
    is(&switch, "wire", (BROADCAST, LOWER), "RXM-05: mv0");
    is(&switch, "mv0", (mac(9), LOWER), "TX-01: wire");
    is(&switch, "mv0", (BROADCAST, LOWER), "TX-16: wire");
    is(&switch, "host", (LOWER, LOWER), "TX-10: wire");
    switch.down("mv0");
    is(&switch, "wire", (LOWER, OUTSIDE), "RXU-05: dropped link_down");
    is(&switch, "wire", (BROADCAST, LOWER), "LC-34 RXM-01 LC-34 RXM-10: host");
    is(&switch, "mv0", (BROADCAST, LOWER), "link_down: dropped link_down");

    let mut switch = Switch::with(reachable, &[]);
    let nopromisc = |r: &mut LinkRequest| {
        (r.up, r.promisc) = (Some(true), Some(true));
        (data(r).mode, data(r).flags) = (Some(8), Some(1));
    };
    switch.add("mv0", nopromisc).unwrap();
    is(&switch, "wire", (GROUP, OUTSIDE), "UCF-05 RXM-11 RXM-10: host");
    is(&switch, "host", (LOWER, LOWER), "TX-10: wire");
    switch.set("mv0", |r| r.allmulti = Some(true)).unwrap();
    is(&switch, "wire", (GROUP, OUTSIDE), "RXM-01 MCF-05 MCF-07 BCQ-01 RXM-10: host mv0*");
}

#[test]
fn groups_from_the_wire_by_their_sender() {
    let mut switch = Switch::new(&[Bridge, Vepa, Private, Source, Bridge, Vepa]);
    let all = "host mv0* mv1* mv2* mv4* mv5*";
    let outside = "RXM-01 RXM-01 MCF-04 MCF-09 BCQ-01 RXM-10";
    for src in [OUTSIDE, LOWER, GROUP] {
        is(&switch, "wire", (BROADCAST, src), &format!("{outside}: {all}"));
    }
    let from_bridge = "RXM-03 RXM-03 MCF-04 MCF-09 BCQ-01 RXM-10: host mv1* mv5*";
    is(&switch, "wire", (BROADCAST, mac(0)), from_bridge);
    let from_vepa = "RXM-02 RXM-02 MCF-04 MCF-09 BCQ-01 RXM-10: host mv0* mv4* mv5*";
    is(&switch, "wire", (BROADCAST, mac(1)), from_vepa);
    is(&switch, "wire", (BROADCAST, mac(2)), "RXM-04: mv2");
    is(&switch, "wire", (BROADCAST, mac(3)), "RXM-06: mv3");
    is(&switch, "wire", (GROUP, mac(3)), "RXM-06: mv3");
    // PAUSE frames: back to such a sender, else for the host alone.
    kind_is(&switch, "wire", (BROADCAST, OUTSIDE, PAUSE), "RXM-14: host");
    kind_is(&switch, "wire", (BROADCAST, mac(0), PAUSE), "RXM-14: host");
    kind_is(&switch, "wire", (BROADCAST, mac(2), PAUSE), "RXM-04: mv2");
    switch.down("mv1");
    let down = "LC-34 RXM-01 RXM-01 LC-34 MCF-04 MCF-09 BCQ-01 RXM-10: host mv0* mv2* mv4* mv5*";
    is(&switch, "wire", (BROADCAST, mac(1)), down);
    switch.down("mv5");
    is(&switch, "wire", (BROADCAST, mac(0)), "RXM-03 RXM-03 LC-34 RXM-10: host");

    let switch = Switch::with(no_host, &[Bridge]);
    is(&switch, "wire", (BROADCAST, OUTSIDE), "RXM-01 MCF-04 MCF-09 BCQ-01 RXM-10: mv0*");
    is(&switch, "wire", (BROADCAST, mac(0)), "RXM-03 RXM-03 RXM-10: dropped no_member");
    is(&switch, "wire", (GROUP, OUTSIDE), "RXM-11 RXM-10: dropped no_member");
    kind_is(&switch, "wire", (GROUP, OUTSIDE, PAUSE), "RXM-14: dropped no_member");
}

#[test]
fn filters_and_the_queue() {
    let mut switch = Switch::new(&[Bridge, Bridge, Vepa]);
    is(&switch, "wire", (GROUP, OUTSIDE), "RXM-11 RXM-10: host");
    switch.fdb_add("mv0", GROUP).unwrap();
    is(&switch, "wire", (GROUP, OUTSIDE), "RXM-01 MCF-01 MCF-01 MCF-09 RXM-10: host mv0");
    is(&switch, "wire", (GROUP, mac(0)), "RXM-03 RXM-03 MCF-01 RXM-10: host");
    switch.fdb_add("mv1", GROUP).unwrap();
    let popular = "RXM-01 MCF-01 MCF-01 MCF-09 BCQ-01 RXM-10: host mv0* mv1*";
    is(&switch, "wire", (GROUP, OUTSIDE), popular);
    switch.set("mv0", |r| data(r).bc_cutoff = Some(2)).unwrap();
    is(&switch, "wire", (GROUP, OUTSIDE), "RXM-01 MCF-01 MCF-01 MCF-09 RXM-10: host mv0 mv1");
    switch.set("mv2", |r| r.allmulti = Some(true)).unwrap();
    is(&switch, "wire", (OTHER_GROUP, OUTSIDE), {
        "RXM-01 MCF-05 MCF-01 MCF-07 BCQ-01 RXM-10: host mv2*"
    });
    is(&switch, "wire", (GROUP, OUTSIDE), {
        "RXM-01 MCF-05 MCF-01 MCF-07 BCQ-01 RXM-10: host mv0* mv1* mv2*"
    });
    is(&switch, "mv0", (GROUP, mac(0)), "TX-08 TX-08 MCF-01: wire mv1");
    is(&switch, "mv0", (OTHER_GROUP, mac(0)), "TX-08 TX-08 MCF-01: wire");
    for name in ["mv0", "mv1", "mv2"] {
        switch.set(name, |r| data(r).bc_queue_len = Some(0)).unwrap();
    }
    let explanation = explained(&switch, "wire", BROADCAST, OUTSIDE, PLAIN);
    let queue = explanation.rules.iter().find(|rule| rule.id == "BCQ-01").unwrap();
    assert!(queue.text.contains("dropped as bc_queue_full"), "{queue:?}");
    switch.set("mv0", |r| data(r).bc_cutoff = Some(-1)).unwrap();
    is(&switch, "wire", (BROADCAST, OUTSIDE), "RXM-01 MCF-04 MCF-09 RXM-10: host mv0 mv1 mv2");
}

#[test]
fn unicast_from_links() {
    let mut switch = Switch::new(&[Bridge, Bridge, Vepa, Private, Source, Bridge]);
    switch.down("mv5");
    is(&switch, "mv0", (mac(1), mac(0)), "TX-02: mv1");
    is(&switch, "mv0", (mac(0), mac(0)), "TX-05: mv0");
    for other in 2..5 {
        is(&switch, "mv0", (mac(other), mac(0)), "TX-03: wire");
    }
    is(&switch, "mv0", (mac(5), mac(0)), "TX-04: wire");
    is(&switch, "mv0", (LOWER, mac(0)), "TX-06: wire");
    is(&switch, "mv0", (OUTSIDE, mac(0)), "TX-07: wire");
    for from in ["mv2", "mv3", "mv4"] {
        for dst in [mac(0), LOWER, OUTSIDE, BROADCAST] {
            is(&switch, from, (dst, mac(9)), "TX-01: wire");
        }
    }
    is(&switch, "mv5", (OUTSIDE, mac(5)), "link_down: dropped link_down");
}

#[test]
fn groups_from_links() {
    let mut switch = Switch::new(&[Bridge, Bridge, Vepa, Private, Source, Bridge]);
    is(&switch, "mv0", (BROADCAST, mac(0)), "TX-08 TX-08 MCF-04: wire mv1 mv5");
    kind_is(&switch, "mv0", (BROADCAST, mac(0), PAUSE), "TX-09: wire");
    switch.down("mv5");
    is(&switch, "mv0", (BROADCAST, mac(0)), "TX-08 TX-08 LC-34 MCF-04: wire mv1");
    is(&switch, "mv0", (GROUP, mac(0)), "TX-08 TX-08 LC-34 MCF-01: wire");
}

#[test]
fn the_host() {
    let switch = Switch::new(&MIXED);
    for dst in [mac(0), OUTSIDE, BROADCAST] {
        is(&switch, "host", (dst, LOWER), "TX-10: wire");
    }
    let mut switch = Switch::with(reachable, &[Bridge, Vepa, Source]);
    is(&switch, "host", (mac(0), LOWER), "reachable TX-02: mv0");
    is(&switch, "host", (mac(1), LOWER), "reachable TX-03: wire");
    is(&switch, "host", (LOWER, LOWER), "reachable TX-05: host");
    is(&switch, "host", (OUTSIDE, LOWER), "reachable TX-07: wire");
    is(&switch, "host", (BROADCAST, LOWER), "reachable TX-08 TX-08 MCF-04: wire mv0");
    is(&switch, "mv0", (LOWER, mac(0)), "reachable TX-02: host");
    is(&switch, "mv1", (LOWER, mac(1)), "TX-01: wire");
    is(&switch, "mv0", (BROADCAST, mac(0)), "TX-08 TX-08 reachable: wire host");
    is(&switch, "wire", (BROADCAST, LOWER), {
        "reachable RXM-03 RXM-03 MCF-04 MCF-09 BCQ-01 RXM-03: mv1*"
    });
    is(&switch, "wire", (GROUP, LOWER), "RXM-11 RXM-03: dropped no_member");
    list(&mut switch, "mv2", mac(0), false);
    is(&switch, "mv0", (LOWER, mac(0)), "reachable TX-02 TX-11 SRC-03 SRC-04: host mv2");
}

#[test]
fn source_lists() {
    let mut switch = Switch::new(&[Bridge, Bridge, Source, Source]);
    list(&mut switch, "mv2", OUTSIDE, false);
    is(&switch, "wire", (mac(0), OUTSIDE), "SRC-03 SRC-04 RXU-02: mv0 mv2");
    is(&switch, "wire", (mac(9), OUTSIDE), "SRC-03 SRC-04 RXU-04: host mv2");
    is(&switch, "wire", (GROUP, OUTSIDE), "SRC-03 SRC-04 RXM-11 RXM-10: host mv2");
    list(&mut switch, "mv3", OUTSIDE, true);
    is(&switch, "wire", (mac(0), OUTSIDE), "SRC-03 SRC-05: mv2 mv3");
    switch.down("mv3");
    is(&switch, "wire", (mac(0), OUTSIDE), "SRC-03 SRC-06: mv2");
    switch.down("mv2");
    is(&switch, "wire", (mac(0), OUTSIDE), "SRC-03 SRC-06: dropped source_nodst");
    list(&mut switch, "mv3", OUTSIDE, false);
    is(&switch, "wire", (mac(0), OUTSIDE), "SRC-03 RXU-02: mv0");
    for name in ["mv2", "mv3"] {
        switch.up(name).unwrap();
    }
    list(&mut switch, "mv3", mac(3), false);
    is(&switch, "wire", (BROADCAST, mac(3)), "SRC-03 SRC-04 RXM-06: mv3 mv3");
    // Of what links send, lists see what is handed over.
    list(&mut switch, "mv2", mac(0), true);
    is(&switch, "mv0", (mac(1), mac(0)), "TX-02 TX-11 SRC-03 SRC-05: mv2");
    is(&switch, "mv0", (OUTSIDE, mac(0)), "TX-07: wire");
    is(&switch, "mv0", (BROADCAST, mac(0)), "TX-08 TX-08 MCF-04: wire mv1");
    switch.down("mv2");
    is(&switch, "mv0", (mac(1), mac(0)), "TX-02 TX-11 SRC-06: dropped source_nodst");
}

#[test]
fn our_own_checks() {
    let mut switch = Switch::with(|spec| spec.private_strict = true, &MIXED);
    for (dst, src) in [(0, 2), (2, 0), (3, 2)] {
        let dropped = "private_strict: dropped private_strict";
        is(&switch, "wire", (mac(dst), mac(src)), dropped);
    }
    is(&switch, "wire", (mac(0), mac(1)), "RXU-02 RXU-06: mv0");
    is(&switch, "wire", (mac(2), mac(2)), "RXU-02: mv2");
    list(&mut switch, "mv3", mac(2), false);
    is(&switch, "wire", (mac(0), mac(2)), "private_strict: dropped private_strict");
    is(&switch, "wire", (mac(9), mac(2)), "SRC-03 SRC-04 RXU-04: host mv3");
    // Spoofing is the first thing asked.
    switch.set("mv0", |r| r.extensions.spoof_check = Some(true)).unwrap();
    is(&switch, "mv0", (mac(1), mac(2)), "spoof_check: dropped spoofed");
    switch.set("mv0", |r| r.extensions.spoof_check = Some(true)).unwrap();
    is(&switch, "mv0", (OUTSIDE, mac(0)), "TX-07: wire");
    is(&switch, "mv0", (OUTSIDE, mac(7)), "spoof_check: dropped spoofed");
    switch.set("mv0", |r| r.extensions.addresses = Some(vec![mac(7)])).unwrap();
    is(&switch, "mv0", (OUTSIDE, mac(7)), "TX-07: wire");
    is(&switch, "wire", (mac(7), OUTSIDE), "RXU-02: mv0");

    let mut switch = Switch::with(|spec| spec.drop_link_local = true, &[Bridge, Vepa, Source]);
    list(&mut switch, "mv2", OUTSIDE, true);
    is(&switch, "wire", (STP, OUTSIDE), "drop_link_local: host");
    is(&switch, "mv0", (STP, mac(0)), "drop_link_local: dropped link_local");
    is(&switch, "mv1", (STP, mac(1)), "drop_link_local: dropped link_local");
    is(&switch, "host", (STP, LOWER), "TX-10: wire");
    let both = |spec: &mut LowerSpec| (spec.drop_link_local, spec.host) = (true, HostPort::None);
    let switch = Switch::with(both, &[Bridge]);
    is(&switch, "wire", (STP, OUTSIDE), "drop_link_local: dropped link_local");
}

#[test]
fn a_lower_that_does_not_pass() {
    let mut switch = Switch::new(&MIXED);
    for (event, why) in
        [(Event::Change { carrier: false }, "no carrier"), (Event::Down, "administratively down")]
    {
        switch.event(event).unwrap();
        for from in ["wire", "host", "mv0", "mv1"] {
            for dst in [mac(0), BROADCAST] {
                is(&switch, from, (dst, OUTSIDE), "TX-17: dropped lower_down");
                let text = &explained(&switch, from, dst, OUTSIDE, PLAIN).rules[0].text;
                assert!(text.contains(why), "{text}");
            }
        }
    }
}

#[test]
fn sentences_name_links_and_reasons() {
    let mut switch = Switch::new(&[Bridge, Bridge, Vepa, Private, Source, Bridge]);
    switch.down("mv1");
    let explanation = explained(&switch, "wire", BROADCAST, mac(0), PLAIN);
    let texts: Vec<&str> = explanation.rules.iter().map(|rule| &*rule.text).collect();
    assert_eq!(
        texts,
        [
            "mv0 has 02:00:00:00:00:00 and is in bridge mode: its frame, reflected by a switch, is \
         for links in vepa mode",
            "left out: mv0 (the sender), mv3 (private), mv4 (source: by its list only) and mv5 \
             (bridge: had its copy when it was sent)",
            "left out, being down: mv1",
            "broadcasts are heard by every link: mv2",
            "copies of broadcasts may wait in the queue",
            "lan0 is asked for a queue of 1000 frames",
            "groups are for the host besides: the host gets it",
        ]
    );
    let explanation = explained(&switch, "mv0", BROADCAST, mac(0), PLAIN);
    let text = "left out: mv0 (the sender), mv2 (vepa), mv3 (private) and mv4 (source)";
    assert_eq!(explanation.rules[1].text, text);
    let explanation = explained(&switch, "mv2", mac(0), mac(2), PLAIN);
    let text = "mv2 is in vepa mode: all it sends goes to the wire; mv0 gets it if a switch \
                reflects it";
    assert_eq!(explanation.rules[0].text, text);
}

#[test]
fn only_what_exists_is_explained() {
    let mut switch = Switch::new(&[Bridge]);
    let lan1 = LowerSpec::ethernet("lan1", mac(77), 1500);
    let lan1 = switch.driver.add_lower(lan1).unwrap();
    let head = Head::default();
    let from = |lower, place| explain(&switch.driver, lower, place, head);
    assert!(from(lan1, Place::Wire).is_some());
    assert_eq!(from(Index::new(99), Place::Wire), None);
    assert_eq!(from(lan1, Place::Link(switch.index("mv0"))), None, "of another lower");
    assert_eq!(from(switch.index("mv0"), Place::Wire), None, "no lower");
}
