//! Where a frame goes, in two bytes.
//!
//! Owns the numbering of outputs, groups and drops. Made by [`crate::rules`],
//! taken apart by the workers; numbers mean nothing outside one lower.

use crate::drop::DropReason;

/// A place frames go to or come from, numbered within one lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Output(u16);

impl Output {
    /// The lower itself.
    pub const WIRE: Self = Self(0);
    /// The host port.
    pub const HOST: Self = Self(1);
    /// Links there can be on one lower: each may need a group for what it sends
    /// and one for what an external switch reflects, beside one for outsiders.
    pub const MAX_LINKS: usize = (GroupId::MAX - 1) / 2;

    /// The output of this number, as [`Output::index`] gives it.
    pub(super) const fn from_index(index: u16) -> Self {
        Self(index)
    }

    /// The number as a value of the MAC table.
    pub(crate) const fn value(self) -> u16 {
        self.0
    }

    /// The link in `slot`, 0 to [`Output::MAX_LINKS`] - 1.
    #[inline]
    #[must_use]
    pub const fn link(slot: u16) -> Self {
        Self(slot + 2)
    }

    /// The number, usable as an index.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The slot, if this is a link.
    #[must_use]
    pub const fn slot(self) -> Option<u16> {
        self.0.checked_sub(2)
    }
}

/// Number of a group of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupId(u16);

impl GroupId {
    /// Groups there can be on one lower.
    pub const MAX: usize = (Verdict::DROP - Verdict::GROUP) as usize;

    /// The group of this number, below [`GroupId::MAX`].
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where one frame goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verdict(u16);

/// A verdict, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To one port.
    Output(Output),
    /// To the members of a group.
    Group(GroupId),
    /// Nowhere.
    Drop(DropReason),
}

impl Verdict {
    /// Outputs are numbered from 0, groups and reasons from here.
    const GROUP: u16 = 0x8000;
    const DROP: u16 = 0xff00;

    /// To one port.
    #[must_use]
    pub const fn output(output: Output) -> Self {
        Self(output.0)
    }

    /// To one port.
    #[inline]
    pub(crate) const fn is_output(self) -> bool {
        self.0 < Self::GROUP
    }

    /// The port, for a verdict that names one.
    #[inline]
    pub(crate) const fn as_output(self) -> Output {
        Output(self.0)
    }

    /// To a group, and not to one port or nowhere.
    #[inline]
    pub(crate) const fn is_group(self) -> bool {
        matches!(self.0, Self::GROUP..Self::DROP)
    }

    /// To a port other than the wire.
    #[inline]
    pub(crate) const fn is_local(self) -> bool {
        matches!(self.0, 1..Self::GROUP)
    }

    /// To a group.
    #[must_use]
    pub const fn group(id: GroupId) -> Self {
        Self(Self::GROUP + id.0)
    }

    /// Nowhere.
    #[must_use]
    pub const fn drop(reason: DropReason) -> Self {
        Self(Self::DROP + reason as u16)
    }

    /// The verdict taken apart.
    #[inline]
    #[must_use]
    pub fn target(self) -> Target {
        match self.0 {
            0..Self::GROUP => Target::Output(Output(self.0)),
            Self::GROUP..Self::DROP => Target::Group(GroupId(self.0 - Self::GROUP)),
            _ => {
                let reason = DropReason::ALL.get(usize::from(self.0 - Self::DROP));
                Target::Drop(reason.copied().unwrap_or(DropReason::UnknownUnicast))
            }
        }
    }
}

impl Default for Verdict {
    /// A frame of which nothing is known goes nowhere.
    fn default() -> Self {
        Self::drop(DropReason::UnknownUnicast)
    }
}

impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.target().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_come_apart_as_they_were_made() {
        let highest = u16::try_from(Output::MAX_LINKS - 1).unwrap();
        for output in [Output::WIRE, Output::HOST, Output::link(0), Output::link(highest)] {
            assert_eq!(Verdict::output(output).target(), Target::Output(output));
        }
        for number in [0, u16::try_from(GroupId::MAX - 1).unwrap()] {
            let id = GroupId::new(number);
            assert_eq!(Verdict::group(id).target(), Target::Group(id));
        }
        for &reason in DropReason::ALL {
            assert_eq!(Verdict::drop(reason).target(), Target::Drop(reason));
        }
        assert_eq!(Output::link(7).slot(), Some(7));
        assert_eq!(Output::WIRE.slot(), None);
    }
}
