//! Frames from the wire: RXU, RXM, and the extensions that touch them.

use macvlan::driver::HostPort;
use macvlan::mac::MacAddr;
use macvlan::mode::Mode::{Bridge, Passthru, Private, Source, Vepa};

use super::lists::list;
use super::switch::{BROADCAST, GROUP, LOWER, OUTSIDE, Switch, mac};

const PAUSE: MacAddr = MacAddr::new([1, 0x80, 0xc2, 0, 0, 1]);

#[test]
fn rxu_01_source_lists_come_before_any_other_rule() {
    let mut switch = Switch::new(&[Bridge, Source]);
    list(&mut switch, "mv1", &[OUTSIDE], true);
    for dst in [mac(0), LOWER, GROUP, BROADCAST] {
        assert_eq!(switch.wire(dst, OUTSIDE), "mv1");
    }
}

#[test]
fn rxu_02_unicast_goes_to_the_link_that_has_the_address() {
    let switch = Switch::new(&[Private, Vepa, Bridge]);
    for (number, name) in [(0, "mv0"), (1, "mv1"), (2, "mv2")] {
        for src in [OUTSIDE, LOWER, mac(0), mac(1), mac(2)] {
            for kind in [0x0800, 0x8100, 0x8808, 0x0040] {
                assert_eq!(switch.frame("wire", mac(number), src, kind), name);
            }
        }
    }
}

#[test]
fn rxu_03_a_source_link_receives_nothing_by_destination() {
    assert_eq!(Switch::new(&[Source]).wire(mac(0), OUTSIDE), "host");
}

#[test]
fn rxu_04_unicast_for_nobody_here_goes_to_the_host() {
    let mut switch = Switch::new(&[Bridge, Vepa]);
    switch.down("mv1");
    for dst in [LOWER, OUTSIDE, mac(1), MacAddr::ZERO] {
        assert_eq!(switch.wire(dst, OUTSIDE), "host");
    }
    let switch = Switch::with(|spec| spec.host = HostPort::None, &[Bridge]);
    assert_eq!(switch.wire(LOWER, OUTSIDE), "", "without a host port it is dropped");
}

#[test]
fn rxu_05_a_passthru_link_takes_all_unicast_even_when_it_is_down() {
    let mut switch = Switch::new(&[Passthru]);
    for dst in [LOWER, OUTSIDE, mac(7), MacAddr::ZERO] {
        assert_eq!(switch.wire(dst, OUTSIDE), "mv0");
    }
    switch.down("mv0");
    assert_eq!(switch.wire(LOWER, OUTSIDE), "", "nor does the host get it");
}

#[test]
fn rxu_06_private_links_receive_unicast_that_a_switch_reflects() {
    let modes = [Private, Private, Vepa, Source];
    let switch = Switch::new(&modes);
    assert_eq!(switch.wire(mac(1), mac(0)), "mv1");
    assert_eq!(switch.wire(mac(2), mac(0)), "mv2");
    // The extension that closes the hole.
    let mut switch = Switch::with(|spec| spec.private_strict = true, &modes);
    list(&mut switch, "mv3", &[mac(0), mac(2)], false);
    for (dst, src) in [(1, 0), (2, 0), (0, 2), (3, 0)] {
        assert_eq!(switch.wire(mac(dst), mac(src)), "", "nobody, no source list either");
    }
    assert_eq!(switch.wire(mac(0), OUTSIDE), "mv0");
    assert_eq!(switch.wire(mac(0), mac(0)), "mv0 mv3", "its own");
    assert_eq!(switch.wire(mac(3), mac(2)), "host mv3", "neither is private");
    switch.down("mv1");
    assert_eq!(switch.wire(mac(1), mac(0)), "host mv3", "down: nobody's");
}

#[test]
fn rxu_07_nothing_is_learned_and_no_source_checked() {
    let switch = Switch::new(&[Bridge, Vepa]);
    for src in [LOWER, OUTSIDE, mac(1), GROUP, BROADCAST, MacAddr::ZERO] {
        assert_eq!(switch.wire(mac(0), src), "mv0");
        assert_eq!(switch.wire(OUTSIDE, src), "host", "it has been seen as a source");
    }
}

#[test]
fn rxm_01_groups_from_outside_reach_all_but_source_links() {
    let switch = Switch::new(&[Private, Vepa, Bridge, Source]);
    for src in [OUTSIDE, LOWER, GROUP, MacAddr::ZERO] {
        assert_eq!(switch.wire(BROADCAST, src), "host mv0 mv1 mv2");
    }
    let mut switch = Switch::new(&[Passthru]);
    assert_eq!(switch.wire(BROADCAST, OUTSIDE), "host mv0");
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host", "filtered");
    switch.fdb_add("mv0", GROUP).unwrap();
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host mv0");
    let mut switch = Switch::new(&[Private, Vepa, Bridge]);
    switch.fdb_add("mv1", GROUP).unwrap();
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host mv1");
}

#[test]
fn rxm_02_what_a_vepa_link_sent_comes_back_for_its_siblings() {
    let mut switch = Switch::new(&[Vepa, Vepa, Bridge, Private, Source]);
    assert_eq!(switch.wire(BROADCAST, mac(0)), "host mv1 mv2");
    switch.fdb_add("mv2", GROUP).unwrap();
    assert_eq!(switch.wire(GROUP, mac(0)), "host mv2");
}

#[test]
fn rxm_03_what_a_bridge_link_sent_comes_back_for_vepa_links() {
    let mut switch = Switch::new(&[Bridge, Bridge, Vepa, Private, Source]);
    assert_eq!(switch.wire(BROADCAST, mac(0)), "host mv2");
    assert_eq!(switch.wire(GROUP, mac(0)), "host");
    switch.fdb_add("mv2", GROUP).unwrap();
    assert_eq!(switch.wire(GROUP, mac(0)), "host mv2");
}

#[test]
fn rxm_04_what_a_private_link_sent_comes_back_to_it_alone() {
    let switch = Switch::new(&[Private, Private, Vepa, Bridge, Source]);
    for dst in [GROUP, BROADCAST] {
        assert_eq!(switch.wire(dst, mac(0)), "mv0", "unfiltered");
    }
}

#[test]
fn rxm_05_what_a_passthru_link_sent_comes_back_to_it_alone() {
    let switch = Switch::new(&[Passthru]);
    for dst in [GROUP, BROADCAST] {
        assert_eq!(switch.wire(dst, LOWER), "mv0", "unfiltered");
    }
}

#[test]
fn rxm_06_what_a_source_link_sent_comes_back_to_it_and_to_lists() {
    let mut switch = Switch::new(&[Source, Source, Vepa, Bridge, Private]);
    assert_eq!(switch.wire(GROUP, mac(0)), "mv0", "unfiltered");
    list(&mut switch, "mv1", &[mac(0)], false);
    assert_eq!(switch.wire(BROADCAST, mac(0)), "mv0 mv1");
    list(&mut switch, "mv0", &[mac(0)], false);
    assert_eq!(switch.wire(BROADCAST, mac(0)), "mv0 mv0 mv1", "once by each rule");
}

#[test]
fn rxm_10_the_host_gets_groups_besides_the_links() {
    for mode in [Private, Vepa, Bridge, Passthru] {
        assert_eq!(Switch::new(&[mode]).wire(BROADCAST, OUTSIDE), "host mv0", "{mode}");
    }
}

#[test]
fn rxm_11_a_group_that_no_link_wants_goes_to_the_host_alone() {
    let mut switch = Switch::new(&[Private, Vepa, Bridge]);
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host");
    // Both stages: the lower must let it through, and the link must want it.
    switch.fdb_add("mv0", GROUP).unwrap();
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host mv0");
    let mut switch = Switch::new(&[]);
    let passthru = |r: &mut macvlan::request::LinkRequest| {
        (r.up, r.promisc) = (Some(true), Some(true));
        let data = super::switch::data(r);
        (data.mode, data.flags) = (Some(8), Some(1));
    };
    switch.add("mv0", passthru).unwrap();
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host", "the lower does not hear it (UCF-05)");
    switch.fdb_add("mv0", GROUP).unwrap();
    assert_eq!(switch.wire(GROUP, OUTSIDE), "host mv0");
}

#[test]
fn rxm_14_pause_frames_are_never_replicated() {
    let mut switch = Switch::new(&[Private, Vepa, Bridge, Source]);
    for number in 0..4 {
        switch.set(&format!("mv{number}"), |r| r.allmulti = Some(true)).unwrap();
    }
    let pause = |switch: &Switch, src| switch.frame("wire", PAUSE, src, 0x8808);
    for src in [OUTSIDE, mac(1), mac(2)] {
        assert_eq!(pause(&switch, src), "host");
    }
    assert_eq!(pause(&switch, mac(0)), "mv0", "back to the sender, whatever it is");
    assert_eq!(pause(&switch, mac(3)), "mv3");
    list(&mut switch, "mv3", &[OUTSIDE], false);
    assert_eq!(pause(&switch, OUTSIDE), "host mv3", "lists do not look");
    // Other link-local groups are groups like any other.
    assert_eq!(switch.frame("wire", PAUSE, mac(9), 0x88cc), "host mv0 mv1 mv2");
}

#[test]
fn rxm_17_what_comes_back_to_its_sender_is_no_multicast() {
    for mode in [Private, Passthru, Source] {
        let switch = Switch::new(&[mode]);
        let own = switch.link("mv0").address;
        assert_eq!((switch.wire(BROADCAST, own), switch.multicast("wire", BROADCAST, own)), {
            ("mv0".into(), String::new())
        });
    }
}

#[test]
fn rxm_19_with_an_external_hairpin_host_and_links_can_talk() {
    let switch = Switch::new(&[Vepa, Private]);
    // What the host sent and a switch returned.
    assert_eq!(switch.from("host", mac(0), LOWER), "wire");
    assert_eq!(switch.wire(mac(0), LOWER), "mv0");
    assert_eq!(switch.wire(BROADCAST, LOWER), "host mv0 mv1");
    // And back.
    assert_eq!(switch.from("mv0", LOWER, mac(0)), "wire");
    assert_eq!(switch.wire(LOWER, mac(0)), "host");
}

#[test]
fn drop_link_local_keeps_such_frames_for_the_host() {
    let mut switch = Switch::with(|spec| spec.drop_link_local = true, &[Private, Bridge, Source]);
    list(&mut switch, "mv2", &[OUTSIDE], true);
    for last in 0..16 {
        let dst = MacAddr::new([1, 0x80, 0xc2, 0, 0, last]);
        for src in [OUTSIDE, mac(0), mac(1)] {
            assert_eq!(switch.wire(dst, src), "host");
        }
        for name in ["mv0", "mv1", "mv2"] {
            assert_eq!(switch.from(name, dst, OUTSIDE), "");
        }
        assert_eq!(switch.from("host", dst, LOWER), "wire");
    }
    let dst = MacAddr::new([1, 0x80, 0xc2, 0, 0, 16]);
    assert_eq!(switch.from("mv0", dst, mac(0)), "wire");
}

#[test]
fn what_a_lower_is_set_to_do_can_be_changed() {
    let mut switch = Switch::new(&[Bridge, Private]);
    let lan0 = switch.lan0;
    let bpdu = MacAddr::new([1, 0x80, 0xc2, 0, 0, 0]);
    let seen = |switch: &Switch| {
        let hairpin = switch.wire(mac(0), mac(1));
        (switch.from("mv0", LOWER, mac(0)), hairpin, switch.from("mv0", bpdu, mac(0)))
    };
    let before = seen(&switch);
    assert_eq!(before, ("wire".into(), "mv0".into(), "wire".into()));
    switch.driver.set_policy(lan0, Some(HostPort::Reachable), None, None).unwrap();
    assert_eq!(seen(&switch).0, "host");
    switch.driver.set_policy(lan0, None, Some(true), None).unwrap();
    assert_eq!((seen(&switch).0.as_str(), seen(&switch).1.as_str()), ("host", ""));
    switch.driver.set_policy(lan0, None, None, Some(true)).unwrap();
    assert_eq!(seen(&switch), ("host".into(), String::new(), String::new()));
    let as_it_was = (Some(HostPort::Taps), Some(false), Some(false));
    switch.driver.set_policy(lan0, as_it_was.0, as_it_was.1, as_it_was.2).unwrap();
    assert_eq!(seen(&switch), before);
    for nobody in [switch.index("mv0"), switch.index("mv9")] {
        let refusal = switch.driver.set_policy(nobody, None, None, None).unwrap_err();
        assert_eq!(refusal.errno.name(), "ENODEV");
    }
}
