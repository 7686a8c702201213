//! `--stats-period`: a table per port on standard output, as testpmd prints it.
//!
//! Runs on a thread of its own, because a reader that stops reading must not
//! stop control. Reads the inventory and counters only.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use macvlan::drop::DropReason;

use crate::control::{Inventory, InventoryHandle};
use crate::datapath::{Totals, WorkerTotals};
use crate::dpdk::clock;

/// The running table; dropping it prints a last one.
pub(super) struct Table {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Table {
    /// Prints every `period`.
    pub(super) fn start(period: Duration, inventory: InventoryHandle) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("mv-stats".to_owned()).spawn(move || {
            let mut before = Snapshot::take(&inventory.load());
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                let now = Snapshot::take(&inventory.load());
                print(&render(&before, &now));
                before = now;
            }
            print(&render(&before, &Snapshot::take(&inventory.load())));
        });
        if let Err(error) = &thread {
            tracing::error!("statistics cannot be printed: {error}");
        }
        Self { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// All counters at one moment.
struct Snapshot {
    at: Instant,
    ports: Vec<(std::sync::Arc<str>, Totals)>,
    workers: Vec<(u16, Option<usize>, WorkerTotals)>,
}

impl Snapshot {
    fn take(inventory: &Inventory) -> Self {
        let ports = inventory.ports.iter().map(|port| (port.name.clone(), port.stats.totals()));
        let workers = inventory.workers.iter();
        let workers = workers.map(|worker| (worker.index, worker.core, worker.stats.totals()));
        Self { at: Instant::now(), ports: ports.collect(), workers: workers.collect() }
    }
}

fn render(before: &Snapshot, now: &Snapshot) -> String {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(1e-9);
    let old: HashMap<&str, &Totals> =
        before.ports.iter().map(|(name, totals)| (&**name, totals)).collect();
    let rate = |now: u64, before: u64| (now.saturating_sub(before)) as f64 / seconds;
    let mut text = String::new();
    // Writing to a String cannot fail.
    for (name, totals) in &now.ports {
        let zero = Totals::default();
        let was = old.get(&**name).copied().unwrap_or(&zero);
        _ = writeln!(
            text,
            "port {name:<12} RX-packets: {:<12} RX-bytes: {:<14} RX-pps: {:<11.0} RX-bps: {:.0}",
            totals.rx_packets,
            totals.rx_bytes,
            rate(totals.rx_packets, was.rx_packets),
            rate(totals.rx_bytes, was.rx_bytes) * 8.0,
        );
        _ = writeln!(
            text,
            "     {:<12} TX-packets: {:<12} TX-bytes: {:<14} TX-pps: {:<11.0} TX-bps: {:.0}",
            "",
            totals.tx_packets,
            totals.tx_bytes,
            rate(totals.tx_packets, was.tx_packets),
            rate(totals.tx_bytes, was.tx_bytes) * 8.0,
        );
        let drops = drops("RX", &totals.rx_drops) + &drops("TX", &totals.tx_drops);
        if !drops.is_empty() {
            _ = writeln!(text, "     {:<12} dropped:{drops}", "");
        }
    }
    for ((index, core, totals), (_, _, was)) in now.workers.iter().zip(&before.workers) {
        let (busy, idle) =
            (totals.busy.saturating_sub(was.busy), totals.idle.saturating_sub(was.idle));
        let frames = totals.frames.saturating_sub(was.frames);
        let batches = totals.batches.saturating_sub(was.batches);
        let core = core.map_or_else(|| "any".to_owned(), |core| core.to_string());
        _ = writeln!(
            text,
            "worker {index}  core {core}  busy {:.1} %  frames/s {:.0}  cycles/frame {:.1}  frames/batch {:.1}",
            100.0 * busy as f64 / (busy + idle).max(1) as f64,
            frames as f64 / seconds,
            busy as f64 / frames.max(1) as f64,
            frames as f64 / batches.max(1) as f64,
        );
    }
    _ = writeln!(text, "({} TSC ticks per second)", clock::ticks_per_second());
    text
}

fn drops(direction: &str, counts: &[u64; DropReason::COUNT]) -> String {
    let counted = DropReason::ALL.iter().zip(counts).filter(|(_, frames)| **frames > 0);
    counted.map(|(reason, frames)| format!(" {direction} {}={frames}", reason.name())).collect()
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is no reason to end.
    _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
