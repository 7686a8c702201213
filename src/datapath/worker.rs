//! A worker: one pinned thread and its poll loop.
//!
//! Started and joined by control. It takes a new plan at the top of a turn,
//! where it holds no frame and no borrow of the old one: that is the quiescent
//! point that lets control close what the old plan named.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::{ArcSwap, Cache};

use super::active::Active;
use super::counters::WorkerStats;
use super::forward::Forwarder;
use super::idle::{Idle, IdlePolicy, Waker};
use super::plan::Plan;
use crate::dpdk::{DpdkError, Lcore};

/// What control and all workers share.
#[derive(Debug, Default)]
pub struct Shared {
    /// The current plan. Control writes, workers read once per turn.
    pub plan: ArcSwap<Plan>,
    /// Set by control: workers end after their turn.
    pub stop: AtomicBool,
}

/// How a worker is started.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// Its number, from 0.
    pub index: u16,
    /// The CPU it is pinned to; `None` leaves it to the scheduler.
    pub core: Option<usize>,
    /// What it does when nothing moves.
    pub idle: IdlePolicy,
}

/// A running worker, as control sees it.
#[derive(Debug)]
pub struct Worker {
    /// Its number.
    pub index: u16,
    /// The CPU it is pinned to.
    pub core: Option<usize>,
    /// Its counters.
    pub stats: Arc<WorkerStats>,
    /// What wakes it.
    pub waker: Arc<Waker>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker and waits until it is pinned and registered.
    ///
    /// # Errors
    /// The thread could not be started, pinned or registered.
    pub fn start(options: WorkerOptions, shared: Arc<Shared>) -> Result<Self, WorkerError> {
        let waker = Arc::new(Waker::new().map_err(std::io::Error::from)?);
        let stats = Arc::new(WorkerStats::default());
        let (started, outcome) = crossbeam::channel::bounded(1);
        let thread =
            std::thread::Builder::new().name(format!("mv-worker-{}", options.index)).spawn({
                let (waker, stats) = (Arc::clone(&waker), Arc::clone(&stats));
                move || match Lcore::register(options.index, options.core) {
                    Ok(lcore) => {
                        _ = started.send(Ok(()));
                        run(lcore, Idle::new(options.idle, waker), &shared, &stats);
                    }
                    Err(error) => _ = started.send(Err(error)),
                }
            })?;
        let worker = Self { index: options.index, core: options.core, stats, waker, thread };
        match outcome.recv() {
            Ok(Ok(())) => Ok(worker),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(std::io::Error::other("the worker thread ended at once").into()),
        }
    }

    /// Waits for the end of a worker that was told to stop.
    pub fn join(self) {
        self.waker.wake();
        _ = self.thread.join();
    }
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The system refused the thread or a descriptor.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// It could not be pinned or registered.
    #[error("{0}")]
    Dpdk(#[from] DpdkError),
}

fn run(lcore: Lcore, mut idle: Idle, shared: &Shared, stats: &WorkerStats) {
    let worker = lcore.index();
    let mut cache = Cache::new(&shared.plan);
    // Held by control, too, until it is no longer held here: it never ends here.
    let mut plan = Arc::clone(cache.load());
    let mut forwarder = Forwarder::new();
    let mut active = Active::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let next = cache.load();
        if !Arc::ptr_eq(next, &plan) {
            Forwarder::let_go(&lcore, &plan);
            plan = Arc::clone(next);
        }
        active.follow(&plan, worker, idle.kicks(), forwarder.now());
        let mut frames = 0;
        for source in active.sources() {
            let moved = forwarder.turn(&lcore, &plan, &source.poll, stats);
            if moved > 0 {
                source.last = forwarder.now();
                frames += moved;
            }
        }
        active.park_silent(&plan, idle.kicks(), forwarder.now());
        idle.after(frames > 0, forwarder.now(), &plan, &active, stats);
        stats.turns.add(1);
        if frames == 0 {
            stats.idle.add(forwarder.lap());
        }
    }
    for poll in plan.polls(worker) {
        forwarder.finish(&lcore, &plan, poll, stats);
    }
    Forwarder::let_go(&lcore, &plan);
}
