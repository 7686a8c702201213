//! What happens to lowers and guests by itself.
//!
//! Every event goes through the notifier chain, whatever its source: a device's
//! callback, the periodic look at carrier, or a request. The driver is told as
//! one subscriber of several; what it makes of the event is committed at once,
//! and logged once it has been.

use std::sync::atomic::Ordering;

use macvlan::driver::{Driver, Event, Index};
use macvlan::errno::Refusal;
use macvlan::mac::MacAddr;
use macvlan::notifier::Context;
use mvctl::proto::RpcError;

use super::commit::refused;
use super::registry::Lower;
use super::transaction::Transaction;
use super::{Control, Outcome};

/// A subscriber of the chain: a link whose guest comes back is announced.
pub(super) fn announce_returned(
    context: &mut Context,
    device: Index,
    event: &Event,
) -> Result<(), Refusal> {
    if matches!(event, Event::Peer { connected: true, returned: true }) {
        context.announce.push(device);
    }
    Ok(())
}

/// What operators read of an event; `before` is the state it came upon.
pub(super) fn log_event(before: &Driver, device: Index, event: &Event) {
    if let (Some(link), Event::Peer { connected, .. }) = (before.link(device), event) {
        let state = if *connected { "connected" } else { "disconnected" };
        tracing::info!(link = %link.name, "guest {state}");
    }
    let Some(lower) = before.lower(device) else { return };
    let name = &lower.spec.name;
    match event {
        Event::Change { carrier: true } => tracing::info!(lower = %name, "carrier is up"),
        Event::Change { carrier: false } => tracing::info!(lower = %name, "carrier is down"),
        Event::ChangeMtu(mtu) => tracing::info!(lower = %name, mtu, "mtu changed"),
        Event::ChangeAddr(mac) => tracing::info!(lower = %name, address = %mac, "address changed"),
        Event::Unregister => {
            let links: Vec<&str> = before.links_of(device).map(|link| &*link.name).collect();
            if links.is_empty() {
                tracing::info!(lower = %name, "gone");
            } else {
                tracing::warn!(lower = %name, "gone, and its links with it: {}", links.join(" "));
            }
        }
        Event::Up | Event::Down => tracing::info!(lower = %name, "set {event:?}"),
        _ => {}
    }
}

impl Control {
    /// Tells the chain of an event of `lower` and of what it means for the VLANs
    /// on it, as part of `change`.
    pub(super) fn event(
        &self,
        change: &mut Transaction,
        lower: Index,
        event: &Event,
    ) -> Outcome<()> {
        self.registry.chain.publish(&mut change.next, lower, event).map_err(refused)?;
        change.events.push((lower, *event));
        let on_it: Vec<Index> = self.registry.vlans_on(lower).map(|vlan| vlan.index).collect();
        for vlan in on_it {
            let follows = match *event {
                // A VLAN keeps an MTU that still fits.
                Event::ChangeMtu(mtu) => {
                    change.next.driver.lower(vlan).is_some_and(|vlan| vlan.spec.mtu > mtu)
                }
                // See `addresses_follow`.
                Event::ChangeAddr(_) => false,
                _ => true,
            };
            if follows {
                self.registry.chain.publish(&mut change.next, vlan, event).map_err(refused)?;
                change.events.push((vlan, *event));
            }
        }
        Ok(())
    }

    /// VLANs that have their carrier's address go on having it, whoever changed
    /// it: the switch's user, a passthru link, or that one's end.
    pub(super) fn addresses_follow(&self, change: &mut Transaction) -> Outcome<()> {
        let address = |driver: &Driver, index| driver.lower(index).map(|it| it.spec.address);
        let is_told = |vlan: &Lower| change.addresses.iter().any(|(told, _)| *told == vlan.index);
        let vlans = self.registry.lowers.iter();
        let vlans = vlans.filter(|vlan| vlan.config.address.is_none() && !is_told(vlan));
        // What it was made to follow earlier in this change.
        let followed = |vlan: &Lower| {
            change.events.iter().rev().find_map(|(index, event)| match event {
                Event::ChangeAddr(address) if *index == vlan.index => Some(*address),
                _ => None,
            })
        };
        // One that is as new as this change began with what its carrier had then.
        let began = |vlan: &Lower| match self.registry.driver().lower(vlan.index) {
            _ if followed(vlan).is_some() => followed(vlan),
            Some(_) => address(self.registry.driver(), vlan.carrier?),
            None => Some(vlan.address),
        };
        let vlans: Vec<(Index, Index, Option<MacAddr>)> =
            vlans.filter_map(|vlan| Some((vlan.index, vlan.carrier?, began(vlan)))).collect();
        for (vlan, carrier, before) in vlans {
            let now = address(&change.next.driver, carrier);
            if let Some(now) = now.filter(|_| now != before)
                && address(&change.next.driver, vlan) == before
            {
                let event = Event::ChangeAddr(now);
                self.registry.chain.publish(&mut change.next, vlan, &event).map_err(refused)?;
                change.events.push((vlan, event));
            }
        }
        Ok(())
    }

    /// Commits one event of a device.
    fn happened(&mut self, lower: Index, event: Event) -> Outcome<()> {
        let mut change = self.begin();
        match self.event(&mut change, lower, &event) {
            Ok(()) => self.finish(change).map(|_| ()),
            Err(error) => {
                self.abandon(change);
                Err(error)
            }
        }
    }

    /// Tells the chain of something that changes no rule.
    pub(super) fn tell(&mut self, device: Index, event: Event) {
        let told = self.registry.chain.publish(&mut self.registry.macvlan, device, &event);
        if let Err(refusal) = told {
            tracing::error!("{event:?}: {}", refusal.message);
        }
        log_event(self.registry.driver(), device, &event);
        let announce = std::mem::take(&mut self.registry.macvlan.announce);
        announce.into_iter().for_each(|link| self.announce(link));
    }

    /// Looks at the devices of all lowers: carrier, removal. Level-triggered, so
    /// a lost callback costs time and nothing else.
    pub(super) fn look_at_devices(&mut self) {
        let mut events = Vec::new();
        for lower in &self.registry.lowers {
            let Some(facts) = self.registry.driver().lower(lower.index) else { continue };
            let name = &facts.spec.name;
            if lower.reset.swap(false, Ordering::AcqRel) {
                tracing::error!(lower = %name, "its device was reset: delete it and add it again");
            }
            let removed = lower.port.eth().is_some_and(crate::dpdk::EthPort::is_removed);
            // A VLAN has its carrier's.
            let carrier = lower.port.carrier();
            if removed && lower.carrier.is_none() {
                events.push((lower.index, Event::Unregister));
            } else if carrier != facts.spec.carrier {
                events.push((lower.index, Event::Change { carrier }));
            }
        }
        for (lower, event) in events {
            if let Err(RpcError { message, .. }) = self.happened(lower, event) {
                tracing::error!("{event:?} could not be followed: {message}");
            }
        }
        if self.registry.is_inventory_stale() {
            self.registry.refresh_inventory(self.publisher.workers());
        }
    }
}
