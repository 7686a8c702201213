//! Who hears of changes, and what they are told.
//!
//! Control's alone. A change is what a state of the driver has and the one before
//! had not; nothing is compared while nobody listens. A client that is too slow
//! loses events, which the gap in their numbers tells it; control never waits.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use macvlan::driver::{self, Driver, Index};
use mvctl::proto::{Event, RpcError, Subscribed};
use tokio::sync::mpsc::Sender;

use super::{Answer, Control, Reply, show};

/// Takes lines for one client, each an `event` notification.
pub type Monitor = Sender<Arc<str>>;

/// Clients that can listen at one time.
const MONITORS: usize = 16;

/// Those who listen.
#[derive(Default)]
pub(super) struct Monitors {
    clients: Vec<Monitor>,
    sequence: u64,
}

impl Monitors {
    fn has_any(&mut self) -> bool {
        self.clients.retain(|client| !client.is_closed());
        !self.clients.is_empty()
    }

    fn tell(&mut self, change: &str, event: Event) {
        self.sequence += 1;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = Event {
            sequence: self.sequence,
            time_us: u64::try_from(time.as_micros()).unwrap_or(u64::MAX),
            change: change.to_owned(),
            ..event
        };
        let Ok(event) = serde_json::to_string(&event) else { return };
        let line = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{event}}}\n");
        let line: Arc<str> = line.into();
        for client in &self.clients {
            // What is not taken at once is lost for that client.
            _ = client.try_send(Arc::clone(&line));
        }
    }
}

impl Control {
    pub(super) fn add_monitor(&mut self, monitor: Monitor, reply: Reply) {
        let monitors = &mut self.monitors;
        monitors.has_any();
        if monitors.clients.len() >= MONITORS {
            let message = format!("{MONITORS} clients listen already: close one");
            reply.give(Err(RpcError::ebusy(message)));
            return;
        }
        monitors.clients.push(monitor);
        reply.give(Ok(Answer::of(Subscribed { sequence: monitors.sequence })));
    }

    /// Tells of everything that is other than `before`.
    pub(super) fn tell_monitors(&mut self, before: &Driver) {
        if !self.monitors.has_any() {
            return;
        }
        let (registry, now) = (&self.registry, self.registry.driver());
        let lower = |driver: &Driver, index| {
            let shown = show::lower(registry, driver, index);
            Event { lower: shown.map(Box::new), ..Event::default() }
        };
        let link = |driver: &Driver, index| {
            let shown = show::link(registry, driver, index);
            Event { link: shown.map(Box::new), ..Event::default() }
        };
        let mut events = Vec::new();
        for gone in before.links().filter(|link| now.link(link.index).is_none()) {
            events.push(("del", link(before, gone.index)));
        }
        for gone in before.lowers().filter(|lower| now.lower(lower.index).is_none()) {
            events.push(("del", lower(before, gone.index)));
        }
        for facts in now.lowers() {
            match before.lower(facts.index) {
                None => events.push(("add", lower(now, facts.index))),
                Some(former) if differs(former, facts) => {
                    events.push(("set", lower(now, facts.index)));
                }
                Some(_) => {}
            }
        }
        for facts in now.links() {
            let index = facts.index;
            match before.link(index) {
                None => events.push(("add", link(now, index))),
                // One that was touched need not be another for it.
                Some(former)
                    if !now.shares_link(before, index) && former != facts
                        || common(before, facts.lower) != common(now, facts.lower) =>
                {
                    events.push(("set", link(now, index)));
                }
                Some(_) => {}
            }
        }
        for (change, event) in events {
            self.monitors.tell(change, event);
        }
    }

    /// Tells of a link whose guest came or went.
    pub(super) fn tell_of_guest(&mut self, link: Index) {
        if !self.monitors.has_any() {
            return;
        }
        if let Some(shown) = show::link(&self.registry, self.registry.driver(), link) {
            self.monitors.tell("set", Event { link: Some(Box::new(shown)), ..Event::default() });
        }
    }
}

/// What a lower's links show of it.
fn common(driver: &Driver, lower: Index) -> Option<(bool, i32)> {
    driver.lower(lower).map(|lower| (lower.passes(), lower.bc_cutoff()))
}

fn differs(a: &driver::Lower, b: &driver::Lower) -> bool {
    let facts = |lower: &driver::Lower| {
        let spec = &lower.spec;
        let policy = (spec.host, spec.private_strict, spec.drop_link_local);
        (spec.address, spec.mtu, spec.up, spec.carrier, lower.bc_cutoff(), policy)
    };
    facts(a) != facts(b)
}
