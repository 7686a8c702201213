//! What readers outside control may see at any time: names, states, counters.
//!
//! Published by control whenever it changes; read by metrics and tables without
//! asking control. Holds counters, never ports: a reader cannot keep a port open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use macvlan::driver::Index;

use crate::datapath::{PortStats, WorkerStats};

/// Whose port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// The device below.
    Lower,
    /// A lower's host.
    Host,
    /// A macvlan link.
    Link,
}

impl PortKind {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Host => "host",
            Self::Link => "link",
        }
    }
}

/// A port as readers see it.
#[derive(Clone, Debug)]
pub struct PortView {
    /// Name of the lower or link; a host's is `host@LOWER`.
    pub name: Arc<str>,
    /// Whose port it is.
    pub kind: PortKind,
    /// Administratively up, with a peer or carrier.
    pub up: bool,
    /// Its counters.
    pub stats: Arc<PortStats>,
}

/// A worker as readers see it.
#[derive(Clone, Debug)]
pub struct WorkerView {
    /// Its number.
    pub index: u16,
    /// The CPU it is pinned to.
    pub core: Option<usize>,
    /// Its counters.
    pub stats: Arc<WorkerStats>,
}

/// Everything readers see, at one moment.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Lowers in the order of the config, then links by age.
    pub ports: Vec<PortView>,
    /// Workers by number.
    pub workers: Vec<WorkerView>,
}

/// Reads the inventory. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct InventoryHandle(Arc<ArcSwap<Inventory>>);

impl InventoryHandle {
    /// The inventory now.
    #[must_use]
    pub fn load(&self) -> Arc<Inventory> {
        self.0.load_full()
    }

    pub(super) fn store(&self, inventory: Inventory) {
        self.0.store(Arc::new(inventory));
    }
}

/// Posts at most one message until it is taken: a guest that reconnects in a
/// loop cannot fill control's channel.
#[derive(Debug)]
pub(super) struct Dirty {
    set: AtomicBool,
    link: AtomicU32,
}

impl Dirty {
    /// Of this link's port.
    pub(super) fn of(link: Index) -> Self {
        Self { set: AtomicBool::new(false), link: AtomicU32::new(link.number()) }
    }

    /// The link, for the first caller since the last [`Dirty::take`].
    pub(super) fn set(&self) -> Option<Index> {
        let first = !self.set.swap(true, Ordering::AcqRel);
        first.then(|| Index::new(self.link.load(Ordering::Acquire)))
    }

    pub(super) fn take(&self) {
        self.set.store(false, Ordering::Release);
    }

    /// The port is another link's from now on.
    pub(super) fn inherit(&self, link: Index) {
        self.link.store(link.number(), Ordering::Release);
        self.take();
    }
}
