//! The config: what a switch is to be, read once and valid ever after.
//!
//! Owns the TOML form, its defaults and every rule that can be checked without
//! starting anything. A file goes through two phases: `raw` is what it says,
//! [`Config`] is what it means and cannot be wrong. The binary loads it; control
//! starts from it and uses the same rules for links that are added later. It
//! must never open a device, touch DPDK or look at the machine: whether a core
//! or a device exists is seen at start.

mod cores;
pub mod diff;
mod eal_args;
mod error;
mod keys;
mod links;
mod lowers;
mod raw;
mod rules;
#[cfg(test)]
mod samples;
mod save;
mod schema;
#[cfg(test)]
mod tests;
mod validate;
mod words;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use macvlan::mac::MacAddr;
use macvlan::mode::{Flags, Mode};

pub use cores::parse_workers;
pub use diff::{Action, Change, Edit, diff, settled, steps};
pub use eal_args::check_eal_arg;
pub use error::{ConfigError, Position};
pub use rules::{
    CONTROL_SOCKET, DEFAULT_MTU, MAX_MTU, MIN_MTU, auto_address, check_device, check_link_device,
    check_mtu, check_name, check_socket, check_socket_path, check_vlan, default_socket,
    device_name, is_pci, parse_address, parse_mode, parse_role, parse_vlan_protocol,
    random_address,
};
pub use save::save;
pub use schema::schema;

/// A valid config.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[switch]`.
    pub switch: Switch,
    /// `[cores]`.
    pub cores: Cores,
    /// `[eal]`.
    pub eal: EalConfig,
    /// Where metrics are served (`[metrics]`); `None` for nowhere.
    pub metrics: Option<SocketAddr>,
    /// `[control]`.
    pub control: ControlConfig,
    /// `[[lower]]`, at least one, in file order.
    pub lowers: Vec<LowerConfig>,
    /// `[[macvlan]]`, in file order.
    pub links: Vec<LinkConfig>,
    /// Where it came from, for what can be checked later only.
    origin: Origin,
}

/// The file, what it said, and where in it each link says its socket.
#[derive(Clone, Debug, Default)]
struct Origin {
    file: PathBuf,
    text: String,
    sockets: Vec<Position>,
}

/// The switch itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its name; the file's name without `.toml` unless given.
    pub name: String,
    /// Absolute, if given; sockets live below it.
    pub runtime_dir: Option<PathBuf>,
}

/// Which cores do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Core of the control thread and of DPDK's own threads.
    pub control: usize,
    /// One worker on each of these; `None` leaves the choice to the switch.
    pub workers: Option<Vec<usize>>,
    /// What a worker does when nothing moves.
    pub idle: Idle,
}

/// What a worker does when nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Sleeps after a while and is woken by what comes.
    Auto,
    /// Polls on.
    Spin,
}

/// What EAL is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalConfig {
    /// Which pages.
    pub memory: Memory,
    /// MiB to take at start; `None` for what the config needs.
    pub memory_mb: Option<u32>,
    /// Further arguments, verbatim.
    pub args: Vec<String>,
}

/// Which pages the memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Huge pages if there are enough, else 4 KiB pages.
    Auto,
    /// Huge pages or nothing.
    Huge,
    /// 4 KiB pages: no preparation, no rights.
    Small,
}

/// Who may use the control socket beside the user whom the switch runs as. Each
/// is a name or a number as text; whether this machine has it is seen at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlConfig {
    /// The user whom the socket belongs to.
    pub owner: Option<String>,
    /// The group whose members may change everything.
    pub group: Option<String>,
    /// The group whose members may only look.
    pub read_group: Option<String>,
}

/// A lower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowerConfig {
    /// Its name, shared with no other lower or link.
    pub name: String,
    /// What carries its frames.
    pub device: LowerDevice,
    /// Bytes, [`MIN_MTU`] to [`MAX_MTU`]; of a VLAN at most its parent's.
    pub mtu: u16,
    /// The address it is given; `None` leaves it as it is.
    pub address: Option<MacAddr>,
    /// Admin state.
    pub up: bool,
    /// Drop unicast that an external switch reflects from or to a private link.
    pub private_strict: bool,
    /// Keep frames to link-local groups off the links, and theirs off the wire.
    pub drop_link_local: bool,
    /// The port of its host (`[[host]]`).
    pub host: Option<HostConfig>,
}

/// What carries a lower's frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LowerDevice {
    /// `demo`, a PCI address or a vdev, with its arguments.
    Device(String),
    /// One VLAN of another lower.
    Vlan {
        /// Name of that lower, which has a device.
        lower: String,
        /// 1 to 4094.
        id: u16,
        /// Which kind of tag.
        protocol: VlanProtocol,
    },
}

/// Which kind of tag a VLAN's frames carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VlanProtocol {
    /// A customer tag.
    Dot1q,
    /// A service tag.
    Dot1ad,
}

impl VlanProtocol {
    /// The EtherType of the tag.
    #[must_use]
    pub const fn tpid(self) -> u16 {
        match self {
            Self::Dot1q => 0x8100,
            Self::Dot1ad => 0x88a8,
        }
    }

    /// The word `ip link` uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dot1q => "802.1q",
            Self::Dot1ad => "802.1ad",
        }
    }
}

/// The port of a lower's host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// A vdev, with its arguments.
    pub device: String,
    /// Bridge links and the host reach each other.
    pub reachable: bool,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Its name, shared with no other lower or link.
    pub name: String,
    /// Name of its lower.
    pub lower: String,
    /// Its mode.
    pub mode: Mode,
    /// Its flags.
    pub flags: Flags,
    /// Its address: unicast, the only one of its kind on the lower. A passthru
    /// link has its lower's instead.
    pub address: MacAddr,
    /// The config says `random`: the address was drawn, and a reload keeps it.
    pub random_address: bool,
    /// Further addresses.
    pub addresses: Vec<MacAddr>,
    /// The source list; empty unless in source mode.
    pub macaddr: Vec<MacAddr>,
    /// Frames it asks the lower's broadcast queue to hold.
    pub bcqueuelen: u32,
    /// Members a group of its lower may have before it is queued.
    pub bclim: Option<i32>,
    /// Bytes, [`MIN_MTU`] to the lower's.
    pub mtu: u16,
    /// Admin state.
    pub up: bool,
    /// Hears all groups, and makes its lower promiscuous.
    pub promisc: bool,
    /// Hears all groups.
    pub allmulticast: bool,
    /// Groups it hears.
    pub multicast: Vec<MacAddr>,
    /// Its frames must come from its own addresses.
    pub spoof_check: bool,
    /// What frames go in and out of.
    pub endpoint: Endpoint,
}

/// What a link's frames go in and out of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A vhost-user socket.
    Vhost {
        /// As written: relative to the runtime directory, or absolute.
        /// [`Config::resolve_sockets`] makes it the full path.
        socket: PathBuf,
        /// Who listens.
        role: Role,
    },
    /// An ethdev.
    Device(String),
}

impl Endpoint {
    /// What no two ports can have at once: the socket's path or the device's name.
    #[must_use]
    pub fn resource(&self) -> String {
        match self {
            Self::Vhost { socket, .. } => socket.display().to_string(),
            Self::Device(device) => device_name(device).to_owned(),
        }
    }
}

/// Who listens on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The switch listens.
    Server,
    /// The guest listens, so the link survives a restart of the switch.
    Client,
}

impl Config {
    /// Reads and validates `file`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let unread = |error: std::io::Error| {
            let message = format!("cannot read the config: {error}; check the path after -c");
            ConfigError::new(file, None, &message)
        };
        let bytes = std::fs::read(file).map_err(unread)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let message = "not UTF-8 text; save the file as UTF-8";
            ConfigError::new(file, Some(Position::of(&text, good)), message)
        })?;
        Self::parse(&text, file)
    }

    /// Validates `text`, which was read from `file`.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        Self::read(text, file, None)
    }

    /// The same for a switch that runs already: it keeps its `name`, of which
    /// automatic addresses are made, unless the text says another.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse_for(name: &str, text: &str, file: &Path) -> Result<Self, ConfigError> {
        Self::read(text, file, Some(name))
    }

    fn read(text: &str, file: &Path, name: Option<&str>) -> Result<Self, ConfigError> {
        let starts = &error::line_starts(text);
        validate::config(error::Source { file, text, starts, name })
    }

    /// The file it was read from, as it was named.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.origin.file
    }

    /// What that file said.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.origin.text
    }

    /// The same switch with other lowers and links: what runs, as a config.
    /// File and text stay; what they say of sockets does not.
    #[must_use]
    pub fn with(&self, lowers: Vec<LowerConfig>, links: Vec<LinkConfig>) -> Self {
        let origin = Origin { sockets: Vec::new(), ..self.origin.clone() };
        Self { lowers, links, origin, ..self.clone() }
    }

    /// The same config as that of another file.
    #[must_use]
    pub fn of_file(mut self, file: &Path) -> Self {
        file.clone_into(&mut self.origin.file);
        self
    }

    /// Makes every socket's path a full one below `runtime_dir`.
    ///
    /// # Errors
    /// A path is too long, or two are the same after all. Nothing is changed.
    pub fn resolve_sockets(&mut self, runtime_dir: &Path) -> Result<(), ConfigError> {
        let mut paths: Vec<Option<PathBuf>> = Vec::with_capacity(self.links.len());
        let mut owners: HashMap<PathBuf, &str> = HashMap::new();
        for (index, link) in self.links.iter().enumerate() {
            let Endpoint::Vhost { socket, .. } = &link.endpoint else {
                paths.push(None);
                continue;
            };
            let wrong = |message: String| {
                ConfigError::new(
                    &self.origin.file,
                    self.origin.sockets.get(index).copied(),
                    &message,
                )
            };
            let path = check_socket_path(runtime_dir, socket).map_err(wrong)?;
            if let Some(other) = owners.insert(path.clone(), &link.name) {
                let shown = path.display();
                return Err(wrong(format!(
                    "socket {shown} is that of link {other} already; choose another"
                )));
            }
            paths.push(Some(path));
        }
        for (link, path) in self.links.iter_mut().zip(paths) {
            if let (Endpoint::Vhost { socket, .. }, Some(path)) = (&mut link.endpoint, path) {
                *socket = path;
            }
        }
        Ok(())
    }
}
