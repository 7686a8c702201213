//! What is counted where, and three statements of the data path and of filters
//! that only a running worker shows. One case per statement
//! (macvlan-semantics.md), which is named after it.
//!
//! A link's receive counters are what the switch's port transmitted, and the
//! reverse: names here are the link's. Where the kernel's own counter has a slip
//! (tests/deviations.toml) ours is asserted. What only control can say is asked
//! of a switch of its own.

use std::sync::Arc;

use macvlan::driver::HostPort;
use macvlan::drop::DropReason;
use macvlan::mac::MacAddr;
use macvlan::mode::{Flags, Mode};
use macvlan::request::{LinkData, LinkRequest};
use mvswitch::datapath::{Device, IdlePolicy, Port, Totals, VlanDevice};
use mvswitch::dpdk::{Lcore, Mbuf, Pool};
use serde_json::{Value, json};

use super::bench::Rig;
use super::common::Switch;
use super::driver::{expect, listing, tagged, wires};
use super::{Bench, Peer, frame, mac, tag, wait_for};

const OUTSIDE: u8 = 0x99;

/// More frames than a ring of 1,024 slots takes.
const MANY: u32 = 1500;

/// A lower and links 1, 2, … in these modes.
fn rig<'a>(bench: &'a Bench, lcore: &'a Lcore, modes: &[Mode]) -> (Rig, Vec<Peer<'a>>) {
    let (devices, peers) = wires(bench, lcore, modes.len() + 1);
    (Rig::start(devices, modes, 1, IdlePolicy::Auto), peers)
}

/// Waits until the worker has begun a turn after this call and ended it: it has
/// the current plan, and has counted all that it delivered before.
fn settle(rig: &Rig) {
    let worker = &rig.workers[0];
    let turns = || worker.stats.totals().turns;
    let before = turns();
    wait_for("two turns of the worker", || {
        worker.waker.wake();
        turns() >= before + 2
    });
}

fn counted(rig: &Rig, port: usize) -> Totals {
    settle(rig);
    rig.totals(port)
}

/// What a link received: packets, bytes, of these multicast.
fn received(totals: &Totals) -> (u64, u64, u64) {
    (totals.tx_packets, totals.tx_bytes, totals.multicast)
}

/// What a link sent: packets that count as sent, and as dropped.
fn sent(totals: &Totals) -> (u64, u64) {
    let consumed = totals.rx_drops[DropReason::SourceNodst.index()];
    let lost = totals.rx_drops.iter().sum::<u64>() - consumed + totals.wire_full;
    (totals.rx_packets - lost, lost)
}

/// Sends `MANY` frames of `len` bytes from link 1, each taken before the next.
fn send_many(rig: &Rig, from: &Peer<'_>, dst: MacAddr, len: usize) {
    let before = rig.totals(1).rx_packets;
    for number in 0..MANY {
        from.send(&frame(dst, mac(1), number, len));
        let taken = before + u64::from(number) + 1;
        wait_for("the frame to be taken", || rig.totals(1).rx_packets == taken);
    }
    settle(rig);
}

fn tags(peer: &Peer<'_>) -> Vec<u32> {
    peer.receive().iter().map(|bytes| tag(bytes)).collect()
}

/// The whole frame counts, with its header. Deviation: with its tag, too, which
/// the kernel has taken off by then.
pub(crate) fn rxu_08_unicast_counts_one_packet_and_its_whole_length(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Private]);
    for (len, sum) in [(14, 14), (60, 74), (1514, 1588)] {
        expect(&rig, &peers, 0, &frame(mac(1), mac(OUTSIDE), 0, len), &[1]);
        assert_eq!(counted(&rig, 1).tx_bytes, sum);
    }
    assert_eq!(received(&rig.totals(1)), (3, 1588, 0));
    expect(&rig, &peers, 0, &tagged(&frame(mac(1), mac(OUTSIDE), 2, 60), 0x8100, 7), &[1]);
    assert_eq!(received(&counted(&rig, 1)), (4, 1588 + 64, 0));
    drop(rig.stop());
}

/// The modes that links 1 to 14 have while the frames come, and from then on.
/// Link 1 is the sender of the frames, which an external switch reflected.
fn modes_then_and_now() -> Vec<(Mode, Mode)> {
    use Mode::{Bridge, Private, Vepa};
    let changing = [(Vepa, Bridge), (Bridge, Bridge), (Vepa, Private), (Private, Vepa)];
    changing.into_iter().chain([(Vepa, Vepa); 10]).collect()
}

/// Frames are received and queued by one plan, and replicated by the next.
pub(crate) fn rxm_18_what_waits_goes_by_the_rules_of_its_replication(bench: &Bench) {
    const FRAMES: u32 = 1000;
    let lcore = Lcore::helper().unwrap();
    let modes = modes_then_and_now();
    let (devices, peers) = wires(bench, &lcore, modes.len() + 1);
    let then: Vec<Mode> = modes.iter().map(|(then, _)| *then).collect();
    let mut rig = Rig::start(devices, &then, 1, IdlePolicy::Spin);
    let set_modes = |rig: &mut Rig, of: fn(&(Mode, Mode)) -> Mode| {
        for (number, modes) in (1..).zip(&modes) {
            let mode = LinkData { mode: Some(of(modes).value()), ..LinkData::default() };
            rig.set(number, LinkRequest { data: Some(mode), ..LinkRequest::default() });
        }
        Arc::new(rig.plan())
    };
    let mut hit = false;
    // The change must come while frames wait, which they do for about a
    // millisecond: a test that is held up for longer tries again.
    for _ in 0..100 {
        let before = set_modes(&mut rig, |(then, _)| *then);
        let after = set_modes(&mut rig, |(_, now)| *now);
        // Nobody polls until all frames are there: a backlog of several turns.
        rig.shared.plan.store(Arc::default());
        settle(&rig);
        for number in 0..FRAMES {
            peers[0].send(&frame(MacAddr::BROADCAST, mac(1), number, 60));
        }
        let start = rig.totals(0).rx_packets;
        let taken = || rig.totals(0).rx_packets - start;
        rig.shared.plan.store(before);
        // As many as a turn takes, and more than it replicates.
        wait_for("the first turn", || taken() >= 128);
        let by_old_plan = taken();
        rig.shared.plan.store(after);
        wait_for("all frames", || taken() == u64::from(FRAMES));
        let replicated = || rig.totals(14).multicast;
        wait_for("the end of the queue", || replicated() % u64::from(FRAMES) == 0);
        settle(&rig);

        let all: Vec<u32> = (0..FRAMES).collect();
        // RXM-02: a reflected frame of a vepa link goes to vepa and bridge links;
        // RXM-03: that of a bridge link to vepa links alone.
        let bridge = tags(&peers[2]);
        let (old, new) = all.split_at(bridge.len());
        assert_eq!(bridge, old);
        assert_eq!(tags(&peers[3]), old, "no longer a vepa link");
        assert_eq!(tags(&peers[4]), new, "a vepa link from then on");
        assert!(peers[5..].iter().all(|peer| tags(peer) == all), "vepa throughout");
        assert!(tags(&peers[1]).is_empty(), "the sender gets nothing, whatever its mode");
        // Frames that came while the old plan held were replicated by the new.
        hit = !old.is_empty() && (old.len() as u64) < by_old_plan;
        if hit {
            break;
        }
    }
    assert!(hit, "no change of modes came while frames waited");
    let totals = rig.stop();
    assert_eq!(totals.iter().map(Totals::dropped).sum::<u64>(), 0);
}

pub(crate) fn tx_15_a_full_wire_counts_at_the_sender(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Vepa, Mode::Vepa]);
    expect(&rig, &peers, 2, &frame(mac(7), mac(2), 0, 60), &[0]);
    send_many(&rig, &peers[1], mac(7), 100);
    let went = peers[0].receive().len() as u64;
    let lost = u64::from(MANY) - went;
    assert!(lost > 0);
    let totals = rig.totals(1);
    assert_eq!((totals.wire_full, sent(&totals)), (lost, (went, lost)));
    assert_eq!((totals.rx_bytes - totals.rx_drop_bytes, totals.rx_drop_bytes), {
        (went * 100, lost * 100)
    });
    assert_eq!((rig.totals(2).wire_full, sent(&rig.totals(2))), (0, (1, 0)));
    // The frame itself is a drop of the lower: every drop has one reason.
    assert_eq!(rig.totals(0).tx_drops[DropReason::RingFull.index()], lost);
    // With room again, frames count as sent again.
    expect(&rig, &peers, 1, &frame(mac(7), mac(1), 0, 100), &[0]);
    assert_eq!(sent(&counted(&rig, 1)), (went + 1, lost));
    drop(rig.stop());
}

/// Nor is what finds no buffer for its tag, or is too long with it, which the
/// frames of a VLAN can be.
pub(crate) fn what_does_not_leave_was_not_sent(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 3);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::None, None, None);
    let pool = Arc::new(Pool::new("tags", 1023, 2048).unwrap());
    let carrier = Arc::clone(&rig.ports[0]);
    let vlan = VlanDevice { carrier, tpid: 0x8100, id: 10, pool: Arc::clone(&pool) };
    rig.ports.push(Arc::new(Port::new("p3", Device::Vlan(vlan), 1)));
    rig.add_lower(3, HostPort::None, None, Some((0x8100, 10)));
    rig.add_link(1, 1, Mode::Bridge, LinkData::default());
    rig.add_link(1, 2, Mode::Bridge, LinkData::default());
    rig.limits.insert(3, 1514);
    rig.publish();
    let send = |bytes: &[u8]| {
        let before = rig.totals(1).rx_packets;
        peers[1].send(bytes);
        wait_for("the frame to be taken", || rig.totals(1).rx_packets > before);
        counted(&rig, 1)
    };
    let drops = |reason: DropReason| rig.totals(3).tx_drops[reason.index()];

    let totals = send(&frame(mac(7), mac(1), 0, 1515));
    assert_eq!((drops(DropReason::TooLong), sent(&totals)), (1, (0, 1)));
    assert_eq!(totals.rx_drop_bytes, 1515);
    // The sibling's copy stays in its ring, so that the tag needs a frame of its own.
    let held: Vec<Mbuf> = std::iter::from_fn(|| pool.frame(&[0; 60])).collect();
    let totals = send(&frame(MacAddr::BROADCAST, mac(1), 1, 100));
    assert_eq!((drops(DropReason::NoBuffer), sent(&totals)), (1, (0, 2)));
    assert_eq!(totals.rx_drop_bytes, 1615);
    drop(held);
    let totals = send(&frame(MacAddr::BROADCAST, mac(1), 2, 100));
    assert_eq!((rig.totals(3).dropped(), sent(&totals)), (2, (1, 2)));
    assert_eq!((tags(&peers[2]), peers[0].receive().len()), (vec![1, 2], 1));
    drop(rig.stop());
}

/// A switch whose lower hears frames that nobody sends: all zeros, so that a
/// passthru link takes them.
fn switch_on_null() -> Switch {
    let switch = Switch::start(
        r#"
        [eal]
        memory = "4k"
        [[lower]]
        name = "lan0"
        device = "net_null0,copy=1"
        [[macvlan]]
        name = "mv0"
        link = "lan0"
        mode = "passthru"
        "#,
    );
    wait_for("frames that find no guest", || stats(&switch)["rx"]["errors"] != 0);
    switch
}

fn stats(switch: &Switch) -> Value {
    switch.rpc("link.show", json!({"name": "mv0"}))[0]["stats64"].clone()
}

/// Sums over the workers, and rx_dropped = rx_errors.
pub(crate) fn st_01_a_links_counters_are_sums_and_its_errors_are_drops(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let wire = |number| {
        let (near, far) = bench.wire(&format!("w{number}"), 2);
        (Device::Ring(near), Peer { bench, ring: far, lcore: &lcore })
    };
    let (devices, peers): (Vec<_>, Vec<_>) = (0..4).map(wire).unzip();
    let rig = Rig::start(devices, &[Mode::Bridge; 3], 2, IdlePolicy::Auto);
    // Links 1 and 2 have a worker each.
    for (number, from) in [(0, 1), (1, 2), (2, 2)] {
        expect(&rig, &peers, from, &frame(mac(3), mac(1), number, 60), &[3]);
    }
    expect(&rig, &peers, 1, &frame(MacAddr::BROADCAST, mac(1), 3, 80), &[0, 2, 3]);
    expect(&rig, &peers, 2, &frame(MacAddr::BROADCAST, mac(2), 4, 80), &[0, 1, 3]);
    let busy = rig.workers.iter().filter(|worker| worker.stats.totals().frames > 0);
    assert_eq!(busy.count(), 2);
    assert_eq!(received(&rig.stop()[3]), (5, 340, 2));

    let switch = switch_on_null();
    let all = stats(&switch);
    let errors = all["rx"]["errors"].as_u64().unwrap();
    assert_eq!(all["rx"]["dropped"], errors);
    // All other counters stay at 0: no frame was handed over, none was sent.
    let others = ["rx", "tx"].map(|side| all[side].as_object().unwrap().clone());
    let others = others.iter().flatten().filter(|(_, value)| **value != json!(errors));
    assert!(others.clone().count() >= 8);
    assert!(others.clone().all(|(_, value)| *value == 0), "{all}");
    _ = switch.stop();
}

/// Whatever path a frame comes on, its hand-over counts one packet and its
/// length. Deviation (RXM-17): also where it comes back to its sender.
pub(crate) fn st_02_every_hand_over_counts(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 5);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::None, None, None);
    rig.add_link(0, 1, Mode::Private, LinkData::default());
    rig.add_link(0, 2, Mode::Source, listing(&[mac(OUTSIDE)], Flags::NONE));
    rig.add_link(0, 3, Mode::Bridge, LinkData::default());
    rig.add_link(0, 4, Mode::Bridge, LinkData::default());
    rig.publish();
    let broadcast = MacAddr::BROADCAST;
    // (from, destination, source, who gets it)
    let cases: &[(usize, MacAddr, MacAddr, &[usize])] = &[
        (0, mac(1), mac(7), &[1]),
        (0, mac(1), mac(OUTSIDE), &[1, 2]),
        (0, broadcast, mac(7), &[1, 3, 4]),
        (0, broadcast, mac(1), &[1]),
        (3, mac(4), mac(3), &[4]),
        (3, broadcast, mac(3), &[0, 4]),
        (0, mac(8), mac(7), &[]),
    ];
    let mut wanted = [(0, 0); 5];
    for (number, &(from, dst, src, to)) in (0..).zip(cases) {
        let bytes = frame(dst, src, number, 60 + number as usize);
        expect(&rig, &peers, from, &bytes, to);
        for &port in to {
            wanted[port].0 += 1;
            wanted[port].1 += bytes.len() as u64;
        }
        settle(&rig);
        let counts = [0, 1, 2, 3, 4].map(|port| {
            let (packets, bytes, _) = received(&rig.totals(port));
            (packets, bytes)
        });
        assert_eq!(counts, wanted, "after frame {number}");
    }
    drop(rig.stop());
}

/// What cannot be handed over is an error of the receiver, once per frame
/// (deviation TX-13), and nobody else's.
pub(crate) fn st_04_what_cannot_be_handed_over_is_the_receivers_error(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 3);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::None, None, None);
    rig.add_link(0, 1, Mode::Bridge, LinkData::default());
    rig.add_link(0, 2, Mode::Bridge, LinkData::default());
    rig.limits.insert(2, 1018);
    rig.publish();
    let errors = |reason: DropReason| rig.totals(2).tx_drops[reason.index()];
    // Its queue is full.
    send_many(&rig, &peers[1], mac(2), 60);
    let went = peers[2].receive().len() as u64;
    let lost = u64::from(MANY) - went;
    assert!(lost > 0);
    assert_eq!((errors(DropReason::RingFull), rig.totals(2).dropped()), (lost, lost));
    assert_eq!(received(&rig.totals(2)), (went, went * 60, 0));
    expect(&rig, &peers, 1, &frame(MacAddr::BROADCAST, mac(1), 0, 1019), &[0]);
    settle(&rig);
    assert_eq!((errors(DropReason::TooLong), rig.totals(2).dropped()), (1, lost + 1));
    assert_eq!(received(&rig.totals(2)), (went, went * 60, 0));
    assert_eq!((rig.totals(0).dropped(), rig.totals(1).dropped()), (0, 0));
    drop(rig.stop());
}

/// Deviation: the kernel counts 14 bytes more per copy.
pub(crate) fn st_05_local_group_copies_count_their_own_length(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge; 3]);
    expect(&rig, &peers, 1, &frame(MacAddr::BROADCAST, mac(1), 0, 60), &[0, 2, 3]);
    expect(&rig, &peers, 1, &frame(MacAddr::BROADCAST, mac(1), 1, 1514), &[0, 2, 3]);
    settle(&rig);
    for port in [2, 3] {
        assert_eq!(received(&rig.totals(port)), (2, 1574, 2));
    }
    // The sender counts the frame once, however many get it, and gets none.
    let totals = rig.totals(1);
    assert_eq!((sent(&totals), totals.rx_bytes, totals.tx_packets), ((2, 0), 1574, 0));
    drop(rig.stop());
}

pub(crate) fn st_06_local_unicast_counts_as_sent_whatever_becomes_of_it(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 4);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::None, None, None);
    rig.add_link(0, 1, Mode::Bridge, LinkData::default());
    rig.add_link(0, 2, Mode::Bridge, LinkData::default());
    rig.add_link(0, 3, Mode::Source, listing(&[mac(1)], Flags::NODST));
    rig.set(3, LinkRequest { up: Some(false), ..LinkRequest::default() });
    rig.publish();
    // A list that consumes, of a link that is down (SRC-06, TX-11).
    expect(&rig, &peers, 1, &frame(mac(2), mac(1), 0, 60), &[]);
    let totals = counted(&rig, 1);
    assert_eq!(totals.rx_drops[DropReason::SourceNodst.index()], 1);
    assert_eq!((sent(&totals), totals.dropped()), ((1, 0), 1));
    assert_eq!((totals.rx_bytes, totals.rx_drop_bytes), (60, 0));
    // A receiver without room.
    let no_list = LinkData { mode: Some(Mode::Bridge.value()), ..LinkData::default() };
    rig.set(3, LinkRequest { data: Some(no_list), ..LinkRequest::default() });
    rig.publish();
    settle(&rig);
    let before = rig.totals(1);
    send_many(&rig, &peers[1], mac(2), 60);
    assert!(rig.totals(2).tx_drops[DropReason::RingFull.index()] > 0);
    let totals = rig.totals(1);
    let many = u64::from(MANY);
    assert_eq!(sent(&totals), (1 + many, 0));
    assert_eq!(totals.rx_bytes - before.rx_bytes, many * 60);
    assert_eq!(totals.rx_drop_bytes, before.rx_drop_bytes, "bytes of frames that were sent");
    drop(peers[2].receive());
    drop(rig.stop());
}

pub(crate) fn st_08_the_lower_counts_the_wire_alone(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge, Mode::Bridge]);
    let lower = || {
        let Totals { rx_packets, rx_bytes, tx_packets, tx_bytes, .. } = counted(&rig, 0);
        [rx_packets, rx_bytes, tx_packets, tx_bytes]
    };
    expect(&rig, &peers, 1, &frame(mac(2), mac(1), 0, 60), &[2]);
    assert_eq!(lower(), [0; 4]);
    expect(&rig, &peers, 1, &frame(mac(7), mac(1), 1, 70), &[0]);
    assert_eq!(lower(), [0, 0, 1, 70]);
    expect(&rig, &peers, 1, &frame(MacAddr::BROADCAST, mac(1), 2, 80), &[0, 2]);
    assert_eq!(lower(), [0, 0, 2, 150], "once, however many links get copies");
    expect(&rig, &peers, 0, &frame(mac(1), mac(OUTSIDE), 3, 90), &[1]);
    expect(&rig, &peers, 0, &frame(MacAddr::BROADCAST, mac(OUTSIDE), 4, 100), &[1, 2]);
    // Nobody's, but of the wire.
    expect(&rig, &peers, 0, &frame(mac(8), mac(OUTSIDE), 5, 110), &[]);
    assert_eq!(lower(), [3, 300, 2, 150]);
    drop(rig.stop());
}

/// Not reset by down and up or another mode; gone with the link.
pub(crate) fn st_10_counters_live_with_the_link(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (mut rig, peers) = rig(bench, &lcore, &[Mode::Bridge, Mode::Bridge]);
    let exchange = |rig: &Rig| {
        expect(rig, &peers, 0, &frame(mac(1), mac(OUTSIDE), 0, 60), &[1]);
        expect(rig, &peers, 1, &frame(mac(7), mac(1), 1, 80), &[0]);
    };
    exchange(&rig);
    let before = counted(&rig, 1);
    assert_eq!((received(&before), sent(&before), before.rx_bytes), ((1, 60, 0), (1, 0), 80));
    for (up, mode) in [(false, Mode::Bridge), (false, Mode::Private), (true, Mode::Vepa)] {
        let data = LinkData { mode: Some(mode.value()), ..LinkData::default() };
        rig.set(1, LinkRequest { up: Some(up), data: Some(data), ..LinkRequest::default() });
        rig.publish();
        assert_eq!(counted(&rig, 1), before, "up {up}, {mode}");
    }
    exchange(&rig);
    let after = counted(&rig, 1);
    assert_eq!((received(&after), sent(&after), after.rx_bytes), ((2, 120, 0), (2, 0), 160));
    drop(rig.stop());

    let switch = switch_on_null();
    switch.rpc("link.set", json!({"name": "mv0", "up": false}));
    assert_ne!(stats(&switch)["rx"]["errors"], 0);
    switch.rpc("link.del", json!({"name": "mv0"}));
    let again = json!({"name": "mv0", "link": "lan0", "mode": "passthru", "up": false});
    switch.rpc("link.add", again);
    assert_eq!(stats(&switch)["rx"]["errors"], 0, "another link, whatever its name");
    _ = switch.stop();
}

/// A device without a filter for addresses hears everything while any link is
/// up: on or off, however many links ask.
pub(crate) fn ucf_02_a_device_without_filter_hears_everything(_: &Bench) {
    for device in ["net_null0,no-rx=1", "net_ring0"] {
        let switch = Switch::start(&format!(
            r#"
            [eal]
            memory = "4k"
            [[lower]]
            name = "lan0"
            device = "{device}"
            [[macvlan]]
            name = "mv0"
            link = "lan0"
            up = false
            [[macvlan]]
            name = "mv1"
            link = "lan0"
            up = false
            "#
        ));
        for (name, up, promiscuous) in [
            ("mv0", false, false),
            ("mv0", true, true),
            ("mv1", true, true),
            ("mv0", false, true),
            ("mv1", false, false),
        ] {
            switch.rpc("link.set", json!({"name": name, "up": up}));
            let lower = switch.rpc("lower.show", json!({"name": "lan0"}))[0].clone();
            let because = lower["mvswitch"]["promiscuous_because"].clone();
            let step = format!("{device}: {name} up {up}");
            assert_eq!(lower["promiscuity"], u32::from(promiscuous), "{step}");
            let why = promiscuous.then_some("the device has no filter for addresses");
            assert_eq!(because, json!(why), "{step}");
        }
        _ = switch.stop();
    }
}
