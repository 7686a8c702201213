//! The first phase: what the file says, typed but not judged.
//!
//! Owns the keys, their types and the names other tools have for them. Every
//! value carries its bytes' range in the file, so that the second phase
//! ([`super::validate`]) can point at it. Nothing here applies a default or a
//! rule; what the attributes say of them is for the schema of [`mod@super::schema`]
//! alone, as the comments are: editors show them.

use std::borrow::Cow;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::rules::{MAX_MTU, MIN_MTU};

/// A value and its bytes' range in the file.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Spanned<T>(toml::Spanned<T>);

impl<T> Spanned<T> {
    pub(super) fn span(&self) -> Range<usize> {
        self.0.span()
    }

    pub(super) fn get_ref(&self) -> &T {
        self.0.get_ref()
    }

    pub(super) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

/// In the schema there is the value alone.
impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A value that may be left out.
type Maybe<T> = Option<Spanned<T>>;

/// Names from other tools that are read and never printed.
pub(super) const ALIASES: [&str; 7] =
    ["parent", "master", "network_interface", "lowerDevice", "macvlan_mode", "mac", "hwaddr"];

/// What [`super::rules::check_name`] takes.
const NAME: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}$";

/// A config of mvswitch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("required" = ["lower"]))]
pub(super) struct Raw {
    #[serde(default)]
    pub(super) switch: RawSwitch,
    #[serde(default)]
    pub(super) cores: RawCores,
    #[serde(default)]
    pub(super) eal: RawEal,
    pub(super) metrics: Maybe<RawMetrics>,
    #[serde(default)]
    pub(super) control: RawControl,
    /// What links stand on: a device, or one VLAN of another lower. At least one.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub(super) lower: Vec<Spanned<RawLower>>,
    /// Host ports of lowers.
    #[serde(default)]
    pub(super) host: Vec<Spanned<RawHost>>,
    /// Links: the virtual interfaces of guests.
    #[serde(default)]
    pub(super) macvlan: Vec<Spanned<RawLink>>,
}

/// The switch itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "switch")]
pub(super) struct RawSwitch {
    /// Its name; the file's name without `.toml` unless given.
    #[schemars(regex(pattern = NAME))]
    pub(super) name: Maybe<String>,
    /// Where the sockets are: an absolute path.
    #[schemars(regex(pattern = "^/"))]
    pub(super) runtime_dir: Maybe<String>,
}

/// Which cores do what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "cores")]
pub(super) struct RawCores {
    /// Core of the control thread and of DPDK's own threads.
    #[schemars(range(min = 0, max = 1023), extend("default" = 0))]
    pub(super) control: Maybe<i64>,
    /// Cores of the workers, such as `"2-5,8"` (a list, not a count), or `"auto"`.
    /// That of the control thread should not be among them.
    #[schemars(extend("default" = "auto"))]
    pub(super) workers: Maybe<String>,
    /// What a worker does when nothing moves: it sleeps (`auto`) or polls on (`spin`).
    #[schemars(extend("enum" = ["auto", "spin"], "default" = "auto"))]
    pub(super) idle: Maybe<String>,
}

/// Memory, and what DPDK's environment is started with.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "eal")]
pub(super) struct RawEal {
    /// Which pages: huge ones if there are enough (`auto`), `huge` ones or nothing, or `4k` pages.
    #[schemars(extend("enum" = ["auto", "huge", "4k"], "default" = "auto"))]
    pub(super) memory: Maybe<String>,
    /// MiB to take at start; what the config needs unless given.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub(super) memory_mb: Maybe<i64>,
    /// Further EAL arguments, verbatim.
    #[serde(default)]
    pub(super) args: Vec<Spanned<String>>,
}

/// Metrics for Prometheus; not served without this section.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "metrics")]
pub(super) struct RawMetrics {
    /// IP address and port, such as `"127.0.0.1:9477"`.
    #[schemars(required)]
    pub(super) listen: Maybe<String>,
}

/// Who may use the control socket beside the user whom the switch runs as.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "control")]
pub(super) struct RawControl {
    /// The user whom the socket belongs to: a name or a number.
    #[schemars(length(min = 1))]
    pub(super) owner: Maybe<String>,
    /// The group whose members may change everything: a name or a number.
    #[schemars(length(min = 1))]
    pub(super) group: Maybe<String>,
    /// The group whose members may look: a name or a number.
    #[schemars(length(min = 1))]
    pub(super) read_group: Maybe<String>,
}

/// What links stand on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["device"] }, { "required": ["lower", "vlan"] }]))]
#[schemars(rename = "lower")]
pub(super) struct RawLower {
    /// Its name, which no other lower or link has.
    #[schemars(required, regex(pattern = NAME))]
    pub(super) name: Maybe<String>,
    /// `demo`, a PCI address such as `0000:8a:00.0`, or a DPDK device with its arguments.
    #[schemars(length(min = 1))]
    pub(super) device: Maybe<String>,
    /// Instead of a device: the lower that carries this VLAN.
    pub(super) lower: Maybe<String>,
    /// The VLAN's number.
    #[schemars(range(min = 1, max = 4094))]
    pub(super) vlan: Maybe<i64>,
    /// Which kind of tag: a customer's (`802.1q`) or a service tag (`802.1ad`).
    #[schemars(extend("enum" = ["802.1q", "802.1ad"], "default" = "802.1q"))]
    pub(super) vlan_protocol: Maybe<String>,
    /// In bytes; 1500 unless given, of a VLAN that of the lower that carries it.
    #[schemars(range(min = MIN_MTU, max = MAX_MTU))]
    pub(super) mtu: Maybe<i64>,
    /// The MAC address it is given; left as it is unless given.
    pub(super) address: Maybe<String>,
    /// Admin state.
    #[schemars(extend("default" = true))]
    pub(super) up: Maybe<bool>,
    /// Drop unicast that an external switch reflects from or to a private link.
    #[schemars(extend("default" = false))]
    pub(super) private_strict: Maybe<bool>,
    /// Keep frames to 01:80:c2:00:00:0x off the links, and theirs off the wire.
    #[schemars(extend("default" = false))]
    pub(super) drop_link_local: Maybe<bool>,
}

/// The host port of a lower: what the kernel's driver would hand to the host.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "host")]
pub(super) struct RawHost {
    /// Name of the lower.
    #[serde(alias = "parent", alias = "master")]
    #[schemars(required)]
    pub(super) link: Maybe<String>,
    /// A DPDK device such as `net_tap0,iface=lan0h`.
    #[schemars(required)]
    pub(super) device: Maybe<String>,
    /// Bridge links and the host reach each other.
    #[schemars(extend("default" = false))]
    pub(super) reachable: Maybe<bool>,
}

/// A link: the virtual interface of a guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "macvlan")]
pub(super) struct RawLink {
    /// Its name, which no other lower or link has.
    #[schemars(required, regex(pattern = NAME))]
    pub(super) name: Maybe<String>,
    /// Name of its lower.
    #[serde(
        alias = "parent",
        alias = "master",
        alias = "network_interface",
        alias = "lowerDevice"
    )]
    #[schemars(required)]
    pub(super) link: Maybe<String>,
    /// Whom it reaches, in iproute2's words.
    #[serde(alias = "macvlan_mode")]
    #[schemars(extend(
        "enum" = ["bridge", "vepa", "private", "passthru", "source", "passthrough"],
        "default" = "bridge"
    ))]
    pub(super) mode: Maybe<String>,
    /// A MAC address, `auto` (made of the names, the same after every start) or `random`. A
    /// passthru link has its lower's.
    #[serde(alias = "mac", alias = "hwaddr")]
    #[schemars(extend("default" = "auto"))]
    pub(super) address: Maybe<String>,
    /// In bytes; its lower's unless given, which is the most there can be.
    #[schemars(range(min = MIN_MTU, max = MAX_MTU))]
    pub(super) mtu: Maybe<i64>,
    /// The vhost-user socket: below the runtime directory, or absolute; the name with `.sock`
    /// unless given.
    #[schemars(length(min = 1))]
    pub(super) socket: Maybe<String>,
    /// Who listens on the socket: the switch (`server`), or the guest (`client`).
    #[schemars(extend("enum" = ["server", "client"], "default" = "server"))]
    pub(super) role: Maybe<String>,
    /// A DPDK device instead of a socket.
    #[schemars(length(min = 1))]
    pub(super) device: Maybe<String>,
    /// Admin state.
    #[schemars(extend("default" = true))]
    pub(super) up: Maybe<bool>,
    /// A passthru link does not make its lower promiscuous.
    #[schemars(extend("default" = false))]
    pub(super) nopromisc: Maybe<bool>,
    /// What a source link's list matches nobody else gets.
    #[schemars(extend("default" = false))]
    pub(super) nodst: Maybe<bool>,
    /// Senders that a link in source mode hears.
    #[serde(default)]
    pub(super) macaddr: Vec<Spanned<String>>,
    /// Frames it asks the lower's broadcast queue to hold.
    #[schemars(range(min = 0, max = u32::MAX), extend("default" = 1000))]
    pub(super) bcqueuelen: Maybe<i64>,
    /// Members a multicast group of its lower may have before it is queued (broadcast always is), or
    /// a negative number to queue nothing; the same for all links of that lower; left as it is unless
    /// given.
    #[schemars(range(min = i32::MIN, max = i32::MAX))]
    pub(super) bclim: Maybe<i64>,
    /// Further MAC addresses.
    #[serde(default)]
    pub(super) addresses: Vec<Spanned<String>>,
    /// Hears all groups, and makes its lower promiscuous.
    #[schemars(extend("default" = false))]
    pub(super) promisc: Maybe<bool>,
    /// Hears all groups; true unless `multicast` lists some.
    pub(super) allmulticast: Maybe<bool>,
    /// Groups it hears.
    #[serde(default)]
    pub(super) multicast: Vec<Spanned<String>>,
    /// Drop its frames unless they come from its own addresses.
    #[schemars(extend("default" = false))]
    pub(super) spoof_check: Maybe<bool>,
}
