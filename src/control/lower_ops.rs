//! What happens to lowers: events of their devices, and operations on them.
//!
//! Every event goes through the notifier chain, whatever its source: a device's
//! callback, the periodic look at carrier, or a request. The driver is told as
//! one subscriber of several; what it makes of the event is committed at once.

use macvlan::driver::{Event, Index};
use macvlan::errno::Refusal;
use macvlan::notifier::Context;
use mvctl::proto::{LowerSet, RpcError};
use serde_json::{Value, json};

use super::commit::refused;
use super::{Control, Outcome};
use crate::config;

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

/// Another subscriber: what operators read of events.
pub(super) fn log_event(
    context: &mut Context,
    device: Index,
    event: &Event,
) -> Result<(), Refusal> {
    if let (Some(link), Event::Peer { connected, .. }) = (context.driver.link(device), event) {
        let state = if *connected { "connected" } else { "disconnected" };
        tracing::info!(link = %link.name, "guest {state}");
    }
    let Some(lower) = context.driver.lower(device) else { return Ok(()) };
    let name = &lower.spec.name;
    match event {
        Event::Change { carrier: true } => tracing::info!(lower = %name, "carrier is up"),
        Event::Change { carrier: false } => tracing::info!(lower = %name, "carrier is down"),
        Event::ChangeMtu(mtu) => tracing::info!(lower = %name, mtu, "mtu changed"),
        Event::ChangeAddr(mac) => tracing::info!(lower = %name, address = %mac, "address changed"),
        Event::Unregister => tracing::warn!(lower = %name, "device is gone, its links are deleted"),
        Event::Up | Event::Down => tracing::info!(lower = %name, "set {event:?}"),
        _ => {}
    }
    Ok(())
}

impl Control {
    /// Tells the chain of events of `lower` and of what they mean for the VLANs
    /// on it, and commits what came of them: all, or nothing.
    pub(super) fn events(&mut self, lower: Index, events: &[Event]) -> Outcome<()> {
        let mut next = self.registry.macvlan.clone();
        for event in events {
            self.publish_event(&mut next, lower, event)?;
        }
        let announce = std::mem::take(&mut next.announce);
        self.commit(next.driver)?;
        announce.into_iter().for_each(|link| self.announce(link));
        Ok(())
    }

    /// Tells the chain of something that changes no rule.
    pub(super) fn tell(&mut self, device: Index, event: Event) {
        let told = self.registry.chain.publish(&mut self.registry.macvlan, device, &event);
        if let Err(refusal) = told {
            tracing::error!("{event:?}: {}", refusal.message);
        }
        let announce = std::mem::take(&mut self.registry.macvlan.announce);
        announce.into_iter().for_each(|link| self.announce(link));
    }

    fn publish_event(&self, next: &mut Context, lower: Index, event: &Event) -> Outcome<()> {
        self.registry.chain.publish(next, lower, event).map_err(refused)?;
        let on_it = self.registry.lowers.iter().filter(|other| other.carrier == Some(lower));
        for vlan in on_it {
            let follows = match *event {
                // A VLAN keeps an MTU that still fits.
                Event::ChangeMtu(mtu) => {
                    next.driver.lower(vlan.index).is_some_and(|vlan| vlan.spec.mtu > mtu)
                }
                _ => true,
            };
            if follows {
                self.registry.chain.publish(next, vlan.index, event).map_err(refused)?;
            }
        }
        Ok(())
    }

    /// Looks at the devices of all lowers: carrier, removal. Level-triggered, so
    /// a lost callback costs time and nothing else.
    pub(super) fn look_at_devices(&mut self) {
        let mut events = Vec::new();
        for lower in &self.registry.lowers {
            let Some(facts) = self.registry.driver().lower(lower.index) else { continue };
            if lower.carrier.is_some() {
                continue;
            }
            let removed = lower.port.eth().is_some_and(crate::dpdk::EthPort::is_removed);
            let carrier = lower.port.carrier();
            if removed {
                events.push((lower.index, Event::Unregister));
            } else if carrier != facts.spec.carrier {
                events.push((lower.index, Event::Change { carrier }));
            }
        }
        for (lower, event) in events {
            if let Err(error) = self.events(lower, &[event]) {
                tracing::error!("{event:?} could not be followed: {}", error.message);
            }
        }
    }

    /// `lower.set`: each change is an event (NT-01, NT-03 to NT-05).
    pub(super) fn lower_set(&mut self, request: &LowerSet) -> Outcome<Value> {
        let LowerSet { name, up, mtu, address, .. } = request;
        let Some(lower) = self.registry.lower_by_name(name) else {
            return Err(RpcError::enodev(format!("there is no lower {name}")));
        };
        let index = lower.index;
        let mut events = Vec::new();
        if let Some(mtu) = mtu {
            self.check_lower_mtu(index, *mtu)?;
            events.push(Event::ChangeMtu(*mtu));
        }
        if let Some(text) = address {
            let address = config::parse_address(text).map_err(RpcError::einval)?;
            events.push(Event::ChangeAddr(address));
        }
        events.extend(up.map(|up| if up { Event::Up } else { Event::Down }));
        self.events(index, &events)?;
        Ok(json!({ "name": name }))
    }

    fn check_lower_mtu(&self, index: Index, mtu: u32) -> Outcome<()> {
        let Some(lower) = self.registry.lower(index) else { return Ok(()) };
        let carrier = lower.carrier.and_then(|carrier| self.registry.driver().lower(carrier));
        let (most, whose) = match (carrier, lower.port.eth()) {
            (Some(carrier), _) => (
                u16::try_from(carrier.spec.mtu).unwrap_or(u16::MAX),
                format!(", the mtu of {}", carrier.spec.name),
            ),
            (None, Some(port)) => (
                port.max_mtu().unwrap_or(config::MAX_MTU),
                format!(", the most that {} can take", lower.port.name),
            ),
            (None, None) => (config::MAX_MTU, String::new()),
        };
        let checked = config::check_mtu(i64::from(mtu), most, &whose);
        checked.map(|_| ()).map_err(RpcError::einval)
    }
}
