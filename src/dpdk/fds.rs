//! Descriptors that DPDK opened and does not tell of.
//!
//! Found among the process' own by kind and address, for two ends: to let a
//! sleeping worker be woken by a packet socket, and to see that a guest has
//! hung up before librte_vhost has noticed. Nobody here reads or writes them.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
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

/// Whether some connection of the listening Unix socket at `path` was closed by
/// its peer.
pub(super) fn has_hung_up(path: &Path) -> bool {
    let ours = |address: &SockaddrStorage| {
        let bound = address.as_unix_addr().and_then(|unix| unix.path());
        bound.is_some_and(|bound| bound.as_os_str().as_bytes() == path.as_os_str().as_bytes())
    };
    sockets(ours).into_iter().any(|fd| {
        let mut fds = [PollFd::new(fd, PollFlags::empty())];
        let polled = poll(&mut fds, PollTimeout::ZERO);
        let hung_up = fds
            .iter()
            .filter_map(PollFd::revents)
            .any(|events| events.contains(PollFlags::POLLHUP));
        // The listening socket itself reports a hang-up, too: it has no peer.
        polled.is_ok() && hung_up && !is_listening(fd)
    })
}

fn is_listening(fd: BorrowedFd<'_>) -> bool {
    nix::sys::socket::getsockopt(&fd, nix::sys::socket::sockopt::AcceptConn).unwrap_or(true)
}

/// The sockets of this process whose own address is `wanted`.
fn sockets<'a>(wanted: impl Fn(&SockaddrStorage) -> bool) -> Vec<BorrowedFd<'a>> {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open = open.filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    // What is no socket makes getsockname fail.
    let matches = |fd: &RawFd| {
        getsockname::<SockaddrStorage>(*fd).is_ok_and(|address| {
            matches!(
                address.family().map(|family| family as i32),
                Some(libc::AF_PACKET | libc::AF_UNIX)
            ) && wanted(&address)
        })
    };
    open.filter(matches)
        // SAFETY: open a moment ago, and its owner (a device being set up, a
        // connection whose callback runs) closes it on this thread only.
        .map(|fd| unsafe { BorrowedFd::borrow_raw(fd) })
        .collect()
}
