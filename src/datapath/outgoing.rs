//! What a turn sends: frames on the stage, copies of group frames, and those of
//! them that wait.
//!
//! Owned by the forwarder, which brings frames and verdicts, and says when a turn
//! has gathered enough. Touches nothing that outlives the turn but counters and
//! the lower's broadcast queue.

use macvlan::drop::DropReason;
use macvlan::fib::{Decisions, Members, Output, Target};

use super::counters::{Cell, WorkerStats};
use super::deliver::Delivery;
use super::plan::Segment;
use super::stage::Stage;
use crate::dpdk::{BURST, Copies, Lcore, Mbuf};

/// Frames that a turn may put off.
const POSTPONED: usize = 512;

/// Where the frames of a batch came from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) lcore: &'a Lcore,
    pub(super) segment: &'a Segment,
    pub(super) ingress: Output,
    pub(super) cell: &'a Cell,
    pub(super) stats: &'a WorkerStats,
}

#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) stage: Stage,
    /// Frames of the turn that go into the broadcast queue.
    postponed: Vec<Mbuf>,
    /// Copies of group frames that may still be made at once.
    pub(super) budget: usize,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self { stage: Stage::new(), postponed: Vec::with_capacity(POSTPONED), budget: 0 }
    }

    /// Another batch may be gathered before all is delivered.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.postponed.len() + BURST <= POSTPONED
    }

    /// Stages a frame that goes to several, or nowhere, or past source lists.
    pub(super) fn forward(
        &mut self,
        decisions: &Decisions,
        frame: Mbuf,
        len: u32,
        index: u16,
        from: Source<'_>,
    ) {
        let fib = &from.segment.fib;
        let sources = fib.sources_of(decisions, index);
        let copies = match decisions.target(index) {
            Target::Output(output) => {
                let mut copies = Copies::of(frame, sources.len() + 1);
                from.cell.copies.add(sources.len() as u64);
                if let Some(frame) = copies.next() {
                    self.add(output, frame, len, false, from);
                }
                copies
            }
            Target::Group(group) => {
                let members = fib.members(group, fib.list_of(decisions, index));
                if members.queued() && !self.may_replicate(from.segment) {
                    self.postpone(members, frame, len, sources.len(), from)
                } else {
                    self.replicate(members, frame, len, sources.len(), from)
                }
            }
            Target::Drop(reason) => {
                if sources.is_empty() {
                    from.cell.drop_rx(reason, 1, len);
                }
                from.cell.copies.add(sources.len().saturating_sub(1) as u64);
                Copies::of(frame, sources.len())
            }
        };
        for (frame, &output) in copies.zip(sources) {
            self.add(output, frame, len, false, from);
        }
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

    /// There are copies to spend, and nobody waits already or is on its way
    /// after having waited.
    #[inline]
    fn may_replicate(&self, segment: &Segment) -> bool {
        self.budget > 0
            && segment.queue_len > 0
            && self.postponed.is_empty()
            && segment.queue.is_idle()
    }

    /// Stages a copy for each member. Returns those for `others`.
    fn replicate(
        &mut self,
        members: Members<'_>,
        frame: Mbuf,
        len: u32,
        others: usize,
        from: Source<'_>,
    ) -> Copies {
        let count = members.into_iter().count();
        if others + count == 0 {
            from.cell.drop_rx(DropReason::NoMember, 1, len);
        }
        from.cell.copies.add((others + count).saturating_sub(1) as u64);
        if members.queued() {
            self.budget = self.budget.saturating_sub(count);
        }
        let mut copies = Copies::of(frame, others + count);
        for (output, frame) in members.into_iter().zip(&mut copies) {
            // ST-03: links alone count what they get as members of a group.
            self.add(output, frame, len, output.slot().is_some(), from);
        }
        copies
    }

    /// Puts a frame's copies for links off: one waits for all of them. The host
    /// gets its own now (RXM-13). Returns those for `others`.
    #[cold]
    fn postpone(
        &mut self,
        members: Members<'_>,
        frame: Mbuf,
        len: u32,
        others: usize,
        from: Source<'_>,
    ) -> Copies {
        let now = || members.into_iter().filter(|output| output.slot().is_none());
        let count = others + now().count();
        from.cell.copies.add(count as u64);
        let mut copies = Copies::of(frame, count + 1);
        self.postponed.extend(copies.next());
        for (output, frame) in now().zip(&mut copies) {
            self.add(output, frame, len, false, from);
        }
        copies
    }

    /// Stages a frame; a `multicast` one counts as a member's copy (ST-03).
    pub(super) fn add(
        &mut self,
        output: Output,
        frame: Mbuf,
        len: u32,
        multicast: bool,
        from: Source<'_>,
    ) {
        if self.stage.room() == 0 {
            self.make_room(from);
        }
        self.stage.add_copy(output, frame, len, multicast);
    }

    /// Sends what is staged so far of a batch that goes on.
    #[cold]
    fn make_room(&mut self, from: Source<'_>) {
        let longest = self.stage.longest();
        self.send(from);
        self.stage.expect(longest);
    }

    /// Ends what was gathered: every frame leaves, or waits in the broadcast queue.
    #[inline]
    pub(super) fn deliver(&mut self, from: Source<'_>) {
        self.send(from);
        if !self.postponed.is_empty() {
            self.enqueue(from);
        }
    }

    /// Hands what is staged to its outputs.
    #[inline]
    fn send(&mut self, from: Source<'_>) {
        self.stage.each(|staged, longest| {
            let Some(delivery) = delivery(from, staged.output) else { return };
            from.stats.batches.add(1);
            from.stats.sent.add(staged.burst.len() as u64);
            delivery.deliver(staged, longest);
        });
    }
}

/// The way to an output; `None` if its segment has no such output, which no
/// verdict names.
#[inline]
fn delivery(from: Source<'_>, output: Output) -> Option<Delivery<'_>> {
    let lcore = from.lcore;
    let to = from.segment.endpoint(output)?;
    let cell = to.cell(lcore.index())?;
    let sender = (output == Output::WIRE).then_some(from.cell);
    let is_local = from.ingress != Output::WIRE;
    let max_copy = if is_local { to.max_frame } else { to.max_delivered };
    Some(Delivery { lcore, to, cell, sender, max_copy })
}
