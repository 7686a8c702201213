//! The broadcast queue as far as the rules decide it: RXM-12, MCF-09, BCQ.

use macvlan::mode::Mode::{Bridge, Private, Source, Vepa};

use super::switch::{BROADCAST, GROUP, OTHER_GROUP, OUTSIDE, Switch, data, mac};

fn bclim(switch: &mut Switch, limit: i32) {
    switch.set("mv0", |r| data(r).bc_cutoff = Some(limit)).unwrap();
}

#[test]
fn rxm_12_broadcast_and_popular_groups_are_queued_the_others_not() {
    let mut switch = Switch::new(&[Vepa, Bridge, Private]);
    switch.fdb_add("mv0", GROUP).unwrap();
    assert!(switch.queued(BROADCAST) && !switch.queued(GROUP));
    switch.fdb_add("mv1", GROUP).unwrap();
    assert!(switch.queued(GROUP));
}

#[test]
fn mcf_09_the_limit_says_how_many_members_a_group_may_have() {
    let mut switch = Switch::new(&[Vepa, Bridge, Private]);
    for name in ["mv0", "mv1", "mv2"] {
        switch.fdb_add(name, GROUP).unwrap();
    }
    switch.fdb_add("mv2", OTHER_GROUP).unwrap();
    for (limit, three, one) in [(0, true, true), (1, true, false), (2, true, false)] {
        bclim(&mut switch, limit);
        assert_eq!((switch.queued(GROUP), switch.queued(OTHER_GROUP)), (three, one), "{limit}");
        assert!(switch.queued(BROADCAST));
    }
    bclim(&mut switch, 3);
    assert!(!switch.queued(GROUP));
    assert!(switch.queued(BROADCAST));
    bclim(&mut switch, -1);
    for group in [GROUP, OTHER_GROUP, BROADCAST] {
        assert!(!switch.queued(group), "nothing is");
    }
    // Only those that are up have subscribed it.
    bclim(&mut switch, 2);
    switch.down("mv1");
    assert!(!switch.queued(GROUP));
}

#[test]
fn mcf_07_where_the_lower_hears_all_groups_all_are_queued() {
    let mut switch = Switch::new(&[Vepa, Bridge]);
    switch.fdb_add("mv0", GROUP).unwrap();
    assert!(!switch.queued(GROUP));
    switch.set("mv1", |r| r.allmulti = Some(true)).unwrap();
    assert!(switch.queued(GROUP) && switch.queued(OTHER_GROUP));
    bclim(&mut switch, -1);
    assert!(!switch.queued(GROUP));
    bclim(&mut switch, 1);
    switch.set("mv1", |r| (r.allmulti, r.promisc) = (Some(false), Some(true))).unwrap();
    assert!(switch.queued(GROUP), "promiscuity as well");
}

#[test]
fn bcq_01_the_queue_is_as_long_as_the_longest_request() {
    let mut switch = Switch::new(&[Vepa, Vepa]);
    let ask = |switch: &mut Switch, name: &str, length| {
        switch.set(name, |r| data(r).bc_queue_len = Some(length)).unwrap();
    };
    for (first, second, used) in
        [(0, 0, 0), (1, 0, 1), (10, 5000, 5000), (u32::MAX, 3, u32::MAX), (0, 7, 7)]
    {
        ask(&mut switch, "mv0", first);
        ask(&mut switch, "mv1", second);
        let info = switch.info("mv0");
        assert_eq!((info.bc_queue_len, info.bc_queue_len_used), (first, used));
    }
}

#[test]
fn bcq_02_the_queue_shrinks_when_the_biggest_requester_goes() {
    let mut switch = Switch::new(&[Vepa, Vepa]);
    switch.set("mv1", |r| data(r).bc_queue_len = Some(5000)).unwrap();
    assert_eq!(switch.info("mv0").bc_queue_len_used, 5000);
    switch.set("mv1", |r| data(r).bc_queue_len = Some(2000)).unwrap();
    assert_eq!(switch.info("mv0").bc_queue_len_used, 2000);
    switch.delete("mv1");
    assert_eq!(switch.info("mv0").bc_queue_len_used, 1000);
    // Nor does a link count that was refused, or a change that was.
    let taken = Some(mac(0).bytes().to_vec());
    let refused = switch.add("mv2", |r| {
        (r.up, r.address) = (Some(true), taken);
        data(r).bc_queue_len = Some(7000);
    });
    assert_eq!(refused, Err("EADDRINUSE"));
    assert_eq!(switch.info("mv0").bc_queue_len_used, 1000);
    let refused = switch.set("mv0", |r| {
        r.mtu = Some(9000);
        data(r).bc_queue_len = Some(7000);
    });
    assert_eq!(refused, Err("EINVAL"));
    assert_eq!(switch.info("mv0").bc_queue_len_used, 1000);
    switch.delete("mv0");
    assert_eq!(switch.driver.bc_queue_len_used(switch.lan0), 0);
}

#[test]
fn st_03_only_replicated_copies_count_as_multicast() {
    let mut switch = Switch::new(&[Vepa, Bridge, Private, Source, Bridge]);
    super::lists::list(&mut switch, "mv3", &[OUTSIDE, mac(1)], false);
    assert_eq!(switch.wire(BROADCAST, OUTSIDE), "host mv0 mv1 mv2 mv3 mv4");
    assert_eq!(switch.multicast("wire", BROADCAST, OUTSIDE), "mv0 mv1 mv2 mv4");
    assert_eq!(switch.multicast("mv1", BROADCAST, mac(1)), "mv4");
    for (from, dst, src) in
        [("wire", mac(0), OUTSIDE), ("mv1", mac(4), mac(1)), ("wire", BROADCAST, mac(2))]
    {
        assert_eq!(switch.multicast(from, dst, src), "", "unicast, rows 04 to 06");
    }
}

#[test]
fn st_09_links_that_do_not_receive_have_nothing_to_count() {
    let mut switch = Switch::new(&[Vepa, Source]);
    super::lists::list(&mut switch, "mv1", &[OUTSIDE], true);
    switch.down("mv0");
    assert_eq!(switch.wire(mac(0), mac(9)), "host", "down");
    switch.up("mv0").unwrap();
    assert_eq!(switch.wire(GROUP, mac(9)), "host", "filtered");
    assert_eq!(switch.wire(mac(0), OUTSIDE), "mv1", "consumed");
}
