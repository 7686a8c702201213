//! The kernel's side as a whole: link operations, frames in, and who got them.
//!
//! Lives on one thread, pinned to one core, in that thread's own namespace. Its
//! judgement never waits for a while and hopes: after the frames of a turn a
//! barrier frame follows on every wire, behind them in the driver's queue, and
//! the turn is over when the barriers have come out at every end they can reach,
//! and one more on a lower apart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::links::{Links, PROBE_LINK, PROBE_WIRE, Snapshot};
use super::packets::{Packets, Seen};
use super::scenario::{Frame, LOWER_MTU, MAGIC, Mac, SHORTEST, SOURCE, Side, Step};
use super::state::State;

/// Barriers have numbers no frame of a scenario has.
const BARRIER: u64 = 1 << 63;
/// Whoever sends barriers is nobody's link and on nobody's list.
const BARRIER_SOURCE: Mac = Mac::new([2, 0xba, 0, 0, 0, 1]);

/// The kernel's driver in a namespace of its own.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) links: Links,
    packets: Packets,
    sent: u64,
}

impl Kernel {
    /// Takes this thread into a new namespace, for good.
    pub(crate) fn new() -> Self {
        let mut one = CpuSet::new();
        one.set(0).unwrap();
        // On one core the kernel's queues between receive and delivery keep their order.
        sched_setaffinity(Pid::from_raw(0), &one).expect("core 0");
        let links = Links::new();
        Self { links, packets: Packets::open(), sent: 0 }
    }

    pub(crate) fn apply(&mut self, step: &Step) -> Option<Result<(), i32>> {
        self.links.apply(step)
    }

    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.links.settled()
    }

    fn index(&self, side: Side) -> Option<u32> {
        let name = match side {
            Side::Wire(lower) => format!("ext{lower}"),
            Side::Host(lower) => format!("low{lower}"),
            Side::Link(link) => format!("mv{link}"),
        };
        self.links.index.get(&name).copied()
    }

    fn sides(&self) -> BTreeMap<u32, Side> {
        let side = |name: &str| {
            let (kind, number) = name.split_at(name.find(|c: char| c.is_ascii_digit())?);
            let number = number.parse().ok()?;
            match kind {
                "ext" => Some(Side::Wire(number)),
                "low" => Some(Side::Host(number)),
                "mv" => Some(Side::Link(number)),
                _ => None,
            }
        };
        let names = self.links.index.iter();
        names.filter_map(|(name, index)| Some((*index, side(name)?))).collect()
    }

    /// Sends the frames and tells for each who got it, a sink as often as it
    /// did; then who got the barriers behind them.
    pub(crate) fn exchange(
        &mut self,
        frames: &[(Side, &Frame)],
        state: &State,
    ) -> (Vec<Vec<Side>>, Vec<Side>) {
        let first = self.sent;
        self.sent += frames.len() as u64;
        let sent: Vec<(Side, Vec<u8>)> = frames
            .iter()
            .zip(first..)
            .map(|((from, frame), id)| (*from, frame.bytes(id)))
            .collect();
        let (seen, barriers) = self.observe(&sent, state);
        let mut got: Vec<Vec<Side>> = vec![Vec::new(); frames.len()];
        for (side, bytes) in seen {
            let Some(id) = Frame::id(&bytes) else { continue };
            let at = usize::try_from(id.checked_sub(first).expect("a frame of now")).unwrap();
            check(&bytes, side, &sent[at].1, frames[at].1);
            got[at].push(side);
        }
        got.iter_mut().for_each(|sinks| sinks.sort_unstable());
        (got, barriers)
    }

    /// Sends anything and tells what came out where; then who got the barriers.
    pub(crate) fn observe(
        &mut self,
        frames: &[(Side, Vec<u8>)],
        state: &State,
    ) -> (Vec<(Side, Vec<u8>)>, Vec<Side>) {
        let sides = self.sides();
        frames.iter().for_each(|(from, bytes)| self.send(*from, bytes));
        let mut awaited = self.barriers(state);
        let barriers = awaited.iter().map(|(_, side)| *side).collect();
        let probe = self.probe();
        let mut probed = false;
        let mut got = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !(awaited.is_empty() && probed) {
            assert!(
                Instant::now() < deadline,
                "barriers did not come: {awaited:?}, probe {probed}, in {state:#?}"
            );
            let tapped = self.packets.tapped().into_iter().map(|seen| (seen, false));
            let passed = self.packets.passed().into_iter().map(|seen| (seen, true));
            let before = got.len();
            for (Seen { index, bytes }, host) in tapped.chain(passed) {
                let id = Frame::id(&bytes);
                probed |= index == self.links.index[PROBE_LINK] && id == Some(probe);
                let Some(side) = sides.get(&index) else { continue };
                // The tap sees on a lower what the driver takes next; the other
                // sockets see on links what the tap has seen already.
                if matches!(side, Side::Host(_)) != host {
                    continue;
                }
                match id {
                    Some(id) if id >= BARRIER => _ = awaited.remove(&(id, *side)),
                    _ => got.push((*side, bytes)),
                }
            }
            if got.len() == before && !(awaited.is_empty() && probed) {
                self.packets.wait(Duration::from_millis(100));
            }
        }
        (got, barriers)
    }

    fn send(&mut self, from: Side, bytes: &[u8]) {
        let Some(index) = self.index(from) else { return };
        match self.packets.send(index, bytes) {
            // Down, or up without carrier: the frame goes nowhere.
            Ok(()) | Err(Errno::ENETDOWN | Errno::ENOBUFS) => {}
            Err(error) => panic!("{} bytes sent on {from}: {error}", bytes.len()),
        }
    }

    /// Sends the last barrier. It is handled by the same queue of work on the
    /// same core, after whatever the lowers have put there, even if that reaches
    /// no link at all.
    fn probe(&mut self) -> u64 {
        let id = BARRIER + self.sent;
        self.sent += 1;
        let index = self.links.index[PROBE_WIRE];
        self.packets.send(index, &barrier().bytes(id)).expect("the probe can be sent");
        id
    }

    /// Sends a barrier on every wire; where each of them must come out.
    fn barriers(&mut self, state: &State) -> BTreeSet<(u64, Side)> {
        let mut awaited = BTreeSet::new();
        for (lower, _) in state.lowers.iter().filter(|(_, lower)| lower.up) {
            let id = BARRIER + self.sent;
            self.sent += 1;
            self.send(Side::Wire(*lower), &barrier().bytes(id));
            awaited.insert((id, Side::Host(*lower)));
            for (link, link_state) in &state.links {
                let queued = link_state.bc_cutoff < 0 || link_state.bc_queue_len_used > 0;
                let hears = link_state.up && link_state.mode != SOURCE && queued;
                if link_state.lower == *lower && hears {
                    awaited.insert((id, Side::Link(*link)));
                }
            }
        }
        awaited
    }

    /// Deletes everything, for the next scenario.
    pub(crate) fn clear(&mut self) {
        self.links.clear();
        drop(self.packets.tapped());
        drop(self.packets.passed());
    }
}

fn barrier() -> Frame {
    Frame {
        dst: Mac(macvlan::mac::MacAddr::BROADCAST),
        src: BARRIER_SOURCE,
        tags: Vec::new(),
        kind: 0x88b5,
        len: SHORTEST,
    }
}

/// A delivered frame is the frame that was sent. The host's copy has lost its outer tag by then.
fn check(seen: &[u8], side: Side, sent: &[u8], frame: &Frame) {
    let same = match (side, frame.tags.is_empty()) {
        (Side::Host(_), false) => sent.ends_with(&payload(seen)),
        _ => sent == seen,
    };
    assert!(same, "frame {frame:?} was altered on its way to {side}: {seen:x?}");
}

/// The part of a frame of ours from the magic on.
fn payload(bytes: &[u8]) -> Vec<u8> {
    let at = bytes.windows(MAGIC.len()).position(|window| window == MAGIC).unwrap_or(0);
    bytes[at..].to_vec()
}

/// The longest frame every port of a lower with the usual MTU takes.
pub(crate) const LONGEST: usize = LOWER_MTU as usize + 14;
