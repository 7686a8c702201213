//! The parameters of each method. What a client leaves out has a default, or
//! stays as it is; a key that is not known is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

fn is_false(value: &bool) -> bool {
    !value
}

/// No parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Parameters of `filter.add` and `filter.del`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The link.
    pub name: String,
    /// A group; on a passthru link also a unicast address.
    pub address: String,
}

/// Parameters of `lower.set`. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LowerSet {
    /// The lower.
    pub name: String,
    /// Admin state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// In bytes; links with a larger one are cut to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// A MAC address that no link has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Drop unicast that an external switch reflects from or to a private link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_strict: Option<bool>,
    /// Keep frames to link-local groups off the links, and theirs off the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_link_local: Option<bool>,
}

/// A change of a source list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Macaddr {
    /// Adds an address; it may be there already.
    Add(String),
    /// Removes an address; it need not be there.
    Del(String),
    /// Empties the list.
    Flush,
    /// Makes these the list.
    Set(Vec<String>),
}

/// Which of them: parameters of `link.show` and the like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// All if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Parameters of `link.add`. What is left out has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkAdd {
    /// The new link's name.
    pub name: String,
    /// Its lower.
    pub link: String,
    /// bridge (the default), vepa, private, passthru or source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// A MAC address, `auto` (the default: made of the names, the same after a
    /// restart) or `random`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// In bytes; the lower's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Admin state; up by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Path of the vhost-user socket; NAME.sock by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// server (the default) or client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// An ethdev instead of a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Link type: `macvlan` (the default) or `macvtap`, which is the same here.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// passthru: leave the lower's promiscuity alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nopromisc: Option<bool>,
    /// source: what the list matches nobody else gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodst: Option<bool>,
    /// source: the list of senders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macaddr: Option<Macaddr>,
    /// Frames the lower's broadcast queue shall hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bcqueuelen: Option<u32>,
    /// Members a group of this lower may have before it is queued; below 0 none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bclim: Option<i32>,
    /// Further MAC addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// Hear all groups, and make the lower promiscuous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promisc: Option<bool>,
    /// Hear all groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allmulticast: Option<bool>,
    /// Drop frames that do not come from the link's own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<bool>,
}

/// Parameters of `link.set`. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkSet {
    /// The link.
    pub name: String,
    /// bridge, vepa, private or source; passthru can neither be set nor left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Admin state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// A MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Link type: `macvlan` (the default) or `macvtap`, which is the same here.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// passthru: leave the lower's promiscuity alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nopromisc: Option<bool>,
    /// source: what the list matches nobody else gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodst: Option<bool>,
    /// source: the list of senders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macaddr: Option<Macaddr>,
    /// Frames the lower's broadcast queue shall hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bcqueuelen: Option<u32>,
    /// Members a group of this lower may have before it is queued; below 0 none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bclim: Option<i32>,
    /// Further MAC addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// Hear all groups, and make the lower promiscuous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promisc: Option<bool>,
    /// Hear all groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allmulticast: Option<bool>,
    /// Drop frames that do not come from the link's own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<bool>,
}

/// The one of this name: parameters of `link.del` and the like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name.
    pub name: String,
}

/// Parameters of `lower.add`. What is left out has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LowerAdd {
    /// The new lower's name.
    pub name: String,
    /// `demo`, a PCI address or a vdev with its arguments; or else `lower` and `vlan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The lower that carries the VLAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<String>,
    /// 1 to 4094.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
    /// 802.1q (the default) or 802.1ad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan_protocol: Option<String>,
    /// In bytes; 1500 by default, of a VLAN its lower's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// A MAC address; the device's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Admin state; up by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Drop unicast that an external switch reflects from or to a private link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_strict: Option<bool>,
    /// Keep frames to link-local groups off the links, and theirs off the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_link_local: Option<bool>,
}

/// Parameters of `host.add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostAdd {
    /// The lower whose host it is.
    pub link: String,
    /// A vdev with its arguments, such as `net_tap0,iface=lan0h`.
    pub device: String,
    /// Bridge links and the host reach each other; not by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
}

/// Parameters of `host.set`. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostSet {
    /// The lower whose host it is.
    pub link: String,
    /// Bridge links and the host reach each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
}

/// Parameters of `host.del`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostDel {
    /// The lower whose host it is.
    pub link: String,
}

/// Parameters of `source.add` and `source.del`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A link in source mode.
    pub name: String,
    /// The sender's MAC address.
    pub address: String,
}

/// Parameters of `source.set`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSet {
    /// A link in source mode.
    pub name: String,
    /// The senders; whoever was listed before is no longer.
    pub addresses: Vec<String>,
}

/// Parameters of `config.diff`: a config file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigText {
    /// What messages call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its text. A line is 64 KiB at most: a longer text comes in several
    /// requests on one connection, all but the last with `more`.
    pub text: String,
    /// The text goes on in the next request of this method.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}

/// Parameters of `config.apply`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigApply {
    /// What messages call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its text. A line is 64 KiB at most: a longer text comes in several
    /// requests on one connection, all but the last with `more`.
    pub text: String,
    /// The text goes on in the next request of this method.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// Check everything and say what would change, but change nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// Parameters of `stats.show`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatsShow {
    /// All ports if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Count from the start of the switch, not from `stats.clear-baseline`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub since_start: bool,
}

/// Parameters of `explain`: a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// Who sends it: a link, a lower (for its wire), or `host@LOWER`.
    pub from: String,
    /// Its destination.
    pub dst: String,
    /// Its source; a link's own address by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// Its EtherType; 0x0800 by default.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub ether_type: Option<u16>,
    /// The customer tag it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
}

/// A request within a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The method.
    pub method: String,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
}

/// Parameters of `batch`: requests that are published together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Changes of links, lowers, hosts, source lists and filters, in order.
    pub requests: Vec<Call>,
    /// All or nothing: if one is refused, none is carried out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub atomic: bool,
    /// Go on after one that was refused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// The batch goes on in the next request of this method on this connection.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
}
