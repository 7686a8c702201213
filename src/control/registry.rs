//! Which ports the lowers and links have, and their state.
//!
//! The truth, owned by the control thread: what the rules say is in the macvlan
//! driver's state, what frames move through is here, under the same numbers.
//! Changed by operations and events only; plans and inventories are made from it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hashbrown::HashMap;
use macvlan::driver::{self, Driver, Index};
use macvlan::mac::MacAddr;
use macvlan::notifier::{Chain, Context};

use super::filters::Filters;
use super::inventory::{Dirty, Inventory, InventoryHandle, PortKind, PortView, WorkerView};
use crate::config::{Endpoint, HostConfig, LowerConfig, LowerDevice};
use crate::datapath::{BroadcastQueue, Device, Port, PortStats, Waker, Worker};
use crate::demo::wire::DemoHost;

/// Who polls a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Poller {
    /// The worker's number.
    pub(super) worker: u16,
    /// It does not poll it yet: the one before may still do.
    pub(super) moving: bool,
}

impl Poller {
    pub(super) const fn at(worker: u16) -> Self {
        Self { worker, moving: false }
    }

    /// The worker, if it may poll already.
    pub(super) fn now(self) -> Option<u16> {
        (!self.moving).then_some(self.worker)
    }
}

/// A lower's ports.
pub(super) struct Lower {
    pub(super) index: Index,
    /// As it was started.
    pub(super) config: LowerConfig,
    pub(super) port: Arc<Port>,
    /// Who polls each of its receive queues.
    pub(super) queues: Vec<Poller>,
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
    /// Its device said that it was reset.
    pub(super) reset: Arc<AtomicBool>,
    /// Ends with the lower.
    pub(super) _demo: Option<DemoHost>,
}

/// The port of a lower's host.
pub(super) struct Host {
    pub(super) config: HostConfig,
    pub(super) port: Arc<Port>,
    pub(super) poller: Poller,
}

/// A link's port.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) endpoint: Endpoint,
    pub(super) port: Arc<Port>,
    pub(super) poller: Poller,
    /// Its address was drawn, not written.
    pub(super) random_address: bool,
    dirty: Arc<Dirty>,
    /// What the worker's waker watches for it.
    watched: Option<Arc<OwnedFd>>,
    /// The number of the connection whose guest was there at the last look.
    guest: Option<u64>,
}

impl Lower {
    /// Of a VLAN lower: protocol and id.
    pub(super) fn tag(&self) -> Option<(u16, u16)> {
        match &self.port.device {
            Device::Vlan(vlan) => Some((vlan.tpid, vlan.id)),
            Device::Eth(_) | Device::Ring(_) | Device::Vhost(_) => None,
        }
    }

    /// The device's text, unless it is a VLAN of another lower.
    pub(super) fn own_device(&self) -> Option<&str> {
        match &self.config.device {
            LowerDevice::Device(device) => Some(device),
            LowerDevice::Vlan { .. } => None,
        }
    }

    /// What carries its frames, in words.
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
        if let Some(host) = &self.host {
            host.watch_device(workers);
        }
    }
}

impl Host {
    /// Lets its worker be woken by the device, where the device can do that.
    pub(super) fn watch_device(&self, workers: &[Worker]) {
        if let Some(worker) = workers.get(usize::from(self.poller.worker)) {
            watch_all(&worker.waker, &self.port);
        }
    }

    /// Ends the watching, before its worker is another.
    pub(super) fn unwatch_device(&self, workers: &[Worker]) {
        if let Some(worker) = workers.get(usize::from(self.poller.worker)) {
            self.port.wake_fds().for_each(|fd| worker.waker.forget(fd));
        }
    }
}

impl Link {
    pub(super) fn new(endpoint: Endpoint, port: Port, dirty: Arc<Dirty>, worker: u16) -> Self {
        Self {
            endpoint,
            port: Arc::new(port),
            poller: Poller::at(worker),
            random_address: false,
            dirty,
            watched: None,
            guest: None,
        }
    }

    /// Lets its port's events come under this number.
    pub(super) fn posts_as(&self, link: Index) {
        self.dirty.inherit(link);
    }

    /// Lets the worker be woken by what the guest kicks now. Returns whether
    /// the guest came or went.
    pub(super) fn follow_guest(&mut self, workers: &[Worker]) -> bool {
        self.dirty.take();
        let Device::Vhost(port) = &self.port.device else { return false };
        let kick = port.wake_fd();
        let waker = workers.get(usize::from(self.poller.worker)).map(|worker| &worker.waker);
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
                let watched = waker.watch_guest(new, port.number());
                if watched.is_err() {
                    // Nobody would hear its kicks.
                    waker.forget(new);
                    port.is_not_heard();
                }
                told(&self.port.name, watched);
            }
            // Last: what came before the descriptor was watched is found by
            // polling, and whether the guest will kick at all may have changed.
            waker.rouse(port.number());
        }
        self.watched = kick;
        // Whoever only replaced the descriptor neither came nor went.
        let guest = port.connected().then(|| port.connections());
        guest != std::mem::replace(&mut self.guest, guest)
    }

    /// Lets its worker look at it, asleep or not.
    pub(super) fn rouse(&self, workers: &[Worker]) {
        let Some(worker) = workers.get(usize::from(self.poller.worker)) else { return };
        match &self.port.device {
            Device::Vhost(port) => worker.waker.rouse(port.number()),
            Device::Eth(_) | Device::Ring(_) | Device::Vlan(_) => worker.waker.wake(),
        }
    }

    /// A guest was there when it was looked at last.
    pub(super) fn has_guest(&self) -> bool {
        self.guest.is_some()
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
        if let Some(worker) = workers.get(usize::from(self.poller.worker)) {
            watch_all(&worker.waker, &self.port);
        }
    }

    /// Ends the watching, before the link goes or its worker is another.
    pub(super) fn unwatch(&mut self, workers: &[Worker]) {
        let watched = self.watched.take();
        if let Some(worker) = workers.get(usize::from(self.poller.worker)) {
            watched.iter().for_each(|old| worker.waker.forget(old));
            self.port.wake_fds().for_each(|fd| worker.waker.forget(fd));
        }
    }
}

fn watch_all(waker: &Waker, port: &Port) {
    port.wake_fds().for_each(|fd| told(&port.name, waker.watch(fd)));
}

/// Without it the worker would sleep through this port's frames: worth an error
/// in the log, and no reason to end.
fn told(name: &str, watched: nix::Result<()>) {
    if let Err(error) = watched {
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

    pub(super) fn lower_mut(&mut self, index: Index) -> Option<&mut Lower> {
        self.lowers.iter_mut().find(|lower| lower.index == index)
    }

    /// The VLANs on a lower.
    pub(super) fn vlans_on(&self, lower: Index) -> impl Iterator<Item = &Lower> {
        self.lowers.iter().filter(move |other| other.carrier == Some(lower))
    }

    /// The worker with the fewest links: where the next one goes.
    pub(super) fn least_loaded(&self, workers: u16) -> u16 {
        let load = |worker| self.links.values().filter(|link| link.poller.worker == worker).count();
        (0..workers).min_by_key(|&worker| load(worker)).unwrap_or(0)
    }

    /// Whose port, whether it is up, and the port: lowers in order, then links
    /// by age.
    fn ports(&self) -> impl Iterator<Item = (PortKind, bool, &Port)> {
        let driver = self.driver();
        let lowers = self.lowers.iter().flat_map(|lower| {
            let up = driver.lower(lower.index).is_some_and(driver::Lower::passes);
            let host = lower.host.as_ref();
            let host = host.map(|host| (PortKind::Host, up && host.port.carrier(), &*host.port));
            std::iter::once((PortKind::Lower, up, &*lower.port)).chain(host)
        });
        let links = driver.links().filter_map(|link| {
            let port = &*self.links.get(&link.index)?.port;
            Some((PortKind::Link, link.up && port.carrier(), port))
        });
        lowers.chain(links)
    }

    /// Readers see others than there are, or in another state.
    pub(super) fn is_inventory_stale(&self) -> bool {
        let shown = self.inventory.load();
        let place = |stats: &Arc<PortStats>| Arc::as_ptr(stats);
        let now = self.ports().map(|(_, up, port)| (up, place(&port.stats)));
        !now.eq(shown.ports.iter().map(|port| (port.up, place(&port.stats))))
    }

    /// Publishes what readers see.
    pub(super) fn refresh_inventory(&self, workers: &[Worker]) {
        let views = self.ports().map(|(kind, up, port)| PortView {
            name: Arc::clone(&port.name),
            kind,
            up,
            stats: Arc::clone(&port.stats),
        });
        let workers = workers.iter().map(|worker| WorkerView {
            index: worker.index,
            core: worker.core,
            stats: Arc::clone(&worker.stats),
        });
        let (ports, workers) = (views.collect(), workers.collect());
        self.inventory.store(Inventory { ports, workers });
    }
}
