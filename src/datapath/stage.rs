//! Frames on their way out, each in the burst of its output: for batches in
//! which every frame goes to one place, as in most.
//!
//! One pass moves each frame from the batch to behind the last one of its
//! output, so that it is touched once and sent from where it lies. A burst that
//! is full gets a further one. Stable, so the order of frames between any two
//! ports is kept. Batches with copies go through `sort.rs` instead.

use macvlan::fib::Output;

use super::batch::BATCH;
use crate::dpdk::{Burst, Mbuf};

/// Values that an [`Output`] can have.
const OUTPUTS: usize = 1 << 16;

/// Bursts there are: one per frame of a batch if all go elsewhere, and room to
/// find a place without a look at the number.
const BURSTS: usize = 2 * BATCH;

/// No output has this number.
const NOBODY: Output = Output::link(u16::MAX - 2);

const _: () = assert!(NOBODY.index() >= Output::MAX_LINKS + 2);

/// Frames of one output.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Staged {
    /// Of all frames in the burst.
    pub bytes: u64,
    /// Where they go.
    pub output: Output,
    /// The frames.
    pub burst: Burst,
}

impl Staged {
    const fn new() -> Self {
        Self { bytes: 0, output: NOBODY, burst: Burst::new() }
    }
}

/// Bursts by output. Public for its bench; the forwarder has one.
#[derive(Debug)]
pub struct Stage {
    /// By output: the number of its last burst, if that is still its own.
    last: Box<[u16; OUTPUTS]>,
    bursts: Box<[Staged; BURSTS]>,
    used: u16,
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
        let bursts: Vec<Staged> = std::iter::repeat_with(Staged::new).take(BURSTS).collect();
        let bursts = bursts.into_boxed_slice().try_into();
        Self {
            last: Box::new([0; OUTPUTS]),
            bursts: bursts.unwrap_or_else(|_| Box::new([const { Staged::new() }; BURSTS])),
            used: 0,
        }
    }

    /// Adds a frame of so many bytes; up to 512 before the next
    /// [`Stage::each`].
    #[inline]
    pub fn add(&mut self, output: Output, frame: Mbuf, len: u32) {
        let last = self.last[output.index()];
        let staged = &mut self.bursts[usize::from(last) % BURSTS];
        if staged.output == output {
            let Some(frame) = staged.burst.push(frame) else {
                staged.bytes += u64::from(len);
                return;
            };
            return self.add_further(output, frame, len);
        }
        self.add_further(output, frame, len);
    }

    /// To a burst that was nobody's.
    #[cold]
    fn add_further(&mut self, output: Output, frame: Mbuf, len: u32) {
        let Self { last, bursts, used } = self;
        last[output.index()] = *used;
        let staged = &mut bursts[usize::from(*used) % BURSTS];
        *used += 1;
        staged.output = output;
        staged.bytes = u64::from(len);
        drop(staged.burst.push(frame));
    }

    /// Calls `take` for each burst with frames, in order. What it leaves is freed.
    #[inline]
    pub fn each(&mut self, mut take: impl FnMut(&mut Staged)) {
        let used = usize::from(self.used);
        let mut empty = 0;
        for staged in self.bursts.iter_mut().take(used) {
            if staged.burst.is_empty() {
                empty += 1;
                continue;
            }
            take(staged);
            staged.burst.clear();
            staged.bytes = 0;
        }
        // The next batch is for the same outputs, most likely.
        if empty > used / 2 || used > BATCH {
            let all = self.bursts.iter_mut().take(used);
            all.for_each(|staged| staged.output = NOBODY);
            self.used = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Burst numbers are found by the number of the output alone, which may be
    /// what an earlier batch left there.
    #[test]
    fn nobody_is_no_output() {
        let stage = Stage::new();
        assert!(stage.bursts.iter().all(|staged| staged.output == NOBODY));
        assert_eq!(stage.last.len(), OUTPUTS);
        assert_eq!(std::mem::offset_of!(Staged, burst), 16);
    }
}
