//! A vhost-user socket on librte_vhost: one guest, one queue pair.
//!
//! Owns the registration of the socket and what the library's callbacks say
//! about the connection. Created and dropped by control; workers receive and
//! transmit behind the queue's [`Gate`]. Callbacks run on the library's threads
//! (and on control's own, inside unregister): they open and close gates and say
//! that something changed, and never wait for control or for a publication.

use std::collections::BTreeMap;
use std::ffi::{CString, c_int};
use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dpdk_sys as sys;

use super::bell;
use super::error::{DpdkError, attempt};
use super::fds;
use super::gate::Gate;
use super::lcore::Lcore;
use super::mbuf::{Burst, Mbuf};
use super::pool::Pool;

/// Ports by socket path: how a callback, which gets a device id, finds its port.
static PORTS: Mutex<BTreeMap<Vec<u8>, Arc<Shared>>> = Mutex::new(BTreeMap::new());

/// The guest's receive and transmit queue, in virtio's numbering.
const TO_GUEST: u16 = 0;
const FROM_GUEST: u16 = 1;

/// Frames that one call of the library copies; it leaves further ones.
const AT_ONCE: usize = 32;

/// Feature bits never offered, by their virtio numbers: checksum and
/// segmentation offloads (the library would run its parser on what a guest
/// writes, and other guests could not take such frames), multi-queue and packed
/// rings.
const MASKED: &[u32] = &[
    0,  // CSUM
    1,  // GUEST_CSUM
    7,  // GUEST_TSO4
    8,  // GUEST_TSO6
    9,  // GUEST_ECN
    10, // GUEST_UFO
    11, // HOST_TSO4
    12, // HOST_TSO6
    13, // HOST_ECN
    14, // HOST_UFO
    22, // MQ
    34, // RING_PACKED: the library cannot tell whether frames wait in one
];

/// Places in librte_vhost's table that sockets can have: its own pipe has one
/// of 1,024. One that listens takes one, and another with its guest; one that
/// connects takes one with its guest, which is kept for it.
const PLACES: usize = 1023;

/// Who creates the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// mvswitch listens.
    Server,
    /// The guest listens and mvswitch connects, again and again: the guest
    /// survives a restart of the switch.
    Client,
}

/// How a socket is opened.
pub struct VhostOptions {
    /// Path of the socket, at most 107 bytes.
    pub path: PathBuf,
    /// Who listens.
    pub role: Role,
    /// Called, on any thread and without delay, when the connection or a queue
    /// changes state. Must not block.
    pub changed: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for VhostOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VhostOptions({}, {:?})", self.path.display(), self.role)
    }
}

/// An open socket, with or without a guest.
#[derive(Debug)]
pub struct VhostPort {
    path: CString,
    shared: Arc<Shared>,
    pool: Arc<Pool>,
}

struct Shared {
    path: PathBuf,
    role: Role,
    number: u16,
    gates: [Gate; 2],
    /// The library's device id. Written before a gate opens, read inside it.
    vid: AtomicI32,
    /// The guest kicks while it is set. The worker writes it inside the gate,
    /// and `new_device` while the gate is closed.
    kicks: AtomicBool,
    /// The guest gave no descriptor to kick: its ring must be looked at.
    polled: AtomicBool,
    connections: AtomicU64,
    state: Mutex<State>,
    changed: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<c_int>,
    running: bool,
    enabled: [bool; 2],
    kick: Option<Arc<OwnedFd>>,
    /// Descriptors of the library's connections, by device id.
    sockets: Vec<(c_int, RawFd)>,
}

impl VhostPort {
    /// Opens the socket. The path must be free: control has removed what was stale.
    ///
    /// # Errors
    /// The call that failed, with DPDK's own words. Nothing stays registered.
    pub fn open(options: VhostOptions, pool: &Arc<Pool>) -> Result<Self, DpdkError> {
        let number = claim_number(&ports())?;
        let key = options.path.as_os_str().as_bytes().to_vec();
        let path = CString::new(key.clone()).unwrap_or_default();
        let flags = sys::MV_VHOST_LINEARBUF
            | sys::MV_VHOST_COMPLIANT_OL_FLAGS
            | if options.role == Role::Client { sys::MV_VHOST_CLIENT } else { 0 };
        // SAFETY: the path is NUL-terminated and copied.
        attempt("rte_vhost_driver_register", || unsafe {
            sys::rte_vhost_driver_register(path.as_ptr(), flags)
        })?;
        let shared = Arc::new(Shared {
            path: options.path,
            role: options.role,
            number,
            gates: [const { Gate::closed() }; 2],
            vid: AtomicI32::new(-1),
            kicks: AtomicBool::new(false),
            polled: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            state: Mutex::default(),
            changed: options.changed,
        });
        ports().insert(key, Arc::clone(&shared));
        // From here on dropping `port` unregisters.
        let port = Self { path, shared, pool: Arc::clone(pool) };
        let path = port.path.as_ptr();
        let masked = MASKED.iter().fold(0_u64, |bits, bit| bits | 1 << bit);
        // SAFETY: registered; OPERATIONS is static.
        attempt("rte_vhost_driver_disable_features", || unsafe {
            sys::rte_vhost_driver_disable_features(path, masked)
        })?;
        // SAFETY: as above.
        attempt("rte_vhost_driver_callback_register", || unsafe {
            sys::rte_vhost_driver_callback_register(path, &raw const OPERATIONS.0)
        })?;
        // SAFETY: as above.
        let start =
            || attempt("rte_vhost_driver_start", || unsafe { sys::rte_vhost_driver_start(path) });
        bell::listen(start)?;
        // A guest may be waiting for the socket.
        bell::ring();
        Ok(port)
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Its number, which no other open socket has: 0 to 1,023.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.shared.number
    }

    /// A guest is connected and its driver is running.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.shared.gates.iter().all(Gate::is_open)
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Becomes readable when the guest has put frames into its ring and was
    /// asked to say so; `None` without a guest.
    #[must_use]
    pub fn wake_fd(&self) -> Option<Arc<OwnedFd>> {
        self.shared.state().kick.clone()
    }

    /// A worker may sleep until the guest kicks.
    #[must_use]
    pub fn tells(&self) -> bool {
        !self.shared.polled.load(Ordering::Relaxed)
    }

    /// Nobody listens to the guest's kicks: until it gives another descriptor, its
    /// ring must be looked at.
    pub fn is_not_heard(&self) {
        self.shared.polled.store(true, Ordering::Relaxed);
    }

    /// Receives behind the frames already in `burst`; returns how many.
    #[inline]
    pub fn rx(&self, burst: &mut Burst) -> usize {
        let [_, gate] = &self.shared.gates;
        let Some(_pass) = gate.enter() else { return 0 };
        let vid = self.shared.vid.load(Ordering::Relaxed);
        // SAFETY: inside the gate the device exists; the pool is alive; the
        // burst gives room for as many handles as it says.
        burst.fill(|place, room| unsafe {
            sys::rte_vhost_dequeue_burst(vid, FROM_GUEST, self.pool.as_ptr(), place, room)
        })
    }

    /// Copies from the front of `frames` what the guest's ring takes. Returns
    /// how many that were, or `None` if no guest is there.
    #[inline]
    pub fn tx(&self, _lcore: &Lcore, frames: &[Mbuf]) -> Option<usize> {
        let [gate, _] = &self.shared.gates;
        let _pass = gate.enter()?;
        let vid = self.shared.vid.load(Ordering::Relaxed);
        let mut taken = 0;
        for part in frames.chunks(AT_ONCE) {
            let count = u16::try_from(part.len()).unwrap_or(0);
            // SAFETY: inside the gate the device exists; the library takes its own
            // lock, so that two workers may come here. It reads handles and frames
            // and changes neither.
            let more = unsafe {
                let handles = part.as_ptr().cast_mut().cast();
                sys::rte_vhost_enqueue_burst(vid, TO_GUEST, handles, count)
            };
            taken += usize::from(more);
            if more < count {
                break;
            }
        }
        Some(taken)
    }

    /// Asks the guest to kick when it sends, or to stop doing so. Returns true
    /// if frames are waiting already, in which case no kick will come for them,
    /// or if the guest could not be asked.
    pub fn ask_for_kicks(&self, wanted: bool) -> bool {
        let [_, gate] = &self.shared.gates;
        let Some(_pass) = gate.enter() else { return false };
        let vid = self.shared.vid.load(Ordering::Relaxed);
        // A wish is repeated: what the guest was told may have been lost with a
        // queue that was disabled meanwhile.
        if self.shared.kicks.swap(wanted, Ordering::Relaxed) || wanted {
            // SAFETY: inside the gate the device exists.
            let code = unsafe {
                sys::rte_vhost_enable_guest_notification(vid, FROM_GUEST, c_int::from(wanted))
            };
            // The ring cannot be reached now, and a look would see it empty.
            if wanted && code < 0 {
                return true;
            }
        }
        if !wanted {
            return false;
        }
        // The request must be visible before the ring is looked at again.
        fence(Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { sys::rte_vhost_rx_queue_count(vid, FROM_GUEST) != 0 }
    }
}

impl Drop for VhostPort {
    fn drop(&mut self) {
        // Runs destroy callbacks on this thread: no lock may be held.
        // SAFETY: registered by `open`.
        _ = attempt("rte_vhost_driver_unregister", || unsafe {
            sys::rte_vhost_driver_unregister(self.path.as_ptr())
        });
        ports().remove(self.path.as_bytes());
        // Its place in the library's table is free once the thread has seen it.
        bell::ring();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.state())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places it has in the library's table.
    fn places(&self) -> usize {
        let connections = self.state().sockets.len();
        match self.role {
            Role::Server => 1 + connections,
            Role::Client => connections.max(1),
        }
    }

    fn set_kick(&self, state: &mut State, kick: Option<Arc<OwnedFd>>) {
        state.kick = kick;
        self.polled.store(state.running && state.kick.is_none(), Ordering::Relaxed);
    }

    /// Brings the gates in line with the state.
    fn set_gates(&self, state: &State) {
        for (gate, &enabled) in self.gates.iter().zip(&state.enabled) {
            if state.running && enabled { gate.open() } else { gate.close() }
        }
    }
}

fn ports() -> MutexGuard<'static, BTreeMap<Vec<u8>, Arc<Shared>>> {
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number for one more socket, if the library has a place for it.
fn claim_number(ports: &BTreeMap<Vec<u8>, Arc<Shared>>) -> Result<u16, DpdkError> {
    let places: usize = ports.values().map(|port| port.places()).sum();
    let mut taken = [false; PLACES];
    for port in ports.values() {
        if let Some(taken) = taken.get_mut(usize::from(port.number)) {
            *taken = true;
        }
    }
    let free = (0..).zip(taken).find(|(_, taken)| !taken);
    free.filter(|_| places < PLACES).map(|(number, _)| number).ok_or_else(|| DpdkError {
        call: "rte_vhost_driver_register",
        errno: nix::libc::EMFILE,
        said: Some(format!("librte_vhost's table of {PLACES} sockets and connections is full")),
    })
}

fn port_of(vid: c_int) -> Option<Arc<Shared>> {
    let mut path = [0_u8; 128];
    // SAFETY: the buffer is as long as said and longer than any socket path.
    let code = unsafe { sys::rte_vhost_get_ifname(vid, path.as_mut_ptr().cast(), path.len()) };
    let path = path.split(|&byte| byte == 0).next().filter(|_| code == 0)?;
    ports().get(path).cloned()
}

struct Operations(sys::rte_vhost_device_ops);

// SAFETY: the table is constant; its reserved pointers are null.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(sys::rte_vhost_device_ops {
    new_device: Some(new_device),
    destroy_device: Some(destroy_device),
    vring_state_changed: Some(vring_state_changed),
    new_connection: Some(new_connection),
    destroy_connection: Some(destroy_connection),
    // SAFETY: null is "no callback"; which ones there are differs by release.
    ..unsafe { std::mem::zeroed() }
});

extern "C" fn new_connection(vid: c_int) -> c_int {
    let Some(port) = port_of(vid) else { return -1 };
    // A client's place was kept.
    let taken: usize = ports().values().map(|port| port.places()).sum();
    if port.role == Role::Server && taken >= PLACES {
        let path = port.path.display();
        tracing::warn!(
            "a guest of {path} was turned away: librte_vhost's table of {PLACES} sockets and \
             connections is full. Delete links, or give them role client, which takes one place \
             instead of two"
        );
        return -1;
    }
    let mut state = port.state();
    let mut connections = fds::connections(&port.path, port.role == Role::Server).into_iter();
    let new = connections.find(|fd| state.sockets.iter().all(|(_, known)| known != fd));
    let Some(new) = new else { return -1 };
    // All guests share the thread that reads and answers.
    fds::unblock(new);
    if let Some(old) = state.connection {
        let old = state.sockets.iter().find(|(vid, _)| *vid == old);
        if !old.is_some_and(|&(_, fd)| fds::has_hung_up(fd)) {
            let path = port.path.display();
            tracing::warn!("a second connection to {path} was refused: it has a guest");
            return -1;
        }
        state.running = false;
        port.set_gates(&state);
        port.gates.iter().for_each(Gate::drain);
    }
    let mut sockets = std::mem::take(&mut state.sockets);
    sockets.push((vid, new));
    *state = State { connection: Some(vid), sockets, ..State::default() };
    port.connections.fetch_add(1, Ordering::Relaxed);
    0
}

extern "C" fn destroy_connection(vid: c_int) {
    let Some(port) = port_of(vid) else { return };
    let mut state = port.state();
    state.sockets.retain(|(known, _)| *known != vid);
    if state.connection == Some(vid) {
        let sockets = std::mem::take(&mut state.sockets);
        *state = State { sockets, ..State::default() };
    }
}

/// The guest's driver is up. Called with no lock of the library held.
extern "C" fn new_device(vid: c_int) -> c_int {
    let Some(port) = port_of(vid) else { return -1 };
    // SAFETY: the device exists while its callback runs.
    _ = unsafe { sys::rte_vhost_enable_guest_notification(vid, FROM_GUEST, 0) };
    let mut state = port.state();
    if state.connection != Some(vid) {
        return -1;
    }
    port.vid.store(vid, Ordering::Relaxed);
    // Whatever the previous guest had been asked.
    port.kicks.store(false, Ordering::Relaxed);
    state.running = true;
    port.set_kick(&mut state, kick_of(vid));
    port.set_gates(&state);
    drop(state);
    (port.changed)();
    0
}

/// The guest's driver is going. When this returns the library frees the device
/// and unmaps the guest's memory; no lock of the library is held.
extern "C" fn destroy_device(vid: c_int) {
    let Some(port) = port_of(vid) else { return };
    {
        let mut state = port.state();
        if state.connection != Some(vid) {
            return;
        }
        state.running = false;
        port.set_kick(&mut state, None);
        port.set_gates(&state);
    }
    port.gates.iter().for_each(Gate::drain);
    (port.changed)();
}

/// A queue was enabled or disabled. Called with the library's queue locks held,
/// for which a worker inside the gate may be waiting: so this must not wait for
/// the worker. The same locks keep the worker off the ring meanwhile.
extern "C" fn vring_state_changed(vid: c_int, queue: u16, enable: c_int) -> c_int {
    let Some(port) = port_of(vid) else { return -1 };
    let mut state = port.state();
    if state.connection != Some(vid) {
        return 0;
    }
    if let Some(enabled) = state.enabled.get_mut(usize::from(queue)) {
        *enabled = enable != 0;
    }
    if enable != 0
        && let Some(vring) = vring_of(vid, queue).filter(|vring| vring.callfd >= 0)
    {
        // A worker writes to it: a counter that is full must not stop it.
        fds::unblock(vring.callfd);
    }
    // A kick descriptor is replaced with its queue disabled.
    if queue == FROM_GUEST && state.running {
        let kick = if enable != 0 { kick_of(vid) } else { None };
        port.set_kick(&mut state, kick);
    }
    port.set_gates(&state);
    drop(state);
    (port.changed)();
    0
}

fn vring_of(vid: c_int, queue: u16) -> Option<sys::rte_vhost_vring> {
    // SAFETY: all-zero is a valid value of the plain C struct.
    let mut vring: sys::rte_vhost_vring = unsafe { std::mem::zeroed() };
    // SAFETY: `vring` is writable; the device exists while its callback runs.
    let code = unsafe { sys::rte_vhost_get_vhost_vring(vid, queue, &raw mut vring) };
    (code == 0).then_some(vring)
}

fn kick_of(vid: c_int) -> Option<Arc<OwnedFd>> {
    let vring = vring_of(vid, FROM_GUEST).filter(|vring| vring.kickfd >= 0)?;
    // SAFETY: the library holds the descriptor open while its callback runs.
    let kick = unsafe { BorrowedFd::borrow_raw(vring.kickfd) };
    kick.try_clone_to_owned().ok().map(Arc::new)
}
