//! Why a frame goes where it goes: the rules that decide, one by one.
//!
//! Owns the sentences about rules. [`explain`] takes one frame through the same
//! state that [`crate::rules`] compiles into tables, rule by rule as the driver
//! asks them, and comes to the same verdict. Called by control when somebody
//! asks, never by a worker: it walks all links and allocates.

use crate::driver::{Driver, HostPort, Index, Link, Lower};
use crate::drop::DropReason;
use crate::fib::Head;
use crate::mac::MacAddr;
use crate::mode::{Flags, Mode};

/// Notes a rule: its id, and a sentence as `format!` takes it.
macro_rules! say {
    ($case:expr, $id:expr, $($sentence:tt)+) => {
        $case.rules.push($crate::explain::Rule { id: $id, text: format!($($sentence)+) })
    };
}

mod group;
mod unicast;
mod words;

use words::names;

/// Where frames of a lower come from and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The lower's wire.
    Wire,
    /// The lower's host port.
    Host,
    /// A link of the lower.
    Link(Index),
}

/// A rule that had a say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The statement about the driver, such as `RXU-02`; for a rule of our own
    /// the key that turns it on, such as `spoof_check`, or the drop's label.
    pub id: &'static str,
    /// What it says about this frame: a sentence without its full stop.
    pub text: String,
}

/// Somebody who gets the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receiver {
    /// Who.
    pub place: Place,
    /// It counts as `multicast` in the link's statistics (ST-03).
    pub multicast: bool,
    /// The copy may wait in the lower's broadcast queue (MCF-09).
    pub queued: bool,
}

/// What becomes of a frame, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The rules that had a say, in the order in which they are asked.
    pub rules: Vec<Rule>,
    /// Who gets it: wire, host, links by age. A link that two rules give it to
    /// is there twice.
    pub receivers: Vec<Receiver>,
    /// Why it is dropped, if nobody gets it.
    pub dropped: Option<DropReason>,
}

/// What would happen to a frame with this head that enters a lower at this
/// place. `None`: there is no such lower, or the link is none of its.
///
/// The verdict is [`crate::fib::Fib::receivers`] of the compiled rules. What
/// depends on more than the head stays out of it: lengths, room in queues and
/// rings, guests that are not connected.
#[must_use]
pub fn explain(driver: &Driver, lower: Index, from: Place, head: Head) -> Option<Explanation> {
    let mut case = Case {
        driver,
        lower: driver.lower(lower)?,
        links: driver.links_of(lower).collect(),
        head,
        dst: MacAddr::from_key(head.dst()),
        src: MacAddr::from_key(head.src()),
        rules: Vec::new(),
        receivers: Vec::new(),
        reason: DropReason::NoMember,
    };
    let sender = match from {
        Place::Link(index) => Some(*case.links.iter().find(|link| link.index == index)?),
        Place::Wire | Place::Host => None,
    };
    match (from, sender) {
        _ if !case.lower.passes() => case.lower_down(),
        (_, Some(link)) => case.link(link),
        (Place::Wire, None) => case.wire(),
        (_, None) => case.host(),
    }
    let Case { rules, mut receivers, reason, .. } = case;
    receivers.sort_unstable();
    let dropped = receivers.is_empty().then_some(reason);
    Some(Explanation { rules, receivers, dropped })
}

/// One frame, and what has been found out about it so far.
struct Case<'a> {
    driver: &'a Driver,
    lower: &'a Lower,
    /// By age.
    links: Vec<&'a Link>,
    head: Head,
    dst: MacAddr,
    src: MacAddr,
    rules: Vec<Rule>,
    receivers: Vec<Receiver>,
    /// Why it is dropped, should nobody get it.
    reason: DropReason,
}

impl<'a> Case<'a> {
    fn give(&mut self, place: Place) {
        self.receivers.push(Receiver { place, multicast: false, queued: false });
    }

    /// Gives the frame to whoever has what the kernel hands to the host's stack,
    /// and says so: the end of a sentence.
    fn give_to_host(&mut self, otherwise: DropReason) -> String {
        if self.lower.spec.host == HostPort::None {
            self.reason = otherwise;
            return format!("that leaves the host, and {} has no host port", self.name());
        }
        self.give(Place::Host);
        "the host gets it".into()
    }

    fn name(&self) -> &'a str {
        &self.lower.spec.name
    }

    /// LC-34: only a link that is up is found by its address.
    fn up_with(&self, mac: MacAddr) -> Option<&'a Link> {
        self.with(mac).find(|link| link.up)
    }

    fn down_with(&self, mac: MacAddr) -> Option<&'a Link> {
        self.with(mac).find(|link| !link.up)
    }

    fn with(&self, mac: MacAddr) -> impl Iterator<Item = &'a Link> {
        let links = self.links.iter().copied();
        links.filter(move |link| link.own_addresses().any(|own| own == mac))
    }

    /// The host is a bridge member. Beside a passthru link it cannot be: that
    /// one has the lower's address.
    fn reachable(&self) -> bool {
        self.lower.spec.host == HostPort::Reachable && !self.lower.is_passthru()
    }

    fn lower_down(&mut self) {
        let (lower, spec) = (self.name(), &self.lower.spec);
        let why = if spec.up { "has no carrier" } else { "is administratively down" };
        self.reason = DropReason::LowerDown;
        say!(self, "TX-17", "{lower} {why}: nothing goes in or out, nor between its links");
    }

    /// A frame from the wire.
    fn wire(&mut self) {
        if self.lower.spec.drop_link_local && self.head.is_link_local() {
            let host = self.give_to_host(DropReason::LinkLocal);
            let (lower, dst) = (self.name(), self.dst);
            return say!(
                self,
                "drop_link_local",
                "{lower} keeps link-local groups such as {dst} off its links: {host}"
            );
        }
        if self.is_private_hairpin() || self.source_lists() {
            return;
        }
        if self.head.is_group() { self.group_from_wire() } else { self.unicast_from_wire() }
    }

    /// A frame from the host.
    fn host(&mut self) {
        if self.reachable() {
            self.say_reachable();
            return self.member(None);
        }
        self.give(Place::Wire);
        let lower = self.name();
        say!(self, "TX-10", "what the host of {lower} sends goes to the wire: links never see it");
    }

    /// A frame from a link.
    fn link(&mut self, link: &Link) {
        let (name, lower, src, dst) = (&link.name, self.name(), self.src, self.dst);
        if !link.up {
            self.reason = DropReason::LinkDown;
            return say!(self, "link_down", "{name} is down: what its guest sends is dropped");
        }
        if link.spoof_check && !link.own_addresses().any(|own| own == src) {
            self.reason = DropReason::Spoofed;
            return say!(self, "spoof_check", "{name} may send from its own addresses, not {src}");
        }
        if self.lower.spec.drop_link_local && self.head.is_link_local() {
            self.reason = DropReason::LinkLocal;
            return say!(
                self,
                "drop_link_local",
                "{lower} takes nothing to link-local groups such as {dst} from its links"
            );
        }
        match link.mode {
            Mode::Bridge => self.member(Some(link)),
            Mode::Private | Mode::Vepa | Mode::Passthru | Mode::Source => self.only_to_wire(link),
        }
    }

    /// What all modes but bridge do with whatever they send.
    fn only_to_wire(&mut self, link: &Link) {
        self.give(Place::Wire);
        let (name, mode) = (&link.name, link.mode);
        let id = if mode == Mode::Passthru && self.head.is_group() { "TX-16" } else { "TX-01" };
        let sibling = self.up_with(self.dst).filter(|other| other.index != link.index);
        let hint = sibling.map(|to| format!("; {} gets it if a switch reflects it", to.name));
        let hint = hint.unwrap_or_default();
        say!(self, id, "{name} is in {mode} mode: all it sends goes to the wire{hint}");
    }

    /// A frame from a member in bridge mode: a link, or else the host.
    fn member(&mut self, sender: Option<&Link>) {
        if self.head.is_group() {
            self.group_from_member(sender);
        } else {
            self.unicast_from_member(sender);
        }
    }

    fn say_reachable(&mut self) {
        let lower = self.name();
        say!(self, "reachable", "the host of {lower} is one more member in bridge mode");
    }

    /// Copies by the sender's address. Whether nobody else may get the frame.
    fn source_lists(&mut self) -> bool {
        let src = self.src;
        let listing = self.links.iter().copied().filter(|link| link.sources.contains(&src));
        let (up, down): (Vec<&Link>, Vec<&Link>) = listing.partition(|link| link.up);
        let nodst = |link: &&Link| link.flags.contains(Flags::NODST);
        let consuming: Vec<&Link> = up.iter().copied().filter(nodst).collect();
        let (losing, idle): (Vec<&Link>, Vec<&Link>) = down.into_iter().partition(nodst);

        for link in &up {
            self.give(Place::Link(link.index));
        }
        if let Some(links) = names(&up) {
            say!(self, "SRC-03", "{src} is in the source list of {links}, up: a copy for each");
        }
        if let Some(links) = names(&idle) {
            say!(self, "SRC-03", "{src} is in the source list of {links}, down: no copy");
        }
        if let Some(links) = names(&losing) {
            say!(
                self,
                "SRC-06",
                "{src} is in the source list of {links}, down, but nodst: no copy, and nobody \
                 else gets the frame"
            );
        }
        if let Some(links) = names(&consuming) {
            say!(self, "SRC-05", "nodst of {links}: nobody else gets the frame");
        }
        let consumed = !losing.is_empty() || !consuming.is_empty();
        if consumed {
            self.reason = DropReason::SourceNodst;
        } else if !up.is_empty() {
            say!(self, "SRC-04", "without nodst, the frame goes on by the other rules besides");
        }
        consumed
    }
}
