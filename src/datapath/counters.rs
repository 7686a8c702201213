//! Counters: written by one worker each, summed by whoever reads.
//!
//! Every (worker, port) pair has a cell of its own on cache lines of its own, so
//! counting is a plain load and store. Readers add the cells up at scrape; they
//! never write and never make a worker wait. A cell lives as long as its port's
//! name, across plans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;
use macvlan::drop::DropReason;

/// A counter with a single writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Single writer: no read-modify-write is needed.
    #[inline]
    pub(super) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one worker counts for one port.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// TSC ticks spent on frames received here.
    pub(super) busy: Counter,
    pub(super) rx_packets: Counter,
    pub(super) rx_bytes: Counter,
    pub(super) tx_packets: Counter,
    pub(super) tx_bytes: Counter,
    pub(super) copies: Counter,
    pub(super) multicast: Counter,
    pub(super) wire_full: Counter,
    rx_drop_bytes: Counter,
    rx_drops: [Counter; DropReason::COUNT],
    tx_drops: [Counter; DropReason::COUNT],
}

impl Cell {
    /// Frames received here and dropped, with so many bytes together.
    #[inline]
    pub(super) fn drop_rx(&self, reason: DropReason, frames: usize, bytes: u32) {
        if let Some(counter) = self.rx_drops.get(reason.index()) {
            counter.add(frames as u64);
            // What a list consumes on its way to a sibling was sent (ST-06).
            if reason != DropReason::SourceNodst {
                self.rx_drop_bytes.add(u64::from(bytes));
            }
        }
    }

    /// Frames received here that were to leave by the wire and did not.
    #[inline]
    pub(super) fn not_sent(&self, frames: usize, bytes: u64) {
        self.wire_full.add(frames as u64);
        self.rx_drop_bytes.add(bytes);
    }

    #[inline]
    pub(super) fn drop_tx(&self, reason: DropReason, frames: usize) {
        if let Some(counter) = self.tx_drops.get(reason.index()) {
            counter.add(frames as u64);
        }
    }
}

/// What each worker counts for one port, by worker.
pub(super) type Cells = Arc<[CachePadded<Cell>]>;

/// The counters of one port.
#[derive(Debug)]
pub struct PortStats {
    cells: Cells,
}

/// A port's counters, summed over the workers. All count from the port's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames the switch's port received: from the guest, from the wire.
    pub rx_packets: u64,
    /// Their bytes, without FCS.
    pub rx_bytes: u64,
    /// Frames the switch's port delivered: to the guest, to the wire.
    pub tx_packets: u64,
    /// Their bytes, without FCS.
    pub tx_bytes: u64,
    /// Further copies made of frames received here that had several receivers.
    pub copies: u64,
    /// Frames delivered here as one of several receivers of a group (ST-03).
    pub multicast: u64,
    /// Frames received here that did not leave by the wire (TX-15): its
    /// transmit queue was full, they were too long for it, or there was no
    /// buffer for their tag. They are counted as drops of the lower.
    pub wire_full: u64,
    /// Bytes of the frames in `rx_drops` and `wire_full`, but for those that a
    /// source list consumed.
    pub rx_drop_bytes: u64,
    /// Frames received here and dropped, by [`DropReason::index`].
    pub rx_drops: [u64; DropReason::COUNT],
    /// Frames meant for this port and dropped, by [`DropReason::index`].
    pub tx_drops: [u64; DropReason::COUNT],
}

impl Totals {
    /// Sum of all drops in both directions, in frames.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.rx_drops.iter().chain(&self.tx_drops).sum()
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        let pairs = [
            (&mut self.rx_packets, before.rx_packets),
            (&mut self.rx_bytes, before.rx_bytes),
            (&mut self.tx_packets, before.tx_packets),
            (&mut self.tx_bytes, before.tx_bytes),
            (&mut self.copies, before.copies),
            (&mut self.multicast, before.multicast),
            (&mut self.wire_full, before.wire_full),
            (&mut self.rx_drop_bytes, before.rx_drop_bytes),
        ];
        let rx = self.rx_drops.iter_mut().zip(before.rx_drops);
        let tx = self.tx_drops.iter_mut().zip(before.tx_drops);
        for (now, before) in pairs.into_iter().chain(rx).chain(tx) {
            *now = now.saturating_sub(before);
        }
        self
    }
}

impl PortStats {
    /// Zeroed counters for so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { cells: (0..workers).map(|_| CachePadded::default()).collect() }
    }

    /// The cell that worker `index` alone may write.
    pub(super) fn cell(&self, index: u16) -> Option<&Cell> {
        self.cells.get(usize::from(index)).map(|cell| &**cell)
    }

    /// All of them, by worker.
    pub(super) fn cells(&self) -> Cells {
        Arc::clone(&self.cells)
    }

    /// TSC ticks that each worker has spent on frames received here, by worker.
    pub fn busy(&self) -> impl ExactSizeIterator<Item = u64> {
        self.cells.iter().map(|cell| cell.busy.get())
    }

    /// The sums over all workers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for cell in self.cells.iter() {
            sum.rx_packets += cell.rx_packets.get();
            sum.rx_bytes += cell.rx_bytes.get();
            sum.tx_packets += cell.tx_packets.get();
            sum.tx_bytes += cell.tx_bytes.get();
            sum.copies += cell.copies.get();
            sum.multicast += cell.multicast.get();
            sum.wire_full += cell.wire_full.get();
            sum.rx_drop_bytes += cell.rx_drop_bytes.get();
            let drops = sum.rx_drops.iter_mut().zip(&cell.rx_drops);
            drops.for_each(|(sum, counter)| *sum += counter.get());
            let drops = sum.tx_drops.iter_mut().zip(&cell.tx_drops);
            drops.for_each(|(sum, counter)| *sum += counter.get());
        }
        sum
    }
}

/// What a worker counts about itself, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerStats {
    pub(super) turns: Counter,
    pub(super) frames: Counter,
    pub(super) busy: Counter,
    pub(super) idle: Counter,
    pub(super) sleeps: Counter,
    pub(super) batches: Counter,
    pub(super) sent: Counter,
}

/// A worker's counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerTotals {
    /// Turns of the loop.
    pub turns: u64,
    /// Frames received.
    pub frames: u64,
    /// TSC ticks spent on frames; the same as [`PortStats::busy`] of all ports.
    pub busy: u64,
    /// TSC ticks of turns that found none, asleep or awake.
    pub idle: u64,
    /// Times it went to sleep.
    pub sleeps: u64,
    /// Groups of frames handed to an output.
    pub batches: u64,
    /// Frames in them, copies included, whether the outputs took them or not.
    pub sent: u64,
}

impl WorkerTotals {
    /// What was counted since `before`.
    #[must_use]
    pub fn since(self, before: &Self) -> Self {
        Self {
            turns: self.turns.saturating_sub(before.turns),
            frames: self.frames.saturating_sub(before.frames),
            busy: self.busy.saturating_sub(before.busy),
            idle: self.idle.saturating_sub(before.idle),
            sleeps: self.sleeps.saturating_sub(before.sleeps),
            batches: self.batches.saturating_sub(before.batches),
            sent: self.sent.saturating_sub(before.sent),
        }
    }

    /// Share of its time that went into frames: 0 to 1.
    #[must_use]
    pub fn load(&self) -> f64 {
        ratio(self.busy, self.busy.saturating_add(self.idle)).unwrap_or(0.0)
    }

    /// TSC ticks per frame received, if there were frames.
    #[must_use]
    pub fn cycles_per_frame(&self) -> Option<f64> {
        ratio(self.busy, self.frames)
    }

    /// Frames that an output got at once, if any got some.
    #[must_use]
    pub fn frames_per_batch(&self) -> Option<f64> {
        ratio(self.sent, self.batches)
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl WorkerStats {
    /// The counters now.
    #[must_use]
    pub fn totals(&self) -> WorkerTotals {
        WorkerTotals {
            turns: self.turns.get(),
            frames: self.frames.get(),
            busy: self.busy.get(),
            idle: self.idle.get(),
            sleeps: self.sleeps.get(),
            batches: self.batches.get(),
            sent: self.sent.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_do_not_share_lines_and_sums_add_up() {
        let stats = PortStats::new(3);
        for index in 0..3 {
            let cell = stats.cell(index).unwrap();
            assert_eq!(std::ptr::from_ref(cell) as usize % 128, 0);
            cell.rx_packets.add(10);
            cell.drop_tx(DropReason::RingFull, 2);
            cell.drop_rx(DropReason::Runt, 1, 10);
        }
        assert_eq!(align_of::<WorkerStats>() % 128, 0);
        assert!(stats.cell(3).is_none());
        let totals = stats.totals();
        assert_eq!((totals.rx_packets, totals.dropped()), (30, 9));
    }
}
