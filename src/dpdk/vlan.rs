//! The outer VLAN tag of a frame: read, taken off, put on.
//!
//! The one place where bytes of a frame that exists are changed, and only
//! through its sole owner's handle: a shared frame is copied first or left
//! alone. Called by the data path for lowers that are VLANs of a device.

use super::mbuf::Mbuf;
use super::pool::Pool;

use dpdk_sys as sys;

/// EtherTypes that announce a tag: 802.1Q and 802.1ad. The kernel knows no others.
const TPIDS: [u16; 2] = [0x8100, 0x88a8];

/// Bytes of the two addresses, behind which a tag sits.
const ADDRESSES: usize = 12;

/// Bytes of a tag.
const TAG: usize = 4;
const TAG_LEN: u16 = 4;

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag {
    /// EtherType of the tag: 0x8100 or 0x88a8.
    pub tpid: u16,
    /// Priority (3 bits), drop eligibility (1 bit) and VLAN id (12 bits).
    pub tci: u16,
}

impl VlanTag {
    /// The VLAN id, 0 to 4095; 0 is a priority tag without a VLAN.
    #[must_use]
    pub fn id(self) -> u16 {
        self.tci & 0xfff
    }

    fn bytes(self) -> [u8; TAG] {
        let [[a, b], [c, d]] = [self.tpid.to_be_bytes(), self.tci.to_be_bytes()];
        [a, b, c, d]
    }
}

impl Mbuf {
    /// The outer tag, if there is one and an EtherType follows it.
    #[inline]
    #[must_use]
    pub fn vlan_tag(&self) -> Option<VlanTag> {
        let head: &[u8; ADDRESSES + TAG + 2] = self.bytes().first_chunk()?;
        let [.., a, b, c, d, _, _] = *head;
        let tag = VlanTag { tpid: u16::from_be_bytes([a, b]), tci: u16::from_be_bytes([c, d]) };
        TPIDS.contains(&tag.tpid).then_some(tag)
    }

    /// Takes the outer tag off in place. `None`, and a frame as it was, if there
    /// is no tag, the frame is shared, or it is spread over several buffers.
    #[inline]
    pub fn vlan_pop(&mut self) -> Option<VlanTag> {
        let tag = self.vlan_tag()?;
        if self.segments() != 1 || self.is_shared() {
            return None;
        }
        // SAFETY: `vlan_tag` has seen that the only buffer holds all of 18
        // bytes; this handle is the frame's only one and borrowed alone. The
        // ranges overlap, which `copy` allows.
        unsafe {
            let start = self.data().cast_mut();
            std::ptr::copy(start, start.add(TAG), ADDRESSES);
            sys::mv_mbuf_trim_front(self.as_ptr(), TAG_LEN);
        }
        Some(tag)
    }

    /// Puts a tag on: in place if the frame is not shared and has 4 bytes of
    /// headroom, else on a copy from `pool`.
    ///
    /// # Errors
    /// The frame, unchanged: no buffer is left, or it has no Ethernet header.
    #[inline]
    pub fn vlan_push(self, pool: &Pool, tpid: u16, tci: u16) -> Result<Self, Self> {
        if self.head().is_none() {
            return Err(self);
        }
        let tag = VlanTag { tpid, tci };
        let mut frame = self;
        if !frame.is_shared() && frame.push_in_place(tag) {
            return Ok(frame);
        }
        let Some(mut copy) = frame.copy(pool) else { return Err(frame) };
        if copy.push_in_place(tag) { Ok(copy) } else { Err(frame) }
    }

    /// The frame is not shared and its first buffer has the whole header.
    /// False, and nothing done, without headroom.
    #[inline]
    fn push_in_place(&mut self, tag: VlanTag) -> bool {
        // SAFETY: the frame is not shared, as the caller has seen, and this
        // handle borrowed alone. On success `start` is 4 bytes before the
        // former first byte: the addresses move into them and what they leave,
        // and all of it lies in the first buffer.
        unsafe {
            let start: *mut u8 = sys::mv_mbuf_prepend(self.as_ptr(), TAG_LEN).cast();
            if start.is_null() {
                return false;
            }
            std::ptr::copy(start.add(TAG), start, ADDRESSES);
            std::ptr::copy_nonoverlapping(tag.bytes().as_ptr(), start.add(ADDRESSES), TAG);
        }
        true
    }
}
