//! A switch without control: plans put together by hand from the driver's
//! state, and the workers that execute them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use macvlan::driver::{Driver, HostPort, Index, LowerSpec};
use macvlan::fib::Output;
use macvlan::mode::Mode;
use macvlan::request::{LinkData, LinkRequest};
use macvlan::rules::compile;
use mvswitch::datapath::{
    BroadcastQueue, Device, Endpoint, IdlePolicy, Plan, Poll, Port, Segment, Shared, Totals, Vlan,
    Worker, WorkerOptions,
};

use super::mac;

/// Lowers and their links, polled by one or more workers.
pub(crate) struct Rig {
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) ports: Vec<Arc<Port>>,
    pub(crate) driver: Driver,
    pub(crate) lowers: Vec<RigLower>,
    /// Limits of ports with another MTU than the lower.
    pub(crate) limits: HashMap<usize, u32>,
}

/// A lower: which ports it and its host have, and which VLAN it is.
pub(crate) struct RigLower {
    pub(crate) index: Index,
    port: usize,
    host: Option<usize>,
    tag: Option<(u16, u16)>,
    /// Port of each link, in the order they were added.
    links: Vec<usize>,
    pub(crate) queue: Arc<BroadcastQueue>,
}

/// Limit of a port with an MTU of 1,500 bytes.
pub(crate) const MAX_FRAME: u32 = 1518;

impl Rig {
    /// `devices`: the lower first. Link `n` (from 1) has address `mac(n)` and
    /// port `n`.
    pub(crate) fn start(
        devices: Vec<Device>,
        modes: &[Mode],
        workers: u16,
        idle: IdlePolicy,
    ) -> Self {
        let mut rig = Self::empty(devices, workers, idle);
        rig.add_lower(0, HostPort::None, None, None);
        for (number, &mode) in (1..).zip(modes) {
            rig.add_link(0, number, mode, LinkData::default());
        }
        rig.publish();
        rig
    }

    /// Ports and workers, and nothing that forwards between them.
    pub(crate) fn empty(devices: Vec<Device>, workers: u16, idle: IdlePolicy) -> Self {
        let shared = Arc::new(Shared::default());
        let ports = devices.into_iter().enumerate();
        let ports = ports.map(|(index, device)| Port::new(&format!("p{index}"), device, workers));
        let ports: Vec<_> = ports.map(Arc::new).collect();
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        // Core 0 is the test's own, as far as there are others; workers that
        // shared one would never meet.
        let pinned = cores > usize::from(workers);
        let workers = (0..workers).map(|index| {
            let core = pinned.then_some(1 + usize::from(index));
            let options = WorkerOptions { index, core, idle };
            Worker::start(options, Arc::clone(&shared)).unwrap()
        });
        let workers: Vec<_> = workers.collect();
        for port in &ports {
            if let Device::Ring(ring) = &port.device {
                workers.iter().for_each(|worker| worker.waker.watch(ring.wake_fd()).unwrap());
            }
        }
        Self {
            shared,
            workers,
            ports,
            driver: Driver::default(),
            lowers: Vec::new(),
            limits: HashMap::new(),
        }
    }

    /// Adds a lower on `port`; with `tag` it is a VLAN of the first lower.
    pub(crate) fn add_lower(
        &mut self,
        port: usize,
        host: HostPort,
        host_port: Option<usize>,
        tag: Option<(u16, u16)>,
    ) {
        let name = format!("lan{}", self.lowers.len());
        let spec = LowerSpec { host, ..LowerSpec::ethernet(&name, mac(0xf0), 1500) };
        let index = self.driver.add_lower(spec).unwrap();
        let (links, queue) = (Vec::new(), Arc::default());
        self.lowers.push(RigLower { index, port, host: host_port, tag, links, queue });
    }

    /// Adds a link to the `lower`th lower: on port `number`, with address
    /// `mac(number)`, hearing all groups.
    pub(crate) fn add_link(&mut self, lower: usize, number: u8, mode: Mode, data: LinkData) {
        let request = LinkRequest {
            name: Some(format!("mv{number}")),
            parent: Some(self.lowers[lower].index),
            address: Some(mac(number).bytes().to_vec()),
            up: Some(true),
            allmulti: Some(true),
            data: Some(LinkData { mode: Some(mode.value()), ..data }),
            ..LinkRequest::default()
        };
        self.driver.newlink(&request, &mut || unreachable!()).unwrap();
        self.lowers[lower].links.push(usize::from(number));
    }

    /// Adds `count` more links, all on one port, with addresses of their own.
    pub(crate) fn add_crowd(&mut self, port: usize, count: u16) {
        for number in 0..count {
            let [high, low] = number.to_be_bytes();
            let request = LinkRequest {
                name: Some(format!("crowd{number}")),
                parent: Some(self.lowers[0].index),
                address: Some(vec![2, 0xcc, 0, 0, high, low]),
                up: Some(true),
                allmulti: Some(true),
                data: Some(LinkData { mode: Some(Mode::Bridge.value()), ..LinkData::default() }),
                ..LinkRequest::default()
            };
            self.driver.newlink(&request, &mut || unreachable!()).unwrap();
            self.lowers[0].links.push(port);
        }
    }

    /// Changes the link on port `number`; takes effect with the next publication.
    pub(crate) fn set(&mut self, number: u8, change: LinkRequest) {
        let link = self.driver.by_name(&format!("mv{number}")).unwrap();
        self.driver.setlink(link, &change).unwrap();
    }

    pub(crate) fn plan(&self) -> Plan {
        let endpoint = |port: usize| {
            let max_frame = self.limits.get(&port).copied().unwrap_or(MAX_FRAME);
            let port = Arc::clone(&self.ports[port]);
            Some(Endpoint::new(port, max_frame, MAX_FRAME))
        };
        let workers = u16::try_from(self.workers.len()).unwrap();
        let mut polls = vec![Vec::new(); usize::from(workers)];
        let mut segments = Vec::new();
        for (segment, lower) in self.lowers.iter().enumerate() {
            let wire = endpoint(lower.port);
            let wire = wire.map(|mut wire| {
                wire.max_delivered = wire.max_frame;
                wire
            });
            let endpoints = [wire, lower.host.and_then(endpoint)];
            let links = lower.links.iter().map(|&port| endpoint(port));
            let vlans = self.lowers.iter().enumerate().filter(|_| segment == 0);
            let queue_len = self.driver.bc_queue_len_used(lower.index);
            segments.push(Segment {
                fib: compile(&self.driver, lower.index).unwrap(),
                endpoints: endpoints.into_iter().chain(links).collect(),
                vlans: vlans
                    .filter_map(|(segment, vlan)| Some(Vlan { tag: vlan.tag?, segment }))
                    .collect(),
                queue: Arc::clone(&lower.queue),
                queue_len: usize::try_from(queue_len).unwrap().min(BroadcastQueue::MOST),
            });
            for queue in 0..self.ports[lower.port].rx_queues().min(workers) {
                let ingress = Output::WIRE;
                polls[usize::from(queue)].push(Poll {
                    segment,
                    ingress,
                    queue,
                    budget: 512,
                    copies: 256,
                });
            }
            let host = lower.host.map(|_| Output::HOST);
            let links = (0..).zip(&lower.links).map(|(slot, _)| Output::link(slot));
            for (number, ingress) in host.into_iter().chain(links).enumerate() {
                let poll = Poll { segment, ingress, queue: 0, budget: 32, copies: 256 };
                polls[number % usize::from(workers)].push(poll);
            }
        }
        Plan::new(segments, polls)
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
        // What a VLAN moves is counted by the port that carries it.
        let own: Vec<u64> = self.ports.iter().map(|port| u64::from(!port.is_vlan())).collect();
        let sum = |of: fn(&Totals) -> u64| totals.iter().map(of).sum::<u64>();
        let moved = |of: fn(&Totals) -> u64| {
            totals.iter().zip(&own).map(|(totals, own)| own * of(totals)).sum::<u64>()
        };
        assert_eq!(
            moved(|t| t.rx_packets) + sum(|t| t.copies),
            moved(|t| t.tx_packets) + sum(Totals::dropped),
            "frames are unaccounted for: {totals:#?}"
        );
        totals
    }
}
