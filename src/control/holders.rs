//! Who has a socket or device: the ports of links, and what is in their way.
//!
//! Run on the control thread, within a transaction. A socket or device has one
//! holder, a link, a lower or a host, until its port is closed; a link that takes
//! the place of a namesake in the same transaction takes over its port, and its
//! guest notices nothing. Nothing here asks whether the driver allows the link:
//! that was settled before (`link_ops`).

use macvlan::driver::{Driver, Index};
use mvctl::proto::{HostAdd, LowerAdd, Request, RpcError};

use super::link_ops::NewLink;
use super::registry::Link;
use super::transaction::{Hindrance, Transaction};
use super::{Control, Outcome};
use crate::config::{self, Endpoint};

/// Who has a socket or device.
#[derive(Clone, Copy)]
pub(super) enum Holder {
    Link(Index),
    Lower(Index),
    /// The host of this lower.
    Host(Index),
}

impl Control {
    /// Finds or opens the port of a link that was just made: its own, or that of
    /// a namesake which the same transaction deletes, whose guest then stays.
    pub(super) fn provide_port(
        &mut self,
        change: &mut Transaction,
        index: Index,
        link: NewLink,
    ) -> Result<(), Hindrance> {
        let resource = link.endpoint.resource();
        if let Some(holder) = self.holder_of(&change.next.driver, &resource) {
            return self.inherit(change, holder, index, link);
        }
        self.is_closed(&resource)?;
        self.open_port(&change.next.driver, index, link)?;
        change.links.push(index);
        Ok(())
    }

    fn inherit(
        &mut self,
        change: &mut Transaction,
        holder: Holder,
        index: Index,
        link: NewLink,
    ) -> Result<(), Hindrance> {
        let name = link.request.name.as_deref().unwrap_or_default();
        let before = match holder {
            Holder::Link(before) if change.next.driver.link(before).is_none() => before,
            holder => {
                let whose = self.name_of(&change.next.driver, holder);
                let resource = link.endpoint.resource();
                let message = format!("{resource} belongs to {whose}");
                return Err(RpcError::eaddrinuse(message).into());
            }
        };
        let fits = self
            .registry
            .links
            .get(&before)
            .filter(|before| before.endpoint == link.endpoint && *before.port.name == *name);
        let Some(fits) = fits else {
            let message = format!(
                "{} is that of a link which the same request deletes: delete it in an earlier one",
                link.endpoint.resource()
            );
            return Err(Hindrance::Leaving(RpcError::ebusy(message)));
        };
        let mut heir = fits.clone();
        heir.random_address = link.random_address;
        self.registry.links.insert(index, heir);
        change.links.push(index);
        change.heirs.push((index, before));
        Ok(())
    }

    /// Nobody is still letting go of this socket or device.
    pub(super) fn is_closed(&self, resource: &str) -> Result<(), Hindrance> {
        // Any number of demo wires can be.
        if resource == "demo" || !self.publisher.is_closing(resource) {
            return Ok(());
        }
        let message = format!("{resource} is still being closed: try again");
        Err(Hindrance::Closing(RpcError::ebusy(message)))
    }

    /// The socket or device that a request opens is still being closed.
    pub(super) fn must_wait(&self, request: &Request) -> bool {
        let resource = match request {
            Request::LinkAdd(link) => self.endpoint(link).ok().as_ref().map(Endpoint::resource),
            Request::LowerAdd(LowerAdd { device: Some(device), .. })
            | Request::HostAdd(HostAdd { device, .. }) => {
                Some(config::device_name(device).to_owned())
            }
            _ => None,
        };
        resource.is_some_and(|resource| self.is_closed(&resource).is_err())
    }

    /// Whose socket or device this is: an heir's rather than that of the link it
    /// takes over from.
    pub(super) fn holder_of(&self, next: &Driver, resource: &str) -> Option<Holder> {
        let links = self.registry.links.iter();
        let links = links.filter(|(_, link)| match &link.endpoint {
            Endpoint::Vhost { socket, .. } => socket.as_os_str() == resource,
            Endpoint::Device(device) => config::device_name(device) == resource,
        });
        if let Some((&index, _)) = links.max_by_key(|(index, _)| next.link(**index).is_some()) {
            return Some(Holder::Link(index));
        }
        self.registry.lowers.iter().find_map(|lower| {
            let device = lower.own_device().map(config::device_name);
            let host = lower.host.as_ref().map(|host| config::device_name(&host.config.device));
            (device == Some(resource))
                .then_some(Holder::Lower(lower.index))
                .or_else(|| (host == Some(resource)).then_some(Holder::Host(lower.index)))
        })
    }

    pub(super) fn name_of(&self, next: &Driver, holder: Holder) -> String {
        let lower = |index| {
            let lower = next.lower(index).or_else(|| self.registry.driver().lower(index));
            lower.map_or("", |lower| &*lower.spec.name).to_owned()
        };
        match holder {
            Holder::Link(index) => {
                let link = next.link(index).or_else(|| self.registry.driver().link(index));
                format!("link {}", link.map_or("", |link| &*link.name))
            }
            Holder::Lower(index) => format!("lower {}", lower(index)),
            Holder::Host(index) => format!("the host of lower {}", lower(index)),
        }
    }

    fn open_port(&mut self, next: &Driver, index: Index, link: NewLink) -> Outcome<()> {
        let Some(facts) = next.link(index) else { return Ok(()) };
        let mtu = u16::try_from(facts.mtu).unwrap_or(config::MAX_MTU);
        let opened = self.opener.link(&facts.name, &link.endpoint, mtu, index);
        let (port, dirty) = opened.map_err(RpcError::eio)?;
        let worker = self.registry.least_loaded(self.publisher.worker_count());
        let mut opened = Link::new(link.endpoint, port, dirty, worker);
        opened.random_address = link.random_address;
        opened.watch_device(self.publisher.workers());
        self.registry.links.insert(index, opened);
        Ok(())
    }
}
