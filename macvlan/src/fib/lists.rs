//! Groups of receivers: who gets a copy of a frame that goes to several.
//!
//! A verdict names a [`Group`]: a row of lists, one for each set of links that
//! hear the same groups, less the sender. Which list of the row it is depends on
//! the frame's destination. Rows are shared by all senders.

use super::{Fib, GroupId, Output};

/// The list for groups that have none of their own: links that hear all.
pub(crate) const UNLISTED: u16 = 0;

/// The list for broadcast: all links (MCF-04).
pub(crate) const BROADCAST: u16 = 1;

/// The first list of a group of its own.
pub(crate) const FIRST_LISTED: u16 = 2;

/// A row of lists, less one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    /// Where the row starts in [`Fib::lists`].
    pub(crate) row: u32,
    /// The sender, which does not get its own frame back.
    pub(crate) except: Option<Output>,
}

/// A list of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct List {
    /// Where the members start and end in [`Fib::members`].
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Copies for links may wait in the broadcast queue (RXM-12).
    pub(crate) queued: bool,
}

/// The links that list a source address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceSet {
    /// Where the members start and end in [`Fib::members`].
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Nobody else gets the frame (SRC-05).
    pub(crate) consume: bool,
}

impl Fib {
    /// The receivers of a group; `list` as classification chose it.
    #[inline]
    #[must_use]
    pub fn members(&self, id: GroupId, list: u16) -> Members<'_> {
        let none = Members { list: &[], except: None, queued: false };
        let Some(group) = self.groups.get(id.index()) else { return none };
        let Some(list) = self.lists.get(group.row as usize + usize::from(list)) else {
            return none;
        };
        let members = self.members.get(list.start as usize..list.end as usize);
        Members { list: members.unwrap_or_default(), except: group.except, queued: list.queued }
    }

    /// The links whose source lists match, by the number classification gave:
    /// 0 is none.
    #[inline]
    #[must_use]
    pub fn source_members(&self, set: u16) -> &[Output] {
        let set = usize::from(set).checked_sub(1).and_then(|set| self.source_sets.get(set));
        let list = set.and_then(|set| self.members.get(set.start as usize..set.end as usize));
        list.unwrap_or_default()
    }
}

/// The receivers of a group: links in the order of their slots, then the host,
/// then the wire.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    list: &'a [Output],
    except: Option<Output>,
    queued: bool,
}

impl Members<'_> {
    /// Copies for links may wait in the broadcast queue.
    #[inline]
    #[must_use]
    pub const fn queued(self) -> bool {
        self.queued
    }
}

impl<'a> IntoIterator for Members<'a> {
    type Item = Output;
    type IntoIter = MembersIter<'a>;

    #[inline]
    fn into_iter(self) -> MembersIter<'a> {
        MembersIter { list: self.list.iter(), except: self.except }
    }
}

/// Iterates over [`Members`].
#[derive(Clone, Debug)]
pub struct MembersIter<'a> {
    list: std::slice::Iter<'a, Output>,
    except: Option<Output>,
}

impl Iterator for MembersIter<'_> {
    type Item = Output;

    #[inline]
    fn next(&mut self) -> Option<Output> {
        let except = self.except;
        self.list.find(|&&output| Some(output) != except).copied()
    }
}
