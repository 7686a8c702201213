//! Publication of plans and the end of what they named.
//!
//! Owns the workers, the current plan and the retiring ones. A plan on the
//! retiring list is dropped here, on the control thread, once no worker holds
//! it; with it go the ports that only it still named. Never waits for a worker.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use macvlan::drop::DropReason;
use tracing::warn;

use crate::datapath::{BroadcastQueue, Plan, Port, PortStats, Shared, Totals, WakeThread, Worker};

/// A worker that holds a plan for longer than this is named in the log, again
/// after twice the time, and so on.
const STALLED: Duration = Duration::from_secs(1);

struct Retiring {
    plan: Arc<Plan>,
    /// How many were published before it.
    number: u64,
    since: Instant,
    warn_after: Duration,
    /// Turns of each worker when it was published: one that still has as many
    /// has not come round since.
    turns: Vec<u64>,
}

/// A port that was removed and may still be in a plan.
struct Closing {
    /// The socket or device that is not free before the port is closed.
    resource: String,
    port: Weak<Port>,
    stats: Arc<PortStats>,
    /// Of a lower: its broadcast queue, which nobody empties any more.
    queue: Option<Arc<BroadcastQueue>>,
    /// Its frames are counted by the port that carries them, too.
    is_vlan: bool,
}

/// Publishes plans to the workers.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Of the current plan.
    number: u64,
    wake: WakeThread,
    retiring: VecDeque<Retiring>,
    closing: Vec<Closing>,
    /// Counters of ports that are gone.
    gone: Totals,
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>, workers: Vec<Worker>, wake: WakeThread) -> Self {
        Self {
            shared,
            workers,
            number: 0,
            wake,
            retiring: VecDeque::new(),
            closing: Vec::new(),
            gone: Totals::default(),
        }
    }

    pub(super) fn workers(&self) -> &[Worker] {
        &self.workers
    }

    pub(super) fn worker_count(&self) -> u16 {
        u16::try_from(self.workers.len()).unwrap_or(u16::MAX)
    }

    /// How many plans were published before the current one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// No worker goes by a plan that is older than this one.
    pub(super) fn is_followed(&self, number: u64) -> bool {
        self.retiring.front().is_none_or(|oldest| oldest.number >= number)
    }

    /// Plans that some worker may still read.
    pub(super) fn is_retiring(&self) -> bool {
        !self.retiring.is_empty()
    }

    /// Makes `plan` the current one.
    pub(super) fn publish(&mut self, plan: Plan) {
        self.wake.follow(&plan);
        let plan = self.shared.plan.swap(Arc::new(plan));
        let turns = self.workers.iter().map(|worker| worker.stats.totals().turns).collect();
        let since = Instant::now();
        let (number, warn_after) = (self.number, STALLED);
        self.number += 1;
        self.retiring.push_back(Retiring { plan, number, since, warn_after, turns });
        // A sleeping worker holds the old plan.
        self.workers.iter().for_each(|worker| worker.waker.wake());
        self.retire();
    }

    /// Remembers a port that the registry has let go; it closes with the last
    /// plan that names it.
    pub(super) fn close_later(
        &mut self,
        resource: String,
        port: &Arc<Port>,
        queue: Option<Arc<BroadcastQueue>>,
    ) {
        let (stats, is_vlan) = (Arc::clone(&port.stats), port.is_vlan());
        let port = Arc::downgrade(port);
        // One that went from link to link within a change is closed for each of them.
        if self.closing.iter().any(|closing| closing.port.ptr_eq(&port)) {
            return;
        }
        self.closing.push(Closing { resource, port, stats, queue, is_vlan });
    }

    /// The socket or device belongs to a port that is not closed yet.
    pub(super) fn is_closing(&self, resource: &str) -> bool {
        // What no plan has named closes at once, and may still stand in the list.
        let is_open = |closing: &Closing| closing.port.strong_count() > 0;
        self.closing.iter().any(|closing| closing.resource == resource && is_open(closing))
    }

    /// Drops the plans that no worker holds any more, oldest first.
    pub(super) fn retire(&mut self) {
        while let Some(mut oldest) = self.retiring.pop_front() {
            match Arc::try_unwrap(oldest.plan) {
                // The end of the grace period: ports named by this plan alone close here.
                Ok(plan) => drop(plan),
                Err(plan) => {
                    oldest.plan = plan;
                    if oldest.since.elapsed() >= oldest.warn_after {
                        oldest.warn_after *= 2;
                        self.warn_of(&oldest);
                    }
                    self.retiring.push_front(oldest);
                    break;
                }
            }
        }
        self.closing.retain(|closing| {
            let open = closing.port.strong_count() > 0;
            if !open {
                add(&mut self.gone, &closing.stats.totals(), closing.is_vlan);
                let waiting = closing.queue.as_ref().map_or(0, |queue| queue.discard());
                if let Some(dropped) = self.gone.rx_drops.get_mut(DropReason::BcQueueFull.index()) {
                    *dropped += waiting;
                }
            }
            open
        });
    }

    fn warn_of(&self, oldest: &Retiring) {
        let stalled = self.workers.iter().zip(&oldest.turns);
        let stalled = stalled.filter(|(worker, turns)| worker.stats.totals().turns == **turns);
        let stalled: Vec<String> = stalled.map(|(worker, _)| worker.index.to_string()).collect();
        let (workers, retiring) = (stalled.join(", "), self.retiring.len() + 1);
        let waited = oldest.since.elapsed();
        warn!(workers, retiring, "a worker has not taken the new plan for {waited:?}");
    }

    /// Ends the workers, and with them the last readers of any plan. Returns
    /// the counters of all ports that were removed earlier.
    pub(super) fn stop(mut self) -> Totals {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.workers.iter().for_each(|worker| worker.waker.wake());
        self.workers.drain(..).for_each(Worker::join);
        self.shared.plan.store(Arc::default());
        self.retire();
        self.gone
    }
}

/// Adds up what conservation is about. What a VLAN moves is counted by the port
/// that carries it.
pub(super) fn add(sum: &mut Totals, more: &Totals, is_vlan: bool) {
    if !is_vlan {
        sum.rx_packets += more.rx_packets;
        sum.rx_bytes += more.rx_bytes;
        sum.tx_packets += more.tx_packets;
        sum.tx_bytes += more.tx_bytes;
    }
    sum.copies += more.copies;
    sum.rx_drops.iter_mut().zip(more.rx_drops).for_each(|(sum, more)| *sum += more);
    sum.tx_drops.iter_mut().zip(more.tx_drops).for_each(|(sum, more)| *sum += more);
}
