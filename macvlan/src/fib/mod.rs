//! The immutable forwarding state of one lower: MAC table, verdicts, groups.
//!
//! Made by [`crate::rules`], read by the workers. Classification sees the first
//! 14 bytes of a frame and nothing else, takes a burst at a time, and neither
//! allocates nor knows a mode: what modes, flags and filters mean has become
//! data. What a lower does not use (source lists, group filters, checks) costs
//! its frames nothing.

mod classify;
mod head;
mod lists;
mod table;
mod verdict;

pub use classify::{Decisions, Receiver};
pub use head::Head;
pub use lists::{Members, MembersIter};
pub use table::{DuplicateMac, MISS, MacTable, ONE_LINE};
pub use verdict::{GroupId, Output, Target, Verdict};

pub(crate) use lists::{Group, List, SourceSet};

/// Frames classified at once; longer bursts are taken in parts of this size.
pub const CHUNK: usize = 64;

const _: () = assert!(size_of::<Head>() == 16 && size_of::<Verdict>() == 2);

/// What happens to frames that enter at one place. Small, for there are as many
/// as links: what several share stands in [`Fib::choices`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ingress {
    /// Verdict for a unicast destination by the value the table has for it.
    /// None: destinations are not looked up, all unicast is a miss.
    pub(crate) hit: Choice,
    /// Verdict for a unicast destination the table does not have.
    pub(crate) miss: Verdict,
    /// Verdict for a group destination by the value the table has for the
    /// source. None: sources are not looked up.
    pub(crate) group_from: Choice,
    /// Verdict for a group destination from a source the table does not have.
    pub(crate) group: Verdict,
    /// What becomes of a PAUSE frame that would be replicated.
    pub(crate) pause: Verdict,
    /// What becomes of a frame to a link-local group, if they are special here.
    pub(crate) link_local: Option<Verdict>,
    /// Which frames the source lists see.
    pub(crate) sources: SourceScope,
    /// What is demanded of a frame's source.
    pub(crate) check: SourceCheck,
}

/// Verdicts by table value, which is an output: a number in [`Fib::choices`], of
/// which 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice(pub(crate) u8);

impl Choice {
    pub(crate) const NONE: Self = Self(0);
}

/// Which frames of an ingress are matched against the source lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SourceScope {
    #[default]
    None,
    /// All of them (SRC-02).
    All,
    /// Unicast that goes to a sibling: it passes the lower's receive side (TX-11).
    Direct,
}

/// What an ingress demands of a frame's source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SourceCheck {
    #[default]
    None,
    /// That it is an address of this output.
    Own(Output),
    /// Of unicast: that it and the destination are not addresses of two links,
    /// one of them private.
    NotPrivate,
}

/// The forwarding state of one lower.
#[derive(Debug, Default)]
pub struct Fib {
    /// Addresses and the outputs that have them.
    pub(crate) table: MacTable,
    pub(crate) ingresses: Box<[Ingress]>,
    /// By [`Choice`].
    pub(crate) choices: Box<[Box<[Verdict]>]>,
    pub(crate) groups: Box<[Group]>,
    pub(crate) lists: Box<[List]>,
    pub(crate) members: Box<[Output]>,
    /// Groups with a list of their own. Only used if `filtered`.
    pub(crate) listed: MacTable,
    /// Not every link hears every group.
    pub(crate) filtered: bool,
    /// Source addresses and the sets of links that list them.
    pub(crate) sources: MacTable,
    pub(crate) source_sets: Box<[SourceSet]>,
    /// By output: its link is private.
    pub(crate) private: Box<[bool]>,
}

impl Fib {
    /// The MAC table.
    #[must_use]
    pub fn table(&self) -> &MacTable {
        &self.table
    }
}
