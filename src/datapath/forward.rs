//! One turn for one queue: receive, classify, stage, deliver, account.
//!
//! Owned by a worker; touches nothing that outlives the turn but counters and,
//! through `outgoing`, the lower's broadcast queue.

use macvlan::drop::DropReason;
use macvlan::fib::{Decisions, Output, Target};

use super::batch::Batch;
use super::counters::WorkerStats;
use super::outgoing::{Outgoing, Source};
use super::plan::{Endpoint, Plan, Poll, Segment};
use crate::dpdk::{BURST, Copies, Lcore, Mbuf, clock};

/// A receive call that yields so many frames has more to give: drivers stop at
/// this number, or at a multiple of it, when they could go on.
const FULL: usize = 32;

/// Frames of VLANs that a turn may have.
const DIVERTED: usize = 512;

/// A worker's scratch space.
#[derive(Debug)]
pub(super) struct Forwarder {
    batch: Box<Batch>,
    decisions: Decisions,
    outgoing: Outgoing,
    /// Frames of VLAN lowers, without their tags, behind their segments and their
    /// places in the order of arrival.
    diverted: Vec<(usize, usize, Mbuf)>,
    /// Copies of group frames that a turn may make at once.
    copies: usize,
    /// When the clock was looked at last, in TSC ticks.
    now: u64,
}

impl Forwarder {
    pub(super) fn new() -> Self {
        Self {
            batch: Box::default(),
            decisions: Decisions::new(BURST),
            outgoing: Outgoing::new(),
            diverted: Vec::with_capacity(DIVERTED),
            copies: 0,
            now: clock::ticks(),
        }
    }

    /// When the clock was looked at last, in TSC ticks.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// Looks at the clock. Returns the TSC ticks since the last look.
    #[inline]
    pub(super) fn lap(&mut self) -> u64 {
        let last = std::mem::replace(&mut self.now, clock::ticks());
        self.now.saturating_sub(last)
    }

    /// Serves `poll` once. Returns the frames moved; what passed since the last
    /// look at the clock is their port's, if there were any.
    #[inline]
    pub(super) fn turn(
        &mut self,
        lcore: &Lcore,
        plan: &Plan,
        poll: &Poll,
        stats: &WorkerStats,
    ) -> usize {
        let Some(segment) = plan.segment(poll.segment) else { return 0 };
        let Some(from) = segment.endpoint(poll.ingress) else { return 0 };
        let moved = self.serve(lcore, plan, segment, from, poll, stats);
        if moved > 0 {
            let ticks = self.lap();
            if let Some(cell) = from.cell(lcore.index()) {
                cell.busy.add(ticks);
            }
            stats.busy.add(ticks);
            stats.frames.add(moved as u64);
        }
        moved
    }

    #[inline]
    fn serve(
        &mut self,
        lcore: &Lcore,
        plan: &Plan,
        segment: &Segment,
        from: &Endpoint,
        poll: &Poll,
        stats: &WorkerStats,
    ) -> usize {
        let is_wire = poll.ingress == Output::WIRE;
        self.copies = poll.copies;
        self.outgoing.budget = self.copies;
        let received = self.receive(lcore, segment, from, poll);
        if received == 0 {
            return if is_wire { self.serve_queues(lcore, plan, segment, stats) } else { 0 };
        }
        let Some(cell) = from.cell(lcore.index()) else { return received };
        let source = Source { lcore, segment, ingress: poll.ingress, cell, stats };
        self.forward(source);
        let mut total = received;
        // A full burst means more is waiting: gathering several makes fuller
        // groups per output.
        let mut last = received;
        while last >= FULL
            && total < poll.budget
            && self.diverted.len() + BURST <= DIVERTED
            && self.outgoing.has_room()
        {
            last = self.receive(lcore, segment, from, poll);
            self.forward(source);
            total += last;
        }
        self.outgoing.deliver(source);
        if !self.diverted.is_empty() {
            self.forward_diverted(lcore, plan, stats);
        }
        if is_wire { total + self.serve_queues(lcore, plan, segment, stats) } else { total }
    }

    /// Receives once into the batch. Returns how many frames that were.
    #[inline]
    fn receive(&mut self, lcore: &Lcore, segment: &Segment, from: &Endpoint, poll: &Poll) -> usize {
        let Self { batch, diverted, .. } = self;
        let received = from.port.rx(lcore, poll.queue, batch.received());
        if received == 0 {
            return 0;
        }
        let Some(cell) = from.cell(lcore.index()) else { return batch.received().clear() };
        if from.port.is_far() {
            batch.prefetch();
        }
        if segment.vlans.is_empty() || poll.ingress != Output::WIRE {
            batch.admit(from.max_frame, cell);
            return received;
        }
        batch.admit_each(0, from.max_frame, cell, |mut frame| {
            let vlan = frame.vlan_tag().and_then(|tag| segment.vlan((tag.tpid, tag.id())));
            let Some(vlan) = vlan else { return Some(frame) };
            // A received frame has one owner, so the tag comes off in place.
            match frame.vlan_pop() {
                Some(_) => diverted.push((vlan, diverted.len(), frame)),
                None => cell.drop_rx(DropReason::NoBuffer, 1, frame.len()),
            }
            None
        });
        received
    }

    /// Stages every frame of the batch for where its verdict says.
    #[inline]
    fn forward(&mut self, from: Source<'_>) {
        let Self { batch, decisions, outgoing, .. } = self;
        if outgoing.stage.room() < BURST {
            outgoing.deliver(from);
        }
        let stage = &mut outgoing.stage;
        stage.expect(batch.longest());
        from.segment.fib.classify(from.ingress, batch.heads(), decisions);
        // A batch of which each frame goes to one output, as most do.
        if !from.segment.fib.has_sources() {
            if let Some(output) = decisions.sole_output(batch.len()) {
                let (frames, bytes) = batch.take_all();
                return stage.add_all(output, frames, bytes);
            }
            if let Some(outputs) = decisions.outputs(batch.len()) {
                for ((frame, len), output) in batch.drain().zip(outputs) {
                    stage.add(output, frame, len);
                }
                return;
            }
        }
        self.forward_each(from);
    }

    /// A batch of which some frames go to several, or nowhere, or past source
    /// lists.
    fn forward_each(&mut self, from: Source<'_>) {
        let Self { batch, decisions, outgoing, .. } = self;
        let has_sources = from.segment.fib.has_sources();
        for ((frame, len), index) in batch.drain().zip(0..) {
            match decisions.target(index) {
                Target::Output(output) if !has_sources => {
                    outgoing.add(output, frame, len, false, from);
                }
                _ => outgoing.forward(decisions, frame, len, index, from),
            }
        }
    }

    /// Replicates what waits in the broadcast queues of a lower and of the VLANs
    /// on it. Returns the frames moved.
    #[inline]
    fn serve_queues(
        &mut self,
        lcore: &Lcore,
        plan: &Plan,
        segment: &Segment,
        stats: &WorkerStats,
    ) -> usize {
        let mut frames = 0;
        if !segment.queue.is_empty() {
            frames += self.serve_queue(lcore, segment, stats);
        }
        for vlan in segment.vlans.iter().filter_map(|vlan| plan.segment(vlan.segment)) {
            if !vlan.queue.is_empty() {
                frames += self.serve_queue(lcore, vlan, stats);
            }
        }
        frames
    }

    #[cold]
    fn serve_queue(&mut self, lcore: &Lcore, segment: &Segment, stats: &WorkerStats) -> usize {
        let ingress = Output::WIRE;
        let Some(wire) = segment.endpoint(ingress) else { return 0 };
        let Some(cell) = wire.cell(lcore.index()) else { return 0 };
        let from = Source { lcore, segment, ingress, cell, stats };
        let links = segment.endpoints.len().saturating_sub(2).max(1);
        let mut frames = 0;
        self.outgoing.budget = self.copies;
        while self.outgoing.budget > 0 && !segment.queue.is_empty() {
            // Else another worker does it, to whom this one leaves its frames.
            let Some(queue) = segment.queue.serve() else { break };
            let mut taken = 0;
            for _ in 0..(self.outgoing.budget / links).clamp(1, BURST) {
                let Some(frame) = queue.pop() else { break };
                // It was admitted when it came; the limit may be another now.
                self.batch.readmit(frame, wire.max_frame, cell);
                taken += 1;
            }
            frames += taken;
            // Those dropped at once cost a turn something, too.
            self.outgoing.budget = self.outgoing.budget.saturating_sub(taken - self.batch.len());
            self.replicate_waiting(from);
            self.outgoing.deliver(from);
        }
        frames
    }

    /// The part of a batch's copies that was put off: those for links, by the
    /// rules of now (RXM-18).
    fn replicate_waiting(&mut self, from: Source<'_>) {
        let fib = &from.segment.fib;
        let Self { batch, decisions, outgoing, .. } = self;
        outgoing.stage.expect(batch.longest());
        fib.classify(from.ingress, batch.heads(), decisions);
        for ((frame, len), index) in batch.drain().zip(0..) {
            let members = match decisions.target(index) {
                Target::Group(group) => Some(fib.members(group, fib.list_of(decisions, index))),
                Target::Output(_) | Target::Drop(_) => None,
            };
            let links = || {
                let members = members.into_iter().flatten();
                members.filter(|output| output.slot().is_some())
            };
            let count = links().count();
            if count == 0 {
                from.cell.drop_rx(DropReason::NoMember, 1, len);
            }
            from.cell.copies.add(count.saturating_sub(1) as u64);
            outgoing.budget = outgoing.budget.saturating_sub(count.max(1));
            for (output, frame) in links().zip(Copies::of(frame, count)) {
                outgoing.add(output, frame, len, true, from);
            }
        }
    }

    /// Forwards the frames of VLAN lowers, one VLAN after the other.
    #[cold]
    fn forward_diverted(&mut self, lcore: &Lcore, plan: &Plan, stats: &WorkerStats) {
        let mut diverted = std::mem::take(&mut self.diverted);
        diverted.sort_unstable_by_key(|&(vlan, place, _)| (vlan, place));
        let mut frames = diverted.drain(..).peekable();
        let mut before = None;
        while let Some(&(vlan, ..)) = frames.peek() {
            let segment = plan.segment(vlan);
            let wire = segment.and_then(|segment| segment.endpoint(Output::WIRE));
            let cell = wire.and_then(|wire| wire.cell(lcore.index()));
            // A plan names no VLAN that it does not have.
            let (Some(segment), Some(wire), Some(cell)) = (segment, wire, cell) else { break };
            if before.replace(vlan) != Some(vlan) {
                self.outgoing.budget = self.copies;
            }
            for _ in 0..BURST {
                let Some((.., frame)) = frames.next_if(|(other, ..)| *other == vlan) else { break };
                cell.rx_packets.add(1);
                cell.rx_bytes.add(u64::from(frame.len()));
                self.batch.readmit(frame, wire.max_frame, cell);
            }
            let source = Source { lcore, segment, ingress: Output::WIRE, cell, stats };
            self.forward(source);
            self.outgoing.deliver(source);
        }
        drop(frames);
        self.diverted = diverted;
    }

    /// Lets other workers receive from what this one polled by `plan`.
    pub(super) fn let_go(lcore: &Lcore, plan: &Plan) {
        for poll in plan.polls(lcore.index()) {
            let from = plan.segment(poll.segment).and_then(|it| it.endpoint(poll.ingress));
            from.into_iter().for_each(|from| from.port.let_go(lcore, poll.queue));
        }
    }

    /// Empties the broadcast queues of a lower at the end of the switch. What
    /// another worker is emptying is left to it: it, too, ends with this.
    pub(super) fn finish(&mut self, lcore: &Lcore, plan: &Plan, poll: &Poll, stats: &WorkerStats) {
        let Some(segment) = plan.segment(poll.segment) else { return };
        self.copies = poll.copies;
        while poll.ingress == Output::WIRE && self.serve_queues(lcore, plan, segment, stats) > 0 {}
    }
}
