//! Groups the claims of a batch by output: a counting sort of small numbers.
//! Frames themselves do not move. Stable, so the order of frames between any
//! two ports is kept.

use macvlan::fib::Output;

use super::batch::Claim;

/// Claims sorted at once. A batch with more is served in several rounds.
pub(super) const CLAIMS: usize = 2048;

/// Values an [`Output`] can have.
const OUTPUTS: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Sorter {
    len: usize,
    claims: Box<[(Output, Claim); CLAIMS]>,
    /// By output; all zero between rounds.
    counts: Box<[u16; OUTPUTS]>,
    /// Outputs with a count, in order of first appearance, and how many.
    touched: (usize, Box<[Output; CLAIMS]>),
    sorted: Box<[Claim; CLAIMS]>,
}

impl Sorter {
    pub(super) fn new() -> Self {
        Self {
            len: 0,
            claims: Box::new([(Output::WIRE, Claim::default()); CLAIMS]),
            counts: Box::new([0; OUTPUTS]),
            touched: (0, Box::new([Output::WIRE; CLAIMS])),
            sorted: Box::new([Claim::default(); CLAIMS]),
        }
    }

    /// Claims that can be added before the next [`Sorter::groups`].
    #[inline]
    pub(super) fn room(&self) -> usize {
        CLAIMS - self.len
    }

    /// Adds a claim. Needs room.
    #[inline]
    pub(super) fn add(&mut self, output: Output, claim: Claim) {
        self.add_all(std::iter::once((output, claim)));
    }

    /// Adds claims as [`Sorter::add`] does, as many as there is room for.
    #[inline]
    pub(super) fn add_all(&mut self, claims: impl Iterator<Item = (Output, Claim)>) {
        let (touched, outputs) = &mut self.touched;
        let mut distinct = *touched;
        let places = self.claims.get_mut(self.len..).unwrap_or_default();
        let mut added = 0;
        for (place, (output, claim)) in places.iter_mut().zip(claims) {
            let count = &mut self.counts[output.index()];
            // Written in any case, and kept if it is new: a branch would cost more.
            outputs[distinct % CLAIMS] = output;
            distinct += usize::from(*count == 0);
            *count += 1;
            *place = (output, claim);
            added += 1;
        }
        *touched = distinct;
        self.len += added;
    }

    /// Calls `take` for each output with the claims it has, in the order they
    /// were added, and forgets them.
    #[inline]
    pub(super) fn groups(&mut self, mut take: impl FnMut(Output, &[Claim])) {
        let (touched, outputs) = &mut self.touched;
        let outputs = outputs.get(..std::mem::take(touched)).unwrap_or_default();
        // Counts become start positions, and after the placement end positions.
        let mut start = 0_u16;
        for output in outputs {
            let count = &mut self.counts[output.index()];
            start += std::mem::replace(count, start);
        }
        let claims = self.claims.get(..std::mem::take(&mut self.len)).unwrap_or_default();
        for (output, claim) in claims {
            let position = &mut self.counts[output.index()];
            self.sorted[usize::from(*position) % CLAIMS] = *claim;
            *position += 1;
        }
        let mut from = 0;
        for &output in outputs {
            let to = usize::from(std::mem::take(&mut self.counts[output.index()]));
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
        /// Every claim arrives once, grouped, in order; also in later rounds.
        #[test]
        fn groups_are_complete_and_stable(rounds in prop::collection::vec(
            prop::collection::vec((0_u16..40, 0_u8..=255), 0..=CLAIMS), 1..4)) {
            let mut sorter = Sorter::new();
            for round in rounds {
                for &(slot, frame) in &round {
                    prop_assert!(sorter.room() > 0);
                    sorter.add(Output::link(slot), Claim::sole(frame));
                }
                let mut seen = Vec::new();
                sorter.groups(|output, claims| seen.push((output, claims.to_vec())));
                for (output, claims) in &seen {
                    let expected: Vec<Claim> = round
                        .iter()
                        .filter(|(slot, _)| Output::link(*slot) == *output)
                        .map(|&(_, frame)| Claim::sole(frame))
                        .collect();
                    prop_assert_eq!(claims, &expected);
                }
                prop_assert_eq!(seen.iter().map(|(_, f)| f.len()).sum::<usize>(), round.len());
            }
        }
    }
}
