//! How links come, change and go: LC.

use macvlan::driver::{Event, LowerSpec};
use macvlan::mac::MacAddr;
use macvlan::mode::Flags;
use macvlan::mode::Mode::{self, Bridge, Passthru, Private, Source, Vepa};
use macvlan::request::LinkRequest;

use super::lists::list;
use super::switch::{BROADCAST, LOWER, OUTSIDE, Switch, data, mac};

fn at(address: MacAddr) -> impl FnOnce(&mut LinkRequest) {
    move |r| r.address = Some(address.bytes().to_vec())
}

#[test]
fn lc_05_a_new_link_is_down_and_hears_nothing_special() {
    let mut switch = Switch::new(&[]);
    switch.add("mv0", |_| {}).unwrap();
    let link = switch.link("mv0");
    assert!(!link.up && !link.promisc && !link.allmulti);
    assert!(link.groups.is_empty() && link.sources.is_empty() && link.addresses.is_empty());
    assert_eq!(switch.set("mv0", |r| r.mtu = Some(67)), Err("EINVAL"));
    switch.set("mv0", |r| r.mtu = Some(68)).unwrap();
}

#[test]
fn lc_06_a_link_names_its_lower() {
    let switch = Switch::new(&[Vepa]);
    assert_eq!(switch.link("mv0").lower, switch.lan0);
}

#[test]
fn lc_10_the_lower_is_found_by_its_number_which_is_never_used_again() {
    let mut switch = Switch::new(&[Vepa]);
    let gone = switch.index("mv0");
    switch.delete("mv0");
    switch.add("mv1", |_| {}).unwrap();
    assert_ne!(switch.index("mv1"), gone);
    assert_eq!(switch.add("mv2", |r| r.parent = Some(gone)), Err("ENODEV"));
}

#[test]
fn lc_11_a_link_on_a_link_is_its_sibling() {
    let mut switch = Switch::new(&[Bridge]);
    let parent = switch.index("mv0");
    switch.add("mv1", |r| r.parent = Some(parent)).unwrap();
    assert_eq!(switch.link("mv1").lower, switch.lan0);
    switch.delete("mv0");
    assert_eq!(switch.link("mv1").lower, switch.lan0, "and not its child");
}

#[test]
fn lc_12_the_mtu_is_the_lowers_unless_a_smaller_one_is_asked_for() {
    let mut switch = Switch::with(|spec| spec.mtu = 2000, &[]);
    for (name, mtu, expected) in [("a", None, 2000), ("b", Some(2000), 2000), ("c", Some(68), 68)] {
        switch.add(name, |r| r.mtu = mtu).unwrap();
        assert_eq!(switch.link(name).mtu, expected);
    }
}

#[test]
fn lc_13_a_link_that_asks_for_no_address_gets_a_random_one() {
    let mut switch = Switch::new(&[]);
    switch.add("mv0", |_| {}).unwrap();
    assert_eq!(switch.link("mv0").address, MacAddr::derive(&["mv0"], 0));
    switch.add("mv1", at(mac(7))).unwrap();
    assert_eq!(switch.link("mv1").address, mac(7));
}

#[test]
fn lc_14_a_clash_does_not_matter_before_the_link_goes_up() {
    let mut switch = Switch::new(&[Vepa]);
    switch.add("mv1", at(LOWER)).unwrap();
    switch.add("mv2", at(mac(0))).unwrap();
    for name in ["mv1", "mv2"] {
        assert_eq!(switch.up(name), Err("EADDRINUSE"));
    }
    switch.down("mv0");
    switch.up("mv2").unwrap();
}

#[test]
fn lc_15_a_passthru_link_has_the_lowers_address_whatever_it_asks_for() {
    let mut switch = Switch::new(&[]);
    let passthru = |r: &mut LinkRequest| {
        at(mac(7))(r);
        data(r).mode = Some(8);
    };
    switch.add("mv0", passthru).unwrap();
    assert_eq!(switch.link("mv0").address, LOWER);
}

#[test]
fn lc_16_the_defaults_are_vepa_no_flags_and_a_queue_of_1000() {
    let mut switch = Switch::new(&[]);
    switch.add("mv0", |_| {}).unwrap();
    let info = switch.info("mv0");
    assert_eq!((info.mode, info.flags), (Vepa, Flags::NONE));
    assert_eq!((info.bc_queue_len, info.bc_queue_len_used, info.bc_cutoff), (1000, 1000, 1));
}

#[test]
fn lc_17_a_new_link_has_the_lowers_carrier() {
    let mut switch = Switch::with(|spec| spec.carrier = false, &[Vepa]);
    assert_eq!(switch.oper_state("mv0"), "LOWERLAYERDOWN");
    switch.event(Event::Change { carrier: true }).unwrap();
    switch.add("mv1", |r| r.up = Some(true)).unwrap();
    assert_eq!(switch.oper_state("mv1"), "UP");
}

#[test]
fn lc_18_the_first_link_notes_the_lowers_address() {
    let mut switch = Switch::new(&[]);
    switch.event(Event::ChangeAddr(mac(7))).unwrap();
    switch.add("mv0", |r| data(r).mode = Some(8)).unwrap();
    switch.set_address("mv0", mac(9)).unwrap();
    switch.delete("mv0");
    assert_eq!(switch.lower().spec.address, mac(7));
}

#[test]
fn lc_19_with_the_last_link_the_lower_is_as_it_was() {
    let mut switch = Switch::new(&[Passthru]);
    switch.set("mv0", |r| data(r).bc_cutoff = Some(5)).unwrap();
    switch.set_address("mv0", mac(9)).unwrap();
    switch.delete("mv0");
    assert_eq!(switch.lower().spec.address, LOWER);
    assert_eq!(switch.rx_mode(), Default::default());
    assert_eq!(switch.wire(OUTSIDE, mac(3)), "host");
    switch.add("mv0", |r| data(r).mode = Some(4)).unwrap();
    assert_eq!(switch.info("mv0").bc_cutoff, 1, "passthru and bclim are forgotten");
}

#[test]
fn lc_20_a_create_that_fails_leaves_nothing_behind() {
    for modes in [&[][..], &[Vepa]] {
        let mut switch = Switch::new(modes);
        let before = format!("{:?}", switch.driver);
        let bad_list = |r: &mut LinkRequest| {
            let data = data(r);
            (data.mode, data.macaddr_mode, data.bc_cutoff) = (Some(16), Some(0), Some(7));
        };
        assert_eq!(switch.add("mv9", bad_list), Err("EINVAL"));
        let clash = |r: &mut LinkRequest| {
            at(LOWER)(r);
            r.up = Some(true);
            let data = data(r);
            (data.bc_cutoff, data.bc_queue_len) = (Some(7), Some(9000));
            data.mode = Some(16);
            data.macaddr_mode = Some(3);
            data.macaddr = Some(OUTSIDE.bytes().to_vec());
        };
        assert_eq!(switch.add("mv9", clash), Err("EADDRINUSE"));
        assert_eq!(format!("{:?}", switch.driver), before);
        assert_eq!(switch.wire(OUTSIDE, OUTSIDE), "host");
    }
}

#[test]
fn lc_21_nothing_of_a_deleted_link_remains() {
    let mut switch = Switch::new(&[Source, Vepa, Bridge]);
    list(&mut switch, "mv0", &[OUTSIDE], true);
    switch.set("mv0", |r| data(r).bc_queue_len = Some(5000)).unwrap();
    switch.delete("mv0");
    switch.delete("mv2");
    assert_eq!(switch.wire(BROADCAST, OUTSIDE), "host mv1");
    assert_eq!(switch.wire(mac(2), OUTSIDE), "host");
    assert_eq!(switch.info("mv1").bc_queue_len_used, 1000);
    assert_eq!(switch.rx_mode().unicast, [mac(1)].into());
    assert!(switch.driver.by_name("mv0").is_none());
}

#[test]
fn lc_22_deleting_the_lower_deletes_its_links_and_no_others() {
    let mut switch = Switch::new(&[Vepa, Bridge]);
    let spec = macvlan::driver::LowerSpec::ethernet("lan1", mac(200), 1500);
    let lan1 = switch.driver.add_lower(spec).unwrap();
    switch.add("mv9", |r| r.parent = Some(lan1)).unwrap();
    switch.event(Event::Unregister).unwrap();
    let names: Vec<&str> = switch.driver.links().map(|link| &*link.name).collect();
    assert_eq!(names, ["mv9"]);
}

#[test]
fn lc_30_up_opens_the_lowers_filters_for_the_link() {
    let mut switch = Switch::new(&[]);
    switch.add("mv0", at(mac(0))).unwrap();
    switch.set("mv0", |r| (r.allmulti, r.promisc) = (Some(true), Some(true))).unwrap();
    assert_eq!(switch.rx_mode(), Default::default());
    assert_eq!(switch.wire(mac(0), OUTSIDE), "host");
    switch.up("mv0").unwrap();
    let mode = switch.rx_mode();
    assert!(mode.allmulti && mode.promiscuous && mode.unicast.contains(&mac(0)));
    assert_eq!(switch.wire(mac(0), OUTSIDE), "mv0");
    // An up that fails undoes everything.
    switch.add("mv1", at(mac(0))).unwrap();
    let before = switch.rx_mode();
    let change = |r: &mut LinkRequest| (r.up, r.allmulti) = (Some(true), Some(true));
    assert_eq!(switch.set("mv1", change), Err("EADDRINUSE"));
    assert!(!switch.link("mv1").up && !switch.link("mv1").allmulti);
    assert_eq!(switch.rx_mode(), before);
}

#[test]
fn lc_31_up_makes_the_lower_of_a_passthru_link_promiscuous() {
    let mut switch = Switch::new(&[]);
    switch.add("mv0", |r| data(r).mode = Some(8)).unwrap();
    assert!(!switch.rx_mode().promiscuous);
    switch.up("mv0").unwrap();
    let mode = switch.rx_mode();
    assert!(mode.promiscuous && mode.unicast.is_empty());
}

#[test]
fn lc_32_a_link_can_go_up_before_its_lower() {
    let mut switch = Switch::with(|spec| (spec.up, spec.carrier) = (false, false), &[Vepa]);
    assert_eq!((switch.link("mv0").up, switch.oper_state("mv0")), (true, "LOWERLAYERDOWN"));
    switch.event(Event::Up).unwrap();
    assert_eq!(switch.oper_state("mv0"), "LOWERLAYERDOWN");
    switch.event(Event::Change { carrier: true }).unwrap();
    assert_eq!(switch.oper_state("mv0"), "UP");
}

#[test]
fn lc_33_down_takes_all_of_the_link_from_the_lowers_filters() {
    let mut switch = Switch::new(&[Vepa]);
    let before = Switch::new(&[]).rx_mode();
    switch.fdb_add("mv0", super::switch::GROUP).unwrap();
    switch.set("mv0", |r| (r.allmulti, r.promisc) = (Some(true), Some(true))).unwrap();
    switch.down("mv0");
    assert_eq!(switch.rx_mode(), before);
}

#[test]
fn lc_34_a_link_that_is_down_is_invisible() {
    let mut switch = Switch::new(&[Private, Bridge, Bridge]);
    switch.down("mv0");
    switch.down("mv1");
    assert_eq!(switch.wire(mac(1), OUTSIDE), "host");
    assert_eq!(switch.wire(BROADCAST, OUTSIDE), "host mv2");
    assert_eq!(switch.wire(BROADCAST, mac(0)), "host mv2", "nor is it known as a sender");
    assert_eq!(switch.from("mv2", BROADCAST, mac(2)), "wire");
}

#[test]
fn lc_35_vlan_tags_do_not_matter_for_the_address() {
    let switch = Switch::new(&[Vepa]);
    for kind in [0x0800, 0x8100, 0x88a8] {
        assert_eq!(switch.frame("wire", mac(0), OUTSIDE, kind), "mv0");
    }
}

#[test]
fn lc_36_an_address_changes_in_one_step() {
    let mut switch = Switch::new(&[Bridge, Bridge]);
    switch.set_address("mv0", mac(9)).unwrap();
    assert_eq!((switch.wire(mac(0), OUTSIDE), switch.wire(mac(9), OUTSIDE)), {
        ("host".into(), "mv0".into())
    });
    assert_eq!(switch.rx_mode().unicast, [mac(1), mac(9)].into());
    assert_eq!(switch.from("mv1", mac(9), mac(1)), "mv0");
}

#[test]
fn lc_40_modes_change_into_each_other_while_up() {
    let modes = [Private, Vepa, Bridge, Source];
    for (from, to) in modes.iter().flat_map(|from| modes.map(|to| (*from, to))) {
        let mut switch = Switch::new(&[from, Bridge]);
        switch.set_mode("mv0", to).unwrap();
        assert_eq!(switch.info("mv0").mode, to);
        assert!(switch.link("mv0").up);
        let direct = if to == Bridge { "mv0" } else { "wire" };
        assert_eq!(switch.from("mv1", mac(0), mac(1)), direct, "{from} to {to}");
        let local = if to == Source { "host" } else { "mv0" };
        assert_eq!(switch.wire(mac(0), OUTSIDE), local);
    }
}

#[test]
fn lc_41_passthru_is_for_life() {
    for mode in [Private, Vepa, Bridge, Source] {
        assert_eq!(Switch::new(&[mode]).set_mode("mv0", Passthru), Err("EINVAL"));
        assert_eq!(Switch::new(&[Passthru]).set_mode("mv0", mode), Err("EINVAL"));
    }
    Switch::new(&[Passthru]).set_mode("mv0", Passthru).unwrap();
}

#[test]
fn lc_42_leaving_source_mode_empties_the_list_and_keeps_the_flags() {
    let mut switch = Switch::new(&[Source]);
    list(&mut switch, "mv0", &[OUTSIDE], true);
    switch.set_mode("mv0", Source).unwrap();
    assert_eq!(switch.info("mv0").macaddr, [OUTSIDE], "it has not left");
    switch.set_mode("mv0", Bridge).unwrap();
    switch.set_mode("mv0", Source).unwrap();
    let info = switch.info("mv0");
    assert_eq!((info.macaddr, info.flags), (vec![], Flags::NODST));
}

#[test]
fn lc_43_a_change_that_is_refused_changes_nothing() {
    let mut switch = Switch::new(&[Vepa, Source]);
    list(&mut switch, "mv1", &[OUTSIDE], false);
    let before = format!("{:?}", switch.driver);
    let no_address = |r: &mut LinkRequest| {
        let data = data(r);
        (data.mode, data.flags, data.macaddr_mode) = (Some(16), Some(2), Some(0));
        (data.bc_queue_len, data.bc_cutoff) = (Some(7), Some(7));
    };
    assert_eq!(switch.set("mv0", no_address), Err("EINVAL"));
    let late = |r: &mut LinkRequest| {
        data(r).mode = Some(Mode::Bridge.value());
        (r.mtu, r.address) = (Some(9000), Some(mac(9).bytes().to_vec()));
    };
    assert_eq!(switch.set("mv1", late), Err("EINVAL"));
    assert_eq!(format!("{:?}", switch.driver), before);
}

#[test]
fn lc_44_a_queue_length_is_in_force_at_once() {
    let mut switch = Switch::new(&[Vepa, Vepa]);
    switch.set("mv1", |r| data(r).bc_queue_len = Some(3000)).unwrap();
    for name in ["mv0", "mv1"] {
        assert_eq!(switch.info(name).bc_queue_len_used, 3000);
    }
    assert_eq!(switch.info("mv0").bc_queue_len, 1000);
}

#[test]
fn lc_45_the_limit_is_the_lowers_and_the_last_writer_wins() {
    let mut switch = Switch::new(&[Vepa, Vepa]);
    for (name, limit) in [("mv0", 5), ("mv1", -1), ("mv0", i32::MAX), ("mv1", i32::MIN)] {
        switch.set(name, |r| data(r).bc_cutoff = Some(limit)).unwrap();
        assert_eq!((switch.info("mv0").bc_cutoff, switch.info("mv1").bc_cutoff), (limit, limit));
    }
    switch.add("mv2", |_| {}).unwrap();
    assert_eq!(switch.info("mv2").bc_cutoff, i32::MIN, "a new link has no say unless it speaks");
}

#[test]
fn lc_46_addresses_without_an_operation_are_ignored() {
    let mut switch = Switch::new(&[Source, Vepa]);
    for name in ["mv0", "mv1"] {
        switch.set(name, |r| data(r).macaddr = Some(OUTSIDE.bytes().to_vec())).unwrap();
        assert_eq!(switch.info(name).macaddr, []);
    }
    assert_eq!(switch.set("mv1", |r| data(r).macaddr_mode = Some(2)), Err("EINVAL"));
}

#[test]
fn a_name_means_whoever_has_it_now() {
    let mut switch = Switch::new(&[Vepa, Vepa]);
    let of = |switch: &Switch, name: &str| switch.driver.by_name(name);
    let first = of(&switch, "mv1").unwrap();
    assert_eq!(switch.driver.link(first).unwrap().name, "mv1");
    assert_eq!(of(&switch, "lan0"), Some(switch.lan0));
    let before = switch.driver.clone();
    switch.delete("mv1");
    assert_eq!(of(&switch, "mv1"), None);
    let taken = Some(mac(0).bytes().to_vec());
    let refused = switch.add("mv1", |r| (r.up, r.address) = (Some(true), taken));
    assert_eq!((refused, of(&switch, "mv1")), (Err("EADDRINUSE"), None));
    switch.add("mv1", |_| {}).unwrap();
    assert!(of(&switch, "mv1").unwrap() > first, "another link");
    assert_eq!(before.by_name("mv1"), Some(first), "a clone keeps what it has");
    switch.event(Event::Unregister).unwrap();
    for name in ["lan0", "mv0", "mv1"] {
        assert_eq!(of(&switch, name), None, "{name} has gone with the lower");
    }
    let again = LowerSpec::ethernet("mv0", LOWER, 1500);
    let lower = switch.driver.add_lower(again).unwrap();
    assert_eq!(of(&switch, "mv0"), Some(lower));
}
