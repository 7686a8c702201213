//! Frames from links and from the host: TX, and the extensions that touch them.

use macvlan::driver::{Event, HostPort};
use macvlan::mac::MacAddr;
use macvlan::mode::Mode::{Bridge, Passthru, Private, Source, Vepa};

use super::lists::list;
use super::switch::{BROADCAST, GROUP, LOWER, OUTSIDE, Switch, mac};

#[test]
fn tx_01_all_but_bridge_links_send_to_the_wire_only() {
    for mode in [Private, Vepa, Source] {
        let switch = Switch::new(&[mode, mode, Bridge]);
        for dst in [mac(0), mac(1), mac(2), LOWER, OUTSIDE, GROUP, BROADCAST, MacAddr::ZERO] {
            assert_eq!(switch.from("mv0", dst, mac(0)), "wire", "{mode} to {dst}");
        }
    }
    for dst in [LOWER, OUTSIDE] {
        assert_eq!(Switch::new(&[Passthru]).from("mv0", dst, LOWER), "wire");
    }
}

#[test]
fn tx_02_bridge_links_reach_each_other_directly() {
    let switch = Switch::new(&[Bridge, Bridge]);
    assert_eq!(switch.from("mv0", mac(1), mac(0)), "mv1");
    assert_eq!(switch.frame("mv0", mac(1), mac(0), 0x8100), "mv1", "tagged or not");
}

#[test]
fn tx_03_siblings_of_another_mode_are_reached_by_the_wire() {
    let switch = Switch::new(&[Bridge, Private, Vepa, Source]);
    for number in 1..4 {
        assert_eq!(switch.from("mv0", mac(number), mac(0)), "wire");
    }
}

#[test]
fn tx_04_a_sibling_that_is_down_is_not_reached() {
    let mut switch = Switch::new(&[Bridge, Bridge]);
    switch.down("mv1");
    assert_eq!(switch.from("mv0", mac(1), mac(0)), "wire");
}

#[test]
fn tx_05_a_bridge_link_reaches_itself() {
    assert_eq!(Switch::new(&[Bridge]).from("mv0", mac(0), mac(0)), "mv0");
}

#[test]
fn tx_06_the_host_cannot_be_reached() {
    assert_eq!(Switch::new(&[Bridge]).from("mv0", LOWER, mac(0)), "wire");
}

#[test]
fn tx_07_unknown_unicast_is_not_flooded() {
    assert_eq!(Switch::new(&[Bridge, Bridge]).from("mv0", OUTSIDE, mac(0)), "wire");
}

#[test]
fn tx_08_groups_reach_bridge_siblings_and_the_wire() {
    let mut switch = Switch::new(&[Bridge, Bridge, Vepa, Private, Source, Bridge, Bridge]);
    switch.down("mv6");
    assert_eq!(switch.from("mv0", BROADCAST, mac(0)), "wire mv1 mv5");
    assert_eq!(switch.from("mv0", GROUP, mac(0)), "wire");
    switch.fdb_add("mv5", GROUP).unwrap();
    assert_eq!(switch.from("mv0", GROUP, mac(0)), "wire mv5");
}

#[test]
fn tx_09_pause_frames_go_to_the_wire_only() {
    let mut switch = Switch::new(&[Bridge, Bridge]);
    switch.set("mv1", |r| r.allmulti = Some(true)).unwrap();
    let pause = MacAddr::new([1, 0x80, 0xc2, 0, 0, 1]);
    assert_eq!(switch.frame("mv0", pause, mac(0), 0x8808), "wire");
    assert_eq!(switch.frame("mv0", pause, mac(0), 0x88cc), "wire mv1");
}

#[test]
fn tx_10_the_host_sends_to_the_wire_only() {
    let switch = Switch::new(&[Bridge, Vepa, Private]);
    for dst in [mac(0), mac(1), mac(2), OUTSIDE, GROUP, BROADCAST] {
        assert_eq!(switch.from("host", dst, LOWER), "wire");
    }
}

#[test]
fn tx_11_source_lists_see_what_bridge_links_send_each_other() {
    let mut switch = Switch::new(&[Bridge, Bridge, Source]);
    list(&mut switch, "mv2", &[mac(0)], false);
    assert_eq!(switch.from("mv0", mac(1), mac(0)), "mv1 mv2");
    assert_eq!(switch.from("mv0", mac(0), mac(0)), "mv0 mv2");
    // What goes to the wire does not pass the lower's receive side.
    assert_eq!(switch.from("mv0", OUTSIDE, mac(0)), "wire");
    assert_eq!(switch.from("mv0", BROADCAST, mac(0)), "wire mv1");
    list(&mut switch, "mv2", &[mac(0)], true);
    assert_eq!(switch.from("mv0", mac(1), mac(0)), "mv2", "stolen");
    switch.down("mv2");
    assert_eq!(switch.from("mv0", mac(1), mac(0)), "", "and lost");
}

#[test]
fn tx_12_a_lower_that_is_down_passes_nothing_between_links() {
    let mut switch = Switch::new(&[Bridge, Bridge]);
    switch.event(Event::Down).unwrap();
    assert_eq!(switch.from("mv0", mac(1), mac(0)), "");
}

#[test]
fn tx_13_a_sibling_that_is_not_up_gets_no_copy() {
    let mut switch = Switch::new(&[Bridge, Bridge]);
    switch.down("mv1");
    assert_eq!(switch.from("mv0", BROADCAST, mac(0)), "wire");
}

#[test]
fn tx_14_the_source_is_neither_checked_nor_looked_at() {
    let switch = Switch::new(&[Bridge, Bridge, Vepa]);
    for src in [mac(0), mac(1), LOWER, OUTSIDE, GROUP, MacAddr::ZERO] {
        assert_eq!(switch.from("mv0", mac(1), src), "mv1");
        assert_eq!(switch.from("mv0", BROADCAST, src), "wire mv1", "less the sender, not {src}");
        assert_eq!(switch.from("mv2", BROADCAST, src), "wire");
    }
}

#[test]
fn tx_16_a_passthru_link_sends_groups_to_the_wire_only() {
    let switch = Switch::new(&[Passthru]);
    for dst in [GROUP, BROADCAST] {
        assert_eq!(switch.from("mv0", dst, LOWER), "wire");
    }
}

#[test]
fn tx_17_nothing_leaves_by_a_lower_that_is_down() {
    let mut switch = Switch::new(&[Bridge, Vepa]);
    for event in [Event::Down, Event::Change { carrier: false }] {
        switch.event(event).unwrap();
        for from in ["mv0", "mv1", "host", "wire"] {
            for dst in [mac(0), OUTSIDE, BROADCAST] {
                assert_eq!(switch.from(from, dst, OUTSIDE), "", "{from}, {event:?}");
            }
        }
        switch.event(Event::Up).unwrap();
        switch.event(Event::Change { carrier: true }).unwrap();
        assert_eq!(switch.from("mv1", OUTSIDE, mac(1)), "wire");
    }
}

#[test]
fn a_link_that_is_down_sends_nothing() {
    for mode in [Private, Vepa, Bridge, Passthru, Source] {
        let mut switch = Switch::new(&[mode]);
        switch.down("mv0");
        for dst in [OUTSIDE, BROADCAST] {
            assert_eq!(switch.from("mv0", dst, mac(0)), "", "{mode}");
        }
    }
}

#[test]
fn a_reachable_host_is_one_more_bridge_member() {
    let mut switch = Switch::with(
        |spec| spec.host = HostPort::Reachable,
        &[Bridge, Bridge, Vepa, Private, Source],
    );
    assert_eq!(switch.from("mv0", LOWER, mac(0)), "host");
    assert_eq!(switch.from("mv0", BROADCAST, mac(0)), "wire host mv1");
    assert_eq!(switch.from("mv2", LOWER, mac(2)), "wire", "for bridge links only");
    assert_eq!(switch.from("host", mac(0), LOWER), "mv0");
    assert_eq!(switch.from("host", mac(2), LOWER), "wire");
    assert_eq!(switch.from("host", BROADCAST, LOWER), "wire mv0 mv1");
    assert_eq!(switch.from("host", GROUP, LOWER), "wire", "filtered");
    // Reflected: as for a bridge link (RXM-03), and not back to itself.
    assert_eq!(switch.wire(BROADCAST, LOWER), "mv2");
    list(&mut switch, "mv4", &[LOWER, mac(0)], false);
    assert_eq!(switch.from("host", mac(0), LOWER), "mv0 mv4");
    assert_eq!(switch.from("mv0", LOWER, mac(0)), "host mv4");
    switch.down("mv0");
    assert_eq!(switch.from("host", mac(0), LOWER), "wire");
}

#[test]
fn spoof_check_drops_what_is_not_from_an_address_of_the_link() {
    let mut switch = Switch::new(&[Bridge, Bridge, Vepa]);
    for name in ["mv0", "mv2"] {
        let own = switch.link(name).address;
        switch
            .set(name, |r| {
                r.extensions.spoof_check = Some(true);
                r.extensions.addresses = Some(vec![mac(8 + own.bytes()[5])]);
            })
            .unwrap();
        for src in [mac(1), OUTSIDE, LOWER, GROUP, MacAddr::ZERO] {
            for dst in [mac(1), OUTSIDE, BROADCAST] {
                assert_eq!(switch.from(name, dst, src), "");
            }
        }
        for src in [own, mac(8 + own.bytes()[5])] {
            assert_eq!(switch.from(name, OUTSIDE, src), "wire");
        }
    }
    assert_eq!(switch.from("mv1", OUTSIDE, mac(7)), "wire", "the others are not checked");
}

#[test]
fn further_addresses_are_like_the_first() {
    let mut switch = Switch::new(&[Bridge, Private, Bridge]);
    let further = |list: Vec<MacAddr>| {
        move |r: &mut macvlan::request::LinkRequest| r.extensions.addresses = Some(list)
    };
    switch.set("mv0", further(vec![mac(10), mac(11)])).unwrap();
    switch.set("mv1", further(vec![mac(12)])).unwrap();
    assert_eq!(switch.wire(mac(11), OUTSIDE), "mv0");
    assert_eq!(switch.from("mv2", mac(10), mac(2)), "mv0");
    assert_eq!(switch.wire(BROADCAST, mac(12)), "mv1", "recognised as the sender");
    assert!(switch.rx_mode().unicast.contains(&mac(12)));
    for taken in [LOWER, mac(1), mac(12)] {
        assert_eq!(switch.set("mv0", further(vec![taken])), Err("EADDRINUSE"));
        switch.down("mv0");
        assert_eq!(switch.set("mv0", further(vec![taken])), Err("EADDRINUSE"), "down as well");
        switch.up("mv0").unwrap();
    }
    assert_eq!(switch.set_address("mv2", mac(10)), Err("EADDRINUSE"));
    for bad in [GROUP, MacAddr::ZERO] {
        assert_eq!(switch.set("mv0", further(vec![bad])), Err("EADDRNOTAVAIL"));
    }
    switch.set("mv0", further(vec![])).unwrap();
    assert_eq!(switch.wire(mac(11), OUTSIDE), "host");
}
