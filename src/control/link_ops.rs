//! The operations on links: add, set, delete, filters, announcements.
//!
//! Run on the control thread. Words become the driver's attributes here, ports
//! are opened and closed; what is allowed, in which order it is checked and with
//! which errno it is refused is the driver's (`macvlan::driver`). Each operation
//! checks everything first, then publishes once; what is refused leaves the
//! state as it was. A link added here is in bridge mode unless it says otherwise.

use std::path::PathBuf;

use macvlan::driver::{Driver, Index};
use macvlan::mac::MacAddr;
use macvlan::mode::{Flags, MacaddrMode, Mode};
use macvlan::notifier::KIND;
use macvlan::request::{Extensions, LinkData, LinkRequest, MACADDR};
use mvctl::proto::{Filter, LinkAdd, LinkSet, Macaddr, Request, RpcError};
use serde_json::{Value, json};

use super::commit::refused;
use super::registry::Link;
use super::{Control, Outcome, show};
use crate::config::{self, Endpoint, LinkConfig, Role};

/// What a request that was carried out is answered with, and when.
pub(super) enum Answer {
    /// At once.
    Now(Value),
    /// When no port has this socket or device any more.
    AfterEnd { resource: String, result: Value },
    /// Not yet: the socket or device is still being closed for a predecessor.
    TryAgain(RpcError),
}

/// A link that may be created, and what its frames move through.
pub(super) struct NewLink {
    pub(super) request: LinkRequest,
    pub(super) groups: Vec<MacAddr>,
    pub(super) endpoint: Endpoint,
}

/// macvtap is the same link here: it differs from macvlan in how the kernel
/// hands frames to user space (LC-04).
const KINDS: [&str; 2] = [KIND, "macvtap"];

impl Control {
    /// Carries out a request.
    pub(super) fn carry_out(&mut self, request: &Request) -> Outcome<Answer> {
        match request {
            Request::LinkShow(which) => {
                show::links(&self.registry, which.name.as_deref()).map(Answer::Now)
            }
            Request::LinkAdd(link) => self.link_add(link),
            Request::LinkSet(change) => self.link_set(change).map(Answer::Now),
            Request::LinkDel(link) => self.link_del(&link.name),
            Request::Announce(which) => self.link_announce(which.name.as_deref()).map(Answer::Now),
            Request::FilterAdd(filter) => self.filter(filter, true).map(Answer::Now),
            Request::FilterDel(filter) => self.filter(filter, false).map(Answer::Now),
            Request::LowerShow(which) => {
                show::lowers(&self.registry, which.name.as_deref()).map(Answer::Now)
            }
            Request::LowerSet(change) => self.lower_set(change).map(Answer::Now),
            other => Err(RpcError::refused(
                "EOPNOTSUPP",
                format!("{} is not carried out yet", other.method()),
            )),
        }
    }

    fn link_add(&mut self, request: &LinkAdd) -> Outcome<Answer> {
        let link = self.new_link(request)?;
        let resource = resource(&link.endpoint);
        let mut next = self.registry.driver().clone();
        let index = self.create(&mut next, &link)?;
        if self.publisher.is_closing(&resource) {
            let message = format!("{resource} is still being closed: try again");
            return Ok(Answer::TryAgain(RpcError::ebusy(message)));
        }
        self.open_port(index, &request.name, link)?;
        if let Err(error) = self.commit(next) {
            self.forget_port(index);
            return Err(error);
        }
        tracing::info!(link = %request.name, "link added");
        Ok(Answer::Now(json!({ "name": request.name })))
    }

    /// Turns the words of a request into attributes, and fills in what the
    /// kernel would not: bridge mode, up, and all groups for a guest whose
    /// filter nobody tells us.
    fn new_link(&self, request: &LinkAdd) -> Outcome<NewLink> {
        check_kind(request.kind.as_deref())?;
        config::check_name(&request.name).map_err(RpcError::einval)?;
        let mode = request.mode.as_deref().unwrap_or(Mode::Bridge.name());
        let mut data = macaddr(request.macaddr.as_ref())?;
        data.mode = Some(parse_mode(mode)?.value());
        data.flags = change_flags(Flags::NONE, request.nopromisc, request.nodst);
        data.bc_queue_len = request.bcqueuelen;
        data.bc_cutoff = request.bclim;
        let endpoint = self.endpoint(request).map_err(RpcError::einval)?;
        let random = || config::random_address(|mac| self.has_address(mac)).to_string();
        let address = match request.address.as_deref() {
            None | Some("auto") => None,
            Some("random") => Some(random()),
            Some(text) => Some(text.to_owned()),
        };
        let request = LinkRequest {
            name: Some(request.name.clone()),
            parent: Some(self.device(&request.link)?),
            address: address.as_deref().map(parse_address).transpose()?,
            mtu: request.mtu,
            up: Some(request.up.unwrap_or(true)),
            promisc: request.promisc,
            allmulti: Some(request.allmulticast.unwrap_or(true)),
            data: Some(data),
            extensions: Extensions {
                addresses: request.addresses.as_deref().map(parse_addresses).transpose()?,
                spoof_check: request.spoof_check,
            },
        };
        Ok(NewLink { request, groups: Vec::new(), endpoint })
    }

    /// Some lower or link has this address.
    fn has_address(&self, mac: MacAddr) -> bool {
        let driver = self.registry.driver();
        driver.links().any(|link| link.own_addresses().any(|own| own == mac))
            || driver.lowers().any(|lower| lower.spec.address == mac)
    }

    /// A lower or link by its name (ER-13).
    fn device(&self, name: &str) -> Outcome<Index> {
        self.registry.driver().by_name(name).ok_or_else(|| {
            let lowers: Vec<&str> =
                self.registry.driver().lowers().map(|lower| &*lower.spec.name).collect();
            RpcError::enodev(format!("there is no lower {name}: there are {}", lowers.join(", ")))
        })
    }

    fn endpoint(&self, request: &LinkAdd) -> Result<Endpoint, String> {
        let LinkAdd { name, socket, role, device, .. } = request;
        match (socket, device) {
            (Some(_), Some(_)) => Err("a link has a socket or a device, not both".to_owned()),
            (None, Some(_)) if role.is_some() => {
                Err("role goes with socket, not with device".to_owned())
            }
            (None, Some(device)) => {
                config::check_link_device(device)?;
                Ok(Endpoint::Device(device.clone()))
            }
            (socket, None) => {
                let socket =
                    socket.as_ref().map_or_else(|| config::default_socket(name), PathBuf::from);
                let role = role.as_deref().map_or(Ok(Role::Server), config::parse_role)?;
                let socket = config::check_socket_path(&self.opener.runtime_dir, &socket)?;
                Ok(Endpoint::Vhost { socket, role })
            }
        }
    }

    /// A link of the config, in the same form.
    pub(super) fn configured(&self, next: &Driver, link: LinkConfig) -> NewLink {
        let bytes = |address: &MacAddr| address.bytes().to_vec();
        let data = LinkData {
            mode: Some(link.mode.value()),
            flags: Some(link.flags.bits()),
            macaddr_mode: (link.mode == Mode::Source).then_some(MacaddrMode::Set.value()),
            macaddr_data: Some(
                link.macaddr.iter().map(|address| (MACADDR, bytes(address))).collect(),
            ),
            bc_queue_len: Some(link.bcqueuelen),
            bc_cutoff: link.bclim,
            ..LinkData::default()
        };
        let request = LinkRequest {
            name: Some(link.name),
            parent: next.by_name(&link.lower),
            address: Some(bytes(&link.address)),
            mtu: Some(u32::from(link.mtu)),
            up: Some(link.up),
            promisc: Some(link.promisc),
            allmulti: Some(link.allmulticast),
            data: Some(data),
            extensions: Extensions {
                addresses: Some(link.addresses),
                spoof_check: Some(link.spoof_check),
            },
        };
        NewLink { request, groups: link.multicast, endpoint: link.endpoint }
    }

    /// Creates a link in `next`, if nothing is in the way.
    pub(super) fn create(&self, next: &mut Driver, link: &NewLink) -> Outcome<Index> {
        let (request, name) = (&link.request, link.request.name.as_deref().unwrap_or_default());
        let taken = |mac| {
            next.links().any(|link| link.own_addresses().any(|own| own == mac))
                || next.lowers().any(|lower| lower.spec.address == mac)
        };
        let lower = request.parent.and_then(|parent| {
            let lower = next.link(parent).map_or(parent, |link| link.lower);
            next.lower(lower)
        });
        let lower = lower.map(|lower| &*lower.spec.name).unwrap_or_default();
        // Made of names, so that it is the same after a restart (LC-13).
        let derived = config::auto_address(&self.switch, lower, name, taken);
        let index = next.newlink(request, &mut || derived).map_err(refused)?;
        for &group in &link.groups {
            next.fdb_add(index, group, false).map_err(refused)?;
        }
        let resource = resource(&link.endpoint);
        let mut links = self.registry.links.values();
        if let Some(holder) = links.find(|other| self::resource(&other.endpoint) == resource) {
            return Err(RpcError::eaddrinuse(format!(
                "{resource} belongs to link {}",
                holder.port.name
            )));
        }
        Ok(index)
    }

    /// Opens the port of a link that is about to exist.
    pub(super) fn open_port(&mut self, index: Index, name: &str, link: NewLink) -> Outcome<()> {
        let mtu = link.request.mtu.or_else(|| {
            let lower = link.request.parent?;
            Some(self.registry.driver().lower(lower)?.spec.mtu)
        });
        let mtu = mtu.and_then(|mtu| u16::try_from(mtu).ok()).unwrap_or(config::DEFAULT_MTU);
        let opened = self.opener.link(name, &link.endpoint, mtu, index);
        let (port, dirty) = opened.map_err(RpcError::eio)?;
        let worker = self.registry.least_loaded(self.publisher.worker_count());
        let link = Link::new(link.endpoint, port, dirty, worker);
        link.watch_device(self.publisher.workers());
        self.registry.links.insert(index, link);
        Ok(())
    }

    /// Takes back [`Control::open_port`]: no plan has named the port yet.
    fn forget_port(&mut self, index: Index) {
        let Some(mut link) = self.registry.links.remove(&index) else { return };
        link.unwatch(self.publisher.workers());
        self.publisher.close_later(resource(&link.endpoint), &link.port, None);
    }

    fn link_set(&mut self, request: &LinkSet) -> Outcome<Value> {
        check_kind(request.kind.as_deref())?;
        let Some(link) = self.registry.link_by_name(&request.name) else {
            return Err(no_link(&request.name));
        };
        let index = link.index;
        let mut data = macaddr(request.macaddr.as_ref())?;
        data.mode = request.mode.as_deref().map(parse_mode).transpose()?.map(Mode::value);
        data.flags = change_flags(link.flags, request.nopromisc, request.nodst);
        data.bc_queue_len = request.bcqueuelen;
        data.bc_cutoff = request.bclim;
        let change = LinkRequest {
            address: request.address.as_deref().map(parse_address).transpose()?,
            mtu: request.mtu,
            up: request.up,
            promisc: request.promisc,
            allmulti: request.allmulticast,
            data: Some(data),
            extensions: Extensions {
                addresses: request.addresses.as_deref().map(parse_addresses).transpose()?,
                spoof_check: request.spoof_check,
            },
            ..LinkRequest::default()
        };
        let mut next = self.registry.driver().clone();
        next.setlink(index, &change).map_err(refused)?;
        self.commit(next)?;
        Ok(json!({ "name": request.name }))
    }

    fn link_del(&mut self, name: &str) -> Outcome<Answer> {
        let Some(link) = self.registry.link_by_name(name) else { return Err(no_link(name)) };
        let index = link.index;
        let resource = self
            .registry
            .links
            .get(&index)
            .map(|link| resource(&link.endpoint))
            .unwrap_or_default();
        let mut next = self.registry.driver().clone();
        next.dellink(index).map_err(refused)?;
        self.commit(next)?;
        tracing::info!(link = %name, "link deleted");
        Ok(Answer::AfterEnd { resource, result: json!({ "name": name }) })
    }

    /// Joins or leaves a group, or changes a passthru link's unicast filter.
    fn filter(&mut self, filter: &Filter, add: bool) -> Outcome<Value> {
        let Filter { name, address } = filter;
        let Some(link) = self.registry.link_by_name(name) else { return Err(no_link(name)) };
        let index = link.index;
        let mac = address
            .parse::<MacAddr>()
            .map_err(|error| RpcError::einval(format!("\"{address}\" is {error}")))?;
        let mut next = self.registry.driver().clone();
        let changed = if add { next.fdb_add(index, mac, false) } else { next.fdb_del(index, mac) };
        changed.map_err(refused)?;
        self.commit(next)?;
        Ok(json!({ "name": name }))
    }

    /// Announces one link, the links of one lower, or all.
    fn link_announce(&mut self, name: Option<&str>) -> Outcome<Value> {
        let driver = self.registry.driver();
        let links: Vec<Index> = match name {
            None => driver.links().map(|link| link.index).collect(),
            Some(name) => {
                let device = driver.by_name(name).ok_or_else(|| no_link(name))?;
                let of_lower = driver.links_of(device).map(|link| link.index);
                let itself = driver.link(device).map(|link| link.index);
                of_lower.chain(itself).collect()
            }
        };
        links.iter().for_each(|&link| self.announce(link));
        Ok(json!({ "links": links.len() }))
    }
}

/// What two links cannot both have: the socket's path or the device's name.
pub(super) fn resource(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Vhost { socket, .. } => socket.display().to_string(),
        Endpoint::Device(device) => config::device_name(device).to_owned(),
    }
}

fn no_link(name: &str) -> RpcError {
    RpcError::enodev(format!("there is no link {name}"))
}

fn check_kind(kind: Option<&str>) -> Outcome<()> {
    match kind.filter(|kind| !KINDS.contains(kind)) {
        Some(kind) => Err(RpcError::refused(
            "EOPNOTSUPP",
            format!("there is no link type {kind}: there are {}", KINDS.join(", ")),
        )),
        None => Ok(()),
    }
}

fn parse_mode(word: &str) -> Outcome<Mode> {
    config::parse_mode(word).map_err(RpcError::einval)
}

/// The address's bytes; whether a link can have them is the driver's to say.
fn parse_address(text: &str) -> Outcome<Vec<u8>> {
    let address: MacAddr =
        text.parse().map_err(|error| RpcError::einval(format!("address \"{text}\" is {error}")))?;
    Ok(address.bytes().to_vec())
}

fn parse_addresses(texts: &[String]) -> Outcome<Vec<MacAddr>> {
    let parse = |text: &String| {
        text.parse::<MacAddr>()
            .map_err(|error| RpcError::einval(format!("address \"{text}\" is {error}")))
    };
    texts.iter().map(parse).collect()
}

/// The operation on a source list.
fn macaddr(change: Option<&Macaddr>) -> Outcome<LinkData> {
    let mut data = LinkData::default();
    let Some(change) = change else { return Ok(data) };
    let mode = match change {
        Macaddr::Add(address) => {
            data.macaddr = Some(parse_address(address)?);
            MacaddrMode::Add
        }
        Macaddr::Del(address) => {
            data.macaddr = Some(parse_address(address)?);
            MacaddrMode::Del
        }
        Macaddr::Flush => MacaddrMode::Flush,
        Macaddr::Set(addresses) => {
            let addresses = addresses.iter().map(|text| Ok((MACADDR, parse_address(text)?)));
            data.macaddr_data = Some(addresses.collect::<Outcome<_>>()?);
            MacaddrMode::Set
        }
    };
    data.macaddr_mode = Some(mode.value());
    Ok(data)
}

/// The kernel takes flags as a whole; people change one.
fn change_flags(now: Flags, nopromisc: Option<bool>, nodst: Option<bool>) -> Option<u16> {
    if nopromisc.is_none() && nodst.is_none() {
        return None;
    }
    let bit = |flag: Flags, wanted: Option<bool>| {
        if wanted.unwrap_or(now.contains(flag)) { flag } else { Flags::NONE }
    };
    Some(bit(Flags::NOPROMISC, nopromisc).union(bit(Flags::NODST, nodst)).bits())
}
