//! The naive model's frames: who receives what, one `if` per statement.

use super::state::{Filters, Host, Link, Lower, Mac, Mode, Model};

/// Where a frame comes from or goes to. Links by their age on the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Wire,
    Host,
    Link(usize),
}

/// A frame for somebody, and whether it counts as `multicast` (ST-03).
pub(crate) type Copy = (Place, bool);

/// The first 14 bytes of a frame.
pub(crate) type Frame = [u8; 14];

/// One lower and its links.
pub(crate) struct View<'a> {
    pub(crate) lower: &'a Lower,
    pub(crate) links: Vec<&'a Link>,
    /// What the lower's filters let through: the port filter (MCF-02).
    filters: Filters,
}

impl Model {
    pub(crate) fn view(&self, lower: &str) -> View<'_> {
        View {
            lower: self.lower(lower).unwrap(),
            links: self.links_of(lower),
            filters: self.filters(lower),
        }
    }
}

impl View<'_> {
    /// Everybody who receives a frame, in any order, somebody twice if need be.
    pub(crate) fn receivers(&self, from: Place, frame: &Frame) -> Vec<Copy> {
        // TX-17; without carrier no link has carrier (NT-01).
        if !self.lower.up || !self.lower.carrier {
            return vec![];
        }
        match from {
            Place::Wire => self.sent_by_wire(frame),
            Place::Host => self.sent_by_host(frame),
            Place::Link(number) => self.sent_by_link(number, frame),
        }
    }

    fn sent_by_wire(&self, frame: &Frame) -> Vec<Copy> {
        let (dst, src) = (dst(frame), src(frame));
        // An extension: drop_link_local.
        if self.lower.drop_link_local && is_link_local(dst) {
            return self.host();
        }
        // An extension: private_strict (RXU-06).
        if self.lower.private_strict
            && let (Some(a), Some(b)) = (self.up_with(src), self.up_with(dst))
            && a != b
            && (self.links[a].mode == Mode::Private || self.links[b].mode == Mode::Private)
        {
            return vec![];
        }
        // RXU-01, SRC-02, SRC-05.
        let (mut copies, consumed) = self.source_lists(src);
        if consumed {
            return copies;
        }
        copies.extend(if is_group(dst) {
            self.group_sent_by_wire(frame)
        } else {
            self.unicast_sent_by_wire(dst)
        });
        copies
    }

    fn unicast_sent_by_wire(&self, dst: Mac) -> Vec<Copy> {
        // RXU-05.
        if self.is_passthru() {
            return if self.links[0].up { vec![(Place::Link(0), false)] } else { vec![] };
        }
        match self.up_with(dst) {
            // RXU-02.
            Some(number) if self.links[number].mode != Mode::Source => {
                vec![(Place::Link(number), false)]
            }
            // RXU-03, RXU-04.
            _ => self.host(),
        }
    }

    fn group_sent_by_wire(&self, frame: &Frame) -> Vec<Copy> {
        let sender = self.up_with(src(frame));
        let mode = sender.map(|number| self.links[number].mode);
        // RXM-04, RXM-05, RXM-06, RXM-17.
        if let (Some(number), Some(Mode::Private | Mode::Passthru | Mode::Source)) = (sender, mode)
        {
            return vec![(Place::Link(number), false)];
        }
        // RXM-14.
        if is_pause(frame) {
            return self.host();
        }
        let from_host = self.reachable() && src(frame) == self.lower.address;
        let mut copies = vec![];
        for (number, link) in self.links.iter().enumerate() {
            let row = match (mode, link.mode) {
                (_, Mode::Source) => false,
                // RXM-02.
                (Some(Mode::Vepa), _) => {
                    Some(number) != sender && matches!(link.mode, Mode::Vepa | Mode::Bridge)
                }
                // RXM-03.
                (Some(_), _) => link.mode == Mode::Vepa,
                (None, _) if from_host => link.mode == Mode::Vepa,
                // RXM-01.
                (None, _) => true,
            };
            // RXM-11: both stages.
            if link.up && row && self.port_hears(dst(frame)) && hears(link, dst(frame)) {
                copies.push((Place::Link(number), true));
            }
        }
        // RXM-10.
        if !from_host {
            copies.extend(self.host());
        }
        copies
    }

    /// Whether the copies that links get of a group frame from the wire may wait
    /// in the broadcast queue (RXM-12, MCF-07, MCF-09).
    pub(crate) fn queued(&self, dst: Mac) -> bool {
        let joined = self.links.iter().filter(|link| link.up && link.groups.contains(&dst));
        let many = joined.count() as i64 > i64::from(self.lower.bclim);
        let hears_all = self.filters.allmulti || self.filters.promiscuous;
        self.lower.bclim >= 0 && (hears_all || dst == [0xff; 6] || many)
    }

    fn port_hears(&self, group: Mac) -> bool {
        let filters = &self.filters;
        let all = filters.allmulti || filters.promiscuous;
        all || group == [0xff; 6] || filters.groups.contains(&group)
    }

    fn sent_by_host(&self, frame: &Frame) -> Vec<Copy> {
        // TX-10, or the extension that makes it a bridge member.
        if self.reachable() { self.sent_by_member(Place::Host, frame) } else { wire() }
    }

    fn sent_by_link(&self, number: usize, frame: &Frame) -> Vec<Copy> {
        let link = self.links[number];
        if !link.up {
            return vec![];
        }
        // Extensions.
        if link.spoof_check && !link.has_address(src(frame)) {
            return vec![];
        }
        if self.lower.drop_link_local && is_link_local(dst(frame)) {
            return vec![];
        }
        // TX-01, TX-16, SRC-13.
        if link.mode != Mode::Bridge {
            return wire();
        }
        self.sent_by_member(Place::Link(number), frame)
    }

    fn sent_by_member(&self, sender: Place, frame: &Frame) -> Vec<Copy> {
        let (dst, src) = (dst(frame), src(frame));
        if is_group(dst) {
            let mut copies = wire();
            // TX-09.
            if is_pause(frame) {
                return copies;
            }
            // TX-08.
            for (number, link) in self.links.iter().enumerate() {
                let sibling = link.up && link.mode == Mode::Bridge && Place::Link(number) != sender;
                if sibling && hears(link, dst) {
                    copies.push((Place::Link(number), true));
                }
            }
            if self.reachable() && sender != Place::Host {
                copies.push((Place::Host, false));
            }
            return copies;
        }
        let to = match self.up_with(dst) {
            // TX-02, TX-05.
            Some(number) if self.links[number].mode == Mode::Bridge => Place::Link(number),
            None if self.reachable() && dst == self.lower.address => Place::Host,
            // TX-03, TX-04, TX-06, TX-07.
            _ => return wire(),
        };
        // TX-11.
        let (mut copies, consumed) = self.source_lists(src);
        if !consumed {
            copies.push((to, false));
        }
        copies
    }

    /// Copies by the sender's address, and whether that was all (section 5).
    fn source_lists(&self, src: Mac) -> (Vec<Copy>, bool) {
        let mut copies = vec![];
        let mut consumed = false;
        for (number, link) in self.links.iter().enumerate() {
            if link.mode == Mode::Source && link.listed.contains(&src) {
                // SRC-03, SRC-12.
                if link.up {
                    copies.push((Place::Link(number), false));
                }
                // SRC-05, SRC-06.
                consumed = consumed || link.nodst;
            }
        }
        (copies, consumed)
    }

    /// LC-34: only links that are up are found by address.
    fn up_with(&self, mac: Mac) -> Option<usize> {
        self.links.iter().position(|link| link.up && link.has_address(mac))
    }

    fn is_passthru(&self) -> bool {
        self.links.iter().any(|link| link.mode == Mode::Passthru)
    }

    /// A passthru link has the lower's address for itself: the host cannot be a
    /// member beside it.
    fn reachable(&self) -> bool {
        self.lower.host == Host::Reachable && !self.is_passthru()
    }

    fn host(&self) -> Vec<Copy> {
        if self.lower.host == Host::None { vec![] } else { vec![(Place::Host, false)] }
    }
}

fn wire() -> Vec<Copy> {
    vec![(Place::Wire, false)]
}

/// MCF-04, MCF-05, and MCF-01 without its false positives.
fn hears(link: &Link, group: Mac) -> bool {
    link.allmulti || link.promisc || group == [0xff; 6] || link.groups.contains(&group)
}

fn dst(frame: &Frame) -> Mac {
    frame[..6].try_into().unwrap()
}

fn src(frame: &Frame) -> Mac {
    frame[6..12].try_into().unwrap()
}

fn is_group(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

fn is_pause(frame: &Frame) -> bool {
    frame[12..] == [0x88, 0x08]
}

fn is_link_local(mac: Mac) -> bool {
    mac[..5] == [0x01, 0x80, 0xc2, 0, 0] && mac[5] < 16
}
