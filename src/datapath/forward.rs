//! One turn for one queue: receive, classify, sort, deliver, account.
//!
//! Owned by a worker; touches nothing that outlives the turn but counters and
//! the lower's broadcast queue.

use macvlan::drop::DropReason;
use macvlan::fib::{Decisions, Members, Output, Target};

use super::batch::{BATCH, Batch, Claim};
use super::counters::{Cell, WorkerStats};
use super::deliver::Delivery;
use super::plan::{Endpoint, Plan, Poll, Segment};
use super::sort::Sorter;
use super::stage::{Stage, Staged};
use crate::dpdk::{BURST, Burst, Lcore, Mbuf, clock};

/// A receive call that yields so many frames has more to give: drivers stop at
/// this number, or at a multiple of it, when they could go on.
const FULL: usize = 32;

/// A worker's scratch space and its right to transmit.
#[derive(Debug)]
pub(super) struct Forwarder {
    lcore: Lcore,
    burst: Burst,
    batch: Box<Batch>,
    decisions: Decisions,
    stage: Stage,
    sorter: Sorter,
    /// Frames of VLAN lowers, without their tags, and their segments.
    diverted: Vec<(usize, Mbuf)>,
    /// Frames of the batch that go into the broadcast queue.
    postponed: Vec<Mbuf>,
    /// Copies of group frames that may be made at once, and those of them that
    /// are left.
    copies: usize,
    budget: usize,
    /// When the clock was looked at last, in TSC ticks.
    now: u64,
}

/// Where the frames of a batch came from.
#[derive(Clone, Copy)]
struct Source<'a> {
    segment: &'a Segment,
    ingress: Output,
    cell: &'a Cell,
    stats: &'a WorkerStats,
}

impl Forwarder {
    pub(super) fn new(lcore: Lcore) -> Self {
        Self {
            lcore,
            burst: Burst::new(),
            batch: Batch::new(),
            decisions: Decisions::new(BATCH),
            stage: Stage::new(),
            sorter: Sorter::new(),
            diverted: Vec::with_capacity(BATCH),
            postponed: Vec::with_capacity(BATCH),
            copies: 0,
            budget: 0,
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
    pub(super) fn turn(&mut self, plan: &Plan, poll: &Poll, stats: &WorkerStats) -> usize {
        let Some(segment) = plan.segment(poll.segment) else { return 0 };
        let Some(from) = segment.endpoint(poll.ingress) else { return 0 };
        let moved = self.serve(plan, segment, from, poll, stats);
        if moved > 0 {
            let ticks = self.lap();
            if let Some(cell) = from.cell(self.lcore.index()) {
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
        plan: &Plan,
        segment: &Segment,
        from: &Endpoint,
        poll: &Poll,
        stats: &WorkerStats,
    ) -> usize {
        let is_wire = poll.ingress == Output::WIRE;
        self.copies = poll.copies;
        self.budget = self.copies;
        let received = self.receive(segment, from, poll);
        if received == 0 {
            return if is_wire { self.serve_queues(plan, segment, stats) } else { 0 };
        }
        let Some(cell) = from.cell(self.lcore.index()) else { return received };
        let mut total = received;
        // A full burst means more is waiting: gathering several makes fuller
        // groups per output.
        let mut last = received;
        let diverted = self.diverted.capacity().saturating_sub(BURST);
        while last >= FULL
            && total < poll.budget
            && self.batch.has_room()
            && self.diverted.len() <= diverted
        {
            last = self.receive(segment, from, poll);
            total += last;
        }
        self.forward(Source { segment, ingress: poll.ingress, cell, stats });
        if !self.diverted.is_empty() {
            self.forward_diverted(plan, stats);
        }
        if is_wire { total + self.serve_queues(plan, segment, stats) } else { total }
    }

    /// Receives once into the batch. Returns how many frames that were.
    #[inline]
    fn receive(&mut self, segment: &Segment, from: &Endpoint, poll: &Poll) -> usize {
        let Self { lcore, batch, diverted, .. } = self;
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
        batch.admit_each(from.max_frame, cell, |mut frame| {
            let vlan = frame.vlan_tag().and_then(|tag| segment.vlan((tag.tpid, tag.id())));
            let Some(vlan) = vlan else { return Some(frame) };
            // A received frame has one owner, so the tag comes off in place.
            match frame.vlan_pop() {
                Some(_) => diverted.push((vlan, frame)),
                None => cell.drop_rx(DropReason::NoBuffer, 1, frame.len()),
            }
            None
        });
        received
    }

    /// Forwards the batch and empties it.
    #[inline]
    fn forward(&mut self, from: Source<'_>) {
        let Self { batch, decisions, .. } = self;
        from.segment.fib.classify(from.ingress, batch.heads(), decisions);
        self.sort(from);
        self.batch.release();
    }

    /// Sends every frame of the batch where its verdict says.
    #[inline]
    fn sort(&mut self, from: Source<'_>) {
        if self.sort_sole(from) {
            return;
        }
        self.sort_each(from);
        self.deliver(from);
        if !self.postponed.is_empty() {
            self.enqueue(from);
        }
    }

    /// A batch of which each frame goes to one output, as most do. `false`: it is
    /// none of those, and nothing has happened.
    #[inline]
    fn sort_sole(&mut self, from: Source<'_>) -> bool {
        let Self { lcore, burst, batch, decisions, stage, .. } = self;
        if from.segment.fib.has_sources() {
            return false;
        }
        if let Some(output) = decisions.sole_output(batch.len()) {
            let Some(delivery) = delivery(lcore, from, output) else { return true };
            batch.drain_bursts(burst, |burst, bytes, longest| {
                from.stats.batches.add(1);
                from.stats.sent.add(burst.len() as u64);
                delivery.frames(burst, bytes, longest);
                burst.clear();
            });
            return true;
        }
        let Some(outputs) = decisions.outputs(batch.len()) else { return false };
        for ((frame, len), output) in batch.drain().zip(outputs) {
            stage.add(output, frame, len);
        }
        let longest = batch.longest();
        stage.each(|Staged { output, bytes, burst }| {
            let Some(delivery) = delivery(lcore, from, *output) else { return };
            from.stats.batches.add(1);
            from.stats.sent.add(burst.len() as u64);
            delivery.frames(burst, *bytes, longest);
        });
        true
    }

    /// A batch of which some frames go to several, or nowhere, or past source
    /// lists.
    fn sort_each(&mut self, from: Source<'_>) {
        let has_sources = from.segment.fib.has_sources();
        let mut copies = 0;
        self.batch.spread();
        for index in self.batch.indices() {
            match self.decisions.target(index) {
                Target::Output(output) if !has_sources => {
                    self.add(output, Claim::sole(index), from);
                }
                target => copies += self.sort_one(target, index, from),
            }
        }
        if copies > 0 {
            from.cell.copies.add(copies as u64);
        }
    }

    /// Returns how many copies that makes of the frame.
    #[inline]
    fn sort_one(&mut self, target: Target, index: u16, from: Source<'_>) -> usize {
        let fib = &from.segment.fib;
        let sources = fib.sources_of(&self.decisions, index);
        let others = sources.len();
        let (claim, copies) = match target {
            Target::Output(output) => {
                let claim = self.batch.share(index, others + 1);
                self.add(output, claim, from);
                (claim, others)
            }
            Target::Group(group) => {
                let members = fib.members(group, fib.list_of(&self.decisions, index));
                if members.queued() && !self.may_replicate(from.segment) {
                    self.postpone(members, index, others, from)
                } else {
                    self.replicate(members, index, others, from)
                }
            }
            Target::Drop(reason) => {
                if others == 0 {
                    self.drop(reason, index, from);
                }
                (self.batch.share(index, others), others.saturating_sub(1))
            }
        };
        for &output in sources {
            self.add(output, claim, from);
        }
        copies
    }

    /// Puts what was postponed into the broadcast queue, now that what came
    /// before it has left: another worker may take it at once.
    #[cold]
    fn enqueue(&mut self, from: Source<'_>) {
        let Segment { queue, queue_len, .. } = from.segment;
        for frame in self.postponed.drain(..) {
            let len = frame.len();
            if !queue.push(frame, *queue_len) {
                from.cell.drop_rx(DropReason::BcQueueFull, 1, len);
            }
        }
    }

    fn drop(&mut self, reason: DropReason, index: u16, from: Source<'_>) {
        from.cell.drop_rx(reason, 1, self.batch.frame_len(index));
    }

    /// There are copies to spend, and nobody waits already or is on its way
    /// after having waited.
    #[inline]
    fn may_replicate(&self, segment: &Segment) -> bool {
        self.budget > 0
            && segment.queue_len > 0
            && self.postponed.is_empty()
            && segment.queue.is_idle()
    }

    /// A claim for each member, beside `others`. Returns that of the others, and
    /// how many copies all that makes of the one frame.
    #[inline]
    fn replicate(
        &mut self,
        members: Members<'_>,
        index: u16,
        others: usize,
        from: Source<'_>,
    ) -> (Claim, usize) {
        let count = members.into_iter().count();
        if others + count == 0 {
            self.drop(DropReason::NoMember, index, from);
        }
        let claim = self.batch.share(index, others + count);
        if members.queued() {
            self.budget = self.budget.saturating_sub(count);
        }
        for output in members {
            // ST-03: links alone count what they get as members of a group.
            let is_link = output.slot().is_some();
            self.add(output, if is_link { claim.multicast() } else { claim }, from);
        }
        (claim, (others + count).saturating_sub(1))
    }

    /// Puts a frame's copies for links off: one waits for all of them. The host
    /// gets its own now (RXM-13). Returns as [`Forwarder::replicate`].
    #[cold]
    fn postpone(
        &mut self,
        members: Members<'_>,
        index: u16,
        others: usize,
        from: Source<'_>,
    ) -> (Claim, usize) {
        self.postponed.extend(self.batch.twin(index));
        let now = || members.into_iter().filter(|output| output.slot().is_none());
        let count = others + now().count();
        let claim = self.batch.share(index, count);
        for output in now() {
            self.add(output, claim, from);
        }
        (claim, count)
    }

    /// Replicates what waits in the broadcast queues of a lower and of the VLANs
    /// on it. Returns the frames moved.
    #[inline]
    fn serve_queues(&mut self, plan: &Plan, segment: &Segment, stats: &WorkerStats) -> usize {
        let mut frames = 0;
        if !segment.queue.is_empty() {
            frames += self.serve_queue(segment, stats);
        }
        for vlan in segment.vlans.iter().filter_map(|vlan| plan.segment(vlan.segment)) {
            if !vlan.queue.is_empty() {
                frames += self.serve_queue(vlan, stats);
            }
        }
        frames
    }

    #[cold]
    fn serve_queue(&mut self, segment: &Segment, stats: &WorkerStats) -> usize {
        let ingress = Output::WIRE;
        let Some(wire) = segment.endpoint(ingress) else { return 0 };
        let Some(cell) = wire.cell(self.lcore.index()) else { return 0 };
        let from = Source { segment, ingress, cell, stats };
        let links = segment.endpoints.len().saturating_sub(2).max(1);
        let mut frames = 0;
        self.budget = self.copies;
        while self.budget > 0 && !segment.queue.is_empty() {
            // Else another worker does it, to whom this one leaves its frames.
            let Some(queue) = segment.queue.serve() else { break };
            let mut taken = 0;
            for _ in 0..(self.budget / links).clamp(1, BURST) {
                let Some(frame) = queue.pop() else { break };
                // It was admitted when it came; the limit may be another now.
                self.batch.readmit(frame, wire.max_frame, cell);
                taken += 1;
            }
            frames += taken;
            // Those dropped at once cost a turn something, too.
            self.budget = self.budget.saturating_sub(taken - self.batch.len());
            segment.fib.classify(ingress, self.batch.heads(), &mut self.decisions);
            self.replicate_waiting(from);
            self.batch.release();
        }
        frames
    }

    /// The part of a batch's copies that was put off: those for links, by the
    /// rules of now (RXM-18).
    fn replicate_waiting(&mut self, from: Source<'_>) {
        let fib = &from.segment.fib;
        let mut copies = 0;
        self.batch.spread();
        for index in self.batch.indices() {
            let members = match self.decisions.target(index) {
                Target::Group(group) => {
                    Some(fib.members(group, fib.list_of(&self.decisions, index)))
                }
                Target::Output(_) | Target::Drop(_) => None,
            };
            let links = || {
                let members = members.into_iter().flatten();
                members.filter(|output| output.slot().is_some())
            };
            let count = links().count();
            if count == 0 {
                self.drop(DropReason::NoMember, index, from);
            }
            let claim = self.batch.share(index, count).multicast();
            copies += count.saturating_sub(1);
            self.budget = self.budget.saturating_sub(count.max(1));
            for output in links() {
                self.add(output, claim, from);
            }
        }
        from.cell.copies.add(copies as u64);
        self.deliver(from);
    }

    /// Forwards the frames of VLAN lowers, one VLAN after the other.
    #[cold]
    fn forward_diverted(&mut self, plan: &Plan, stats: &WorkerStats) {
        while let Some(&(vlan, _)) = self.diverted.first() {
            let segment = plan.segment(vlan);
            let wire = segment.and_then(|segment| segment.endpoint(Output::WIRE));
            let cell = wire.and_then(|wire| wire.cell(self.lcore.index()));
            let (Some(segment), Some(wire), Some(cell)) = (segment, wire, cell) else {
                // A plan names no VLAN that it does not have.
                self.diverted.clear();
                return;
            };
            for (_, frame) in self.diverted.extract_if(.., |(other, _)| *other == vlan) {
                cell.rx_packets.add(1);
                cell.rx_bytes.add(u64::from(frame.len()));
                self.batch.readmit(frame, wire.max_frame, cell);
            }
            self.budget = self.copies;
            self.forward(Source { segment, ingress: Output::WIRE, cell, stats });
        }
    }

    /// Lets other workers receive from what this one polled by `plan`.
    pub(super) fn let_go(&self, plan: &Plan) {
        for poll in plan.polls(self.lcore.index()) {
            let from = plan.segment(poll.segment).and_then(|it| it.endpoint(poll.ingress));
            from.into_iter().for_each(|from| from.port.let_go(&self.lcore, poll.queue));
        }
    }

    /// Empties the broadcast queues of a lower at the end of the switch. What
    /// another worker is emptying is left to it: it, too, ends with this.
    pub(super) fn finish(&mut self, plan: &Plan, poll: &Poll, stats: &WorkerStats) {
        let Some(segment) = plan.segment(poll.segment) else { return };
        self.copies = poll.copies;
        while poll.ingress == Output::WIRE && self.serve_queues(plan, segment, stats) > 0 {}
    }

    #[inline]
    fn add(&mut self, output: Output, claim: Claim, from: Source<'_>) {
        if self.sorter.room() == 0 {
            self.deliver(from);
        }
        self.sorter.add(output, claim);
    }

    /// Hands every group that was sorted to its output.
    #[inline]
    fn deliver(&mut self, from: Source<'_>) {
        let Self { lcore, burst, batch, sorter, .. } = self;
        sorter.groups(|output, claims| {
            let Some(delivery) = delivery(lcore, from, output) else { return };
            from.stats.batches.add(1);
            from.stats.sent.add(claims.len() as u64);
            delivery.claims(batch, burst, claims);
        });
    }
}

/// The way to an output; `None` if its segment has no such output, which no
/// verdict names.
#[inline]
fn delivery<'a>(lcore: &'a Lcore, from: Source<'a>, output: Output) -> Option<Delivery<'a>> {
    let to = from.segment.endpoint(output)?;
    let cell = to.cell(lcore.index())?;
    let sender = (output == Output::WIRE).then_some(from.cell);
    let is_local = from.ingress != Output::WIRE;
    let max_copy = if is_local { to.max_frame } else { to.max_delivered };
    Some(Delivery { lcore, to, cell, sender, max_copy })
}
