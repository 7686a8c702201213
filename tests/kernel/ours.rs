//! mvswitch's side: the same operations on the driver's state, and the compiled rules' answer.
//!
//! Level 1 of the proof: no worker, no port. The verdicts come from the same
//! code that workers run.

use std::collections::{BTreeMap, BTreeSet};

use macvlan::driver::{Driver, Event, HostPort, Index, LowerSpec};
use macvlan::errno::Refusal;
use macvlan::fib::{Fib, Head, Output};
use macvlan::mac::MacAddr;
use macvlan::request::{LinkData, LinkRequest};
use macvlan::rules::compile;

use super::scenario::{Change, Frame, LOWER_MTU, Mac, Parent, Request, Side, Step, lower_address};
use super::state::{LinkState, LowerState, State};

/// An interface number nobody has.
const NOBODY: Index = Index::new(99_999);

/// One delivery and whether it counts as a multicast of the link's.
pub(crate) type Delivery = (Side, bool);

/// mvswitch's driver and the numbers of what is in it.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    pub(crate) driver: Driver,
    lowers: BTreeMap<u8, Index>,
    pub(crate) links: BTreeMap<u8, Index>,
    fibs: BTreeMap<u8, Fib>,
}

impl Ours {
    pub(crate) fn lower(&self, lower: u8) -> Option<Index> {
        self.lowers.get(&lower).copied()
    }

    /// Does one step; `None` if what it is about does not exist. `random` is the
    /// address of a link that asks for none: the one the kernel gave.
    pub(crate) fn apply(&mut self, step: &Step, random: Mac) -> Option<Result<(), Refusal>> {
        self.fibs.clear();
        let result = match step {
            Step::AddLower { lower } => self.add_lower(*lower),
            Step::RemoveLower { lower } => {
                let index = self.lower(*lower)?;
                let result = self.driver.notify(index, &Event::Unregister).map(drop);
                self.lowers.remove(lower);
                let driver = &self.driver;
                self.links.retain(|_, link| driver.link(*link).is_some());
                result
            }
            Step::SetLower { lower, change } => {
                let index = self.lower(*lower)?;
                self.set_lower(index, *change)
            }
            Step::NewLink { link, parent, request } => {
                let parent = match parent {
                    Parent::Lower(lower) => Some(self.lower(*lower)?),
                    Parent::Link(other) => Some(*self.links.get(other)?),
                    Parent::Loopback => Some(self.loopback()),
                    Parent::Missing => Some(NOBODY),
                    Parent::Nothing => None,
                };
                let mut request = link_request(request);
                request.name = Some(format!("mv{link}"));
                request.parent = parent;
                self.driver.newlink(&request, &mut || random.0).map(|index| {
                    self.links.insert(*link, index);
                })
            }
            Step::SetLink { link, request } => {
                let index = *self.links.get(link)?;
                self.driver.setlink(index, &link_request(request))
            }
            Step::DelLink { link } => {
                let index = self.links.remove(link)?;
                self.driver.dellink(index)
            }
            Step::Fdb { link, add, replace, address } => {
                let index = *self.links.get(link)?;
                if *add {
                    self.driver.fdb_add(index, address.0, *replace)
                } else {
                    self.driver.fdb_del(index, address.0)
                }
            }
            Step::Send { .. } => return None,
        };
        Some(result)
    }

    fn add_lower(&mut self, lower: u8) -> Result<(), Refusal> {
        let address = lower_address(lower).0;
        let mut spec = LowerSpec::ethernet(&format!("low{lower}"), address, LOWER_MTU);
        spec.host = HostPort::Taps;
        let index = self.driver.add_lower(spec)?;
        self.lowers.insert(lower, index);
        Ok(())
    }

    /// The device every namespace has.
    fn loopback(&mut self) -> Index {
        if let Some(index) = self.driver.by_name("lo") {
            return index;
        }
        let mut spec = LowerSpec::ethernet("lo", MacAddr::ZERO, 65_535);
        spec.kind = macvlan::driver::DeviceKind::Loopback;
        self.driver.add_lower(spec).expect("lo is new")
    }

    /// What the publisher of events does when a lower changes.
    fn set_lower(&mut self, index: Index, change: Change) -> Result<(), Refusal> {
        let before = self.driver.lower(index).expect("it exists").spec.clone();
        let mut tell = |event| self.driver.notify(index, &event).map(drop);
        match change {
            Change::Up(up) if up == before.up => Ok(()),
            Change::Up(true) => {
                tell(Event::Up)?;
                tell(Event::Change { carrier: true })
            }
            Change::Up(false) => {
                tell(Event::Change { carrier: false })?;
                tell(Event::Down)
            }
            Change::Mtu(mtu) => tell(Event::ChangeMtu(mtu)),
            Change::Address(mac) => tell(Event::ChangeAddr(mac.0)),
        }
    }

    pub(crate) fn state(&self) -> State {
        let mut state = State::default();
        for (number, index) in &self.lowers {
            let lower = self.driver.lower(*index).expect("a lower of this number");
            let mode = self.driver.rx_mode(*index).expect("a lower has a receive mode");
            let unicast: BTreeSet<Mac> = mode.unicast.iter().copied().map(Mac).collect();
            state.lowers.insert(
                *number,
                LowerState {
                    address: Mac(lower.spec.address),
                    mtu: lower.spec.mtu,
                    up: lower.spec.up,
                    // UCF-02: a veth has no unicast filter.
                    promiscuous: lower.spec.up.then_some(mode.promiscuous || !unicast.is_empty()),
                    allmulti: mode.allmulti,
                    unicast,
                    groups: mode.groups.iter().copied().map(Mac).collect(),
                },
            );
        }
        for (number, index) in &self.links {
            let link = self.driver.link(*index).expect("a link of this number");
            let info = self.driver.fill_info(*index).expect("a link has its info");
            let lower = self.lowers.iter().find(|(_, lower)| **lower == link.lower);
            let lower = *lower.expect("the lower of a link").0;
            state.links.insert(
                *number,
                LinkState {
                    lower,
                    mode: info.mode.value(),
                    flags: info.flags.bits(),
                    sources: info.macaddr.iter().copied().map(Mac).collect(),
                    bc_queue_len: info.bc_queue_len,
                    bc_queue_len_used: info.bc_queue_len_used,
                    bc_cutoff: info.bc_cutoff,
                    address: Mac(link.address),
                    mtu: link.mtu,
                    up: link.up,
                    promisc: link.promisc,
                    allmulti: link.allmulti,
                    carrier: self.driver.lower(link.lower).is_some_and(|lower| lower.passes()),
                },
            );
        }
        state
    }

    /// The numbers of a lower's links in the order of their slots.
    pub(crate) fn slots(&self, lower: u8) -> Vec<u8> {
        let Some(index) = self.lower(lower) else { return Vec::new() };
        let number = |link: Index| self.links.iter().find(|(_, other)| **other == link);
        let links = self.driver.links_of(index);
        links.filter_map(|link| Some(*number(link.index)?.0)).collect()
    }

    /// Which lower a frame from this side comes in at, and as what; `None` if nobody is there.
    pub(crate) fn ingress(&self, from: Side) -> Option<(u8, Output)> {
        match from {
            Side::Wire(lower) => self.lower(lower).map(|_| (lower, Output::WIRE)),
            Side::Host(lower) => self.lower(lower).map(|_| (lower, Output::HOST)),
            Side::Link(link) => self.lowers.keys().find_map(|lower| {
                let slot = self.slots(*lower).iter().position(|other| *other == link)?;
                Some((*lower, Output::link(u16::try_from(slot).unwrap())))
            }),
        }
    }

    /// Who gets a frame, by the compiled rules: sorted, and as often as they do.
    pub(crate) fn deliver(&mut self, from: Side, frame: &Frame) -> Vec<Delivery> {
        let Some((lower, ingress)) = self.ingress(from) else { return Vec::new() };
        let slots = self.slots(lower);
        let index = self.lowers[&lower];
        let driver = &self.driver;
        let fib = self.fibs.entry(lower).or_insert_with(|| compile(driver, index).expect("rules"));
        let bytes = frame.bytes(0);
        let head = Head::read(bytes[..14].try_into().unwrap());
        let receivers = fib.receivers(ingress, head);
        let side = |output: Output| match output {
            Output::WIRE => Side::Wire(lower),
            Output::HOST => Side::Host(lower),
            link => Side::Link(slots[usize::from(link.slot().expect("a link's slot"))]),
        };
        let mut sinks: Vec<Delivery> =
            receivers.iter().map(|receiver| (side(receiver.output), receiver.multicast)).collect();
        sinks.sort_unstable();
        sinks
    }
}

/// The request in the words of the driver.
pub(crate) fn link_request(request: &Request) -> LinkRequest {
    LinkRequest {
        address: request.address.clone(),
        mtu: request.mtu,
        up: request.up,
        promisc: request.promisc,
        allmulti: request.allmulti,
        data: request.data.as_ref().map(|data| LinkData {
            mode: data.mode,
            flags: data.flags,
            macaddr_mode: data.macaddr_mode,
            macaddr: data.macaddr.clone(),
            macaddr_data: data.macaddr_data.clone(),
            macaddr_count: data.macaddr_count,
            bc_queue_len: data.bc_queue_len,
            bc_queue_len_used: data.bc_queue_len_used,
            bc_cutoff: data.bc_cutoff,
        }),
        ..LinkRequest::default()
    }
}
