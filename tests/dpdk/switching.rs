//! The data path on rings: who gets what, what is dropped, and that it adds up.

use macvlan::drop::DropReason;
use macvlan::mac::MacAddr;
use macvlan::mode::Mode;
use macvlan::request::LinkRequest;
use mvswitch::datapath::{Device, IdlePolicy, Totals};
use mvswitch::dpdk::Lcore;

use super::bench::Rig;
use super::{Bench, Peer, frame, mac, tag, wait_for};

/// A lower and links on wires, and the peers at their far ends.
fn rig<'a>(
    bench: &'a Bench,
    lcore: &'a Lcore,
    modes: &[Mode],
    workers: u16,
    idle: IdlePolicy,
) -> (Rig, Vec<Peer<'a>>) {
    let (near, far): (Vec<_>, Vec<_>) = (0..=modes.len())
        .map(|number| {
            let (near, far) = bench.wire(&format!("w{number}"), workers);
            (Device::Ring(near), Peer { bench, ring: far, lcore })
        })
        .unzip();
    (Rig::start(near, modes, workers, idle), far)
}

pub(crate) fn modes_decide_who_gets_what(bench: &Bench) {
    use Mode::{Bridge, Private, Vepa};
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Bridge, Bridge, Vepa, Private], 1, IdlePolicy::Auto);
    let outside = MacAddr::new([2, 9, 9, 9, 9, 9]);
    let broadcast = MacAddr::BROADCAST;
    // (from, destination, source, who gets it); 0 is the wire.
    let cases: &[(usize, MacAddr, MacAddr, &[usize])] = &[
        (0, mac(1), outside, &[1]),
        (0, mac(3), outside, &[3]),
        (0, mac(4), outside, &[4]),
        (0, outside, outside, &[]),
        (0, broadcast, outside, &[1, 2, 3, 4]),
        (0, broadcast, mac(1), &[3]),
        (0, broadcast, mac(3), &[1, 2]),
        (0, broadcast, mac(4), &[4]),
        (1, mac(2), mac(1), &[2]),
        (1, mac(1), mac(1), &[1]),
        (1, mac(3), mac(1), &[0]),
        (1, outside, mac(1), &[0]),
        (1, broadcast, mac(1), &[0, 2]),
        (3, mac(1), mac(3), &[0]),
        (3, broadcast, mac(3), &[0]),
        (4, mac(1), mac(4), &[0]),
        (4, broadcast, mac(4), &[0]),
    ];
    for (number, &(from, dst, src, expected)) in (0..).zip(cases) {
        peers[from].send(&frame(dst, src, number, 60));
        wait_for("the frame to be taken", || {
            let received = (0..peers.len()).map(|port| rig.totals(port).rx_packets).sum::<u64>();
            received == u64::from(number) + 1
        });
        for (port, peer) in peers.iter().enumerate() {
            let wanted = usize::from(expected.contains(&port));
            let got = peer.receive_count(wanted);
            assert_eq!(got.len(), wanted, "case {number}: port {port} of {expected:?}");
            assert!(got.iter().all(|bytes| tag(bytes) == number && bytes.len() == 60));
        }
    }
    let totals = rig.stop();
    assert_eq!(totals[0].rx_drops[DropReason::UnknownUnicast.index()], 1);
    assert_eq!(totals.iter().map(Totals::dropped).sum::<u64>(), 1);
}

pub(crate) fn illegal_frames_are_dropped_with_a_reason(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (mut rig, peers) = rig(bench, &lcore, &[Mode::Bridge, Mode::Bridge], 1, IdlePolicy::Auto);
    peers[1].send(&[2; 13]);
    peers[1].send(&frame(mac(2), mac(1), 0, 1519));
    peers[1].send(&frame(mac(2), mac(1), 1, 1518));
    peers[1].send(&frame(mac(2), mac(1), 2, 18));
    assert_eq!(
        peers[2].receive_count(2).iter().map(|bytes| tag(bytes)).collect::<Vec<_>>(),
        [1, 2]
    );

    rig.set(1, LinkRequest { up: Some(false), ..LinkRequest::default() });
    rig.publish();
    wait_for("the link to be down", || {
        peers[1].send(&frame(mac(2), mac(1), 3, 60));
        rig.totals(1).rx_drops[DropReason::LinkDown.index()] > 0
    });
    peers[0].send(&frame(mac(1), mac(9), 4, 60));
    wait_for("the wire's frame", || rig.totals(0).rx_packets == 1);
    drop(peers[2].receive());
    let totals = rig.stop();
    let drops = &totals[1].rx_drops;
    assert_eq!(drops[DropReason::Runt.index()], 1);
    assert_eq!(drops[DropReason::TooLong.index()], 1);
    assert_eq!(totals[0].rx_drops[DropReason::UnknownUnicast.index()], 1);
}

pub(crate) fn a_full_ring_drops_at_once(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge, Mode::Bridge], 1, IdlePolicy::Spin);
    // Nobody reads at link 2; link 1's other traffic goes on.
    for number in 0..2000 {
        peers[1].send(&frame(mac(2), mac(1), number, 60));
        wait_for("the frame to be taken", || rig.totals(1).rx_packets == u64::from(number) + 1);
    }
    peers[1].send(&frame(mac(7), mac(1), 0, 60));
    assert_eq!(peers[0].receive_count(1).len(), 1);
    let totals = rig.stop();
    let full = totals[2].tx_drops[DropReason::RingFull.index()];
    assert!(full > 0);
    assert_eq!(totals[2].tx_packets + full, 2000);
    assert_eq!(peers[2].receive().len() as u64, totals[2].tx_packets);
}

pub(crate) fn order_is_kept_between_two_ports(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge; 3], 1, IdlePolicy::Spin);
    // Unicast and broadcast mixed: both kinds of verdict keep one order.
    let mut expected = Vec::new();
    let mut got = Vec::new();
    for number in 0..20_000_u32 {
        let dst = match number % 3 {
            0 => mac(2),
            1 => MacAddr::BROADCAST,
            _ => mac(3),
        };
        if number % 3 != 2 {
            expected.push(number);
        }
        peers[1].send(&frame(dst, mac(1), number, 60));
        if number % 256 == 0 {
            wait_for("the worker", || rig.totals(1).rx_packets > u64::from(number));
            [0, 3].iter().for_each(|&port| drop(peers[port].receive()));
            got.extend(peers[2].receive());
        }
    }
    wait_for("the last frame", || {
        got.extend(peers[2].receive());
        got.len() >= expected.len()
    });
    assert_eq!(got.iter().map(|bytes| tag(bytes)).collect::<Vec<_>>(), expected);
    drop(rig.stop());
}

/// Everything waits when the worker starts, so that batches are full: more than
/// a burst for one output, few or none for others, and frames that must not
/// enter in between. Later batches are for others than earlier ones.
pub(crate) fn full_batches_arrive_in_order(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let outside = MacAddr::new([2, 9, 9, 9, 9, 9]);
    for broadcasts in [false, true] {
        let modes = [Mode::Bridge; 6];
        let (near, far): (Vec<_>, Vec<_>) =
            (0..=modes.len()).map(|number| bench.wire(&format!("w{number}"), 1)).unzip();
        let peer = |ring| Peer { bench, ring, lcore: &lcore };
        let peers: Vec<_> = far.into_iter().map(peer).collect();
        let mut expected = vec![Vec::new(); peers.len()];
        let mut illegal = 0;
        for number in 0..1000_u32 {
            let (len, to) = match number % 50 {
                7 => (13, 1),
                21 => (1600, 1),
                _ if number % 3 < 2 => (60, 1),
                more => (60 + more as usize, 2 + more % if number < 600 { 2 } else { 5 }),
            };
            let everyone = broadcasts && number % 90 == 11 && len == 60;
            let dst = match everyone {
                true => MacAddr::BROADCAST,
                false => mac(u8::try_from(to).unwrap()),
            };
            peers[0].send(&frame(dst, outside, number, len));
            match (len, everyone) {
                (13 | 1600, _) => illegal += 1,
                (_, true) => expected[1..].iter_mut().for_each(|all| all.push(number)),
                (_, false) => expected[to as usize].push(number),
            }
        }
        let rig =
            Rig::start(near.into_iter().map(Device::Ring).collect(), &modes, 1, IdlePolicy::Spin);
        for (peer, expected) in peers.iter().zip(&expected).skip(1) {
            let got = peer.receive_count(expected.len());
            assert_eq!(got.iter().map(|bytes| tag(bytes)).collect::<Vec<_>>(), *expected);
        }
        assert_eq!(rig.totals(0).rx_packets, 1000);
        assert_eq!(rig.totals(0).dropped(), illegal);
        let ports = rig.stop();
        drop(ports);
    }
}

pub(crate) fn a_broadcast_reaches_many(bench: &Bench) {
    // As many links as ethdevs allow beside the lower: two per wire.
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge; 14], 1, IdlePolicy::Spin);
    // More deliveries than the sorter takes at once: 128 frames to 14 links,
    // twice over.
    for number in 0..256 {
        peers[0].send(&frame(MacAddr::BROADCAST, mac(99), number, 60));
    }
    for peer in &peers[1..] {
        let got = peer.receive_count(256);
        assert_eq!(
            got.iter().map(|bytes| tag(bytes)).collect::<Vec<_>>(),
            (0..256).collect::<Vec<_>>()
        );
    }
    let totals = rig.stop();
    assert_eq!(totals[0].copies, 256 * 13);
}

pub(crate) fn plans_change_under_traffic(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge, Mode::Bridge], 1, IdlePolicy::Spin);
    let mut got = Vec::new();
    for number in 0..20_000_u32 {
        if number % 20 == 0 {
            rig.publish();
        }
        peers[1].send(&frame(mac(2), mac(1), number, 60));
        if number % 256 == 0 {
            wait_for("the worker", || rig.totals(1).rx_packets > u64::from(number));
            got.extend(peers[2].receive());
        }
    }
    wait_for("the last frame", || {
        got.extend(peers[2].receive());
        got.len() >= 20_000
    });
    assert!((0..).zip(&got).all(|(number, bytes)| tag(bytes) == number));
    let totals = rig.stop();
    assert_eq!(totals.iter().map(Totals::dropped).sum::<u64>(), 0);
}

pub(crate) fn two_workers_send_to_one_link(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (rig, peers) = rig(bench, &lcore, &[Mode::Bridge; 3], 2, IdlePolicy::Auto);
    // Links 1 and 2 are polled by different workers; both send to link 3.
    let mut got = Vec::new();
    for number in 0..10_000_u32 {
        for from in [1_u8, 2] {
            peers[usize::from(from)].send(&frame(mac(3), mac(from), number, 60));
        }
        if number % 128 == 0 {
            wait_for("both workers", || {
                [1, 2].iter().all(|&port| rig.totals(port).rx_packets > u64::from(number))
            });
            got.extend(peers[3].receive());
        }
    }
    wait_for("the last frame", || {
        got.extend(peers[3].receive());
        got.len() >= 20_000
    });
    for from in [1, 2] {
        let tags = got.iter().filter(|bytes| bytes[11] == from).map(|bytes| tag(bytes));
        assert!(tags.eq(0..10_000), "order from link {from}");
    }
    let totals = rig.stop();
    assert_eq!(totals[3].tx_packets, 20_000);
}
