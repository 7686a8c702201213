//! Frames of one turn, where they lie, and what classification sees of them.
//!
//! The seam between ports and the rest of the loop: sources put frames in,
//! outputs take them by index. Here a frame is an mbuf; a guest's descriptor
//! can stand in its place without the classifier or the sorter knowing.

use macvlan::drop::DropReason;
use macvlan::fib::Head;

use super::counters::Cell;
use crate::dpdk::{BURST, Burst, Mbuf};

/// Frames a batch holds: several bursts of a backlogged lower.
pub(super) const BATCH: usize = 256;

#[derive(Debug)]
pub(super) struct Batch {
    len: u16,
    heads: [Head; BATCH],
    lens: [u32; BATCH],
    /// Deliveries a frame still has to serve.
    uses: [u16; BATCH],
    frames: [Option<Mbuf>; BATCH],
}

impl Batch {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            len: 0,
            heads: [Head::default(); BATCH],
            lens: [0; BATCH],
            uses: [0; BATCH],
            frames: [const { None }; BATCH],
        })
    }

    #[inline]
    pub(super) fn len(&self) -> u16 {
        self.len
    }

    /// Room for another whole burst.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        usize::from(self.len) + BURST <= BATCH
    }

    #[inline]
    pub(super) fn heads(&self) -> &[Head] {
        self.heads.get(..usize::from(self.len)).unwrap_or_default()
    }

    #[inline]
    pub(super) fn frame_len(&self, index: u16) -> u32 {
        self.lens.get(usize::from(index)).copied().unwrap_or(0)
    }

    /// Takes the frames of a burst in, drops those that are illegal on a port
    /// with this limit, and counts all of them as received. Frames with a VLAN
    /// tag are shown to `divert`, which may keep them.
    #[inline]
    pub(super) fn admit(
        &mut self,
        burst: &mut Burst,
        max_frame: u32,
        cell: &Cell,
        mut divert: impl FnMut(Mbuf) -> Option<Mbuf>,
    ) {
        burst.as_slice().iter().for_each(Mbuf::prefetch);
        cell.rx_packets.add(burst.len() as u64);
        let mut bytes = 0;
        for frame in burst.drain() {
            let len = frame.len();
            bytes += u64::from(len);
            match frame.head() {
                None => cell.drop_rx(DropReason::Runt, 1, len),
                Some(_) if frame.segments() != 1 => cell.drop_rx(DropReason::MultiSegment, 1, len),
                Some(_) if len > max_frame => cell.drop_rx(DropReason::TooLong, 1, len),
                Some(head) => {
                    let head = Head::read(head);
                    if let Some(frame) = divert(frame) {
                        self.push(head, len, frame);
                    }
                }
            }
        }
        cell.rx_bytes.add(bytes);
    }

    /// Takes one frame in that has been admitted before; drops it if it is too
    /// long for where it enters now. The caller has made sure of room.
    pub(super) fn readmit(&mut self, frame: Mbuf, max_frame: u32, cell: &Cell) {
        let len = frame.len();
        match frame.head().map(Head::read) {
            Some(head) if len <= max_frame => self.push(head, len, frame),
            Some(_) => cell.drop_rx(DropReason::TooLong, 1, len),
            None => cell.drop_rx(DropReason::Runt, 1, len),
        }
    }

    /// The frame, if it is still here.
    #[inline]
    pub(super) fn frame(&self, index: u16) -> Option<&Mbuf> {
        self.frames.get(usize::from(index))?.as_ref()
    }

    /// The caller has made sure of room for a whole burst.
    #[inline]
    fn push(&mut self, head: Head, len: u32, frame: Mbuf) {
        let at = usize::from(self.len);
        let places = (self.heads.get_mut(at), self.lens.get_mut(at), self.frames.get_mut(at));
        if let (Some(head_at), Some(len_at), Some(frame_at)) = places {
            *head_at = head;
            *len_at = len;
            *frame_at = Some(frame);
            self.len += 1;
        }
    }

    /// Says how many deliveries `frame` serves; 0 gives it back at once.
    #[inline]
    pub(super) fn set_uses(&mut self, index: u16, uses: usize) {
        let at = usize::from(index);
        let uses = u16::try_from(uses).unwrap_or(u16::MAX);
        if let Some(place) = self.uses.get_mut(at) {
            *place = uses;
        }
        if uses == 0
            && let Some(frame) = self.frames.get_mut(at)
        {
            *frame = None;
        }
    }

    /// The frame for one of its deliveries: shared, and for the last one moved out.
    #[inline]
    pub(super) fn take(&mut self, index: u16) -> Option<Mbuf> {
        let at = usize::from(index);
        let uses = self.uses.get_mut(at)?;
        let frame = self.frames.get_mut(at)?;
        *uses = uses.saturating_sub(1);
        if *uses == 0 { frame.take() } else { frame.as_ref().map(Mbuf::share) }
    }

    /// Ends the turn: whatever was not taken is given back.
    #[inline]
    pub(super) fn release(&mut self) {
        for frame in self.frames.iter_mut().take(usize::from(self.len)) {
            *frame = None;
        }
        self.len = 0;
    }
}
