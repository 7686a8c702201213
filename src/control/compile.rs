//! From the registry to the plan the workers execute.
//!
//! Pure: reads the registry, opens and changes nothing. The rules themselves
//! are compiled by `macvlan`; here they meet ports, workers and queues.

use std::sync::Arc;

use macvlan::fib::Output;
use macvlan::rules::{CompileError, LinkRule, LowerRules};

use super::registry::{Link, Lower, Registry};
use crate::datapath::{Endpoint, Plan, Poll, Port, Segment};

/// Frames a worker takes from one guest per turn: the same for all, so that a
/// busy guest does not crowd out others.
const LINK_BUDGET: usize = 32;

/// Frames taken per turn from a lower, behind which many senders wait.
const LOWER_BUDGET: usize = 128;

/// Ethernet header and one VLAN tag.
const OVERHEAD: u32 = 18;

/// The plan for the registry as it is, for so many workers.
///
/// # Errors
/// Two links that are up share an address; there are too many links.
pub(super) fn plan(registry: &Registry, workers: u16) -> Result<Plan, CompileError> {
    let mut segments = Vec::with_capacity(registry.lowers.len());
    let mut polls = vec![Vec::new(); usize::from(workers)];
    for (segment, lower) in registry.lowers.iter().enumerate() {
        let links: Vec<&Link> = registry.links_of(lower).collect();
        let rules: Vec<LinkRule> = links
            .iter()
            .map(|link| LinkRule {
                mac: link.config.address,
                mode: link.config.mode,
                up: link.config.up,
            })
            .collect();
        let fib = macvlan::rules::compile(&LowerRules { links: &rules, host: false })?;
        segments.push(Segment { fib, endpoints: endpoints(lower, &links) });

        let mut poll = |worker: u16, ingress, port: &Port, queues: std::ops::Range<u16>, budget| {
            if let Some(polls) = polls.get_mut(usize::from(worker)) {
                let queues = queues.filter(|&queue| queue < port.rx_queues());
                polls.extend(queues.map(|queue| Poll { segment, ingress, queue, budget }));
            }
        };
        for worker in 0..workers {
            poll(worker, Output::WIRE, &lower.port, worker..worker + 1, LOWER_BUDGET);
        }
        for (slot, link) in (0..).zip(&links) {
            poll(link.worker, Output::link(slot), &link.port, 0..u16::MAX, LINK_BUDGET);
        }
    }
    Ok(Plan::new(segments, polls))
}

fn endpoints(lower: &Lower, links: &[&Link]) -> Box<[Option<Endpoint>]> {
    let endpoint = |port: &Arc<Port>, mtu: u16| {
        Some(Endpoint { port: Arc::clone(port), max_frame: u32::from(mtu) + OVERHEAD })
    };
    let wire = endpoint(&lower.port, lower.config.mtu);
    let links = links.iter().map(|link| endpoint(&link.port, link.config.mtu));
    // The host port, which is Output::HOST, comes with an issue of its own.
    [wire, None].into_iter().chain(links).collect()
}
