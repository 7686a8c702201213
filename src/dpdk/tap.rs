//! net_tap without its signals.
//!
//! The driver has the kernel send a real-time signal for every frame, to any
//! thread, and looks at its queues only after the handler has run. A worker that
//! sleeps on the queue's descriptor can wake before that, find nothing, and
//! sleep on with a frame waiting; other threads are interrupted at the rate of
//! the traffic; and signals that pile up beyond the process' limit turn into a
//! SIGIO, which kills. So the signals are switched off when the queues have been
//! set up, and the handler is called instead, before each look at a queue. That
//! look is a system call, signals or not.
//!
//! Owns nothing of the driver's. Set up by control, used by workers.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;

use super::clock;

/// The handler counts without care for other threads, and a count that goes
/// back could hide a frame from its queue.
static COUNTING: AtomicBool = AtomicBool::new(false);

/// Which signal a descriptor's owner gets: in asm-generic/fcntl.h, but not in libc.
const F_GETSIG: c_int = 11;

/// Has the driver look at its queues, whether or not a signal came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trigger(extern "C" fn(c_int));

impl Trigger {
    /// Takes the place of the signals of `queues`. `None` if they have none,
    /// and then the driver looks each time by itself.
    pub(super) fn replace(queues: &[OwnedFd]) -> Option<Self> {
        let trigger = queues.iter().find_map(handler_of).map(Self)?;
        for queue in queues {
            let fd = queue.as_raw_fd();
            // SAFETY: both calls pass numbers for a descriptor that is open.
            unsafe {
                let flags = libc::fcntl(fd, libc::F_GETFL);
                libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_ASYNC);
            }
        }
        Some(trigger)
    }

    #[inline]
    pub(super) fn pull(self) {
        while COUNTING.swap(true, Ordering::Acquire) {
            clock::pause();
        }
        (self.0)(0);
        COUNTING.store(false, Ordering::Release);
    }
}

/// The handler of the signal that `queue` sends.
fn handler_of(queue: &OwnedFd) -> Option<extern "C" fn(c_int)> {
    // SAFETY: passes numbers for a descriptor that is open.
    let signal = unsafe { libc::fcntl(queue.as_raw_fd(), F_GETSIG) };
    if signal < libc::SIGRTMIN() || signal > libc::SIGRTMAX() {
        return None;
    }
    // SAFETY: all-zero is a valid value of the plain C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only asks; `action` is writable.
    let code = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    let handler = action.sa_sigaction;
    let plain = action.sa_flags & libc::SA_SIGINFO == 0;
    if code != 0 || !plain || handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return None;
    }
    // SAFETY: the address of a function that takes a signal's number, for this
    // is how the kernel would call it. It belongs to the driver, which stays
    // loaded. A handler may be called at any time on any thread.
    Some(unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) })
}
