//! What the naive model knows: plain structs in plain lists.
//!
//! Owns the model's own words for devices, requests and events. Uses nothing of
//! the crate under test, so that one mistake cannot be in both.

/// A MAC address.
pub(crate) type Mac = [u8; 6];

/// The name of an error number.
pub(crate) type Errno = &'static str;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Private,
    Vepa,
    Bridge,
    Passthru,
    Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    None,
    Taps,
    Reachable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ethernet,
    Loopback,
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Lower {
    pub(crate) name: String,
    pub(crate) address: Mac,
    pub(crate) mtu: u32,
    pub(crate) max_mtu: u32,
    pub(crate) up: bool,
    pub(crate) carrier: bool,
    pub(crate) kind: Kind,
    pub(crate) owned: bool,
    pub(crate) host: Host,
    pub(crate) private_strict: bool,
    pub(crate) drop_link_local: bool,
    /// Only means something while the lower has links.
    pub(crate) bclim: i32,
    /// The address it gets back when a passthru link goes.
    pub(crate) address_to_restore: Mac,
}

#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) lower: String,
    pub(crate) mode: Mode,
    pub(crate) nopromisc: bool,
    pub(crate) nodst: bool,
    pub(crate) address: Mac,
    pub(crate) further: Vec<Mac>,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    pub(crate) promisc: bool,
    pub(crate) allmulti: bool,
    pub(crate) groups: Vec<Mac>,
    pub(crate) filter: Vec<Mac>,
    pub(crate) listed: Vec<Mac>,
    pub(crate) bcqueuelen: u32,
    pub(crate) spoof_check: bool,
}

/// All devices. Links are in the order of their age.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) lowers: Vec<Lower>,
    pub(crate) links: Vec<Link>,
}

/// A request's attributes, as raw as they arrive.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    pub(crate) name: Option<String>,
    pub(crate) parent: Option<String>,
    pub(crate) address: Option<Vec<u8>>,
    pub(crate) mtu: Option<u32>,
    pub(crate) up: Option<bool>,
    pub(crate) promisc: Option<bool>,
    pub(crate) allmulti: Option<bool>,
    pub(crate) data: Option<Data>,
    pub(crate) further: Option<Vec<Mac>>,
    pub(crate) spoof_check: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Data {
    pub(crate) mode: Option<u32>,
    pub(crate) flags: Option<u16>,
    pub(crate) list_operation: Option<u32>,
    pub(crate) one: Option<Vec<u8>>,
    pub(crate) many: Option<Vec<(u16, Vec<u8>)>>,
    pub(crate) count: Option<u32>,
    pub(crate) bcqueuelen: Option<u32>,
    pub(crate) usedbcqueuelen: Option<u32>,
    pub(crate) bclim: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Register,
    Up,
    Down,
    Carrier(bool),
    Features,
    Mtu(u32),
    Address(Mac),
    TypeChange,
    NotifyPeers,
    Failover,
    ResendIgmp,
    Unregister,
}

/// What a dump shows of a link's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) mode: Mode,
    pub(crate) nopromisc: bool,
    pub(crate) nodst: bool,
    /// Ascending.
    pub(crate) listed: Vec<Mac>,
    pub(crate) bcqueuelen: u32,
    pub(crate) usedbcqueuelen: u32,
    pub(crate) bclim: i32,
}

/// What a lower must let through. Lists are ascending, each address once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filters {
    pub(crate) unicast: Vec<Mac>,
    pub(crate) groups: Vec<Mac>,
    pub(crate) allmulti: bool,
    pub(crate) promiscuous: bool,
}

impl Link {
    pub(crate) fn has_address(&self, mac: Mac) -> bool {
        self.address == mac || self.further.contains(&mac)
    }

    pub(crate) fn addresses(&self) -> Vec<Mac> {
        [vec![self.address], self.further.clone()].concat()
    }
}

impl Model {
    pub(crate) fn lower(&self, name: &str) -> Option<&Lower> {
        self.lowers.iter().find(|lower| lower.name == name)
    }

    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    pub(crate) fn links_of(&self, lower: &str) -> Vec<&Link> {
        self.links.iter().filter(|link| link.lower == lower).collect()
    }

    pub(crate) fn is_passthru(&self, lower: &str) -> bool {
        self.links_of(lower).iter().any(|link| link.mode == Mode::Passthru)
    }

    /// Section 1.5.
    pub(crate) fn info(&self, name: &str) -> Option<Info> {
        let link = self.link(name)?;
        let mut listed = link.listed.clone();
        listed.sort();
        let siblings = self.links_of(&link.lower);
        Some(Info {
            mode: link.mode,
            nopromisc: link.nopromisc,
            nodst: link.nodst,
            listed,
            bcqueuelen: link.bcqueuelen,
            // BCQ-01, BCQ-02.
            usedbcqueuelen: siblings.iter().map(|sibling| sibling.bcqueuelen).max()?,
            // LC-45.
            bclim: self.lower(&link.lower)?.bclim,
        })
    }

    /// Section 6.3, always from the whole state.
    pub(crate) fn filters(&self, lower: &str) -> Filters {
        let mut filters =
            Filters { unicast: vec![], groups: vec![], allmulti: false, promiscuous: false };
        for link in self.links_of(lower) {
            if !link.up {
                continue;
            }
            if link.mode == Mode::Passthru {
                // UCF-05, UCF-07, LC-31.
                if !link.nopromisc {
                    filters.promiscuous = true;
                }
            } else {
                // UCF-01, UCF-04.
                filters.unicast.extend(link.addresses());
                if link.promisc {
                    filters.promiscuous = true;
                }
            }
            // UCF-09, MCF-06, UCF-06.
            filters.unicast.extend(&link.filter);
            filters.groups.extend(&link.groups);
            if link.allmulti {
                filters.allmulti = true;
            }
        }
        for list in [&mut filters.unicast, &mut filters.groups] {
            list.sort();
            list.dedup();
        }
        filters
    }
}
