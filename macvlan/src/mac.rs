//! Ethernet addresses: parsing, printing, and the 48-bit key of the MAC table.
//!
//! Owns the one spelling of a MAC address in the project (iproute2's: lower
//! case, colons). Never resolves or invents addresses beyond the deterministic
//! derivation of [`MacAddr::derive`].

use std::fmt;
use std::str::FromStr;

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct MacAddr([u8; 6]);

/// Why a text is not a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address: write six hex bytes with colons, such as 02:00:00:00:00:01")]
pub struct MacParseError;

impl MacAddr {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// `00:00:00:00:00:00`.
    pub const ZERO: Self = Self([0; 6]);

    /// The address with these bytes, in the order they travel on the wire.
    #[must_use]
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The bytes in wire order.
    #[must_use]
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// The address as the MAC table's key: bits 0 to 47, first wire byte lowest.
    #[must_use]
    pub const fn key(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    /// The inverse of [`MacAddr::key`]; bits 48 to 63 are ignored.
    #[must_use]
    pub const fn from_key(key: u64) -> Self {
        let [a, b, c, d, e, f, _, _] = key.to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    /// Group bit set: multicast or broadcast.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Valid for a link: neither a group address nor all zero (ER-02).
    #[must_use]
    pub const fn is_valid_unicast(self) -> bool {
        !self.is_multicast() && self.key() != 0
    }

    /// A locally administered unicast address of these bits, of which 46 count
    /// (LC-13).
    #[must_use]
    pub const fn local(bits: u64) -> Self {
        let [a, b, c, d, e, f] = Self::from_key(bits).0;
        Self([a & 0xfc | 0x02, b, c, d, e, f])
    }

    /// A locally administered unicast address that depends on the parts alone,
    /// so that it survives a restart. `attempt` gives further candidates when
    /// an earlier one is taken.
    #[must_use]
    pub fn derive(parts: &[&str], attempt: u32) -> Self {
        // FNV-1a with a separator, then a finaliser: FNV alone leaves the low
        // bytes of similar names similar.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut feed = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for part in parts {
            part.bytes().for_each(&mut feed);
            feed(0);
        }
        attempt.to_le_bytes().into_iter().for_each(feed);
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        Self::local(hash)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = MacParseError;

    fn from_str(text: &str) -> Result<Self, MacParseError> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or(MacParseError)?;
            // from_str_radix alone would take "+f".
            if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(MacParseError);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacParseError)?;
        }
        if parts.next().is_some() {
            return Err(MacParseError);
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_parses() {
        let mac: MacAddr = "02:aB:00:0c:d:ff".parse().unwrap();
        assert_eq!(mac.to_string(), "02:ab:00:0c:0d:ff");
        assert_eq!(MacAddr::from_key(mac.key()), mac);
    }

    #[test]
    fn refuses_malformed_text() {
        for text in [
            "",
            "02",
            "02:00:00:00:00",
            "02:00:00:00:00:00:00",
            "02:00:00:00:00:+1",
            "02-00-00-00-00-01",
            "0g:00:00:00:00:00",
            "002:0:0:0:0:0",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(MacParseError), "{text:?}");
        }
    }

    #[test]
    fn local_addresses_are_those_of_one_device() {
        for bits in [0, u64::MAX, 0x0102_0304_0506_0708] {
            let address = MacAddr::local(bits);
            assert!(address.is_valid_unicast() && address.bytes()[0] & 3 == 2, "{address}");
        }
        assert_eq!(MacAddr::local(0x0605_0403_0201).to_string(), "02:02:03:04:05:06");
    }

    #[test]
    fn derived_addresses_are_stable_local_and_distinct() {
        let a = MacAddr::derive(&["two-ports", "lan0", "mv0"], 0);
        assert_eq!(a, MacAddr::derive(&["two-ports", "lan0", "mv0"], 0));
        assert!(a.is_valid_unicast() && a.bytes()[0] & 2 != 0);
        assert_ne!(a, MacAddr::derive(&["two-ports", "lan0", "mv1"], 0));
        assert_ne!(a, MacAddr::derive(&["two-ports", "lan0", "mv0"], 1));
        assert_ne!(MacAddr::derive(&["ab", "c"], 0), MacAddr::derive(&["a", "bc"], 0));
    }
}
