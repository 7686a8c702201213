//! Makes a changed state of the driver the one that counts.
//!
//! Every operation and every event ends here: it is given the state as it shall
//! be, brings the devices and the plan in line with it, and closes what it no
//! longer has. If a device refuses, all is as before.

use std::sync::Arc;

use macvlan::driver::{self, Driver, HostPort, Index, RxMode};
use macvlan::errno::Refusal;
use macvlan::mac::MacAddr;
use mvctl::proto::RpcError;

use super::announce::announce;
use super::registry::Lower;
use super::{Control, Outcome, compile, link_ops};
use crate::config::LowerDevice;
use crate::datapath::Device;
use crate::dpdk::DpdkError;

impl Control {
    /// Makes `next` the state: devices, plan, registry, inventory.
    pub(super) fn commit(&mut self, next: Driver) -> Outcome<()> {
        let plan = compile::plan(&self.registry, &next, self.publisher.worker_count());
        // The operations do not let it come to two links with one address.
        let plan = plan.map_err(|error| RpcError::eaddrinuse(error.to_string()))?;
        if let Err(error) = self.program(&next) {
            let before = self.registry.driver().clone();
            if let Err(error) = self.program(&before) {
                tracing::error!("a device could not be put back as it was: {}", error.message);
            }
            return Err(error);
        }
        self.registry.macvlan.driver = next;
        self.publisher.publish(plan);
        self.close_what_is_gone();
        self.registry.refresh_inventory(self.publisher.workers());
        Ok(())
    }

    /// Brings the devices of all lowers in line with `next`.
    fn program(&mut self, next: &Driver) -> Outcome<()> {
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

    /// Lets go of the ports of links and lowers that the driver no longer has;
    /// they close with the last plan that names them.
    fn close_what_is_gone(&mut self) {
        let registry = &mut self.registry;
        let driver = &registry.macvlan.driver;
        let gone = registry.links.extract_if(|&index, _| driver.link(index).is_none());
        for (_, mut link) in gone.collect::<Vec<_>>() {
            link.unwatch(self.publisher.workers());
            self.publisher.close_later(link_ops::resource(&link.endpoint), &link.port, None);
        }
        let gone = registry.lowers.extract_if(.., |lower| driver.lower(lower.index).is_none());
        for lower in gone.collect::<Vec<_>>() {
            let device = match &lower.config.device {
                LowerDevice::Device(device) => device.clone(),
                LowerDevice::Vlan { .. } => String::new(),
            };
            let resource = crate::config::device_name(&device).to_owned();
            self.publisher.close_later(resource, &lower.port, Some(Arc::clone(&lower.queue)));
            if let Some(host) = &lower.host {
                let resource = crate::config::device_name(&host.config.device).to_owned();
                self.publisher.close_later(resource, &host.port, None);
            }
        }
    }

    /// Announces the addresses of a link, if it is up.
    pub(super) fn announce(&self, link: Index) {
        let Some(facts) = self.registry.driver().link(link).filter(|link| link.up) else { return };
        let Some(link) = self.registry.links.get(&link) else { return };
        announce(&link.port, &self.opener.pool, facts.own_addresses());
        if let Some(worker) = self.publisher.workers().get(usize::from(link.worker)) {
            worker.waker.wake();
        }
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

/// A refusal of the driver, as clients get it.
pub(super) fn refused(refusal: Refusal) -> RpcError {
    RpcError::refused(refusal.errno.name(), refusal.message)
}
