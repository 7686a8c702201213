//! Start and stop of the whole switch, in the order things depend on each other.
//!
//! Called by the binary on its main thread, which becomes the control thread.
//! A start that fails closes what it had opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam::channel::unbounded;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::load::Loads;
use super::monitor::Monitors;
use super::ports::Opener;
use super::publish::{Publisher, add};
use super::registry::Registry;
use super::reload::OwnFile;
use super::report::Baseline;
use super::transaction::Transaction;
use super::{Control, Handle, InventoryHandle, Profile, events, program, show};
use crate::config::{Config, Endpoint, Idle, LinkConfig, LowerConfig, LowerDevice, is_pci};
use crate::datapath::{IdlePolicy, QueueRoom, Shared, Totals, WakeThread, Worker, WorkerOptions};
use crate::dpdk::{self, Eal, EalOptions, Pool};

/// Workers chosen by `workers = "auto"` at most: enough for a try, and no more
/// than anyone expects to be taken unasked.
const AUTO_WORKERS: usize = 4;

/// Why the switch did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The config asks for something this machine does not have.
    #[error("{0}")]
    Config(String),
    /// Something failed.
    #[error("{0}")]
    Runtime(String),
}

/// What was counted until the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Frames received by all ports.
    pub received: u64,
    /// Copies made of them.
    pub copies: u64,
    /// Frames delivered by all ports.
    pub delivered: u64,
    /// Frames dropped, for whatever reason.
    pub dropped: u64,
    /// Buffers that did not come back.
    pub mbufs_in_use: u32,
}

impl Summary {
    /// Every frame is accounted for and every buffer is back.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.received + self.copies == self.delivered + self.dropped && self.mbufs_in_use == 0
    }
}

/// A running switch.
pub struct Switch {
    // Field order is the order of the end: ports, buffers, environment.
    control: Control,
    handle: Handle,
    inventory: InventoryHandle,
    pool: Arc<Pool>,
    /// The memory it runs on.
    pub profile: Profile,
    /// CPU of the control thread.
    pub control_core: usize,
    _eal: Eal,
}

impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switch").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl Switch {
    /// Starts EAL, opens all lowers and links of `config`, starts the workers
    /// and publishes the first plan. `runtime_dir` exists; `extra` are further
    /// EAL arguments.
    ///
    /// # Errors
    /// What the machine lacks or what failed. Nothing stays behind.
    pub fn start(
        config: Config,
        runtime_dir: PathBuf,
        extra: &[String],
    ) -> Result<Self, StartError> {
        dpdk::check_release().map_err(StartError::Runtime)?;
        raise_descriptor_limit();
        let cores = Cores::choose(&config).map_err(StartError::Config)?;
        let workers = u16::try_from(cores.workers.len()).unwrap_or(u16::MAX);
        let profile = Profile::choose(&config, workers).map_err(StartError::Runtime)?;
        let eal = Eal::start(&EalOptions {
            name: config.switch.name.clone(),
            runtime_dir: runtime_dir.clone(),
            control_core: cores.control,
            memory: profile.memory,
            memory_mb: profile.megabytes,
            pci: pci_addresses(&config),
            extra: config.eal.args.iter().chain(extra).cloned().collect(),
        });
        let eal = eal.map_err(|error| {
            StartError::Runtime(format!(
                "EAL did not start: {error}. --log-level debug shows what it says"
            ))
        })?;
        cores.remark();
        pin(cores.control);
        let pool = Pool::new("mvswitch", profile.buffers, profile.room);
        let pool = Arc::new(pool.map_err(|error| {
            StartError::Runtime(format!("no memory for {} buffers: {error}", profile.buffers))
        })?);

        let (sender, messages) = unbounded();
        let opener = Opener {
            pool: Arc::clone(&pool),
            workers,
            runtime_dir,
            messages: sender.clone(),
            queue_room: Arc::new(QueueRoom::new(profile.queued())),
        };
        let (shared, workers) = start_workers(&cores, config.cores.idle)?;
        let wake = match WakeThread::start(&workers) {
            Ok(wake) => wake,
            Err(error) => {
                end_workers(&shared, workers);
                return Err(StartError::Runtime(format!("the wake thread: {error}")));
            }
        };
        let (lowers, links) = (config.lowers.clone(), config.links.clone());
        let mut control = Control {
            file: OwnFile::of(&config),
            config,
            started: Instant::now(),
            registry: Registry::default(),
            publisher: Publisher::new(shared, workers, wake),
            opener,
            messages,
            pending: Vec::new(),
            monitors: Monitors::default(),
            baseline: Baseline::default(),
            loads: Loads::new(),
            stopping: false,
        };
        let inventory = control.registry.inventory.clone();
        if let Err(error) = control.open(lowers, links) {
            control.end();
            return Err(error);
        }
        Ok(Self {
            control,
            handle: Handle(sender),
            inventory,
            pool,
            profile,
            control_core: cores.control,
            _eal: eal,
        })
    }

    /// Talks to the control thread once [`Switch::run`] runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What readers may see.
    #[must_use]
    pub fn inventory(&self) -> InventoryHandle {
        self.inventory.clone()
    }

    /// Lines that say what was opened, for the start banner.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        show::banner(&self.control.registry)
    }

    /// Is the control thread until [`Handle::stop`].
    pub fn run(&mut self) {
        self.control.run();
    }

    /// Ends the workers, closes all ports and adds up what was counted.
    #[must_use]
    pub fn stop(self) -> Summary {
        let totals = self.control.end();
        Summary {
            received: totals.rx_packets,
            copies: totals.copies,
            delivered: totals.tx_packets,
            dropped: totals.dropped(),
            mbufs_in_use: self.pool.in_use(),
        }
    }
}

impl Control {
    /// Opens what the config names. The order is the driver's: it hears of
    /// events before there can be links (LC-01), and links come last.
    fn open(&mut self, lowers: Vec<LowerConfig>, links: Vec<LinkConfig>) -> Result<(), StartError> {
        let runtime = StartError::Runtime;
        let Registry { chain, macvlan, .. } = &mut self.registry;
        let loaded = chain.load(macvlan);
        let loaded =
            loaded.and_then(|()| chain.subscribe("announce", events::announce_returned, macvlan));
        loaded.map_err(|refusal| runtime(refusal.message))?;
        let mut change = self.begin();
        let opened = self.open_all(&mut change, lowers, links);
        if let Err(error) = opened {
            self.abandon(change);
            return Err(error);
        }
        self.finish(change).map(|_| ()).map_err(|error| runtime(error.message))
    }

    fn open_all(
        &mut self,
        change: &mut Transaction,
        lowers: Vec<LowerConfig>,
        links: Vec<LinkConfig>,
    ) -> Result<(), StartError> {
        for lower in lowers {
            self.add_lower(change, lower).map_err(|it| StartError::Runtime(it.message()))?;
        }
        for link in links {
            let name = link.name.clone();
            let link = self.configured(&change.next.driver, link);
            self.add_link(change, link).map_err(|hindrance| match hindrance.errno() {
                Some("EIO") => StartError::Runtime(hindrance.message()),
                _ => StartError::Config(format!("link {name}: {}", hindrance.message())),
            })?;
        }
        Ok(())
    }

    /// Ends the workers and closes everything. Returns all counters' sums.
    fn end(self) -> Totals {
        let Self { mut registry, publisher, .. } = self;
        let Registry { chain, macvlan, .. } = &mut registry;
        chain.unload(macvlan);
        let lowers = registry.lowers.iter().flat_map(|lower| {
            let host = lower.host.as_ref().map(|host| &host.port);
            std::iter::once(&lower.port).chain(host)
        });
        let ports = lowers.chain(registry.links.values().map(|link| &link.port));
        let stats: Vec<_> = ports.map(|port| (Arc::clone(&port.stats), port.is_vlan())).collect();
        let mut sum = publisher.stop();
        // A passthru link's address was the lower's: it gets its own back (LC-19).
        for lower in &registry.lowers {
            program::restore_address(lower, registry.driver());
        }
        drop(registry);
        stats.iter().for_each(|(stats, is_vlan)| add(&mut sum, &stats.totals(), *is_vlan));
        sum
    }
}

/// The CPUs the switch uses.
struct Cores {
    control: usize,
    workers: Vec<usize>,
}

impl Cores {
    fn choose(config: &Config) -> Result<Self, String> {
        let allowed: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        Self::choose_from(&allowed, config.cores.control, config.cores.workers.as_deref())
    }

    fn choose_from(
        allowed: &[usize],
        control: usize,
        workers: Option<&[usize]>,
    ) -> Result<Self, String> {
        let workers: Vec<usize> = match workers {
            Some(list) => list.to_vec(),
            None => {
                let rest = allowed.iter().copied().filter(|&core| core != control);
                let rest: Vec<usize> = rest.take(AUTO_WORKERS).collect();
                // A machine of one CPU can try the switch, too.
                if rest.is_empty() { vec![control] } else { rest }
            }
        };
        for (key, core) in
            workers.iter().map(|&core| ("workers", core)).chain([("control", control)])
        {
            if !allowed.contains(&core) {
                let list: Vec<String> = allowed.iter().map(usize::to_string).collect();
                return Err(format!(
                    "[cores] {key} names core {core}, which this process may not use: it has {}",
                    list.join(", ")
                ));
            }
        }
        Ok(Self { control, workers })
    }

    /// What is allowed and seldom wanted.
    fn remark(&self) {
        let Self { control, workers } = self;
        if workers.len() > 1 && workers.contains(control) {
            tracing::warn!(
                "core {control} has a worker and the control thread: changes are slow while that \
                 worker polls. [cores] control = N gives it another core"
            );
        }
    }
}

fn start_workers(cores: &Cores, idle: Idle) -> Result<(Arc<Shared>, Vec<Worker>), StartError> {
    let shared = Arc::new(Shared::default());
    let idle = match idle {
        Idle::Auto => IdlePolicy::Auto,
        Idle::Spin => IdlePolicy::Spin,
    };
    let mut workers = Vec::with_capacity(cores.workers.len());
    for (index, &core) in (0..).zip(&cores.workers) {
        let options = WorkerOptions { index, core: Some(core), idle };
        match Worker::start(options, Arc::clone(&shared)) {
            Ok(worker) => workers.push(worker),
            Err(error) => {
                end_workers(&shared, workers);
                return Err(StartError::Runtime(format!("worker {index} on core {core}: {error}")));
            }
        }
    }
    Ok((shared, workers))
}

fn end_workers(shared: &Shared, workers: Vec<Worker>) {
    shared.stop.store(true, Ordering::Relaxed);
    workers.into_iter().for_each(Worker::join);
}

fn pci_addresses(config: &Config) -> Vec<String> {
    let links = config.links.iter().filter_map(|link| match &link.endpoint {
        Endpoint::Device(device) => Some(device),
        Endpoint::Vhost { .. } => None,
    });
    let lowers = config.lowers.iter().filter_map(|lower| match &lower.device {
        LowerDevice::Device(device) => Some(device),
        LowerDevice::Vlan { .. } => None,
    });
    let hosts = config.lowers.iter().filter_map(|lower| Some(&lower.host.as_ref()?.device));
    let devices = lowers.chain(hosts).chain(links);
    devices.filter(|device| is_pci(device)).cloned().collect()
}

/// The control thread shares its CPU with DPDK's own threads, not with workers.
fn pin(core: usize) {
    if !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
        tracing::warn!(core, "the control thread could not be pinned");
    }
}

/// A guest costs descriptors; the soft limit of 1,024 is soon used up.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_checked_against_what_the_process_has() {
        let choose = |allowed: &[usize], control, workers: Option<&[usize]>| {
            Cores::choose_from(allowed, control, workers).map(|cores| cores.workers)
        };
        assert_eq!(choose(&[0, 1], 0, None), Ok(vec![1]));
        assert_eq!(choose(&[0], 0, None), Ok(vec![0]));
        assert_eq!(choose(&[0, 1, 2, 3, 4, 5, 6, 7], 0, None), Ok(vec![1, 2, 3, 4]));
        assert_eq!(choose(&[0, 1], 0, Some(&[1])), Ok(vec![1]));
        let error = choose(&[0, 1], 0, Some(&[7])).unwrap_err();
        assert!(error.contains("core 7") && error.contains("0, 1"), "{error}");
        assert!(choose(&[1], 0, None).unwrap_err().contains("control names core 0"));
    }
}
