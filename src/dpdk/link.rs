//! A device's link: its state now, and word of changes.
//!
//! Owns the list of those who want to know. Asked and set up by control; the
//! word comes on DPDK's interrupt thread and must be passed on at once. Events
//! say that something changed, never what: whoever gets one asks again.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::{PoisonError, RwLock};

use dpdk_sys as sys;
use dpdk_sys::rte_eth_event_type as event;

use super::error::{DpdkError, attempt};
use super::ethdev::EthPort;
use super::kernel::InterfaceState;

/// State of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Frames can pass.
    pub up: bool,
    /// Speed in Mbit/s, where it is known and means something.
    pub speed_mbps: Option<u32>,
    /// Both directions at once.
    pub full_duplex: bool,
}

impl Link {
    pub(super) const DOWN: Self = Self { up: false, speed_mbps: None, full_duplex: false };
}

/// What a device has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EthEvent {
    /// The link may have changed: see [`EthPort::link`].
    Link,
    /// The device may be gone: see [`EthPort::is_removed`].
    Removed,
    /// The device has to be opened anew to go on working.
    Reset,
}

/// Receives events.
type Changed = Box<dyn Fn(EthEvent) + Send + Sync>;

/// Who wants to know of which port. Locked for reading while one is told, so
/// that once a port has left this map nobody is being told of it any more.
static WATCHERS: RwLock<BTreeMap<u16, Changed>> = RwLock::new(BTreeMap::new());

const EVENTS: [event::Type; 4] = [
    event::RTE_ETH_EVENT_INTR_LSC,
    event::RTE_ETH_EVENT_INTR_RMV,
    event::RTE_ETH_EVENT_INTR_RESET,
    event::RTE_ETH_EVENT_DESTROY,
];

impl EthPort {
    /// The link now; never waits for the device. Where the driver stands on an
    /// interface of the kernel, that one's state and speed count: net_af_packet
    /// itself reports a link for as long as it runs.
    #[must_use]
    pub fn link(&self) -> Link {
        let mut link = sys::mv_link::default();
        // SAFETY: `link` is writable, the device exists.
        let known = unsafe { sys::mv_link_get(self.id(), &raw mut link) } == 0;
        let unknown = [0, sys::RTE_ETH_SPEED_NUM_UNKNOWN];
        let speed = Some(link.speed).filter(|speed| !unknown.contains(speed));
        let device = match known && link.up != 0 {
            true => Link { up: true, speed_mbps: speed, full_duplex: link.full_duplex != 0 },
            false => Link::DOWN,
        };
        self.kernel().map_or(device, |interface| interface.link(device))
    }

    /// The device's link is up.
    #[must_use]
    pub fn carrier(&self) -> bool {
        self.link().up
    }

    /// State of the kernel's interface behind the device; `None` if there is none.
    #[must_use]
    pub fn interface(&self) -> Option<InterfaceState> {
        self.kernel().map(super::kernel::Interface::state)
    }

    /// The device is gone for good: unplugged, or its kernel interface was
    /// deleted or taken to another network namespace. A tap may move about.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        // SAFETY: the device exists, if only as a number.
        let unplugged = unsafe { sys::rte_eth_dev_is_removed(self.id()) } != 0;
        unplugged || self.interface() == Some(InterfaceState::Removed)
    }

    /// The driver does not tell of changes of the link: ask [`EthPort::link`] and
    /// [`EthPort::is_removed`] every 200 ms or so.
    ///
    /// Needed for what stands on a kernel interface (af_packet, af_xdp, pcap, and
    /// tap, which says that it tells and does not), for memif, and for ring and
    /// null, whose link never changes. NICs and virtio-user tell.
    #[must_use]
    pub fn needs_polling(&self) -> bool {
        !self.tells_link()
    }

    /// From now on `changed` is called when the device has something to tell, on
    /// DPDK's interrupt thread: it may post a message, and must neither wait nor
    /// touch any port's life. An event may come without a change. When the port
    /// has been dropped no call is under way and none will come.
    ///
    /// # Errors
    /// EBUSY if the port is watched already; ENOMEM.
    pub fn watch(&self, changed: Box<dyn Fn(EthEvent) + Send + Sync>) -> Result<(), DpdkError> {
        {
            let mut watchers = WATCHERS.write().unwrap_or_else(PoisonError::into_inner);
            if watchers.contains_key(&self.id()) {
                let call = "rte_eth_dev_callback_register";
                return Err(DpdkError { call, errno: nix::libc::EBUSY, said: None });
            }
            watchers.insert(self.id(), changed);
        }
        for kind in EVENTS {
            // SAFETY: the device exists; the callback is static and its
            // argument is not used.
            let registered = attempt("rte_eth_dev_callback_register", || unsafe {
                sys::rte_eth_dev_callback_register(
                    self.id(),
                    kind,
                    Some(on_event),
                    std::ptr::null_mut(),
                )
            });
            if let Err(error) = registered {
                unwatch(self.id());
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Ends the watching of port `id`, if there is any. Returns when no call is
/// under way.
pub(super) fn unwatch(id: u16) {
    let mut watchers = WATCHERS.write().unwrap_or_else(PoisonError::into_inner);
    let watcher = watchers.remove(&id);
    // Not under the lock: what it does when dropped is its own affair.
    drop(watchers);
    if watcher.is_none() {
        return;
    }
    for kind in EVENTS {
        // SAFETY: the device exists. EAGAIN while the callback runs, which by
        // now finds nobody to tell and returns.
        while unsafe {
            sys::rte_eth_dev_callback_unregister(id, kind, Some(on_event), std::ptr::null_mut())
        } == -nix::libc::EAGAIN
        {
            std::thread::yield_now();
        }
    }
}

extern "C" fn on_event(
    id: u16,
    kind: event::Type,
    _argument: *mut c_void,
    _more: *mut c_void,
) -> c_int {
    let told = match kind {
        event::RTE_ETH_EVENT_INTR_LSC => EthEvent::Link,
        event::RTE_ETH_EVENT_INTR_RESET => EthEvent::Reset,
        _ => EthEvent::Removed,
    };
    let watchers = WATCHERS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(changed) = watchers.get(&id) {
        changed(told);
    }
    0
}
