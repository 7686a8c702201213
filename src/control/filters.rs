//! What a lower's device is told to let through.
//!
//! Control's alone. The driver says what must come in, computed from all links;
//! here that is brought into the device, by its narrowest filter that holds it:
//! single addresses, then everything. Always from the wanted state, never by
//! counting up and down, so nothing can leak (B15, section 13.4).

use std::collections::BTreeSet;

use macvlan::driver::RxMode;
use macvlan::mac::MacAddr;

use crate::dpdk::{DpdkError, EthPort};

/// The receive mode a device was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    /// Unicast addresses in the device's filter, beside its own.
    pub(super) unicast: BTreeSet<MacAddr>,
    /// Groups in the device's filter.
    pub(super) groups: BTreeSet<MacAddr>,
    /// All groups come in.
    pub(super) allmulti: bool,
    /// Everything comes in, and why.
    pub(super) promiscuous: Option<&'static str>,
}

impl Filters {
    /// Lets `port`, on which there may be VLANs, hear what is wanted.
    ///
    /// # Errors
    /// The device refuses even to hear everything.
    pub(super) fn apply(
        &mut self,
        port: &EthPort,
        wanted: &RxMode,
        has_vlans: bool,
    ) -> Result<(), DpdkError> {
        let mut why = wanted.promiscuous.then_some("a link asks for it");
        if has_vlans && port.info().driver == "net_virtio" {
            why = why.or(Some("the device keeps tagged frames out otherwise"));
        }
        why = why.or(self.unicast(port, &wanted.unicast)?);
        // Single groups go in even where all do: what is listed is what was asked.
        let listed = self.groups(port, &wanted.groups)?;
        let allmulti = wanted.allmulti || !listed;
        if allmulti != self.allmulti {
            match port.set_all_multicast(allmulti) {
                Ok(()) => self.allmulti = allmulti,
                Err(error) if !error.is_unsupported() => return Err(error),
                // Without the wish nothing is lost.
                Err(_) if !allmulti => self.allmulti = false,
                Err(_) => why = why.or(Some("the device cannot be told to hear all groups")),
            }
        }
        if why.is_some() != self.promiscuous.is_some() {
            match port.set_promiscuous(why.is_some()) {
                Ok(()) => {}
                // A device without the notion hears everything anyway.
                Err(error) if error.errno == nix::libc::ENOTSUP => {}
                Err(error) => return Err(error),
            }
        }
        self.promiscuous = why;
        Ok(())
    }

    /// Programs single addresses; what is in the way if that cannot be done
    /// (UCF-02, UCF-03).
    fn unicast(
        &mut self,
        port: &EthPort,
        wanted: &BTreeSet<MacAddr>,
    ) -> Result<Option<&'static str>, DpdkError> {
        let full = "the links have more addresses than its filter has room for";
        for address in self.unicast.difference(wanted) {
            // Gone already after the device's own address became this one.
            _ = port.remove_address(address.bytes());
        }
        self.unicast.retain(|address| wanted.contains(address));
        // The device's own address takes a place, too.
        let room = port.max_addresses().map_or(0, |most| most.saturating_sub(1)) as usize;
        if wanted.len() > room {
            for address in std::mem::take(&mut self.unicast) {
                _ = port.remove_address(address.bytes());
            }
            return Ok(Some(if room == 0 {
                "the device has no filter for addresses"
            } else {
                full
            }));
        }
        for &address in wanted {
            if self.unicast.contains(&address) {
                continue;
            }
            match port.add_address(address.bytes()) {
                Ok(()) => _ = self.unicast.insert(address),
                Err(error) if error.errno == nix::libc::ENOSPC => return Ok(Some(full)),
                Err(error) if error.is_unsupported() => {
                    return Ok(Some("the device has no filter for addresses"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Programs groups. False: all must be let in instead.
    fn groups(&mut self, port: &EthPort, wanted: &BTreeSet<MacAddr>) -> Result<bool, DpdkError> {
        if *wanted == self.groups {
            return Ok(true);
        }
        let list: Vec<[u8; 6]> = wanted.iter().map(|group| group.bytes()).collect();
        match port.set_groups(&list) {
            Ok(()) => {
                self.groups.clone_from(wanted);
                Ok(true)
            }
            Err(error) if error.is_unsupported() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
