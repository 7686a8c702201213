//! One turn for one queue: receive, classify, sort, deliver, account.
//!
//! Owned by a worker; touches nothing that outlives the turn but counters.

use macvlan::drop::DropReason;
use macvlan::fib::{Output, Target, Verdict};

use super::batch::{BATCH, Batch};
use super::counters::{Cell, WorkerStats};
use super::plan::{Endpoint, Poll, Segment};
use super::sort::Sorter;
use crate::dpdk::{BURST, Burst, Lcore};

/// A worker's scratch space and its right to transmit.
#[derive(Debug)]
pub(super) struct Forwarder {
    lcore: Lcore,
    burst: Burst,
    batch: Box<Batch>,
    verdicts: Box<[Verdict; BATCH]>,
    sorter: Sorter,
}

impl Forwarder {
    pub(super) fn new(lcore: Lcore) -> Self {
        Self {
            lcore,
            burst: Burst::new(),
            batch: Batch::new(),
            verdicts: Box::new([Verdict::default(); BATCH]),
            sorter: Sorter::new(),
        }
    }

    /// Serves `poll` once. Returns the frames received.
    #[inline]
    pub(super) fn turn(&mut self, segment: &Segment, poll: &Poll, stats: &WorkerStats) -> usize {
        let Some(source) = segment.endpoint(poll.ingress) else { return 0 };
        let received = source.port.rx(poll.queue, &mut self.burst);
        if received == 0 {
            return 0;
        }
        let Some(cell) = source.port.stats.cell(self.lcore.index()) else {
            return self.burst.clear();
        };
        self.batch.admit(&mut self.burst, source.max_frame, cell);
        let mut total = received;
        // A full burst means more is waiting: gathering several makes fuller
        // groups per output.
        let mut last = received;
        while last == BURST && total < poll.budget && self.batch.has_room() {
            last = source.port.rx(poll.queue, &mut self.burst);
            self.batch.admit(&mut self.burst, source.max_frame, cell);
            total += last;
        }
        segment.fib.classify(poll.ingress, self.batch.heads(), &mut self.verdicts[..]);
        self.sort(segment, cell, stats);
        self.batch.release();
        total
    }

    /// Sends every frame of the batch where its verdict says.
    #[inline]
    fn sort(&mut self, segment: &Segment, cell: &Cell, stats: &WorkerStats) {
        let mut copies = 0;
        for index in 0..self.batch.len() {
            let Some(verdict) = self.verdicts.get(usize::from(index)) else { break };
            match verdict.target() {
                Target::Output(output) => {
                    self.batch.set_uses(index, 1);
                    self.add(output, index, segment, stats);
                }
                Target::Group(group) => {
                    let members = segment.fib.group(group);
                    let uses = u16::try_from(members.into_iter().count()).unwrap_or(u16::MAX);
                    self.batch.set_uses(index, uses);
                    copies += u64::from(uses.saturating_sub(1));
                    for output in members {
                        self.add(output, index, segment, stats);
                    }
                }
                Target::Drop(reason) => {
                    self.batch.set_uses(index, 0);
                    cell.drop_rx(reason, 1);
                }
            }
        }
        if copies > 0 {
            cell.copies.add(copies);
        }
        self.deliver(segment, stats);
    }

    #[inline]
    fn add(&mut self, output: Output, frame: u16, segment: &Segment, stats: &WorkerStats) {
        if self.sorter.room() == 0 {
            self.deliver(segment, stats);
        }
        self.sorter.add(output, frame);
    }

    /// Hands every group that was sorted to its output.
    #[inline]
    fn deliver(&mut self, segment: &Segment, stats: &WorkerStats) {
        let Self { lcore, burst, batch, sorter, .. } = self;
        sorter.groups(|output, frames| {
            // A verdict names no output that its segment does not have.
            let Some(to) = segment.endpoint(output) else { return };
            let Some(cell) = to.port.stats.cell(lcore.index()) else { return };
            for chunk in frames.chunks(BURST) {
                deliver_chunk(lcore, burst, batch, to, cell, chunk);
            }
            stats.batches.add(1);
        });
    }
}

/// Hands up to [`BURST`] frames to a port. What it does not take is dropped and
/// counted now: nothing waits for a guest.
#[inline]
fn deliver_chunk(
    lcore: &Lcore,
    burst: &mut Burst,
    batch: &mut Batch,
    to: &Endpoint,
    cell: &Cell,
    frames: &[u16],
) {
    let mut lens = [0_u32; BURST];
    let mut too_long = 0;
    for &index in frames {
        let Some(frame) = batch.take(index) else { continue };
        let len = batch.frame_len(index);
        if len > to.max_frame {
            too_long += 1;
            continue;
        }
        if let Some(place) = lens.get_mut(burst.len()) {
            *place = len;
        }
        // Cannot overflow: a chunk is no longer than a burst.
        drop(burst.push(frame));
    }
    if too_long > 0 {
        cell.drop_tx(DropReason::TooLong, too_long);
    }
    if burst.is_empty() {
        return;
    }
    let (taken, reason) = match to.port.tx(lcore, burst) {
        Some(taken) => (taken, DropReason::RingFull),
        None => (0, DropReason::PeerAbsent),
    };
    if taken > 0 {
        cell.tx_packets.add(taken as u64);
        cell.tx_bytes.add(lens.iter().take(taken).map(|&len| u64::from(len)).sum());
    }
    let left = burst.clear();
    if left > 0 {
        cell.drop_tx(reason, left);
    }
}
