//! What a worker does when nothing moves.
//!
//! `spin` polls on. `auto` polls for a while and then sleeps until a kick, a
//! frame's descriptor or control wakes it. Ports that cannot tell of a frame are
//! looked at again by a timer. The policy is the one place of the loop that may
//! make system calls.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use super::active::Active;
use super::counters::WorkerStats;
use super::plan::Plan;
use super::port::Device;
use super::wake::Kicks;
use crate::dpdk::clock;

/// How a worker idles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdlePolicy {
    /// Sleep when nothing moves.
    Auto,
    /// Poll always.
    Spin,
}

/// Polling goes on for so long after the last frame: a reply that is on its way
/// finds the worker awake, and a sleep costs more than this.
const AWAKE: Duration = Duration::from_micros(50);

/// Sleep while a port that cannot tell had frames lately, and afterwards.
const NAP: Duration = Duration::from_micros(100);
const DOZE: Duration = Duration::from_millis(1);
const LATELY: Duration = Duration::from_millis(20);

/// What wakes a worker. Shared with control, which adds and removes
/// descriptors as ports and guests come and go.
#[derive(Debug)]
pub struct Waker {
    epoll: Epoll,
    // Edge-triggered like all others: nobody reads it back.
    event: EventFd,
    kicks: Kicks,
}

/// What comes with a descriptor that is no guest's.
const NOBODY: u64 = u64::MAX;

impl Waker {
    /// A waker with nothing but [`Waker::wake`].
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new() -> nix::Result<Self> {
        let waker = Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            event: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            kicks: Kicks::new()?,
        };
        waker.watch(&waker.event)?;
        Ok(waker)
    }

    /// Ends the worker's sleep, now or the next one.
    pub fn wake(&self) {
        // Fails only if the counter is full, and then it is awake.
        _ = self.event.write(1);
    }

    /// From now on the descriptor wakes the worker when it becomes readable.
    ///
    /// # Errors
    /// As `epoll_ctl`.
    pub fn watch(&self, fd: impl AsFd) -> nix::Result<()> {
        let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        self.epoll.add(fd, EpollEvent::new(edge, NOBODY))
    }

    /// From now on what the guest of socket `number` kicks wakes the worker, and
    /// brings the link back if it was parked. Followed by [`Waker::rouse`].
    ///
    /// # Errors
    /// As `epoll_ctl`.
    pub fn watch_guest(&self, kick: &OwnedFd, number: u16) -> nix::Result<()> {
        self.kicks.watch(kick, number)?;
        let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        self.epoll.add(kick, EpollEvent::new(edge, number.into()))
    }

    /// Ends [`Waker::watch`] and [`Waker::watch_guest`]. A descriptor that a guest also holds stays
    /// watched when only our copy is closed.
    pub fn forget(&self, fd: impl AsFd) {
        self.kicks.forget(&fd);
        _ = self.epoll.delete(fd);
    }

    /// Something about the link of socket `number` has changed: the worker wakes
    /// and looks at it, whether it was parked or not.
    pub fn rouse(&self, number: u16) {
        self.kicks.mark(number);
        self.wake();
    }

    pub(super) fn kicks(&self) -> &Kicks {
        &self.kicks
    }

    /// Sleeps until woken, at most `limit`.
    fn sleep(&self, limit: Option<Duration>) {
        // The epoll descriptor is itself waited for, because epoll_wait knows
        // no limits below a millisecond.
        let mut fds = [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        let woken = nix::poll::ppoll(&mut fds, limit.map(TimeSpec::from), None);
        if woken.is_ok_and(|count| count > 0) {
            let mut events = [EpollEvent::empty(); 16];
            let zero = nix::sys::epoll::EpollTimeout::ZERO;
            let count = self.epoll.wait(&mut events, zero).unwrap_or(0);
            // The wake thread may be slower, and the next sleep must not begin
            // before the link is polled.
            let numbers = events.iter().take(count).map(|event| u16::try_from(event.data()));
            numbers.flatten().for_each(|number| self.kicks.mark(number));
        }
    }
}

/// A worker's idle state.
#[derive(Debug)]
pub(super) struct Idle {
    policy: IdlePolicy,
    waker: Arc<Waker>,
    last_frame: u64,
    awake: u64,
    lately: u64,
}

impl Idle {
    pub(super) fn new(policy: IdlePolicy, waker: Arc<Waker>) -> Self {
        // The default slack of 50 microseconds would double a nap.
        _ = nix::sys::prctl::set_timerslack(1);
        let last_frame = clock::ticks();
        let (awake, lately) = (clock::ticks_in(AWAKE), clock::ticks_in(LATELY));
        Self { policy, waker, last_frame, awake, lately }
    }

    pub(super) fn kicks(&self) -> &Kicks {
        self.waker.kicks()
    }

    /// After a turn that ended at `now` (TSC ticks) and moved frames or not.
    #[inline]
    pub(super) fn after(
        &mut self,
        moved: bool,
        now: u64,
        plan: &Plan,
        active: &Active,
        stats: &WorkerStats,
    ) {
        if moved {
            self.last_frame = now;
        } else if self.policy == IdlePolicy::Spin {
            clock::pause();
        } else {
            self.wait(now, plan, active, stats);
        }
    }

    #[cold]
    fn wait(&mut self, now: u64, plan: &Plan, active: &Active, stats: &WorkerStats) {
        let silent = now.saturating_sub(self.last_frame);
        if silent < self.awake {
            clock::pause();
            return;
        }
        let timed = active.ports(plan).any(|port| !port.tells());
        let limit = timed.then_some(if silent < self.lately { NAP } else { DOZE });
        // A guest that sent between the last look at its ring and the request
        // for a kick will not kick: then there is no sleep.
        // Parked links have been asked.
        let waiting = ask_for_kicks(plan, active, true);
        if !waiting {
            stats.sleeps.add(1);
            self.waker.sleep(limit);
        }
        ask_for_kicks(plan, active, false);
    }
}

fn ask_for_kicks(plan: &Plan, active: &Active, wanted: bool) -> bool {
    let mut waiting = false;
    for port in active.ports(plan) {
        if let Device::Vhost(port) = &port.device {
            waiting |= port.ask_for_kicks(wanted);
        }
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_ends_a_sleep_has_left_its_mark() {
        let event = || EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap();
        let waker = Waker::new().unwrap();
        let (kicked, device) = (event(), event());
        let guest = kicked.as_fd().try_clone_to_owned().unwrap();
        waker.watch_guest(&guest, 70).unwrap();
        waker.watch(&device).unwrap();
        let slept = |limit: u64| {
            waker.sleep(Some(Duration::from_millis(limit)));
            let mut marks = Vec::new();
            waker.kicks().take(|number| marks.push(number));
            marks
        };
        assert!(slept(1).is_empty());
        // Each kick, though nobody reads the descriptor.
        for _ in 0..2 {
            kicked.write(1).unwrap();
            assert_eq!(slept(10_000), [70]);
        }
        waker.rouse(7);
        assert_eq!(slept(10_000), [7]);
        device.write(1).unwrap();
        assert!(slept(10_000).is_empty());
        waker.forget(&guest);
        kicked.write(1).unwrap();
        assert!(slept(1).is_empty());
    }
}
