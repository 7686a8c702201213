//! A bell for librte_vhost's event thread.
//!
//! That thread looks at sockets that came or went once a second, unless one of
//! those it knows has something to say: until then a new guest waits, and once
//! its table is full of sockets that are gone, so does whoever opens the next.
//! The library has a pipe to ring it with and tells nobody: it is found by being
//! new. Where it is not found, things take up to a second, as before.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::fds;

/// The pipe's end for writing, once the library has started its thread.
static BELL: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// Runs `start`, the library's own start of a socket; with the first one it
/// starts its thread and makes the pipe.
pub(super) fn listen<T, E>(start: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let before = BELL.get().is_none().then(write_ends);
    let started = start()?;
    if let Some(before) = before {
        let new: Vec<RawFd> =
            write_ends().into_iter().filter(|end| !before.contains(end)).collect();
        let found = match *new {
            [end] => {
                // SAFETY: the library keeps it open for as long as the process lives.
                let end = unsafe { BorrowedFd::borrow_raw(end) };
                end.try_clone_to_owned().ok()
            }
            // Somebody else made one meanwhile: better none than a wrong one.
            _ => None,
        };
        if found.is_none() {
            tracing::debug!("librte_vhost's event thread cannot be woken");
        }
        // Control alone opens ports.
        _ = BELL.set(found);
    }
    Ok(started)
}

/// Lets the thread look at its sockets now.
pub(super) fn ring() {
    let Some(Some(bell)) = BELL.get() else { return };
    let mut fds = [PollFd::new(bell.as_fd(), PollFlags::POLLOUT)];
    // One that is full rings already; to write into it would mean to wait.
    if poll(&mut fds, PollTimeout::ZERO) == Ok(1) {
        _ = nix::unistd::write(bell, b"1");
    }
}

/// The ends for writing of this process' pipes.
fn write_ends() -> Vec<RawFd> {
    let is_end = |fd: &RawFd| {
        let pipe = std::fs::read_link(format!("/proc/self/fd/{fd}"))
            .is_ok_and(|path| path.as_os_str().to_string_lossy().starts_with("pipe:"));
        // SAFETY: asks for flags; a descriptor that was closed meanwhile is an error.
        let end = unsafe { BorrowedFd::borrow_raw(*fd) };
        let flags = fcntl(end, FcntlArg::F_GETFL).map(OFlag::from_bits_truncate);
        pipe && flags.is_ok_and(|flags| flags & OFlag::O_ACCMODE == OFlag::O_WRONLY)
    };
    fds::open().filter(is_end).collect()
}
