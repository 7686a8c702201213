//! The MAC table: open-addressed in cache lines, immutable.
//!
//! An entry is eight bytes: 48 bits of address, 16 of value. A bucket is one
//! 64-byte line of eight entries, compared at once. Built once from the whole
//! set, so there are no tombstones and no atomics, and the builder may look for
//! a multiplier under which lookups end early: in the first line for up to
//! [`ONE_LINE`] addresses; above that, for all but a few in a hundred.
//!
//! A line that is full may have spilled into the next. It says so by the order
//! of its entries, which means nothing else: see [`has_spilled`].

use crate::mac::MacAddr;
use crate::simd::{self, Isa, Kernel, Line};

/// The value of an address that is not in the table.
pub const MISS: u16 = u16::MAX;

/// Up to so many addresses, every lookup ends in its first line.
pub const ONE_LINE: usize = 1 << 14;

/// Up to so many addresses, at most a quarter of the slots is taken.
const ROOMY: usize = 1 << 16;

const SLOTS: usize = 8;

/// A table of up to so many lines (16 KiB) is in the first-level cache or next
/// to it, from where the CPU's own looking ahead fetches as well as a prefetch.
const NEAR: usize = 256;

/// No address's entry: broadcast is never looked up as one, and the value that
/// a lookup would find here is [`MISS`]. Above all other entries.
const EMPTY: u64 = u64::MAX;

/// Lines behind the first that a lookup in a larger table may have to see.
const SPILL: usize = 7;

/// Multipliers tried for one size before the table is doubled.
const TRIES: u32 = 32;

/// Doublings before the builder accepts longer probes: keys that were chosen
/// to collide must not make it grow without end.
const DOUBLINGS: u32 = 3;

/// One cache line of entries.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Bucket(Line);

const _: () = assert!(size_of::<Bucket>() == 64 && align_of::<Bucket>() == 64);

/// The same address twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{mac} appears twice")]
pub struct DuplicateMac {
    /// The address.
    pub mac: MacAddr,
    /// The values it was given.
    pub values: (u16, u16),
}

/// Addresses and their 16-bit values.
#[derive(Debug)]
pub struct MacTable {
    buckets: Box<[Bucket]>,
    multiplier: u64,
    /// Lines behind the first that a lookup may have to see.
    spill: usize,
    len: usize,
    isa: Isa,
}

impl Default for MacTable {
    fn default() -> Self {
        Self::from(Layout::new(1, 0), 0, 0)
    }
}

impl MacTable {
    /// A table of these addresses; values are 0 to 0xfffe. Broadcast is not to
    /// be one of them: its key is that of an empty slot.
    ///
    /// # Errors
    /// An address appears twice.
    pub fn build(entries: impl IntoIterator<Item = (MacAddr, u16)>) -> Result<Self, DuplicateMac> {
        let entries: Vec<u64> =
            entries.into_iter().map(|(mac, value)| mac.key() | u64::from(value) << 48).collect();
        // At most a quarter full, so that lines rarely spill; beyond any cache
        // half full, since more lines would cost more than they save.
        let slots = if entries.len() <= ROOMY { 4 * entries.len() } else { 2 * entries.len() };
        let start = slots.div_ceil(SLOTS);
        let wanted = if entries.len() <= ONE_LINE { 0 } else { SPILL };
        let mut best: Option<(usize, Layout)> = None;
        'search: for doubling in 0..=DOUBLINGS {
            for attempt in 0..TRIES {
                let mut layout = Layout::new(start.max(1) << doubling, attempt);
                let spill = layout.fill(&entries)?;
                if best.as_ref().is_none_or(|(least, _)| spill < *least) {
                    best = Some((spill, layout));
                }
                if spill <= wanted {
                    break 'search;
                }
            }
        }
        Ok(best
            .map_or_else(Self::default, |(spill, layout)| Self::from(layout, spill, entries.len())))
    }

    fn from(layout: Layout, spill: usize, len: usize) -> Self {
        let Layout { buckets, multiplier } = layout;
        Self { buckets, multiplier, spill, len, isa: Isa::best() }
    }

    /// The value of an address, given as [`MacAddr::key`].
    #[must_use]
    pub fn lookup(&self, key: u64) -> Option<u16> {
        let first = bucket_of(key, self.multiplier, self.buckets.len());
        let value = self.probe(first, key);
        (value != MISS).then_some(value)
    }

    /// The values of a burst of addresses, [`MISS`] for those not there. All
    /// lines are on their way before the first is looked at.
    #[inline]
    pub fn lookup_burst(&self, keys: &[u64], values: &mut [u16]) {
        self.lookup_each(keys, |&key| key, values, |value| value);
    }

    /// The same for whatever has a key in the low 48 bits of a word, with what
    /// comes of each value: one loop instead of three.
    #[inline]
    pub(super) fn lookup_each<T, V>(
        &self,
        all: &[T],
        word: impl Fn(&T) -> u64,
        found: &mut [V],
        verdict: impl Fn(u16) -> V,
    ) {
        if self.spill == 0 {
            self.isa.run(Burst::<_, _, _, _, false> { table: self, all, word, found, verdict });
        } else {
            self.isa.run(Burst::<_, _, _, _, true> { table: self, all, word, found, verdict });
        }
    }

    /// Line by line from `first` on.
    #[cold]
    fn probe(&self, first: usize, key: u64) -> u16 {
        for bucket in self.buckets.iter().cycle().skip(first).take(self.spill + 1) {
            let value = simd::find(&bucket.0, key);
            if value != MISS || !has_spilled(bucket) {
                return value;
            }
        }
        MISS
    }

    /// Addresses in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// There are no addresses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lines a lookup sees at most.
    #[must_use]
    pub fn max_probe(&self) -> usize {
        self.spill + 1
    }

    /// Cache lines the table takes.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.buckets.len()
    }
}

/// A lookup in a table.
struct Burst<'a, T, W, V, F, const SPILLS: bool> {
    table: &'a MacTable,
    all: &'a [T],
    word: W,
    found: &'a mut [V],
    verdict: F,
}

/// Numbers of lines. They are written eight at a time: a stack that happens to
/// lie askew would make two writes of each.
#[repr(align(64))]
struct Lines([usize; super::CHUNK]);

impl<T, W, V, F, const SPILLS: bool> Kernel for Burst<'_, T, W, V, F, SPILLS>
where
    W: Fn(&T) -> u64,
    F: Fn(u16) -> V,
{
    #[inline(always)]
    fn run(self, find: impl Fn(&Line, u64) -> u16) {
        let Self { table, all, word, found, verdict } = self;
        let (buckets, multiplier) = (&*table.buckets, table.multiplier);
        let mut lines = Lines([0; super::CHUNK]);
        for (all, found) in all.chunks(super::CHUNK).zip(found.chunks_mut(super::CHUNK)) {
            let Some(lines) = lines.0.get_mut(..all.len()) else { return };
            for (line, one) in lines.iter_mut().zip(all) {
                *line = bucket_of(key(word(one)), multiplier, buckets.len());
            }
            if buckets.len() > NEAR {
                for &line in &*lines {
                    if let Some(bucket) = buckets.get(line) {
                        simd::prefetch(&bucket.0);
                    }
                }
            }
            for ((&line, one), found) in lines.iter().zip(all).zip(found) {
                let Some(bucket) = buckets.get(line) else { continue };
                let mut value = find(&bucket.0, word(one));
                // A sum, so that it is one branch, hardly ever taken: whether it
                // is a miss, as such, cannot be foretold.
                if SPILLS && u32::from(value) + u32::from(has_spilled(bucket)) > u32::from(MISS) {
                    value = table.probe(line, word(one));
                }
                *found = verdict(value);
            }
        }
    }
}

/// What is not in the line may be in the next. Said by its first entry being
/// above its last, which is [`EMPTY`] in a line that has room.
#[inline]
fn has_spilled(bucket: &Bucket) -> bool {
    let [first, .., last] = bucket.0;
    first > last
}

/// Makes a full line say so, or say that it is not so.
fn mark(bucket: &mut Bucket, spilled: bool) {
    if has_spilled(bucket) != spilled {
        bucket.0.swap(0, SLOTS - 1);
    }
}

const fn key(entry: u64) -> u64 {
    entry & ((1 << 48) - 1)
}

const fn value(entry: u64) -> u16 {
    let [.., low, high] = entry.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// The upper half of a product, brought down to the number of lines, which is
/// far below 2^32, by another one: it need not be a power of two.
#[inline]
const fn bucket_of(key: u64, multiplier: u64, lines: usize) -> usize {
    let hash = key.wrapping_mul(multiplier) >> 32;
    ((hash * lines as u64) >> 32) as usize
}

/// The `attempt`th multiplier: odd, and unlike its neighbours (splitmix64).
const fn multiplier(attempt: u32) -> u64 {
    let mut z = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(attempt as u64 + 1);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ z >> 31) | 1
}

/// A table under construction.
struct Layout {
    buckets: Box<[Bucket]>,
    multiplier: u64,
}

impl Layout {
    fn new(count: usize, attempt: u32) -> Self {
        Self {
            buckets: vec![Bucket([EMPTY; SLOTS]); count].into(),
            multiplier: multiplier(attempt),
        }
    }

    /// Places all entries; fits always, since the table is at most half full.
    /// Returns how many lines behind its own the farthest entry lies.
    fn fill(&mut self, entries: &[u64]) -> Result<usize, DuplicateMac> {
        let count = self.buckets.len();
        let mut spill = 0;
        for &entry in entries {
            let home = bucket_of(key(entry), self.multiplier, count);
            for distance in 0..count {
                let Some(bucket) = self.buckets.get_mut((home + distance) % count) else {
                    continue;
                };
                // The first free slot, before which any twin would be.
                let slot = bucket.0.iter_mut().find(|s| **s == EMPTY || key(**s) == key(entry));
                let Some(slot) = slot else {
                    mark(bucket, true);
                    continue;
                };
                if *slot != EMPTY {
                    let values = (value(*slot), value(entry));
                    return Err(DuplicateMac { mac: MacAddr::from_key(entry), values });
                }
                *slot = entry;
                // It may just have become full.
                mark(bucket, false);
                spill = spill.max(distance);
                break;
            }
        }
        Ok(spill)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Addresses that all belong into the last line of 64 under each of the
    /// first so many multipliers.
    fn colliding(count: usize, multipliers: u32) -> Vec<u64> {
        let belongs = |&key: &u64| {
            (0..multipliers).all(|attempt| bucket_of(key, multiplier(attempt), 64) == 63)
        };
        (1..).map(|n: u64| n << 1).filter(belongs).take(count).collect()
    }

    #[test]
    fn the_builder_looks_for_a_multiplier_that_tells_them_apart() {
        let keys = colliding(40, 2);
        let entries = keys.iter().zip(0..).map(|(&key, value)| (MacAddr::from_key(key), value));
        let table = MacTable::build(entries).unwrap();
        assert_eq!(table.max_probe(), 1);
        assert!((0..2).all(|attempt| table.multiplier != multiplier(attempt)));
        for (&key, value) in keys.iter().zip(0..) {
            assert_eq!(table.lookup(key), Some(value));
        }
    }

    proptest! {
        /// With lines that are half full, and with hardly a free slot.
        #[test]
        fn every_instruction_set_finds_what_a_map_has(
            entries in prop::collection::hash_map(0..1_u64 << 48, 0..MISS, 1..300),
            others in prop::collection::vec(0..1_u64 << 48, 0..100),
            burst in 1..200_usize,
        ) {
            let list: Vec<u64> =
                entries.iter().map(|(&key, &value)| key | u64::from(value) << 48).collect();
            let keys: Vec<u64> = entries.keys().copied().chain(others).collect();
            let expected: Vec<u16> =
                keys.iter().map(|key| entries.get(key).copied().unwrap_or(MISS)).collect();
            for slots in [list.len(), 2 * list.len()] {
                let mut layout = Layout::new(slots.div_ceil(SLOTS), 0);
                let spill = layout.fill(&list).unwrap();
                let mut table = MacTable::from(layout, spill, list.len());
                for isa in Isa::all() {
                    table.isa = isa;
                    let mut values = vec![0x5555; keys.len()];
                    for (keys, values) in keys.chunks(burst).zip(values.chunks_mut(burst)) {
                        table.lookup_burst(keys, values);
                    }
                    prop_assert_eq!(&values, &expected, "{:?}, {} lines", isa, table.lines());
                }
            }
        }
    }

    #[test]
    fn lookups_are_right_even_where_no_multiplier_helps() {
        // Three lines for one: they run over the end of the table.
        let keys = colliding(21, 1);
        let mut layout = Layout::new(64, 0);
        let entries: Vec<u64> =
            keys.iter().zip(0..).map(|(&key, value): (_, u64)| key | value << 48).collect();
        let spill = layout.fill(&entries).unwrap();
        assert_eq!(spill, 2);
        let table = MacTable::from(layout, spill, entries.len());
        let mut values = [0; 21];
        table.lookup_burst(&keys, &mut values);
        assert!(values.iter().copied().eq(0..21));
        let absent = colliding(22, 1).pop().unwrap();
        assert_eq!(table.lookup(absent), None);
        assert_eq!(table.max_probe(), 3);
    }
}
