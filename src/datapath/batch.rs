//! Frames of one turn, where they lie, and what classification sees of them.
//!
//! The seam between ports and the rest of the loop: sources put frames in,
//! outputs take or borrow them by their claims. Here a frame is an mbuf; a
//! guest's descriptor can stand in its place without the classifier or the
//! sorter knowing.

use macvlan::drop::DropReason;
use macvlan::fib::Head;

use super::counters::Cell;
use crate::dpdk::{BURST, Burst, Copies, Mbuf};

/// Frames a batch holds: several bursts of a backlogged lower.
pub(super) const BATCH: usize = 256;

/// A receiver's claim to a frame: its number in the batch, and in what way it is
/// claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Claim(u16);

impl Claim {
    const SHARED: u16 = 1 << 14;
    const MULTICAST: u16 = 1 << 15;

    /// Nobody else claims the frame.
    #[inline]
    pub(super) const fn sole(index: u8) -> Self {
        Self(index as u16)
    }

    /// Sole claims to all frames of a batch with so many.
    #[inline]
    pub(super) fn all(frames: usize) -> &'static [Self] {
        const ALL: [Claim; BATCH] = {
            let mut all = [Claim(0); BATCH];
            let mut index = 0_u8;
            loop {
                all[index as usize] = Claim::sole(index);
                if index == u8::MAX {
                    break all;
                }
                index += 1;
            }
        };
        static CLAIMS: [Claim; BATCH] = ALL;
        CLAIMS.get(..frames).unwrap_or_default()
    }

    /// One of several, which the batch was told about.
    #[inline]
    pub(super) const fn shared(index: u8) -> Self {
        Self(index as u16 | Self::SHARED)
    }

    /// The same as a member of a group, which counts apart (ST-03).
    #[inline]
    pub(super) const fn multicast(self) -> Self {
        Self(self.0 | Self::MULTICAST)
    }

    #[inline]
    pub(super) const fn is_multicast(self) -> bool {
        self.0 & Self::MULTICAST != 0
    }

    const fn is_shared(self) -> bool {
        self.0 & Self::SHARED != 0
    }

    /// A place in the batch.
    #[inline]
    const fn index(self) -> usize {
        const { assert!(BATCH == 256) }
        (self.0 & 0xff) as usize
    }
}

#[derive(Debug)]
pub(super) struct Batch {
    len: usize,
    /// Frames that are still in their places.
    left: usize,
    /// No frame has more bytes.
    longest: u32,
    heads: [Head; BATCH],
    lens: [u32; BATCH],
    frames: [Option<Mbuf>; BATCH],
    /// Frames with several receivers. Their places above are empty.
    shared: [Option<Copies>; BATCH],
    /// The numbers of those.
    with_copies: Vec<u8>,
}

impl Batch {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            len: 0,
            left: 0,
            longest: 0,
            heads: [Head::default(); BATCH],
            lens: [0; BATCH],
            frames: [const { None }; BATCH],
            shared: [const { None }; BATCH],
            with_copies: Vec::with_capacity(BATCH),
        })
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of each frame.
    #[inline]
    pub(super) fn indices(&self) -> impl Iterator<Item = u8> + use<> {
        (0..u16::try_from(self.len).unwrap_or(0)).map(|index| index.to_le_bytes()[0])
    }

    /// Room for another whole burst.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.len + BURST <= BATCH
    }

    #[inline]
    pub(super) fn heads(&self) -> &[Head] {
        self.heads.get(..self.len).unwrap_or_default()
    }

    #[inline]
    pub(super) fn frame_len(&self, index: u8) -> u32 {
        self.lens[usize::from(index)]
    }

    /// Length of the frame that is claimed.
    #[inline]
    pub(super) fn claimed_len(&self, claim: Claim) -> u32 {
        self.lens[claim.index()]
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
        // Counted here: in memory each frame would wait for the count of the one before.
        let (mut bytes, mut at, mut longest) = (0, self.len, self.longest);
        for frame in burst.drain() {
            let len = frame.len();
            bytes += u64::from(len);
            longest = longest.max(len);
            match frame.head() {
                Some(head) if frame.segments() == 1 && len <= max_frame => {
                    let head = Head::read(head);
                    if let Some(frame) = divert(frame) {
                        self.put(at, head, len, frame);
                        at += 1;
                    }
                }
                _ => refuse(&frame, cell),
            }
        }
        self.left += at - self.len;
        self.len = at;
        self.longest = longest;
        cell.rx_bytes.add(bytes);
    }

    /// Takes one frame in that has been admitted before; drops it if it is too
    /// long for where it enters now. The caller has made sure of room.
    pub(super) fn readmit(&mut self, frame: Mbuf, max_frame: u32, cell: &Cell) {
        let len = frame.len();
        match frame.head().map(Head::read) {
            Some(head) if len <= max_frame => {
                self.put(self.len, head, len, frame);
                self.len += 1;
                self.left += 1;
                self.longest = self.longest.max(len);
            }
            _ => refuse(&frame, cell),
        }
    }

    /// The caller has made sure of room for a whole burst.
    #[inline]
    fn put(&mut self, at: usize, head: Head, len: u32, frame: Mbuf) {
        let at = at % BATCH;
        self.heads[at] = head;
        self.lens[at] = len;
        let before = self.frames[at].replace(frame);
        // The place was empty: no need to look.
        std::mem::forget(before);
    }

    /// A further handle to the frame, which nobody has claimed yet.
    pub(super) fn twin(&self, index: u8) -> Option<Mbuf> {
        self.frames[usize::from(index)].as_ref().map(Mbuf::share)
    }

    /// Gives a frame back that nobody claims.
    #[inline]
    pub(super) fn discard(&mut self, index: u8) {
        if self.frames[usize::from(index)].take().is_some() {
            self.left -= 1;
        }
    }

    /// Makes `receivers` claims to one frame possible. Returns the claim that
    /// each of them has, which for a single one is that of its only receiver.
    #[inline]
    pub(super) fn share(&mut self, index: u8, receivers: usize) -> Claim {
        if receivers == 1 {
            return Claim::sole(index);
        }
        let at = usize::from(index);
        if receivers == 0 {
            self.discard(index);
        } else if let Some(frame) = self.frames[at].take() {
            self.left -= 1;
            self.shared[at] = Some(Copies::of(frame, receivers));
            self.with_copies.push(index);
        }
        Claim::shared(index)
    }

    /// The frame for one who keeps it. `None`: it is not there, which claims
    /// that were made here exclude.
    #[inline]
    pub(super) fn take(&mut self, claim: Claim) -> Option<Mbuf> {
        if claim.is_shared() {
            return self.shared[claim.index()].as_mut().map(Copies::take);
        }
        let frame = self.frames[claim.index()].take();
        self.left -= usize::from(frame.is_some());
        frame
    }

    /// All frames of a list of sole claims, if no frame of the batch is longer
    /// than `most`: moves them behind those in `burst`, which has room for them,
    /// and returns their bytes. What most lists are, in one loop.
    #[inline]
    pub(super) fn take_all(
        &mut self,
        claims: &[Claim],
        most: u32,
        burst: &mut Burst,
    ) -> Option<u64> {
        let kinds = claims.iter().fold(0, |kinds, claim| kinds | claim.0);
        if kinds >= Claim::SHARED || self.longest > most {
            return None;
        }
        let Self { frames, lens, .. } = self;
        let mut bytes = 0;
        let taken = burst.append(claims.iter().filter_map(|claim| {
            bytes += u64::from(lens[claim.index()]);
            frames[claim.index()].take()
        }));
        self.left -= taken;
        Some(bytes)
    }

    /// The frame for one who copies its bytes.
    #[inline]
    pub(super) fn borrow(&self, claim: Claim) -> Option<&Mbuf> {
        if claim.is_shared() {
            return self.shared[claim.index()].as_ref().map(Copies::frame);
        }
        self.frames[claim.index()].as_ref()
    }

    /// Ends the turn: whatever was not taken is given back.
    #[inline]
    pub(super) fn release(&mut self) {
        if self.left > 0 {
            Mbuf::free_all(self.frames.get_mut(..self.len).unwrap_or_default());
            self.left = 0;
        }
        for index in self.with_copies.drain(..) {
            self.shared[usize::from(index)] = None;
        }
        self.len = 0;
        self.longest = 0;
    }
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
