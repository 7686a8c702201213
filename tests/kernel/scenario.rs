//! What a test does, as data: link operations and frames, one after the other.
//!
//! A scenario names lowers and links by number, so that a step can be deleted
//! and the rest still means the same; a step about something that is not there
//! does nothing, on either side. It never says what should come out: the kernel does.

use std::fmt;

use macvlan::mac::MacAddr;
use serde::{Deserialize, Serialize};

/// The bytes of an address, in JSON as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Mac(pub(crate) MacAddr);

impl TryFrom<String> for Mac {
    type Error = macvlan::mac::MacParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Mac {
    pub(crate) const fn new(bytes: [u8; 6]) -> Self {
        Self(MacAddr::new(bytes))
    }

    pub(crate) const fn bytes(self) -> [u8; 6] {
        self.0.bytes()
    }
}

/// What a link is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Parent {
    Lower(u8),
    Link(u8),
    Loopback,
    /// No `link` at all.
    Nothing,
    /// An interface number nobody has.
    Missing,
}

/// The attributes of one link request, checked by nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) up: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promisc: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allmulti: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Data>,
}

/// `IFLA_INFO_DATA` of a macvlan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Data {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flags: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) macaddr_mode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) macaddr: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) macaddr_data: Option<Vec<(u16, Vec<u8>)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) macaddr_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bc_queue_len: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bc_queue_len_used: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bc_cutoff: Option<i32>,
}

/// A change of a lower itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    Up(bool),
    Mtu(u32),
    Address(Mac),
}

/// A side a frame can come from or go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Side {
    Wire(u8),
    Host(u8),
    Link(u8),
}

/// A frame, but for what tells it from others: that is filled in when it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Frame {
    pub(crate) dst: Mac,
    pub(crate) src: Mac,
    /// TPID and TCI, the outer tag first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<(u16, u16)>,
    pub(crate) kind: u16,
    /// Bytes with header and tags.
    pub(crate) len: usize,
}

/// What begins every payload of ours.
pub(crate) const MAGIC: [u8; 8] = *b"mvswitch";
/// Header, IPv4 header, magic, number and checksum.
pub(crate) const SHORTEST: usize = 14 + 20 + 8 + 8 + 4;

impl Frame {
    /// The frame's bytes, with `id` in them.
    pub(crate) fn bytes(&self, id: u64) -> Vec<u8> {
        let mut bytes = [self.dst.bytes(), self.src.bytes()].concat();
        for (tpid, tci) in &self.tags {
            bytes.extend(tpid.to_be_bytes());
            bytes.extend(tci.to_be_bytes());
        }
        bytes.extend(self.kind.to_be_bytes());
        if self.kind == 0x0800 {
            // Enough of an IPv4 header that nobody takes it for a fragment.
            let total = u16::try_from(self.len - bytes.len()).unwrap();
            bytes.extend([0x45, 0]);
            bytes.extend(total.to_be_bytes());
            bytes.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        }
        bytes.extend(MAGIC);
        bytes.extend(id.to_be_bytes());
        for at in bytes.len()..self.len {
            bytes.push((at % 251).to_le_bytes()[0]);
        }
        bytes
    }

    /// The number in a frame of ours.
    pub(crate) fn id(bytes: &[u8]) -> Option<u64> {
        let at = bytes.windows(MAGIC.len()).take(80).position(|window| window == MAGIC)? + 8;
        Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
    }
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    AddLower { lower: u8 },
    RemoveLower { lower: u8 },
    SetLower { lower: u8, change: Change },
    NewLink { link: u8, parent: Parent, request: Request },
    SetLink { link: u8, request: Request },
    DelLink { link: u8 },
    Fdb { link: u8, add: bool, replace: bool, address: Mac },
    Send { from: Side, frame: Frame },
}

/// A list of steps and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Step>,
}

/// The address a lower is made with.
pub(crate) fn lower_address(lower: u8) -> Mac {
    Mac::new([2, 0xaa, 0, 0, 0, lower])
}

/// The MTU a lower is made with.
pub(crate) const LOWER_MTU: u32 = 1500;

pub(crate) const PRIVATE: u32 = 1;
pub(crate) const VEPA: u32 = 2;
pub(crate) const BRIDGE: u32 = 4;
pub(crate) const PASSTHRU: u32 = 8;
pub(crate) const SOURCE: u32 = 16;
pub(crate) const NOPROMISC: u16 = 1;
pub(crate) const NODST: u16 = 2;
