//! The immutable forwarding state that workers read.
//!
//! Compiled by control, published as a whole, shared by all workers through an
//! `Arc` and never changed. A port stays open as long as a plan names it.

use std::sync::Arc;

use macvlan::fib::{Fib, Output};

use super::broadcast::BroadcastQueue;
use super::counters::{Cell, Cells};
use super::port::Port;

/// Where frames can go within one segment: a port, its limits and counters.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The port.
    pub(super) port: Arc<Port>,
    /// The port's: one look instead of three, for each group of frames.
    cells: Cells,
    /// Longest frame that may enter here, or leave as the copy of a sibling's
    /// group frame (TX-13), in bytes without FCS: MTU, Ethernet header and one
    /// VLAN tag, as the kernel's forward check has it.
    pub max_frame: u32,
    /// Longest frame that may leave otherwise: the lower's limit (TX-12), since
    /// nobody asks for a link's MTU there.
    pub max_delivered: u32,
}

impl Endpoint {
    /// A port with the limits that the fields tell of.
    #[must_use]
    pub fn new(port: Arc<Port>, max_frame: u32, max_delivered: u32) -> Self {
        let cells = port.stats.cells();
        Self { port, cells, max_frame, max_delivered }
    }

    /// The counters that worker `index` alone may write.
    #[inline]
    pub(super) fn cell(&self, index: u16) -> Option<&Cell> {
        self.cells.get(usize::from(index)).map(|cell| &**cell)
    }
}

/// One lower with its links.
#[derive(Debug)]
pub struct Segment {
    /// Verdicts for the frames of this segment.
    pub fib: Fib,
    /// Ports by [`Output::index`]; a missing one is never named by a verdict.
    pub endpoints: Box<[Option<Endpoint>]>,
    /// The VLAN lowers on this one, ascending by tag.
    pub vlans: Box<[Vlan]>,
    /// Where group frames from the wire wait when there are many.
    pub queue: Arc<BroadcastQueue>,
    /// Frames the queue may hold, 0 to [`BroadcastQueue::MOST`].
    pub queue_len: usize,
}

/// A VLAN lower, as the lower that carries its frames knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vlan {
    /// Protocol and id, which is 1 to 4094.
    pub tag: (u16, u16),
    /// Index of its segment.
    pub segment: usize,
}

impl Segment {
    #[inline]
    pub(super) fn endpoint(&self, output: Output) -> Option<&Endpoint> {
        self.endpoints.get(output.index())?.as_ref()
    }

    /// The segment whose frames carry this tag.
    pub(super) fn vlan(&self, tag: (u16, u16)) -> Option<usize> {
        let found = self.vlans.binary_search_by_key(&tag, |vlan| vlan.tag).ok()?;
        self.vlans.get(found).map(|vlan| vlan.segment)
    }
}

/// A queue that a worker polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Index of the segment.
    pub segment: usize,
    /// Whose queue it is.
    pub ingress: Output,
    /// Receive queue of that port.
    pub queue: u16,
    /// Frames taken per turn at most.
    pub budget: usize,
    /// Copies for links that a turn makes of group frames from the wire before
    /// the others wait. A frame that is begun is finished.
    pub copies: usize,
}

/// Sources that a worker polls whether they are active or not: looking at so
/// many takes less than a microsecond, and a kick takes longer than that.
const FEW: usize = 32;

/// What the workers do, until the next plan.
#[derive(Debug, Default)]
pub struct Plan {
    segments: Box<[Segment]>,
    /// By worker.
    polls: Box<[Box<[Poll]>]>,
}

impl Plan {
    /// A plan; `polls` by worker.
    #[must_use]
    pub fn new(segments: Vec<Segment>, polls: Vec<Vec<Poll>>) -> Self {
        Self {
            segments: segments.into(),
            polls: polls.into_iter().map(Vec::into_boxed_slice).collect(),
        }
    }

    #[inline]
    pub(super) fn polls(&self, worker: u16) -> &[Poll] {
        self.polls.get(usize::from(worker)).map_or(&[], |polls| polls)
    }

    #[inline]
    pub(super) fn segment(&self, index: usize) -> Option<&Segment> {
        self.segments.get(index)
    }

    /// Whose queue that is.
    pub(super) fn port(&self, poll: &Poll) -> Option<&Port> {
        Some(&*self.segment(poll.segment)?.endpoint(poll.ingress)?.port)
    }

    /// The ports that a worker receives from.
    pub fn sources(&self, worker: u16) -> impl Iterator<Item = &Port> {
        self.polls(worker).iter().filter_map(|poll| self.port(poll))
    }

    /// A worker has so many sources that it stops polling those that are silent.
    pub(super) fn has_many_sources(&self, worker: u16) -> bool {
        self.polls(worker).len() > FEW
    }
}
