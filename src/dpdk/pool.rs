//! The buffer pool all ports take frames from.
//!
//! Owned through an `Arc` by every port that receives into it; freed by the
//! last. Frames must be back by then, which shutdown checks with [`Pool::in_use`].

use std::ffi::CString;
use std::ptr::NonNull;

use dpdk_sys as sys;

use super::error::DpdkError;
use super::mbuf::Mbuf;

/// A pool of equal buffers.
#[derive(Debug)]
pub struct Pool {
    raw: NonNull<sys::rte_mempool>,
    room: u16,
}

// SAFETY: a mempool created with default flags takes and gives buffers on any
// thread; its counters may be read at any time.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Buffers each worker may keep for itself.
    pub const CACHE: u32 = 512;

    /// Bytes one buffer takes, headers included; `room` as in [`Pool::new`].
    #[must_use]
    pub const fn bytes_per_buffer(room: u16) -> u64 {
        // mempool object header, struct rte_mbuf, headroom and room.
        64 + 128 + sys::RTE_PKTMBUF_HEADROOM as u64 + room as u64
    }

    /// A pool of `count` buffers that each hold a frame of up to `room` bytes.
    ///
    /// # Errors
    /// The failed call; ENOMEM if EAL's memory does not suffice.
    pub fn new(name: &str, count: u32, room: u16) -> Result<Self, DpdkError> {
        let name = CString::new(name).unwrap_or_default();
        let headroom = u16::try_from(sys::RTE_PKTMBUF_HEADROOM).unwrap_or(u16::MAX);
        // SAFETY: EAL runs (its value is the caller's way here); the name is
        // NUL-terminated and copied.
        let raw = unsafe {
            let total = room.saturating_add(headroom);
            sys::mv_pool_create(name.as_ptr(), count, Self::CACHE, total)
        };
        let raw = NonNull::new(raw).ok_or_else(|| DpdkError::new("rte_pktmbuf_pool_create", -1))?;
        Ok(Self { raw, room })
    }

    /// The longest frame that fits one buffer, in bytes.
    #[must_use]
    pub fn room(&self) -> u16 {
        self.room
    }

    /// Buffers that are not in the pool or in a worker's cache of it. Exact
    /// only while nothing moves.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool is alive.
        unsafe { sys::rte_mempool_in_use_count(self.raw.as_ptr()) }
    }

    /// Buffers in the pool and its caches.
    #[must_use]
    pub fn available(&self) -> u32 {
        // SAFETY: the pool is alive.
        unsafe { sys::rte_mempool_avail_count(self.raw.as_ptr()) }
    }

    /// A new frame with these bytes; `None` if the pool is empty or they do not fit.
    #[must_use]
    pub fn frame(&self, bytes: &[u8]) -> Option<Mbuf> {
        let len = u16::try_from(bytes.len()).ok()?;
        // SAFETY: the pool is alive and `bytes` is `len` readable bytes.
        let raw = unsafe { sys::mv_mbuf_from(self.raw.as_ptr(), bytes.as_ptr().cast(), len) };
        // SAFETY: a fresh buffer with one reference, which the handle takes.
        NonNull::new(raw).map(|raw| unsafe { Mbuf::from_raw(raw) })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rte_mempool {
        self.raw.as_ptr()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: ports hold an Arc of the pool, so none uses it any more.
        // Frames still out would dangle: then the memory is left to the exit.
        unsafe {
            if sys::rte_mempool_in_use_count(self.raw.as_ptr()) == 0 {
                sys::rte_mempool_free(self.raw.as_ptr());
            }
        }
    }
}
