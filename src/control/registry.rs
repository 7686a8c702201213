//! Which lowers and links there are, and their state.
//!
//! The truth, owned by the control thread. Changed by link ops and guests'
//! events only; plans and inventories are made from it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use hashbrown::HashMap;

use super::inventory::{Dirty, Inventory, InventoryHandle, PortKind, PortView, WorkerView};
use crate::config::{LinkConfig, LowerConfig};
use crate::datapath::{Device, Port, Waker, Worker};
use crate::demo::wire::DemoHost;

/// A lower and the order of its links.
pub(super) struct Lower {
    pub(super) config: LowerConfig,
    pub(super) port: Arc<Port>,
    /// Names of its links; the position is the slot in the plan.
    pub(super) links: Vec<String>,
    pub(super) carrier: bool,
    /// Ends with the lower.
    pub(super) _host: Option<DemoHost>,
}

/// A link.
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) config: LinkConfig,
    pub(super) port: Arc<Port>,
    /// The worker that polls it.
    pub(super) worker: u16,
    dirty: Arc<Dirty>,
    /// What the worker's waker watches for it.
    watched: Option<Arc<OwnedFd>>,
}

impl Lower {
    /// Lets all workers be woken by the device, where the device can do that:
    /// which queue a frame comes to is its choice.
    pub(super) fn watch_device(&self, workers: &[Worker]) {
        for worker in workers {
            self.port.wake_fds().for_each(|fd| watch(&worker.waker, &self.config.name, fd));
        }
    }
}

impl Link {
    pub(super) fn new(
        id: u64,
        config: LinkConfig,
        port: Port,
        dirty: Arc<Dirty>,
        worker: u16,
    ) -> Self {
        Self { id, config, port: Arc::new(port), worker, dirty, watched: None }
    }

    /// Lets the worker be woken by what the guest kicks now. Returns whether
    /// the guest came or went.
    pub(super) fn follow_guest(&mut self, workers: &[Worker]) -> bool {
        self.dirty.take();
        let Device::Vhost(port) = &self.port.device else { return false };
        let kick = port.wake_fd();
        let changed = kick.is_some() != self.watched.is_some();
        let waker = workers.get(usize::from(self.worker)).map(|worker| &worker.waker);
        let same = match (&kick, &self.watched) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (None, None) => true,
            _ => false,
        };
        if let (false, Some(waker)) = (same, waker) {
            if let Some(old) = &self.watched {
                waker.forget(old);
            }
            if let Some(new) = &kick {
                watch(waker, &self.config.name, new);
            }
            // What came before the descriptor was watched is found by polling.
            waker.wake();
        }
        self.watched = kick;
        changed
    }

    /// Lets the worker be woken by the device, where the device can do that.
    pub(super) fn watch_device(&self, workers: &[Worker]) {
        if let Some(worker) = workers.get(usize::from(self.worker)) {
            self.port.wake_fds().for_each(|fd| watch(&worker.waker, &self.config.name, fd));
        }
    }

    /// Ends the watching, before the link goes.
    pub(super) fn unwatch(&mut self, workers: &[Worker]) {
        let waker = workers.get(usize::from(self.worker)).map(|worker| &worker.waker);
        if let (Some(waker), Some(old)) = (waker, self.watched.take()) {
            waker.forget(&old);
        }
    }
}

/// Without it the worker would sleep through this port's frames: worth an error
/// in the log, and no reason to end.
fn watch(waker: &Waker, name: &str, fd: impl AsFd) {
    if let Err(error) = waker.watch(fd) {
        tracing::error!(port = %name, "the worker cannot be woken by it: {error}");
    }
}

/// All lowers and links.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) lowers: Vec<Lower>,
    pub(super) links: HashMap<String, Link>,
    pub(super) inventory: InventoryHandle,
    last_id: u64,
}

impl Registry {
    /// An id no port ever had.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn lower(&self, name: &str) -> Option<&Lower> {
        self.lowers.iter().find(|lower| lower.config.name == name)
    }

    pub(super) fn lower_mut(&mut self, name: &str) -> Option<&mut Lower> {
        self.lowers.iter_mut().find(|lower| lower.config.name == name)
    }

    pub(super) fn link_by_id(&mut self, id: u64) -> Option<&mut Link> {
        self.links.values_mut().find(|link| link.id == id)
    }

    /// The links of a lower, by slot.
    pub(super) fn links_of<'a>(&'a self, lower: &'a Lower) -> impl Iterator<Item = &'a Link> {
        lower.links.iter().filter_map(|name| self.links.get(name))
    }

    /// The worker with the fewest links: where the next one goes.
    pub(super) fn least_loaded(&self, workers: u16) -> u16 {
        let load = |worker| self.links.values().filter(|link| link.worker == worker).count();
        (0..workers).min_by_key(|&worker| load(worker)).unwrap_or(0)
    }

    /// Looks at the carrier of all lowers. Returns whether any changed.
    pub(super) fn refresh_carrier(&mut self, workers: &[Worker]) {
        let mut changed = false;
        for lower in &mut self.lowers {
            let carrier = lower.port.carrier();
            if carrier != lower.carrier {
                lower.carrier = carrier;
                changed = true;
                let state = if carrier { "up" } else { "down" };
                tracing::info!(lower = %lower.config.name, "carrier is {state}");
            }
        }
        if changed {
            self.refresh_inventory(workers);
        }
    }

    /// Publishes what readers see.
    pub(super) fn refresh_inventory(&self, workers: &[Worker]) {
        let lowers = self.lowers.iter().map(|lower| PortView {
            name: lower.config.name.clone(),
            kind: PortKind::Lower,
            up: lower.carrier,
            stats: Arc::clone(&lower.port.stats),
        });
        let mut links: Vec<&Link> = self.links.values().collect();
        links.sort_by_key(|link| link.id);
        let links = links.into_iter().map(|link| PortView {
            name: link.config.name.clone(),
            kind: PortKind::Link,
            up: link.config.up && link.port.carrier(),
            stats: Arc::clone(&link.port.stats),
        });
        let workers = workers.iter().map(|worker| WorkerView {
            index: worker.index,
            core: worker.core,
            stats: Arc::clone(&worker.stats),
        });
        self.inventory
            .store(Inventory { ports: lowers.chain(links).collect(), workers: workers.collect() });
    }
}
