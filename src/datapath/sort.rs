//! Groups the deliveries of a batch by output: a counting sort of small
//! indices. Frames themselves do not move. Stable, so the order of frames
//! between any two ports is kept.

use macvlan::fib::Output;

/// Deliveries sorted at once. A batch with more is served in several rounds.
pub(super) const DELIVERIES: usize = 2048;

/// Set in a frame's index for a delivery that counts as `multicast` (ST-03).
pub(super) const MULTICAST: u16 = 1 << 15;

/// Values an [`Output`] can have.
const OUTPUTS: usize = 1 << 16;

#[derive(Clone, Copy, Debug)]
struct Delivery {
    output: Output,
    frame: u16,
}

#[derive(Debug)]
pub(super) struct Sorter {
    deliveries: Vec<Delivery>,
    /// By output; all zero between rounds.
    counts: Box<[u16]>,
    /// Outputs with a count, in order of first appearance.
    touched: Vec<Output>,
    sorted: Box<[u16]>,
}

impl Sorter {
    pub(super) fn new() -> Self {
        Self {
            deliveries: Vec::with_capacity(DELIVERIES),
            counts: vec![0; OUTPUTS].into(),
            touched: Vec::with_capacity(DELIVERIES),
            sorted: vec![0; DELIVERIES].into(),
        }
    }

    /// Deliveries that can be added before the next [`Sorter::groups`].
    #[inline]
    pub(super) fn room(&self) -> usize {
        DELIVERIES - self.deliveries.len()
    }

    /// Adds a delivery of batch frame `frame`, which may be marked as
    /// [`MULTICAST`]. Needs room.
    #[inline]
    pub(super) fn add(&mut self, output: Output, frame: u16) {
        let Some(count) = self.counts.get_mut(output.index()) else { return };
        if *count == 0 {
            self.touched.push(output);
        }
        *count += 1;
        self.deliveries.push(Delivery { output, frame });
    }

    /// Calls `take` for each output with the frames it gets, in the order they
    /// were added, and forgets them.
    #[inline]
    pub(super) fn groups(&mut self, mut take: impl FnMut(Output, &[u16])) {
        // Counts become start positions, and after the placement end positions.
        let mut start = 0_u16;
        for output in &self.touched {
            if let Some(count) = self.counts.get_mut(output.index()) {
                start += std::mem::replace(count, start);
            }
        }
        for delivery in self.deliveries.drain(..) {
            let Some(position) = self.counts.get_mut(delivery.output.index()) else { continue };
            if let Some(place) = self.sorted.get_mut(usize::from(*position)) {
                *place = delivery.frame;
            }
            *position += 1;
        }
        let mut from = 0;
        for output in self.touched.drain(..) {
            let Some(end) = self.counts.get_mut(output.index()) else { continue };
            let to = usize::from(std::mem::take(end));
            take(output, self.sorted.get(from..to).unwrap_or_default());
            from = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every delivery arrives once, grouped, in order; also in later rounds.
        #[test]
        fn groups_are_complete_and_stable(rounds in prop::collection::vec(
            prop::collection::vec((0_u16..40, 0_u16..256), 0..DELIVERIES), 1..4)) {
            let mut sorter = Sorter::new();
            for round in rounds {
                for &(slot, frame) in &round {
                    prop_assert!(sorter.room() > 0);
                    sorter.add(Output::link(slot), frame);
                }
                let mut seen = Vec::new();
                sorter.groups(|output, frames| seen.push((output, frames.to_vec())));
                for (output, frames) in &seen {
                    let expected: Vec<u16> = round
                        .iter()
                        .filter(|(slot, _)| Output::link(*slot) == *output)
                        .map(|&(_, frame)| frame)
                        .collect();
                    prop_assert_eq!(frames, &expected);
                }
                prop_assert_eq!(seen.iter().map(|(_, f)| f.len()).sum::<usize>(), round.len());
            }
        }
    }
}
