//! One frame and a burst of them: who owns which buffer.
//!
//! [`Mbuf`] is an owned handle of eight bytes; [`Burst`] is up to [`BURST`] of
//! them in place. Both give their buffers back when dropped, and a transmit
//! takes out of the burst exactly what the device took. [`Copies`] are handles to
//! one frame for several receivers. A frame that exists is written into by its only
//! owner alone (`vlan.rs`): shared handles stay legal.

use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use dpdk_sys as sys;

use super::pool::Pool;

/// Frames moved by one receive or transmit call.
pub const BURST: usize = 64;

/// An owned frame.
#[repr(transparent)]
pub struct Mbuf(NonNull<sys::rte_mbuf>);

// SAFETY: a buffer belongs to whoever holds a reference; counts are atomic in
// the builds we accept, and pools take buffers back from any thread.
unsafe impl Send for Mbuf {}

impl Mbuf {
    /// # Safety
    /// `raw` is a valid buffer, and one of its references passes to the handle.
    pub(super) unsafe fn from_raw(raw: NonNull<sys::rte_mbuf>) -> Self {
        Self(raw)
    }

    /// A field of the buffer's header.
    ///
    /// # Safety
    /// `offset` is one of the `MV_MBUF_*` offsets and `T` that field's type.
    #[inline]
    unsafe fn field<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: the header outlives the handle; offsets come from the headers
        // this program was compiled against.
        unsafe { self.0.as_ptr().cast::<u8>().add(offset).cast::<T>().read() }
    }

    /// Length of the whole frame in bytes, without FCS.
    #[inline]
    #[must_use]
    pub fn len(&self) -> u32 {
        // SAFETY: pkt_len is a u32.
        unsafe { self.field(sys::MV_MBUF_PKT_LEN) }
    }

    /// A frame of no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Buffers the frame is spread over.
    #[inline]
    #[must_use]
    pub fn segments(&self) -> u16 {
        // SAFETY: nb_segs is a u16.
        unsafe { self.field(sys::MV_MBUF_NB_SEGS) }
    }

    /// Where the first segment's bytes begin.
    #[inline]
    pub(super) fn data(&self) -> *const u8 {
        // SAFETY: buf_addr and data_off have these types, and data_off stays
        // within the buffer.
        unsafe {
            let base: *const u8 = self.field(sys::MV_MBUF_BUF_ADDR);
            base.add(usize::from(self.field::<u16>(sys::MV_MBUF_DATA_OFF)))
        }
    }

    /// The bytes of the first segment; the whole frame if there is one segment.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: data_len bytes are readable at data(); a frame is written to
        // only through a handle that is borrowed alone and has no twin.
        unsafe { std::slice::from_raw_parts(self.data(), usize::from(self.first_len())) }
    }

    #[inline]
    fn first_len(&self) -> u16 {
        // SAFETY: data_len is a u16.
        unsafe { self.field(sys::MV_MBUF_DATA_LEN) }
    }

    /// The Ethernet header, if the first segment has all of it.
    #[inline]
    #[must_use]
    pub fn head(&self) -> Option<&[u8; 14]> {
        // SAFETY: as in `bytes`, for the first of them.
        (self.first_len() >= 14).then(|| unsafe { &*self.data().cast() })
    }

    /// A further handle to the same frame.
    #[inline]
    #[must_use]
    pub fn share(&self) -> Self {
        // SAFETY: the buffer is alive; the new reference passes to the handle.
        unsafe { sys::mv_mbuf_share(self.0.as_ptr(), 1) };
        Self(self.0)
    }

    /// A frame of its own with the same bytes and all headroom; `None` if the
    /// pool is empty or the frame has no bytes.
    #[must_use]
    pub fn copy(&self, pool: &Pool) -> Option<Self> {
        // SAFETY: frame and pool are alive; the frame is read up to its end.
        let raw = unsafe { sys::rte_pktmbuf_copy(self.0.as_ptr(), pool.as_ptr(), 0, u32::MAX) };
        NonNull::new(raw).map(Self)
    }

    /// Somebody else may be reading the same bytes: they must not change.
    #[inline]
    #[must_use]
    pub fn is_shared(&self) -> bool {
        // SAFETY: the buffer is alive.
        let shared = unsafe { sys::mv_mbuf_is_shared(self.0.as_ptr()) } != 0;
        // What the last other owner read comes before what is written now.
        fence(Ordering::Acquire);
        shared
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rte_mbuf {
        self.0.as_ptr()
    }

    /// Starts loading the frame's first line into the cache.
    #[inline]
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch of any address is harmless.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.data().cast());
        }
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference this handle owns.
        unsafe { sys::mv_mbuf_free(self.0.as_ptr()) }
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mbuf({} bytes)", self.len())
    }
}

/// Handles to one frame for several receivers, counted at once.
#[derive(Debug)]
pub struct Copies {
    /// The last receiver's, until it takes it.
    frame: Option<Mbuf>,
    /// References beside that one which nobody has taken yet.
    spare: u16,
}

impl Copies {
    /// Handles for `receivers`, 0 to 32,768.
    #[inline]
    #[must_use]
    pub fn of(frame: Mbuf, receivers: usize) -> Self {
        let Some(spare) = receivers.checked_sub(1) else { return Self { frame: None, spare: 0 } };
        let spare = u16::try_from(spare.min(i16::MAX as usize)).unwrap_or(0);
        if spare > 0 {
            // SAFETY: the buffer is alive; the references stay here until taken.
            unsafe { sys::mv_mbuf_share(frame.as_ptr(), spare) };
        }
        Self { frame: Some(frame), spare }
    }
}

impl Iterator for Copies {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        if self.spare == 0 {
            return self.frame.take();
        }
        self.spare -= 1;
        self.frame.as_ref().map(|frame| Mbuf(frame.0))
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        if let Some(frame) = self.frame.as_ref().filter(|_| self.spare > 0) {
            // SAFETY: these references were made here and are nobody else's; the
            // last one is left, and goes with the handle.
            unsafe { sys::mv_mbuf_unshare(frame.as_ptr(), self.spare) };
        }
    }
}

/// Up to [`BURST`] owned frames, stored in place.
#[repr(C)]
pub struct Burst {
    // Before the frames: the line that says how many there are has the first.
    len: usize,
    frames: [MaybeUninit<Mbuf>; BURST],
}

impl Burst {
    /// An empty burst.
    #[must_use]
    pub const fn new() -> Self {
        Self { len: 0, frames: [const { MaybeUninit::uninit() }; BURST] }
    }

    /// Frames held, 0 to [`BURST`].
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Holds nothing.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Holds [`BURST`] frames.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len == BURST
    }

    /// Adds a frame; gives it back if the burst is full.
    #[inline]
    pub fn push(&mut self, frame: Mbuf) -> Option<Mbuf> {
        let Some(place) = self.frames.get_mut(self.len) else {
            return Some(frame);
        };
        place.write(frame);
        self.len += 1;
        None
    }

    /// Adds frames until the burst is full; returns how many. One that does not
    /// fit is freed.
    #[inline]
    pub fn append(&mut self, frames: impl Iterator<Item = Mbuf>) -> usize {
        let before = self.len;
        let places = self.frames.get_mut(before..).unwrap_or_default();
        let mut added = 0;
        for (frame, place) in frames.zip(places) {
            place.write(frame);
            added += 1;
        }
        self.len = before + added;
        added
    }

    /// The frames held.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[Mbuf] {
        // SAFETY: the first `len` places are initialised.
        unsafe { std::slice::from_raw_parts(self.frames.as_ptr().cast(), self.len) }
    }

    /// Takes all frames out, in order.
    #[inline]
    pub fn drain(&mut self) -> impl Iterator<Item = Mbuf> + '_ {
        let len = std::mem::take(&mut self.len);
        // A frame that the caller does not take is freed with the iterator.
        Drain(self.frames.get(..len).unwrap_or_default().iter())
    }

    /// Shows the frames from number `first` on to `keep`, in order, and leaves out
    /// those that it does.
    pub fn retain(&mut self, first: usize, mut keep: impl FnMut(Mbuf) -> Option<Mbuf>) {
        let len = self.len;
        self.len = first.min(len);
        for place in self.len..len {
            let Some(frame) = self.frames.get(place) else { return };
            // SAFETY: initialised, since below the former length; read once, and
            // whatever is kept is written to this place or one before it.
            if let Some(frame) = keep(unsafe { frame.assume_init_read() }) {
                drop(self.push(frame));
            }
        }
    }

    /// Gives all frames back to their pools. Returns how many there were.
    #[inline]
    pub fn clear(&mut self) -> usize {
        let len = std::mem::take(&mut self.len);
        if len > 0 {
            let count = u32::try_from(len).unwrap_or(0);
            // SAFETY: the first `len` handles are valid and each passes its
            // reference; Mbuf is transparent over the pointer.
            unsafe { sys::rte_pktmbuf_free_bulk(self.frames.as_mut_ptr().cast(), count) };
        }
        len
    }

    /// Lets `receive` write handles behind those held: it gets the place and
    /// the room, and returns how many it wrote.
    #[inline]
    pub(super) fn fill(
        &mut self,
        receive: impl FnOnce(*mut *mut sys::rte_mbuf, u16) -> u16,
    ) -> usize {
        let room = u16::try_from(BURST - self.len).unwrap_or(0);
        if room == 0 {
            // librte_vhost takes 0 for more than that when it has an announcement.
            return 0;
        }
        // SAFETY: `len` <= BURST, so the place is inside or one past the array.
        let place = unsafe { self.frames.as_mut_ptr().add(self.len) };
        let received = usize::from(receive(place.cast(), room).min(room));
        self.len += received;
        received
    }

    /// Lets `transmit` take handles from the front: it gets them and their
    /// number, and returns how many the device now owns.
    #[inline]
    pub(super) fn drain_front(
        &mut self,
        transmit: impl FnOnce(*mut *mut sys::rte_mbuf, u16) -> u16,
    ) -> usize {
        let len = std::mem::take(&mut self.len);
        let count = u16::try_from(len).unwrap_or(0);
        let sent = usize::from(transmit(self.frames.as_mut_ptr().cast(), count)).min(len);
        if sent < len {
            // SAFETY: both ranges lie in the array; handles are plain pointers
            // and the front ones have been given away.
            unsafe {
                let base = self.frames.as_mut_ptr();
                std::ptr::copy(base.add(sent), base, len - sent);
            }
        }
        self.len = len - sent;
        sent
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// Initialised places, which the burst no longer counts as its own.
struct Drain<'a>(std::slice::Iter<'a, MaybeUninit<Mbuf>>);

impl Iterator for Drain<'_> {
    type Item = Mbuf;

    #[inline]
    fn next(&mut self) -> Option<Mbuf> {
        // SAFETY: places below the former length are initialised, and each is
        // read once since the iterator passes it once.
        self.0.next().map(|place| unsafe { place.assume_init_read() })
    }
}

impl Drop for Drain<'_> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

// A handle that is forgotten leaks a buffer, so nothing here forgets one.
const _: () = assert!(size_of::<Option<Mbuf>>() == 8 && size_of::<ManuallyDrop<Mbuf>>() == 8);
