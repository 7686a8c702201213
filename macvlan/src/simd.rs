//! What the MAC table needs that safe Rust has no word for: prefetch, and
//! comparing a whole line at once with what the CPU has for it.
//!
//! The only unsafe code of the crate. Called by the table alone, which asks once
//! for the CPU's [`Isa`] and has its loop over a burst compiled for each: a
//! choice per burst, none per address. All of them find the same.
#![allow(unsafe_code)]

/// A line of entries: 48 bits of key and above them 16 of value.
pub(crate) type Line = [u64; 8];

/// A loop over a burst, compiled once for each instruction set. Both it and
/// what it calls must be inlined for that.
pub(crate) trait Kernel {
    /// `find` returns the value beside a key in a line, or 0xffff. The key is the
    /// low 48 bits of a word; at most one entry of a line has it.
    fn run(self, find: impl Fn(&Line, u64) -> u16);
}

/// An instruction set that this CPU has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Isa(Kind);

/// Private, for who has an [`Isa`] may use it.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The fastest.
    pub(crate) fn best() -> Self {
        Self::all().last().unwrap_or(Self(Kind::Plain))
    }

    /// All that the CPU has, the fastest last.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let further = [
            is_x86_feature_detected!("avx2").then_some(Self(Kind::Avx2)),
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq"))
                .then_some(Self(Kind::Avx512)),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let further = [];
        std::iter::once(Self(Kind::Plain)).chain(further.into_iter().flatten())
    }

    /// Runs a loop with the instructions of this set.
    #[inline]
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self.0 {
            Kind::Plain => kernel.run(find),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `all` alone makes this, where the CPU has AVX2.
            Kind::Avx2 => unsafe { x86::run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `all` alone makes this, where the CPU has AVX-512F and DQ.
            Kind::Avx512 => unsafe { x86::run_avx512(kernel) },
        }
    }
}

/// Starts loading a line into the cache.
#[inline]
pub(crate) fn prefetch(line: &Line) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching has no effect but on timing, and the address is valid.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// As [`Kernel::run`] has it, with what every CPU has.
#[inline]
pub(crate) fn find(line: &Line, key: u64) -> u16 {
    // No branch per entry, and none between hit and miss, which are as one to
    // who cannot foretell them: the complement of what matches, gathered.
    let key = key << 16;
    let found = line.iter().fold(0, |found, &entry| {
        let mask = if entry << 16 == key { u64::MAX } else { 0 };
        found | mask & !entry
    });
    let [.., low, high] = (!found).to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256i, _mm_cvtsi128_si64, _mm_or_si128, _mm_unpackhi_epi64, _mm256_andnot_si256,
        _mm256_castsi256_si128, _mm256_cmpeq_epi64, _mm256_extracti128_si256, _mm256_loadu_si256,
        _mm256_or_si256, _mm256_set1_epi64x, _mm256_slli_epi64, _mm512_castsi512_si128,
        _mm512_loadu_si512, _mm512_mask_compress_epi64, _mm512_set1_epi64, _mm512_testn_epi64_mask,
        _mm512_xor_si512,
    };

    use super::{Kernel, Line};

    #[target_feature(enable = "avx2")]
    pub(super) fn run_avx2(kernel: impl Kernel) {
        kernel.run(|line, key| find_avx2(line, key));
    }

    /// DQ multiplies eight keys at once.
    #[target_feature(enable = "avx512f,avx512dq")]
    pub(super) fn run_avx512(kernel: impl Kernel) {
        kernel.run(|line, key| find_avx512(line, key));
    }

    /// As [`super::find`], four entries at a time.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn find_avx2(line: &Line, key: u64) -> u16 {
        let key = _mm256_set1_epi64x((key << 16).cast_signed());
        let complement = |half: &[u64; 4]| {
            let from: *const __m256i = std::ptr::from_ref(half).cast();
            // SAFETY: four words are as many bytes as the load reads.
            let entries = unsafe { _mm256_loadu_si256(from) };
            let matching = _mm256_cmpeq_epi64(_mm256_slli_epi64::<16>(entries), key);
            _mm256_andnot_si256(entries, matching)
        };
        let [a, b, c, d, e, f, g, h] = *line;
        let both = _mm256_or_si256(complement(&[a, b, c, d]), complement(&[e, f, g, h]));
        let two = _mm_or_si128(_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both));
        let one = _mm_or_si128(two, _mm_unpackhi_epi64(two, two));
        value(!_mm_cvtsi128_si64(one))
    }

    /// As [`super::find`], all eight at once: the entry that matches moves to
    /// the front of what would be a miss.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn find_avx512(line: &Line, key: u64) -> u16 {
        // SAFETY: eight words are as many bytes as the load reads.
        let entries = unsafe { _mm512_loadu_si512(std::ptr::from_ref(line).cast()) };
        let differing = _mm512_xor_si512(entries, _mm512_set1_epi64(key.cast_signed()));
        let matching = _mm512_testn_epi64_mask(differing, _mm512_set1_epi64((1 << 48) - 1));
        let front = _mm512_mask_compress_epi64(_mm512_set1_epi64(-1), matching, entries);
        value(_mm_cvtsi128_si64(_mm512_castsi512_si128(front)))
    }

    #[inline]
    fn value(entry: i64) -> u16 {
        let [.., low, high] = entry.to_le_bytes();
        u16::from_le_bytes([low, high])
    }
}
