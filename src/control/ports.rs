//! Opens the devices that lowers and links name.
//!
//! Called by control alone. Knows which text is which kind of device; what is
//! opened is closed by dropping it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::Sender;
use macvlan::driver::Index;

use super::Message;
use super::inventory::Dirty;
use super::memory::{LINK_DESCRIPTORS, LOWER_DESCRIPTORS};
use super::sockets::clear_stale;
use crate::config::{Endpoint, Role};
use crate::datapath::{Device, Port, QueueRoom, VlanDevice};
use crate::demo::wire::{self, DemoHost};
use crate::dpdk::{self, EthEvent, EthOptions, EthPort, Pool, VhostOptions, VhostPort};

/// What every port is opened with.
pub(super) struct Opener {
    pub(super) pool: Arc<Pool>,
    pub(super) workers: u16,
    pub(super) runtime_dir: PathBuf,
    pub(super) messages: Sender<Message>,
    /// Shared by all broadcast queues.
    pub(super) queue_room: Arc<QueueRoom>,
}

/// A lower's port, and what belongs to it.
pub(super) struct OpenLower {
    pub(super) port: Port,
    /// The host behind a demo wire.
    pub(super) demo: Option<DemoHost>,
    /// Set when the device says that it was reset.
    pub(super) reset: Arc<AtomicBool>,
}

impl Opener {
    /// Opens the device of a lower.
    ///
    /// # Errors
    /// One sentence with DPDK's reason.
    pub(super) fn lower(&self, name: &str, device: &str, mtu: u16) -> Result<OpenLower, String> {
        // What it hears is decided with its links.
        let options = self.options(LOWER_DESCRIPTORS, mtu, false);
        let reset = Arc::new(AtomicBool::new(false));
        if let Some(demo) = wire::Options::parse(device) {
            let opened = wire::open(name, demo?, &options, &self.pool);
            let (ring, host) =
                opened.map_err(|error| cannot_open("lower", name, device, &error))?;
            let (port, demo) = (self.port(name, Device::Ring(ring)), Some(host));
            return Ok(OpenLower { port, demo, reset });
        }
        let port = EthPort::attach(device, &options, &self.pool);
        let port = port.map_err(|error| cannot_open("lower", name, device, &error))?;
        let messages = self.messages.clone();
        let flag = Arc::clone(&reset);
        let posted = port.watch(Box::new(move |event| {
            if event == EthEvent::Reset {
                flag.store(true, Ordering::Release);
            }
            // The switch may be stopping.
            _ = messages.send(Message::DeviceChanged);
        }));
        if let Err(error) = posted {
            tracing::warn!(lower = %name, "its events come late: {error}");
        }
        Ok(OpenLower { port: self.port(name, Device::Eth(port)), demo: None, reset })
    }

    /// The port of a VLAN that `carrier` carries.
    pub(super) fn vlan(&self, name: &str, carrier: &Arc<Port>, tpid: u16, id: u16) -> OpenLower {
        let (carrier, pool) = (Arc::clone(carrier), Arc::clone(&self.pool));
        let port = self.port(name, Device::Vlan(VlanDevice { carrier, tpid, id, pool }));
        OpenLower { port, demo: None, reset: Arc::default() }
    }

    /// Opens the device behind which the host of a lower is, and gives it the
    /// lower's address, if it takes one.
    ///
    /// # Errors
    /// One sentence with DPDK's reason.
    pub(super) fn host(
        &self,
        lower: &str,
        device: &str,
        mtu: u16,
        address: [u8; 6],
    ) -> Result<Port, String> {
        let options = self.options(LINK_DESCRIPTORS, mtu, true);
        let port = EthPort::attach(device, &options, &self.pool);
        let port = port.map_err(|error| cannot_open("host of", lower, device, &error))?;
        match port.set_address(address) {
            Err(error) if !error.is_unsupported() => {
                return Err(cannot_open("host of", lower, device, &error));
            }
            _ => {}
        }
        // The interface behind it keeps its own until it is told.
        _ = port.set_mtu(mtu);
        Ok(self.port(&format!("host@{lower}"), Device::Eth(port)))
    }

    /// Opens the socket or device of a link. Its number is never used again, so
    /// a late event of a closed port finds nobody.
    ///
    /// # Errors
    /// One sentence with the reason.
    pub(super) fn link(
        &self,
        name: &str,
        endpoint: &Endpoint,
        mtu: u16,
        index: Index,
    ) -> Result<(Port, Arc<Dirty>), String> {
        let dirty = Arc::new(Dirty::of(index));
        let device = match endpoint {
            Endpoint::Vhost { socket, role } => {
                let path = self.runtime_dir.join(socket);
                if *role == Role::Server {
                    clear_stale(&path)?;
                }
                let (messages, flag) = (self.messages.clone(), Arc::clone(&dirty));
                let options = VhostOptions {
                    path,
                    role: match role {
                        Role::Server => dpdk::Role::Server,
                        Role::Client => dpdk::Role::Client,
                    },
                    changed: Box::new(move || {
                        if let Some(index) = flag.set() {
                            // The switch may be stopping.
                            _ = messages.send(Message::PortChanged(index));
                        }
                    }),
                };
                let shown = options.path.display().to_string();
                let port = VhostPort::open(options, &self.pool);
                Device::Vhost(port.map_err(|error| cannot_open("link", name, &shown, &error))?)
            }
            Endpoint::Device(device) => {
                let options = self.options(LINK_DESCRIPTORS, mtu, false);
                let port = EthPort::attach(device, &options, &self.pool);
                let port = port.map_err(|error| cannot_open("link", name, device, &error))?;
                // The interface behind it keeps its own until it is told.
                _ = port.set_mtu(mtu);
                Device::Eth(port)
            }
        };
        Ok((self.port(name, device), dirty))
    }

    fn port(&self, name: &str, device: Device) -> Port {
        Port::new(name, device, self.workers)
    }

    fn options(&self, descriptors: u16, mtu: u16, promiscuous: bool) -> EthOptions {
        let (queues, users) = (self.workers, self.workers);
        EthOptions { queues, users, descriptors, mtu, promiscuous }
    }
}

fn cannot_open(kind: &str, name: &str, device: &str, error: &dpdk::DpdkError) -> String {
    // Their own errors do not tell a lack of rights from anything else.
    let privileged = ["net_af_packet", "net_tap", "net_af_xdp", "net_pcap"];
    let rights = privileged.iter().any(|driver| device.starts_with(driver))
        && !nix::unistd::geteuid().is_root();
    let advice = match error.errno {
        _ if rights => {
            "This driver needs rights: run as root, or grant CAP_NET_ADMIN and CAP_NET_RAW"
        }
        nix::libc::EPERM | nix::libc::EACCES => {
            "Run as root, or grant CAP_NET_ADMIN and CAP_NET_RAW"
        }
        nix::libc::EEXIST | nix::libc::EBUSY => "It is in use: name another device",
        nix::libc::EMFILE => {
            "Delete links that are not needed, or give links role client: a guest then takes one \
             place instead of two"
        }
        nix::libc::ENOMEM | nix::libc::ENOSPC => "Raise memory_mb in [eal], or use fewer devices",
        _ => "Check the driver's name, its arguments and that the interface exists",
    };
    format!("{kind} {name}: cannot open {device}: {error}. {advice}")
}
