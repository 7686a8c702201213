//! A switch without control: a plan put together by hand, and its workers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use macvlan::fib::Output;
use macvlan::mode::Mode;
use macvlan::rules::{LinkRule, LowerRules, compile};
use mvswitch::datapath::{
    Device, Endpoint, IdlePolicy, Plan, Poll, Port, PortStats, Segment, Shared, Totals, Worker,
    WorkerOptions,
};

use super::mac;

/// One lower and its links, polled by one or more workers.
pub(crate) struct Rig {
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) ports: Vec<Arc<Port>>,
    pub(crate) rules: Vec<LinkRule>,
}

/// Limit of a port with an MTU of 1,500 bytes.
pub(crate) const MAX_FRAME: u32 = 1518;

impl Rig {
    /// `devices`: the lower first. Link `n` (from 1) has address `mac(n)`.
    pub(crate) fn start(
        devices: Vec<Device>,
        modes: &[Mode],
        workers: u16,
        idle: IdlePolicy,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let ports = devices.into_iter().enumerate().map(|(index, device)| {
            let stats = Arc::new(PortStats::new(usize::from(workers)));
            Arc::new(Port { name: format!("p{index}"), device, stats })
        });
        let ports: Vec<_> = ports.collect();
        let rules =
            modes.iter().zip(1..).map(|(&mode, last)| LinkRule { mac: mac(last), mode, up: true });
        let rules: Vec<_> = rules.collect();
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let workers = (0..workers).map(|index| {
            // Core 0 is the test's own, as far as there are others.
            let core = if cores > 1 { 1 + usize::from(index) % (cores - 1) } else { 0 };
            let options = WorkerOptions { index, core: Some(core), idle };
            Worker::start(options, Arc::clone(&shared)).unwrap()
        });
        let workers: Vec<_> = workers.collect();
        for port in &ports {
            if let Device::Ring(ring) = &port.device {
                workers.iter().for_each(|worker| worker.waker.watch(ring.wake_fd()).unwrap());
            }
        }
        let rig = Self { shared, workers, ports, rules };
        rig.publish();
        rig
    }

    pub(crate) fn plan(&self) -> Plan {
        let fib = compile(&LowerRules { links: &self.rules, host: false }).unwrap();
        let endpoint =
            |port: &Arc<Port>| Some(Endpoint { port: Arc::clone(port), max_frame: MAX_FRAME });
        let (lower, links) = self.ports.split_first().unwrap();
        let endpoints =
            [endpoint(lower), None].into_iter().chain(links.iter().map(endpoint)).collect();
        let workers = u16::try_from(self.workers.len()).unwrap();
        let mut polls = vec![Vec::new(); usize::from(workers)];
        for queue in 0..lower.rx_queues().min(workers) {
            polls[usize::from(queue)].push(Poll {
                segment: 0,
                ingress: Output::WIRE,
                queue,
                budget: 128,
            });
        }
        for (slot, _) in (0..).zip(links) {
            let poll = Poll { segment: 0, ingress: Output::link(slot), queue: 0, budget: 32 };
            polls[usize::from(slot % workers)].push(poll);
        }
        Plan::new(vec![Segment { fib, endpoints }], polls)
    }

    pub(crate) fn publish(&self) {
        self.shared.plan.store(Arc::new(self.plan()));
        self.workers.iter().for_each(|worker| worker.waker.wake());
    }

    pub(crate) fn totals(&self, port: usize) -> Totals {
        self.ports[port].stats.totals()
    }

    /// Ends the workers, checks that every frame is accounted for, and returns
    /// the counters by port.
    pub(crate) fn stop(self) -> Vec<Totals> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.workers.into_iter().for_each(Worker::join);
        self.shared.plan.store(Arc::default());
        let totals: Vec<Totals> = self.ports.iter().map(|port| port.stats.totals()).collect();
        let sum = |of: fn(&Totals) -> u64| totals.iter().map(of).sum::<u64>();
        assert_eq!(
            sum(|t| t.rx_packets) + sum(|t| t.copies),
            sum(|t| t.tx_packets) + sum(Totals::dropped),
            "frames are unaccounted for: {totals:#?}"
        );
        totals
    }
}
