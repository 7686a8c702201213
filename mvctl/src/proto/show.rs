//! What is shown of links and lowers: iproute2's keys, types and nesting.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A link as `link.show` gives it: the keys, types and nesting of
/// `ip -j -d -s link show`, and what only mvswitch knows under one further key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkShow {
    /// The link's number, never used again.
    pub ifindex: u32,
    /// The lower's name.
    pub link: String,
    /// The link's name.
    pub ifname: String,
    /// Such as `UP` and `LOWER_UP`.
    pub flags: Vec<String>,
    /// In bytes.
    pub mtu: u32,
    /// `noop` until it is up for the first time, then `noqueue`.
    pub qdisc: String,
    /// `UP`, `DOWN` or `LOWERLAYERDOWN`.
    pub operstate: String,
    /// Always `DEFAULT`.
    pub linkmode: String,
    /// Always `default`.
    pub group: String,
    /// Always 1000: nothing is queued.
    pub txqlen: u32,
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
    /// Always 1.
    pub num_tx_queues: u32,
    /// Always 1.
    pub num_rx_queues: u32,
    /// Counters as the guest's interface would have them.
    pub stats64: Stats64,
    /// What the kernel has no key for.
    pub mvswitch: Extra,
}

/// Kind of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stats64 {
    /// To the guest.
    pub rx: RxStats,
    /// From the guest.
    pub tx: TxStats,
}

/// Counters of what an interface receives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LowerShow {
    /// The lower's number, never used again.
    pub ifindex: u32,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drops {
    /// `receive` (from the guest or wire) or `transmit`, as the switch sees it.
    pub direction: String,
    /// The reason's name.
    pub reason: String,
    /// How many.
    pub frames: u64,
}

/// What a change of one link or lower is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// Its name.
    pub name: String,
}

/// What a method without a result is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MethodDone {}

/// The answer to `announce`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Announced {
    /// How many links were asked to; those that are down say nothing.
    pub links: usize,
}

/// What became of one request of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was carried out.
    Result(serde_json::Value),
    /// It was refused.
    Error(super::RpcError),
}

/// The answer to `batch`, or to a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchDone {
    /// One per request that was tried, in order.
    pub results: Vec<Outcome>,
    /// Requests that wait for the rest of the batch.
    pub held: usize,
}

/// The answer to `config.show`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigShow {
    /// The file the switch was started with.
    pub file: String,
    /// The running state: that file's text where it still holds, comments included.
    pub text: String,
    /// Why a switch would not start from that text, if it would not: what runs can be what no
    /// config may say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

/// The answer to `config.save`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Saved {
    /// The file that was written.
    pub file: String,
}

/// A key that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Keyed {
    /// The config's key.
    pub key: String,
    /// Its value now, as TOML; empty where it has none.
    pub from: String,
    /// Its value by the file.
    pub to: String,
}

/// One thing that differs between the running state and a config file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// `add`, `set`, `del`; `replace` where a deletion and an addition are needed;
    /// `restart` where the switch must be started anew.
    pub change: String,
    /// `lower`, `host`, `link`, or the section of the config.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What differs.
    pub keys: Vec<Keyed>,
}

/// The answer to `config.diff` and `config.apply`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// In the order in which they are made.
    pub changes: Vec<Change>,
    /// They were made.
    pub applied: bool,
}

/// A port's counters, as the switch sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortStats {
    /// Name of the lower or link; a host's is `host@LOWER`.
    pub port: String,
    /// `lower`, `host` or `link`.
    pub kind: String,
    /// Frames from the wire or guest.
    pub receive_packets: u64,
    /// The same in bytes, without FCS.
    pub receive_bytes: u64,
    /// Frames to the wire or guest.
    pub transmit_packets: u64,
    /// The same in bytes, without FCS.
    pub transmit_bytes: u64,
    /// Copies made of frames received here.
    pub copies: u64,
    /// Frames dropped, by direction and reason; zeros left out.
    pub drops: Vec<Drops>,
}

/// A worker. What is said to be lately is of the last two to four seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerShow {
    /// Its number.
    pub worker: u16,
    /// The CPU it is pinned to.
    pub core: Option<usize>,
    /// What it polls.
    pub ports: Vec<WorkerPort>,
    /// Share of its time that frames have taken lately, in percent.
    pub load: f64,
    /// TSC ticks per frame received lately; null if there was none.
    pub cycles_per_frame: Option<f64>,
    /// Frames that an output got at once lately; null if none got any.
    pub frames_per_batch: Option<f64>,
    /// Turns of its loop.
    pub turns: u64,
    /// Frames it received.
    pub frames: u64,
    /// Frames it handed to outputs, copies included, whether these took them or not.
    pub sent: u64,
    /// Groups in which it handed them over.
    pub batches: u64,
    /// Times it went to sleep.
    pub sleeps: u64,
    /// TSC ticks spent on frames.
    pub busy_ticks: u64,
    /// TSC ticks of turns that found none, asleep or awake.
    pub idle_ticks: u64,
}

/// A queue that a worker polls, or all of a port's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerPort {
    /// Name of the lower or link; a host's is `host@LOWER`.
    pub port: String,
    /// Of a lower: the receive queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u16>,
    /// Share of the worker's time that frames received here have taken lately, in
    /// percent. Queues of one lower at one worker share equally.
    pub load: f64,
}

/// The answer to `worker.rebalance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rebalanced {
    /// What goes to another worker; empty if that would not help.
    pub moved: Vec<Moved>,
    /// Load of each worker before, in percent.
    pub before: Vec<f64>,
    /// The same as it should be afterwards.
    pub after: Vec<f64>,
}

/// A queue, or all of a port's, that another worker polls from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// Name of the lower or link; a host's is `host@LOWER`.
    pub port: String,
    /// Of a lower: the receive queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u16>,
    /// Worker that polled it.
    pub from: u16,
    /// Worker that polls it.
    pub to: u16,
}

/// The answer to `monitor`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subscribed {
    /// The number of the last event before.
    pub sequence: u64,
}

/// Parameters of an `event` notification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Counts up by one; a gap means that this client was too slow for some.
    pub sequence: u64,
    /// When it happened, in microseconds since 1970.
    pub time_us: u64,
    /// `add`, `set` or `del`.
    pub change: String,
    /// The link as it is now, or was before it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Box<LinkShow>>,
    /// The lower as it is now, or was before it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<Box<LowerShow>>,
}

/// A rule that has a say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// The statement of the driver's behaviour, such as `TX-02`.
    pub id: String,
    /// What it says.
    pub rule: String,
}

/// Who would get a frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receiver {
    /// A link, a lower (its wire), or `host@LOWER`.
    pub port: String,
    /// Its copy waits in the lower's broadcast queue where the turn's budget is used up.
    pub queued: bool,
}

/// The answer to `explain`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The lower whose rules decide.
    pub lower: String,
    /// The frame's source, as it was taken.
    pub src: String,
    /// Who would get it.
    pub receivers: Vec<Receiver>,
    /// Why it would be dropped, where nobody gets it: the counter's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// The rules that decide, in the order in which they are asked.
    pub rules: Vec<Rule>,
}

/// The answer to `version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// Of mvswitch.
    pub version: String,
    /// The source's revision.
    pub revision: String,
    /// DPDK's release.
    pub dpdk: String,
    /// The name of the switch.
    pub switch: String,
    /// Its process.
    pub pid: u32,
    /// Seconds since it was started.
    pub uptime_seconds: u64,
}
