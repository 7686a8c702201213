//! What is shown of links and lowers: iproute2's keys, types and nesting.

use serde::{Deserialize, Serialize};

/// A link as `link.show` gives it: the keys, types and nesting of
/// `ip -j -d -s link show`, and what only mvswitch knows under one further key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkShow {
    /// The link's name.
    pub ifname: String,
    /// The lower's name.
    pub link: String,
    /// Such as `UP` and `LOWER_UP`.
    pub flags: Vec<String>,
    /// In bytes.
    pub mtu: u32,
    /// `UP`, `DOWN` or `LOWERLAYERDOWN`.
    pub operstate: String,
    /// Always `ether`.
    pub link_type: String,
    /// The link's address.
    pub address: String,
    /// Always `ff:ff:ff:ff:ff:ff`.
    pub broadcast: String,
    /// 1 if it is promiscuous.
    pub promiscuity: u32,
    /// 1 if it hears all groups.
    pub allmulti: u32,
    /// In bytes.
    pub min_mtu: u32,
    /// In bytes.
    pub max_mtu: u32,
    /// Kind, mode and what belongs to it.
    pub linkinfo: LinkInfo,
    /// Counters as the guest's interface would have them.
    pub stats64: Stats64,
    /// What the kernel has no key for.
    pub mvswitch: Extra,
}

/// Kind of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkInfo {
    /// Always `macvlan`.
    pub info_kind: String,
    /// What is particular to the kind.
    pub info_data: InfoData,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What is particular to macvlan, in the order in which `ip` prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoData {
    /// bridge, vepa, private, passthru or source.
    pub mode: String,
    /// A passthru link leaves its lower's promiscuity alone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nopromisc: bool,
    /// What a source link's list matches nobody else gets.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nodst: bool,
    /// Frames the link asks the lower's broadcast queue to hold.
    pub bcqueuelen: u32,
    /// Frames the queue holds.
    pub usedbcqueuelen: u32,
    /// Members a group may have before it is queued; left out if 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bclim: Option<i32>,
    /// In source mode: how many addresses are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macaddr_count: Option<usize>,
    /// In source mode: the addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macaddr_data: Vec<String>,
}

/// Counters of both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats64 {
    /// To the guest.
    pub rx: RxStats,
    /// From the guest.
    pub tx: TxStats,
}

/// Counters of what an interface receives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RxStats {
    /// Without FCS.
    pub bytes: u64,
    /// Frames.
    pub packets: u64,
    /// Frames that could not be handed over.
    pub errors: u64,
    /// Frames that were dropped.
    pub dropped: u64,
    /// Always 0.
    pub over_errors: u64,
    /// Frames that came as one of several copies of a group frame.
    pub multicast: u64,
}

/// Counters of what an interface sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxStats {
    /// Without FCS.
    pub bytes: u64,
    /// Frames.
    pub packets: u64,
    /// Always 0.
    pub errors: u64,
    /// Frames that were dropped.
    pub dropped: u64,
    /// Always 0.
    pub carrier_errors: u64,
    /// Always 0.
    pub collisions: u64,
}

/// What only mvswitch knows of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// The vhost-user socket's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// server or client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The ethdev instead of a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// A guest is there.
    pub peer_connected: bool,
    /// Guests that have connected since the link was added.
    pub connections: u64,
    /// The worker that polls it.
    pub worker: u16,
    /// Further addresses.
    pub addresses: Vec<String>,
    /// Groups it has joined.
    pub groups: Vec<String>,
    /// Its frames must come from its own addresses.
    pub spoof_check: bool,
    /// Frames dropped at this link, by direction and reason; zeros left out.
    pub drops: Vec<Drops>,
    /// The same at its lower.
    pub lower_drops: Vec<Drops>,
}

/// A lower as `lower.show` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowerShow {
    /// The lower's name.
    pub ifname: String,
    /// Such as `UP` and `PROMISC`.
    pub flags: Vec<String>,
    /// In bytes.
    pub mtu: u32,
    /// `UP` or `DOWN`.
    pub operstate: String,
    /// Always `ether`.
    pub link_type: String,
    /// The lower's address.
    pub address: String,
    /// 1 if its device hears everything.
    pub promiscuity: u32,
    /// 1 if its device hears all groups.
    pub allmulti: u32,
    /// In bytes.
    pub max_mtu: u32,
    /// Counters as the switch's port has them.
    pub stats64: Stats64,
    /// What the kernel has no key for.
    pub mvswitch: LowerExtra,
}

/// What only mvswitch knows of a lower.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowerExtra {
    /// The device, or which VLAN of which lower it is.
    pub device: String,
    /// The host port's device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Links and host reach each other.
    pub reachable: bool,
    /// Why its device hears everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promiscuous_because: Option<String>,
    /// Addresses in the device's filter, beside its own.
    pub unicast: Vec<String>,
    /// Groups in the device's filter.
    pub groups: Vec<String>,
    /// Frames its broadcast queue holds.
    pub usedbcqueuelen: u32,
    /// Members a group may have before it is queued.
    pub bclim: i32,
    /// Its links, by age.
    pub links: Vec<String>,
    /// Frames dropped, by direction and reason; zeros left out.
    pub drops: Vec<Drops>,
}

/// Frames dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// `receive` (from the guest or wire) or `transmit`, as the switch sees it.
    pub direction: String,
    /// The reason's name.
    pub reason: String,
    /// How many.
    pub frames: u64,
}
