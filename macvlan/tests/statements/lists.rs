//! Source mode: SRC.

use macvlan::mac::MacAddr;
use macvlan::mode::Mode::{Bridge, Private, Source, Vepa};
use macvlan::request::{LinkData, LinkRequest};

use super::switch::{BROADCAST, GROUP, LOWER, OUTSIDE, Switch, data, mac};

/// Sets a link's list and its flag.
pub(crate) fn list(switch: &mut Switch, name: &str, addresses: &[MacAddr], nodst: bool) {
    let entries = addresses.iter().map(|mac| (4, mac.bytes().to_vec())).collect();
    let change = |r: &mut LinkRequest| {
        let data = data(r);
        (data.macaddr_mode, data.macaddr_data) = (Some(3), Some(entries));
        data.flags = Some(if nodst { 2 } else { 0 });
    };
    switch.set(name, change).unwrap();
}

/// One list operation with one address.
fn one(operation: u32, address: MacAddr) -> impl FnOnce(&mut LinkRequest) {
    let address = Some(address.bytes().to_vec());
    let change = LinkData { macaddr_mode: Some(operation), macaddr: address, ..Default::default() };
    move |r| r.data = Some(change)
}

const ADD: u32 = 0;
const DEL: u32 = 1;
const FLUSH: u32 = 2;
const SET: u32 = 3;

#[test]
fn src_01_an_address_may_be_listed_by_several_links() {
    let mut switch = Switch::new(&[Source, Source, Source]);
    list(&mut switch, "mv0", &[OUTSIDE, mac(9)], false);
    list(&mut switch, "mv2", &[OUTSIDE], false);
    assert_eq!(switch.wire(mac(50), OUTSIDE), "host mv0 mv2");
    assert_eq!(switch.wire(mac(50), mac(9)), "host mv0");
}

#[test]
fn src_02_lists_see_every_frame_and_ignore_the_group_filter() {
    let mut switch = Switch::new(&[Source, Bridge]);
    list(&mut switch, "mv0", &[OUTSIDE], false);
    assert_eq!(switch.wire(mac(1), OUTSIDE), "mv0 mv1");
    assert_eq!(switch.wire(LOWER, OUTSIDE), "host mv0");
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host mv0");
    assert_eq!(switch.wire(BROADCAST, OUTSIDE), "host mv0 mv1");
}

#[test]
fn src_03_only_links_that_are_up_get_copies() {
    let mut switch = Switch::new(&[Source, Source]);
    list(&mut switch, "mv0", &[OUTSIDE], false);
    list(&mut switch, "mv1", &[OUTSIDE], false);
    switch.down("mv0");
    assert_eq!(switch.wire(LOWER, OUTSIDE), "host mv1");
}

#[test]
fn src_04_without_nodst_the_frame_goes_on_as_usual() {
    let mut switch = Switch::new(&[Source, Vepa, Private]);
    list(&mut switch, "mv0", &[OUTSIDE, mac(1)], false);
    assert_eq!(switch.wire(mac(2), OUTSIDE), "mv0 mv2");
    assert_eq!(switch.wire(BROADCAST, OUTSIDE), "host mv0 mv1 mv2");
    assert_eq!(switch.wire(BROADCAST, mac(1)), "host mv0", "RXM-02");
}

#[test]
fn src_05_one_nodst_among_them_consumes_the_frame() {
    let mut switch = Switch::new(&[Source, Source, Vepa]);
    list(&mut switch, "mv0", &[OUTSIDE], false);
    list(&mut switch, "mv1", &[OUTSIDE, mac(9)], true);
    for dst in [mac(2), LOWER, BROADCAST] {
        assert_eq!(switch.wire(dst, OUTSIDE), "mv0 mv1");
    }
    // A catch-all: every frame exactly once.
    assert_eq!(switch.wire(mac(2), mac(9)), "mv1");
    assert_eq!(switch.wire(mac(2), mac(50)), "mv2");
}

#[test]
fn src_06_nodst_consumes_even_while_its_link_is_down() {
    let mut switch = Switch::new(&[Source, Vepa]);
    list(&mut switch, "mv0", &[OUTSIDE], true);
    switch.down("mv0");
    assert_eq!(switch.wire(mac(1), OUTSIDE), "");
}

#[test]
fn src_07_nodst_without_a_list_does_nothing() {
    let mut switch = Switch::new(&[Source, Vepa]);
    list(&mut switch, "mv0", &[], true);
    assert_eq!(switch.wire(mac(1), OUTSIDE), "mv1");
    list(&mut switch, "mv0", &[OUTSIDE], true);
    switch.set_mode("mv0", Bridge).unwrap();
    assert_eq!(switch.wire(mac(1), OUTSIDE), "mv1");
}

#[test]
fn src_08_add_del_flush_and_set() {
    let mut switch = Switch::new(&[Source]);
    let listed = |switch: &Switch| switch.info("mv0").macaddr;
    for _ in 0..2 {
        switch.set("mv0", one(ADD, mac(7))).unwrap();
        assert_eq!(listed(&switch), [mac(7)]);
    }
    switch.set("mv0", one(ADD, mac(8))).unwrap();
    for _ in 0..2 {
        switch.set("mv0", one(DEL, mac(7))).unwrap();
        assert_eq!(listed(&switch), [mac(8)]);
    }
    let both = |r: &mut LinkRequest| {
        one(SET, mac(9))(r);
        data(r).macaddr_data = Some(vec![(4, mac(10).bytes().to_vec())]);
    };
    switch.set("mv0", both).unwrap();
    assert_eq!(listed(&switch), [mac(9), mac(10)], "a set replaces");
    switch.set("mv0", |r| data(r).macaddr_mode = Some(SET)).unwrap();
    assert_eq!(listed(&switch), [], "a set of nothing is a flush");
    switch.set("mv0", both).unwrap();
    switch.set("mv0", |r| data(r).macaddr_mode = Some(FLUSH)).unwrap();
    assert_eq!(listed(&switch), []);
}

#[test]
fn src_09_a_set_that_is_refused_leaves_the_list_as_it_was() {
    let mut switch = Switch::new(&[Source]);
    list(&mut switch, "mv0", &[mac(7)], false);
    let bad = |r: &mut LinkRequest| {
        one(SET, mac(8))(r);
        data(r).macaddr_data = Some(vec![(4, mac(9).bytes().to_vec()), (4, vec![0; 6])]);
    };
    assert_eq!(switch.set("mv0", bad), Err("EADDRNOTAVAIL"));
    assert_eq!(switch.info("mv0").macaddr, [mac(7)]);
    let too_late = |r: &mut LinkRequest| {
        one(SET, mac(8))(r);
        r.mtu = Some(9000);
    };
    assert_eq!(switch.set("mv0", too_late), Err("EINVAL"));
    assert_eq!(switch.info("mv0").macaddr, [mac(7)]);
}

#[test]
fn src_10_lists_are_long_and_hold_nothing_twice() {
    let address = |n: u16| MacAddr::new([2, 1, 0, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
    let mut switch = Switch::new(&[Source, Source]);
    let addresses: Vec<MacAddr> = (0..20_000).chain(0..100).map(address).collect();
    list(&mut switch, "mv0", &addresses, true);
    assert_eq!(switch.info("mv0").macaddr.len(), 20_000);
    for n in [0, 9_999, 19_999] {
        assert_eq!(switch.wire(LOWER, address(n)), "mv0");
    }
    assert_eq!(switch.wire(LOWER, address(20_000)), "host");
}

#[test]
fn src_11_dumps_are_in_ascending_order() {
    let mut switch = Switch::new(&[Source]);
    list(&mut switch, "mv0", &[mac(9), mac(7), mac(8)], false);
    assert_eq!(switch.info("mv0").macaddr, [mac(7), mac(8), mac(9)]);
}

#[test]
fn src_12_copies_for_lists_are_no_multicast() {
    let mut switch = Switch::new(&[Source, Vepa]);
    list(&mut switch, "mv0", &[OUTSIDE], false);
    assert_eq!(switch.multicast("wire", BROADCAST, OUTSIDE), "mv1");
}

#[test]
fn src_13_a_source_link_sends_to_the_wire_whatever_it_lists() {
    let mut switch = Switch::new(&[Source, Bridge]);
    list(&mut switch, "mv0", &[mac(1)], true);
    for (dst, src) in [(mac(1), mac(0)), (OUTSIDE, mac(1)), (BROADCAST, mac(0))] {
        assert_eq!(switch.from("mv0", dst, src), "wire");
    }
}

#[test]
fn src_14_lists_do_not_widen_the_lowers_filters() {
    let mut switch = Switch::new(&[Source]);
    let before = switch.rx_mode();
    list(&mut switch, "mv0", &[OUTSIDE], true);
    assert_eq!(switch.rx_mode(), before);
}
