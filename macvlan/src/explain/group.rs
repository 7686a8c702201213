//! Frames to a group: RXM, TX-08, TX-09, the filters and the broadcast queue.

use super::words::{list, names};
use super::{Case, Place, Receiver};
use crate::driver::{Link, RxMode};
use crate::drop::DropReason;
use crate::mac::MacAddr;
use crate::mode::Mode;

/// A row of the matrix: links in which modes get copies.
struct Row {
    id: &'static str,
    modes: &'static [Mode],
}

/// Frames from outside.
const OUTSIDE: Row =
    Row { id: "RXM-01", modes: &[Mode::Private, Mode::Vepa, Mode::Bridge, Mode::Passthru] };
/// Reflected for a vepa link.
const FROM_VEPA: Row = Row { id: "RXM-02", modes: &[Mode::Vepa, Mode::Bridge] };
/// Reflected for a bridge link.
const FROM_BRIDGE: Row = Row { id: "RXM-03", modes: &[Mode::Vepa] };
/// Sent by a bridge link.
const SENT: Row = Row { id: "TX-08", modes: &[Mode::Bridge] };

impl Row {
    /// Why it does not want a link in this mode.
    fn why_not(&self, mode: Mode) -> &'static str {
        match mode {
            Mode::Source if self.id != SENT.id => "source: by its list only",
            Mode::Bridge => "bridge: had its copy when it was sent",
            Mode::Private | Mode::Vepa | Mode::Passthru | Mode::Source => mode.name(),
        }
    }
}

impl Case<'_> {
    pub(super) fn group_from_wire(&mut self) {
        let (dst, src) = (self.dst, self.src);
        let sender = self.up_with(src);
        if let Some(link) = sender
            && let Some(id) = back_to_sender(link.mode)
        {
            self.give(Place::Link(link.index));
            let (name, mode) = (&link.name, link.mode);
            return say!(
                self,
                id,
                "{name} has {src} and is in {mode} mode: its frame, reflected by a switch, comes \
                 back to it alone, unfiltered"
            );
        }
        if self.head.is_pause() {
            let host = self.give_to_host(DropReason::NoMember);
            return say!(self, "RXM-14", "PAUSE frames are not replicated to links: {host}");
        }
        let rx = self.driver.rx_mode(self.lower.index).unwrap_or_default();
        let from_host = self.reachable() && src == self.lower.spec.address;
        if port_hears(&rx, dst) {
            let row = self.row(sender, from_host);
            let copies = self.replicate(&row, sender);
            self.queue(&rx, copies);
        } else {
            self.unheard();
        }
        if from_host {
            return say!(self, "RXM-03", "the host sent it: it does not get it back");
        }
        let host = self.give_to_host(DropReason::NoMember);
        say!(self, "RXM-10", "groups are for the host besides: {host}");
    }

    /// The row of the matrix, by who sent the frame.
    fn row(&mut self, sender: Option<&Link>, from_host: bool) -> Row {
        let (lower, src) = (self.name(), self.src);
        if from_host {
            self.say_reachable();
            say!(
                self,
                "RXM-03",
                "{src} is the address of the host: its frame, reflected by a switch, is for links \
                 in vepa mode"
            );
            return FROM_BRIDGE;
        }
        let Some(Link { name, mode, .. }) = sender else {
            self.say_down(src, "counts as nobody");
            say!(self, "RXM-01", "no link of {lower} that is up has {src}: for all links");
            return OUTSIDE;
        };
        let (row, modes) = match mode {
            Mode::Vepa => (FROM_VEPA, "vepa and bridge"),
            _ => (FROM_BRIDGE, "vepa"),
        };
        say!(
            self,
            row.id,
            "{name} has {src} and is in {mode} mode: its frame, reflected by a switch, is for \
             links in {modes} mode"
        );
        row
    }

    /// RXM-11: the lower's own filter has nothing for any link.
    fn unheard(&mut self) {
        let (lower, dst) = (self.name(), self.dst);
        if let Some(link) = self.links.iter().find(|link| link.up && link.promisc) {
            let name = &link.name;
            say!(
                self,
                "UCF-05",
                "{name} is promiscuous, but with nopromisc it does not make {lower} so"
            );
        }
        say!(self, "RXM-11", "no link of {lower} that is up hears {dst}: no copies");
    }

    /// From a bridge link, or else from the host as one.
    pub(super) fn group_from_member(&mut self, sender: Option<&Link>) {
        self.give(Place::Wire);
        if self.head.is_pause() {
            return say!(self, "TX-09", "PAUSE frames go to the wire only");
        }
        let name = sender.map_or("the host", |link| &link.name);
        let reached = sender.is_some() && self.reachable();
        let hint = if sender.is_none() || reached { "" } else { ", not to the host" };
        say!(
            self,
            "TX-08",
            "what {name} sends to a group goes to the wire and directly to members in bridge \
             mode{hint}"
        );
        self.replicate(&SENT, sender);
        if reached {
            self.give(Place::Host);
            self.say_reachable();
        }
    }

    /// Copies for the links that a row wants and whose filters let it pass.
    /// Returns how many.
    fn replicate(&mut self, row: &Row, sender: Option<&Link>) -> usize {
        let dst = self.dst;
        let (mut not_wanted, mut down) = (vec![], vec![]);
        let (mut all, mut joined, mut deaf) = (vec![], vec![], vec![]);
        for &link in &self.links {
            if !link.up {
                down.push(link);
            } else if sender.is_some_and(|sender| sender.index == link.index) {
                not_wanted.push(format!("{} (the sender)", link.name));
            } else if !row.modes.contains(&link.mode) {
                not_wanted.push(format!("{} ({})", link.name, row.why_not(link.mode)));
            } else if link.hears_all() || dst == MacAddr::BROADCAST {
                all.push(link);
            } else if link.groups.contains(&dst) {
                joined.push(link);
            } else {
                deaf.push(link);
            }
        }
        if let Some(links) = list(not_wanted.into_iter()) {
            say!(self, row.id, "left out: {links}");
        }
        if let Some(links) = names(&down) {
            say!(self, "LC-34", "left out, being down: {links}");
        }
        if let Some(links) = names(&all) {
            if dst == MacAddr::BROADCAST {
                say!(self, "MCF-04", "broadcasts are heard by every link: {links}");
            } else {
                say!(self, "MCF-05", "hearing all groups, by allmulticast or promisc: {links}");
            }
        }
        if let Some(links) = names(&joined) {
            say!(self, "MCF-01", "having joined {dst}: {links}");
        }
        if let Some(links) = names(&deaf) {
            say!(self, "MCF-01", "left out, not having joined {dst}: {links}");
        }
        let copies = all.iter().chain(&joined).map(|link| Receiver {
            place: Place::Link(link.index),
            multicast: true,
            queued: false,
        });
        self.receivers.extend(copies);
        all.len() + joined.len()
    }

    /// Whether the copies for links, if there are any, may wait.
    fn queue(&mut self, rx: &RxMode, copies: usize) {
        if copies == 0 {
            return;
        }
        let (lower, dst, limit) = (self.name(), self.dst, self.lower.bc_cutoff());
        let joined = self.links.iter().filter(|link| link.up && link.groups.contains(&dst));
        let joined = joined.count();
        let few = i32::try_from(joined).is_ok_and(|joined| joined <= limit);
        if limit < 0 {
            return say!(self, "MCF-09", "bclim of {lower} is {limit}: no copy may wait");
        }
        if dst == MacAddr::BROADCAST {
            say!(self, "MCF-09", "copies of broadcasts may wait in the queue");
        } else if hears_all(rx) {
            say!(self, "MCF-07", "{lower} hears all groups: copies of all may wait in the queue");
        } else if few {
            return say!(self, "MCF-09", "{joined} joined, bclim is {limit}: no copy may wait");
        } else {
            say!(self, "MCF-09", "{joined} joined, bclim is {limit}: copies may wait in the queue");
        }
        for receiver in self.receivers.iter_mut().filter(|receiver| receiver.multicast) {
            receiver.queued = true;
        }
        match self.driver.bc_queue_len_used(self.lower.index) {
            0 => say!(
                self,
                "BCQ-01",
                "bcqueuelen is 0: the queue of {lower} holds nothing, and copies for links are \
                 dropped as bc_queue_full"
            ),
            length => say!(self, "BCQ-01", "{lower} is asked for a queue of {length} frames"),
        }
    }
}

/// The row of a sender that alone gets its frame back.
fn back_to_sender(mode: Mode) -> Option<&'static str> {
    match mode {
        Mode::Private => Some("RXM-04"),
        Mode::Passthru => Some("RXM-05"),
        Mode::Source => Some("RXM-06"),
        Mode::Vepa | Mode::Bridge => None,
    }
}

/// What the lower lets through to some link (MCF-02).
fn port_hears(rx: &RxMode, group: MacAddr) -> bool {
    hears_all(rx) || group == MacAddr::BROADCAST || rx.groups.contains(&group)
}

/// MCF-07.
fn hears_all(rx: &RxMode) -> bool {
    rx.allmulti || rx.promiscuous
}
