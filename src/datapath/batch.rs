//! The frames of one receive call, and what classification sees of them.
//!
//! The seam between ports and the rest of the loop: a source puts frames in,
//! those that are legal stay, with their heads and lengths, and go to the stage.
//! As large as a burst, so that all of it is in the first-level cache.

use macvlan::drop::DropReason;
use macvlan::fib::Head;

use super::counters::Cell;
use crate::dpdk::{BURST, Burst, Mbuf};

#[derive(Debug)]
pub(super) struct Batch {
    frames: Burst,
    /// How many of them have been admitted.
    len: usize,
    heads: [Head; BURST],
    lens: [u32; BURST],
    /// No frame has more bytes.
    longest: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            frames: Burst::new(),
            len: 0,
            heads: [Head::default(); BURST],
            lens: [0; BURST],
            longest: 0,
        }
    }
}

impl Batch {
    /// Frames that have been admitted.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn heads(&self) -> &[Head] {
        self.heads.get(..self.len).unwrap_or_default()
    }

    /// No frame has more bytes.
    #[inline]
    pub(super) fn longest(&self) -> u32 {
        self.longest
    }

    /// Where received frames go, to be admitted. All there are of the batch before
    /// have been taken.
    #[inline]
    pub(super) fn received(&mut self) -> &mut Burst {
        &mut self.frames
    }

    /// Starts loading the heads of what was received.
    #[inline]
    pub(super) fn prefetch(&self) {
        self.frames.as_slice().iter().for_each(Mbuf::prefetch);
    }

    /// Takes in what was received, drops frames that are illegal on a port with
    /// this limit, and counts all of them as received.
    #[inline]
    pub(super) fn admit(&mut self, max_frame: u32, cell: &Cell) {
        // Counted here: in memory each frame would wait for the count of the one before.
        let (mut bytes, mut legal, mut longest) = (0, 0, 0);
        let places = self.heads.iter_mut().zip(&mut self.lens);
        for (frame, (place, place_len)) in self.frames.as_slice().iter().zip(places) {
            let Some((head, len)) = legal_head(frame, max_frame) else { break };
            *place = head;
            *place_len = len;
            longest = len.max(longest);
            bytes += u64::from(len);
            legal += 1;
        }
        (self.len, self.longest) = (legal, longest);
        cell.rx_packets.add(legal as u64);
        cell.rx_bytes.add(bytes);
        if legal < self.frames.len() {
            self.admit_each(legal, max_frame, cell, Some);
        }
    }

    /// The same for frames, from number `first` on, of which some are illegal or
    /// have a VLAN tag. All are shown to `divert`, which may keep them.
    #[cold]
    pub(super) fn admit_each(
        &mut self,
        first: usize,
        max_frame: u32,
        cell: &Cell,
        mut divert: impl FnMut(Mbuf) -> Option<Mbuf>,
    ) {
        let Self { frames, heads, lens, longest, .. } = self;
        if first == 0 {
            *longest = 0;
        }
        let mut at = first;
        frames.retain(first, |frame| {
            cell.rx_packets.add(1);
            cell.rx_bytes.add(u64::from(frame.len()));
            let Some((head, len)) = legal_head(&frame, max_frame) else {
                refuse(&frame, cell);
                return None;
            };
            let frame = divert(frame)?;
            heads[at % BURST] = head;
            lens[at % BURST] = len;
            *longest = len.max(*longest);
            at += 1;
            Some(frame)
        });
        self.len = at;
    }

    /// Takes one frame in that has been admitted before; drops it if it is too
    /// long for where it enters now. The caller has made sure of room.
    pub(super) fn readmit(&mut self, frame: Mbuf, max_frame: u32, cell: &Cell) {
        let Some((head, len)) = legal_head(&frame, max_frame) else {
            return refuse(&frame, cell);
        };
        if self.len == 0 {
            self.longest = 0;
        }
        self.heads[self.len % BURST] = head;
        self.lens[self.len % BURST] = len;
        self.longest = self.longest.max(len);
        if self.frames.push(frame).is_none() {
            self.len += 1;
        }
    }

    /// All frames as they were received, and their bytes. Empties the batch.
    #[inline]
    pub(super) fn take_all(&mut self) -> (&mut Burst, u64) {
        let len = std::mem::take(&mut self.len);
        let lens = self.lens.get(..len).unwrap_or_default();
        (&mut self.frames, lens.iter().map(|&len| u64::from(len)).sum())
    }

    /// All frames in order, with their lengths. Empties the batch.
    #[inline]
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Mbuf, u32)> {
        self.len = 0;
        self.frames.drain().zip(self.lens.iter().copied())
    }
}

/// The head of a frame that may enter where this is the limit, and its length.
#[inline]
fn legal_head(frame: &Mbuf, max_frame: u32) -> Option<(Head, u32)> {
    let len = frame.len();
    let head = frame.head().filter(|_| frame.segments() == 1 && len <= max_frame)?;
    Some((Head::read(head), len))
}

/// Counts a frame that may not enter with what is wrong with it.
#[cold]
fn refuse(frame: &Mbuf, cell: &Cell) {
    let reason = if frame.head().is_none() {
        DropReason::Runt
    } else if frame.segments() != 1 {
        DropReason::MultiSegment
    } else {
        DropReason::TooLong
    };
    cell.drop_rx(reason, 1, frame.len());
}
