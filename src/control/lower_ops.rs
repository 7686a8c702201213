//! Operations on lowers and their hosts: add, set, delete.
//!
//! Run on the control thread, at start for what the config names and later on
//! request. What a change means for links is an event of the notifier chain;
//! devices are opened here and closed by commit.

use std::sync::Arc;

use macvlan::driver::{Event, HostPort, Index, LowerSpec};
use macvlan::mac::MacAddr;
use mvctl::proto::{HostAdd, HostSet, LowerAdd, LowerSet, RpcError};

use super::commit::refused;
use super::filters::Filters;
use super::interface;
use super::registry::{Host, Lower, Poller};
use super::transaction::{Hindrance, Transaction};
use super::{Control, Outcome};
use crate::config::{self, HostConfig, LowerConfig, LowerDevice, VlanProtocol};
use crate::datapath::{BroadcastQueue, Device, Port};

/// Bytes around the payload: Ethernet header and up to two VLAN tags.
const OVERHEAD: u16 = 22;

impl Control {
    pub(super) fn lower_add(
        &mut self,
        change: &mut Transaction,
        request: &LowerAdd,
    ) -> Result<(), Hindrance> {
        let config = self.new_lower(change, request)?;
        self.add_lower(change, config)?;
        change.notes.push((request.name.clone(), "lower added"));
        Ok(())
    }

    /// Opens a lower and makes it available to links.
    pub(super) fn add_lower(
        &mut self,
        change: &mut Transaction,
        config: LowerConfig,
    ) -> Result<Index, Hindrance> {
        if change.next.driver.by_name(&config.name).is_some() {
            return Err(RpcError::eexist(format!("{} exists already", config.name)).into());
        }
        let room = self.opener.pool.room().saturating_sub(OVERHEAD);
        if config.mtu > room {
            return Err(RpcError::einval(format!(
                "mtu {} is larger than {room}, for which the buffers have room: \
                 write it into the config and start the switch anew",
                config.mtu
            ))
            .into());
        }
        if let LowerDevice::Device(device) = &config.device {
            self.is_free(change, device)?;
        }
        if let Some(host) = &config.host {
            self.is_free(change, &host.device)?;
        }
        let lower = self.open_lower(change, config).map_err(RpcError::eio)?;
        lower.watch_device(self.publisher.workers());
        let index = lower.index;
        self.registry.lowers.push(lower);
        change.lowers.push(index);
        Ok(index)
    }

    /// Turns the words of a request into what a config would say.
    fn new_lower(&self, change: &Transaction, request: &LowerAdd) -> Outcome<LowerConfig> {
        let wrong = RpcError::einval;
        config::check_name(&request.name).map_err(wrong)?;
        let protocol = request.vlan_protocol.as_deref().map(config::parse_vlan_protocol);
        let protocol = protocol.transpose().map_err(wrong)?;
        let (device, most, whose) = match (&request.device, &request.lower, request.vlan) {
            (Some(device), None, None) if protocol.is_none() => {
                config::check_device(device).map_err(wrong)?;
                (LowerDevice::Device(device.clone()), config::MAX_MTU, String::new())
            }
            (None, Some(lower), Some(id)) => {
                let carrier = Self::find_lower(change, lower)?;
                let device = self.vlan_of(change, carrier, id, protocol)?;
                let facts = change.next.driver.lower(carrier);
                let mtu = facts.map_or(config::DEFAULT_MTU.into(), |lower| lower.spec.mtu);
                let most = u16::try_from(mtu).unwrap_or(config::MAX_MTU);
                (device, most, format!(", the mtu of {lower}"))
            }
            _ => {
                return Err(wrong(
                    "a lower has a device, or a lower and a vlan: name one of the two".to_owned(),
                ));
            }
        };
        let is_vlan = matches!(device, LowerDevice::Vlan { .. });
        let mtu = request.mtu.map(|mtu| config::check_mtu(i64::from(mtu), most, &whose));
        let mtu = mtu.transpose().map_err(wrong)?;
        let address = request.address.as_deref().map(config::parse_address);
        Ok(LowerConfig {
            name: request.name.clone(),
            device,
            mtu: mtu.unwrap_or(if is_vlan { most } else { config::DEFAULT_MTU }),
            address: address.transpose().map_err(wrong)?,
            up: request.up.unwrap_or(true),
            private_strict: request.private_strict.unwrap_or(false),
            drop_link_local: request.drop_link_local.unwrap_or(false),
            host: None,
        })
    }

    fn vlan_of(
        &self,
        change: &Transaction,
        carrier: Index,
        id: u16,
        protocol: Option<VlanProtocol>,
    ) -> Outcome<LowerDevice> {
        let protocol = protocol.unwrap_or(VlanProtocol::Dot1q);
        let Some(below) = self.registry.lower(carrier) else {
            return Err(RpcError::enodev("the lower is gone"));
        };
        let lower = below.port.name.to_string();
        config::check_vlan(&below.config, id, protocol).map_err(RpcError::einval)?;
        let tag = Some((protocol.tpid(), id));
        let mut vlans = self.registry.vlans_on(carrier).filter(|vlan| vlan.tag() == tag);
        if let Some(taken) = vlans.find(|vlan| change.next.driver.lower(vlan.index).is_some()) {
            let message = format!("vlan {id} of {lower} is lower {} already", taken.port.name);
            return Err(RpcError::eexist(message));
        }
        Ok(LowerDevice::Vlan { lower, id, protocol })
    }

    /// Nobody has this device, or has not yet let go of it.
    fn is_free(&self, change: &Transaction, device: &str) -> Result<(), Hindrance> {
        let resource = config::device_name(device);
        // Any number of demo wires can be.
        if resource == "demo" {
            return Ok(());
        }
        if let Some(holder) = self.holder_of(&change.next.driver, resource) {
            let whose = self.name_of(&change.next.driver, holder);
            if change.lets_go(holder) {
                return Err(Hindrance::Leaving(RpcError::ebusy(format!(
                    "device {resource} is that of {whose}, which the same request deletes: \
                     delete it in an earlier one"
                ))));
            }
            return Err(
                RpcError::eaddrinuse(format!("device {resource} belongs to {whose}")).into()
            );
        }
        self.is_closed(resource)
    }

    /// `lower.set`: each change is an event (NT-01, NT-03 to NT-05).
    pub(super) fn lower_set(
        &mut self,
        change: &mut Transaction,
        request: &LowerSet,
    ) -> Outcome<()> {
        let LowerSet { name, up, mtu, address, private_strict, drop_link_local } = request;
        let index = Self::find_lower(change, name)?;
        let before = change.next.clone();
        let (events, addresses) = (change.events.len(), change.addresses.len());
        let done = (|| {
            if let Some(mtu) = mtu {
                self.check_lower_mtu(change, index, *mtu)?;
                self.event(change, index, &Event::ChangeMtu(*mtu))?;
            }
            if let Some(text) = address {
                let address = config::parse_address(text).map_err(RpcError::einval)?;
                self.event(change, index, &Event::ChangeAddr(address))?;
                change.addresses.push((index, address));
            }
            if *up == Some(true) {
                self.check_carrier_is_up(change, index)?;
            }
            if let Some(up) = up {
                self.event(change, index, if *up { &Event::Up } else { &Event::Down })?;
            }
            let next = &mut change.next.driver;
            next.set_policy(index, None, *private_strict, *drop_link_local).map_err(refused)
        })();
        if done.is_err() {
            change.next = before;
            change.events.truncate(events);
            change.addresses.truncate(addresses);
        }
        done
    }

    /// As the kernel has it, a VLAN is not up on a device that is down.
    pub(super) fn check_carrier_is_up(&self, change: &Transaction, index: Index) -> Outcome<()> {
        let carrier = self.registry.lower(index).and_then(|lower| lower.carrier);
        match carrier.and_then(|carrier| change.next.driver.lower(carrier)) {
            Some(carrier) if !carrier.spec.up => {
                let name = &carrier.spec.name;
                let message = format!("{name}, which carries it, is down: set {name} up first");
                Err(RpcError::refused("ENETDOWN", message))
            }
            _ => Ok(()),
        }
    }

    fn check_lower_mtu(&self, change: &Transaction, index: Index, mtu: u32) -> Outcome<()> {
        let Some(lower) = self.registry.lower(index) else { return Ok(()) };
        let carrier = lower.carrier.and_then(|carrier| change.next.driver.lower(carrier));
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

    /// Deletes a lower, its links and the VLANs on it (LC-22).
    pub(super) fn lower_del(&mut self, change: &mut Transaction, name: &str) -> Outcome<()> {
        let index = Self::find_lower(change, name)?;
        let vlans: Vec<Index> = self.registry.vlans_on(index).map(|vlan| vlan.index).collect();
        for gone in vlans.into_iter().chain([index]) {
            let links = change.next.driver.links_of(gone).map(|link| link.index);
            let links: Vec<_> = links.filter_map(|link| self.registry.links.get(&link)).collect();
            change.ends.extend(links.iter().map(|link| link.endpoint.resource()));
            let Some(lower) = self.registry.lower(gone) else { continue };
            let device = lower.own_device().filter(|device| config::device_name(device) != "demo");
            let host = lower.host.as_ref().map(|host| &*host.config.device);
            let devices = device.into_iter().chain(host);
            change.ends.extend(devices.map(|it| config::device_name(it).to_owned()));
        }
        self.event(change, index, &Event::Unregister)
    }

    pub(super) fn host_add(
        &mut self,
        change: &mut Transaction,
        request: &HostAdd,
    ) -> Result<(), Hindrance> {
        let HostAdd { link, device, reachable } = request;
        let index = Self::find_lower(change, link)?;
        let facts = change.next.driver.lower(index);
        if facts.is_some_and(|lower| lower.spec.host != HostPort::None) {
            return Err(RpcError::eexist(format!("{link} has a host already")).into());
        }
        config::check_link_device(device).map_err(RpcError::einval)?;
        self.is_free(change, device)?;
        let config = HostConfig { device: device.clone(), reachable: reachable.unwrap_or(false) };
        let address = facts.map_or(MacAddr::ZERO, |lower| lower.spec.address);
        let mtu = facts.and_then(|lower| u16::try_from(lower.spec.mtu).ok());
        let mtu = mtu.unwrap_or(config::DEFAULT_MTU);
        let kind = host_port(Some(&config));
        let host = self.open_host(link, config, mtu, address).map_err(RpcError::eio)?;
        host.watch_device(self.publisher.workers());
        change.hosts.push((index, Some(host)));
        change.next.driver.set_policy(index, Some(kind), None, None).map_err(refused)?;
        Ok(())
    }

    pub(super) fn host_set(&mut self, change: &mut Transaction, request: &HostSet) -> Outcome<()> {
        let index = Self::find_host(change, &request.link)?;
        let kind = request.reachable.map(|reachable| match reachable {
            true => HostPort::Reachable,
            false => HostPort::Taps,
        });
        change.next.driver.set_policy(index, kind, None, None).map_err(refused)
    }

    pub(super) fn host_del(&mut self, change: &mut Transaction, lower: &str) -> Outcome<()> {
        let index = Self::find_host(change, lower)?;
        let host = self.registry.lower(index).and_then(|lower| lower.host.as_ref());
        let device = host.map(|host| config::device_name(&host.config.device).to_owned());
        change.ends.extend(device);
        change.hosts.push((index, None));
        change.next.driver.set_policy(index, Some(HostPort::None), None, None).map_err(refused)
    }

    fn find_host(change: &Transaction, lower: &str) -> Outcome<Index> {
        let index = Self::find_lower(change, lower)?;
        match change.next.driver.lower(index) {
            Some(facts) if facts.spec.host != HostPort::None => Ok(index),
            _ => Err(RpcError::enodev(format!("{lower} has no host"))),
        }
    }

    fn open_host(
        &self,
        lower: &str,
        config: HostConfig,
        mtu: u16,
        address: MacAddr,
    ) -> Result<Host, String> {
        let port = self.opener.host(lower, &config.device, mtu, address.bytes())?;
        Ok(Host { config, port: Arc::new(port), poller: Poller::at(0) })
    }

    fn open_lower(&self, change: &mut Transaction, config: LowerConfig) -> Result<Lower, String> {
        let name = config.name.clone();
        let driver = &change.next.driver;
        let (opened, carrier) = match &config.device {
            LowerDevice::Device(device) => (self.opener.lower(&name, device, config.mtu)?, None),
            LowerDevice::Vlan { lower, id, protocol } => {
                let below = driver.by_name(lower).and_then(|index| self.registry.lower(index));
                let below = below.ok_or_else(|| format!("lower {name}: there is no {lower}"))?;
                let opened = self.opener.vlan(&name, &below.port, protocol.tpid(), *id);
                (opened, driver.lower(below.index))
            }
        };
        let port = &opened.port;
        let address = match carrier {
            Some(carrier) => config.address.unwrap_or(carrier.spec.address),
            None => self.address_of(&config, port)?,
        };
        let host = match config.host.clone() {
            Some(host) => Some(self.open_host(&name, host, config.mtu, address)?),
            None => None,
        };
        let interface = match &config.device {
            LowerDevice::Device(device) => interface::behind(device),
            LowerDevice::Vlan { .. } => interface::Interface::default(),
        };
        let max_mtu = port.eth().and_then(|port| port.max_mtu().ok());
        let spec = LowerSpec {
            max_mtu: u32::from(max_mtu.unwrap_or(config.mtu).max(config.mtu)),
            up: config.up && carrier.is_none_or(|carrier| carrier.spec.up),
            carrier: carrier.map_or_else(|| port.carrier(), |carrier| carrier.spec.carrier),
            host: host_port(config.host.as_ref()),
            kind: interface.kind,
            owner: interface.owner,
            private_strict: config.private_strict,
            drop_link_local: config.drop_link_local,
            ..LowerSpec::ethernet(&name, address, u32::from(config.mtu))
        };
        let (mtu, carrier) = (spec.mtu, carrier.map(|carrier| carrier.index));
        let index = change.next.driver.add_lower(spec).map_err(|refusal| refusal.message)?;
        Ok(Lower {
            index,
            config,
            queues: self.spread_queues(&opened.port),
            port: Arc::new(opened.port),
            carrier,
            host,
            queue: Arc::new(BroadcastQueue::new(Arc::clone(&self.opener.queue_room))),
            filters: Filters::default(),
            address,
            mtu,
            reset: opened.reset,
            _demo: opened.demo,
        })
    }

    /// A worker for each receive queue, in turn.
    fn spread_queues(&self, port: &Port) -> Vec<Poller> {
        let workers = self.publisher.worker_count().max(1);
        (0..port.rx_queues()).map(|queue| Poller::at(queue % workers)).collect()
    }

    /// The address of a lower that is a device: the config's, else the device's.
    /// A wire inside the process has none and gets one that survives a restart.
    fn address_of(&self, config: &LowerConfig, port: &Port) -> Result<MacAddr, String> {
        let own = port.eth().and_then(|port| port.address().ok()).map(MacAddr::new);
        match (config.address, own) {
            (Some(address), own) if own != Some(address) => {
                if let Device::Eth(port) = &port.device {
                    port.set_address(address.bytes()).map_err(|error| {
                        format!(
                            "lower {}: the device refused address {address}: {error}",
                            config.name
                        )
                    })?;
                }
                Ok(address)
            }
            (_, Some(own)) if own.is_valid_unicast() => Ok(own),
            _ => Ok(MacAddr::derive(&[&self.config.switch.name, &config.name], 0)),
        }
    }
}

/// What a lower's host is to the rules.
pub(super) fn host_port(host: Option<&HostConfig>) -> HostPort {
    match host {
        None => HostPort::None,
        Some(host) if host.reachable => HostPort::Reachable,
        Some(_) => HostPort::Taps,
    }
}
