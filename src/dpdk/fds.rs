//! Descriptors that DPDK opened and does not tell of.
//!
//! Found among the process' own by kind and address, for two ends: to let a
//! sleeping worker be woken by a packet socket or a tap, and to see that a guest has
//! hung up before librte_vhost has noticed. Nobody here reads or writes them.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockaddrLike, SockaddrStorage, getsockname};

/// Duplicates of this process' packet sockets bound to network interface
/// `if_index`; empty for 0, which is what a device without interface has.
pub(super) fn packet_sockets(if_index: u32) -> Vec<OwnedFd> {
    let bound = |address: &SockaddrStorage| {
        address
            .as_link_addr()
            .is_some_and(|link| if_index != 0 && link.ifindex() == if_index as usize)
    };
    sockets(bound).into_iter().filter_map(|fd| fd.try_clone_to_owned().ok()).collect()
}

/// Makes packet sockets deaf to what this machine itself sends through their
/// interface: a macvlan has its hook where frames come in (TX-10). The option
/// made for it has no effect on sockets that share their frames (fanout).
///
/// # Errors
/// As `setsockopt`.
pub(super) fn ignore_outgoing(sockets: &[OwnedFd]) -> nix::Result<()> {
    // Loads the frame's type; 0 bytes of an outgoing one are kept, else all.
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt: 0,
        jf: 0,
        k,
    };
    let packet_type = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
    let outgoing = u32::from(libc::PACKET_OUTGOING);
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, packet_type),
        libc::sock_filter {
            jf: 1,
            ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, outgoing)
        },
        statement(libc::BPF_RET | libc::BPF_K, 0),
        statement(libc::BPF_RET | libc::BPF_K, u32::MAX),
    ];
    let program = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    for socket in sockets {
        // SAFETY: the option's value is a sock_fprog whose instructions the
        // kernel copies during the call.
        let code = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                libc::socklen_t::try_from(size_of::<libc::sock_fprog>()).unwrap_or(0),
            )
        };
        nix::errno::Errno::result(code)?;
    }
    Ok(())
}

/// Duplicates of this process' queues of the tap `name` that carry frames. The
/// one that net_tap holds to keep the interface alive is detached and does not.
pub(super) fn tap_queues(name: &str) -> Vec<OwnedFd> {
    let is_tun = |fd: &RawFd| {
        std::fs::read_link(format!("/proc/self/fd/{fd}"))
            .is_ok_and(|path| path.as_os_str() == "/dev/net/tun")
    };
    let ours = |fd: &RawFd| {
        // SAFETY: all-zero is a valid value of the plain C struct.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // SAFETY: this call writes one ifreq.
        let code = unsafe { libc::ioctl(*fd, libc::TUNGETIFF as _, &raw mut request) };
        // SAFETY: the kernel wrote a NUL-terminated name and flags, or all is zero.
        let (bound, flags) =
            unsafe { (CStr::from_ptr(request.ifr_name.as_ptr()), request.ifr_ifru.ifru_flags) };
        let detached = libc::c_int::from(flags) & libc::IFF_DETACH_QUEUE != 0;
        code == 0 && !detached && bound.to_bytes() == name.as_bytes()
    };
    let mut queues: Vec<RawFd> = open().filter(is_tun).filter(ours).collect();
    queues.sort_unstable();
    // SAFETY: open a moment ago, and the device that owns it is being set up on
    // this thread.
    let queues = queues.into_iter().map(|fd| unsafe { BorrowedFd::borrow_raw(fd) });
    queues.filter_map(|fd| fd.try_clone_to_owned().ok()).collect()
}

/// The connections of the Unix socket at `path`: those that were accepted from
/// it, or made to it. A guest may be in this process, too (tests).
pub(super) fn connections(path: &Path, accepted: bool) -> Vec<RawFd> {
    let is_path = |address: &SockaddrStorage| {
        let bound = address.as_unix_addr().and_then(|unix| unix.path());
        bound.is_some_and(|bound| bound.as_os_str().as_bytes() == path.as_os_str().as_bytes())
    };
    let peer = |fd: &RawFd| nix::sys::socket::getpeername::<SockaddrStorage>(*fd);
    let own = |fd: &RawFd| getsockname::<SockaddrStorage>(*fd);
    if accepted {
        // What listens has no peer.
        open().filter(|fd| own(fd).is_ok_and(|near| is_path(&near)) && peer(fd).is_ok()).collect()
    } else {
        open().filter(|fd| peer(fd).is_ok_and(|far| is_path(&far))).collect()
    }
}

/// The peer of a connection has closed it. `fd` stays open during the call.
pub(super) fn has_hung_up(fd: RawFd) -> bool {
    // SAFETY: the library closes a connection on the thread whose callback asks.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let mut fds = [PollFd::new(fd, PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok()
        && fds.iter().filter_map(PollFd::revents).any(|events| events.contains(PollFlags::POLLHUP))
}

/// Reads and writes of the connection never wait for the peer.
pub(super) fn unblock(fd: RawFd) {
    // SAFETY: as above; passes numbers only.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK);
    }
}

/// The sockets of this process whose own address is `wanted`.
fn sockets<'a>(wanted: impl Fn(&SockaddrStorage) -> bool) -> Vec<BorrowedFd<'a>> {
    // What is no socket makes getsockname fail.
    let matches = |fd: &RawFd| {
        getsockname::<SockaddrStorage>(*fd).is_ok_and(|address| {
            matches!(
                address.family().map(|family| family as i32),
                Some(libc::AF_PACKET | libc::AF_UNIX)
            ) && wanted(&address)
        })
    };
    open()
        .filter(matches)
        // SAFETY: open a moment ago, and its owner (a device being set up, a
        // connection whose callback runs) closes it on this thread only.
        .map(|fd| unsafe { BorrowedFd::borrow_raw(fd) })
        .collect()
}

/// Numbers among which all descriptors of this process are: asking each what it
/// is costs less than a list of those that are open, and with a thousand guests
/// there are thousands.
pub(super) fn open() -> std::ops::Range<RawFd> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
    0..size.and_then(|size| size.trim().parse().ok()).unwrap_or(0)
}
