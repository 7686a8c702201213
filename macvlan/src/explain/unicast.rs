//! Frames to one address: RXU, TX-01 to TX-07.

use super::{Case, Place};
use crate::driver::Link;
use crate::drop::DropReason;
use crate::mac::MacAddr;
use crate::mode::Mode;

impl Case<'_> {
    /// The extension `private_strict`. Whether it drops the frame.
    pub(super) fn is_private_hairpin(&mut self) -> bool {
        let Some((from, to)) = self.hairpin().filter(|_| self.lower.spec.private_strict) else {
            return false;
        };
        let Some(private) = [from, to].into_iter().find(|link| link.mode == Mode::Private) else {
            return false;
        };
        let text = format!(
            "an external switch has reflected what {} sent to {}, and {} is private",
            from.name, to.name, private.name
        );
        self.rule("private_strict", text);
        self.reason = DropReason::PrivateStrict;
        true
    }

    /// The two links that a reflected frame is from and to.
    fn hairpin(&self) -> Option<(&Link, &Link)> {
        let (from, to) = (self.up_with(self.src)?, self.up_with(self.dst)?);
        (from.index != to.index).then_some((from, to))
    }

    pub(super) fn unicast_from_wire(&mut self) {
        let (lower, dst) = (self.name(), self.dst);
        if let Some(link) = self.links.first().copied().filter(|_| self.lower.is_passthru()) {
            let name = &link.name;
            if link.up {
                self.give(Place::Link(link.index));
                let text = format!(
                    "{name} is the passthru link of {lower}: it gets all unicast, the host none"
                );
                return self.rule("RXU-05", text);
            }
            self.reason = DropReason::LinkDown;
            let text = format!(
                "{name} is the passthru link of {lower}, and down: nobody gets unicast, nor does the host"
            );
            return self.rule("RXU-05", text);
        }
        match self.up_with(dst) {
            Some(link) if link.mode == Mode::Source => {
                let host = self.give_to_host(DropReason::UnknownUnicast);
                let text = format!(
                    "{} has {dst}, but in source mode it gets nothing by destination: {host}",
                    link.name
                );
                self.rule("RXU-03", text);
            }
            Some(link) => {
                self.give(Place::Link(link.index));
                let text = format!(
                    "{} has {dst} and is up: it gets the frame, and nobody else by destination",
                    link.name
                );
                self.rule("RXU-02", text);
                self.say_reflected();
            }
            None => {
                self.say_down(dst, "is not found by it");
                let host = self.give_to_host(DropReason::UnknownUnicast);
                let text = if dst == self.lower.spec.address {
                    format!("{dst} is the address of {lower} itself: {host}")
                } else {
                    format!("no link that is up has {dst}: {host}")
                };
                self.rule("RXU-04", text);
            }
        }
    }

    /// Modes do not keep apart what an external switch brings together.
    fn say_reflected(&mut self) {
        let Some((from, to)) = self.hairpin() else { return };
        let private = [from, to].iter().any(|link| link.mode == Mode::Private);
        let hint = if private { "; private_strict would drop it" } else { "" };
        let text = format!(
            "{} has {}: an external switch has reflected the frame, which for unicast is allowed in every mode{hint}",
            from.name, self.src
        );
        self.rule("RXU-06", text);
    }

    /// LC-34 where it explains why nobody is found.
    pub(super) fn say_down(&mut self, mac: MacAddr, therefore: &str) {
        if let Some(link) = self.down_with(mac) {
            self.rule("LC-34", format!("{} has {mac}, but is down and {therefore}", link.name));
        }
    }

    /// What all modes but bridge do with whatever they send.
    pub(super) fn only_to_wire(&mut self, link: &Link) {
        self.give(Place::Wire);
        let mut text =
            format!("{} is in {} mode: all that it sends goes to the wire", link.name, link.mode);
        if link.mode == Mode::Passthru && self.head.is_group() {
            return self.rule("TX-16", text);
        }
        if let Some(sibling) = self.up_with(self.dst).filter(|other| other.index != link.index) {
            text += &format!("; only a switch that reflects brings it to {}", sibling.name);
        }
        self.rule("TX-01", text);
    }

    /// From a bridge link, or else from the host as one.
    pub(super) fn unicast_from_member(&mut self, sender: Option<&Link>) {
        let dst = self.dst;
        let to = match self.up_with(dst) {
            Some(link) if sender.is_some_and(|sender| sender.index == link.index) => {
                self.rule(
                    "TX-05",
                    format!("{dst} is an address of {} itself: the frame comes back", link.name),
                );
                Place::Link(link.index)
            }
            Some(link) if link.mode == Mode::Bridge => {
                let text = format!(
                    "{} is in bridge mode and up: siblings in bridge mode reach it directly, not by the wire",
                    link.name
                );
                self.rule("TX-02", text);
                Place::Link(link.index)
            }
            Some(link) => {
                let text = format!(
                    "{} has {dst}, but is in {} mode: siblings reach it by the wire only",
                    link.name, link.mode
                );
                self.rule("TX-03", text);
                Place::Wire
            }
            None => self.member_misses(sender),
        };
        // TX-11: what goes to a sibling passes the lower's receive side.
        if to != Place::Wire {
            if self.links.iter().any(|link| link.sources.contains(&self.src)) {
                let text = format!(
                    "handed over, the frame passes the receive side of {}: source lists see it",
                    self.name()
                );
                self.rule("TX-11", text);
            }
            if self.source_lists() {
                return;
            }
        }
        self.give(to);
    }

    /// No link that is up has the destination.
    fn member_misses(&mut self, sender: Option<&Link>) -> Place {
        let (lower, dst) = (self.name(), self.dst);
        let own = dst == self.lower.spec.address;
        if own && self.reachable() {
            if sender.is_some() {
                self.rule(
                    "reachable",
                    format!(
                        "the host of {lower} is reachable, as if it were a link in bridge mode"
                    ),
                );
                self.rule(
                    "TX-02",
                    format!("{dst} is the address of {lower}: the host gets the frame directly"),
                );
            } else {
                self.rule(
                    "TX-05",
                    format!("{dst} is the address of the host itself: the frame comes back"),
                );
            }
            return Place::Host;
        }
        if own {
            self.rule("TX-06", format!("{dst} is the address of {lower}: links do not reach its host, the frame goes to the wire"));
        } else if let Some(link) = self.down_with(dst) {
            self.rule(
                "TX-04",
                format!("{} has {dst}, but is down: the frame goes to the wire", link.name),
            );
        } else {
            self.rule("TX-07", format!("no link of {lower} has {dst}: the frame goes to the wire, and siblings get no copies"));
        }
        Place::Wire
    }
}
