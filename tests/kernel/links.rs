//! The kernel's side of link operations: requests over rtnetlink, and the state read back.
//!
//! Owns the network namespace of its thread: everything it makes lives there
//! and dies with it. Never touches an interface of the machine.

use std::collections::{BTreeMap, BTreeSet};

use nix::sched::{CloneFlags, unshare};

use super::linkwatch::Linkwatch;
use super::message::body_of;
use super::netlink::{
    Body, NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Netlink, RTM_DELLINK,
    RTM_DELNEIGH, RTM_GETLINK, RTM_GETNEIGH, RTM_NEWLINK, RTM_NEWNEIGH, attributes, ifinfo, number,
};
use super::scenario::{Change, LOWER_MTU, Mac, Parent, Request, Step, lower_address};
use super::state::{Counters, LinkState, LowerState, State};

pub(crate) const UP: u32 = 1;
pub(crate) const PROMISC: u32 = 0x100;
pub(crate) const ALLMULTI: u32 = 0x200;

pub(crate) const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
pub(crate) const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
pub(crate) const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_PROMISCUITY: u16 = 30;
const IFLA_CARRIER: u16 = 33;
const IFLA_ALLMULTI: u16 = 61;

/// Whoever else may own a lower's frames.
const PROBE_BRIDGE: &str = "probe-bridge";

/// The far end of the probe's lower, and the probe.
pub(crate) const PROBE_WIRE: &str = "probe-wire";
pub(crate) const PROBE_LINK: &str = "probe-link";

/// An interface number nobody has.
const NOBODY: u32 = 99_999;

/// What one dump of all interfaces says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) state: State,
    pub(crate) counters: BTreeMap<String, Counters>,
}

/// The kernel's links, in a namespace of their own.
#[derive(Debug)]
pub(crate) struct Links {
    netlink: Netlink,
    linkwatch: Linkwatch,
    pub(crate) index: BTreeMap<String, u32>,
}

impl Links {
    /// Takes this thread into a new namespace with IPv6 off.
    pub(crate) fn new() -> Self {
        Self::try_new().expect("a network namespace with veth and macvlan")
    }

    /// Whether the kernel lets us make a namespace and has both kinds of link.
    pub(crate) fn possible() -> bool {
        // The namespace ends with the thread.
        std::thread::spawn(|| Self::try_new().is_ok()).join().unwrap_or(false)
    }

    fn try_new() -> Result<Self, i32> {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| errno as i32)?;
        for which in ["all", "default"] {
            // Without the file there is no IPv6 to be switched off.
            _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
        }
        let mut links = Self {
            netlink: Netlink::open(NETLINK_ROUTE),
            linkwatch: Linkwatch::open(),
            index: BTreeMap::new(),
        };
        links.add_probe()?;
        Ok(links)
    }

    /// A lower and a link that no scenario knows: a group frame that reaches the
    /// link has come through the kernel's work queue, and so has everything before it.
    fn add_probe(&mut self) -> Result<(), i32> {
        self.pair("probe", PROBE_WIRE, Mac::new([2, 0xbb, 0, 0, 0, 1]))?;
        let mut info = Body::default();
        info.text(1, "macvlan");
        let mut body = Body::new(&ifinfo(0, UP, UP));
        body.text(IFLA_IFNAME, PROBE_LINK).number(IFLA_LINK, self.index["probe"]);
        body.nest(IFLA_LINKINFO, &info);
        self.netlink.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body)?;
        self.refresh();
        Ok(())
    }

    fn index_of(&self, name: &str) -> Option<u32> {
        self.index.get(name).copied()
    }

    /// Does one step; `None` if what it is about does not exist.
    pub(crate) fn apply(&mut self, step: &Step) -> Option<Result<(), i32>> {
        let result = match step {
            Step::AddLower { lower } => {
                self.pair(&format!("low{lower}"), &format!("ext{lower}"), lower_address(*lower))
            }
            Step::RemoveLower { lower } => self.delete(self.index_of(&format!("low{lower}"))?),
            Step::SetLower { lower, change } => {
                let index = self.index_of(&format!("low{lower}"))?;
                self.set_lower(index, *change)
            }
            Step::NewLink { link, parent, request } => self.new_link(*link, *parent, request)?,
            Step::SetLink { link, request } => {
                let index = self.index_of(&format!("mv{link}"))?;
                self.set_link(index, request)
            }
            Step::DelLink { link } => self.delete(self.index_of(&format!("mv{link}"))?),
            Step::Fdb { link, add, replace, address } => {
                let index = self.index_of(&format!("mv{link}"))?;
                self.fdb(index, *add, *replace, *address)
            }
            Step::Send { .. } => return None,
        };
        if matches!(
            step,
            Step::AddLower { .. }
                | Step::RemoveLower { .. }
                | Step::NewLink { .. }
                | Step::DelLink { .. }
        ) {
            self.refresh();
        }
        Some(result)
    }

    /// A pair of veths, both up.
    fn pair(&mut self, name: &str, far: &str, address: Mac) -> Result<(), i32> {
        let mut peer = Body::new(&ifinfo(0, 0, 0));
        peer.text(IFLA_IFNAME, far);
        // The far end takes whatever the lower may be set to send.
        peer.number(IFLA_MTU, 9000);
        let mut data = Body::default();
        data.nest(1, &peer);
        let mut info = Body::default();
        info.text(1, "veth").nest(2, &data);
        let mut body = Body::new(&ifinfo(0, 0, 0));
        body.text(IFLA_IFNAME, name);
        body.bytes(IFLA_ADDRESS, &address.bytes());
        body.number(IFLA_MTU, LOWER_MTU).nest(IFLA_LINKINFO, &info);
        self.netlink.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body)?;
        self.refresh();
        for end in [name, far] {
            let up = Body::new(&ifinfo(self.index[end], UP, UP));
            self.netlink.request(RTM_NEWLINK, 0, &up)?;
        }
        Ok(())
    }

    fn set_lower(&mut self, index: u32, change: Change) -> Result<(), i32> {
        let mut body = match change {
            Change::Up(up) => Body::new(&ifinfo(index, u32::from(up), UP)),
            _ => Body::new(&ifinfo(index, 0, 0)),
        };
        match change {
            Change::Up(_) => {}
            Change::Mtu(mtu) => _ = body.number(IFLA_MTU, mtu),
            Change::Address(mac) => _ = body.bytes(IFLA_ADDRESS, &mac.bytes()),
        }
        self.netlink.request(RTM_NEWLINK, 0, &body)
    }

    fn new_link(&mut self, link: u8, parent: Parent, request: &Request) -> Option<Result<(), i32>> {
        let parent = match parent {
            Parent::Lower(lower) => Some(self.index_of(&format!("low{lower}"))?),
            Parent::Link(other) => Some(self.index_of(&format!("mv{other}"))?),
            Parent::Loopback => Some(1),
            Parent::Missing => Some(NOBODY),
            Parent::Nothing => None,
        };
        let mut body = body_of(0, request, true);
        body.text(IFLA_IFNAME, &format!("mv{link}"));
        if let Some(parent) = parent {
            body.number(IFLA_LINK, parent);
        }
        Some(self.netlink.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body))
    }

    /// One `RTM_NEWLINK` about an existing link.
    pub(crate) fn set_link(&mut self, index: u32, request: &Request) -> Result<(), i32> {
        self.netlink.request(RTM_NEWLINK, 0, &body_of(index, request, false))
    }

    fn delete(&mut self, index: u32) -> Result<(), i32> {
        self.netlink.request(RTM_DELLINK, 0, &Body::new(&ifinfo(index, 0, 0)))
    }

    fn fdb(&mut self, index: u32, add: bool, replace: bool, address: Mac) -> Result<(), i32> {
        // struct ndmsg: AF_BRIDGE, NUD_NOARP | NUD_PERMANENT, NTF_SELF.
        let mut fixed = vec![7, 0, 0, 0];
        fixed.extend(index.to_ne_bytes());
        fixed.extend(0xc0_u16.to_ne_bytes());
        fixed.extend([2, 0]);
        let mut body = Body::new(&fixed);
        body.bytes(2, &address.bytes());
        match (add, replace) {
            (true, true) => self.netlink.request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body),
            (true, false) => self.netlink.request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, &body),
            (false, _) => self.netlink.request(RTM_DELNEIGH, 0, &body),
        }
    }

    /// Makes a bridge named `probe-bridge`, once.
    pub(crate) fn add_bridge(&mut self) -> Result<(), i32> {
        let mut info = Body::default();
        info.text(1, "bridge");
        let mut body = Body::new(&ifinfo(0, 0, 0));
        body.text(IFLA_IFNAME, PROBE_BRIDGE).nest(IFLA_LINKINFO, &info);
        self.netlink.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body)?;
        self.refresh();
        Ok(())
    }

    /// Makes a lower a port of the bridge.
    pub(crate) fn enslave(&mut self, lower: u8) -> Result<(), i32> {
        let mut body = Body::new(&ifinfo(self.index[&format!("low{lower}")], 0, 0));
        body.number(IFLA_MASTER, self.index[PROBE_BRIDGE]);
        self.netlink.request(RTM_NEWLINK, 0, &body)
    }

    /// Deletes everything the scenario made.
    pub(crate) fn clear(&mut self) {
        let lowers: Vec<u32> = self
            .index
            .iter()
            .filter(|(name, _)| name.starts_with("low"))
            .map(|(_, index)| *index)
            .collect();
        for index in lowers {
            self.delete(index).expect("a lower can be deleted");
        }
        self.refresh();
        let ours = |name: &String| name == "lo" || name.starts_with("probe");
        assert!(self.index.keys().all(ours), "left behind: {:?}", self.index);
    }

    fn refresh(&mut self) {
        let mut index = BTreeMap::new();
        self.netlink.dump(RTM_GETLINK, &Body::new(&ifinfo(0, 0, 0)), |message| {
            let own = number(&message[4..]);
            for (kind, value) in attributes(&message[16..]) {
                if kind == IFLA_IFNAME {
                    index.insert(text(value), own);
                }
            }
        });
        self.index = index;
    }

    /// The state as it is once carrier changes have come through.
    pub(crate) fn settled(&mut self) -> Snapshot {
        // The first round may change what the second has to look at.
        for _ in 0..2 {
            self.linkwatch.catch_up();
        }
        self.snapshot()
    }

    fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let names: BTreeMap<u32, String> =
            self.index.iter().map(|(name, index)| (*index, name.clone())).collect();
        let body = Body::new(&ifinfo(0, 0, 0));
        self.netlink.dump(RTM_GETLINK, &body, |message| snapshot.take(message, &names));
        let lowers: Vec<(u8, u32)> = snapshot
            .state
            .lowers
            .keys()
            .filter_map(|lower| Some((*lower, *self.index.get(&format!("low{lower}"))?)))
            .collect();
        for (lower, index) in lowers {
            let listened = self.listened(index);
            let state = snapshot.state.lowers.get_mut(&lower).unwrap();
            (state.groups, state.unicast) =
                listened.into_iter().partition(|mac| mac.0.is_multicast());
        }
        snapshot
    }

    /// The addresses in an interface's filters, but for those of the IP stack.
    fn listened(&mut self, index: u32) -> BTreeSet<Mac> {
        let mut found = BTreeSet::new();
        let mut fixed = vec![7, 0, 0, 0];
        fixed.extend(index.to_ne_bytes());
        fixed.extend([0; 4]);
        self.netlink.dump(RTM_GETNEIGH, &Body::new(&fixed), |message| {
            // Entries of other interfaces come along.
            if number(&message[4..]) != index {
                return;
            }
            for (kind, value) in attributes(&message[12..]) {
                if let (2, Ok(bytes)) = (kind, <[u8; 6]>::try_from(value)) {
                    found.insert(Mac::new(bytes));
                }
            }
        });
        found.retain(|mac| !STACK_GROUPS.contains(mac));
        found
    }
}

/// Groups every interface is in because of the IP stack above it: not the driver's doing.
pub(crate) const STACK_GROUPS: [Mac; 2] =
    [Mac::new([1, 0, 0x5e, 0, 0, 1]), Mac::new([0x33, 0x33, 0, 0, 0, 1])];

impl Snapshot {
    fn take(&mut self, message: &[u8], names: &BTreeMap<u32, String>) {
        let own = number(&message[4..]);
        let Some(name) = names.get(&own) else { return };
        let flags = number(&message[8..]);
        let mut seen = Seen::default();
        for (kind, value) in attributes(&message[16..]) {
            match kind {
                IFLA_ADDRESS => {
                    seen.address = value.try_into().ok().map(Mac::new);
                }
                IFLA_MTU => seen.mtu = number(value),
                IFLA_LINK => seen.link = number(value),
                IFLA_PROMISCUITY => seen.promiscuity = number(value),
                IFLA_CARRIER => seen.carrier = value[0] != 0,
                IFLA_ALLMULTI => seen.allmulti = number(value),
                IFLA_LINKINFO => {
                    let data = attributes(value).find(|(kind, _)| *kind == 2);
                    seen.info = data.map(|(_, data)| data.to_vec()).unwrap_or_default();
                }
                IFLA_STATS64 => {
                    self.counters.insert(name.clone(), counters(value));
                }
                _ => {}
            }
        }
        let Some(address) = seen.address else { return };
        if let Some(lower) = name.strip_prefix("low").and_then(|number| number.parse().ok()) {
            let state = LowerState {
                address,
                mtu: seen.mtu,
                up: flags & UP != 0,
                promiscuous: seen.promiscuous(flags & UP != 0),
                allmulti: seen.allmulti > 0,
                unicast: BTreeSet::new(),
                groups: BTreeSet::new(),
            };
            self.state.lowers.insert(lower, state);
        }
        if let Some(link) = name.strip_prefix("mv").and_then(|number| number.parse().ok()) {
            let lower = names.get(&seen.link).and_then(|name| name.strip_prefix("low"));
            let mut state = LinkState {
                lower: lower.and_then(|number| number.parse().ok()).unwrap_or(u8::MAX),
                mode: 0,
                flags: 0,
                sources: BTreeSet::new(),
                bc_queue_len: 0,
                bc_queue_len_used: 0,
                bc_cutoff: 1,
                address,
                mtu: seen.mtu,
                up: flags & UP != 0,
                promisc: flags & PROMISC != 0,
                allmulti: flags & ALLMULTI != 0,
                carrier: seen.carrier,
            };
            state.fill(&seen.info);
            self.state.links.insert(link, state);
        }
    }
}

/// The attributes of one link message that matter.
#[derive(Default)]
struct Seen {
    address: Option<Mac>,
    mtu: u32,
    link: u32,
    promiscuity: u32,
    carrier: bool,
    allmulti: u32,
    info: Vec<u8>,
}

impl Seen {
    /// While a device is down its count says nothing, unless it is below zero.
    fn promiscuous(&self, up: bool) -> Option<bool> {
        let below = self.promiscuity > u32::MAX / 2;
        (up || below).then_some(self.promiscuity > 0)
    }
}

impl LinkState {
    fn fill(&mut self, info: &[u8]) {
        for (kind, value) in attributes(info) {
            match kind {
                1 => self.mode = number(value),
                2 => self.flags = u16::from_ne_bytes(value[..2].try_into().unwrap()),
                5 => {
                    let addresses = attributes(value).filter_map(|(_, mac)| mac.try_into().ok());
                    self.sources = addresses.map(Mac::new).collect();
                }
                7 => self.bc_queue_len = number(value),
                8 => self.bc_queue_len_used = number(value),
                9 => self.bc_cutoff = number(value).cast_signed(),
                _ => {}
            }
        }
    }
}

/// `struct rtnl_link_stats64`.
fn counters(value: &[u8]) -> Counters {
    let field = |number: usize| {
        let bytes = value.get(number * 8..number * 8 + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_ne_bytes).unwrap_or_default()
    };
    Counters {
        rx_packets: field(0),
        tx_packets: field(1),
        rx_bytes: field(2),
        tx_bytes: field(3),
        rx_errors: field(4),
        rx_dropped: field(6),
        tx_dropped: field(7),
        multicast: field(8),
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}
