//! Groups the claims of a batch by output. Frames themselves do not move.
//! Stable, so the order of frames between any two ports is kept.
//!
//! One pass: each claim goes behind the last one of its output, in a list that
//! is as long as a burst. Whose list is full gets a further one.

use macvlan::fib::Output;

use super::batch::Claim;
use crate::dpdk::BURST;

/// Lists there are. The first is nobody's, so that place 0 means none.
const LISTS: u16 = 1024;

/// Claims that a list holds: two cache lines.
const LIST: u16 = 64;

/// Values that an [`Output`] can have, and places in all lists together.
const OUTPUTS: usize = 1 << 16;

const _: () = {
    assert!(LISTS as usize * LIST as usize == OUTPUTS);
    assert!(LIST as usize == BURST && size_of::<Claim>() * BURST == 128);
};

#[derive(Debug)]
pub(super) struct Sorter {
    /// By output: the place behind its last claim, 0 if it has none; also behind
    /// the very last place, but then its list is full, which is the same. All
    /// zero between rounds.
    next: Box<[u16; OUTPUTS]>,
    claims: Box<[Claim; OUTPUTS]>,
    /// Whose list it is.
    owners: Box<[Output; LISTS as usize]>,
    /// Lists in use, nobody's included.
    used: u16,
}

impl Sorter {
    pub(super) fn new() -> Self {
        Self {
            next: Box::new([0; OUTPUTS]),
            claims: Box::new([Claim::default(); OUTPUTS]),
            owners: Box::new([Output::WIRE; LISTS as usize]),
            used: 1,
        }
    }

    /// Claims that can be added at least before the next [`Sorter::groups`].
    #[inline]
    pub(super) fn room(&self) -> usize {
        usize::from(LISTS - self.used)
    }

    /// Adds a claim. Needs room.
    #[inline]
    pub(super) fn add(&mut self, output: Output, claim: Claim) {
        let Self { next, claims, owners, used } = self;
        let next = &mut next[output.index()];
        if (*next).is_multiple_of(LIST) {
            let list = *used % LISTS;
            owners[usize::from(list)] = output;
            *next = list * LIST;
            *used += 1;
        }
        claims[usize::from(*next)] = claim;
        *next = next.wrapping_add(1);
    }

    /// Calls `take` for each list, in order of appearance, with the output and
    /// the claims it has, in the order they were added; and forgets them.
    #[inline]
    pub(super) fn groups(&mut self, mut take: impl FnMut(Output, &[Claim])) {
        let Self { next, claims, owners, used } = self;
        let used = usize::from(std::mem::replace(used, 1));
        let owners = owners.get(1..used).unwrap_or_default();
        let (lists, _) = claims.as_chunks::<BURST>();
        for ((list, claims), &output) in (1..).zip(lists.iter().skip(1)).zip(owners) {
            // Only the last list of an output may have room left.
            let last = next[output.index()].wrapping_sub(1);
            let count = if last / LIST == list { last % LIST + 1 } else { LIST };
            take(output, claims.get(..usize::from(count)).unwrap_or_default());
        }
        owners.iter().for_each(|output| next[output.index()] = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The last list is filled to its last place, behind which is none.
    #[test]
    fn all_places_are_used() {
        let mut sorter = Sorter::new();
        for round in 0..2 {
            let all = (LISTS - 1) * LIST;
            for place in 0..all {
                sorter.add(Output::link(7), Claim::sole(place % 512));
            }
            assert_eq!(sorter.room(), 0, "round {round}");
            let mut seen = Vec::new();
            sorter.groups(|output, claims| {
                assert_eq!(output, Output::link(7));
                seen.extend_from_slice(claims);
            });
            let expected: Vec<Claim> = (0..all).map(|place| Claim::sole(place % 512)).collect();
            assert_eq!(seen, expected);
        }
    }

    proptest! {
        /// Every claim arrives once, grouped, in order; also in later rounds.
        #[test]
        fn groups_are_complete_and_stable(rounds in prop::collection::vec(
            prop::collection::vec((0_u16..40, 0_u16..512), 0..usize::from(LISTS)), 1..4)) {
            let mut sorter = Sorter::new();
            for round in rounds {
                for &(slot, frame) in &round {
                    prop_assert!(sorter.room() > 0);
                    sorter.add(Output::link(slot), Claim::sole(frame));
                }
                let mut seen: Vec<(Output, Vec<Claim>)> = Vec::new();
                sorter.groups(|output, claims| {
                    assert!((1..=BURST).contains(&claims.len()));
                    match seen.iter_mut().find(|(known, _)| *known == output) {
                        Some((_, before)) => before.extend(claims),
                        None => seen.push((output, claims.to_vec())),
                    }
                });
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
