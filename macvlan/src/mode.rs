//! The words of the link kind: modes as iproute2 spells them.
//!
//! Owns names and kernel values; what a mode *does* is in [`crate::rules`].

use std::fmt;
use std::str::FromStr;

/// The mode of a link. Values are the kernel's (`IFLA_MACVLAN_MODE`, section 1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// Talks to the wire only; broadcasts of siblings never reach it.
    Private = 1,
    /// Everything goes to the wire; an external switch reflects what is for a sibling.
    Vepa = 2,
    /// Siblings in this mode reach each other directly.
    Bridge = 4,
}

/// A word that is not a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown mode \"{0}\": one of private, vepa, bridge")]
pub struct UnknownMode(pub String);

impl Mode {
    /// Every mode, in the kernel's order.
    pub const ALL: [Self; 3] = [Self::Private, Self::Vepa, Self::Bridge];

    /// The word iproute2 uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Vepa => "vepa",
            Self::Bridge => "bridge",
        }
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
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == word)
            .ok_or_else(|| UnknownMode(word.to_owned()))
    }
}
