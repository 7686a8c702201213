//! The driver's rules, compiled into tables.
//!
//! Owns what modes, flags, filters, admin states and addresses *mean*:
//! [`compile`] turns the links of one lower into a [`Fib`] in which no mode is
//! left. Pure; called by control for every publication.
//!
//! Each place frames come from (the wire, the host, each link) gets a verdict
//! for every unicast destination by the table's value for it, and for every
//! group destination by the table's value for the frame's *source*, which is
//! how the driver tells frames that an external switch reflected.

use std::collections::{BTreeSet, HashMap};

use crate::driver::{Driver, HostPort, Index, Link, Lower};
use crate::drop::DropReason;
use crate::fib::{
    Choice, DuplicateMac, Fib, Group, GroupId, Ingress, List, MacTable, Output, SourceCheck,
    SourceScope, SourceSet, Verdict,
};
use crate::mac::MacAddr;
use crate::mode::{Flags, Mode};

/// Why links cannot be compiled. The driver's operations do not let it come to this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// There is no such lower.
    #[error("there is no lower {0:?}")]
    NoLower(Index),
    /// Two that are up have the same address (ER-22).
    #[error("two links that are up have the address {mac}")]
    Clash {
        /// The address.
        mac: MacAddr,
    },
}

impl From<DuplicateMac> for CompileError {
    fn from(duplicate: DuplicateMac) -> Self {
        Self::Clash { mac: duplicate.mac }
    }
}

const WIRE: Verdict = Verdict::output(Output::WIRE);

/// Compiles the rules of one lower.
///
/// # Errors
/// See [`CompileError`].
pub fn compile(driver: &Driver, lower: Index) -> Result<Fib, CompileError> {
    let links: Vec<&Link> = driver.links_of(lower).collect();
    let lower = driver.lower(lower).ok_or(CompileError::NoLower(lower))?;
    if !lower.passes() {
        // TX-17: nothing goes in or out, and links, which have lost their
        // carrier with it, do not reach each other either.
        let nothing = || everything(Verdict::drop(DropReason::LowerDown));
        let ingresses = (0..links.len() + 2).map(|_| nothing()).collect();
        return Ok(Fib { ingresses, ..Fib::default() });
    }
    let passthru = lower.is_passthru();
    let reachable = lower.spec.host == HostPort::Reachable && !passthru;
    let hosts_address = reachable.then_some((lower.spec.address, Output::HOST.value()));
    // Only links that are up have an entry (LC-34).
    let own = slots(&links).filter(|(_, link)| link.up).flat_map(|(output, link)| {
        link.own_addresses().map(move |address| (address, output.value()))
    });
    let table = MacTable::build(own.chain(hosts_address))?;

    // A group needs a list of its own where not every link hears it.
    let joined = by_address(slots(&links).filter(|(_, link)| link.up), |link| &link.groups);
    let choosy = |link: &Link| link.up && !link.hears_all();
    let is_listed = |members: &&[Listed]| {
        let mut links = members.iter().filter_map(|&(_, output)| at(&links, output));
        members.first().is_some_and(|&(group, _)| group != MacAddr::BROADCAST) && links.any(choosy)
    };
    let listed: Vec<&[Listed]> = joined.chunk_by(same_address).filter(is_listed).collect();
    let filtered = links.iter().any(|link| choosy(link));
    let numbers = listed.iter().filter_map(|members| members.first()).zip(0_u16..);
    let listed_table = MacTable::build(numbers.map(|(&(group, _), number)| (group, number)))?;

    let compiler = Compiler {
        lower,
        links: &links,
        host: lower.spec.host != HostPort::None,
        reachable,
        filtered,
        hears_all: links.iter().any(|link| link.up && link.opens_groups()),
        listed: &listed,
        fib: Fib { table, listed: listed_table, filtered, ..Fib::default() },
        choices: vec![Box::default()],
        groups: Vec::with_capacity(2 * links.len()),
        lists: Vec::new(),
        members: Vec::new(),
        rows: Vec::new(),
    };
    compiler.run()
}

/// Who is to receive a group frame, apart from the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Receivers {
    private: bool,
    vepa: bool,
    bridge: bool,
    passthru: bool,
    host: bool,
    wire: bool,
    /// Copies for links may wait in the broadcast queue: frames from the wire.
    queued: bool,
}

impl Receivers {
    const fn wants(self, mode: Mode) -> bool {
        match mode {
            Mode::Private => self.private,
            Mode::Vepa => self.vepa,
            Mode::Bridge => self.bridge,
            Mode::Passthru => self.passthru,
            // Only by their lists (RXM-01 to RXM-06).
            Mode::Source => false,
        }
    }
}

struct Compiler<'a> {
    lower: &'a Lower,
    /// By slot.
    links: &'a [&'a Link],
    host: bool,
    reachable: bool,
    filtered: bool,
    /// The lower itself hears all groups (MCF-07).
    hears_all: bool,
    /// Groups with lists of their own, by their number: who has joined them.
    listed: &'a [&'a [Listed]],
    fib: Fib,
    /// By [`Choice`]; the first is none.
    choices: Vec<Box<[Verdict]>>,
    groups: Vec<Group>,
    lists: Vec<List>,
    members: Vec<Output>,
    /// Rows of lists made so far, a handful: senders share them.
    rows: Vec<(Receivers, u32)>,
}

impl Compiler<'_> {
    fn run(mut self) -> Result<Fib, CompileError> {
        // TX-02 and TX-05: to bridge links directly. TX-03, TX-04, TX-06, TX-07:
        // everything else to the wire.
        let direct = slots(self.links).map(|(output, to)| {
            let direct = to.up && to.mode == Mode::Bridge;
            if direct { Verdict::output(output) } else { WIRE }
        });
        let host = if self.reachable { Verdict::output(Output::HOST) } else { WIRE };
        let direct = [WIRE, host].into_iter().chain(direct).collect();
        let direct = self.choice(direct);

        let mut ingresses = Vec::with_capacity(self.links.len() + 2);
        ingresses.extend([self.wire(), self.host(direct)]);
        for (output, link) in slots(self.links) {
            ingresses.push(self.link(output, link, direct));
        }
        let sources = self.sources()?;
        let private = slots(self.links).map(|(_, link)| link.mode == Mode::Private);
        self.fib.private = [false, false].into_iter().chain(private).collect();
        Ok(Fib {
            ingresses: ingresses.into(),
            source_sets: sources,
            choices: self.choices.into(),
            groups: self.groups.into(),
            lists: self.lists.into(),
            members: self.members.into(),
            ..self.fib
        })
    }

    /// Notes verdicts by table value.
    fn choice(&mut self, verdicts: Box<[Verdict]>) -> Choice {
        self.choices.push(verdicts);
        // A handful: shared by those who have the same.
        u8::try_from(self.choices.len() - 1).map_or(Choice::NONE, Choice)
    }

    /// What the kernel hands to the host's stack.
    fn to_host(&self, otherwise: DropReason) -> Verdict {
        if self.host { Verdict::output(Output::HOST) } else { Verdict::drop(otherwise) }
    }

    /// Frames from the wire.
    fn wire(&mut self) -> Ingress {
        let links = self.links;
        let to_host = self.to_host(DropReason::UnknownUnicast);
        let host = self.host;
        let spec = &self.lower.spec;
        let (strict, link_local) = (spec.private_strict, spec.drop_link_local);
        // RXU-02: the link that has the address, whatever its mode, but for
        // source links (RXU-03). RXU-04: else the host.
        let hit = slots(links).map(|(output, link)| match link.mode {
            Mode::Source => to_host,
            _ if link.up => Verdict::output(output),
            _ => to_host,
        });
        let passthru = slots(links).next().filter(|_| self.lower.is_passthru());
        let (hit, miss) = match passthru {
            None => {
                let hit = [to_host, to_host].into_iter().chain(hit).collect();
                (self.choice(hit), to_host)
            }
            // RXU-05: all unicast, and if the link is down nobody has it.
            Some((output, link)) if link.up => (Choice::NONE, Verdict::output(output)),
            Some(_) => (Choice::NONE, Verdict::drop(DropReason::LinkDown)),
        };
        // RXM-01: from outside, all links that are up, and the host (RXM-10).
        let everyone = Receivers {
            private: true,
            vepa: true,
            bridge: true,
            passthru: true,
            host,
            wire: false,
            queued: true,
        };
        let group = self.group(everyone, None);
        // RXM-03: bridge siblings had their copies when it was sent.
        let late = Receivers { private: false, bridge: false, passthru: false, ..everyone };
        let from_links = slots(links).map(|(sender, link)| match link.mode {
            // A link that is down is nobody: it has no entry.
            _ if !link.up => group,
            // RXM-02: reflected for a vepa link: its siblings have not had it.
            Mode::Vepa => {
                self.group(Receivers { private: false, passthru: false, ..everyone }, Some(sender))
            }
            Mode::Bridge => self.group(late, Some(sender)),
            // RXM-04 to RXM-06: back to the sender alone.
            Mode::Private | Mode::Passthru | Mode::Source => Verdict::output(sender),
        });
        let from_links: Vec<Verdict> = from_links.collect();
        // A host that is a member is a bridge sender: it does not get it back.
        let from_host = if self.reachable {
            self.group(Receivers { host: false, ..late }, None)
        } else {
            group
        };
        let group_from = [group, from_host].into_iter().chain(from_links).collect();
        let group_from = self.choice(group_from);
        Ingress {
            hit,
            miss,
            group_from,
            group,
            pause: self.to_host(DropReason::NoMember),
            link_local: link_local.then(|| self.to_host(DropReason::LinkLocal)),
            sources: SourceScope::All,
            check: if strict { SourceCheck::NotPrivate } else { SourceCheck::None },
        }
    }

    /// TX-10: what the host sends goes to the wire; links never see it. Unless
    /// it is a member: then it sends as a bridge link does.
    fn host(&mut self, direct: Choice) -> Ingress {
        if self.reachable { self.bridge(Output::HOST, direct) } else { everything(WIRE) }
    }

    /// Frames from a link.
    fn link(&mut self, output: Output, link: &Link, direct: Choice) -> Ingress {
        let mut ingress = match link.mode {
            _ if !link.up => return everything(Verdict::drop(DropReason::LinkDown)),
            // TX-01, TX-16.
            Mode::Private | Mode::Vepa | Mode::Passthru | Mode::Source => everything(WIRE),
            Mode::Bridge => self.bridge(output, direct),
        };
        if self.lower.spec.drop_link_local {
            ingress.link_local = Some(Verdict::drop(DropReason::LinkLocal));
        }
        if link.spoof_check {
            ingress.check = SourceCheck::Own(output);
        }
        ingress
    }

    /// Frames from a member in bridge mode.
    fn bridge(&mut self, output: Output, direct: Choice) -> Ingress {
        // TX-08.
        let receivers =
            Receivers { bridge: true, host: self.reachable, wire: true, ..Receivers::default() };
        Ingress {
            hit: direct,
            miss: WIRE,
            group: self.group(receivers, Some(output)),
            // TX-09.
            pause: WIRE,
            sources: SourceScope::Direct,
            ..Ingress::default()
        }
    }

    /// The verdict for "these, but not the sender".
    fn group(&mut self, receivers: Receivers, except: Option<Output>) -> Verdict {
        let row = match self.rows.iter().find(|(of, _)| *of == receivers) {
            Some(&(_, row)) => row,
            None => {
                let row = self.row(receivers);
                self.rows.push((receivers, row));
                row
            }
        };
        let group = Group { row, except };
        // Frames from outside need one group, not one per link.
        if self.groups.last() != Some(&group) {
            self.groups.push(group);
        }
        let number = u16::try_from(self.groups.len() - 1).unwrap_or(u16::MAX);
        Verdict::group(GroupId::new(number))
    }

    /// A row of lists: for groups without a list of their own, for broadcast,
    /// and for each group that some link has joined. One serves for all where
    /// all links hear all.
    fn row(&mut self, receivers: Receivers) -> u32 {
        let row = number(self.lists.len());
        let links = self.links;
        let wanted = |link: &Link| link.up && receivers.wants(link.mode);
        let all = || slots(links).filter(|(_, link)| wanted(link));
        if !self.filtered {
            self.list(receivers, true, all().map(|(output, _)| output));
            return row;
        }
        let hear_all: Vec<Output> =
            all().filter(|(_, link)| link.hears_all()).map(|(output, _)| output).collect();
        self.list(receivers, self.hears_all, hear_all.iter().copied());
        self.list(receivers, true, all().map(|(output, _)| output));
        let mut hear = Vec::new();
        for &joined in self.listed {
            // MCF-09.
            let members = i32::try_from(joined.len()).unwrap_or(i32::MAX);
            let many = self.hears_all || members > self.lower.bc_cutoff();
            let further = joined.iter().map(|&(_, output)| output).filter(|&output| {
                at(links, output).is_some_and(|link| wanted(link) && !link.hears_all())
            });
            hear.clear();
            hear.extend_from_slice(&hear_all);
            hear.extend(further);
            // Two ascending runs: as good as merged.
            hear.sort();
            self.list(receivers, many, hear.iter().copied());
        }
        row
    }

    /// Writes a list. The wire comes last: its copy may be the one that a driver
    /// wants to itself.
    fn list(&mut self, receivers: Receivers, many: bool, links: impl Iterator<Item = Output>) {
        let start = number(self.members.len());
        self.members.extend(links);
        // RXM-11: nothing waits where no link is interested.
        let interested = self.members.len() > start as usize;
        self.members.extend(receivers.host.then_some(Output::HOST));
        self.members.extend(receivers.wire.then_some(Output::WIRE));
        let queued = receivers.queued && many && interested && self.lower.bc_cutoff() >= 0;
        self.lists.push(List { start, end: number(self.members.len()), queued });
    }

    /// SRC-01, SRC-05, SRC-06: who gets copies by source address, and whether
    /// anybody else does.
    fn sources(&mut self) -> Result<Box<[SourceSet]>, CompileError> {
        let listing = by_address(slots(self.links), |link| &link.sources);
        // Few sets, many addresses: a set is written once.
        let mut numbers: HashMap<Vec<Output>, u16> = HashMap::new();
        let mut sets = Vec::new();
        let mut entries = Vec::new();
        let mut set = Vec::new();
        for listing in listing.chunk_by(same_address) {
            let Some(&(source, _)) = listing.first() else { continue };
            set.clear();
            set.extend(listing.iter().map(|&(_, output)| output));
            let number_of = numbers.get(&set).copied().unwrap_or_else(|| {
                let next = u16::try_from(sets.len()).unwrap_or(u16::MAX);
                sets.push(self.source_set(&set));
                numbers.insert(set.clone(), next);
                next
            });
            entries.push((source, number_of));
        }
        self.fib.sources = MacTable::build(entries)?;
        Ok(sets.into())
    }

    fn source_set(&mut self, set: &[Output]) -> SourceSet {
        let links = self.links;
        let listing = || set.iter().filter_map(|&output| Some((output, at(links, output)?)));
        let start = number(self.members.len());
        let up = listing().filter(|(_, link)| link.up);
        self.members.extend(up.map(|(output, _)| output));
        let consume = listing().any(|(_, link)| link.flags.contains(Flags::NODST));
        SourceSet { start, end: number(self.members.len()), consume }
    }
}

/// An address, and a link that has joined it or lists it.
type Listed = (MacAddr, Output);

/// The addresses in a set of each link, ascending, and of each address the links
/// in the order of their slots.
fn by_address<'a>(
    links: impl Iterator<Item = (Output, &'a Link)>,
    set: impl Fn(&'a Link) -> &'a BTreeSet<MacAddr>,
) -> Vec<Listed> {
    let of_link = |(output, link)| set(link).iter().map(move |&address| (address, output));
    let mut all: Vec<Listed> = links.flat_map(of_link).collect();
    all.sort_unstable();
    all
}

fn same_address(a: &Listed, b: &Listed) -> bool {
    a.0 == b.0
}

/// The link that an output is.
fn at<'a>(links: &[&'a Link], output: Output) -> Option<&'a Link> {
    links.get(usize::from(output.slot()?)).copied()
}

/// Links with the outputs they are.
fn slots<'a>(links: &'a [&'a Link]) -> impl Iterator<Item = (Output, &'a Link)> {
    (0..).zip(links).map(|(slot, &link)| (Output::link(slot), link))
}

fn everything(verdict: Verdict) -> Ingress {
    Ingress { miss: verdict, group: verdict, pause: verdict, ..Ingress::default() }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
