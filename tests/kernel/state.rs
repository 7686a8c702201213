//! What a state of affairs is, for either side, and how two of them differ.

use std::collections::{BTreeMap, BTreeSet};

use super::scenario::Mac;

/// One link, as `fill_info` and the link message tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkState {
    pub(crate) lower: u8,
    pub(crate) mode: u32,
    pub(crate) flags: u16,
    pub(crate) sources: BTreeSet<Mac>,
    pub(crate) bc_queue_len: u32,
    pub(crate) bc_queue_len_used: u32,
    pub(crate) bc_cutoff: i32,
    pub(crate) address: Mac,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    pub(crate) promisc: bool,
    pub(crate) allmulti: bool,
    pub(crate) carrier: bool,
}

/// One lower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LowerState {
    pub(crate) address: Mac,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    /// Takes every unicast frame, as a device without unicast filters must once it has to take one.
    /// Not decided while it is down.
    pub(crate) promiscuous: Option<bool>,
    pub(crate) allmulti: bool,
    /// The unicast addresses it listens to besides its own.
    pub(crate) unicast: BTreeSet<Mac>,
    /// The groups it listens to.
    pub(crate) groups: BTreeSet<Mac>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) lowers: BTreeMap<u8, LowerState>,
    pub(crate) links: BTreeMap<u8, LinkState>,
}

/// One thing that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unlike {
    /// `mv3` or `low0`.
    pub(crate) who: String,
    pub(crate) field: &'static str,
    pub(crate) kernel: String,
    pub(crate) ours: String,
}

impl State {
    /// Every field in which the two differ.
    pub(crate) fn unlike(&self, ours: &Self) -> Vec<Unlike> {
        let mut found = Vec::new();
        let links: BTreeSet<u8> = self.links.keys().chain(ours.links.keys()).copied().collect();
        for link in links {
            let who = format!("mv{link}");
            match (self.links.get(&link), ours.links.get(&link)) {
                (Some(a), Some(b)) => a.unlike(b, &who, &mut found),
                (a, b) => found.push(Unlike {
                    who,
                    field: "exists",
                    kernel: a.is_some().to_string(),
                    ours: b.is_some().to_string(),
                }),
            }
        }
        let lowers: BTreeSet<u8> = self.lowers.keys().chain(ours.lowers.keys()).copied().collect();
        for lower in lowers {
            let who = format!("low{lower}");
            match (self.lowers.get(&lower), ours.lowers.get(&lower)) {
                (Some(a), Some(b)) => a.unlike(b, &who, &mut found),
                (a, b) => found.push(Unlike {
                    who,
                    field: "exists",
                    kernel: a.is_some().to_string(),
                    ours: b.is_some().to_string(),
                }),
            }
        }
        found
    }
}

/// Compares the named fields of two values.
macro_rules! fields {
    ($who:expr, $found:expr, $a:expr, $b:expr, $($field:ident),+) => {
        $(if $a.$field != $b.$field {
            $found.push(Unlike {
                who: $who.to_owned(),
                field: stringify!($field),
                kernel: format!("{:?}", $a.$field),
                ours: format!("{:?}", $b.$field),
            });
        })+
    };
}

impl LinkState {
    fn unlike(&self, ours: &Self, who: &str, found: &mut Vec<Unlike>) {
        fields!(
            who,
            found,
            self,
            ours,
            lower,
            mode,
            flags,
            sources,
            bc_queue_len,
            bc_queue_len_used,
            bc_cutoff,
            address,
            mtu,
            up,
            promisc,
            allmulti,
            carrier
        );
    }
}

impl LowerState {
    fn unlike(&self, ours: &Self, who: &str, found: &mut Vec<Unlike>) {
        fields!(who, found, self, ours, address, mtu, up, promiscuous, allmulti, unicast, groups);
    }
}

/// The counters of a link that the driver keeps (semantics, section 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) multicast: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) rx_errors: u64,
    pub(crate) rx_dropped: u64,
    pub(crate) tx_dropped: u64,
}

impl std::ops::Sub for Counters {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            rx_packets: self.rx_packets - before.rx_packets,
            rx_bytes: self.rx_bytes - before.rx_bytes,
            multicast: self.multicast - before.multicast,
            tx_packets: self.tx_packets - before.tx_packets,
            tx_bytes: self.tx_bytes - before.tx_bytes,
            rx_errors: self.rx_errors - before.rx_errors,
            rx_dropped: self.rx_dropped - before.rx_dropped,
            tx_dropped: self.tx_dropped - before.tx_dropped,
        }
    }
}
