//! Brings devices in line with a state of the driver.
//!
//! Called by commit alone, before that state counts: address, MTU and filters of
//! each lower's device. What a device took is remembered step by step, so that
//! putting it back after a refusal is the same thing again.

use macvlan::driver::{self, Driver, HostPort, Index, RxMode};
use macvlan::mac::MacAddr;
use mvctl::proto::RpcError;

use super::registry::Lower;
use super::{Control, Outcome};
use crate::datapath::Device;
use crate::dpdk::DpdkError;

impl Control {
    /// Brings the devices of all lowers in line with `next`.
    pub(super) fn program(&mut self, next: &Driver) -> Outcome<()> {
        let carriers: Vec<(Index, Option<Index>)> =
            self.registry.lowers.iter().map(|lower| (lower.index, lower.carrier)).collect();
        for lower in &mut self.registry.lowers {
            let Some(facts) = next.lower(lower.index) else { continue };
            let on_it = carriers.iter().filter(|(_, carrier)| *carrier == Some(lower.index));
            let has_vlans = on_it.clone().next().is_some();
            let sharing = std::iter::once(lower.index).chain(on_it.map(|&(index, _)| index));
            let wanted = wanted(next, lower, sharing);
            let name = lower.config.name.clone();
            let done = program_lower(lower, facts, &wanted, has_vlans);
            done.map_err(|error| refuse(&name, &error))?;
        }
        Ok(())
    }
}

/// What a lower's device must let through: what its links want, and those of the
/// VLANs on it.
fn wanted(next: &Driver, lower: &Lower, sharing: impl Iterator<Item = Index>) -> RxMode {
    let mut wanted = RxMode::default();
    for index in sharing {
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
    if let Some(facts) = next.lower(lower.index) {
        wanted.unicast.remove(&facts.spec.address);
    }
    wanted.unicast.remove(&MacAddr::ZERO);
    wanted
}

/// Brings one device in line. What it took is remembered step by step, so that
/// putting it back after a refusal is the same thing again.
fn program_lower(
    lower: &mut Lower,
    facts: &driver::Lower,
    wanted: &RxMode,
    has_vlans: bool,
) -> Result<(), DpdkError> {
    let (address, mtu) = (facts.spec.address, facts.spec.mtu);
    if lower.address != address {
        set_address(lower, address.bytes())?;
        lower.address = address;
    }
    if lower.mtu != mtu
        && let (Device::Eth(port), Ok(wanted)) = (&lower.port.device, u16::try_from(mtu))
    {
        match port.set_mtu(wanted) {
            // A device without the notion takes what fits its buffers.
            Err(error) if !error.is_unsupported() => return Err(error),
            _ => {}
        }
    }
    lower.mtu = mtu;
    // A VLAN has no device of its own: the one that carries it was told.
    let Some(port) = lower.port.eth() else { return Ok(()) };
    let before = lower.filters.promiscuous;
    lower.filters.apply(port, wanted, has_vlans)?;
    if let Some(why) = lower.filters.promiscuous.filter(|_| before.is_none()) {
        tracing::info!(lower = %lower.config.name, "promiscuous: {why}");
    }
    Ok(())
}

/// Gives a lower's device its address, and the host behind it the same.
fn set_address(lower: &Lower, address: [u8; 6]) -> Result<(), DpdkError> {
    // A wire inside the process has no address to filter by.
    if let Device::Eth(port) = &lower.port.device {
        port.set_address(address)?;
    }
    match lower.host.as_ref().and_then(|host| host.port.eth()).map(|host| host.set_address(address))
    {
        // A host device that has a fixed address keeps it.
        Some(Err(error)) if !error.is_unsupported() => Err(error),
        _ => Ok(()),
    }
}

/// Gives a lower's device the address it shall be left with.
pub(super) fn restore_address(lower: &Lower, driver: &Driver) {
    let Some(facts) = driver.lower(lower.index) else { return };
    if lower.address != facts.spec.address
        && let Err(error) = set_address(lower, facts.spec.address.bytes())
    {
        let name = &lower.config.name;
        tracing::warn!(lower = %name, "its address could not be put back: {error}");
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
