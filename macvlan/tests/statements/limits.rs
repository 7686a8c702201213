//! Many of everything, and numbers that nobody gave out.

use macvlan::driver::{MAX_ADDRESSES, MAX_LISTED};
use macvlan::fib::{Decisions, Fib, GroupId, Head, Output, Target};
use macvlan::mac::MacAddr;
use macvlan::mode::Mode::{self, Bridge, Source, Vepa};
use macvlan::request::LinkRequest;
use macvlan::rules::{CompileError, compile};

use super::switch::{BROADCAST, OUTSIDE, Switch, data};

fn numbered(kind: u8, number: usize) -> MacAddr {
    let [.., a, b, c] = number.to_be_bytes();
    MacAddr::new([2, kind, 0, a, b, c])
}

fn link(number: usize, mode: Mode) -> impl FnOnce(&mut LinkRequest) {
    move |r| {
        r.address = Some(numbered(1, number).bytes().to_vec());
        r.up = Some(true);
        data(r).mode = Some(mode.value());
    }
}

fn head(dst: MacAddr, src: MacAddr) -> Head {
    let bytes = [&dst.bytes()[..], &src.bytes(), &[0x88, 0xb5]].concat();
    Head::read(&bytes.try_into().unwrap())
}

#[test]
fn a_thousand_bridge_links_hear_each_other() {
    let mut switch = Switch::new(&[]);
    for number in 0..1000 {
        switch.add(&format!("mv{number}"), link(number, Bridge)).unwrap();
    }
    let fib = switch.fib();
    for slot in [0, 500, 999] {
        let from = Output::link(slot);
        let receivers = fib.receivers(from, head(BROADCAST, OUTSIDE));
        assert_eq!(receivers.len(), 1000, "999 siblings and the wire");
        assert!(receivers.iter().all(|receiver| receiver.output != from));
    }
}

#[test]
fn a_lower_has_as_many_links_as_the_refusal_says() {
    // Alternating modes need the most groups.
    let mode = |number| if number % 2 == 0 { Bridge } else { Vepa };
    let mut switch = Switch::new(&[]);
    for number in 0..Output::MAX_LINKS {
        switch.add(&format!("mv{number}"), link(number, mode(number))).unwrap();
    }
    let more = link(Output::MAX_LINKS, Bridge);
    let refusal = switch.try_add("more", more).unwrap_err();
    assert_eq!(refusal.errno.name(), "ENOSPC");
    assert!(refusal.message.contains(&Output::MAX_LINKS.to_string()), "{refusal}");
    let fib = switch.fib();
    let last = Output::MAX_LINKS - 1;
    let vepa = if last % 2 == 1 { last } else { last - 1 };
    let reflected = fib.receivers(Output::WIRE, head(BROADCAST, numbered(1, vepa)));
    assert_eq!(reflected.len(), Output::MAX_LINKS, "the host, and all but itself");
    let from = Output::link((last - last % 2).try_into().unwrap());
    let sent = fib.receivers(from, head(BROADCAST, OUTSIDE));
    assert_eq!(sent.len(), Output::MAX_LINKS.div_ceil(2), "its siblings and the wire");
    let one = fib.receivers(Output::WIRE, head(numbered(1, last), OUTSIDE));
    assert_eq!(one.len(), 1);
}

#[test]
fn a_lower_has_as_many_addresses_as_the_refusal_says() {
    let mut switch = Switch::new(&[Vepa]);
    let further = |count| {
        let list: Vec<MacAddr> = (0..count).map(|number| numbered(2, number)).collect();
        move |r: &mut LinkRequest| r.extensions.addresses = Some(list)
    };
    let refusal = switch.try_set("mv0", further(MAX_ADDRESSES)).unwrap_err();
    assert_eq!(refusal.errno.name(), "ENOSPC");
    assert!(refusal.message.contains(&MAX_ADDRESSES.to_string()), "{refusal}");
    switch.set("mv0", further(MAX_ADDRESSES - 1)).unwrap();
    for number in [0, 1000, MAX_ADDRESSES - 2] {
        assert_eq!(switch.wire(numbered(2, number), OUTSIDE), "mv0");
    }
    assert_eq!(switch.rx_mode().unicast.len(), MAX_ADDRESSES);
}

#[test]
fn source_lists_are_as_long_as_the_refusal_says() {
    let mut switch = Switch::new(&[Source]);
    let list = |count| {
        let entries = (0..count).map(|number| (4, numbered(3, number).bytes().to_vec())).collect();
        move |r: &mut LinkRequest| {
            let data = data(r);
            (data.macaddr_mode, data.macaddr_data) = (Some(3), Some(entries));
        }
    };
    assert_eq!(switch.set("mv0", list(MAX_LISTED + 1)), Err("ENOSPC"));
    assert_eq!(switch.info("mv0").macaddr, []);
    switch.set("mv0", list(MAX_LISTED)).unwrap();
    assert_eq!(switch.wire(super::switch::LOWER, numbered(3, MAX_LISTED - 1)), "host mv0");
}

#[test]
fn as_many_groups_as_a_lower_can_have() {
    let mut switch = Switch::new(&[Vepa, Vepa]);
    let group = |number: usize| {
        let [.., a, b] = number.to_be_bytes();
        MacAddr::new([1, 0, 0x5e, 0, a, b])
    };
    let mut joined = 0;
    let refused = loop {
        match switch.fdb_add("mv0", group(joined)) {
            Ok(()) => joined += 1,
            Err(errno) => break errno,
        }
        assert!(joined <= MAX_LISTED);
    };
    assert_eq!(refused, "ENOSPC");
    assert!(joined > 30_000, "{joined}");
    assert_eq!(switch.wire(group(0), OUTSIDE), "host mv0");
    assert_eq!(switch.wire(group(joined - 1), OUTSIDE), "host mv0");
    assert_eq!(switch.wire(group(joined), OUTSIDE), "host");
}

#[test]
fn numbers_that_nobody_gave_out_are_harmless() {
    let fib = Switch::new(&[Bridge]).fib();
    assert_eq!(fib.members(GroupId::new(7777), 0).into_iter().count(), 0);
    assert_eq!(fib.source_members(99), []);
    let mut decisions = Decisions::new(1);
    fib.classify(Output::link(7), &[head(BROADCAST, OUTSIDE)], &mut decisions);
    assert!(matches!(decisions.target(0), Target::Drop(_)));
}

#[test]
fn a_lower_that_does_not_exist_does_not_compile() {
    let switch = Switch::new(&[Vepa]);
    let nobody = switch.index("mv9");
    let error = compile(&switch.driver, nobody).unwrap_err();
    assert_eq!(error, CompileError::NoLower(nobody));
}

#[test]
fn workers_may_share_a_fib() {
    fn shared<T: Send + Sync>() {}
    shared::<Fib>();
}

/// Links join groups of their own: what that costs follows from how many they
/// join, not from how many links there are besides.
#[test]
fn lists_of_groups_are_made_from_those_who_joined() {
    let cost = |links: usize, groups: usize| {
        let mut switch = Switch::new(&[]);
        for number in 0..links {
            let index = switch.try_add(&format!("mv{number}"), link(number, Bridge)).unwrap();
            for group in number * groups..(number + 1) * groups {
                let [.., a, b, c] = group.to_be_bytes();
                let group = MacAddr::new([1, 0, 0x5e, a, b, c]);
                switch.driver.fdb_add(index, group, false).unwrap();
            }
        }
        let once = || {
            let start = std::time::Instant::now();
            drop(switch.fib());
            start.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap()
    };
    let (few, many) = (cost(20, 1000), cost(1000, 20));
    // By asking every link about every group it is fifty times as much.
    assert!(many < 10 * few, "{few:?} with 20 links, {many:?} with 1,000");
}

/// Every address of a link that goes up is held against those of its siblings.
#[test]
fn links_with_many_addresses_go_up_in_passing() {
    let cost = |further: usize| {
        let once = || {
            let start = std::time::Instant::now();
            let mut switch = Switch::new(&[]);
            for number in 0..200 {
                let request = |r: &mut LinkRequest| {
                    link(number, Bridge)(r);
                    let own = (0..further).map(|n| numbered(2, number * further + n));
                    r.extensions.addresses = Some(own.collect());
                };
                switch.add(&format!("mv{number}"), request).unwrap();
            }
            start.elapsed()
        };
        (0..3).map(|_| once()).min().unwrap()
    };
    let (few, many) = (cost(4), cost(128));
    // Each with each is 600 times as much and more.
    assert!(many < 400 * few, "{few:?} with 4 each, {many:?} with 128");
}

#[test]
fn a_long_list_of_addresses_is_compared_with_itself_in_passing() {
    let mut switch = Switch::new(&[Vepa]);
    let mut set = |count| {
        let list = (0..count).map(|number| numbered(2, number)).collect();
        let start = std::time::Instant::now();
        switch.set("mv0", |r| r.extensions.addresses = Some(list)).unwrap();
        start.elapsed()
    };
    let (some, all) = ([1000; 3].map(&mut set), [60_000; 3].map(&mut set));
    let (some, all) = (some.iter().min().unwrap(), all.iter().min().unwrap());
    assert!(all < &(3000 * *some), "{some:?} for 1,000, {all:?} for 60,000");
}

/// Dumps ask it for every link, and requests for every name.
#[test]
fn names_and_the_length_of_the_queue_are_known_without_asking_all_links() {
    type Question = fn(&Switch, &str);
    let length: Question = |switch, _| {
        assert_eq!(switch.driver.bc_queue_len_used(switch.lan0), 1000);
    };
    let name: Question = |switch, name| assert!(switch.driver.by_name(name).is_some());
    let cost = |links: usize, ask: Question| {
        let mut switch = Switch::new(&[]);
        for number in 0..links {
            switch.add(&format!("mv{number}"), link(number, Bridge)).unwrap();
        }
        let last = format!("mv{}", links - 1);
        let once = || {
            let start = std::time::Instant::now();
            (0..1000).for_each(|_| ask(&switch, &last));
            start.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap()
    };
    for ask in [length, name] {
        let (few, many) = (cost(10, ask), cost(1000, ask));
        assert!(many < 20 * few, "{few:?} with 10 links, {many:?} with 1,000");
    }
}
