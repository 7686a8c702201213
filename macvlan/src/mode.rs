//! The words of the link kind: modes, flags and list operations as iproute2
//! spells them, with the kernel's numbers (macvlan-semantics.md section 1.5).
//!
//! Owns names and values; what a mode *does* is in [`crate::rules`].

use std::fmt;
use std::str::FromStr;

/// The mode of a link. Values are the kernel's (`IFLA_MACVLAN_MODE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// Talks to the wire only; broadcasts of siblings never reach it.
    Private = 1,
    /// Everything goes to the wire; an external switch reflects what is for a sibling.
    Vepa = 2,
    /// Siblings in this mode reach each other directly.
    Bridge = 4,
    /// The only link of its lower: takes its address and all its frames.
    Passthru = 8,
    /// Receives by the sender's address, from a list of its own.
    Source = 16,
}

/// A word that is not a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mode \"{0}\": one of private, vepa, bridge, passthru, source")]
pub struct UnknownMode(pub String);

impl Mode {
    /// Every mode, in the kernel's order.
    pub const ALL: [Self; 5] =
        [Self::Private, Self::Vepa, Self::Bridge, Self::Passthru, Self::Source];

    /// The word iproute2 uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Vepa => "vepa",
            Self::Bridge => "bridge",
            Self::Passthru => "passthru",
            Self::Source => "source",
        }
    }

    /// The kernel's number: a single bit.
    #[must_use]
    pub const fn value(self) -> u32 {
        self as u32
    }

    /// The mode with this number (ER-03).
    #[must_use]
    pub fn from_value(value: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.value() == value)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, UnknownMode> {
        // People who know Docker or CNI write the long word (B16).
        if word == "passthrough" {
            return Ok(Self::Passthru);
        }
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == word)
            .ok_or_else(|| UnknownMode(word.to_owned()))
    }
}

/// The flags of a link (`IFLA_MACVLAN_FLAGS`): always set as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// A passthru link does not make its lower promiscuous.
    pub const NOPROMISC: Self = Self(1);
    /// A source link's list consumes: nobody else gets what it matches.
    pub const NODST: Self = Self(2);

    /// The flags of this number, unless it has other bits (ER-04).
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & !(Self::NOPROMISC.0 | Self::NODST.0) == 0 { Some(Self(bits)) } else { None }
    }

    /// The kernel's number.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// All flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a request does to a source link's list (`IFLA_MACVLAN_MACADDR_MODE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MacaddrMode {
    /// Adds one address; no error if it is there.
    Add = 0,
    /// Removes one address; no error if it is not there.
    Del = 1,
    /// Empties the list.
    Flush = 2,
    /// Replaces the list.
    Set = 3,
}

impl MacaddrMode {
    /// The operation with this number (ER-06).
    #[must_use]
    pub const fn from_value(value: u32) -> Option<Self> {
        match value {
            0 => Some(Self::Add),
            1 => Some(Self::Del),
            2 => Some(Self::Flush),
            3 => Some(Self::Set),
            _ => None,
        }
    }

    /// The kernel's number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self as u32
    }
}
