//! The error table: ER. Each refusal by its name, with the state unchanged, and
//! what is in the way in the message.

use macvlan::driver::{DeviceKind, Event};
use macvlan::mac::MacAddr;
use macvlan::mode::Mode::{self, Bridge, Passthru, Private, Source, Vepa};
use macvlan::request::LinkRequest;

use super::switch::{GROUP, LOWER, Switch, data, mac};

/// A part of a request.
type Part<'a> = &'a dyn Fn(&mut LinkRequest);

/// Refused for a new link as for one that exists, and nothing has changed.
fn refused(part: Part<'_>, errno: &'static str) {
    let mut switch = Switch::new(&[Source]);
    let before = format!("{:?}", switch.driver);
    let source = |r: &mut LinkRequest| {
        data(r).mode = Some(16);
        part(r);
    };
    assert_eq!(switch.add("mv9", source), Err(errno));
    assert_eq!(switch.set("mv0", source), Err(errno));
    assert_eq!(format!("{:?}", switch.driver), before);
}

fn bad_addresses() -> [(Vec<u8>, &'static str); 6] {
    [
        (vec![], "EINVAL"),
        (vec![2, 0, 0, 0, 0], "EINVAL"),
        (vec![2, 0, 0, 0, 0, 1, 2], "EINVAL"),
        (vec![0; 6], "EADDRNOTAVAIL"),
        (GROUP.bytes().to_vec(), "EADDRNOTAVAIL"),
        (vec![0xff; 6], "EADDRNOTAVAIL"),
    ]
}

#[test]
fn er_01_an_address_has_six_bytes() {
    for (bytes, errno) in bad_addresses().into_iter().take(3) {
        refused(&|r| r.address = Some(bytes.clone()), errno);
    }
}

#[test]
fn er_02_an_address_is_that_of_one_device() {
    for (bytes, errno) in bad_addresses().into_iter().skip(3) {
        refused(&|r| r.address = Some(bytes.clone()), errno);
    }
}

#[test]
fn er_03_there_are_five_modes() {
    for mode in (0..64).filter(|mode| ![1, 2, 4, 8, 16].contains(mode)).chain([u32::MAX]) {
        refused(&|r| data(r).mode = Some(mode), "EINVAL");
    }
}

#[test]
fn er_04_there_are_two_flags() {
    for flags in [4, 5, 8, 0x100, u16::MAX] {
        refused(&|r| data(r).flags = Some(flags), "EINVAL");
    }
}

#[test]
fn er_05_nopromisc_is_accepted_where_it_means_nothing() {
    for mode in [Private, Vepa, Bridge, Source] {
        let mut switch = Switch::new(&[mode]);
        for flags in [1, 3, 0] {
            switch.set("mv0", |r| data(r).flags = Some(flags)).unwrap();
            assert_eq!(switch.info("mv0").flags.bits(), flags);
        }
    }
}

#[test]
fn er_06_there_are_four_list_operations() {
    for operation in [4, 5, u32::MAX] {
        refused(&|r| data(r).macaddr_mode = Some(operation), "EINVAL");
    }
}

#[test]
fn er_07_a_listed_address_is_that_of_one_device() {
    for (bytes, errno) in bad_addresses() {
        for operation in [None, Some(0), Some(1), Some(3)] {
            let part = |r: &mut LinkRequest| {
                let data = data(r);
                (data.macaddr_mode, data.macaddr) = (operation, Some(bytes.clone()));
            };
            refused(&part, errno);
        }
    }
}

#[test]
fn er_08_a_list_holds_addresses_only() {
    let good = (4, mac(9).bytes().to_vec());
    let list = |entry: (u16, Vec<u8>)| {
        let entries = vec![good.clone(), entry, good.clone()];
        move |r: &mut LinkRequest| {
            let data = data(r);
            (data.macaddr_mode, data.macaddr_data) = (Some(3), Some(entries.clone()));
        }
    };
    refused(&list((5, mac(9).bytes().to_vec())), "EINVAL");
    for (bytes, errno) in bad_addresses() {
        refused(&list((4, bytes)), errno);
    }
}

#[test]
fn er_09_counts_cannot_be_set() {
    refused(&|r| data(r).macaddr_count = Some(0), "EINVAL");
    refused(&|r| data(r).bc_queue_len_used = Some(1000), "EINVAL");
}

#[test]
fn er_10_add_and_del_need_an_address() {
    for operation in [0, 1] {
        refused(&|r| data(r).macaddr_mode = Some(operation), "EINVAL");
    }
}

#[test]
fn er_11_only_source_links_have_a_list() {
    for mode in [Private, Vepa, Bridge, Passthru] {
        for operation in 0..4 {
            let mut switch = Switch::new(&[]);
            let part = |r: &mut LinkRequest| {
                let data = data(r);
                (data.macaddr_mode, data.macaddr) = (Some(operation), Some(vec![2; 6]));
            };
            let create = |r: &mut LinkRequest| {
                part(r);
                data(r).mode = Some(mode.value());
            };
            assert_eq!(switch.add("mv0", create), Err("EINVAL"));
            assert_eq!(Switch::new(&[mode]).set("mv0", part), Err("EINVAL"));
        }
    }
}

#[test]
fn er_12_a_link_needs_a_lower() {
    assert_eq!(Switch::new(&[]).add("mv0", |r| r.parent = None), Err("EINVAL"));
}

#[test]
fn er_13_the_lower_must_exist() {
    let nobody = Some(macvlan::driver::Index::new(999));
    assert_eq!(Switch::new(&[]).add("mv0", |r| r.parent = nobody), Err("ENODEV"));
}

#[test]
fn er_14_an_mtu_above_the_lowers_is_refused() {
    let mut switch = Switch::new(&[Vepa]);
    assert_eq!(switch.add("mv1", |r| r.mtu = Some(1501)), Err("EINVAL"));
    assert_eq!(switch.set("mv0", |r| r.mtu = Some(1501)), Err("EINVAL"));
}

#[test]
fn er_15_an_mtu_below_68_is_refused() {
    let mut switch = Switch::new(&[Vepa]);
    for mtu in [0, 67] {
        assert_eq!(switch.add("mv1", |r| r.mtu = Some(mtu)), Err("EINVAL"));
        assert_eq!(switch.set("mv0", |r| r.mtu = Some(mtu)), Err("EINVAL"));
    }
    // Before the lower is looked for.
    let nobody = Some(macvlan::driver::Index::new(999));
    let both = |r: &mut LinkRequest| (r.mtu, r.parent) = (Some(67), nobody);
    assert_eq!(switch.add("mv1", both), Err("EINVAL"));
}

#[test]
fn er_16_a_lower_is_an_ethernet_device() {
    for kind in [DeviceKind::Loopback, DeviceKind::Other] {
        let mut switch = Switch::with(|spec| spec.kind = kind, &[]);
        assert_eq!(switch.add("mv0", |_| {}), Err("EINVAL"));
    }
}

#[test]
fn er_17_a_lower_belongs_to_nobody_else() {
    let mut switch = Switch::with(|spec| spec.owner = Some("br0".into()), &[]);
    let refusal = switch.try_add("mv0", |_| {}).unwrap_err();
    assert_eq!(refusal.errno.name(), "EBUSY");
    assert!(refusal.message.contains("br0") && refusal.message.contains("lan0"), "{refusal}");
}

#[test]
fn er_19_a_passthru_link_stays_alone() {
    for mode in Mode::ALL {
        let mut switch = Switch::new(&[Passthru]);
        let refusal = switch.try_add("mv1", |r| data(r).mode = Some(mode.value())).unwrap_err();
        assert_eq!(refusal.errno.name(), "EINVAL");
        assert!(refusal.message.contains("mv0"), "{refusal}");
    }
}

#[test]
fn er_20_a_passthru_link_must_be_the_first() {
    let mut switch = Switch::new(&[Vepa]);
    switch.down("mv0");
    let refusal = switch.try_add("mv1", |r| data(r).mode = Some(8)).unwrap_err();
    assert_eq!(refusal.errno.name(), "EINVAL");
    assert!(refusal.message.contains("mv0"), "{refusal}");
}

#[test]
fn er_21_names_are_used_once_which_is_looked_at_after_the_attributes() {
    let mut switch = Switch::new(&[Vepa]);
    for name in ["mv0", "lan0"] {
        assert_eq!(switch.add(name, |_| {}), Err("EEXIST"));
        assert_eq!(switch.add(name, |r| r.parent = None), Err("EEXIST"));
        assert_eq!(switch.add(name, |r| r.mtu = Some(1)), Err("EEXIST"));
        assert_eq!(switch.add(name, |r| data(r).mode = Some(3)), Err("EINVAL"));
        assert_eq!(switch.add(name, |r| r.address = Some(vec![0; 6])), Err("EADDRNOTAVAIL"));
    }
}

#[test]
fn er_22_two_that_are_up_have_different_addresses() {
    let mut switch = Switch::new(&[Vepa]);
    for (name, taken, holder) in [("mv1", mac(0), "mv0"), ("mv2", LOWER, "lan0")] {
        let create = |r: &mut LinkRequest| r.address = Some(taken.bytes().to_vec());
        switch.add(name, create).unwrap();
        let refusal = switch.try_set(name, |r| r.up = Some(true)).unwrap_err();
        assert_eq!(refusal.errno.name(), "EADDRINUSE");
        assert!(refusal.message.contains(holder), "{refusal}");
        let create_up = |r: &mut LinkRequest| {
            create(r);
            r.up = Some(true);
        };
        assert_eq!(switch.add("mv9", create_up), Err("EADDRINUSE"));
        assert!(switch.driver.by_name("mv9").is_none());
    }
}

#[test]
fn er_23_an_address_cannot_become_a_group_or_zero() {
    for mode in Mode::ALL {
        let mut switch = Switch::new(&[mode]);
        for bad in [GROUP, MacAddr::BROADCAST, MacAddr::ZERO] {
            assert_eq!(switch.set_address("mv0", bad), Err("EADDRNOTAVAIL"));
        }
    }
}

#[test]
fn er_24_an_address_cannot_become_that_of_the_lower_or_of_one_that_is_up() {
    let mut switch = Switch::new(&[Vepa, Bridge]);
    for up in [true, false] {
        switch.set("mv1", |r| r.up = Some(up)).unwrap();
        assert_eq!(switch.set_address("mv1", mac(0)), Err("EADDRINUSE"));
        assert_eq!(switch.set_address("mv1", LOWER), Err("EADDRINUSE"));
    }
}

#[test]
fn er_25_an_address_can_become_that_of_one_that_is_down() {
    let mut switch = Switch::new(&[Vepa, Bridge]);
    switch.down("mv0");
    switch.set_address("mv1", mac(0)).unwrap();
    assert_eq!(switch.up("mv0"), Err("EADDRINUSE"), "the second to go up fails");
}

#[test]
fn er_26_an_address_can_stay_what_it_is() {
    let mut switch = Switch::new(&[Vepa]);
    switch.set_address("mv0", mac(0)).unwrap();
    // Even one that could not be set.
    switch.down("mv0");
    switch.event(Event::ChangeAddr(mac(0))).unwrap();
    switch.set_address("mv0", mac(0)).unwrap();
}

#[test]
fn er_27_only_passthru_links_filter_for_unicast() {
    for mode in [Private, Vepa, Bridge, Source] {
        let mut switch = Switch::new(&[mode]);
        assert_eq!(switch.fdb_add("mv0", mac(9)), Err("EOPNOTSUPP"));
        assert_eq!(switch.fdb_del("mv0", mac(9)), Err("EOPNOTSUPP"));
    }
    let mut switch = Switch::new(&[Passthru]);
    switch.fdb_add("mv0", mac(9)).unwrap();
    assert_eq!(switch.fdb_add("mv0", mac(9)), Err("EEXIST"));
    switch.fdb_del("mv0", mac(9)).unwrap();
    assert_eq!(switch.fdb_del("mv0", mac(9)), Err("ENOENT"));
}

#[test]
fn er_28_filter_entries_are_not_replaced() {
    let mut switch = Switch::new(&[Vepa]);
    assert_eq!(switch.fdb_replace("mv0", GROUP), Err("EOPNOTSUPP"));
    switch.fdb_add("mv0", GROUP).unwrap();
    assert_eq!(switch.fdb_replace("mv0", GROUP), Err("EOPNOTSUPP"));
    assert_eq!(Switch::new(&[Passthru]).fdb_replace("mv0", mac(9)), Err("EOPNOTSUPP"));
}

#[test]
fn er_29_any_link_joins_groups_each_once() {
    for mode in Mode::ALL {
        let mut switch = Switch::new(&[mode]);
        switch.fdb_add("mv0", GROUP).unwrap();
        assert_eq!(switch.fdb_add("mv0", GROUP), Err("EEXIST"));
        switch.fdb_del("mv0", GROUP).unwrap();
        assert_eq!(switch.fdb_del("mv0", GROUP), Err("ENOENT"));
    }
}

#[test]
fn er_30_the_lowers_kind_cannot_change() {
    let mut switch = Switch::new(&[Vepa]);
    assert_eq!(switch.event(Event::PreTypeChange), Err("EPERM"));
}

#[test]
fn operations_on_links_that_do_not_exist_say_so() {
    let mut switch = Switch::new(&[Vepa]);
    let gone = switch.index("mv0");
    switch.delete("mv0");
    assert_eq!(switch.driver.dellink(gone).unwrap_err().errno.name(), "ENODEV");
    assert_eq!(switch.up("mv0"), Err("ENODEV"));
    assert_eq!(switch.fdb_add("mv0", GROUP), Err("ENODEV"));
    assert!(switch.driver.fill_info(gone).is_none());
}
