//! An ethdev: NIC, af_packet, tap, ring, null, virtio-user …
//!
//! Owns the device from attach to removal. Created and closed by control;
//! workers receive and transmit. Queues have one user at a time: a receive
//! queue until that lets go of it, a transmit queue by the worker's number, or by a spin lock
//! where the device has fewer queues than there are workers. What it hears is
//! set in `rx_mode.rs`, its link is watched in `link.rs`.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_int};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::utils::CachePadded;
use dpdk_sys as sys;

use super::clock;
use super::error::{DpdkError, attempt};
use super::fds;
use super::kernel::Interface;
use super::lcore::Lcore;
use super::link;
use super::mbuf::Burst;
use super::membership::Memberships;
use super::pool::Pool;
use super::tap::Trigger;

/// Devices that are ports now: DPDK itself would let two owners share one.
static ATTACHED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Drivers that copy what they receive, or make it: whoever polls has it in its
/// cache then. With others a device or another core wrote the frames.
const NEAR: [&str; 5] = ["net_af_packet", "net_memif", "net_null", "net_pcap", "net_tap"];

/// How a device is set up.
#[derive(Clone, Debug)]
pub struct EthOptions {
    /// Queues wanted in each direction: one per worker. The device may have fewer.
    pub queues: u16,
    /// Worker numbers below this transmit, and no others. With fewer transmit
    /// queues than that, users share them under a lock.
    pub users: u16,
    /// Descriptors wanted per queue. The driver may adjust them.
    pub descriptors: u16,
    /// Largest payload in bytes.
    pub mtu: u16,
    /// Receive frames for all addresses and groups: a lower's case.
    pub promiscuous: bool,
}

/// Facts of a device that do not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EthInfo {
    /// DPDK's name of it.
    pub name: String,
    /// The driver's name.
    pub driver: String,
    /// The device's own address when it was opened, as bytes on the wire. It
    /// can be changed: see [`EthPort::address`].
    pub address: [u8; 6],
    /// Receive queues set up.
    pub rx_queues: u16,
    /// Transmit queues set up.
    pub tx_queues: u16,
}

/// Who receives from a queue: nobody (0), a worker (its number and 1), or
/// somebody for a moment. A locked instruction per burst would cost a worker more
/// than a look at its table does: it waits until all earlier stores are done.
#[derive(Debug, Default)]
struct Owner(AtomicU32);

impl Owner {
    const NOBODY: u32 = 0;
    const SOMEBODY: u32 = u32::MAX;

    fn of(lcore: &Lcore) -> u32 {
        u32::from(lcore.index()) + 1
    }

    /// The queue is the caller's, now if not before.
    #[inline]
    fn is_or_becomes(&self, lcore: &Lcore) -> bool {
        // No other thread has the number, so nobody else can have written it.
        self.0.load(Ordering::Relaxed) == Self::of(lcore) || self.claim(Self::of(lcore))
    }

    #[cold]
    fn claim(&self, owner: u32) -> bool {
        let free = self.0.load(Ordering::Relaxed) == Self::NOBODY;
        free && self
            .0
            .compare_exchange(Self::NOBODY, owner, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// If it was `owner`'s, it is nobody's now.
    fn let_go(&self, owner: u32) {
        if self.0.load(Ordering::Relaxed) == owner {
            self.0.store(Self::NOBODY, Ordering::Release);
        }
    }
}

/// What transmission looks at: one cache line, for there are many ports.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct Hot {
    id: u16,
    tx_queues: u16,
    shared_tx: bool,
    /// Locks of the transmit queues; taken only where workers share one.
    tx: Box<[CachePadded<AtomicBool>]>,
    /// Who receives from each queue.
    rx: Box<[CachePadded<Owner>]>,
}

/// A started device.
#[derive(Debug)]
pub struct EthPort {
    hot: Hot,
    device: *mut sys::rte_device,
    info: EthInfo,
    wake: Vec<OwnedFd>,
    /// net_tap's, in the place of its signals.
    trigger: Option<Trigger>,
    kernel: Option<Interface>,
    /// net_af_packet's.
    memberships: Option<Memberships>,
    /// The driver has events for the link.
    tells_link: bool,
    /// Receive queues take buffers from it until the device is closed.
    pool: Arc<Pool>,
}

// SAFETY: the device pointer is used by `close` alone; the queues are guarded as
// the module says.
unsafe impl Send for EthPort {}
// SAFETY: as above.
unsafe impl Sync for EthPort {}

impl EthPort {
    /// Attaches (by hot-plug, if EAL does not have it yet), sets up and starts
    /// the device named by `device`: a PCI address or `DRIVERn,key=value,…`.
    ///
    /// # Errors
    /// The call that failed, with DPDK's own words. Nothing stays attached.
    pub fn attach(device: &str, options: &EthOptions, pool: &Arc<Pool>) -> Result<Self, DpdkError> {
        let name = device.split(',').next().unwrap_or_default();
        if find(name).is_none() {
            let devargs = CString::new(device).unwrap_or_default();
            // SAFETY: EAL runs; the text is NUL-terminated and copied.
            attempt("rte_dev_probe", || unsafe { sys::rte_dev_probe(devargs.as_ptr()) })?;
        }
        let missing = DpdkError {
            call: "rte_eth_dev_get_port_by_name",
            errno: nix::libc::ENODEV,
            said: None,
        };
        let id = find(name).ok_or(missing)?;
        Self::start(id, options, pool)
    }

    /// Sets up and starts ethdev `id`, which becomes this value's own.
    pub(super) fn start(
        id: u16,
        options: &EthOptions,
        pool: &Arc<Pool>,
    ) -> Result<Self, DpdkError> {
        if !ATTACHED.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            return Err(DpdkError { call: "rte_dev_probe", errno: nix::libc::EBUSY, said: None });
        }
        let mut port = Self {
            hot: Hot { id, ..Hot::default() },
            device: std::ptr::null_mut(),
            info: EthInfo {
                name: String::new(),
                driver: String::new(),
                address: [0; 6],
                rx_queues: 0,
                tx_queues: 0,
            },
            wake: Vec::new(),
            trigger: None,
            kernel: None,
            memberships: None,
            tells_link: false,
            pool: Arc::clone(pool),
        };
        // From here on dropping `port` closes and removes the device.
        port.set_up(options, pool)?;
        Ok(port)
    }

    fn set_up(&mut self, options: &EthOptions, pool: &Pool) -> Result<(), DpdkError> {
        let id = self.hot.id;
        let facts = self.facts()?;
        self.device = facts.device;
        let rx_queues = options.queues.min(facts.max_rx_queues);
        let tx_queues = options.queues.min(facts.max_tx_queues);

        let text = |text: *const std::ffi::c_char| {
            // SAFETY: names are NUL-terminated and live as long as the device.
            let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
            text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let driver = text(facts.driver_name);
        let mut conf = sys::rte_eth_conf::default();
        conf.rxmode.mtu = u32::from(options.mtu);
        let hashes = facts.flow_type_rss_offloads & sys::MV_RSS_HASHES;
        if rx_queues > 1 && hashes != 0 {
            conf.rxmode.mq_mode = sys::rte_eth_rx_mq_mode::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf =
                sys::rte_eth_rss_conf { rss_hf: hashes, ..Default::default() };
        }
        // SAFETY: null, or the device's flags, which live as long as the device.
        let flags = unsafe { facts.dev_flags.as_ref() }.copied().unwrap_or(0);
        // A tap listens for changes of its link, and keeps them to itself.
        self.tells_link = flags & sys::MV_ETH_LINK_EVENTS != 0 && driver != "net_tap";
        conf.intr_conf.set_lsc(u32::from(self.tells_link));
        conf.intr_conf.set_rmv(u32::from(flags & sys::MV_ETH_REMOVAL_EVENTS != 0));
        // Offloads stay off: frames are shared by reference, which
        // MBUF_FAST_FREE forbids, and tags are handled here (`vlan.rs`).
        // SAFETY: `conf` is valid for the call.
        attempt("rte_eth_dev_configure", || unsafe {
            sys::rte_eth_dev_configure(id, rx_queues, tx_queues, &raw const conf)
        })?;
        let (mut rx_desc, mut tx_desc) = (options.descriptors, options.descriptors);
        // SAFETY: both counts are writable.
        attempt("rte_eth_dev_adjust_nb_rx_tx_desc", || unsafe {
            sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &raw mut rx_desc, &raw mut tx_desc)
        })?;
        self.kernel = Interface::open(facts.if_index);
        let tap = self.kernel.as_ref().filter(|_| driver == "net_tap").and_then(Interface::name);
        self.wake = fds::packet_sockets(facts.if_index);
        let deaf = fds::ignore_outgoing(&self.wake);
        deaf.map_err(|errno| DpdkError { call: "setsockopt", errno: errno as i32, said: None })?;
        // SAFETY: the device is configured.
        let socket = u32::try_from(unsafe { sys::rte_eth_dev_socket_id(id) }).unwrap_or(u32::MAX);
        for queue in 0..rx_queues {
            // SAFETY: the pool outlives the device: `self` holds it. A null
            // configuration means the driver's defaults.
            attempt("rte_eth_rx_queue_setup", || unsafe {
                let conf = std::ptr::null();
                sys::rte_eth_rx_queue_setup(id, queue, rx_desc, socket, conf, pool.as_ptr())
            })?;
        }
        // Before the transmit queues, which are duplicates of the same.
        if let Some(tap) = tap {
            self.wake = fds::tap_queues(&tap);
            self.trigger = Trigger::replace(&self.wake);
            let queue = self.wake.first().and_then(|queue| queue.try_clone().ok());
            if let (Some(interface), Some(queue)) = (&mut self.kernel, queue) {
                interface.follow(queue);
            }
        }
        for queue in 0..tx_queues {
            // SAFETY: as above.
            attempt("rte_eth_tx_queue_setup", || unsafe {
                sys::rte_eth_tx_queue_setup(id, queue, tx_desc, socket, std::ptr::null())
            })?;
        }
        // SAFETY: configured, with all queues set up.
        attempt("rte_eth_dev_start", || unsafe { sys::rte_eth_dev_start(id) })?;
        if let Some(interface) = self.kernel.as_ref().filter(|_| driver == "net_af_packet") {
            self.memberships = Some(Memberships::open(interface.index())?);
        }
        if options.promiscuous {
            // A device without the notion (virtio-user) hears everything anyway.
            _ = self.set_promiscuous(true);
        }
        self.info =
            EthInfo { name: name_of(id), driver, address: self.address()?, rx_queues, tx_queues };
        self.hot = Hot {
            id,
            tx_queues,
            shared_tx: tx_queues < options.users,
            tx: (0..tx_queues).map(|_| CachePadded::default()).collect(),
            rx: (0..rx_queues).map(|_| CachePadded::default()).collect(),
        };
        Ok(())
    }

    /// Facts of the device.
    #[must_use]
    pub fn info(&self) -> &EthInfo {
        &self.info
    }

    /// Descriptors that become readable when a frame arrives (packet sockets
    /// and the queues of a tap); none if the driver offers no such thing. They
    /// report an error when the interface goes down or away.
    #[must_use]
    pub fn wake_fds(&self) -> &[OwnedFd] {
        &self.wake
    }

    pub(super) fn id(&self) -> u16 {
        self.hot.id
    }

    pub(super) fn kernel(&self) -> Option<&Interface> {
        self.kernel.as_ref()
    }

    pub(super) fn memberships(&self) -> Option<&Memberships> {
        self.memberships.as_ref()
    }

    pub(super) fn tells_link(&self) -> bool {
        self.tells_link
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Receives as a worker, behind the frames already in `burst`; returns how
    /// many. The queue is this worker's until it lets go of it; another's
    /// yields nothing.
    #[inline]
    pub fn poll(&self, lcore: &Lcore, queue: u16, burst: &mut Burst) -> usize {
        let Some(owner) = self.hot.rx.get(usize::from(queue)) else { return 0 };
        if !owner.is_or_becomes(lcore) {
            return 0;
        }
        // SAFETY: the queue exists and this thread is its owner.
        unsafe { self.receive(queue, burst) }
    }

    /// Lets another worker poll the queue.
    pub fn let_go(&self, lcore: &Lcore, queue: u16) {
        if let Some(owner) = self.hot.rx.get(usize::from(queue)) {
            owner.let_go(Owner::of(lcore));
        }
    }

    /// Receives once, as anybody, behind the frames already in `burst`; returns
    /// how many. A queue that somebody else has yields nothing.
    pub fn rx(&self, queue: u16, burst: &mut Burst) -> usize {
        let Some(owner) = self.hot.rx.get(usize::from(queue)) else { return 0 };
        if !owner.claim(Owner::SOMEBODY) {
            return 0;
        }
        // SAFETY: the queue exists and nobody else got that claim.
        let received = unsafe { self.receive(queue, burst) };
        owner.let_go(Owner::SOMEBODY);
        received
    }

    /// # Safety
    /// The queue exists, and the caller is its only user now.
    #[inline]
    unsafe fn receive(&self, queue: u16, burst: &mut Burst) -> usize {
        if let Some(trigger) = self.trigger {
            trigger.pull();
        }
        // SAFETY: as the caller says; the burst gives room for as many handles
        // as it says.
        burst.fill(|place, room| unsafe { sys::mv_rx_burst(self.hot.id, queue, place, room) })
    }

    /// Frames that were received may not be in this core's cache yet.
    #[must_use]
    pub fn is_far(&self) -> bool {
        !NEAR.contains(&&*self.info.driver)
    }

    /// Transmits from the front of `burst` what the device takes; the rest
    /// stays in it. Returns how many were taken.
    #[inline]
    pub fn tx(&self, lcore: &Lcore, burst: &mut Burst) -> usize {
        let Hot { id, tx_queues, shared_tx, tx, .. } = &self.hot;
        let queue = match shared_tx {
            true => lcore.index().checked_rem(*tx_queues).unwrap_or(0),
            false => lcore.index(),
        };
        let Some(lock) = tx.get(usize::from(queue)) else { return 0 };
        // Not shared: the worker's number, which no other thread has, is the
        // queue's. Shared: the holder is another worker, for one burst.
        while *shared_tx && lock.swap(true, Ordering::Acquire) {
            clock::pause();
        }
        // SAFETY: the queue exists and has no other user now; the handles are
        // valid, and those the device takes leave the burst.
        let sent = burst
            .drain_front(|frames, count| unsafe { sys::mv_tx_burst(*id, queue, frames, count) });
        if *shared_tx {
            lock.store(false, Ordering::Release);
        }
        sent
    }
}

impl Drop for EthPort {
    fn drop(&mut self) {
        let (id, device) = (self.hot.id, self.device);
        link::unwatch(id);
        // SAFETY: the value owns the device, and no worker has it any more:
        // that is what dropping an owner means. The device goes last.
        _ = attempt("close", || unsafe {
            sys::rte_eth_dev_stop(id);
            let code: c_int = sys::rte_eth_dev_close(id);
            if device.is_null() { code } else { sys::rte_dev_remove(device) }
        });
        ATTACHED.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

fn find(name: &str) -> Option<u16> {
    let name = CString::new(name).ok()?;
    let mut id = 0;
    // SAFETY: the name is NUL-terminated, `id` is writable.
    let code = unsafe { sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut id) };
    (code == 0).then_some(id)
}

fn name_of(id: u16) -> String {
    let mut name = [0 as std::ffi::c_char; 256];
    // SAFETY: the buffer is longer than any device name (64 bytes).
    let code = unsafe { sys::rte_eth_dev_get_name_by_port(id, name.as_mut_ptr()) };
    if code != 0 {
        return String::new();
    }
    // SAFETY: DPDK wrote a NUL-terminated name.
    unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned()
}
