//! Brings devices in line with a state of the driver.
//!
//! Called by commit alone, before that state counts: address, MTU and filters of
//! each lower's device, address and MTU of its host's, MTU of links' devices.
//! What a device took is remembered step by step, so that putting it back after
//! a refusal is the same thing again. A device can refuse what an operation asks
//! of it and nothing else: what lets less in, gives an address back, or is still
//! owed from earlier is tried, logged, and tried again with the next commit.

use hashbrown::HashMap;
use macvlan::driver::{self, Driver, HostPort, Index, RxMode};
use macvlan::mac::MacAddr;
use mvctl::proto::RpcError;

use super::filters::Widened;
use super::registry::{Link, Lower, Registry};
use super::{Control, Outcome};
use crate::datapath::Device;
use crate::dpdk::{DpdkError, EthPort};

/// The state that counts, and the one that shall.
#[derive(Clone, Copy)]
struct Change<'a> {
    now: &'a Driver,
    next: &'a Driver,
}

impl Control {
    /// Brings the devices of all lowers and links in line with `next`. `anew`:
    /// also where nothing seems to have changed, since something may have been
    /// tried.
    pub(super) fn program(&mut self, next: &Driver, anew: bool) -> Outcome<()> {
        let Registry { macvlan, lowers, links, .. } = &mut self.registry;
        let change = Change { now: &macvlan.driver, next };
        let carriers: Vec<(Index, Option<Index>)> =
            lowers.iter().map(|lower| (lower.index, lower.carrier)).collect();
        let mut widened = Vec::new();
        for lower in lowers.iter_mut() {
            let Some(facts) = next.lower(lower.index) else { continue };
            let on_it = carriers.iter().filter(|(_, carrier)| *carrier == Some(lower.index));
            let mut sharing: Vec<Index> =
                std::iter::once(lower.index).chain(on_it.map(|&(index, _)| index)).collect();
            program_address(lower, facts, change)?;
            program_mtu(lower, facts, change)?;
            let same = |&index: &Index| change.now.shares_rx_mode(next, index);
            if anew || !lower.filters.owes.is_empty() || !sharing.iter().all(same) {
                // A VLAN that goes takes along what was heard for it.
                sharing.retain(|&index| next.lower(index).is_some());
                widened.extend(widen_filters(lower, &sharing, change)?);
            }
        }
        // No device refuses any more: nobody was made deaf for what does not happen.
        for (index, wanted, how) in widened {
            if let Some(lower) = lowers.iter_mut().find(|lower| lower.index == index) {
                narrow_filters(lower, &wanted, how)?;
            }
        }
        program_links(links, change);
        Ok(())
    }
}

impl Change<'_> {
    /// The operation gives this lower another address, other than by the end of
    /// its passthru link (LC-19).
    fn asks_address(self, lower: Index) -> bool {
        let Some(next) = self.next.lower(lower) else { return false };
        let Some(now) = self.now.lower(lower) else { return true };
        let restores = now.is_passthru() && !next.is_passthru();
        now.spec.address != next.spec.address && !restores
    }

    /// The operation gives this lower another MTU.
    fn asks_mtu(self, lower: Index) -> bool {
        let mtu = |driver: &Driver| driver.lower(lower).map(|lower| lower.spec.mtu);
        mtu(self.now) != mtu(self.next)
    }

    /// The operation wants more to come in for this lower.
    fn asks_to_hear(self, lower: Index) -> bool {
        let Some(next) = self.next.rx_mode(lower) else { return false };
        let Some(now) = self.now.rx_mode(lower) else { return true };
        self.asks_address(lower)
            || !next.unicast.is_subset(&now.unicast)
            || !next.groups.is_subset(&now.groups)
            || next.allmulti && !now.allmulti
            || next.promiscuous && !now.promiscuous
    }
}

/// What a device of this address must let through for the lowers that share it.
fn wanted(next: &Driver, own: MacAddr, sharing: &[Index]) -> RxMode {
    let mut wanted = RxMode::default();
    for &index in sharing {
        let (Some(mode), Some(facts)) = (next.rx_mode(index), next.lower(index)) else { continue };
        wanted.unicast.insert(facts.spec.address);
        wanted.unicast.extend(mode.unicast);
        wanted.groups.extend(mode.groups);
        wanted.allmulti |= mode.allmulti;
        wanted.promiscuous |= mode.promiscuous;
        // Which groups a host has joined nobody tells us.
        wanted.allmulti |= facts.spec.host != HostPort::None;
    }
    // Its own it hears anyway.
    wanted.unicast.remove(&own);
    wanted.unicast.remove(&MacAddr::ZERO);
    wanted
}

/// Gives a lower's device its address, and the host behind it the same.
fn program_address(lower: &mut Lower, facts: &driver::Lower, change: Change) -> Outcome<()> {
    let address = facts.spec.address;
    let asked = change.asks_address(lower.index);
    let mut set = Ok(());
    if lower.address != address {
        set = set_address(lower, address);
        // Even if it was refused: to have it as a further one is asked anew then.
        lower.filters.forget(address);
        if set.is_ok() {
            lower.address = address;
        }
    }
    settle(lower, Part::Address, asked, set)?;
    let set = set_host_address(lower, address);
    settle(lower, Part::HostAddress, asked, set)
}

fn set_address(lower: &Lower, address: MacAddr) -> Result<(), DpdkError> {
    match &lower.port.device {
        Device::Eth(port) => port.set_address(address.bytes()),
        // A wire inside the process has no address to filter by.
        Device::Ring(_) | Device::Vhost(_) | Device::Vlan(_) => Ok(()),
    }
}

/// The host's device itself says which address it took last.
fn set_host_address(lower: &Lower, address: MacAddr) -> Result<(), DpdkError> {
    let Some(host) = lower.host.as_ref().and_then(|host| host.port.eth()) else { return Ok(()) };
    // One that is gone needs none.
    if host.address()? == address.bytes() || host.is_removed() {
        return Ok(());
    }
    match host.set_address(address.bytes()) {
        // A host device that has a fixed address keeps it.
        Err(error) if !error.is_unsupported() => Err(error),
        _ => Ok(()),
    }
}

/// Gives a lower's device its MTU, and the host behind it the same.
fn program_mtu(lower: &mut Lower, facts: &driver::Lower, change: Change) -> Outcome<()> {
    let mtu = facts.spec.mtu;
    let asked = change.asks_mtu(lower.index);
    let set = match (&lower.port.device, u16::try_from(mtu)) {
        (Device::Eth(port), Ok(wanted)) if lower.mtu != mtu => port.set_mtu(wanted),
        _ => Ok(()),
    };
    // A device without the notion takes what fits its buffers.
    let set = set.or_else(|error| match error.errno {
        nix::libc::ENOTSUP => Ok(()),
        _ => Err(error),
    });
    if set.is_ok() {
        lower.mtu = mtu;
    }
    settle(lower, Part::Mtu, asked, set)?;
    if let Some(host) = lower.host.as_ref().and_then(|host| host.port.eth()) {
        fit_mtu(host, mtu, asked, || format!("the host of {}", lower.config.name));
    }
    Ok(())
}

/// Gives links' devices the MTU of their links: what a guest behind one may send.
/// Such a device may then not take what the kernel would deliver, frames from the
/// wire that are larger than the link's MTU and not than the lower's.
fn program_links(links: &HashMap<Index, Link>, change: Change) {
    for (&index, link) in links {
        if let Device::Eth(port) = &link.port.device
            && let Some(facts) = change.next.link(index)
        {
            let asked = change.now.link(index).is_none_or(|now| now.mtu != facts.mtu);
            fit_mtu(port, facts.mtu, asked, || format!("link {}", facts.name));
        }
    }
}

/// Gives `port` this MTU or the most it takes. What it cannot send is dropped
/// before it gets there, so nothing is refused for it.
fn fit_mtu(port: &EthPort, mtu: u32, asked: bool, whose: impl Fn() -> String) {
    let wanted = u16::try_from(mtu).unwrap_or(u16::MAX);
    let now = port.mtu().unwrap_or_default();
    if now == wanted {
        return;
    }
    let most = wanted.min(port.max_mtu().unwrap_or(wanted));
    let set = if now == most { Ok(()) } else { port.set_mtu(most) };
    if asked
        && let Ok(carries) = port.carries()
        && carries < wanted
    {
        let why = set.err().map(|error| format!(": {error}")).unwrap_or_default();
        tracing::warn!("the device of {} takes an mtu of {carries}, not {wanted}{why}", whose());
    }
}

/// Lets a lower's device hear what its links want, and those of the VLANs on it.
/// Returns what it may be narrowed to.
fn widen_filters(
    lower: &mut Lower,
    sharing: &[Index],
    change: Change,
) -> Outcome<Option<(Index, RxMode, Widened)>> {
    // A VLAN has no device of its own: the one that carries it was told.
    let Some(port) = lower.port.eth() else { return Ok(None) };
    let wanted = wanted(change.next, lower.address, sharing);
    let promiscuous = lower.filters.promiscuous;
    let told = lower.filters.widen(port, &wanted, sharing.len() > 1);
    if let Some(why) = lower.filters.promiscuous.filter(|_| promiscuous.is_none()) {
        tracing::info!(lower = %lower.config.name, "promiscuous: {why}");
    }
    let asked = told.is_err() && sharing.iter().any(|&index| change.asks_to_hear(index));
    let (told, widened) = match told {
        Ok(widened) => (Ok(()), Some((lower.index, wanted, widened))),
        Err(error) => (Err(error), None),
    };
    settle(lower, Part::Wider, asked, told)?;
    Ok(widened)
}

/// Takes back what its device lets in and nobody wants.
fn narrow_filters(lower: &mut Lower, wanted: &RxMode, widened: Widened) -> Outcome<()> {
    let Some(port) = lower.port.eth() else { return Ok(()) };
    let clings = lower.filters.narrow(port, wanted, widened);
    settle(lower, Part::Narrower, false, clings.map_or(Ok(()), Err))
}

/// What a device is told, each part by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Address,
    HostAddress,
    Mtu,
    Wider,
    Narrower,
}

/// Refuses the operation that asked for what was not done. Otherwise the device
/// owes it, which is said once.
fn settle(lower: &mut Lower, part: Part, asked: bool, done: Result<(), DpdkError>) -> Outcome<()> {
    let name = &lower.config.name;
    let Err(error) = done else {
        lower.filters.owes.remove(&part);
        return Ok(());
    };
    let (whose, what) = match part {
        Part::Address => (name.clone(), "does not take its address"),
        Part::HostAddress => (format!("the host of {name}"), "does not take its address"),
        Part::Mtu => (name.clone(), "does not take its mtu"),
        Part::Wider => (name.clone(), "does not let in all that its links want"),
        Part::Narrower => (name.clone(), "lets in more than its links want"),
    };
    if asked {
        return Err(refuse(&whose, &error));
    }
    if lower.filters.owes.insert(part) {
        tracing::warn!("the device of {whose} {what}, and will be told again: {error}");
    }
    Ok(())
}

/// Gives a lower's device the address it shall be left with.
pub(super) fn restore_address(lower: &Lower, driver: &Driver) {
    let Some(facts) = driver.lower(lower.index) else { return };
    let (name, address) = (&lower.config.name, facts.spec.address);
    if lower.address != address
        && let Err(error) = set_address(lower, address)
    {
        tracing::warn!(lower = %name, "its address could not be put back: {error}");
    }
    if let Err(error) = set_host_address(lower, address) {
        tracing::warn!(lower = %name, "its host's address could not be put back: {error}");
    }
}

fn refuse(lower: &str, error: &DpdkError) -> RpcError {
    let message = format!("the device of {lower} refused: {error}");
    match error.errno {
        nix::libc::EPERM | nix::libc::EACCES => RpcError::refused("EPERM", message),
        nix::libc::ENOTSUP => RpcError::refused("EOPNOTSUPP", message),
        nix::libc::EBUSY => RpcError::refused("EIO", message),
        _ => RpcError::eio(message),
    }
}
