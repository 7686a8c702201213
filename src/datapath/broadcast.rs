//! The broadcast queue of a lower: group frames from the wire whose copies for
//! links would cost more than a turn may spend (RXM-12, MCF-09).
//!
//! A worker that still has copies to spend replicates at once and in order; from
//! the first frame that must wait, all wait behind it. Filled by the workers
//! that receive from the lower, emptied by them with a budget per turn, so that
//! a burst of broadcasts cannot starve unicast: by one at a time, or frames that
//! two of them hold would overtake each other. Never holds more than the links
//! asked for (`bcqueuelen`), and all queues together never more than their
//! [`QueueRoom`]; what does not fit is dropped by whoever brings it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam::queue::ArrayQueue;

use crate::dpdk::Mbuf;

/// How many frames may wait in all broadcast queues together: each is a buffer
/// of the pool that unicast needs, too.
#[derive(Debug)]
pub struct QueueRoom {
    most: usize,
    taken: AtomicUsize,
}

impl QueueRoom {
    /// Room for `most` frames.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0) }
    }

    /// Frames that wait now.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// `false`: there is none left.
    fn take(&self) -> bool {
        let more = |taken: usize| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Group frames waiting for replication.
#[derive(Debug)]
pub struct BroadcastQueue {
    frames: ArrayQueue<Mbuf>,
    room: Arc<QueueRoom>,
    /// Some worker takes frames out, and may hold some.
    served: AtomicBool,
}

impl BroadcastQueue {
    /// Frames it can hold, whatever `bcqueuelen` says.
    pub const MOST: usize = 4096;

    /// An empty queue, whose frames take up `room`.
    #[must_use]
    pub fn new(room: Arc<QueueRoom>) -> Self {
        Self { frames: ArrayQueue::new(Self::MOST), room, served: AtomicBool::new(false) }
    }

    /// Nothing waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Nothing waits, and what has waited has left: a frame that goes now
    /// overtakes nobody.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        // In this order: whoever empties the queue serves it before that.
        self.is_empty() && !self.served.load(Ordering::SeqCst)
    }

    /// The right to take frames out, until it is dropped; `None` while another
    /// worker has it. What was taken must have left by then. Whoever gives the
    /// right back looks at the queue again, because others may have put frames
    /// in and left them to it.
    #[inline]
    pub(super) fn serve(&self) -> Option<Serving<'_>> {
        // Sequentially consistent like the queue's own operations: of a worker
        // that puts a frame in and fails here, and one that gives the right
        // back and looks again, one sees what the other did.
        let (order, failed) = (Ordering::SeqCst, Ordering::SeqCst);
        let free = self.served.compare_exchange(false, true, order, failed);
        // Not made in vain: its end frees the queue.
        free.is_ok().then(|| Serving(self))
    }

    /// Adds a frame unless `limit` wait already, or too many elsewhere.
    /// `false`: it was dropped.
    pub(super) fn push(&self, frame: Mbuf, limit: usize) -> bool {
        if self.frames.len() >= limit || !self.room.take() {
            return false;
        }
        let fits = self.frames.push(frame).is_ok();
        if !fits {
            self.room.give_back();
        }
        fits
    }

    fn pop(&self) -> Option<Mbuf> {
        self.frames.pop().inspect(|_| self.room.give_back())
    }

    /// Drops what is left when nobody fills or empties it any more. Returns how
    /// many frames that were.
    #[must_use]
    pub fn discard(&self) -> u64 {
        let mut frames = 0;
        while self.pop().is_some() {
            frames += 1;
        }
        frames
    }
}

/// A worker's right to empty a queue.
pub(super) struct Serving<'a>(&'a BroadcastQueue);

impl Serving<'_> {
    pub(super) fn pop(&self) -> Option<Mbuf> {
        self.0.pop()
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.served.store(false, Ordering::SeqCst);
    }
}

impl Default for BroadcastQueue {
    /// A queue that shares its room with no other.
    fn default() -> Self {
        Self::new(Arc::new(QueueRoom::new(Self::MOST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_at_a_time_serves_a_queue() {
        let queue = BroadcastQueue::default();
        assert!(queue.is_idle());
        let serving = queue.serve().unwrap();
        // Asking in vain changes nothing.
        assert!(queue.serve().is_none() && queue.serve().is_none());
        assert!(queue.is_empty() && !queue.is_idle());
        drop(serving);
        assert!(queue.is_idle() && queue.serve().is_some());
    }

    #[test]
    fn a_room_holds_what_it_says() {
        let room = QueueRoom::new(2);
        assert!(room.take() && room.take() && !room.take());
        assert_eq!(room.taken(), 2);
        room.give_back();
        assert!(room.take() && !room.take());
    }
}
