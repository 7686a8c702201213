//! Addresses, and the order in which frames ask for them. Reproducible.

use std::collections::HashSet;

/// A small generator of numbers (xorshift64).
pub struct Numbers(u64);

impl Numbers {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 0 to `end` - 1.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// 0 to 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// So many different unicast addresses. Another seed gives other ones.
pub fn addresses(count: usize, seed: u64) -> Vec<u64> {
    let mut numbers = Numbers::new(seed);
    let mut seen = HashSet::new();
    let unicast = std::iter::repeat_with(|| (numbers.next() >> 16) & 0xffff_ffff_fffe);
    unicast.filter(|&key| seen.insert(key)).take(count).collect()
}

/// What frames ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Each address as often as any other.
    Hit,
    /// None that is there.
    Miss,
    /// The nth address 1/n as often as the first.
    Zipf,
    /// Hits and misses, in no order.
    Mixed,
}

impl Traffic {
    pub const ALL: [Self; 4] = [Self::Hit, Self::Miss, Self::Zipf, Self::Mixed];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Zipf => "zipf",
            Self::Mixed => "mixed",
        }
    }

    /// Keys, long enough that a table comes to be in the cache as a whole, or
    /// does not because it cannot.
    pub fn keys(self, present: &[u64]) -> Vec<u64> {
        let count = present.len().max(1 << 14);
        let mut numbers = Numbers::new(99);
        let absent = addresses(count, 77_777);
        let any = |numbers: &mut Numbers| present[numbers.below(present.len())];
        let one = |absent: u64| match self {
            Self::Hit => any(&mut numbers),
            Self::Miss => absent,
            Self::Mixed if numbers.next() & (1 << 40) == 0 => absent,
            Self::Mixed => any(&mut numbers),
            Self::Zipf => {
                // n to the power of a uniform number: its density falls as 1/x.
                let rank = (present.len() as f64).powf(numbers.part());
                present[(rank as usize).clamp(1, present.len()) - 1]
            }
        };
        absent.into_iter().map(one).collect()
    }
}
