//! The driver's rules, compiled into tables.
//!
//! Owns what modes, admin states and addresses *mean*: [`compile`] turns the
//! links of one lower into a [`Fib`] in which no mode is left. Pure; called by
//! control for every publication.
//!
//! Each place frames come from (the wire, the host, each link) gets a verdict
//! for every unicast destination by the table's value for it, and for every
//! group destination by the table's value for the frame's *source*, which is
//! how the driver tells frames that an external switch reflected.

use std::collections::HashMap;
use std::sync::Arc;

use crate::drop::DropReason;
use crate::fib::{DuplicateMac, Fib, Group, GroupId, Ingress, MacTable, Output, Verdict};
use crate::mac::MacAddr;
use crate::mode::Mode;

/// What the rules need to know of a link.
#[derive(Clone, Copy, Debug)]
pub struct LinkRule {
    /// Its address.
    pub mac: MacAddr,
    /// Its mode.
    pub mode: Mode,
    /// Administratively up.
    pub up: bool,
}

/// The links of one lower.
#[derive(Clone, Copy, Debug)]
pub struct LowerRules<'a> {
    /// By slot.
    pub links: &'a [LinkRule],
    /// There is a host port, which takes what the kernel would hand to the host.
    pub host: bool,
}

/// Why links cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Two links that are up have the same address (ER-22).
    #[error("two links that are up have the address {mac}")]
    Clash {
        /// The address.
        mac: MacAddr,
        /// The slots of both links.
        slots: (u16, u16),
    },
    /// A link's address is a group address or zero (ER-02).
    #[error("{mac} cannot be the address of a link")]
    Address {
        /// The address.
        mac: MacAddr,
    },
    /// More links than one lower can have.
    #[error("a lower can have {} links", Output::MAX_LINKS)]
    TooMany,
}

/// Compiles the rules of one lower.
///
/// # Errors
/// See [`CompileError`].
pub fn compile(rules: &LowerRules<'_>) -> Result<Fib, CompileError> {
    if rules.links.len() > Output::MAX_LINKS {
        return Err(CompileError::TooMany);
    }
    if let Some(link) = rules.links.iter().find(|link| !link.mac.is_valid_unicast()) {
        return Err(CompileError::Address { mac: link.mac });
    }
    // Only links that are up have an entry (LC-34); its value is the slot.
    let up = (0_u16..).zip(rules.links).filter(|(_, link)| link.up);
    let table = MacTable::build(up.map(|(slot, link)| (link.mac, slot)));
    let table =
        table.map_err(|DuplicateMac { mac, values }| CompileError::Clash { mac, slots: values })?;
    let wire = Verdict::output(Output::WIRE);
    // TX-02 and TX-05: to bridge links directly. TX-03, TX-04, TX-06, TX-07:
    // everything else to the wire.
    let direct = (0..).zip(rules.links).map(|(slot, to)| {
        let direct = to.up && to.mode == Mode::Bridge;
        if direct { Verdict::output(Output::link(slot)) } else { wire }
    });
    let direct = direct.collect();
    let (groups, members, lists) = (Vec::new(), Vec::new(), HashMap::new());
    let mut compiler = Compiler { rules, direct, groups, members, lists };
    let mut ingresses = vec![compiler.wire(), compiler.host()];
    ingresses.extend((0..).zip(rules.links).map(|(slot, link)| compiler.link(slot, link)));
    Ok(Fib {
        table,
        ingresses: ingresses.into(),
        groups: compiler.groups.into(),
        members: compiler.members.into(),
    })
}

/// Who is to receive a group frame, apart from the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Receivers {
    private: bool,
    vepa: bool,
    bridge: bool,
    wire: bool,
    host: bool,
}

impl Receivers {
    const fn wants(self, mode: Mode) -> bool {
        match mode {
            Mode::Private => self.private,
            Mode::Vepa => self.vepa,
            Mode::Bridge => self.bridge,
        }
    }
}

struct Compiler<'a> {
    rules: &'a LowerRules<'a>,
    /// A bridge link's verdicts for its siblings' addresses.
    direct: Arc<[Verdict]>,
    groups: Vec<Group>,
    members: Vec<Output>,
    /// Member lists made so far: senders share them.
    lists: HashMap<Receivers, (u32, u32)>,
}

impl Compiler<'_> {
    /// Frames from the wire.
    fn wire(&mut self) -> Ingress {
        let links = self.rules.links;
        let host = self.rules.host;
        let to_host = if host {
            Verdict::output(Output::HOST)
        } else {
            Verdict::drop(DropReason::UnknownUnicast)
        };
        // RXU-02: the link that has the address, whatever its mode. RXU-04: else the host.
        let hit = (0..).zip(links).map(|(slot, link)| {
            if link.up { Verdict::output(Output::link(slot)) } else { to_host }
        });
        let hit = hit.collect();
        // RXM-01: from outside, all links that are up.
        let everyone = Receivers { private: true, vepa: true, bridge: true, wire: false, host };
        let group = self.group(everyone, None);
        let group_from = (0..).zip(links).map(|(slot, link)| {
            let sender = Output::link(slot);
            match link.mode {
                // A link that is down is nobody: it has no entry.
                _ if !link.up => group,
                // RXM-02: reflected for a vepa link: its siblings have not had it.
                Mode::Vepa => self.group(Receivers { private: false, ..everyone }, Some(sender)),
                // RXM-03: bridge siblings had their copies when it was sent.
                Mode::Bridge => {
                    self.group(Receivers { vepa: true, host, ..Receivers::default() }, Some(sender))
                }
                // RXM-04: back to the sender alone.
                Mode::Private => Verdict::output(sender),
            }
        });
        let group_from = group_from.collect();
        Ingress { hit, miss: to_host, group_from, group }
    }

    /// TX-10: what the host sends goes to the wire; links never see it.
    fn host(&self) -> Ingress {
        everything(Verdict::output(Output::WIRE))
    }

    /// Frames from a link.
    fn link(&mut self, slot: u16, link: &LinkRule) -> Ingress {
        let wire = Verdict::output(Output::WIRE);
        match link.mode {
            _ if !link.up => everything(Verdict::drop(DropReason::LinkDown)),
            // TX-01.
            Mode::Private | Mode::Vepa => everything(wire),
            Mode::Bridge => {
                // TX-08.
                let receivers = Receivers { bridge: true, wire: true, ..Receivers::default() };
                let group = self.group(receivers, Some(Output::link(slot)));
                let hit = Arc::clone(&self.direct);
                Ingress { hit, miss: wire, group_from: Box::default(), group }
            }
        }
    }

    /// The verdict for "these, but not the sender".
    fn group(&mut self, receivers: Receivers, sender: Option<Output>) -> Verdict {
        let (start, end) = match self.lists.get(&receivers) {
            Some(&list) => list,
            None => {
                let list = self.list(receivers);
                self.lists.insert(receivers, list);
                list
            }
        };
        let list = self.members.get(start as usize..end as usize).unwrap_or_default();
        // Asked of the rules, not searched in the list: with a search per sender,
        // compiling would be quadratic.
        let listed = |slot| {
            let link = self.rules.links.get(usize::from(slot));
            link.is_some_and(|link| link.up && receivers.wants(link.mode))
        };
        let except = sender.filter(|sender| sender.slot().is_some_and(listed));
        let mut others = list.iter().filter(|&&output| Some(output) != except);
        match (others.next(), others.next()) {
            (None, _) => Verdict::drop(DropReason::NoMember),
            (Some(&only), None) => Verdict::output(only),
            _ => {
                let group = Group { start, end, except };
                let number = match self.groups.last() {
                    // Frames from outside need one group, not one per link.
                    Some(&last) if last == group => self.groups.len() - 1,
                    _ => {
                        self.groups.push(group);
                        self.groups.len() - 1
                    }
                };
                Verdict::group(GroupId::new(u16::try_from(number).unwrap_or(u16::MAX)))
            }
        }
    }

    /// Writes a member list. The wire comes last: its copy may be the one that
    /// a driver wants to itself.
    fn list(&mut self, receivers: Receivers) -> (u32, u32) {
        let start = self.members.len();
        let links = (0..).zip(self.rules.links);
        let links = links.filter(|(_, link)| link.up && receivers.wants(link.mode));
        self.members.extend(links.map(|(slot, _)| Output::link(slot)));
        self.members.extend(receivers.host.then_some(Output::HOST));
        self.members.extend(receivers.wire.then_some(Output::WIRE));
        let number = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        (number(start), number(self.members.len()))
    }
}

fn everything(verdict: Verdict) -> Ingress {
    Ingress { miss: verdict, group: verdict, ..Ingress::default() }
}
