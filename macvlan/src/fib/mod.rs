//! The immutable forwarding state of one lower: MAC table, verdicts, groups.
//!
//! Made by [`crate::rules`], read by the workers. Classification sees the first
//! 14 bytes of a frame and nothing else, takes a burst at a time, and neither
//! allocates nor knows a mode: what modes mean has become data.

use std::sync::Arc;

mod head;
mod table;
mod verdict;

pub use head::Head;
pub use table::{DuplicateMac, MISS, MacTable, ONE_LINE};
pub use verdict::{GroupId, Output, Target, Verdict};

/// Frames classified at once; longer bursts are taken in parts of this size.
pub const CHUNK: usize = 64;

const _: () = assert!(size_of::<Head>() == 16 && size_of::<Verdict>() == 2);

/// What happens to frames that enter at one place. Indices are table values.
#[derive(Debug, Default)]
pub(crate) struct Ingress {
    /// Verdict for a unicast destination by the value the table has for it.
    /// Empty: destinations are not looked up, all unicast is a miss. Shared by
    /// all ingresses that have the same one.
    pub(crate) hit: Arc<[Verdict]>,
    /// Verdict for a unicast destination the table does not have.
    pub(crate) miss: Verdict,
    /// Verdict for a group destination by the value the table has for the
    /// source. Empty: sources are not looked up.
    pub(crate) group_from: Box<[Verdict]>,
    /// Verdict for a group destination from a source the table does not have.
    pub(crate) group: Verdict,
}

/// A list of receivers, less one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    /// Where the members start and end in [`Fib::members`].
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The sender, which does not get its own frame back.
    pub(crate) except: Option<Output>,
}

/// The forwarding state of one lower.
#[derive(Debug, Default)]
pub struct Fib {
    pub(crate) table: MacTable,
    pub(crate) ingresses: Box<[Ingress]>,
    pub(crate) groups: Box<[Group]>,
    pub(crate) members: Box<[Output]>,
}

impl Fib {
    /// Gives each frame that entered at `ingress` its verdict. `verdicts` is at
    /// least as long as `heads`.
    #[inline]
    pub fn classify(&self, ingress: Output, heads: &[Head], verdicts: &mut [Verdict]) {
        let Some(ingress) = self.ingresses.get(ingress.index()) else {
            verdicts.iter_mut().take(heads.len()).for_each(|verdict| *verdict = Verdict::default());
            return;
        };
        for (heads, verdicts) in heads.chunks(CHUNK).zip(verdicts.chunks_mut(CHUNK)) {
            if ingress.hit.is_empty() && ingress.group_from.is_empty() {
                for (head, verdict) in heads.iter().zip(verdicts) {
                    *verdict = if head.is_group() { ingress.group } else { ingress.miss };
                }
            } else {
                self.classify_chunk(ingress, heads, verdicts);
            }
        }
    }

    #[inline]
    fn classify_chunk(&self, ingress: &Ingress, heads: &[Head], verdicts: &mut [Verdict]) {
        let mut keys = [0; CHUNK];
        let mut values = [MISS; CHUNK];
        for (key, head) in keys.iter_mut().zip(heads) {
            // Group frames go by their source; a group source is nobody's.
            *key = if head.is_group() { head.src() } else { head.dst() };
        }
        let keys = keys.get(..heads.len()).unwrap_or_default();
        self.table.lookup_burst(keys, &mut values);
        for ((head, value), verdict) in heads.iter().zip(values).zip(verdicts) {
            let value = usize::from(value);
            *verdict = if head.is_group() {
                ingress.group_from.get(value).copied().unwrap_or(ingress.group)
            } else {
                ingress.hit.get(value).copied().unwrap_or(ingress.miss)
            };
        }
    }

    /// The receivers of a group.
    #[inline]
    #[must_use]
    pub fn group(&self, id: GroupId) -> Members<'_> {
        let Some(group) = self.groups.get(id.index()) else {
            return Members { list: &[], except: None };
        };
        let list = self.members.get(group.start as usize..group.end as usize);
        Members { list: list.unwrap_or_default(), except: group.except }
    }

    /// The MAC table.
    #[must_use]
    pub fn table(&self) -> &MacTable {
        &self.table
    }
}

/// The receivers of a group, in the order of their slots.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    list: &'a [Output],
    except: Option<Output>,
}

impl Members<'_> {
    /// Nobody is left. Never so for a group that a verdict names: fewer than
    /// two receivers are a verdict of their own.
    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.into_iter().next().is_none()
    }
}

impl<'a> IntoIterator for Members<'a> {
    type Item = Output;
    type IntoIter = MembersIter<'a>;

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
