//! The kernel's network interface behind a device: af_packet, tap, af_xdp, pcap.
//!
//! Owns what the interface is known by, and says how it is. Those drivers do
//! not: net_af_packet, for one, reports a link for as long as it runs. Read by
//! control; every answer is a system call or two and none of them waits. It
//! never changes the interface.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::link::Link;

/// State of a kernel interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceState {
    /// Administratively up, with carrier.
    Up,
    /// Administratively up, and the cable is pulled.
    NoCarrier,
    /// Administratively down.
    Down,
    /// Deleted, or moved to another network namespace, which to the namespace
    /// it leaves is the same. A tap may move: its queues move along.
    Removed,
}

/// An interface of the network namespace it was opened in.
#[derive(Debug)]
pub(super) struct Interface {
    /// Any socket will do: it stands for the namespace.
    socket: OwnedFd,
    index: libc::c_int,
    /// A queue of a tap, which follows it into other namespaces.
    tap: Option<OwnedFd>,
}

impl Interface {
    /// The interface number `index`; `None` if there is none, as for a device
    /// without an interface, which says 0 or anything.
    pub(super) fn open(index: u32) -> Option<Self> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
        let index = libc::c_int::try_from(index).ok().filter(|&index| index > 0)?;
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None).ok()?;
        let interface = Self { socket, index, tap: None };
        interface.request().is_some().then_some(interface)
    }

    /// Says that the interface is a tap of this process, with this queue.
    pub(super) fn follow(&mut self, queue: OwnedFd) {
        self.tap = Some(queue);
    }

    pub(super) fn index(&self) -> libc::c_int {
        self.index
    }

    /// The interface's name now.
    pub(super) fn name(&self) -> Option<String> {
        let request = self.request()?;
        // SAFETY: the kernel wrote a NUL-terminated name into the request.
        let name = unsafe { CStr::from_ptr(request.ifr_name.as_ptr()) };
        Some(name.to_string_lossy().into_owned())
    }

    pub(super) fn state(&self) -> InterfaceState {
        if let Some(tap) = &self.tap {
            return tap_state(tap);
        }
        let Some(mut request) = self.request() else { return InterfaceState::Removed };
        if !self.ask(libc::SIOCGIFFLAGS, &mut request) {
            return InterfaceState::Removed;
        }
        // SAFETY: that call fills in the flags.
        let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
        let has = |flag| flags & flag != 0;
        // The carrier itself: IFF_RUNNING follows it by up to a second.
        let carrier = self.ethtool(EthtoolValue { command: ETHTOOL_GLINK, data: 0 });
        match carrier.map_or(has(libc::IFF_RUNNING), |carrier| carrier.data != 0) {
            _ if !has(libc::IFF_UP) => InterfaceState::Down,
            true => InterfaceState::Up,
            false => InterfaceState::NoCarrier,
        }
    }

    /// What of `device`, which is how the driver sees it, is true.
    pub(super) fn link(&self, device: Link) -> Link {
        if self.state() != InterfaceState::Up {
            return Link::DOWN;
        }
        if self.tap.is_some() {
            // The kernel gives a tap 10 Mbit/s and DPDK gives it 10 Gbit/s.
            return Link { up: true, speed_mbps: None, full_duplex: true };
        }
        let command = EthtoolCommand { command: ETHTOOL_GSET, ..EthtoolCommand::default() };
        match self.ethtool(command) {
            None => Link { speed_mbps: None, ..device },
            Some(settings) => Link {
                up: device.up,
                speed_mbps: settings.speed(),
                full_duplex: settings.duplex == DUPLEX_FULL,
            },
        }
    }

    /// A request that names the interface; `None` if it is gone.
    fn request(&self) -> Option<libc::ifreq> {
        // SAFETY: all-zero is a valid value of the plain C struct.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_ifru.ifru_ifindex = self.index;
        self.ask(libc::SIOCGIFNAME, &mut request).then_some(request)
    }

    fn ask(&self, what: libc::c_ulong, request: &mut libc::ifreq) -> bool {
        // SAFETY: each of these calls reads and writes one ifreq, and what an
        // ethtool request points to is as `ethtool` says.
        unsafe { libc::ioctl(self.socket.as_raw_fd(), what as _, &raw mut *request) == 0 }
    }

    /// `value` as the kernel filled it in; `None` if the driver does not say.
    fn ethtool<T: Ethtool>(&self, mut value: T) -> Option<T> {
        let mut request = self.request()?;
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        self.ask(libc::SIOCETHTOOL, &mut request).then_some(value)
    }
}

/// The queue says both: a write to a tap that is down would fail, so it is not
/// writable, and a queue without a tap is in error.
fn tap_state(queue: &OwnedFd) -> InterfaceState {
    let mut fds = [PollFd::new(queue.as_fd(), PollFlags::POLLOUT)];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    let events = fds.iter().find_map(PollFd::revents).unwrap_or(PollFlags::POLLERR);
    if polled.is_err() || events.contains(PollFlags::POLLERR) {
        InterfaceState::Removed
    } else if events.contains(PollFlags::POLLOUT) {
        InterfaceState::Up
    } else {
        InterfaceState::Down
    }
}

/// # Safety
/// The type is laid out as the kernel's structure for the command it begins
/// with, and made with no other command.
unsafe trait Ethtool {}

// From linux/ethtool.h, whose layout and numbers are for ever.
const ETHTOOL_GSET: u32 = 0x1;
const ETHTOOL_GLINK: u32 = 0xa;
const DUPLEX_FULL: u8 = 1;

#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

// SAFETY: struct ethtool_value, which ETHTOOL_GLINK takes.
unsafe impl Ethtool for EthtoolValue {}

#[derive(Default)]
#[repr(C)]
struct EthtoolCommand {
    command: u32,
    supported: u32,
    advertising: u32,
    speed: u16,
    duplex: u8,
    bytes: [u8; 5],
    max_packets: [u32; 2],
    speed_high: u16,
    more_bytes: [u8; 2],
    peer_advertising: u32,
    reserved: [u32; 2],
}

// SAFETY: struct ethtool_cmd, which ETHTOOL_GSET takes.
unsafe impl Ethtool for EthtoolCommand {}

const _: () = assert!(size_of::<EthtoolCommand>() == 44);

impl EthtoolCommand {
    fn speed(&self) -> Option<u32> {
        let speed = u32::from(self.speed_high) << 16 | u32::from(self.speed);
        // 0, 65535 and 2^32 - 1 are how drivers say that they do not know.
        (!matches!(speed, 0 | 0xffff | u32::MAX)).then_some(speed)
    }
}
