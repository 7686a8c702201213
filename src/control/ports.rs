//! Opens the devices that lowers and links name.
//!
//! Called by control alone. Knows which text is which kind of device; what is
//! opened is closed by dropping it.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::Sender;

use super::Message;
use super::inventory::Dirty;
use super::memory::{LINK_DESCRIPTORS, LOWER_DESCRIPTORS};
use super::sockets::clear_stale;
use crate::config::{Endpoint, LinkConfig, LowerConfig, Role};
use crate::datapath::{Device, Port, PortStats};
use crate::demo::wire::{self, DemoHost};
use crate::dpdk::{self, EthOptions, EthPort, Pool, VhostOptions, VhostPort};

/// What every port is opened with.
pub(super) struct Opener {
    pub(super) pool: Arc<Pool>,
    pub(super) workers: u16,
    pub(super) runtime_dir: PathBuf,
    pub(super) messages: Sender<Message>,
}

/// A lower's port, and the demo host behind it if there is one.
pub(super) type OpenLower = (Port, Option<DemoHost>);

impl Opener {
    /// Opens the device of a lower.
    ///
    /// # Errors
    /// One sentence with DPDK's reason.
    pub(super) fn lower(&self, config: &LowerConfig) -> Result<OpenLower, String> {
        let LowerConfig { name, device, mtu } = config;
        let options = EthOptions {
            queues: self.workers,
            users: self.workers,
            descriptors: LOWER_DESCRIPTORS,
            mtu: *mtu,
            promiscuous: true,
        };
        let stats = Arc::new(PortStats::new(usize::from(self.workers)));
        if let Some(demo) = wire::Options::parse(device) {
            let opened = wire::open(name, demo?, &options, &self.pool);
            let (ring, host) =
                opened.map_err(|error| cannot_open("lower", name, device, &error))?;
            return Ok((
                Port { name: name.clone(), device: Device::Ring(ring), stats },
                Some(host),
            ));
        }
        let port = EthPort::attach(device, &options, &self.pool);
        let port = port.map_err(|error| cannot_open("lower", name, device, &error))?;
        Ok((Port { name: name.clone(), device: Device::Eth(port), stats }, None))
    }

    /// Opens the socket or device of a link. `id` is never used again, so a
    /// late event of a closed port finds nobody.
    ///
    /// # Errors
    /// One sentence with the reason.
    pub(super) fn link(&self, config: &LinkConfig, id: u64) -> Result<(Port, Arc<Dirty>), String> {
        let dirty = Arc::new(Dirty::default());
        let device = match &config.endpoint {
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
                        if flag.set() {
                            // The switch may be stopping.
                            _ = messages.send(Message::PortChanged(id));
                        }
                    }),
                };
                let shown = options.path.display().to_string();
                let port = VhostPort::open(options, &self.pool);
                Device::Vhost(
                    port.map_err(|error| cannot_open("link", &config.name, &shown, &error))?,
                )
            }
            Endpoint::Device(device) => {
                let options = EthOptions {
                    queues: self.workers,
                    users: self.workers,
                    descriptors: LINK_DESCRIPTORS,
                    mtu: config.mtu,
                    promiscuous: false,
                };
                let port = EthPort::attach(device, &options, &self.pool);
                Device::Eth(
                    port.map_err(|error| cannot_open("link", &config.name, device, &error))?,
                )
            }
        };
        let stats = Arc::new(PortStats::new(usize::from(self.workers)));
        Ok((Port { name: config.name.clone(), device, stats }, dirty))
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
        nix::libc::ENOMEM | nix::libc::ENOSPC => "Raise memory_mb in [eal], or use fewer devices",
        _ => "Check the driver's name, its arguments and that the interface exists",
    };
    format!("{kind} {name}: cannot open {device}: {error}. {advice}")
}
