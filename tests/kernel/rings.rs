//! Level 2 of the proof: the same frames through a real worker, on DPDK's rings.
//!
//! Owns EAL, a worker, and as many wires as ethdevs allow; each exchange lends a
//! wire to every side there is, compiles a plan from the driver's state as
//! control does, and takes what comes out at the far ends. Starts EAL, which can
//! be done once per process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use macvlan::fib::Output;
use macvlan::rules::compile;
use mvswitch::datapath::{
    BroadcastQueue, Device, Endpoint, IdlePolicy, Plan, Poll, Port, Segment, Shared, Totals,
    Worker, WorkerOptions,
};
use mvswitch::dpdk::{Burst, Eal, EalOptions, EthOptions, Lcore, Memory, Pool, RingPair};

use super::ours::{Delivery, Ours};
use super::scenario::{Frame, Side};

/// Wires: two ethdevs each, of which there can be 32.
const WIRES: usize = 15;

/// Header and one tag, which the kernel lets pass on top of the MTU.
const ABOVE_MTU: u32 = 18;

/// One wire: the switch's end, and ours.
#[derive(Debug)]
struct Wire {
    port: Arc<Port>,
    far: RingPair,
}

/// What came out of the worker for one frame.
pub(crate) type Got = Vec<Side>;

/// The data path as it runs, without control.
#[derive(Debug)]
pub(crate) struct Rings {
    // Field order: the wires close before EAL ends.
    worker: Option<Worker>,
    shared: Arc<Shared>,
    wires: Vec<Wire>,
    lcore: Lcore,
    pool: Arc<Pool>,
    _eal: Eal,
    _directory: tempfile::TempDir,
    sent: u64,
    pub(crate) frames: u64,
}

impl Rings {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let eal = Eal::start(&EalOptions {
            name: "kernel".to_owned(),
            runtime_dir: directory.path().to_owned(),
            control_core: 0,
            memory: Memory::Small,
            memory_mb: 192,
            pci: Vec::new(),
            extra: Vec::new(),
        });
        let eal = eal.expect("EAL");
        let pool = Arc::new(Pool::new("kernel", 16383, 2048).expect("a pool"));
        let options =
            EthOptions { queues: 1, users: 1, descriptors: 256, mtu: 1600, promiscuous: false };
        let wires = (0..WIRES).map(|number| {
            let wire = RingPair::wire(&format!("w{number}"), &options, &pool);
            let (near, far) = wire.expect("a wire");
            let port = Arc::new(Port::new(&format!("w{number}"), Device::Ring(near), 1));
            Wire { port, far }
        });
        let wires: Vec<Wire> = wires.collect();
        let shared = Arc::new(Shared::default());
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        // Core 0 is the kernel side's.
        let core = Some(usize::from(cores > 1));
        let options = WorkerOptions { index: 0, core, idle: IdlePolicy::Auto };
        let worker = Worker::start(options, Arc::clone(&shared)).expect("a worker");
        for wire in &wires {
            if let Device::Ring(ring) = &wire.port.device {
                worker.waker.watch(ring.wake_fd()).expect("a descriptor to wait for");
            }
        }
        let lcore = Lcore::helper().expect("a thread DPDK knows");
        let worker = Some(worker);
        let (sent, frames) = (0, 0);
        Self { worker, shared, wires, lcore, pool, _eal: eal, _directory: directory, sent, frames }
    }

    /// Whether there are wires for all sides of this state.
    pub(crate) fn fit(ours: &Ours) -> bool {
        ours.state().lowers.len() * 2 + ours.links.len() <= WIRES
    }

    /// The plan for the driver's state, and the wire that each side has in it.
    fn plan(&self, ours: &Ours) -> (Plan, BTreeMap<Side, usize>) {
        let state = ours.state();
        let (mut segments, mut polls, mut sides) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (segment, (number, lower)) in state.lowers.iter().enumerate() {
            let slots = ours.slots(*number);
            let mut ends = vec![
                (Side::Wire(*number), Output::WIRE, lower.mtu),
                (Side::Host(*number), Output::HOST, lower.mtu),
            ];
            for (slot, link) in (0..).zip(&slots) {
                ends.push((Side::Link(*link), Output::link(slot), state.links[link].mtu));
            }
            let mut endpoints = Vec::new();
            for (side, ingress, mtu) in ends {
                let wire = sides.len();
                sides.insert(side, wire);
                let port = Arc::clone(&self.wires[wire].port);
                let (max_frame, max_delivered) = (mtu + ABOVE_MTU, lower.mtu + ABOVE_MTU);
                endpoints.push(Some(Endpoint::new(port, max_frame, max_delivered)));
                polls.push(Poll { segment, ingress, queue: 0, budget: 32, copies: 256 });
            }
            let index = ours.lower(*number).expect("a lower of this number");
            let queue_len = ours.driver.bc_queue_len_used(index);
            segments.push(Segment {
                fib: compile(&ours.driver, index).expect("rules"),
                endpoints: endpoints.into(),
                vlans: Box::default(),
                queue: Arc::new(BroadcastQueue::default()),
                queue_len: usize::try_from(queue_len).unwrap().min(BroadcastQueue::MOST),
            });
        }
        (Plan::new(segments, vec![polls]), sides)
    }

    /// Sends the frames; what differs from `expected`, in words.
    pub(crate) fn exchange(
        &mut self,
        ours: &Ours,
        frames: &[(Side, &Frame)],
        expected: &[Vec<Delivery>],
    ) -> Result<(), String> {
        let (plan, sides) = self.plan(ours);
        self.publish(plan);
        let before = self.totals();
        let first = self.sent;
        let mut put = 0;
        for ((from, frame), id) in frames.iter().zip(first..) {
            self.sent += 1;
            if let Some(wire) = sides.get(from) {
                self.send(*wire, &frame.bytes(id));
                put += 1;
            }
        }
        self.settle(&before, put);
        self.frames += put;
        let mut got: Vec<Got> = vec![Vec::new(); frames.len()];
        let mut counted: BTreeMap<Side, (u64, u64)> = BTreeMap::new();
        for (side, wire) in &sides {
            for bytes in self.receive(*wire) {
                let id = Frame::id(&bytes).ok_or("a frame that nobody sent")?;
                let at = usize::try_from(id.checked_sub(first).ok_or("an old frame")?).unwrap();
                if bytes != frames[at].1.bytes(id) {
                    return Err(format!("{:?} was altered on its way to {side}", frames[at].1));
                }
                got[at].push(*side);
                let (packets, length) = counted.entry(*side).or_default();
                *packets += 1;
                *length += bytes.len() as u64;
            }
        }
        for (at, mut sinks) in got.into_iter().enumerate() {
            sinks.sort_unstable();
            let wanted: Vec<Side> = expected[at].iter().map(|(side, _)| *side).collect();
            if sinks != wanted {
                let (from, frame) = frames[at];
                return Err(format!(
                    "the worker: {from} {frame:?}\n  to {sinks:?}\n  rules {wanted:?}"
                ));
            }
        }
        let after = self.totals();
        for (side, wire) in &sides {
            let (before, after) = (&before[*wire], &after[*wire]);
            let moved = (after.tx_packets - before.tx_packets, after.tx_bytes - before.tx_bytes);
            let wanted = counted.get(side).copied().unwrap_or_default();
            let groups = expected.iter().flatten().filter(|delivery| **delivery == (*side, true));
            let groups = groups.count() as u64;
            let multicast = after.multicast - before.multicast;
            let link = matches!(side, Side::Link(_));
            if moved != wanted || (link && multicast != groups) {
                return Err(format!(
                    "the worker counts {moved:?} and {multicast} groups to {side}, not {wanted:?} and {groups}"
                ));
            }
        }
        Ok(())
    }

    /// Replaces the plan; returns when the worker has left the old one.
    fn publish(&self, plan: Plan) {
        let mut old = self.shared.plan.swap(Arc::new(plan));
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            self.worker.iter().for_each(|worker| worker.waker.wake());
            match Arc::try_unwrap(old) {
                Ok(_) => return,
                Err(still) => old = still,
            }
            assert!(Instant::now() < deadline, "the worker keeps an old plan");
            std::thread::yield_now();
        }
    }

    fn totals(&self) -> Vec<Totals> {
        self.wires.iter().map(|wire| wire.port.stats.totals()).collect()
    }

    /// Waits until the worker has taken `put` frames and all they became is accounted for.
    fn settle(&self, before: &[Totals], put: u64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let now = self.totals();
            let moved = |of: fn(&Totals) -> u64| {
                now.iter().zip(before).map(|(now, before)| of(now) - of(before)).sum::<u64>()
            };
            let (taken, copies) = (moved(|t| t.rx_packets), moved(|t| t.copies));
            let ended = moved(|t| t.tx_packets) + moved(Totals::dropped) + moved(|t| t.wire_full);
            if taken == put && taken + copies == ended {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{put} frames sent, {taken} taken, {copies} copies, {ended} ended"
            );
            std::thread::yield_now();
        }
    }

    fn send(&self, wire: usize, bytes: &[u8]) {
        let mut burst = Burst::new();
        assert!(burst.push(self.pool.frame(bytes).expect("a buffer")).is_none());
        let far = &self.wires[wire].far;
        assert_eq!(far.port().tx(&self.lcore, &mut burst), 1, "the wire is full");
        far.notify();
    }

    fn receive(&self, wire: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut burst = Burst::new();
        while self.wires[wire].far.port().rx(0, &mut burst) > 0 {
            frames.extend(burst.drain().map(|frame| frame.bytes().to_vec()));
        }
        frames
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            worker.waker.wake();
            worker.join();
        }
        self.shared.plan.store(Arc::default());
        // No buffer may be lost on the way.
        if !std::thread::panicking() {
            self.wires.clear();
            assert_eq!(self.pool.in_use(), 0, "buffers were lost");
        }
    }
}
