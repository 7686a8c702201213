//! Changes that are tried out together and then happen at once, or not at all.
//!
//! A [`Transaction`] holds the rules' state as it shall be and remembers which
//! ports were opened for it. Operations change it one after the other; nobody
//! sees anything before [`Control::finish`] commits. Until then, and if a device
//! refuses, [`Control::abandon`] closes what was opened: all is as before.

use std::sync::Arc;

use macvlan::driver::{Driver, Event, Index};
use macvlan::mac::MacAddr;
use macvlan::notifier::Context;
use mvctl::proto::RpcError;

use super::events::log_event;
use super::holders::Holder;
use super::registry::{Host, Link, Lower};
use super::{Control, Outcome};
use crate::config::Config;

/// Changes that are not published yet.
pub(super) struct Transaction {
    /// The rules' state as it shall be, and who shall announce itself.
    pub(super) next: Context,
    /// Links whose ports were opened for it.
    pub(super) links: Vec<Index>,
    /// Lowers that were opened for it.
    pub(super) lowers: Vec<Index>,
    /// Hosts of lowers as they shall be.
    pub(super) hosts: Vec<(Index, Option<Host>)>,
    /// Links that go on with the port of one that is deleted: which, and whose.
    pub(super) heirs: Vec<(Index, Index)>,
    /// Sockets and devices that must be free before it is answered.
    pub(super) ends: Vec<String>,
    /// What happened to lowers, for the log.
    pub(super) events: Vec<(Index, Event)>,
    /// Links and lowers that clients added or deleted: name and sentence, for the log.
    pub(super) notes: Vec<(String, &'static str)>,
    /// Lowers that are given an address.
    pub(super) addresses: Vec<(Index, MacAddr)>,
    /// The file whose state this is, from then on.
    pub(super) config: Option<Config>,
}

/// Why an operation was not carried out.
#[derive(Debug)]
pub(super) enum Hindrance {
    /// It is refused.
    Refused(RpcError),
    /// Not yet: the socket or device is still being closed for a predecessor.
    Closing(RpcError),
    /// The socket or device belongs to what the same change deletes: it is free
    /// once that has happened, and no sooner.
    Leaving(RpcError),
}

impl Hindrance {
    fn error(&self) -> &RpcError {
        let (Self::Refused(error) | Self::Closing(error) | Self::Leaving(error)) = self;
        error
    }

    /// The sentence.
    pub(super) fn message(&self) -> String {
        self.error().message.clone()
    }

    pub(super) fn errno(&self) -> Option<&str> {
        self.error().errno()
    }
}

impl From<RpcError> for Hindrance {
    fn from(error: RpcError) -> Self {
        Self::Refused(error)
    }
}

impl Transaction {
    fn new(next: Context) -> Self {
        Self {
            next,
            links: Vec::new(),
            lowers: Vec::new(),
            hosts: Vec::new(),
            heirs: Vec::new(),
            ends: Vec::new(),
            events: Vec::new(),
            notes: Vec::new(),
            addresses: Vec::new(),
            config: None,
        }
    }

    /// What has this socket or device will be gone with it.
    pub(super) fn lets_go(&self, holder: Holder) -> bool {
        let driver = &self.next.driver;
        match holder {
            Holder::Link(index) => driver.link(index).is_none(),
            Holder::Lower(index) => driver.lower(index).is_none(),
            Holder::Host(index) => {
                let goes =
                    |&(lower, ref host): &(Index, Option<Host>)| lower == index && host.is_none();
                driver.lower(index).is_none() || self.hosts.iter().any(goes)
            }
        }
    }
}

impl Control {
    /// Nothing changed so far.
    pub(super) fn begin(&self) -> Transaction {
        Transaction::new(self.registry.macvlan.clone())
    }

    /// Makes it happen. Returns the sockets and devices that are closed for it.
    ///
    /// # Errors
    /// A device refused; nothing has happened.
    pub(super) fn finish(&mut self, mut change: Transaction) -> Outcome<Vec<String>> {
        let before = match self.carry_through(&mut change) {
            Ok(before) => before,
            Err(error) => {
                self.abandon(change);
                return Err(error);
            }
        };
        for (lower, event) in &change.events {
            // One that was added by the same transaction was not there before.
            let known = before.lower(*lower).is_some();
            log_event(if known { &before } else { self.registry.driver() }, *lower, event);
        }
        for (name, note) in &change.notes {
            tracing::info!(name = %name, "{note}");
        }
        let address = |driver: &Driver, link| driver.link(link).map(|link| link.address);
        let drawn = self.registry.links.iter_mut().filter(|(_, link)| link.random_address);
        for (&index, link) in drawn {
            let now = address(&self.registry.macvlan.driver, index);
            link.random_address = address(&before, index).is_none_or(|was| Some(was) == now);
        }
        for (index, address) in change.addresses {
            if let Some(lower) = self.registry.lower_mut(index) {
                lower.config.address = Some(address);
            }
        }
        for host in change.hosts.into_iter().filter_map(|(_, before)| before) {
            self.close_host(&host);
        }
        for (heir, _) in change.heirs {
            if let Some(link) = self.registry.links.get(&heir) {
                link.posts_as(heir);
            }
            // What was posted under the old number found nobody.
            self.port_changed(heir);
        }
        change.next.announce.into_iter().for_each(|link| self.announce(link));
        if let Some(config) = change.config {
            self.adopt(config);
        }
        Ok(change.ends)
    }

    fn carry_through(&mut self, change: &mut Transaction) -> Outcome<Driver> {
        self.addresses_follow(change)?;
        swap_hosts(&mut self.registry.lowers, change.hosts.iter_mut());
        self.commit(std::mem::take(&mut change.next.driver)).inspect_err(|_| {
            swap_hosts(&mut self.registry.lowers, change.hosts.iter_mut().rev());
        })
    }

    /// Closes what was opened for it. No plan has named any of that.
    pub(super) fn abandon(&mut self, change: Transaction) {
        for index in change.links {
            if let Some(link) = self.registry.links.remove(&index) {
                self.close_link(link);
            }
        }
        for index in change.lowers {
            let opened = self.registry.lowers.iter().position(|lower| lower.index == index);
            if let Some(opened) = opened {
                let lower = self.registry.lowers.remove(opened);
                self.close_lower(&lower);
            }
        }
        for host in change.hosts.into_iter().filter_map(|(_, host)| host) {
            self.close_host(&host);
        }
    }

    /// Closes a link's port with the last plan that names it, unless another
    /// link has taken it over.
    pub(super) fn close_link(&mut self, mut link: Link) {
        if self.registry.links.values().any(|other| Arc::ptr_eq(&other.port, &link.port)) {
            return;
        }
        link.unwatch(self.publisher.workers());
        self.publisher.close_later(link.endpoint.resource(), &link.port, None);
    }
}

/// Puts hosts into their lowers' places, or, in reverse, back.
fn swap_hosts<'a>(
    lowers: &mut [Lower],
    hosts: impl Iterator<Item = &'a mut (Index, Option<Host>)>,
) {
    for (index, host) in hosts {
        if let Some(lower) = lowers.iter_mut().find(|lower| lower.index == *index) {
            std::mem::swap(&mut lower.host, host);
        }
    }
}
