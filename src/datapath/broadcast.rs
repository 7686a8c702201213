//! The broadcast queue of a lower: group frames from the wire whose copies for
//! links would cost more than a turn may spend (RXM-12, MCF-09).
//!
//! A worker that still has copies to spend replicates at once and in order; from
//! the first frame that must wait, all wait behind it. Filled by the workers
//! that receive from the lower, emptied by them with a budget per turn, so that
//! a burst of broadcasts cannot starve unicast. Never holds more than the links
//! asked for (`bcqueuelen`); what does not fit is dropped by whoever brings it.

use crossbeam::queue::ArrayQueue;

use crate::dpdk::Mbuf;

/// Copies for links that one turn of one lower makes of group frames. A frame
/// that is begun is finished.
pub(super) const BUDGET: usize = 256;

/// Group frames waiting for replication.
#[derive(Debug)]
pub struct BroadcastQueue(ArrayQueue<Mbuf>);

impl BroadcastQueue {
    /// Frames it can hold, whatever `bcqueuelen` says: they are buffers of the
    /// pool that all ports share.
    pub const MOST: usize = 4096;

    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self(ArrayQueue::new(Self::MOST))
    }

    /// Nothing waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a frame unless `limit` wait already. `false`: it was dropped.
    pub(super) fn push(&self, frame: Mbuf, limit: usize) -> bool {
        self.0.len() < limit && self.0.push(frame).is_ok()
    }

    pub(super) fn pop(&self) -> Option<Mbuf> {
        self.0.pop()
    }

    /// Drops what is left when nobody fills or empties it any more. Returns how
    /// many frames that were.
    #[must_use]
    pub fn discard(&self) -> u64 {
        let mut frames = 0;
        while self.0.pop().is_some() {
            frames += 1;
        }
        frames
    }
}

impl Default for BroadcastQueue {
    fn default() -> Self {
        Self::new()
    }
}
