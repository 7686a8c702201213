//! Cases that chance would not find: each with its own set-up, each with the kernel's own numbers.
//!
//! They settle what the notes about the driver left open, and meet the
//! deviations that random scenarios stay clear of.

use macvlan::driver::{Driver, LowerSpec};
use macvlan::request::LinkRequest;

use super::deviations::Deviations;
use super::kernel::Kernel;
use super::links::Snapshot;
use super::ours::Ours;
use super::scenario::{
    BRIDGE, Change, Data, Frame, LOWER_MTU, Mac, PRIVATE, Parent, Request, SOURCE, Side, Step,
    lower_address,
};
use super::state::Counters;

const OUTSIDE: Mac = Mac::new([2, 0xf0, 0, 0, 0, 1]);
const GROUP: Mac = Mac::new([1, 0, 0x5e, 1, 2, 3]);
const EVERYBODY: Mac = Mac::new([0xff; 6]);

fn address(link: u8) -> Mac {
    Mac::new([2, 0, 0, 0, 1, link])
}

/// Both sides with a lower and links in these modes, all up.
struct Bench<'a> {
    kernel: &'a mut Kernel,
    ours: Ours,
    at: Snapshot,
}

impl<'a> Bench<'a> {
    fn new(kernel: &'a mut Kernel, modes: &[u32]) -> Self {
        let mut bench = Self { kernel, ours: Ours::default(), at: Snapshot::default() };
        bench.step(&Step::AddLower { lower: 0 });
        for (link, mode) in (0..).zip(modes) {
            let request = Request {
                address: Some(address(link).bytes().to_vec()),
                up: Some(true),
                data: Some(Data { mode: Some(*mode), ..Data::default() }),
                ..Request::default()
            };
            bench.step(&Step::NewLink { link, parent: Parent::Lower(0), request });
        }
        bench
    }

    fn step(&mut self, step: &Step) {
        assert_eq!(self.kernel.apply(step), Some(Ok(())), "{step}");
        self.at = self.kernel.snapshot();
        self.ours
            .apply(step, OUTSIDE)
            .unwrap()
            .unwrap_or_else(|refusal| panic!("{step}: {refusal}"));
        assert_eq!(self.at.state.unlike(&self.ours.state()), [], "{step}");
    }

    fn set(&mut self, link: u8, request: Request) {
        self.step(&Step::SetLink { link, request });
    }

    fn data(&mut self, link: u8, data: Data) {
        self.set(link, Request { data: Some(data), ..Request::default() });
    }

    /// Who gets it from the kernel, what the counters of `of` move by, barriers
    /// not counted, and who gets it from mvswitch.
    fn send(&mut self, from: Side, frame: &Frame, of: &str) -> (Vec<Side>, Counters, Vec<Side>) {
        let (mut got, barriers) = self.kernel.exchange(&[(from, frame)], &self.at.state);
        let after = self.settled_counters();
        let mut moved = after.counters[of] - self.at.counters[of];
        let heard =
            barriers.iter().filter(|side| side.to_string() == of && matches!(side, Side::Link(_)));
        let heard = heard.count() as u64;
        moved.rx_packets -= heard;
        moved.multicast -= heard;
        moved.rx_bytes -= heard * super::scenario::SHORTEST as u64;
        self.at = after;
        let ours = self.ours.deliver(from, frame).into_iter().map(|(side, _)| side).collect();
        (got.remove(0), moved, ours)
    }

    /// The counters once two looks at them agree.
    fn settled_counters(&mut self) -> Snapshot {
        let mut last = self.kernel.snapshot();
        loop {
            super::common::pause(std::time::Duration::from_millis(2));
            let now = self.kernel.snapshot();
            if now.counters == last.counters {
                return now;
            }
            last = now;
        }
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.kernel.clear();
        }
    }
}

fn frame(dst: Mac, src: Mac, len: usize) -> Frame {
    Frame { dst, src, tags: Vec::new(), kind: 0x88b5, len }
}

fn received(packets: u64, bytes: u64, multicast: u64) -> Counters {
    Counters { rx_packets: packets, rx_bytes: bytes, multicast, ..Counters::default() }
}

/// ST-02, ST-03, ST-05, RXM-17, ST-10: what a link counts, frame by frame.
pub(crate) fn links_count_what_they_receive(kernel: &mut Kernel, deviations: &mut Deviations) {
    let mut bench = Bench::new(kernel, &[BRIDGE, BRIDGE, PRIVATE]);
    let (wire, first) = (Side::Wire(0), Side::Link(0));
    let unicast = frame(address(1), OUTSIDE, 200);
    assert_eq!(bench.send(wire, &unicast, "mv1").1, received(1, 200, 0), "ST-02");
    let group = frame(EVERYBODY, OUTSIDE, 200);
    assert_eq!(bench.send(wire, &group, "mv1").1, received(1, 200, 1), "ST-03");
    let local = frame(address(1), address(0), 200);
    assert_eq!(bench.send(first, &local, "mv1").1, received(1, 200, 0), "TX-02");
    let local = frame(EVERYBODY, address(0), 200);
    assert_eq!(bench.send(first, &local, "mv1").1, received(1, 214, 1), "ST-05");
    deviations.meet("ST-05");
    let reflected = frame(EVERYBODY, address(2), 200);
    let (kernel, moved, ours) = bench.send(wire, &reflected, "mv2");
    assert_eq!((kernel, ours), (vec![Side::Link(2)], vec![Side::Link(2)]), "RXM-04");
    assert_eq!(moved, received(1, 0, 0), "RXM-17");
    deviations.meet("RXM-17");
    let before = bench.at.counters["mv1"];
    for up in [false, true] {
        bench.set(1, Request { up: Some(up), ..Request::default() });
    }
    bench.data(1, Data { mode: Some(PRIVATE), ..Data::default() });
    assert_eq!(bench.at.counters["mv1"], before, "ST-10");
}

/// TX-15, TX-17, ST-06: what a link counts of what it sends.
pub(crate) fn links_count_what_they_send(kernel: &mut Kernel, _: &mut Deviations) {
    let mut bench = Bench::new(kernel, &[BRIDGE, BRIDGE]);
    let sent = Counters { tx_packets: 1, tx_bytes: 300, ..Counters::default() };
    let outward = frame(OUTSIDE, address(0), 300);
    assert_eq!(bench.send(Side::Link(0), &outward, "mv0").1, sent, "TX-15");
    let local = frame(address(1), address(0), 300);
    let (got, moved, _) = bench.send(Side::Link(0), &local, "mv0");
    assert_eq!((got, moved), (vec![Side::Link(1)], sent), "ST-06");
    bench.step(&Step::SetLower { lower: 0, change: Change::Up(false) });
    let dropped = Counters { tx_dropped: 1, ..Counters::default() };
    for frame in [&outward, &local, &frame(EVERYBODY, address(0), 300)] {
        let (got, moved, ours) = bench.send(Side::Link(0), frame, "mv0");
        assert_eq!((got, ours), (vec![], vec![]), "TX-17: nobody gets it");
        assert_eq!(moved, dropped, "TX-17");
    }
}

/// TX-13: a copy too long for a sibling is that sibling's error.
pub(crate) fn a_copy_too_long_for_a_sibling(kernel: &mut Kernel, deviations: &mut Deviations) {
    let mut bench = Bench::new(kernel, &[BRIDGE, BRIDGE]);
    bench.set(1, Request { mtu: Some(1000), ..Request::default() });
    let from = Side::Link(0);
    // One tag more than the MTU and the header is let pass.
    let (got, _, _) = bench.send(from, &frame(EVERYBODY, address(0), 1018), "mv1");
    assert_eq!(got, [Side::Wire(0), Side::Link(1)]);
    let (got, moved, _) = bench.send(from, &frame(EVERYBODY, address(0), 1019), "mv1");
    assert_eq!(got, [Side::Wire(0)]);
    // The core counts the drop, and the driver's error counts as a drop once more.
    assert_eq!(moved, Counters { rx_errors: 1, rx_dropped: 2, ..Counters::default() }, "TX-13");
    deviations.meet("TX-13");
    // From elsewhere nobody looks at the link's MTU.
    let (got, _, _) = bench.send(from, &frame(address(1), address(0), 1500), "mv1");
    assert_eq!(got, [Side::Link(1)], "TX-02 asks for the lower's MTU");
    let (got, _, _) = bench.send(Side::Wire(0), &frame(EVERYBODY, OUTSIDE, 1500), "mv1");
    assert_eq!(got, [Side::Host(0), Side::Link(0), Side::Link(1)]);
}

/// RXM-13, BCQ-01: without a queue, what would be queued is lost, and counted on the lower.
pub(crate) fn a_queue_of_nothing_loses_broadcasts(kernel: &mut Kernel, _: &mut Deviations) {
    let mut bench = Bench::new(kernel, &[BRIDGE]);
    bench.data(0, Data { bc_queue_len: Some(0), ..Data::default() });
    let broadcast = frame(EVERYBODY, OUTSIDE, 100);
    let (got, moved, _) = bench.send(Side::Wire(0), &broadcast, "low0");
    assert_eq!(got, [Side::Host(0)], "RXM-13: the host still gets its copy");
    // The barrier is a broadcast, too.
    assert_eq!(moved.rx_dropped, 2, "RXM-13");
    // A limit below zero: nothing is queued, nothing is lost.
    bench.data(0, Data { bc_cutoff: Some(-1), ..Data::default() });
    let (got, moved, ours) = bench.send(Side::Wire(0), &broadcast, "low0");
    assert_eq!((&got, moved.rx_dropped), (&ours, 0), "MCF-09");
}

/// SRC-06, TX-11, RXU-06: the odd ones among the delivery rules.
pub(crate) fn odd_deliveries(kernel: &mut Kernel, _: &mut Deviations) {
    let mut bench = Bench::new(kernel, &[BRIDGE, BRIDGE, SOURCE, PRIVATE, PRIVATE]);
    let hairpin = frame(address(4), address(3), 100);
    let (got, _, ours) = bench.send(Side::Wire(0), &hairpin, "mv4");
    assert_eq!((&got[..], &ours[..]), (&[Side::Link(4)][..], &[Side::Link(4)][..]), "RXU-06");
    let list = |flags| Data {
        flags: Some(flags),
        macaddr_mode: Some(3),
        macaddr: Some(address(0).bytes().to_vec()),
        ..Data::default()
    };
    bench.data(2, list(0));
    let local = frame(address(1), address(0), 100);
    let both = [Side::Link(1), Side::Link(2)];
    let (got, _, ours) = bench.send(Side::Link(0), &local, "mv1");
    assert_eq!((&got[..], &ours[..]), (&both[..], &both[..]), "TX-11: a copy");
    bench.data(2, list(2));
    let (got, _, ours) = bench.send(Side::Link(0), &local, "mv1");
    let stolen = [Side::Link(2)];
    assert_eq!((&got[..], &ours[..]), (&stolen[..], &stolen[..]), "TX-11: nodst takes it");
    bench.set(2, Request { up: Some(false), ..Request::default() });
    let (got, _, ours) = bench.send(Side::Wire(0), &frame(address(1), address(0), 100), "mv1");
    assert_eq!((got, ours), (vec![], vec![]), "SRC-06: a link that is down takes it, too");
}

/// ER-17, ER-18: a device has one owner.
pub(crate) fn a_lower_has_one_owner(kernel: &mut Kernel, _: &mut Deviations) {
    let add = |lower| Step::NewLink {
        link: lower,
        parent: Parent::Lower(lower),
        request: Request::default(),
    };
    kernel.links.add_bridge().expect("a bridge");
    for lower in [0, 1] {
        assert_eq!(kernel.apply(&Step::AddLower { lower }), Some(Ok(())));
    }
    kernel.links.enslave(0).expect("a lower without links can join a bridge");
    assert_eq!(kernel.apply(&add(0)), Some(Err(libc::EBUSY)), "ER-17");
    assert_eq!(kernel.apply(&add(1)), Some(Ok(())));
    // mvswitch has no bridges: what owns a device there says so itself.
    assert_eq!(kernel.links.enslave(1), Err(libc::EBUSY), "ER-18");
    kernel.clear();

    let mut driver = Driver::default();
    let mut spec = LowerSpec::ethernet("low0", lower_address(0).0, LOWER_MTU);
    spec.owner = Some("bridge br0".to_owned());
    let parent = driver.add_lower(spec).unwrap();
    let request =
        LinkRequest { name: Some("mv0".to_owned()), parent: Some(parent), ..Default::default() };
    let refusal = driver.newlink(&request, &mut || OUTSIDE.0).unwrap_err();
    assert_eq!(refusal.errno.number(), libc::EBUSY, "ER-17");
    assert!(refusal.message.contains("br0"), "{refusal}");
}

/// RXM-16: fragments of a group datagram come out whole, or not at all.
pub(crate) fn fragments_are_put_together(kernel: &mut Kernel, deviations: &mut Deviations) {
    let mut bench = Bench::new(kernel, &[BRIDGE]);
    bench.step(&Step::Fdb { link: 0, add: true, replace: false, address: GROUP });
    let (first, second) = (fragment(0, true), fragment(80, false));
    let state = bench.at.state.clone();
    let sent = [(Side::Wire(0), first.clone())];
    assert_eq!(bench.kernel.observe(&sent, &state).0, [], "RXM-16: half a datagram waits");
    let (got, _) = bench.kernel.observe(&[(Side::Wire(0), second.clone())], &state);
    let whole = 14 + 20 + 160;
    let mut sides: Vec<(Side, usize)> =
        got.iter().map(|(side, bytes)| (*side, bytes.len())).collect();
    sides.sort_unstable();
    assert_eq!(
        sides,
        [(Side::Host(0), whole), (Side::Link(0), whole)],
        "RXM-16: the whole arrives"
    );
    // mvswitch hands on each fragment as it is: its head says nothing of fragments.
    let head = Frame { kind: 0x0800, ..frame(GROUP, OUTSIDE, 114) };
    let ours = bench.ours.deliver(Side::Wire(0), &head);
    assert_eq!(ours.len(), 2);
    deviations.meet("RXM-16");
}

/// A fragment of 80 bytes of a datagram to a group.
fn fragment(offset: u16, more: bool) -> Vec<u8> {
    let mut bytes = [GROUP.bytes(), OUTSIDE.bytes()].concat();
    bytes.extend([8, 0, 0x45, 0, 0, 100, 0x12, 0x34]);
    bytes.extend((offset / 8 + if more { 0x2000 } else { 0 }).to_be_bytes());
    bytes.extend([64, 17, 0, 0, 192, 0, 2, 1, 224, 1, 2, 3]);
    let sum: u32 =
        bytes[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    bytes[24..26].copy_from_slice(&checksum.to_be_bytes());
    bytes.extend([0x5a; 80]);
    bytes
}
