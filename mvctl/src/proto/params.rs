//! The parameters of each method. What a client leaves out has a default, or
//! stays as it is; a key that is not known is refused.

use serde::{Deserialize, Serialize};

/// Parameters of `filter.add` and `filter.del`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The link.
    pub name: String,
    /// A group; on a passthru link also a unicast address.
    pub address: String,
}

/// Parameters of `lower.set`. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowerSet {
    /// The lower.
    pub name: String,
    /// Admin state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// In bytes; links with a larger one are cut to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// A MAC address that no link has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A change of a source list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Parameters of `link.show`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// All links if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Parameters of `link.add`. What is left out has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    pub mtu: Option<u16>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    pub mtu: Option<u16>,
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

/// Parameters of `link.del`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkDel {
    /// The link.
    pub name: String,
}
