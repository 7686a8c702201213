//! Frames to one address: RXU, and TX-02 to TX-07.

use super::{Case, Place};
use crate::driver::Link;
use crate::drop::DropReason;
use crate::mac::MacAddr;
use crate::mode::Mode;

impl<'a> Case<'a> {
    /// The extension `private_strict`. Whether it drops the frame.
    pub(super) fn is_private_hairpin(&mut self) -> bool {
        let hairpin = self.hairpin().filter(|_| self.lower.spec.private_strict);
        let Some((from, to)) = hairpin else { return false };
        let private = [from, to].into_iter().find(|link| link.mode == Mode::Private);
        let Some(private) = private else { return false };
        self.reason = DropReason::PrivateStrict;
        let (from, to, private) = (&from.name, &to.name, &private.name);
        say!(
            self,
            "private_strict",
            "a switch has reflected what {from} sent to {to}, and {private} is in private mode"
        );
        true
    }

    /// The two links that a reflected frame is from and to.
    fn hairpin(&self) -> Option<(&'a Link, &'a Link)> {
        let (from, to) = (self.up_with(self.src)?, self.up_with(self.dst)?);
        (from.index != to.index).then_some((from, to))
    }

    pub(super) fn unicast_from_wire(&mut self) {
        let (lower, dst) = (self.name(), self.dst);
        if let Some(link) = self.links.first().copied().filter(|_| self.lower.is_passthru()) {
            return self.all_for_passthru(link);
        }
        match self.up_with(dst) {
            Some(link) if link.mode == Mode::Source => {
                let host = self.give_to_host(DropReason::UnknownUnicast);
                let name = &link.name;
                say!(
                    self,
                    "RXU-03",
                    "{name} has {dst}, but in source mode it gets nothing by destination: {host}"
                );
            }
            Some(link) => {
                self.give(Place::Link(link.index));
                let name = &link.name;
                say!(self, "RXU-02", "{name} has {dst} and is up: it gets the frame, not the host");
                self.say_reflected();
            }
            None => {
                self.say_down(dst, "is not found by it");
                let host = self.give_to_host(DropReason::UnknownUnicast);
                if dst == self.lower.spec.address {
                    say!(self, "RXU-04", "{dst} is the address of {lower} itself: {host}");
                } else {
                    say!(self, "RXU-04", "no link of {lower} that is up has {dst}: {host}");
                }
            }
        }
    }

    fn all_for_passthru(&mut self, link: &Link) {
        let (name, lower) = (&link.name, self.name());
        if link.up {
            self.give(Place::Link(link.index));
            say!(
                self,
                "RXU-05",
                "{name} is the passthru link of {lower}: it gets all unicast, the host none"
            );
        } else {
            self.reason = DropReason::LinkDown;
            say!(
                self,
                "RXU-05",
                "{name} is the passthru link of {lower}, and down: nobody gets unicast, the host \
                 neither"
            );
        }
    }

    /// Modes do not keep apart what an external switch brings together.
    fn say_reflected(&mut self) {
        let Some((from, to)) = self.hairpin() else { return };
        let private = [from, to].iter().any(|link| link.mode == Mode::Private);
        let hint = if private { "; private_strict would drop it" } else { "" };
        let (from, src) = (&from.name, self.src);
        say!(
            self,
            "RXU-06",
            "{from} has {src}: a switch has reflected its frame, and no mode keeps unicast from \
             coming back{hint}"
        );
    }

    /// LC-34, where it explains why nobody is found.
    pub(super) fn say_down(&mut self, mac: MacAddr, therefore: &str) {
        if let Some(link) = self.down_with(mac) {
            say!(self, "LC-34", "{} has {mac}, but is down and {therefore}", link.name);
        }
    }

    /// From a bridge link, or else from the host as one.
    pub(super) fn unicast_from_member(&mut self, sender: Option<&Link>) {
        let to = match self.up_with(self.dst) {
            Some(link) => self.sibling_found(link, sender),
            None => self.no_link_found(sender),
        };
        if to != Place::Wire {
            if self.links.iter().any(|link| link.sources.contains(&self.src)) {
                let lower = self.name();
                say!(
                    self,
                    "TX-11",
                    "what is handed over passes the receive side of {lower}: source lists see it"
                );
            }
            if self.source_lists() {
                return;
            }
        }
        self.give(to);
    }

    fn sibling_found(&mut self, link: &Link, sender: Option<&Link>) -> Place {
        let (name, mode, dst) = (&link.name, link.mode, self.dst);
        if sender.is_some_and(|sender| sender.index == link.index) {
            say!(self, "TX-05", "{dst} is an address of {name} itself: the frame comes back");
        } else if mode == Mode::Bridge {
            say!(
                self,
                "TX-02",
                "{name} has {dst}, is in bridge mode and up: members in bridge mode reach it \
                 directly, not by the wire"
            );
        } else {
            say!(
                self,
                "TX-03",
                "{name} has {dst}, but is in {mode} mode: reached by the wire only"
            );
            return Place::Wire;
        }
        Place::Link(link.index)
    }

    fn no_link_found(&mut self, sender: Option<&Link>) -> Place {
        let (lower, dst) = (self.name(), self.dst);
        if dst == self.lower.spec.address && self.reachable() {
            if sender.is_none() {
                say!(
                    self,
                    "TX-05",
                    "{dst} is the address of the host itself: the frame comes back"
                );
                return Place::Host;
            }
            self.say_reachable();
            say!(self, "TX-02", "{dst} is the address of {lower}: its host gets it directly");
            return Place::Host;
        }
        if dst == self.lower.spec.address {
            say!(
                self,
                "TX-06",
                "{dst} is the address of {lower}, whose host links do not reach: to the wire"
            );
        } else if let Some(link) = self.down_with(dst) {
            say!(self, "TX-04", "{} has {dst}, but is down: to the wire", link.name);
        } else {
            say!(self, "TX-07", "no link of {lower} has {dst}: to the wire, without copies here");
        }
        Place::Wire
    }
}
