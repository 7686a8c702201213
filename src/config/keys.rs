//! Each section as its keys with their values: the inverse of the second phase.
//!
//! The one list behind [`mod@super::diff`], which compares and shows keys, and
//! [`mod@super::save`], which writes them. Knows names, order and defaults of keys;
//! decides nothing.

use std::fmt;

use macvlan::driver::{BC_CUTOFF, BC_QUEUE_LEN};
use macvlan::mac::MacAddr;
use macvlan::mode::{Flags, Mode};
use toml_edit::Value;

use super::{
    Config, Endpoint, HostConfig, Idle, LinkConfig, LowerConfig, LowerDevice, Memory, Role,
    VlanProtocol, rules, validate,
};

/// A value as TOML has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Datum {
    Text(String),
    Number(i64),
    Truth(bool),
    /// Texts in an order that matters.
    List(Vec<String>),
    /// MAC addresses, sorted: their order means nothing.
    Set(Vec<MacAddr>),
}

impl From<&Datum> for Value {
    fn from(datum: &Datum) -> Self {
        match datum {
            Datum::Text(text) => text.into(),
            Datum::Number(number) => (*number).into(),
            Datum::Truth(truth) => (*truth).into(),
            Datum::List(texts) => Self::from_iter(texts),
            Datum::Set(addresses) => Self::from_iter(addresses.iter().map(MacAddr::to_string)),
        }
    }
}

impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::from(self).fmt(f)
    }
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Its name in the file; other tools' names for it are in [`names`].
    pub(super) name: &'static str,
    /// `None` where it has none.
    pub(super) value: Option<Datum>,
    /// The value is what a file means that leaves the key out.
    pub(super) usual: bool,
}

impl Key {
    fn new(name: &'static str, value: Option<Datum>, usual: bool) -> Self {
        let usual = usual || value.is_none();
        Self { name, value, usual }
    }

    fn text(name: &'static str, text: impl Into<String>, usual: bool) -> Self {
        Self::new(name, Some(Datum::Text(text.into())), usual)
    }

    fn maybe(name: &'static str, text: Option<impl Into<String>>) -> Self {
        Self::new(name, text.map(|text| Datum::Text(text.into())), false)
    }

    fn number(name: &'static str, number: impl Into<i64>, usual: bool) -> Self {
        Self::new(name, Some(Datum::Number(number.into())), usual)
    }

    fn truth(name: &'static str, truth: bool, usual: bool) -> Self {
        Self::new(name, Some(Datum::Truth(truth)), truth == usual)
    }

    fn set(name: &'static str, addresses: &[MacAddr]) -> Self {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        Self::new(name, (!sorted.is_empty()).then_some(Datum::Set(sorted)), false)
    }
}

/// The names a key of a link or host may have in the file, its own first.
pub(super) fn names(kind: &str, key: &'static str) -> &'static [&'static str] {
    match (kind, key) {
        ("macvlan", "link") => &["link", "parent", "master", "network_interface", "lowerDevice"],
        ("host", "link") => &["link", "parent", "master"],
        ("macvlan", "mode") => &["mode", "macvlan_mode"],
        ("macvlan", "address") => &["address", "mac", "hwaddr"],
        _ => &[],
    }
}

/// Sections that stand alone, with their names.
pub(super) fn sections(config: &Config) -> [(&'static str, Vec<Key>); 5] {
    let Config { switch, cores, eal, metrics, control, .. } = config;
    let directory = switch.runtime_dir.as_ref().map(|path| path.to_string_lossy());
    let workers = cores.workers.as_ref().map_or_else(
        || "auto".to_owned(),
        |cores| cores.iter().map(usize::to_string).collect::<Vec<String>>().join(","),
    );
    let idle = match cores.idle {
        Idle::Auto => "auto",
        Idle::Spin => "spin",
    };
    let memory = match eal.memory {
        Memory::Auto => "auto",
        Memory::Huge => "huge",
        Memory::Small => "4k",
    };
    let megabytes = eal.memory_mb.map(|number| Datum::Number(number.into()));
    let args = (!eal.args.is_empty()).then(|| Datum::List(eal.args.clone()));
    let core = i64::try_from(cores.control).unwrap_or_default();
    let unnamed = validate::name_of(config.file()) == switch.name;
    [
        (
            "switch",
            vec![Key::text("name", &switch.name, unnamed), Key::maybe("runtime_dir", directory)],
        ),
        (
            "cores",
            vec![
                Key::number("control", core, cores.control == 0),
                Key::text("workers", workers, cores.workers.is_none()),
                Key::text("idle", idle, cores.idle == Idle::Auto),
            ],
        ),
        (
            "eal",
            vec![
                Key::text("memory", memory, eal.memory == Memory::Auto),
                Key::new("memory_mb", megabytes, false),
                Key::new("args", args, false),
            ],
        ),
        ("metrics", vec![Key::maybe("listen", metrics.map(|listen| listen.to_string()))]),
        (
            "control",
            vec![
                Key::maybe("owner", control.owner.as_deref()),
                Key::maybe("group", control.group.as_deref()),
                Key::maybe("read_group", control.read_group.as_deref()),
            ],
        ),
    ]
}

/// `[[lower]]`, one of `config`'s.
pub(super) fn lower(lower: &LowerConfig, config: &Config) -> Vec<Key> {
    let (device, carrier) = match &lower.device {
        LowerDevice::Device(device) => (Some(device.as_str()), None),
        LowerDevice::Vlan { lower, id, protocol } => (None, Some((lower, *id, *protocol))),
    };
    let usual_mtu = carrier.map_or(Some(rules::DEFAULT_MTU), |(carrier, ..)| mtu(carrier, config));
    vec![
        Key::text("name", &lower.name, false),
        Key::maybe("device", device),
        Key::maybe("lower", carrier.map(|(carrier, ..)| carrier)),
        Key::new("vlan", carrier.map(|(_, id, _)| Datum::Number(id.into())), false),
        Key::new(
            "vlan_protocol",
            carrier.map(|(.., protocol)| Datum::Text(protocol.name().to_owned())),
            carrier.is_some_and(|(.., protocol)| protocol == VlanProtocol::Dot1q),
        ),
        Key::number("mtu", lower.mtu, Some(lower.mtu) == usual_mtu),
        Key::maybe("address", lower.address.map(|address| address.to_string())),
        Key::truth("up", lower.up, true),
        Key::truth("private_strict", lower.private_strict, false),
        Key::truth("drop_link_local", lower.drop_link_local, false),
    ]
}

/// `[[host]]` of this lower.
pub(super) fn host(lower: &str, host: &HostConfig) -> Vec<Key> {
    vec![
        Key::text("link", lower, false),
        Key::text("device", &host.device, false),
        Key::truth("reachable", host.reachable, false),
    ]
}

/// `[[macvlan]]`, one of `config`'s.
pub(super) fn link(link: &LinkConfig, config: &Config) -> Vec<Key> {
    let (socket, role, device) = match &link.endpoint {
        Endpoint::Vhost { socket, role } => (Some(socket), Some(*role), None),
        Endpoint::Device(device) => (None, None, Some(device)),
    };
    let usual_socket = socket.is_some_and(|path| *path == rules::default_socket(&link.name));
    let socket = socket.map(|path| Datum::Text(path.to_string_lossy().into_owned()));
    let word = role.map(|role| match role {
        Role::Server => "server",
        Role::Client => "client",
    });
    // A passthru link has its lower's.
    let address = (link.mode != Mode::Passthru).then(|| link.address.to_string());
    let usual_mtu = mtu(&link.lower, config) == Some(link.mtu);
    vec![
        Key::text("name", &link.name, false),
        Key::text("link", &link.lower, false),
        Key::text("mode", link.mode.name(), link.mode == Mode::Bridge),
        Key::maybe("address", address),
        Key::number("mtu", link.mtu, usual_mtu),
        Key::new("socket", socket, usual_socket),
        Key::new("role", word.map(|word| Datum::Text(word.to_owned())), role == Some(Role::Server)),
        Key::maybe("device", device),
        Key::truth("up", link.up, true),
        Key::truth("nopromisc", link.flags.contains(Flags::NOPROMISC), false),
        Key::truth("nodst", link.flags.contains(Flags::NODST), false),
        Key::set("macaddr", &link.macaddr),
        Key::number("bcqueuelen", link.bcqueuelen, link.bcqueuelen == BC_QUEUE_LEN),
        Key::new(
            "bclim",
            link.bclim.map(|limit| Datum::Number(limit.into())),
            link.bclim == Some(BC_CUTOFF),
        ),
        Key::set("addresses", &link.addresses),
        Key::truth("promisc", link.promisc, false),
        Key::truth("allmulticast", link.allmulticast, link.multicast.is_empty()),
        Key::set("multicast", &link.multicast),
        Key::truth("spoof_check", link.spoof_check, false),
    ]
}

fn mtu(lower: &str, config: &Config) -> Option<u16> {
    config.lowers.iter().find(|other| other.name == lower).map(|lower| lower.mtu)
}
