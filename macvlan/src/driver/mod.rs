//! The driver's state and its operations: what is, who may become what.
//!
//! Owns every fact the rules are made from: lowers, links, their modes, flags,
//! addresses, filters and source lists. Pure: it opens nothing and programs
//! nothing. Whoever runs it (control, a test) carries out what changed, by
//! comparing before and after. Every operation either succeeds as a whole or
//! leaves the state as it was; the order of checks and the error numbers are the
//! kernel's (macvlan-semantics.md section 1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::errno::{Errno, Refusal};
use crate::mac::MacAddr;
use crate::mode::{Flags, Mode};

mod change;
mod create;
mod events;
mod links;
mod rx_mode;

pub use events::Event;
use links::Links;
pub use rx_mode::RxMode;

/// Smallest MTU of a link, in bytes (MT-01).
pub const MIN_MTU: u32 = 68;

/// Largest MTU an Ethernet device can have, in bytes.
pub const MAX_MTU: u32 = 65_535;

/// Frames a link asks the broadcast queue to hold unless told otherwise (LC-16).
pub const BC_QUEUE_LEN: u32 = 1000;

/// Members a group may have before it goes through the queue (LC-16, MCF-09).
pub const BC_CUTOFF: i32 = 1;

/// Addresses one lower's links can have together.
pub const MAX_ADDRESSES: usize = 65_536;

/// Entries of source lists, and groups joined, that one lower's links can have
/// together. The kernel has no limit but its memory; here they must fit a table.
pub const MAX_LISTED: usize = 65_536;

/// The number of a device: one space for lowers and links, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(u32);

impl Index {
    /// The device of this number, if there is one.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What kind of device a lower is (ER-16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// Fits.
    #[default]
    Ethernet,
    /// A loopback device.
    Loopback,
    /// Something without Ethernet addresses.
    Other,
}

/// Who takes the frames that the kernel would hand to the host's stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostPort {
    /// Nobody: they are dropped.
    #[default]
    None,
    /// A port that hears what the host would hear, and sends to the wire (TX-10).
    Taps,
    /// One that is a member in bridge mode besides: links and host reach each
    /// other. An extension (B1).
    Reachable,
}

/// What a lower is registered with.
#[derive(Clone, Debug)]
pub struct LowerSpec {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: MacAddr,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// The largest MTU its driver takes, in bytes.
    pub max_mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// It has carrier.
    pub carrier: bool,
    /// Ethernet, or something that does not fit.
    pub kind: DeviceKind,
    /// Whoever owns its frames already (ER-17).
    pub owner: Option<String>,
    /// Its host port.
    pub host: HostPort,
    /// Unicast that an external switch reflects between a private link and
    /// another link is dropped. An extension (RXU-06).
    pub private_strict: bool,
    /// Frames to 01:80:c2:00:00:00 … 0f stay off: not from links, and from the
    /// wire for the host alone. An extension.
    pub drop_link_local: bool,
}

impl LowerSpec {
    /// An Ethernet device that is up and has no host port.
    #[must_use]
    pub fn ethernet(name: &str, address: MacAddr, mtu: u32) -> Self {
        Self {
            name: name.to_owned(),
            address,
            mtu,
            max_mtu: MAX_MTU,
            up: true,
            carrier: true,
            kind: DeviceKind::Ethernet,
            owner: None,
            host: HostPort::None,
            private_strict: false,
            drop_link_local: false,
        }
    }
}

/// A device below, with what its links share.
#[derive(Clone, Debug)]
pub struct Lower {
    /// Its number.
    pub index: Index,
    /// What it was registered with, as events have changed it since.
    pub spec: LowerSpec,
    port: Option<MacvlanPort>,
    links: Vec<Index>,
}

/// What exists from a lower's first link to its last (LC-18, LC-19).
#[derive(Clone, Copy, Debug)]
struct MacvlanPort {
    /// Its one link is a passthru link.
    passthru: bool,
    /// The lower's address as it shall be when the last link is gone (MA-03).
    permanent: MacAddr,
    bc_cutoff: i32,
    /// The most that any link asks for.
    bc_queue_len: u32,
}

impl Lower {
    /// Its one link is a passthru link.
    #[must_use]
    pub fn is_passthru(&self) -> bool {
        self.port.is_some_and(|port| port.passthru)
    }

    /// Members a group may have before it goes through the queue (MCF-09).
    #[must_use]
    pub fn bc_cutoff(&self) -> i32 {
        self.port.map_or(BC_CUTOFF, |port| port.bc_cutoff)
    }

    /// Frames go in and out: it is up and has carrier.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.spec.up && self.spec.carrier
    }
}

/// A macvlan link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: Index,
    /// Its name.
    pub name: String,
    /// The device below.
    pub lower: Index,
    /// Its mode.
    pub mode: Mode,
    /// Its flags.
    pub flags: Flags,
    /// Its address.
    pub address: MacAddr,
    /// Further addresses. An extension.
    pub addresses: BTreeSet<MacAddr>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// It has been up, which the kernel's dumps show.
    pub been_up: bool,
    /// Hears all groups and makes the lower promiscuous.
    pub promisc: bool,
    /// Hears all groups.
    pub allmulti: bool,
    /// Groups it has joined.
    pub groups: BTreeSet<MacAddr>,
    /// Further unicast addresses for the lower's filter (UCF-09).
    pub unicast: BTreeSet<MacAddr>,
    /// The source list.
    pub sources: BTreeSet<MacAddr>,
    /// Frames it asks the broadcast queue to hold.
    pub bc_queue_len: u32,
    /// Its frames must come from its own addresses. An extension.
    pub spoof_check: bool,
}

impl Link {
    /// All its addresses, each once.
    pub fn own_addresses(&self) -> impl Iterator<Item = MacAddr> + '_ {
        let further = self.addresses.iter().copied().filter(|&other| other != self.address);
        std::iter::once(self.address).chain(further)
    }

    /// One of these addresses that it has. Links may have many, so they are
    /// compared as the sorted sets they are.
    fn first_of(&self, addresses: &BTreeSet<MacAddr>) -> Option<MacAddr> {
        let own = addresses.get(&self.address);
        own.or_else(|| addresses.intersection(&self.addresses).next()).copied()
    }

    /// Hears a group whatever it has joined (MCF-05). The promiscuity of a
    /// passthru link does not reach the lower (UCF-05): with nopromisc it opens
    /// nothing.
    #[must_use]
    pub fn hears_all(&self) -> bool {
        let opens = self.mode != Mode::Passthru || !self.flags.contains(Flags::NOPROMISC);
        self.allmulti || self.promisc && opens
    }
}

/// A link as dumps show it (section 1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its mode.
    pub mode: Mode,
    /// Its flags.
    pub flags: Flags,
    /// Its source list, ascending.
    pub macaddr: Vec<MacAddr>,
    /// Frames it asks the broadcast queue to hold.
    pub bc_queue_len: u32,
    /// Frames the queue holds: the most that any link of the lower asks for.
    pub bc_queue_len_used: u32,
    /// The lower's limit above which groups are queued.
    pub bc_cutoff: i32,
}

/// How a link is, in the words of `ip link`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperState {
    /// Administratively down.
    Down,
    /// Up, but the lower is down or has no carrier (NT-01).
    LowerLayerDown,
    /// Up.
    Up,
}

impl OperState {
    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "DOWN",
            Self::LowerLayerDown => "LOWERLAYERDOWN",
            Self::Up => "UP",
        }
    }
}

/// All lowers and links. A clone shares what is not changed afterwards: that is
/// how a change is tried out, and how two states are compared.
#[derive(Clone, Debug, Default)]
pub struct Driver {
    last: u32,
    lowers: Vec<Arc<Lower>>,
    links: Links,
    /// Of lowers and links.
    names: Arc<BTreeMap<Arc<str>, Index>>,
}

impl Driver {
    /// Makes a device available to links.
    ///
    /// # Errors
    /// EEXIST: the name is taken.
    pub fn add_lower(&mut self, spec: LowerSpec) -> Result<Index, Refusal> {
        self.check_name_is_free(&spec.name)?;
        let index = self.next_index();
        self.names_mut().insert(spec.name.as_str().into(), index);
        self.lowers.push(Arc::new(Lower { index, spec, port: None, links: Vec::new() }));
        Ok(index)
    }

    /// Changes what a lower is set to do; `None` leaves a fact as it is. No
    /// link has a say in it.
    ///
    /// # Errors
    /// ENODEV: there is no such lower.
    pub fn set_policy(
        &mut self,
        lower: Index,
        host: Option<HostPort>,
        private_strict: Option<bool>,
        drop_link_local: Option<bool>,
    ) -> Result<(), Refusal> {
        if self.lower(lower).is_none() {
            return Err(no_device(lower));
        }
        self.with_lower(lower, |lower| {
            let spec = &mut lower.spec;
            spec.host = host.unwrap_or(spec.host);
            spec.private_strict = private_strict.unwrap_or(spec.private_strict);
            spec.drop_link_local = drop_link_local.unwrap_or(spec.drop_link_local);
        });
        Ok(())
    }

    /// The lower of this number.
    #[must_use]
    pub fn lower(&self, index: Index) -> Option<&Lower> {
        self.lowers.iter().map(|lower| &**lower).find(|lower| lower.index == index)
    }

    /// The link of this number.
    #[must_use]
    pub fn link(&self, index: Index) -> Option<&Link> {
        self.links.get(index).map(|link| &**link)
    }

    /// The link is the same in both, down to the last fact.
    #[must_use]
    pub fn shares_link(&self, other: &Self, link: Index) -> bool {
        let both = self.links.get(link).zip(other.links.get(link));
        both.is_some_and(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// The device of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Index> {
        self.names.get(name).copied()
    }

    fn names_mut(&mut self) -> &mut BTreeMap<Arc<str>, Index> {
        Arc::make_mut(&mut self.names)
    }

    /// All lowers, in the order they were added.
    pub fn lowers(&self) -> impl Iterator<Item = &Lower> {
        self.lowers.iter().map(|lower| &**lower)
    }

    /// All links, by age.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// The links of a lower, by age: the order of their slots in its
    /// forwarding state.
    pub fn links_of(&self, lower: Index) -> impl Iterator<Item = &Link> {
        let links = self.lower(lower).map(|lower| &*lower.links).unwrap_or_default();
        self.links.of(links)
    }

    /// A link as dumps show it.
    #[must_use]
    pub fn fill_info(&self, link: Index) -> Option<Info> {
        let link = self.links.get(link)?;
        Some(Info {
            mode: link.mode,
            flags: link.flags,
            macaddr: link.sources.iter().copied().collect(),
            bc_queue_len: link.bc_queue_len,
            bc_queue_len_used: self.bc_queue_len_used(link.lower),
            bc_cutoff: self.lower(link.lower)?.bc_cutoff(),
        })
    }

    /// Frames a lower's broadcast queue holds (BCQ-01, BCQ-02).
    #[must_use]
    pub fn bc_queue_len_used(&self, lower: Index) -> u32 {
        self.lower(lower).and_then(|lower| lower.port).map_or(0, |port| port.bc_queue_len)
    }

    /// A link's part in that has changed, or the link is gone.
    fn measure_queue(&mut self, lower: Index) {
        let most = self.links_of(lower).map(|link| link.bc_queue_len).max().unwrap_or(0);
        if most != self.bc_queue_len_used(lower) {
            self.with_lower(lower, |lower| {
                lower.port.iter_mut().for_each(|port| port.bc_queue_len = most);
            });
        }
    }

    /// How a link is: its own state and the lower's (NT-01).
    #[must_use]
    pub fn oper_state(&self, link: &Link) -> OperState {
        match self.lower(link.lower) {
            _ if !link.up => OperState::Down,
            Some(lower) if lower.passes() => OperState::Up,
            _ => OperState::LowerLayerDown,
        }
    }

    fn next_index(&mut self) -> Index {
        self.last += 1;
        Index(self.last)
    }

    /// ER-21.
    fn check_name_is_free(&self, name: &str) -> Result<(), Refusal> {
        match self.by_name(name) {
            Some(_) => Err(Errno::Eexist.because(format!("{name} exists already"))),
            None => Ok(()),
        }
    }

    fn with_lower(&mut self, index: Index, change: impl FnOnce(&mut Lower)) {
        if let Some(lower) = self.lowers.iter_mut().find(|lower| lower.index == index) {
            change(Arc::make_mut(lower));
        }
    }

    fn find_link(&self, index: Index) -> Result<&Link, Refusal> {
        self.link(index).ok_or_else(|| no_device(index))
    }

    fn link_mut(&mut self, index: Index) -> Result<&mut Link, Refusal> {
        self.links.get_mut(index).ok_or_else(|| no_device(index))
    }

    /// What a link lists and has joined fits the tables of its lower, together
    /// with what the other links do.
    fn check_lists(&self, link: Index) -> Result<(), Refusal> {
        let link = self.find_link(link)?;
        if link.sources.is_empty() && link.groups.is_empty() {
            return Ok(());
        }
        let lower = link.lower;
        let count = |list: fn(&Link) -> usize| self.links_of(lower).map(list).sum::<usize>();
        let (sources, groups) = (count(|link| link.sources.len()), count(|link| link.groups.len()));
        if sources > MAX_LISTED || groups >= MAX_LISTED / 2 {
            let name = self.lower(lower).map_or("", |lower| &lower.spec.name);
            return Err(Errno::Enospc.because(format!(
                "the links of {name} can list {MAX_LISTED} source addresses and join {} groups \
                 together",
                MAX_LISTED / 2
            )));
        }
        Ok(())
    }

    /// ER-22, ER-24: nobody who is up has one of the addresses. `own` is the
    /// link that wants them; its own entries are not in the way.
    fn check_clash(
        &self,
        lower: &Lower,
        own: Index,
        addresses: &BTreeSet<MacAddr>,
    ) -> Result<(), Refusal> {
        let LowerSpec { name, address, .. } = &lower.spec;
        if !lower.is_passthru() && addresses.contains(address) {
            return Err(
                Errno::Eaddrinuse.because(format!("address {address} is that of the lower {name}"))
            );
        }
        let siblings = self.links_of(lower.index).filter(|link| link.up && link.index != own);
        let clash = |link| Some((link, Link::first_of(link, addresses)?));
        match siblings.into_iter().find_map(clash) {
            Some((holder, address)) => Err(Errno::Eaddrinuse.because(format!(
                "address {address} belongs to link {}, which is up",
                holder.name
            ))),
            None => Ok(()),
        }
    }
}

fn no_device(index: Index) -> Refusal {
    Errno::Enodev.because(format!("there is no device {}", index.number()))
}
