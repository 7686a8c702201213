//! Events of the lower, and the rules for MTUs and addresses: NT, MT, MA.

use macvlan::driver::{Event, Index};
use macvlan::mac::MacAddr;
use macvlan::mode::Mode::{self, Bridge, Passthru, Private, Vepa};

use super::switch::{LOWER, OUTSIDE, Outcome, Switch, mac};

fn set_mtu(switch: &mut Switch, name: &str, mtu: u32) -> Outcome {
    switch.set(name, |r| r.mtu = Some(mtu))
}

#[test]
fn nt_01_links_follow_the_lowers_state_and_keep_their_own() {
    let mut switch = Switch::new(&[Vepa, Vepa]);
    switch.down("mv1");
    let states = |switch: &Switch| (switch.oper_state("mv0"), switch.oper_state("mv1"));
    assert_eq!(states(&switch), ("UP", "DOWN"));
    for (lost, back) in [
        (Event::Down, Event::Up),
        (Event::Change { carrier: false }, Event::Change { carrier: true }),
    ] {
        switch.event(lost).unwrap();
        assert_eq!(states(&switch), ("LOWERLAYERDOWN", "DOWN"));
        assert!(switch.link("mv0").up);
        switch.event(back).unwrap();
        assert_eq!(states(&switch), ("UP", "DOWN"));
    }
}

#[test]
fn nt_02_other_features_of_the_lower_change_nothing_here() {
    let mut switch = Switch::new(&[Vepa]);
    let before = format!("{:?}", switch.driver);
    switch.event(Event::FeatChange).unwrap();
    assert_eq!(format!("{:?}", switch.driver), before);
}

#[test]
fn nt_03_a_smaller_mtu_of_the_lower_cuts_those_of_links() {
    let mut switch = Switch::new(&[Vepa, Bridge]);
    set_mtu(&mut switch, "mv1", 900).unwrap();
    let mtus = |switch: &Switch| (switch.link("mv0").mtu, switch.link("mv1").mtu);
    switch.event(Event::ChangeMtu(1000)).unwrap();
    assert_eq!(mtus(&switch), (1000, 900));
    switch.event(Event::ChangeMtu(9000)).unwrap();
    assert_eq!(mtus(&switch), (1000, 900), "raising it raises nobody");
}

#[test]
fn nt_04_the_lower_cannot_take_the_address_of_a_link_that_is_up() {
    let mut switch = Switch::new(&[Vepa]);
    assert_eq!(switch.event(Event::ChangeAddr(mac(0))), Err("EADDRINUSE"));
    assert_eq!(switch.lower().spec.address, LOWER);
    switch.event(Event::ChangeAddr(mac(9))).unwrap();
    assert_eq!(switch.link("mv0").address, mac(0), "nothing happens to links");
    switch.down("mv0");
    switch.event(Event::ChangeAddr(mac(0))).unwrap();
    assert_eq!(switch.up("mv0"), Err("EADDRINUSE"));
}

#[test]
fn nt_05_a_passthru_link_takes_the_lowers_new_address() {
    let mut switch = Switch::new(&[Passthru]);
    switch.event(Event::ChangeAddr(mac(9))).unwrap();
    assert_eq!(switch.link("mv0").address, mac(9));
    switch.set_address("mv0", mac(10)).unwrap();
    assert_eq!(switch.lower().spec.address, mac(10));
    switch.delete("mv0");
    assert_eq!(switch.lower().spec.address, mac(9), "the last one set directly");
}

#[test]
fn nt_06_all_links_go_with_their_lower() {
    let mut switch = Switch::new(&[Vepa, Bridge, Private]);
    let (lower, link) = (switch.lan0, switch.index("mv0"));
    switch.event(Event::Unregister).unwrap();
    assert_eq!(switch.driver.links().count(), 0);
    assert!(switch.driver.lower(lower).is_none() && switch.driver.link(link).is_none());
    assert_eq!(switch.add("mv9", |_| {}), Err("ENODEV"));
}

#[test]
fn nt_08_a_lower_with_links_stays_what_it_is() {
    let mut switch = Switch::new(&[Vepa]);
    assert_eq!(switch.event(Event::PreTypeChange), Err("EPERM"));
    switch.delete("mv0");
    assert_eq!(switch.event(Event::PreTypeChange), Ok(vec![]));
}

#[test]
fn nt_09_links_announce_themselves_when_the_lower_is_told_to() {
    let mut switch = Switch::new(&[Vepa, Bridge, Private]);
    switch.down("mv1");
    for event in [Event::NotifyPeers, Event::BondingFailover, Event::ResendIgmp] {
        // One that is down has no way to say it.
        assert_eq!(switch.event(event).unwrap(), ["mv0", "mv2"]);
    }
}

#[test]
fn nt_10_other_events_and_other_devices_are_ignored() {
    let mut switch = Switch::new(&[Vepa]);
    let before = format!("{:?}", switch.driver);
    assert_eq!(switch.event(Event::Register), Ok(vec![]));
    for device in [switch.index("mv0"), Index::new(77)] {
        for event in [
            Event::Up,
            Event::Down,
            Event::Change { carrier: false },
            Event::ChangeMtu(68),
            Event::ChangeAddr(mac(0)),
            Event::PreTypeChange,
            Event::NotifyPeers,
            Event::Unregister,
        ] {
            assert_eq!(switch.driver.notify(device, &event).unwrap(), []);
        }
    }
    assert_eq!(format!("{:?}", switch.driver), before);
}

#[test]
fn mt_01_the_mtu_is_between_68_and_the_lowers() {
    let mut switch = Switch::with(|spec| (spec.mtu, spec.max_mtu) = (2000, 3000), &[Vepa]);
    for mtu in [68, 1500, 2000] {
        set_mtu(&mut switch, "mv0", mtu).unwrap();
        assert_eq!(switch.link("mv0").mtu, mtu);
    }
    for mtu in [0, 67, 2001, 3000, 3001, 65_536, u32::MAX] {
        assert_eq!(set_mtu(&mut switch, "mv0", mtu), Err("EINVAL"), "{mtu}");
        assert_eq!(switch.link("mv0").mtu, 2000);
    }
}

#[test]
fn mt_02_the_lowers_own_limit_is_known_apart_from_its_mtu() {
    let mut switch = Switch::with(|spec| (spec.mtu, spec.max_mtu) = (1500, 3000), &[Vepa]);
    assert_eq!(switch.lower().spec.max_mtu, 3000);
    assert_eq!(set_mtu(&mut switch, "mv0", 2500), Err("EINVAL"));
    switch.event(Event::ChangeMtu(3000)).unwrap();
    set_mtu(&mut switch, "mv0", 2500).unwrap();
}

#[test]
fn mt_03_an_mtu_above_the_lowers_is_refused() {
    let mut switch = Switch::new(&[Vepa]);
    assert_eq!(set_mtu(&mut switch, "mv0", 1501), Err("EINVAL"));
    let refusal = switch.try_set("mv0", |r| r.mtu = Some(1501)).unwrap_err();
    for word in ["1501", "1500", "lan0"] {
        assert!(refusal.message.contains(word), "{refusal}");
    }
}

#[test]
fn ma_01_an_address_is_tested_for_clashes_when_it_is_set() {
    for up in [true, false] {
        let mut switch = Switch::new(&[Vepa, Bridge]);
        switch.set("mv1", |r| r.up = Some(up)).unwrap();
        for taken in [mac(0), LOWER] {
            assert_eq!(switch.set_address("mv1", taken), Err("EADDRINUSE"), "up {up}");
        }
        switch.set_address("mv1", mac(9)).unwrap();
        assert_eq!(switch.link("mv1").address, mac(9));
    }
}

#[test]
fn ma_02_a_passthru_links_address_is_the_lowers() {
    let mut switch = Switch::new(&[Passthru]);
    switch.set_address("mv0", mac(9)).unwrap();
    assert_eq!((switch.link("mv0").address, switch.lower().spec.address), (mac(9), mac(9)));
    assert_eq!(switch.wire(super::switch::BROADCAST, mac(9)), "mv0", "RXM-05");
    assert_eq!(switch.set_address("mv0", MacAddr::ZERO), Err("EADDRNOTAVAIL"));
    assert_eq!(switch.lower().spec.address, mac(9));
}

#[test]
fn ma_03_deleting_a_passthru_link_gives_the_lower_its_address_back() {
    let mut switch = Switch::new(&[Passthru]);
    switch.event(Event::ChangeAddr(mac(8))).unwrap();
    switch.set_address("mv0", mac(9)).unwrap();
    switch.delete("mv0");
    assert_eq!(switch.lower().spec.address, mac(8));
    // Only of passthru links: others leave it alone.
    let mut switch = Switch::new(&[Vepa]);
    switch.event(Event::ChangeAddr(mac(8))).unwrap();
    switch.delete("mv0");
    assert_eq!(switch.lower().spec.address, mac(8));
}

#[test]
fn ma_04_a_passthru_link_may_have_the_lowers_address() {
    let mut switch = Switch::new(&[Passthru]);
    assert_eq!(switch.link("mv0").address, LOWER);
    switch.down("mv0");
    switch.up("mv0").unwrap();
    switch.set_address("mv0", mac(9)).unwrap();
    switch.set_address("mv0", LOWER).unwrap();
    for mode in [Mode::Vepa, Mode::Bridge] {
        assert_eq!(Switch::new(&[mode]).set_address("mv0", LOWER), Err("EADDRINUSE"));
    }
    assert_ne!(LOWER, OUTSIDE);
}
