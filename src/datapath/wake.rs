//! The wake thread: brings back links that their worker no longer polls.
//!
//! A worker with many sources parks a guest's link that is silent (`active.rs`)
//! and hears of it again by a mark: a bit per socket, and one word that says
//! that there are any. The thread marks what guests kick; control marks what
//! changes otherwise (a guest, a queue, a frame of ours). The thread never
//! touches a ring, and nobody waits for it.
//!
//! Why no frame stays behind: whatever way a frame comes to a parked link, the
//! link is marked after it has come, and no mark is lost.
//!
//! 1. It came as the link was parked. The worker wishes for kicks and then looks
//!    at the ring; the guest puts its frame in and then looks at the wish: one of
//!    them sees what the other did. (The library can count what is in split
//!    rings, and packed ones are not offered.)
//! 2. The guest kicks. Its descriptor is edge-triggered and never read: each
//!    write is an edge, and one that was written before it is added counts.
//! 3. The guest, its queue or its descriptor is another. The library tells after
//!    the change (it repeats the last wish for a queue that is enabled again, and
//!    knows of none for a new guest), control watches the new descriptor then,
//!    and marks last: a kick before the watching is covered by the mark. A closed
//!    gate may therefore be parked, and a ring that cannot be asked is polled on,
//!    as is a guest that has no descriptor or takes it away.
//! 4. Control puts in a frame of ours, and marks.
//! 5. A new plan makes all links active: what was parked under the old one is
//!    looked at anyhow. A mark for a socket that is gone finds nothing, or the
//!    next one with its number.
//! 6. The worker sleeps. Its own set has the descriptors, too, and it marks what
//!    woke it; control rings after it has marked.
//! 7. Nobody listens any more. Then everything is marked, and nothing parked.
//!
//! No mark is lost: bits are set before the word, and the word is cleared before
//! bits are taken, both by read-modify-write, so that a bit set too late for one
//! look has its word set for the next. And none is wasted: one thread parks and
//! takes marks, so a mark that it took for an active link came before the look
//! at the ring that parks it. A mark too many costs a look.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam::utils::CachePadded;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::idle::Waker;
use super::plan::Plan;
use super::worker::Worker;

/// Sockets that the library has room for, and words that hold a bit for each.
const SOCKETS: u16 = 1024;
const WORDS: usize = SOCKETS as usize / 64;

/// What the thread is told to end with.
const END: u64 = u64::MAX;

/// Which of a worker's links were kicked.
#[derive(Debug)]
pub(super) struct Kicks {
    /// The descriptors that its guests kick, with their sockets' numbers.
    epoll: Epoll,
    any: CachePadded<AtomicBool>,
    bits: [AtomicU64; WORDS],
    /// The thread listens: links may be parked.
    heard: AtomicBool,
}

impl Kicks {
    pub(super) fn new() -> nix::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            any: CachePadded::default(),
            bits: Default::default(),
            heard: AtomicBool::new(false),
        })
    }

    pub(super) fn watch(&self, kick: impl AsFd, number: u16) -> nix::Result<()> {
        let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        self.epoll.add(kick, EpollEvent::new(edge, number.into()))
    }

    pub(super) fn forget(&self, kick: impl AsFd) {
        _ = self.epoll.delete(kick);
    }

    /// Lets the worker look at a link in its next turn.
    pub(super) fn mark(&self, number: u16) {
        if let Some(bits) = self.bits.get(usize::from(number / 64)) {
            bits.fetch_or(1 << (number % 64), Ordering::Release);
            // Not a store, which would hide the bits of whoever set it before.
            self.any.swap(true, Ordering::AcqRel);
        }
    }

    /// There are marks.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Takes all marks.
    pub(super) fn take(&self, mut each: impl FnMut(u16)) {
        self.any.swap(false, Ordering::AcqRel);
        for (word, bits) in (0_u16..).zip(&self.bits) {
            // Most hold nothing, and a look does not take the line.
            if bits.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut left = bits.swap(0, Ordering::Acquire);
            while left != 0 {
                let bit = u16::try_from(left.trailing_zeros()).unwrap_or(0);
                each(word * 64 + bit);
                left &= left - 1;
            }
        }
    }

    /// Links may be parked: somebody listens to their kicks.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Marks what was kicked; as many as fit, the others keep the set readable.
    fn collect(&self) {
        let mut events = [EpollEvent::empty(); 64];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        for event in events.iter().take(count) {
            self.mark(u16::try_from(event.data()).unwrap_or(u16::MAX));
        }
    }
}

/// The thread, for all workers. Started after them and ended by dropping it,
/// after them.
#[derive(Debug)]
pub struct WakeThread {
    epoll: Arc<Epoll>,
    end: EventFd,
    wakers: Arc<[Arc<Waker>]>,
    thread: Option<JoinHandle<()>>,
}

impl WakeThread {
    /// Starts the thread. It listens to nobody before [`WakeThread::follow`].
    ///
    /// # Errors
    /// The system refused the thread or a descriptor.
    pub fn start(workers: &[Worker]) -> std::io::Result<Self> {
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        let end = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&end, EpollEvent::new(EpollFlags::EPOLLIN, END))?;
        let wakers: Arc<[_]> = workers.iter().map(|worker| Arc::clone(&worker.waker)).collect();
        let thread = std::thread::Builder::new().name("mv-wake".to_owned()).spawn({
            let (epoll, wakers) = (Arc::clone(&epoll), Arc::clone(&wakers));
            move || run(&epoll, &wakers)
        })?;
        Ok(Self { epoll, end, wakers, thread: Some(thread) })
    }

    /// Listens to the kicks of workers that have many sources in `plan`, and to
    /// no others: a worker that parks nothing would have its guests' kicks wake
    /// a second thread. Called before the plan is published.
    pub fn follow(&self, plan: &Plan) {
        for (worker, waker) in (0_u16..).zip(&*self.wakers) {
            let kicks = waker.kicks();
            let wanted = plan.has_many_sources(worker);
            if wanted == kicks.is_heard() {
                continue;
            }
            let done = if wanted {
                // Level-triggered: it comes back until all is marked.
                let event = EpollEvent::new(EpollFlags::EPOLLIN, worker.into());
                self.epoll.add(&kicks.epoll.0, event)
            } else {
                self.epoll.delete(&kicks.epoll.0)
            };
            match done {
                Ok(()) => kicks.heard.store(wanted, Ordering::Relaxed),
                // Polling all of them is only slower.
                Err(error) => tracing::warn!(worker, "its idle links stay polled: {error}"),
            }
        }
    }
}

impl Drop for WakeThread {
    fn drop(&mut self) {
        _ = self.end.write(1);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

fn run(epoll: &Epoll, wakers: &[Arc<Waker>]) {
    let mut events = [EpollEvent::empty(); 16];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => continue,
            Err(error) => {
                tracing::error!("the wake thread ends: {error}");
                for waker in wakers {
                    waker.kicks().heard.store(false, Ordering::Relaxed);
                    (0..SOCKETS).for_each(|number| waker.rouse(number));
                }
                return;
            }
        };
        for event in events.iter().take(count) {
            if event.data() == END {
                return;
            }
            let worker = usize::try_from(event.data()).ok();
            if let Some(waker) = worker.and_then(|worker| wakers.get(worker)) {
                waker.kicks().collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(kicks: &Kicks) -> Vec<u16> {
        let mut numbers = Vec::new();
        kicks.take(|number| numbers.push(number));
        numbers
    }

    #[test]
    fn marks_are_taken_once_and_none_is_lost() {
        let kicks = Kicks::new().unwrap();
        assert!(!kicks.any());
        for number in [1023, 0, 63, 64, 0] {
            kicks.mark(number);
        }
        // No socket has it.
        kicks.mark(1024);
        assert!(kicks.any());
        assert_eq!(taken(&kicks), [0, 63, 64, 1023]);
        assert!(!kicks.any() && taken(&kicks).is_empty());
    }

    #[test]
    fn a_mark_outlives_a_look_that_came_too_early() {
        // Each marker waits until its mark was taken before it makes the next:
        // one that is lost stops it for good.
        let kicks = Kicks::new().unwrap();
        let seen: [AtomicU64; 2] = Default::default();
        let rounds = 50_000;
        std::thread::scope(|scope| {
            for (number, seen) in (0_u16..).zip(&seen) {
                let kicks = &kicks;
                scope.spawn(move || {
                    for round in 0..rounds {
                        kicks.mark(number * 100);
                        while seen.load(Ordering::Acquire) == round {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            while seen.iter().any(|seen| seen.load(Ordering::Relaxed) < rounds) {
                if kicks.any() {
                    kicks.take(|number| {
                        _ = seen[usize::from(number / 100)].fetch_add(1, Ordering::Release);
                    });
                } else {
                    std::thread::yield_now();
                }
            }
        });
    }
}
