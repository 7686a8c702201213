//! Frames on their way out, each in a burst of its output.
//!
//! One pass moves each frame from the batch to behind the last one of its
//! output, so that it is touched once and sent from where it lies; several
//! batches of a turn may go in before all are sent. A burst that is full gets a
//! further one. Stable, so the order of frames between any two ports is kept.

use macvlan::fib::Output;

use crate::dpdk::{BURST, Burst, Mbuf};

/// Values that an [`Output`] can have.
const OUTPUTS: usize = 1 << 16;

/// Bursts there are.
const BURSTS: usize = 1024;

/// No output has this number.
const NOBODY: Output = Output::link(u16::MAX - 2);

const _: () = assert!(NOBODY.index() >= Output::MAX_LINKS + 2);

/// Frames of one output.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Staged {
    /// Of all frames in the burst.
    pub bytes: u64,
    /// Those that go to a member of a group (ST-03), by their place.
    pub multicast: u64,
    /// Where they go.
    pub output: Output,
    /// The frames.
    pub burst: Burst,
}

const _: () = assert!(BURST <= u64::BITS as usize);

impl Staged {
    const fn new() -> Self {
        Self { bytes: 0, multicast: 0, output: NOBODY, burst: Burst::new() }
    }
}

/// Bursts by output. Public for its bench; the forwarder has one.
#[derive(Debug)]
pub struct Stage {
    /// By output: the number of its last burst, if that is still its own.
    last: Box<[u16; OUTPUTS]>,
    bursts: Box<[Staged]>,
    used: usize,
    /// No frame has more bytes.
    longest: u32,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// No frames.
    #[must_use]
    pub fn new() -> Self {
        Self {
            last: Box::new([0; OUTPUTS]),
            bursts: std::iter::repeat_with(Staged::new).take(BURSTS).collect(),
            used: 0,
            longest: 0,
        }
    }

    /// Frames that can be added at least before the next [`Stage::each`].
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        BURSTS - self.used
    }

    /// Frames of no more bytes than that are about to be added.
    #[inline]
    pub(super) fn expect(&mut self, longest: u32) {
        self.longest = self.longest.max(longest);
    }

    /// No frame has more bytes.
    pub(super) fn longest(&self) -> u32 {
        self.longest
    }

    /// Adds a frame of so many bytes. Without room it is freed.
    #[inline]
    pub fn add(&mut self, output: Output, frame: Mbuf, len: u32) {
        let last = self.last[output.index()];
        if let Some(staged) = self.bursts.get_mut(usize::from(last))
            && staged.output == output
            && !staged.burst.is_full()
        {
            staged.bytes += u64::from(len);
            drop(staged.burst.push(frame));
        } else if let Some(staged) = self.open(output) {
            staged.bytes = u64::from(len);
            drop(staged.burst.push(frame));
        }
    }

    /// The same for a copy for a member of a group.
    pub(super) fn add_copy(&mut self, output: Output, frame: Mbuf, len: u32, multicast: bool) {
        self.add(output, frame, len);
        let last = self.last[output.index()];
        if multicast && let Some(staged) = self.bursts.get_mut(usize::from(last)) {
            staged.multicast |= 1 << (staged.burst.len().saturating_sub(1) % BURST);
        }
    }

    /// Adds all frames of a burst, which have so many bytes together.
    #[inline]
    pub(super) fn add_all(&mut self, output: Output, frames: &mut Burst, bytes: u64) {
        let last = usize::from(self.last[output.index()]);
        let fits =
            |staged: &Staged| staged.output == output && staged.burst.len() + frames.len() <= BURST;
        let staged = match self.bursts.get(last).is_some_and(fits) {
            true => self.bursts.get_mut(last),
            false => self.open(output),
        };
        if let Some(staged) = staged {
            staged.bytes += bytes;
            staged.burst.append(frames.drain());
        }
    }

    /// A further burst for an output.
    #[cold]
    fn open(&mut self, output: Output) -> Option<&mut Staged> {
        let Self { last, bursts, used, .. } = self;
        let staged = bursts.get_mut(*used)?;
        last[output.index()] = u16::try_from(*used).unwrap_or(u16::MAX);
        *used += 1;
        staged.output = output;
        Some(staged)
    }

    /// Calls `take` for each burst with frames, in order but that of the wire last,
    /// and with the length that none exceeds. Frames that it leaves are freed.
    #[inline]
    pub fn each(&mut self, mut take: impl FnMut(&mut Staged, u32)) {
        let longest = std::mem::take(&mut self.longest);
        let (mut empty, mut has_wire) = (0, false);
        // A device may write before the frame, or a VLAN's tag into it, if all
        // other receivers of a group frame have had their copies.
        for wire in [false, true] {
            for staged in self.bursts.iter_mut().take(self.used) {
                if staged.burst.is_empty() {
                    empty += usize::from(!wire);
                    continue;
                }
                if (staged.output == Output::WIRE) != wire {
                    has_wire = true;
                    continue;
                }
                take(staged, longest);
                staged.burst.clear();
                (staged.bytes, staged.multicast) = (0, 0);
            }
            if !has_wire {
                break;
            }
        }
        // The next turn is for the same outputs, most likely.
        if empty > self.used / 2 || self.used > BURSTS / 2 {
            self.bursts.iter_mut().take(self.used).for_each(|staged| staged.output = NOBODY);
            self.used = 0;
        }
    }
}
