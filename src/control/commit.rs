//! Makes a changed state of the driver the one that counts.
//!
//! Every operation and every event ends here: it is given the state as it shall
//! be, brings the devices and the plan in line with it, and closes what it no
//! longer has. If a device refuses, all is as before.

use std::sync::Arc;

use macvlan::driver::{Driver, Index};
use macvlan::errno::Refusal;
use mvctl::proto::RpcError;

use super::announce::announce;
use super::registry::{Host, Link, Lower};
use super::{Control, Outcome, compile};
use crate::config::device_name;

impl Control {
    /// Makes `next` the state: devices, plan, registry, inventory. Returns the
    /// state before.
    pub(super) fn commit(&mut self, next: Driver) -> Outcome<Driver> {
        // Devices first: what they take is part of the plan.
        let plan = self.program(&next, false).and_then(|()| {
            let plan = compile::plan(&self.registry, &next, self.publisher.worker_count());
            // The operations do not let it come to two links with one address.
            plan.map_err(|error| RpcError::eaddrinuse(error.to_string()))
        });
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                let before = self.registry.driver().clone();
                // What asks for nothing new is not refused; the log has what is owed.
                _ = self.program(&before, true);
                return Err(error);
            }
        };
        let before = std::mem::replace(&mut self.registry.macvlan.driver, next);
        self.publisher.publish(plan);
        self.tell_monitors(&before);
        self.close_what_is_gone();
        if self.registry.is_inventory_stale() {
            self.registry.refresh_inventory(self.publisher.workers());
        }
        Ok(before)
    }

    /// Lets go of the ports of links and lowers that the driver no longer has;
    /// they close with the last plan that names them.
    fn close_what_is_gone(&mut self) {
        let registry = &mut self.registry;
        let driver = &registry.macvlan.driver;
        if registry.links.len() == driver.links().count()
            && registry.lowers.len() == driver.lowers().count()
        {
            return;
        }
        let gone = registry.links.extract_if(|&index, _| driver.link(index).is_none());
        let links: Vec<Link> = gone.map(|(_, link)| link).collect();
        let gone = registry.lowers.extract_if(.., |lower| driver.lower(lower.index).is_none());
        let lowers: Vec<Lower> = gone.collect();
        links.into_iter().for_each(|link| self.close_link(link));
        lowers.iter().for_each(|lower| self.close_lower(lower));
    }

    /// Closes a lower's ports with the last plan that names them.
    pub(super) fn close_lower(&mut self, lower: &Lower) {
        let resource = lower.own_device().map(device_name).unwrap_or_default().to_owned();
        self.publisher.close_later(resource, &lower.port, Some(Arc::clone(&lower.queue)));
        if let Some(host) = &lower.host {
            self.close_host(host);
        }
    }

    /// Closes a host's port with the last plan that names it.
    pub(super) fn close_host(&mut self, host: &Host) {
        let resource = device_name(&host.config.device).to_owned();
        self.publisher.close_later(resource, &host.port, None);
    }

    /// Announces the addresses of a link, if it is up.
    pub(super) fn announce(&self, link: Index) {
        let Some(facts) = self.registry.driver().link(link).filter(|link| link.up) else { return };
        let Some(link) = self.registry.links.get(&link) else { return };
        announce(&link.port, &self.opener.pool, facts.own_addresses());
        link.rouse(self.publisher.workers());
    }
}

/// A refusal of the driver, as clients get it.
pub(super) fn refused(refusal: Refusal) -> RpcError {
    RpcError::refused(refusal.errno.name(), refusal.message)
}
