//! What links hear and what lowers must let through: MCF, UCF.

use macvlan::mac::MacAddr;
use macvlan::mode::Mode::{self, Bridge, Passthru, Private, Source, Vepa};

use super::switch::{BROADCAST, GROUP, LOWER, OTHER_GROUP, OUTSIDE, Switch, data, mac};

fn allmulti(switch: &mut Switch, name: &str, on: bool) {
    switch.set(name, |r| r.allmulti = Some(on)).unwrap();
}

fn promisc(switch: &mut Switch, name: &str, on: bool) {
    switch.set(name, |r| r.promisc = Some(on)).unwrap();
}

fn nopromisc(switch: &mut Switch, on: bool) {
    switch.set("mv0", |r| data(r).flags = Some(u16::from(on))).unwrap();
}

#[test]
fn mcf_01_a_link_hears_the_groups_it_has_joined_and_no_other() {
    let mut switch = Switch::new(&[Vepa]);
    let group = |n: u8| MacAddr::new([1, 0, 0x5e, 0, 0, n]);
    switch.fdb_add("mv0", group(7)).unwrap();
    // All of them: a hash of 256 bits could not tell them apart.
    for n in 0..=255 {
        let expected = if n == 7 { "host mv0" } else { "host" };
        assert_eq!(switch.wire(group(n), OUTSIDE), expected);
    }
}

#[test]
fn mcf_02_the_lower_hears_what_any_link_has_joined() {
    let mut switch = Switch::new(&[Vepa, Bridge]);
    switch.fdb_add("mv0", GROUP).unwrap();
    switch.fdb_add("mv1", OTHER_GROUP).unwrap();
    assert_eq!(switch.rx_mode().groups, [GROUP, OTHER_GROUP].into());
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host mv0", "each its own");
    assert_eq!(switch.wire(OTHER_GROUP, OUTSIDE), "host mv1");
}

#[test]
fn mcf_03_filters_follow_every_change() {
    let mut switch = Switch::new(&[Vepa]);
    let hears = |switch: &Switch| switch.wire(GROUP, OUTSIDE) == "host mv0";
    assert!(!hears(&switch));
    switch.fdb_add("mv0", GROUP).unwrap();
    assert!(hears(&switch));
    switch.fdb_del("mv0", GROUP).unwrap();
    assert!(!hears(&switch));
    for change in [allmulti, promisc] {
        change(&mut switch, "mv0", true);
        assert!(hears(&switch));
        change(&mut switch, "mv0", false);
        assert!(!hears(&switch));
    }
}

#[test]
fn mcf_04_every_link_hears_broadcast() {
    for mode in [Private, Vepa, Bridge, Passthru] {
        let mut switch = Switch::new(&[mode]);
        assert_eq!(switch.wire(BROADCAST, OUTSIDE), "host mv0");
        switch.down("mv0");
        switch.up("mv0").unwrap();
        assert_eq!(switch.wire(BROADCAST, OUTSIDE), "host mv0");
    }
}

#[test]
fn mcf_05_allmulti_and_promisc_hear_all_groups() {
    for change in [allmulti, promisc] {
        let mut switch = Switch::new(&[Vepa, Bridge, Bridge]);
        change(&mut switch, "mv0", true);
        change(&mut switch, "mv2", true);
        assert_eq!(switch.wire(GROUP, OUTSIDE), "host mv0 mv2");
        assert_eq!(switch.from("mv1", GROUP, mac(1)), "wire mv2");
    }
}

#[test]
fn mcf_06_joins_reach_the_lower_while_the_link_is_up() {
    let mut switch = Switch::new(&[Source]);
    switch.fdb_add("mv0", GROUP).unwrap();
    assert_eq!(switch.rx_mode().groups, [GROUP].into());
    switch.down("mv0");
    assert_eq!(switch.rx_mode().groups, [].into());
    switch.up("mv0").unwrap();
    assert_eq!(switch.rx_mode().groups, [GROUP].into());
    switch.fdb_del("mv0", GROUP).unwrap();
    assert_eq!(switch.rx_mode().groups, [].into());
}

#[test]
fn mcf_08_a_group_that_only_the_host_wants_is_not_replicated() {
    let mut switch = Switch::new(&[Vepa, Bridge]);
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host");
    assert_eq!(switch.multicast("wire", GROUP, OUTSIDE), "");
    // Nor where the lower hears everything because of another link.
    promisc(&mut switch, "mv1", true);
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host mv1");
}

#[test]
fn mcf_10_memberships_survive_being_down() {
    let mut switch = Switch::new(&[Vepa, Vepa]);
    switch.fdb_add("mv0", GROUP).unwrap();
    switch.down("mv0");
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host");
    switch.up("mv0").unwrap();
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host mv0");
}

#[test]
fn ucf_01_links_that_are_up_add_their_address_to_the_lowers_filter() {
    let mut switch = Switch::new(&[Private, Vepa, Bridge, Source]);
    assert_eq!(switch.rx_mode().unicast, [mac(0), mac(1), mac(2), mac(3)].into());
    switch.down("mv1");
    switch.set_address("mv2", mac(9)).unwrap();
    switch.delete("mv3");
    assert_eq!(switch.rx_mode().unicast, [mac(0), mac(9)].into());
    let switch = Switch::new(&[Passthru]);
    assert_eq!(switch.rx_mode().unicast, [].into(), "promiscuous instead");
}

#[test]
fn ucf_04_a_promiscuous_link_makes_the_lower_promiscuous_but_hears_no_foreign_unicast() {
    for mode in [Private, Vepa, Bridge, Source] {
        let mut switch = Switch::new(&[mode]);
        promisc(&mut switch, "mv0", true);
        assert!(switch.rx_mode().promiscuous);
        assert_eq!(switch.wire(mac(9), OUTSIDE), "host");
        switch.down("mv0");
        assert!(!switch.rx_mode().promiscuous);
        switch.up("mv0").unwrap();
        assert!(switch.rx_mode().promiscuous);
        promisc(&mut switch, "mv0", false);
        assert!(!switch.rx_mode().promiscuous);
    }
}

#[test]
fn ucf_05_promisc_on_a_passthru_link_does_not_touch_the_lower() {
    let mut switch = Switch::new(&[Passthru]);
    nopromisc(&mut switch, true);
    promisc(&mut switch, "mv0", true);
    assert!(!switch.rx_mode().promiscuous);
    nopromisc(&mut switch, false);
    promisc(&mut switch, "mv0", false);
    assert!(switch.rx_mode().promiscuous);
}

#[test]
fn ucf_06_allmulti_reaches_the_lower_while_the_link_is_up() {
    for mode in Mode::ALL {
        let mut switch = Switch::new(&[mode]);
        assert!(!switch.rx_mode().allmulti);
        allmulti(&mut switch, "mv0", true);
        assert!(switch.rx_mode().allmulti, "{mode}");
        switch.down("mv0");
        assert!(!switch.rx_mode().allmulti, "{mode}");
    }
}

#[test]
fn ucf_06b_nothing_is_left_behind_by_a_passthru_link() {
    let mut switch = Switch::new(&[Passthru]);
    allmulti(&mut switch, "mv0", true);
    switch.down("mv0");
    allmulti(&mut switch, "mv0", false);
    switch.up("mv0").unwrap();
    assert!(!switch.rx_mode().allmulti);
}

#[test]
fn ucf_07_a_passthru_link_makes_the_lower_promiscuous_unless_told_not_to() {
    let mut switch = Switch::new(&[Passthru]);
    assert!(switch.rx_mode().promiscuous);
    nopromisc(&mut switch, true);
    assert!(!switch.rx_mode().promiscuous);
    nopromisc(&mut switch, false);
    assert!(switch.rx_mode().promiscuous);
    switch.down("mv0");
    assert!(!switch.rx_mode().promiscuous);
}

#[test]
fn ucf_08_nopromisc_can_be_toggled_on_a_link_that_is_down() {
    let mut switch = Switch::new(&[Passthru]);
    switch.down("mv0");
    for on in [true, false, true, false] {
        nopromisc(&mut switch, on);
        assert!(!switch.rx_mode().promiscuous);
    }
    switch.up("mv0").unwrap();
    assert!(switch.rx_mode().promiscuous);
}

#[test]
fn ucf_09_further_unicast_addresses_reach_the_lower_of_a_passthru_link() {
    let mut switch = Switch::new(&[Passthru]);
    nopromisc(&mut switch, true);
    switch.fdb_add("mv0", mac(9)).unwrap();
    assert_eq!(switch.rx_mode().unicast, [mac(9)].into());
    switch.down("mv0");
    assert_eq!(switch.rx_mode().unicast, [].into());
    switch.up("mv0").unwrap();
    assert_eq!(switch.wire(mac(9), OUTSIDE), "mv0");
    switch.fdb_del("mv0", mac(9)).unwrap();
    assert_eq!(switch.rx_mode().unicast, [].into());
}

#[test]
fn ucf_10_devices_behind_a_link_get_nothing_back_unless_it_is_passthru() {
    let behind = mac(77);
    for mode in [Private, Vepa, Bridge] {
        let switch = Switch::new(&[mode]);
        assert_eq!(switch.from("mv0", OUTSIDE, behind), "wire");
        assert_eq!(switch.wire(behind, OUTSIDE), "host");
    }
    let switch = Switch::new(&[Passthru]);
    assert_eq!(switch.from("mv0", OUTSIDE, behind), "wire");
    assert_eq!(switch.wire(behind, OUTSIDE), "mv0");
    assert_ne!(behind, LOWER);
}
