//! The two things the MAC table needs that safe Rust has no word for: prefetch,
//! and comparing a whole bucket at once.
//!
//! The only unsafe code of the crate. Called by the table alone.
#![allow(unsafe_code)]

/// Starts loading a bucket into the cache.
#[inline]
pub(crate) fn prefetch(bucket: &[u64; 8]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: prefetching has no effect but on timing, and the address is valid.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(bucket).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bucket;
}

/// The value beside `key` (48 bits) in the bucket, or `miss`.
#[inline]
pub(crate) fn find(bucket: &[u64; 8], key: u64, miss: u16) -> u16 {
    // No branch per entry: an entry that matches has 48 low bits equal, and at
    // most one does. Shifting the value out leaves zero for it alone.
    let mut value = miss;
    for &entry in bucket {
        let matches = (entry ^ key) << 16 == 0;
        let [.., low, high] = entry.to_le_bytes();
        value = if matches { u16::from_le_bytes([low, high]) } else { value };
    }
    value
}
