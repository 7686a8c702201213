//! Which ports the lowers and links have, and their state.
//!
//! The truth, owned by the control thread: what the rules say is in the macvlan
//! driver's state, what frames move through is here, under the same numbers.
//! Changed by operations and events only; plans and inventories are made from it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use hashbrown::HashMap;
use macvlan::driver::{self, Driver, Index};
use macvlan::mac::MacAddr;
use macvlan::notifier::{Chain, Context};

use super::filters::Filters;
use super::inventory::{Dirty, Inventory, InventoryHandle, PortKind, PortView, WorkerView};
use crate::config::{Endpoint, HostConfig, LowerConfig, LowerDevice};
use crate::datapath::{BroadcastQueue, Device, Port, Waker, Worker};
use crate::demo::wire::DemoHost;

/// A lower's ports.
pub(super) struct Lower {
    pub(super) index: Index,
    /// As it was started.
    pub(super) config: LowerConfig,
    pub(super) port: Arc<Port>,
    /// Of a VLAN lower: the lower that carries its frames.
    pub(super) carrier: Option<Index>,
    pub(super) host: Option<Host>,
    /// Group frames from the wire that wait.
    pub(super) queue: Arc<BroadcastQueue>,
    /// What its device was told to let through.
    pub(super) filters: Filters,
    /// The address its device and its host have.
    pub(super) address: MacAddr,
    /// The MTU its device has, in bytes.
    pub(super) mtu: u32,
    /// Ends with the lower.
    pub(super) _demo: Option<DemoHost>,
}

/// The port of a lower's host.
pub(super) struct Host {
    pub(super) config: HostConfig,
    pub(super) port: Arc<Port>,
    /// The worker that polls it.
    pub(super) worker: u16,
}

/// A link's port.
pub(super) struct Link {
    pub(super) endpoint: Endpoint,
    pub(super) port: Arc<Port>,
    /// The worker that polls it.
    pub(super) worker: u16,
    dirty: Arc<Dirty>,
    /// What the worker's waker watches for it.
    watched: Option<Arc<OwnedFd>>,
}

impl Lower {
    /// Of a VLAN lower: protocol and id.
    pub(super) fn tag(&self) -> Option<(u16, u16)> {
        match &self.port.device {
            Device::Vlan(vlan) => Some((vlan.tpid, vlan.id)),
            Device::Eth(_) | Device::Ring(_) | Device::Vhost(_) => None,
        }
    }

    /// The device's text.
    pub(super) fn device(&self) -> String {
        match &self.config.device {
            LowerDevice::Device(device) => device.clone(),
            LowerDevice::Vlan { lower, id, protocol } => {
                format!("vlan {id} protocol {} of {lower}", protocol.name())
            }
        }
    }

    /// Lets all workers be woken by the device, where the device can do that:
    /// which queue a frame comes to is its choice.
    pub(super) fn watch_device(&self, workers: &[Worker]) {
        for worker in workers {
            watch_all(&worker.waker, &self.port);
        }
        if let Some(host) = &self.host
            && let Some(worker) = workers.get(usize::from(host.worker))
        {
            watch_all(&worker.waker, &host.port);
        }
    }
}

impl Link {
    pub(super) fn new(endpoint: Endpoint, port: Port, dirty: Arc<Dirty>, worker: u16) -> Self {
        Self { endpoint, port: Arc::new(port), worker, dirty, watched: None }
    }

    /// Lets the worker be woken by what the guest kicks now. Returns whether
    /// the guest came or went.
    pub(super) fn follow_guest(&mut self, workers: &[Worker]) -> bool {
        self.dirty.take();
        let Device::Vhost(port) = &self.port.device else { return false };
        let kick = port.wake_fd();
        let waker = workers.get(usize::from(self.worker)).map(|worker| &worker.waker);
        let same = match (&kick, &self.watched) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (None, None) => true,
            _ => false,
        };
        if let Some(waker) = waker {
            if let Some(old) = self.watched.as_ref().filter(|_| !same) {
                waker.forget(old);
            }
            if let Some(new) = kick.as_ref().filter(|_| !same) {
                watch(waker, &self.port.name, new);
            }
            // What came before the descriptor was watched is found by polling,
            // and whether the guest will kick at all may have changed.
            waker.wake();
        }
        self.watched = kick;
        !same
    }

    /// Guests that have connected.
    pub(super) fn connections(&self) -> u64 {
        match &self.port.device {
            Device::Vhost(port) => port.connections(),
            Device::Eth(_) | Device::Ring(_) | Device::Vlan(_) => 0,
        }
    }

    /// Lets the worker be woken by the device, where the device can do that.
    pub(super) fn watch_device(&self, workers: &[Worker]) {
        if let Some(worker) = workers.get(usize::from(self.worker)) {
            watch_all(&worker.waker, &self.port);
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

fn watch_all(waker: &Waker, port: &Port) {
    port.wake_fds().for_each(|fd| watch(waker, &port.name, fd));
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
    /// The macvlan driver, and who else hears of events.
    pub(super) chain: Chain,
    /// What the rules are made from.
    pub(super) macvlan: Context,
    pub(super) lowers: Vec<Lower>,
    pub(super) links: HashMap<Index, Link>,
    pub(super) inventory: InventoryHandle,
}

impl Registry {
    /// The macvlan driver's state.
    pub(super) fn driver(&self) -> &Driver {
        &self.macvlan.driver
    }

    pub(super) fn lower(&self, index: Index) -> Option<&Lower> {
        self.lowers.iter().find(|lower| lower.index == index)
    }

    /// The lower of this name, as the rules know it.
    pub(super) fn lower_by_name(&self, name: &str) -> Option<&driver::Lower> {
        self.driver().lower(self.driver().by_name(name)?)
    }

    /// The link of this name, as the rules know it.
    pub(super) fn link_by_name(&self, name: &str) -> Option<&driver::Link> {
        self.driver().link(self.driver().by_name(name)?)
    }

    /// The worker with the fewest links: where the next one goes.
    pub(super) fn least_loaded(&self, workers: u16) -> u16 {
        let load = |worker| self.links.values().filter(|link| link.worker == worker).count();
        (0..workers).min_by_key(|&worker| load(worker)).unwrap_or(0)
    }

    /// Publishes what readers see.
    pub(super) fn refresh_inventory(&self, workers: &[Worker]) {
        let view = |kind, up, port: &Port| PortView {
            name: port.name.clone(),
            kind,
            up,
            stats: Arc::clone(&port.stats),
        };
        let driver = self.driver();
        let mut ports = Vec::with_capacity(self.lowers.len() + self.links.len());
        for lower in &self.lowers {
            let up = driver.lower(lower.index).is_some_and(driver::Lower::passes);
            ports.push(view(PortKind::Lower, up, &lower.port));
            if let Some(host) = &lower.host {
                ports.push(view(PortKind::Host, up && host.port.carrier(), &host.port));
            }
        }
        for link in driver.links() {
            if let Some(Link { port, .. }) = self.links.get(&link.index) {
                ports.push(view(PortKind::Link, link.up && port.carrier(), port));
            }
        }
        let workers = workers.iter().map(|worker| WorkerView {
            index: worker.index,
            core: worker.core,
            stats: Arc::clone(&worker.stats),
        });
        self.inventory.store(Inventory { ports, workers: workers.collect() });
    }
}
