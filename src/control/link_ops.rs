//! The operations on links: add, set, delete, filters, announcements.
//!
//! Run on the control thread. Words become the driver's attributes here, ports
//! are opened and closed; what is allowed, in which order it is checked and with
//! which errno it is refused is the driver's (`macvlan::driver`). Each operation
//! changes a transaction, which is published once; what is refused leaves the
//! state as it was. A link added here is in bridge mode unless it says otherwise.

use std::path::PathBuf;

use macvlan::driver::{self, Driver, Index};
use macvlan::mac::MacAddr;
use macvlan::mode::{Flags, MacaddrMode, Mode};
use macvlan::notifier::KIND;
use macvlan::request::{Extensions, LinkData, LinkRequest, MACADDR};
use mvctl::proto::{Announced, Filter, LinkAdd, LinkSet, Macaddr, RpcError};

use super::commit::refused;
use super::transaction::{Hindrance, Transaction};
use super::{Control, Outcome};
use crate::config::{self, Endpoint, LinkConfig, Role};

/// A link that may be created, and what its frames move through.
pub(super) struct NewLink {
    pub(super) request: LinkRequest,
    pub(super) groups: Vec<MacAddr>,
    pub(super) endpoint: Endpoint,
    /// Its address was drawn, not written.
    pub(super) random_address: bool,
}

/// macvtap is the same link here: it differs from macvlan in how the kernel
/// hands frames to user space (LC-04).
const KINDS: [&str; 2] = [KIND, "macvtap"];

impl Control {
    pub(super) fn link_add(
        &mut self,
        change: &mut Transaction,
        request: &LinkAdd,
    ) -> Result<(), Hindrance> {
        let link = self.new_link(&change.next.driver, request)?;
        self.add_link(change, link)?;
        change.notes.push((request.name.clone(), "link added"));
        Ok(())
    }

    /// Creates a link and opens its port.
    pub(super) fn add_link(
        &mut self,
        change: &mut Transaction,
        link: NewLink,
    ) -> Result<Index, Hindrance> {
        let before = change.next.driver.clone();
        let created = self.create(&mut change.next.driver, &link).map_err(Hindrance::from);
        let opened =
            created.and_then(|index| self.provide_port(change, index, link).map(|()| index));
        if opened.is_err() {
            change.next.driver = before;
        }
        opened
    }

    /// Turns the words of a request into attributes, and fills in what the
    /// kernel would not: bridge mode, up, and all groups for a guest whose
    /// filter nobody tells us.
    fn new_link(&self, next: &Driver, request: &LinkAdd) -> Outcome<NewLink> {
        check_kind(request.kind.as_deref())?;
        config::check_name(&request.name).map_err(RpcError::einval)?;
        let mode = request.mode.as_deref().unwrap_or(Mode::Bridge.name());
        let mut data = macaddr(request.macaddr.as_ref())?;
        data.mode = Some(parse_mode(mode)?.value());
        data.flags = change_flags(Flags::NONE, request.nopromisc, request.nodst);
        data.bc_queue_len = request.bcqueuelen;
        data.bc_cutoff = request.bclim;
        let endpoint = self.endpoint(request).map_err(RpcError::einval)?;
        let random = || config::random_address(|mac| has_address(next, mac)).to_string();
        let address = match request.address.as_deref() {
            None | Some("auto") => None,
            Some("random") => Some(random()),
            Some(text) => Some(text.to_owned()),
        };
        let random_address = request.address.as_deref() == Some("random");
        let request = LinkRequest {
            name: Some(request.name.clone()),
            parent: Some(find_device(next, &request.link)?),
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
        Ok(NewLink { request, groups: Vec::new(), endpoint, random_address })
    }

    pub(super) fn endpoint(&self, request: &LinkAdd) -> Result<Endpoint, String> {
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
        NewLink {
            request,
            groups: link.multicast,
            endpoint: link.endpoint,
            random_address: link.random_address,
        }
    }

    /// Creates a link in `next`, if nothing is in the way.
    pub(super) fn create(&self, next: &mut Driver, link: &NewLink) -> Outcome<Index> {
        let (request, name) = (&link.request, link.request.name.as_deref().unwrap_or_default());
        let taken = |mac| has_address(next, mac);
        let lower = request.parent.and_then(|parent| {
            let lower = next.link(parent).map_or(parent, |link| link.lower);
            next.lower(lower)
        });
        let lower = lower.map(|lower| &*lower.spec.name).unwrap_or_default();
        // Made of names, so that it is the same after a restart (LC-13).
        let derived = config::auto_address(&self.config.switch.name, lower, name, taken);
        let index = next.newlink(request, &mut || derived).map_err(refused)?;
        for &group in &link.groups {
            next.fdb_add(index, group, false).map_err(refused)?;
        }
        Ok(index)
    }

    pub(super) fn link_set(&self, next: &mut Driver, request: &LinkSet) -> Outcome<()> {
        check_kind(request.kind.as_deref())?;
        let link = find_link(next, &request.name)?;
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
        next.setlink(index, &change).map_err(refused)
    }

    /// Sets a link down for the time being.
    pub(super) fn set_down(&self, next: &mut Driver, link: Index) -> Outcome<()> {
        let down = LinkRequest { up: Some(false), ..LinkRequest::default() };
        next.setlink(link, &down).map_err(refused)
    }

    /// Brings a link in line with what a config says; `has` knows the keys that
    /// differ.
    pub(super) fn reconfigure(
        &self,
        next: &mut Driver,
        to: &LinkConfig,
        has: &dyn Fn(&str) -> bool,
    ) -> Outcome<()> {
        let link = find_link(next, &to.name)?;
        let (index, groups) = (link.index, link.groups.clone());
        let bytes = |address: &MacAddr| address.bytes().to_vec();
        let lists = has("macaddr") && to.mode == Mode::Source;
        let data = LinkData {
            mode: has("mode").then(|| to.mode.value()),
            flags: (has("nopromisc") || has("nodst")).then(|| to.flags.bits()),
            macaddr_mode: lists.then(|| MacaddrMode::Set.value()),
            macaddr_data: lists.then(|| to.macaddr.iter().map(|it| (MACADDR, bytes(it))).collect()),
            bc_queue_len: has("bcqueuelen").then_some(to.bcqueuelen),
            bc_cutoff: to.bclim.filter(|_| has("bclim")),
            ..LinkData::default()
        };
        let change = LinkRequest {
            address: has("address").then(|| bytes(&to.address)),
            mtu: has("mtu").then_some(to.mtu.into()),
            // It may have been set down to clear the way.
            up: Some(to.up),
            promisc: has("promisc").then_some(to.promisc),
            allmulti: has("allmulticast").then_some(to.allmulticast),
            data: Some(data),
            extensions: Extensions {
                addresses: has("addresses").then(|| to.addresses.clone()),
                spoof_check: has("spoof_check").then_some(to.spoof_check),
            },
            ..LinkRequest::default()
        };
        next.setlink(index, &change).map_err(refused)?;
        if has("multicast") {
            for &gone in groups.iter().filter(|group| !to.multicast.contains(group)) {
                next.fdb_del(index, gone).map_err(refused)?;
            }
            for &new in to.multicast.iter().filter(|group| !groups.contains(*group)) {
                next.fdb_add(index, new, false).map_err(refused)?;
            }
        }
        Ok(())
    }

    pub(super) fn link_del(&self, change: &mut Transaction, name: &str) -> Outcome<()> {
        let index = find_link(&change.next.driver, name)?.index;
        self.delete_link(change, index)?;
        change.notes.push((name.to_owned(), "link deleted"));
        Ok(())
    }

    pub(super) fn delete_link(&self, change: &mut Transaction, index: Index) -> Outcome<()> {
        change.next.driver.dellink(index).map_err(refused)?;
        let port = self.registry.links.get(&index);
        change.ends.extend(port.map(|link| link.endpoint.resource()));
        Ok(())
    }

    /// One operation on a source list: what `link.set` does with `macaddr`.
    pub(super) fn source(&self, next: &mut Driver, name: &str, list: Macaddr) -> Outcome<()> {
        let request = LinkSet { name: name.to_owned(), macaddr: Some(list), ..LinkSet::default() };
        self.link_set(next, &request)
    }

    /// Announces one link, the links of one lower, or all.
    pub(super) fn link_announce(&self, name: Option<&str>) -> Outcome<Announced> {
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
        Ok(Announced { links: links.len() })
    }
}

/// Joins or leaves a group, or changes a passthru link's unicast filter.
pub(super) fn filter(next: &mut Driver, filter: &Filter, add: bool) -> Outcome<()> {
    let Filter { name, address } = filter;
    let index = find_link(next, name)?.index;
    let mac = address
        .parse::<MacAddr>()
        .map_err(|error| RpcError::einval(format!("\"{address}\" is {error}")))?;
    let changed = if add { next.fdb_add(index, mac, false) } else { next.fdb_del(index, mac) };
    changed.map_err(refused)
}

/// The link of this name.
pub(super) fn find_link<'a>(driver: &'a Driver, name: &str) -> Outcome<&'a driver::Link> {
    driver.by_name(name).and_then(|index| driver.link(index)).ok_or_else(|| no_link(name))
}

/// A lower or link by its name (ER-13).
fn find_device(driver: &Driver, name: &str) -> Outcome<Index> {
    driver.by_name(name).ok_or_else(|| {
        let lowers: Vec<&str> = driver.lowers().map(|lower| &*lower.spec.name).collect();
        RpcError::enodev(format!("there is no lower {name}: there are {}", lowers.join(", ")))
    })
}

/// Some lower or link has this address.
fn has_address(driver: &Driver, mac: MacAddr) -> bool {
    driver.links().any(|link| link.own_addresses().any(|own| own == mac))
        || driver.lowers().any(|lower| lower.spec.address == mac)
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
