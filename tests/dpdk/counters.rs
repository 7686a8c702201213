//! What a link counts, statement by statement (macvlan-semantics.md section 8).
//!
//! A link's receive counters are what the switch's port transmitted, and the
//! reverse: names here are the link's. Where the kernel's own counter has a slip
//! (tests/deviations.toml) ours is asserted.

use macvlan::driver::HostPort;
use macvlan::drop::DropReason;
use macvlan::mac::MacAddr;
use macvlan::mode::{Flags, Mode};
use macvlan::request::{LinkData, LinkRequest};
use mvswitch::datapath::{IdlePolicy, Totals};
use mvswitch::dpdk::Lcore;

use super::bench::Rig;
use super::driver::{expect, listing, tagged, wires};
use super::{Bench, Peer, frame, mac, tag, wait_for};

const OUTSIDE: u8 = 0x99;

/// A lower and links 1, 2, … in these modes.
fn rig<'a>(bench: &'a Bench, lcore: &'a Lcore, modes: &[Mode]) -> (Rig, Vec<Peer<'a>>) {
    let (devices, peers) = wires(bench, lcore, modes.len() + 1);
    (Rig::start(devices, modes, 1, IdlePolicy::Auto), peers)
}

/// What a link received: packets, bytes, of these multicast.
fn received(totals: &Totals) -> (u64, u64, u64) {
    (totals.tx_packets, totals.tx_bytes, totals.multicast)
}

/// What a link sent: packets and bytes that found their way.
fn sent(totals: &Totals) -> (u64, u64) {
    let lost: u64 = totals.rx_drops.iter().sum::<u64>() + totals.wire_full;
    (totals.rx_packets - lost, totals.rx_bytes - totals.rx_drop_bytes)
}

/// RXU-08, ST-02.
pub(crate) fn rxu_08_st_02_unicast_counts_one_frame_and_its_length(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Private]);
    expect(&rig, &peers, 0, &frame(mac(1), mac(OUTSIDE), 0, 60), &[1]);
    expect(&rig, &peers, 0, &frame(mac(1), mac(OUTSIDE), 1, 1514), &[1]);
    assert_eq!(received(&rig.totals(1)), (2, 1574, 0));
    // A tag that the link gets is of its bytes; the kernel's count leaves it out.
    let tagged = tagged(&frame(mac(1), mac(OUTSIDE), 2, 60), 0x8100, 7);
    expect(&rig, &peers, 0, &tagged, &[1]);
    assert_eq!(received(&rig.totals(1)), (3, 1638, 0));
    drop(rig.stop());
}

pub(crate) fn rxm_18_what_waits_goes_by_the_rules_of_its_replication(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (mut rig, peers) = rig(bench, &lcore, &[Mode::Vepa; 9]);
    // Link 9 is the sender whose frames come back; 8 listens until it no longer does.
    let sender = mac(9);
    let total = 200;
    // While the plan has no link the frames cannot be replicated: they are all
    // queued first, by a plan whose queue is never empty in between.
    for number in 0..total {
        peers[0].send(&frame(MacAddr::BROADCAST, sender, number, 60));
    }
    rig.set(8, LinkRequest { up: Some(false), ..LinkRequest::default() });
    rig.publish();
    // Whatever was replicated before the change went to 8 links, the rest to 7:
    // never to the sender, and to those that stayed each frame once, in order.
    for peer in &peers[1..8] {
        let tags: Vec<u32> =
            peer.receive_count(total as usize).iter().map(|bytes| tag(bytes)).collect();
        assert_eq!(tags, (0..total).collect::<Vec<_>>());
    }
    wait_for("the end of the queue", || rig.totals(0).rx_packets == u64::from(total));
    let early: Vec<u32> = peers[8].receive().iter().map(|bytes| tag(bytes)).collect();
    assert!((0..).zip(&early).all(|(wanted, tag)| *tag == wanted), "a gap: {early:?}");
    assert!(peers[9].receive().is_empty(), "the sender got its own frame back");
    // A sender that is nobody any more: all get it (RXM-01 instead of RXM-02).
    rig.set(9, LinkRequest { up: Some(false), ..LinkRequest::default() });
    rig.publish();
    peers[0].send(&frame(MacAddr::BROADCAST, sender, total, 60));
    assert_eq!(peers[1].receive_count(1).len(), 1);
    let totals = rig.stop();
    assert_eq!(totals.iter().map(Totals::dropped).sum::<u64>(), 0);
    peers.iter().for_each(|peer| drop(peer.receive()));
}

pub(crate) fn tx_15_a_full_wire_counts_at_the_sender(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Vepa]);
    for number in 0..2000 {
        let before = rig.totals(1).rx_packets;
        peers[1].send(&frame(mac(7), mac(1), number, 100));
        wait_for("the frame to be taken", || rig.totals(1).rx_packets > before);
    }
    let full = || rig.totals(0).tx_drops[DropReason::RingFull.index()];
    wait_for("the last frame", || rig.totals(0).tx_packets + full() == 2000);
    wait_for("the sender's count", || rig.totals(1).wire_full == full());
    let totals = rig.totals(1);
    assert!(totals.wire_full > 0);
    let taken = peers[0].receive().len() as u64;
    assert_eq!((taken, totals.wire_full), (2000 - totals.wire_full, 2000 - taken));
    assert_eq!(sent(&totals), (taken, taken * 100));
    // The frame itself is a drop of the lower: every drop has one reason.
    assert_eq!(full(), totals.wire_full);
    drop(rig.stop());
}

/// ST-01 and ST-04: what cannot be handed over is the receiver's error.
pub(crate) fn st_01_st_04_a_full_guest_counts_at_the_receiver(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge, Mode::Bridge]);
    for number in 0..2000 {
        let before = rig.totals(1).rx_packets;
        peers[1].send(&frame(mac(2), mac(1), number, 60));
        wait_for("the frame to be taken", || rig.totals(1).rx_packets > before);
    }
    let full = || rig.totals(2).tx_drops[DropReason::RingFull.index()];
    wait_for("the last frame", || rig.totals(2).tx_packets + full() == 2000);
    let lost = full();
    assert!(lost > 0);
    assert_eq!(received(&rig.totals(2)), (2000 - lost, (2000 - lost) * 60, 0));
    // ST-06: the sender has sent them all.
    assert_eq!(sent(&rig.totals(1)), (2000, 120_000));
    drop(peers[2].receive());
    drop(rig.stop());
}

pub(crate) fn st_05_local_copies_count_their_own_length(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge, Mode::Bridge]);
    expect(&rig, &peers, 1, &frame(MacAddr::BROADCAST, mac(1), 0, 60), &[0, 2]);
    // The kernel counts 14 bytes more here.
    assert_eq!(received(&rig.totals(2)), (1, 60, 1));
    assert_eq!(sent(&rig.totals(1)), (1, 60));
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
    let consumed = || rig.totals(1).rx_drops[DropReason::SourceNodst.index()];
    wait_for("the drop", || consumed() == 1);
    let totals = rig.totals(1);
    assert_eq!((totals.rx_packets, totals.wire_full), (1, 0));
    drop(rig.stop());
}

pub(crate) fn st_08_the_lower_counts_the_wire_alone(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge, Mode::Bridge]);
    expect(&rig, &peers, 1, &frame(mac(2), mac(1), 0, 60), &[2]);
    let lower = rig.totals(0);
    assert_eq!((lower.rx_packets, lower.tx_packets), (0, 0));
    expect(&rig, &peers, 1, &frame(mac(7), mac(1), 1, 60), &[0]);
    expect(&rig, &peers, 0, &frame(mac(1), mac(OUTSIDE), 2, 60), &[1]);
    let lower = rig.totals(0);
    assert_eq!((lower.rx_packets, lower.tx_packets), (1, 1));
    drop(rig.stop());
}

pub(crate) fn st_10_counters_outlive_down_and_modes(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (mut rig, peers) = rig(bench, &lcore, &[Mode::Bridge, Mode::Bridge]);
    expect(&rig, &peers, 0, &frame(mac(1), mac(OUTSIDE), 0, 60), &[1]);
    expect(&rig, &peers, 1, &frame(mac(7), mac(1), 1, 60), &[0]);
    let before = (received(&rig.totals(1)), sent(&rig.totals(1)));
    for up in [false, true] {
        let mode = LinkData { mode: Some(Mode::Private.value()), ..LinkData::default() };
        rig.set(1, LinkRequest { up: Some(up), data: Some(mode), ..LinkRequest::default() });
        rig.publish();
        assert_eq!((received(&rig.totals(1)), sent(&rig.totals(1))), before);
    }
    drop(rig.stop());
}
