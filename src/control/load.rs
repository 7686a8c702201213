//! How busy the workers are, with what, and who shall poll what.
//!
//! Control looks at the counters every few seconds, so that what is said of now
//! does not mean since the start. On request sources go from worker to worker:
//! a queue has one worker at a time, so the old one lets go of it by one plan,
//! and only when no worker holds an older one does the next give it to the new.
//! Nobody waits for that; frames wait in their rings.

use std::sync::Arc;

use hashbrown::HashMap;
use macvlan::driver::Index;
use mvctl::proto::{Moved, Rebalanced, RpcError, WorkerPort, WorkerShow};

use super::registry::{Poller, Registry};
use super::{Control, Outcome};
use crate::datapath::{PortStats, WorkerTotals};
use crate::dpdk::clock;

/// How old the older of two looks is at least.
const WINDOW: std::time::Duration = std::time::Duration::from_secs(2);

/// What a rebalance must take off the busiest worker, as a share of its load.
const WORTHWHILE: f64 = 0.05;

/// Loads that are about the same, in shares of a worker.
const ABOUT: f64 = 0.01;

/// The counters at one moment.
#[derive(Default)]
struct Look {
    /// In TSC ticks.
    at: u64,
    workers: Vec<WorkerTotals>,
    /// Ticks by worker, by the counters' place in memory, which is theirs as
    /// long as they are kept here.
    ports: HashMap<usize, (Arc<PortStats>, Box<[u64]>)>,
}

/// The looks at the counters.
pub(super) struct Loads {
    older: Look,
    newer: Look,
    /// TSC ticks between them.
    window: u64,
    /// The plan by which sources were let go of that are to be polled again.
    moving: Option<u64>,
}

impl Loads {
    pub(super) fn new() -> Self {
        let look = || Look { at: clock::ticks(), ..Look::default() };
        Self { older: look(), newer: look(), window: clock::ticks_in(WINDOW), moving: None }
    }

    /// Share of its time that `worker` spent on frames received by this port.
    fn of(&self, stats: &Arc<PortStats>, worker: u16, now: u64) -> f64 {
        let worker = usize::from(worker);
        let before = self.older.ports.get(&Arc::as_ptr(stats).addr());
        let before = before.and_then(|(_, ticks)| ticks.get(worker)).copied().unwrap_or(0);
        let ticks = stats.busy().nth(worker).unwrap_or(0).saturating_sub(before);
        share(ticks, now.saturating_sub(self.older.at))
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people, and for comparisons")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// What a worker polls: a queue of a lower, the port of its host, of a link.
#[derive(Clone, Copy)]
enum Source {
    Queue(Index, u16),
    Host(Index),
    Link(Index),
}

/// A source, who polls it, and how much of a worker it takes.
struct Polled {
    source: Source,
    port: Arc<str>,
    worker: u16,
    load: f64,
}

impl Control {
    /// Looks at the counters, if it is time to.
    pub(super) fn look_at_loads(&mut self) {
        let now = clock::ticks();
        if now.saturating_sub(self.loads.newer.at) >= self.loads.window {
            let look = self.look_now(now);
            self.loads.older = std::mem::replace(&mut self.loads.newer, look);
        }
    }

    fn look_now(&self, at: u64) -> Look {
        let inventory = self.registry.inventory.load();
        let entry = |stats: &Arc<PortStats>| {
            (Arc::as_ptr(stats).addr(), (Arc::clone(stats), stats.busy().collect()))
        };
        Look {
            at,
            workers: inventory.workers.iter().map(|worker| worker.stats.totals()).collect(),
            ports: inventory.ports.iter().map(|port| entry(&port.stats)).collect(),
        }
    }

    /// The workers, by number.
    pub(super) fn workers(&self) -> Vec<WorkerShow> {
        let now = clock::ticks();
        let polled = self.polled(now);
        let show = |(number, worker): (usize, &crate::datapath::Worker)| {
            let totals = worker.stats.totals();
            let before = self.loads.older.workers.get(number).copied().unwrap_or_default();
            let recent = totals.since(&before);
            let ports = polled.iter().filter(|polled| polled.worker == worker.index);
            WorkerShow {
                worker: worker.index,
                core: worker.core,
                ports: ports.map(Polled::show).collect(),
                load: recent.load() * 100.0,
                cycles_per_frame: recent.cycles_per_frame(),
                frames_per_batch: recent.frames_per_batch(),
                turns: totals.turns,
                frames: totals.frames,
                sent: totals.sent,
                batches: totals.batches,
                sleeps: totals.sleeps,
                busy_ticks: totals.busy,
                idle_ticks: totals.idle,
            }
        };
        self.publisher.workers().iter().enumerate().map(show).collect()
    }

    /// Spreads what is polled over the workers by what it takes of them.
    ///
    /// # Errors
    /// EBUSY: the one before is still under way.
    pub(super) fn rebalance(&mut self) -> Outcome<Rebalanced> {
        if self.loads.moving.is_some() {
            return Err(RpcError::ebusy(
                "queues are on their way from worker to worker: a worker has not let go of one yet",
            ));
        }
        let polled = self.polled(clock::ticks());
        let workers = self.publisher.worker_count();
        let loads: Vec<(u16, f64)> = polled.iter().map(|it| (it.worker, it.load)).collect();
        let targets = spread(&loads, workers);
        let after = loads.iter().zip(&targets).map(|(&(_, load), &worker)| (worker, load));
        let answer = Rebalanced {
            before: sums(loads.iter().copied(), workers),
            after: sums(after, workers),
            moved: polled.iter().zip(&targets).filter_map(|(it, &to)| it.moved(to)).collect(),
        };
        if answer.moved.is_empty() {
            return Ok(answer);
        }
        let moves = || polled.iter().zip(&targets).filter(|(it, to)| it.worker != **to);
        moves().for_each(|(it, &to)| self.give(it.source, Poller { worker: to, moving: true }));
        if let Err(error) = self.commit(self.registry.driver().clone()) {
            moves().for_each(|(it, _)| self.give(it.source, Poller::at(it.worker)));
            return Err(error);
        }
        self.loads.moving = Some(self.publisher.number());
        self.end_moves();
        Ok(answer)
    }

    /// Lets sources be polled by their new workers, if the old ones let go.
    pub(super) fn end_moves(&mut self) {
        if !self.loads.moving.is_some_and(|plan| self.publisher.is_followed(plan)) {
            return;
        }
        self.loads.moving = None;
        let Registry { lowers, links, .. } = &mut self.registry;
        let lowers = lowers.iter_mut().flat_map(|lower| {
            lower.queues.iter_mut().chain(lower.host.as_mut().map(|host| &mut host.poller))
        });
        let pollers = lowers.chain(links.values_mut().map(|link| &mut link.poller));
        pollers.for_each(|poller| poller.moving = false);
        // Nothing new is asked of a device.
        if let Err(error) = self.commit(self.registry.driver().clone()) {
            tracing::error!("queues that were moved are not polled: {}", error.message);
        }
    }

    /// Names who polls it, and lets it wake that worker instead of the one before.
    fn give(&mut self, source: Source, to: Poller) {
        let (registry, workers) = (&mut self.registry, self.publisher.workers());
        match source {
            // Its device wakes all of them.
            Source::Queue(lower, queue) => {
                let lower = registry.lower_mut(lower);
                let queue = lower.and_then(|lower| lower.queues.get_mut(usize::from(queue)));
                queue.into_iter().for_each(|poller| *poller = to);
            }
            Source::Host(lower) => {
                let host = registry.lower_mut(lower).and_then(|lower| lower.host.as_mut());
                if let Some(host) = host {
                    host.unwatch_device(workers);
                    host.poller = to;
                    host.watch_device(workers);
                }
            }
            Source::Link(index) => {
                if let Some(link) = registry.links.get_mut(&index) {
                    link.unwatch(workers);
                    link.poller = to;
                    link.watch_device(workers);
                    // Its guest's descriptor, and whatever became of that guest.
                    self.port_changed(index);
                }
            }
        }
    }

    /// Everything that is polled, lower by lower.
    fn polled(&self, now: u64) -> Vec<Polled> {
        let driver = self.registry.driver();
        let mut polled = Vec::new();
        for lower in &self.registry.lowers {
            // Its counters do not know queues: those of a worker share its load.
            let sharing = |worker| lower.queues.iter().filter(|it| it.worker == worker).count();
            for (queue, poller) in (0..).zip(&lower.queues) {
                let source = Source::Queue(lower.index, queue);
                let load = self.loads.of(&lower.port.stats, poller.worker, now);
                let count = u32::try_from(sharing(poller.worker)).unwrap_or(u32::MAX);
                polled.push(Polled {
                    source,
                    port: Arc::clone(&lower.port.name),
                    worker: poller.worker,
                    load: load / f64::from(count),
                });
            }
            let host = lower
                .host
                .as_ref()
                .map(|host| (Source::Host(lower.index), &host.port, host.poller.worker));
            let links = driver.links_of(lower.index).filter_map(|link| {
                let of = self.registry.links.get(&link.index)?;
                Some((Source::Link(link.index), &of.port, of.poller.worker))
            });
            for (source, port, worker) in host.into_iter().chain(links) {
                let load = self.loads.of(&port.stats, worker, now);
                polled.push(Polled { source, port: Arc::clone(&port.name), worker, load });
            }
        }
        polled
    }
}

impl Polled {
    fn queue(&self) -> Option<u16> {
        match self.source {
            Source::Queue(_, queue) => Some(queue),
            Source::Host(_) | Source::Link(_) => None,
        }
    }

    fn show(&self) -> WorkerPort {
        WorkerPort { port: self.port.to_string(), queue: self.queue(), load: self.load * 100.0 }
    }

    fn moved(&self, to: u16) -> Option<Moved> {
        let (port, queue, from) = (self.port.to_string(), self.queue(), self.worker);
        (from != to).then_some(Moved { port, queue, from, to })
    }
}

/// What each worker has of it, in percent.
fn sums(loads: impl Iterator<Item = (u16, f64)>, workers: u16) -> Vec<f64> {
    let mut sums = vec![0.0; usize::from(workers)];
    for (worker, load) in loads {
        if let Some(sum) = sums.get_mut(usize::from(worker)) {
            *sum += load * 100.0;
        }
    }
    sums
}

/// A worker for each source, of which it is known who polls it now and how much
/// of a worker it takes: the heaviest first, each to whoever has the least. What
/// is silent stays, and so does all if that does not help the busiest.
fn spread(sources: &[(u16, f64)], workers: u16) -> Vec<u16> {
    let now: Vec<u16> = sources.iter().map(|&(worker, _)| worker).collect();
    let mut order: Vec<usize> = (0..sources.len()).collect();
    let load = |place: usize| sources.get(place).map_or(0.0, |&(_, load)| load);
    order.sort_by(|&one, &other| load(other).total_cmp(&load(one)));
    let (mut then, mut sums) = (now.clone(), vec![0.0_f64; usize::from(workers)]);
    for place in order.into_iter().filter(|&place| load(place) > 0.0) {
        let Some(worker) = then.get_mut(place) else { continue };
        let least = (0..workers).zip(&sums).min_by(|one, other| one.1.total_cmp(other.1));
        let own = sums.get(usize::from(*worker)).copied().unwrap_or(f64::MAX);
        if let Some((least, _)) = least.filter(|(_, sum)| **sum + ABOUT < own) {
            *worker = least;
        }
        if let Some(sum) = sums.get_mut(usize::from(*worker)) {
            *sum += load(place);
        }
    }
    let busiest = |workers_of: &[u16]| {
        let loads = workers_of.iter().copied().zip(sources.iter().map(|&(_, load)| load));
        self::sums(loads, workers).into_iter().fold(0.0, f64::max)
    };
    if busiest(&then) < busiest(&now) * (1.0 - WORTHWHILE) { then } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_busy_is_spread_and_the_rest_stays() {
        for (sources, workers, expected) in [
            // Two busy ones of one worker.
            (&[(0, 0.5), (1, 0.0), (0, 0.5), (1, 0.0)][..], 2, &[0, 1, 1, 1][..]),
            // One that takes it all cannot be helped, but those beside it can.
            (&[(0, 0.8), (0, 0.2), (1, 0.0)], 2, &[0, 1, 1]),
            (&[(0, 1.0), (1, 0.0)], 2, &[0, 1]),
            // Three of which two must share.
            (&[(0, 0.4), (0, 0.3), (0, 0.3)], 2, &[0, 1, 1]),
            // Well enough as it is.
            (&[(1, 0.5), (0, 0.49)], 2, &[1, 0]),
            (&[(0, 0.30), (0, 0.32), (1, 0.31), (1, 0.30)], 2, &[0, 0, 1, 1]),
            // Nothing moves, nothing is moved.
            (&[(0, 0.0), (0, 0.0)], 2, &[0, 0]),
            (&[(0, 0.9), (0, 0.9)], 1, &[0, 0]),
            (&[(0, 0.2), (0, 0.2), (0, 0.2), (0, 0.2)], 4, &[0, 1, 2, 3]),
        ] {
            assert_eq!(spread(sources, workers), expected, "{sources:?} on {workers}");
        }
        assert_eq!(spread(&[], 2), Vec::<u16>::new());
    }
}
