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
pub(super) const BATCH: usize = 512;

/// A receiver's claim to a frame: its number in the batch, and in what way it is
/// claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Claim(u16);

impl Claim {
    const SHARED: u16 = 1 << 14;
    const MULTICAST: u16 = 1 << 15;

    /// Nobody else claims the frame.
    #[inline]
    pub(super) const fn sole(index: u16) -> Self {
        Self(index)
    }

    /// One of several, which the batch was told about.
    #[inline]
    pub(super) const fn shared(index: u16) -> Self {
        Self(index | Self::SHARED)
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
        const { assert!(BATCH == 512) }
        (self.0 & 0x1ff) as usize
    }
}

#[derive(Debug)]
pub(super) struct Batch {
    /// As they were received, until they are claimed one by one.
    frames: Burst<BATCH>,
    len: usize,
    /// No frame has more bytes.
    longest: u32,
    heads: [Head; BATCH],
    lens: [u32; BATCH],
    /// Frames that may be claimed, and how many are still there.
    places: [Option<Mbuf>; BATCH],
    left: usize,
    /// Frames with several receivers. Their places above are empty.
    shared: [Option<Copies>; BATCH],
    /// The numbers of those.
    with_copies: Vec<u16>,
}

impl Batch {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            frames: Burst::new(),
            len: 0,
            longest: 0,
            heads: [Head::default(); BATCH],
            lens: [0; BATCH],
            places: [const { None }; BATCH],
            left: 0,
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
    pub(super) fn indices(&self) -> impl Iterator<Item = u16> + use<> {
        0..u16::try_from(self.len).unwrap_or(0)
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
    pub(super) fn frame_len(&self, index: u16) -> u32 {
        self.lens[usize::from(index) % BATCH]
    }

    /// Length of the frame that is claimed.
    #[inline]
    pub(super) fn claimed_len(&self, claim: Claim) -> u32 {
        self.lens[claim.index()]
    }

    /// Where received frames go, to be admitted.
    #[inline]
    pub(super) fn received(&mut self) -> &mut Burst<BATCH> {
        &mut self.frames
    }

    /// Starts loading the heads of what was received.
    #[inline]
    pub(super) fn prefetch(&self) {
        self.fresh().iter().for_each(Mbuf::prefetch);
    }

    /// Received and not yet admitted.
    #[inline]
    fn fresh(&self) -> &[Mbuf] {
        self.frames.as_slice().get(self.len..).unwrap_or_default()
    }

    /// Takes in what was received, drops frames that are illegal on a port with
    /// this limit, and counts all of them as received.
    #[inline]
    pub(super) fn admit(&mut self, max_frame: u32, cell: &Cell) {
        let Self { frames, heads, lens, .. } = self;
        let fresh = frames.as_slice().get(self.len..).unwrap_or_default();
        // Counted here: in memory each frame would wait for the count of the one before.
        let (mut bytes, mut legal, mut longest) = (0, 0, self.longest);
        let places = heads.iter_mut().zip(lens).skip(self.len);
        for (frame, (place, place_len)) in fresh.iter().zip(places) {
            let Some((head, len)) = legal_head(frame, max_frame) else { break };
            *place = head;
            *place_len = len;
            longest = longest.max(len);
            bytes += u64::from(len);
            legal += 1;
        }
        self.longest = longest;
        cell.rx_packets.add(legal as u64);
        cell.rx_bytes.add(bytes);
        self.len += legal;
        if self.len < self.frames.len() {
            self.admit_each(max_frame, cell, Some);
        }
    }

    /// The same for frames some of which are illegal or have a VLAN tag. All are
    /// shown to `divert`, which may keep them.
    #[cold]
    pub(super) fn admit_each(
        &mut self,
        max_frame: u32,
        cell: &Cell,
        mut divert: impl FnMut(Mbuf) -> Option<Mbuf>,
    ) {
        let Self { frames, heads, lens, longest, .. } = self;
        let mut at = self.len;
        frames.retain(at, |frame| {
            let len = frame.len();
            cell.rx_packets.add(1);
            cell.rx_bytes.add(u64::from(len));
            let Some((head, len)) = legal_head(&frame, max_frame) else {
                refuse(&frame, cell);
                return None;
            };
            let frame = divert(frame)?;
            heads[at % BATCH] = head;
            lens[at % BATCH] = len;
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
        self.heads[self.len % BATCH] = head;
        self.lens[self.len % BATCH] = len;
        self.longest = self.longest.max(len);
        if self.frames.push(frame).is_none() {
            self.len += 1;
        }
    }

    /// Makes it possible to claim frames one by one.
    pub(super) fn spread(&mut self) {
        for (frame, place) in self.frames.drain().zip(&mut self.places) {
            // Places are empty between batches.
            *place = Some(frame);
        }
        self.left = self.len;
    }

    /// A further handle to the frame, which nobody has claimed yet.
    pub(super) fn twin(&self, index: u16) -> Option<Mbuf> {
        self.places[usize::from(index) % BATCH].as_ref().map(Mbuf::share)
    }

    /// Gives a frame back that nobody claims.
    #[inline]
    pub(super) fn discard(&mut self, index: u16) {
        if self.places[usize::from(index) % BATCH].take().is_some() {
            self.left -= 1;
        }
    }

    /// Makes `receivers` claims to one frame possible. Returns the claim that
    /// each of them has, which for a single one is that of its only receiver.
    #[inline]
    pub(super) fn share(&mut self, index: u16, receivers: usize) -> Claim {
        if receivers == 1 {
            return Claim::sole(index);
        }
        let at = usize::from(index) % BATCH;
        if receivers == 0 {
            self.discard(index);
        } else if let Some(frame) = self.places[at].take() {
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
        let frame = self.places[claim.index()].take();
        self.left -= usize::from(frame.is_some());
        frame
    }

    /// No frame of the batch has more bytes.
    #[inline]
    pub(super) fn longest(&self) -> u32 {
        self.longest
    }

    /// Hands over all frames in order, in bursts, with their bytes and the length
    /// of the longest frame; none has been claimed.
    #[inline]
    pub(super) fn drain_bursts(
        &mut self,
        burst: &mut Burst,
        mut take: impl FnMut(&mut Burst, u64, u32),
    ) {
        let mut frames = self.frames.drain();
        for lens in self.lens.get(..self.len).unwrap_or_default().chunks(BURST) {
            burst.append(frames.by_ref().take(lens.len()));
            take(burst, lens.iter().map(|&len| u64::from(len)).sum(), self.longest);
        }
    }

    /// Hands over all frames in order, with their lengths; none has been claimed.
    #[inline]
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Mbuf, u32)> {
        self.frames.drain().zip(self.lens.iter().copied())
    }

    /// The frame for one who copies its bytes.
    #[inline]
    pub(super) fn borrow(&self, claim: Claim) -> Option<&Mbuf> {
        if claim.is_shared() {
            return self.shared[claim.index()].as_ref().map(Copies::frame);
        }
        self.places[claim.index()].as_ref()
    }

    /// Ends the turn: whatever was not taken is given back.
    #[inline]
    pub(super) fn release(&mut self) {
        self.frames.clear();
        if self.left > 0 {
            Mbuf::free_all(self.places.get_mut(..self.len).unwrap_or_default());
            self.left = 0;
        }
        for index in self.with_copies.drain(..) {
            self.shared[usize::from(index) % BATCH] = None;
        }
        self.len = 0;
        self.longest = 0;
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
