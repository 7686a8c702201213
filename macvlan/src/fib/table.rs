//! The MAC table: open-addressed in cache lines, immutable.
//!
//! An entry is eight bytes: 48 bits of address, 16 of value. A bucket is one
//! 64-byte line of eight entries, compared at once. Built once from the whole
//! set, so there are no tombstones and no atomics, and the builder may look for
//! a multiplier under which lookups end early: in the first line for up to
//! [`ONE_LINE`] addresses, in the second above that.

use crate::mac::MacAddr;
use crate::simd;

/// The value of an address that is not in the table.
pub const MISS: u16 = u16::MAX;

/// Up to so many addresses, every lookup ends in its first line.
pub const ONE_LINE: usize = 4096;

const SLOTS: usize = 8;

/// No address's entry: broadcast is never looked up as one, and the value that
/// a lookup would find here is [`MISS`].
const EMPTY: u64 = u64::MAX;

/// Multipliers tried for one size before the table is doubled.
const TRIES: u32 = 32;

/// Doublings before the builder accepts longer probes: keys that were chosen
/// to collide must not make it grow without end.
const DOUBLINGS: u32 = 3;

/// One cache line of entries.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Bucket([u64; SLOTS]);

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
    /// Shifts a product down to a bucket number.
    shift: u32,
    /// Lines behind the first that a lookup may have to see.
    spill: usize,
    len: usize,
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
        // At most half full; small tables a quarter, so that lines rarely overflow.
        let slack = if entries.len() <= ONE_LINE { 4 } else { 2 };
        let start = (entries.len() * slack).div_ceil(SLOTS).max(1).next_power_of_two();
        let wanted = usize::from(entries.len() > ONE_LINE);
        let mut best: Option<(usize, Layout)> = None;
        'search: for doubling in 0..=DOUBLINGS {
            for attempt in 0..TRIES {
                let mut layout = Layout::new(start << doubling, attempt);
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
        let Layout { buckets, multiplier, shift } = layout;
        Self { buckets, multiplier, shift, spill, len }
    }

    /// The value of an address, given as [`MacAddr::key`].
    #[must_use]
    pub fn lookup(&self, key: u64) -> Option<u16> {
        let value = self.probe(self.bucket_of(key), key);
        (value != MISS).then_some(value)
    }

    /// The values of a burst of addresses, [`MISS`] for those not there. All
    /// lines are on their way before the first is looked at.
    #[inline]
    pub fn lookup_burst(&self, keys: &[u64], values: &mut [u16]) {
        let mut lines = [0_usize; super::CHUNK];
        for (keys, values) in keys.chunks(super::CHUNK).zip(values.chunks_mut(super::CHUNK)) {
            for (line, &key) in lines.iter_mut().zip(keys) {
                *line = self.bucket_of(key);
                if let Some(bucket) = self.buckets.get(*line) {
                    simd::prefetch(&bucket.0);
                }
            }
            for ((&line, &key), value) in lines.iter().zip(keys).zip(values) {
                *value = self.probe(line, key);
            }
        }
    }

    #[inline]
    fn bucket_of(&self, key: u64) -> usize {
        bucket_of(key, self.multiplier, self.shift)
    }

    #[inline]
    fn probe(&self, first: usize, key: u64) -> u16 {
        let Some(bucket) = self.buckets.get(first) else { return MISS };
        let value = simd::find(&bucket.0, key, MISS);
        // Most misses end here even where some lines overflow.
        if value != MISS || self.spill == 0 || has_room(bucket) {
            return value;
        }
        self.probe_further(first, key)
    }

    #[inline(never)]
    fn probe_further(&self, first: usize, key: u64) -> u16 {
        let following = self.buckets.iter().cycle().skip(first).take(self.spill + 1);
        for bucket in following {
            let value = simd::find(&bucket.0, key, MISS);
            if value != MISS || has_room(bucket) {
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

/// A line fills from its front, so the last slot tells. A line with room was
/// never spilled from: what is not in it is not behind it.
#[inline]
fn has_room(bucket: &Bucket) -> bool {
    bucket.0.last() == Some(&EMPTY)
}

const fn key(entry: u64) -> u64 {
    entry & ((1 << 48) - 1)
}

const fn value(entry: u64) -> u16 {
    let [.., low, high] = entry.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[inline]
fn bucket_of(key: u64, multiplier: u64, shift: u32) -> usize {
    // A shift by 64, for a single bucket, would be undefined: it is 63 and the
    // product's top bit is cleared instead.
    let hash = key.wrapping_mul(multiplier) >> 1;
    usize::try_from(hash >> shift).unwrap_or(0)
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
    shift: u32,
}

impl Layout {
    /// `count` is a power of two.
    fn new(count: usize, attempt: u32) -> Self {
        Self {
            buckets: vec![Bucket([EMPTY; SLOTS]); count].into(),
            multiplier: multiplier(attempt),
            shift: 63 - count.trailing_zeros(),
        }
    }

    /// Places all entries; fits always, since the table is at most half full.
    /// Returns how many lines behind its own the farthest entry lies.
    fn fill(&mut self, entries: &[u64]) -> Result<usize, DuplicateMac> {
        let count = self.buckets.len();
        let mut spill = 0;
        for &entry in entries {
            let home = bucket_of(key(entry), self.multiplier, self.shift);
            for distance in 0..count {
                let Some(bucket) = self.buckets.get_mut((home + distance) & (count - 1)) else {
                    continue;
                };
                // The first free slot, before which any twin would be.
                let slot = bucket.0.iter_mut().find(|s| **s == EMPTY || key(**s) == key(entry));
                let Some(slot) = slot else { continue };
                if *slot != EMPTY {
                    let values = (value(*slot), value(entry));
                    return Err(DuplicateMac { mac: MacAddr::from_key(entry), values });
                }
                *slot = entry;
                spill = spill.max(distance);
                break;
            }
        }
        Ok(spill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses that all belong into the last line of 64 under each of the
    /// first so many multipliers.
    fn colliding(count: usize, multipliers: u32) -> Vec<u64> {
        let shift = Layout::new(64, 0).shift;
        let belongs = |&key: &u64| {
            (0..multipliers).all(|attempt| bucket_of(key, multiplier(attempt), shift) == 63)
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
