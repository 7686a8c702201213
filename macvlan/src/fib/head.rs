//! A frame's Ethernet header as two words.
//!
//! Made by whoever receives a frame of at least 14 bytes, read by
//! classification. Never looks at the payload or follows VLAN tags.

/// The first 14 bytes of a frame: all that classification sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Bytes 0 to 7: destination and the first two bytes of the source.
    first: u64,
    /// Bytes 6 to 13: source and EtherType.
    second: u64,
}

/// The low 48 bits: an address.
const ADDRESS: u64 = (1 << 48) - 1;

impl Head {
    /// Reads the header.
    #[inline]
    #[must_use]
    pub const fn read(bytes: &[u8; 14]) -> Self {
        // Two loads that overlap: put together byte by byte it would be twenty.
        match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(second)) => {
                Self { first: u64::from_le_bytes(*first), second: u64::from_le_bytes(*second) }
            }
            _ => Self { first: 0, second: 0 },
        }
    }

    /// Destination address, as [`crate::mac::MacAddr::key`].
    #[inline]
    #[must_use]
    pub const fn dst(self) -> u64 {
        self.first & ADDRESS
    }

    /// Source address, as [`crate::mac::MacAddr::key`].
    #[inline]
    #[must_use]
    pub const fn src(self) -> u64 {
        self.second & ADDRESS
    }

    /// A word with the destination address in its low 48 bits.
    #[inline]
    pub(super) const fn dst_word(self) -> u64 {
        self.first
    }

    /// A word with the source address in its low 48 bits.
    #[inline]
    pub(super) const fn src_word(self) -> u64 {
        self.second
    }

    /// EtherType, or the length of an 802.3 frame, in host order.
    #[inline]
    #[must_use]
    pub const fn ether_type(self) -> u16 {
        let [.., high, low] = self.second.to_le_bytes();
        u16::from_be_bytes([high, low])
    }

    /// The destination is one of the sixteen link-local groups
    /// 01:80:c2:00:00:00 to 0f, which bridges do not forward (IEEE 802.1D).
    #[inline]
    #[must_use]
    pub const fn is_link_local(self) -> bool {
        self.first & (ADDRESS & !(0x0f << 40)) == 0x00c2_8001
    }

    /// A PAUSE frame, or another one of the MAC control protocol (RXM-14, TX-09).
    #[inline]
    #[must_use]
    pub const fn is_pause(self) -> bool {
        self.ether_type() == 0x8808
    }

    /// The destination is a multicast address or broadcast.
    #[inline]
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.first & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mac::MacAddr;

    #[test]
    fn reads_the_header() {
        let head = Head::read(&[1, 2, 3, 4, 5, 6, 0x12, 8, 9, 10, 11, 12, 0x88, 0xb5]);
        assert_eq!(MacAddr::from_key(head.dst()).to_string(), "01:02:03:04:05:06");
        assert_eq!(MacAddr::from_key(head.src()).to_string(), "12:08:09:0a:0b:0c");
        assert_eq!(head.ether_type(), 0x88b5);
        assert!(head.is_group());
        assert!(!Head::read(&[2; 14]).is_group());
        let link_local = |last| {
            Head::read(&[1, 0x80, 0xc2, 0, 0, last, 2, 0, 0, 0, 0, 1, 0x88, 0x08]).is_link_local()
        };
        assert!(link_local(0) && link_local(0x0e) && link_local(0x0f) && !link_local(0x10));
        assert!(!head.is_link_local() && !head.is_pause());
    }
}
