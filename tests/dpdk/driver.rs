//! What the whole driver asks of the data path: source lists, passthru, the
//! host port, VLAN lowers, the broadcast queue, and the counters of each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use macvlan::driver::HostPort;
use macvlan::drop::DropReason;
use macvlan::mac::MacAddr;
use macvlan::mode::{Flags, MacaddrMode, Mode};
use macvlan::request::{LinkData, LinkRequest};
use mvswitch::datapath::{BroadcastQueue, Device, IdlePolicy, QueueRoom, VlanDevice};
use mvswitch::dpdk::{Burst, EthOptions, Lcore, RingPair};

use super::bench::Rig;
use super::{Bench, Peer, frame, mac, options, tag, wait_for};

/// Wires with a peer at each far end; the near ends become ports.
pub(crate) fn wires<'a>(
    bench: &'a Bench,
    lcore: &'a Lcore,
    count: usize,
) -> (Vec<Device>, Vec<Peer<'a>>) {
    let wire = |number| {
        let (near, far) = bench.wire(&format!("w{number}"), 1);
        (Device::Ring(near), Peer { bench, ring: far, lcore })
    };
    (0..count).map(wire).unzip()
}

pub(crate) fn listing(sources: &[MacAddr], flags: Flags) -> LinkData {
    LinkData {
        flags: Some(flags.bits()),
        macaddr_mode: Some(MacaddrMode::Set.value()),
        macaddr_data: Some(sources.iter().map(|mac| (4, mac.bytes().to_vec())).collect()),
        ..LinkData::default()
    }
}

/// Sends a frame and checks who gets it: exactly these, exactly once.
pub(crate) fn expect(rig: &Rig, peers: &[Peer<'_>], from: usize, bytes: &[u8], to: &[usize]) {
    let before = rig.totals(from).rx_packets;
    peers[from].send(bytes);
    wait_for("the frame to be taken", || rig.totals(from).rx_packets > before);
    for (port, peer) in peers.iter().enumerate() {
        let wanted = to.iter().filter(|&&other| other == port).count();
        let got = peer.receive_count(wanted);
        assert_eq!(got.len(), wanted, "port {port} of {to:?}, frame {:?}", &bytes[..14]);
        assert!(got.iter().all(|got| got == bytes));
    }
}

pub(crate) fn source_lists_add_and_consume(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 5);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::None, None, None);
    rig.add_link(0, 1, Mode::Bridge, LinkData::default());
    rig.add_link(0, 2, Mode::Bridge, LinkData::default());
    rig.add_link(0, 3, Mode::Source, listing(&[mac(0x51), mac(1)], Flags::NONE));
    rig.add_link(0, 4, Mode::Source, listing(&[mac(0x51), mac(0x52)], Flags::NONE));
    rig.publish();
    let (both, second) = (mac(0x51), mac(0x52));
    expect(&rig, &peers, 0, &frame(mac(1), both, 0, 60), &[1, 3, 4]);
    expect(&rig, &peers, 0, &frame(mac(9), second, 1, 60), &[4]);
    expect(&rig, &peers, 0, &frame(MacAddr::BROADCAST, second, 2, 60), &[1, 2, 4]);
    // TX-11: what stays local passes the lists, what leaves does not.
    expect(&rig, &peers, 1, &frame(mac(2), mac(1), 3, 60), &[2, 3]);
    expect(&rig, &peers, 1, &frame(MacAddr::BROADCAST, mac(1), 4, 60), &[0, 2]);

    rig.set(
        4,
        LinkRequest {
            data: Some(LinkData { flags: Some(Flags::NODST.bits()), ..LinkData::default() }),
            ..LinkRequest::default()
        },
    );
    rig.publish();
    wait_for("the new plan", || {
        peers[0].send(&frame(mac(1), second, 5, 60));
        wait_for("a receiver", || rig.totals(4).tx_packets > 3);
        peers[1].receive().is_empty()
    });
    _ = peers[4].receive();
    expect(&rig, &peers, 0, &frame(MacAddr::BROADCAST, both, 6, 60), &[3, 4]);
    rig.set(4, LinkRequest { up: Some(false), ..LinkRequest::default() });
    rig.publish();
    // SRC-06: consumed even though the link is down.
    let nodst = DropReason::SourceNodst.index();
    wait_for("the new plan", || {
        peers[0].send(&frame(mac(1), second, 7, 60));
        rig.totals(0).rx_drops[nodst] > 0
    });
    _ = (peers[1].receive(), peers[4].receive());
    let totals = rig.stop();
    // ST-03: copies for source lists are no multicast; the others are.
    assert_eq!((totals[3].multicast, totals[4].multicast), (0, 0));
    assert_eq!((totals[1].multicast, totals[2].multicast), (1, 2));
}

pub(crate) fn passthru_takes_all_unicast(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 3);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::Taps, Some(2), None);
    rig.add_link(0, 1, Mode::Passthru, LinkData::default());
    rig.publish();
    let own = rig.driver.links().next().unwrap().address;
    expect(&rig, &peers, 0, &frame(mac(0x77), mac(9), 0, 60), &[1]);
    expect(&rig, &peers, 0, &frame(own, mac(9), 1, 60), &[1]);
    expect(&rig, &peers, 0, &frame(MacAddr::BROADCAST, mac(9), 2, 60), &[1, 2]);
    expect(&rig, &peers, 0, &frame(MacAddr::BROADCAST, own, 3, 60), &[1]);
    expect(&rig, &peers, 1, &frame(mac(0x77), own, 4, 60), &[0]);
    expect(&rig, &peers, 2, &frame(own, own, 5, 60), &[0]);
    rig.set(1, LinkRequest { up: Some(false), ..LinkRequest::default() });
    rig.publish();
    wait_for("the link to be down", || {
        peers[0].send(&frame(mac(0x77), mac(9), 6, 60));
        rig.totals(0).rx_drops[DropReason::LinkDown.index()] > 0
    });
    _ = peers[1].receive();
    drop(rig.stop());
}

pub(crate) fn the_host_hears_what_links_do_not(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 4);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::Taps, Some(1), None);
    rig.add_link(0, 2, Mode::Bridge, LinkData::default());
    rig.add_link(0, 3, Mode::Private, LinkData::default());
    rig.publish();
    let host = mac(0xf0);
    expect(&rig, &peers, 0, &frame(host, mac(9), 0, 60), &[1]);
    expect(&rig, &peers, 0, &frame(mac(2), mac(9), 1, 60), &[2]);
    expect(&rig, &peers, 0, &frame(MacAddr::BROADCAST, mac(9), 2, 60), &[1, 2, 3]);
    // TX-06, TX-10: links and host do not reach each other.
    expect(&rig, &peers, 2, &frame(host, mac(2), 3, 60), &[0]);
    expect(&rig, &peers, 1, &frame(mac(2), host, 4, 60), &[0]);
    drop(rig.stop());
}

pub(crate) fn a_reachable_host_is_a_member(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 4);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::Reachable, Some(1), None);
    rig.add_link(0, 2, Mode::Bridge, LinkData::default());
    rig.add_link(0, 3, Mode::Vepa, LinkData::default());
    rig.publish();
    let host = mac(0xf0);
    expect(&rig, &peers, 2, &frame(host, mac(2), 0, 60), &[1]);
    expect(&rig, &peers, 1, &frame(mac(2), host, 1, 60), &[2]);
    expect(&rig, &peers, 3, &frame(host, mac(3), 2, 60), &[0]);
    expect(&rig, &peers, 1, &frame(mac(3), host, 3, 60), &[0]);
    expect(&rig, &peers, 2, &frame(MacAddr::BROADCAST, mac(2), 4, 60), &[0, 1]);
    expect(&rig, &peers, 1, &frame(MacAddr::BROADCAST, host, 5, 60), &[0, 2]);
    // Reflected: bridge members have had it, and it is the host's own.
    expect(&rig, &peers, 0, &frame(MacAddr::BROADCAST, host, 6, 60), &[3]);
    drop(rig.stop());
}

pub(crate) fn a_links_mtu_limits_copies_of_siblings_only(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 3);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::None, None, None);
    rig.add_link(0, 1, Mode::Bridge, LinkData::default());
    rig.add_link(0, 2, Mode::Bridge, LinkData::default());
    rig.limits.insert(2, 1018);
    rig.publish();
    let broadcast = MacAddr::BROADCAST;
    // RXU-02, RXM-01, TX-12: the lower's MTU counts.
    expect(&rig, &peers, 0, &frame(mac(2), mac(9), 0, 1518), &[2]);
    expect(&rig, &peers, 0, &frame(broadcast, mac(9), 1, 1518), &[1, 2]);
    expect(&rig, &peers, 1, &frame(mac(2), mac(1), 2, 1518), &[2]);
    // TX-13: the sibling's.
    expect(&rig, &peers, 1, &frame(broadcast, mac(1), 3, 1019), &[0]);
    expect(&rig, &peers, 1, &frame(broadcast, mac(1), 4, 1018), &[0, 2]);
    expect(&rig, &peers, 2, &frame(mac(1), mac(2), 5, 1019), &[]);
    let totals = rig.stop();
    let too_long = DropReason::TooLong.index();
    assert_eq!((totals[2].tx_drops[too_long], totals[2].rx_drops[too_long]), (1, 1));
}

pub(crate) fn the_last_of_a_crowd_has_its_limit_too(bench: &Bench) {
    const CROWD: u16 = 1100;
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 3);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::None, None, None);
    rig.add_link(0, 1, Mode::Bridge, LinkData::default());
    // More than there are bursts: some leave before all have been staged.
    rig.add_crowd(2, CROWD);
    rig.limits.insert(2, 1018);
    rig.publish();
    peers[1].send(&frame(MacAddr::BROADCAST, mac(1), 0, 1019));
    wait_for("the frame", || rig.totals(0).tx_packets == 1);
    let totals = rig.stop();
    let too_long = DropReason::TooLong.index();
    assert_eq!((totals[2].tx_packets, totals[2].tx_drops[too_long]), (0, CROWD.into()));
}

/// `bytes` with a tag behind the addresses.
pub(crate) fn tagged(bytes: &[u8], tpid: u16, tci: u16) -> Vec<u8> {
    [&bytes[..12], &tpid.to_be_bytes(), &tci.to_be_bytes(), &bytes[12..]].concat()
}

pub(crate) fn vlans_are_lowers_of_their_own(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    // Port 0 is the wire; 1 and 2 are on it, 3 and 4 on VLAN 10, 5 on service
    // VLAN 10.
    let (devices, peers) = wires(bench, &lcore, 6);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::None, None, None);
    for (tpid, port) in [(0x8100, 6), (0x88a8, 7)] {
        let vlan = VlanDevice {
            carrier: Arc::clone(&rig.ports[0]),
            tpid,
            id: 10,
            pool: Arc::clone(&bench.pool),
        };
        let device = Device::Vlan(vlan);
        let port_of_vlan = mvswitch::datapath::Port::new(&format!("p{port}"), device, 1);
        rig.ports.push(Arc::new(port_of_vlan));
        rig.add_lower(port, HostPort::None, None, Some((tpid, 10)));
    }
    rig.add_link(0, 1, Mode::Bridge, LinkData::default());
    rig.add_link(0, 2, Mode::Bridge, LinkData::default());
    rig.add_link(1, 3, Mode::Bridge, LinkData::default());
    rig.add_link(1, 4, Mode::Bridge, LinkData::default());
    rig.add_link(2, 5, Mode::Bridge, LinkData::default());
    rig.publish();
    let outside = mac(9);
    let receive = |port: usize, count| peers[port].receive_count(count);

    // In: the tag of a VLAN goes, all others stay.
    let plain = frame(mac(3), outside, 1, 60);
    peers[0].send(&tagged(&plain, 0x8100, 0xe00a));
    assert_eq!(receive(3, 1), [plain]);
    let plain = frame(mac(5), outside, 2, 60);
    peers[0].send(&tagged(&plain, 0x88a8, 10));
    assert_eq!(receive(5, 1), [plain]);
    let other = tagged(&frame(mac(1), outside, 3, 60), 0x8100, 11);
    peers[0].send(&other);
    assert_eq!(receive(1, 1), [other]);
    // An address of another VLAN is nobody's here.
    peers[0].send(&frame(mac(3), outside, 4, 60));
    peers[0].send(&tagged(&frame(mac(1), outside, 5, 60), 0x8100, 10));
    // Groups stay within their VLAN.
    let group = frame(MacAddr::BROADCAST, outside, 6, 60);
    peers[0].send(&tagged(&group, 0x8100, 10));
    assert_eq!((receive(3, 1), receive(4, 1)), (vec![group.clone()], vec![group]));

    // Out: with the tag, while the sibling gets the same frame without.
    let group = frame(MacAddr::BROADCAST, mac(3), 7, 60);
    peers[3].send(&group);
    assert_eq!(receive(4, 1), std::slice::from_ref(&group));
    assert_eq!(receive(0, 1), [tagged(&group, 0x8100, 10)]);
    let unicast = frame(outside, mac(5), 8, 60);
    peers[5].send(&unicast);
    assert_eq!(receive(0, 1), [tagged(&unicast, 0x88a8, 10)]);
    // The largest frame of the VLAN is the largest of the wire with its tag.
    peers[3].send(&frame(mac(4), mac(3), 9, 1518));
    assert_eq!(receive(4, 1).len(), 1);
    assert!(peers[2].receive().is_empty());

    let totals = rig.stop();
    assert_eq!(totals[6].rx_packets, 3);
    assert_eq!(totals[6].rx_drops[DropReason::UnknownUnicast.index()], 1);
    assert_eq!(totals[0].rx_drops[DropReason::UnknownUnicast.index()], 1);
    assert_eq!((totals[6].tx_packets, totals[7].tx_packets, totals[0].tx_packets), (1, 1, 2));
    assert_eq!(totals[0].tx_bytes, totals[6].tx_bytes + totals[7].tx_bytes + 8);
}

pub(crate) fn broadcasts_wait_for_their_turn(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    const LINKS: usize = 12;
    let (devices, peers) = wires(bench, &lcore, LINKS + 1);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Auto);
    rig.add_lower(0, HostPort::None, None, None);
    for number in 1..=12 {
        rig.add_link(0, number, Mode::Vepa, LinkData::default());
    }
    rig.publish();
    // More copies than one turn makes: the rest waits, in order, and arrives.
    let burst: u32 = 200;
    for number in 0..burst {
        peers[0].send(&frame(MacAddr::BROADCAST, mac(0x99), number, 60));
    }
    for peer in &peers[1..] {
        let got = peer.receive_count(burst as usize);
        let tags: Vec<u32> = got.iter().map(|bytes| tag(bytes)).collect();
        assert_eq!(tags, (0..burst).collect::<Vec<_>>());
    }
    // BCQ-01: a queue of length 0 lets no broadcast through.
    for number in 1..=12 {
        let data = LinkData { bc_queue_len: Some(0), ..LinkData::default() };
        rig.set(number, LinkRequest { data: Some(data), ..LinkRequest::default() });
    }
    rig.publish();
    let full = DropReason::BcQueueFull.index();
    wait_for("the queue to have no room", || {
        peers[0].send(&frame(MacAddr::BROADCAST, mac(0x99), 0, 60));
        rig.totals(0).rx_drops[full] > 0
    });
    let drops = || rig.totals(0).rx_drops[full];
    for _ in 0..3 {
        let before = drops();
        peers[0].send(&frame(MacAddr::BROADCAST, mac(0x99), 1, 60));
        wait_for("another drop", || drops() > before);
    }
    peers[1..].iter().for_each(|peer| drop(peer.receive()));
    // MCF-09: below 0 nothing is queued, so nothing is refused.
    let data = LinkData { bc_cutoff: Some(-1), ..LinkData::default() };
    rig.set(1, LinkRequest { data: Some(data), ..LinkRequest::default() });
    rig.publish();
    wait_for("the new limit", || {
        peers[0].send(&frame(MacAddr::BROADCAST, mac(0x99), 2, 60));
        !peers[12].receive().is_empty()
    });
    let totals = rig.stop();
    assert_eq!(totals[1].multicast, totals[1].tx_packets);
    peers.iter().for_each(|peer| drop(peer.receive()));
}

pub(crate) fn a_storm_does_not_starve_unicast(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 15);
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Spin);
    rig.add_lower(0, HostPort::None, None, None);
    for number in 1..=14 {
        let data = LinkData { bc_queue_len: Some(50), ..LinkData::default() };
        rig.add_link(0, number, Mode::Vepa, data);
    }
    rig.publish();
    // A backlog in which every tenth frame is unicast.
    let mut expected = 0;
    for number in 0..240_u32 {
        let unicast = number % 10 == 0;
        expected += u64::from(unicast);
        let dst = if unicast { mac(1) } else { MacAddr::BROADCAST };
        peers[0].send(&frame(dst, mac(0x99), number, 60));
    }
    wait_for("all frames", || rig.totals(0).rx_packets == 240);
    // The storm loses what the queue cannot hold, unicast loses nothing.
    let unicast = |bytes: &Vec<u8>| bytes[..6] == mac(1).bytes();
    let mut got = 0;
    wait_for("unicast", || {
        got += peers[1].receive().iter().filter(|bytes| unicast(bytes)).count() as u64;
        got == expected
    });
    let totals = rig.stop();
    let lost = totals[0].rx_drops[DropReason::BcQueueFull.index()];
    assert_eq!(totals[2].tx_packets + lost, 240 - expected);
    peers.iter().for_each(|peer| drop(peer.receive()));
}

/// What waits in the queue of one lower has no room in that of another.
pub(crate) fn all_broadcast_queues_share_one_room(bench: &Bench) {
    const LINKS: u8 = 7;
    const ROOM: usize = 60;
    let lcore = Lcore::helper().unwrap();
    let (devices, peers) = wires(bench, &lcore, 2 * (1 + usize::from(LINKS)));
    let mut rig = Rig::empty(devices, 1, IdlePolicy::Spin);
    let room = Arc::new(QueueRoom::new(ROOM));
    for lower in [0, 1] {
        // Port 0 is the first wire, and 8 the second.
        let port = u8::try_from(lower).unwrap() * (LINKS + 1);
        rig.add_lower(port.into(), HostPort::None, None, None);
        rig.lowers[lower].queue = Arc::new(BroadcastQueue::new(Arc::clone(&room)));
        for number in 1..=LINKS {
            rig.add_link(lower, port + number, Mode::Vepa, LinkData::default());
        }
    }
    // Nobody polls before: a turn takes 128, and replicates 37 until the 256
    // copies it may make are spent. The first lower's 91 find room for 60; when
    // it is the other's turn, all but 37 of them wait still.
    for number in 0..128 {
        for wire in [0, 8] {
            peers[wire].send(&frame(MacAddr::BROADCAST, mac(0x99), number, 60));
        }
    }
    rig.publish();
    let full = |lower: usize| rig.totals(lower).rx_drops[DropReason::BcQueueFull.index()];
    let lasts: Vec<usize> = vec![128 - 31, 128 - 54];
    for (wire, last) in [0_usize, 8].into_iter().zip(lasts) {
        for peer in &peers[wire + 1..=wire + usize::from(LINKS)] {
            assert_eq!(peer.receive_count(last).len(), last, "wire {wire}");
        }
    }
    assert_eq!((full(0), full(8)), (31, 54));
    wait_for("the room to be free again", || room.taken() == 0);
    drop(rig.stop());
}

/// Frames of one queue of the wire, replicated by the worker that polls it and
/// by another one that has nothing else to do.
pub(crate) fn broadcasts_keep_their_order_whoever_replicates_them(bench: &Bench) {
    const LINKS: u8 = 14;
    const EACH: u32 = 50_000;
    let lcore = Lcore::helper().unwrap();
    // A single queue per link: what two workers send there has one order.
    let wire = |number: u8| {
        let options = EthOptions { queues: if number == 0 { 2 } else { 1 }, ..options(2) };
        let (near, far) = RingPair::wire(&format!("w{number}"), &options, &bench.pool).unwrap();
        (Device::Ring(near), far)
    };
    let (devices, mut rings): (Vec<_>, Vec<_>) = (0..=LINKS).map(wire).unzip();
    let wire = rings.remove(0);
    let peers: Vec<_> = rings.into_iter().map(|ring| Peer { bench, ring, lcore: &lcore }).collect();
    let rig = Rig::start(devices, &[Mode::Vepa; LINKS as usize], 2, IdlePolicy::Spin);
    let through = || {
        let lost = rig.totals(0).rx_drops[DropReason::BcQueueFull.index()];
        let last = rig.totals(usize::from(LINKS));
        last.tx_packets + last.dropped() + lost
    };
    let (both, taken) = (Barrier::new(2), AtomicU64::new(0));
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                // Their numbers are neighbours: one sends into each queue.
                let lcore = Lcore::helper().unwrap();
                both.wait();
                let peer = Sender { bench, ring: &wire, lcore: &lcore };
                for number in 0..EACH {
                    // More would be lost before anybody can see their order.
                    let room = || 2 * u64::from(number) < taken.load(Ordering::Relaxed) + 1024;
                    wait_for("those before to be taken", room);
                    peer.send(number);
                }
            });
        }
        let mut next = [[0; 2]; LINKS as usize];
        wait_for("the end of both streams", || {
            for (peer, next) in peers.iter().zip(&mut next) {
                for bytes in peer.receive() {
                    let next = &mut next[usize::from(bytes[11] & 1)];
                    let number = tag(&bytes);
                    assert!(number >= *next, "{number} came after {}", *next - 1);
                    *next = number + 1;
                }
            }
            taken.store(through(), Ordering::Relaxed);
            through() == u64::from(2 * EACH)
        });
    });
    drop(rig.stop());
}

/// Broadcasts of one of several that share a wire's far end.
struct Sender<'a> {
    bench: &'a Bench,
    ring: &'a RingPair,
    lcore: &'a Lcore,
}

impl Sender<'_> {
    /// Waits until the wire has room.
    fn send(&self, number: u32) {
        let source = mac(0x98 | u8::try_from(self.lcore.index() & 1).unwrap());
        let bytes = frame(MacAddr::BROADCAST, source, number, 60);
        let mut burst = Burst::new();
        wait_for("a buffer", || match self.bench.pool.frame(&bytes) {
            Some(frame) => burst.push(frame).is_none(),
            None => false,
        });
        wait_for("room on the wire", || self.ring.port().tx(self.lcore, &mut burst) == 1);
    }
}
