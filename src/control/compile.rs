//! From the registry to the plan the workers execute.
//!
//! Reads the registry and what its devices can send, opens and changes nothing. The rules themselves
//! are compiled by `macvlan`; here they meet ports, workers and queues.

use std::sync::Arc;

use macvlan::driver::Driver;
use macvlan::fib::Output;
use macvlan::rules::CompileError;

use super::registry::{Link, Lower, Poller, Registry};
use crate::datapath::{BroadcastQueue, Device, Endpoint, Plan, Poll, Port, Segment, Vlan};

/// Frames a worker takes from one link per turn, which is what one call yields:
/// the same for all, so that a busy one does not crowd out others.
const LINK_BUDGET: usize = 64;

/// Frames taken per turn from a lower, behind which many senders wait: ten
/// bursts, for fuller groups per output. More would let others wait longer (these
/// take about 8 us) and gain no more.
const LOWER_BUDGET: usize = 640;

/// Copies of group frames that a lower's turn makes. Few would let a storm cost
/// more by the frames that are received and dropped than by its copies; each of
/// them makes unicast wait for 15 ns or more (38 ticks at 2.6 GHz to a device
/// that does nothing).
const COPIES: usize = 1024;

/// Ethernet header and one VLAN tag.
const OVERHEAD: u32 = 18;

/// A VLAN tag.
const TAG: u32 = 4;

/// The plan for these ports under the rules of `driver`, for so many workers.
///
/// # Errors
/// Two links that are up share an address.
pub(super) fn plan(
    registry: &Registry,
    driver: &Driver,
    workers: u16,
) -> Result<Plan, CompileError> {
    let lowers: Vec<&Lower> =
        registry.lowers.iter().filter(|lower| driver.lower(lower.index).is_some()).collect();
    let mut segments = Vec::with_capacity(lowers.len());
    let mut polls = vec![Vec::new(); usize::from(workers)];
    for (segment, &lower) in lowers.iter().enumerate() {
        let links: Vec<(&Link, u32)> = driver
            .links_of(lower.index)
            .filter_map(|link| Some((registry.links.get(&link.index)?, link.mtu)))
            .collect();
        let queue_len = usize::try_from(driver.bc_queue_len_used(lower.index));
        segments.push(Segment {
            fib: macvlan::rules::compile(driver, lower.index)?,
            endpoints: endpoints(registry, driver, lower, &links),
            vlans: vlans(&lowers, lower),
            queue: Arc::clone(&lower.queue),
            queue_len: queue_len.unwrap_or(usize::MAX).min(BroadcastQueue::MOST),
        });

        let mut poll = |poller: Poller, ingress, queue, budget| {
            let worker = poller.now().map(usize::from);
            if let Some(polls) = worker.and_then(|worker| polls.get_mut(worker)) {
                polls.push(Poll { segment, ingress, queue, budget, copies: COPIES });
            }
        };
        for (queue, &poller) in (0..).zip(&lower.queues) {
            poll(poller, Output::WIRE, queue, LOWER_BUDGET);
        }
        let host = lower.host.iter().map(|host| (Output::HOST, &host.port, host.poller));
        let links = (0..).zip(&links);
        let links = links.map(|(slot, (link, _))| (Output::link(slot), &link.port, link.poller));
        for (ingress, port, poller) in host.chain(links) {
            (0..port.rx_queues()).for_each(|queue| poll(poller, ingress, queue, LINK_BUDGET));
        }
    }
    Ok(Plan::new(segments, polls))
}

fn endpoints(
    registry: &Registry,
    driver: &Driver,
    lower: &Lower,
    links: &[(&Link, u32)],
) -> Box<[Option<Endpoint>]> {
    let mtu_of = |lower| driver.lower(lower).map_or(0, |lower| lower.spec.mtu);
    let limit = |mtu: u32| mtu.saturating_add(OVERHEAD);
    let mtu = mtu_of(lower.index);
    let endpoint = |port: &Arc<Port>, mtu_of_it| {
        // A device may take less than it should: a tap, say, takes nothing of a
        // burst behind a frame that is too large.
        let carries = match &port.device {
            Device::Eth(port) if port.mtu().is_ok_and(|has| u32::from(has) < mtu) => {
                port.carries().ok()
            }
            _ => None,
        };
        let most = carries.map_or(u32::MAX, |mtu| limit(u32::from(mtu)));
        Endpoint::new(Arc::clone(port), limit(mtu_of_it).min(most), limit(mtu).min(most))
    };
    let mut wire = endpoint(&lower.port, mtu);
    if let Some(carrier) = lower.carrier.and_then(|carrier| registry.lower(carrier)) {
        // With its tag the frame must still fit the port that carries it.
        let most = limit(mtu_of(carrier.index)).saturating_sub(TAG);
        wire.max_frame = wire.max_frame.min(most);
        wire.max_delivered = wire.max_frame;
    }
    let host = lower.host.as_ref().map(|host| endpoint(&host.port, mtu));
    let links = links.iter().map(|&(link, mtu)| Some(endpoint(&link.port, mtu)));
    [Some(wire), host].into_iter().chain(links).collect()
}

/// The segments of the VLAN lowers on `lower`.
fn vlans(lowers: &[&Lower], lower: &Lower) -> Box<[Vlan]> {
    let on_it = lowers.iter().enumerate().filter(|(_, other)| other.carrier == Some(lower.index));
    let mut vlans: Vec<Vlan> =
        on_it.filter_map(|(segment, other)| Some(Vlan { tag: other.tag()?, segment })).collect();
    vlans.sort_unstable();
    vlans.into()
}
