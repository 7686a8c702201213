//! Frames to a group: RXM, TX-08, TX-09, the filters and the broadcast queue.

use super::words::{list, names};
use super::{Case, Place, Receiver};
use crate::driver::{Link, RxMode};
use crate::drop::DropReason;
use crate::mac::MacAddr;
use crate::mode::Mode;

/// A row of the matrix: links of which modes get copies, by whose leave.
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

/// Why a row does not want a link.
fn why_not(link: &Link) -> &'static str {
    match link.mode {
        Mode::Source => "source: by its list only",
        Mode::Bridge => "bridge: had its copy when it was sent",
        mode => mode.name(),
    }
}

impl<'a> Case<'a> {
    pub(super) fn group_from_wire(&mut self) {
        let (lower, dst, src) = (self.name(), self.dst, self.src);
        let sender = self.up_with(src);
        let back = sender.and_then(|link| match link.mode {
            Mode::Private => Some("RXM-04"),
            Mode::Passthru => Some("RXM-05"),
            Mode::Source => Some("RXM-06"),
            Mode::Vepa | Mode::Bridge => None,
        });
        if let (Some(id), Some(link)) = (back, sender) {
            self.give(Place::Link(link.index));
            let text = format!(
                "{} has {src} and is in {} mode: reflected, its frame comes back to it alone, unfiltered",
                link.name, link.mode
            );
            return self.rule(id, text);
        }
        if self.head.is_pause() {
            let host = self.give_to_host(DropReason::NoMember);
            return self
                .rule("RXM-14", format!("PAUSE frames are not replicated to links: {host}"));
        }
        let from_host = self.reachable() && src == self.lower.spec.address;
        let rx = self.driver.rx_mode(self.lower.index).unwrap_or_default();
        if !port_hears(&rx, dst) {
            self.unheard(from_host);
            return;
        }
        let row = match sender {
            _ if from_host => {
                self.rule("reachable", format!("{src} is the address of the host of {lower}, which is reachable: it counts as a link in bridge mode"));
                self.rule("RXM-03", "reflected, its frame is for links in vepa mode");
                FROM_BRIDGE
            }
            Some(link) if link.mode == Mode::Vepa => {
                self.rule("RXM-02", format!("{} has {src} and is in vepa mode: reflected, its frame is for links in vepa and bridge mode", link.name));
                FROM_VEPA
            }
            Some(link) => {
                self.rule("RXM-03", format!("{} has {src} and is in bridge mode: reflected, its frame is for links in vepa mode", link.name));
                FROM_BRIDGE
            }
            None => {
                self.say_down(src, "counts as nobody");
                self.rule(
                    "RXM-01",
                    format!("no link that is up has {src}: a frame from outside is for all links"),
                );
                OUTSIDE
            }
        };
        let copies = self.replicate(&row, sender);
        self.queue(&rx, copies);
        self.host_besides(from_host);
    }

    /// RXM-11: the lower's own filter has nothing for any link.
    fn unheard(&mut self, from_host: bool) {
        let (lower, dst) = (self.name(), self.dst);
        if let Some(link) = self.links.iter().find(|link| link.up && link.promisc) {
            let text = format!(
                "{} is promiscuous, but with nopromisc that does not open {lower}",
                link.name
            );
            self.rule("UCF-05", text);
        }
        self.rule("RXM-11", format!("no link of {lower} that is up hears {dst}: none gets a copy"));
        self.host_besides(from_host);
    }

    fn host_besides(&mut self, from_host: bool) {
        if from_host {
            return self.rule("RXM-03", "the host sent it: it does not get it back");
        }
        let host = self.give_to_host(DropReason::NoMember);
        self.rule("RXM-10", format!("groups are for the host besides: {host}"));
    }

    /// From a bridge link, or else from the host as one.
    pub(super) fn group_from_member(&mut self, sender: Option<&Link>) {
        let name = sender.map_or("the host", |link| &link.name);
        self.give(Place::Wire);
        if self.head.is_pause() {
            return self
                .rule("TX-09", format!("PAUSE frames go to the wire only, also those of {name}"));
        }
        self.rule("TX-08", format!("what {name} sends to a group goes to the wire, and to siblings in bridge mode directly"));
        self.replicate(&SENT, sender);
        if sender.is_some() && self.reachable() {
            self.give(Place::Host);
            self.rule("reachable", format!("the host of {} is reachable, as if it were a link in bridge mode: it gets a copy", self.name()));
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
                not_wanted.push(format!("{} ({})", link.name, why_not(link)));
            } else if link.hears_all() || dst == MacAddr::BROADCAST {
                all.push(link);
            } else if link.groups.contains(&dst) {
                joined.push(link);
            } else {
                deaf.push(link);
            }
        }
        if let Some(links) = list(not_wanted.into_iter()) {
            self.rule(row.id, format!("left out: {links}"));
        }
        if let Some(links) = names(&down) {
            self.rule("LC-34", format!("left out, being down: {links}"));
        }
        if let Some(links) = names(&all) {
            if dst == MacAddr::BROADCAST {
                self.rule("MCF-04", format!("every link hears broadcasts: {links}"));
            } else {
                self.rule(
                    "MCF-05",
                    format!("hearing all groups, by allmulticast or promisc: {links}"),
                );
            }
        }
        if let Some(links) = names(&joined) {
            self.rule("MCF-01", format!("having joined {dst}: {links}"));
        }
        if let Some(links) = names(&deaf) {
            self.rule("MCF-01", format!("left out, not having joined {dst}: {links}"));
        }
        let copies = all.iter().chain(&joined);
        let copy = |link: &&Link| Receiver {
            place: Place::Link(link.index),
            multicast: true,
            queued: false,
        };
        self.receivers.extend(copies.clone().map(copy));
        copies.count()
    }

    /// Whether the copies for links, if there are any, may wait.
    fn queue(&mut self, rx: &RxMode, copies: usize) {
        let (lower, dst, limit) = (self.name(), self.dst, self.lower.bc_cutoff());
        if copies == 0 {
            return;
        }
        let members =
            self.links.iter().filter(|link| link.up && link.groups.contains(&dst)).count();
        let few = i32::try_from(members).is_ok_and(|members| members <= limit);
        if limit < 0 {
            return self.rule(
                "MCF-09",
                format!("bclim {limit}: nothing waits in the broadcast queue of {lower}"),
            );
        }
        if dst == MacAddr::BROADCAST {
            self.rule("MCF-09", "broadcasts may wait in the broadcast queue");
        } else if rx.allmulti || rx.promiscuous {
            self.rule(
                "MCF-07",
                format!("{lower} hears all groups: all of them may wait in the broadcast queue"),
            );
        } else if few {
            return self.rule("MCF-09", format!("joined by {members}, within bclim {limit}: no copy waits in the broadcast queue"));
        } else {
            self.rule("MCF-09", format!("joined by {members}, above bclim {limit}: copies may wait in the broadcast queue"));
        }
        for receiver in self.receivers.iter_mut().filter(|receiver| receiver.multicast) {
            receiver.queued = true;
        }
        let text = match self.driver.bc_queue_len_used(self.lower.index) {
            0 => "bcqueuelen is 0 for all links: the queue holds nothing, and the copies are dropped as bc_queue_full".into(),
            length => format!("the links of {lower} ask for a broadcast queue of {length} frames"),
        };
        self.rule("BCQ-01", text);
    }
}

/// What the lower lets through to some link (MCF-02, MCF-07).
fn port_hears(rx: &RxMode, group: MacAddr) -> bool {
    rx.allmulti || rx.promiscuous || group == MacAddr::BROADCAST || rx.groups.contains(&group)
}
