//! changelink and what rtnetlink does around it: address, MTU, flags, filters.

use std::collections::BTreeSet;

use super::create::{check_mtu_fits, check_mtu_range};
use super::{Driver, Index, Link, no_device};
use crate::errno::{Errno, Refusal};
use crate::mac::MacAddr;
use crate::mode::{MacaddrMode, Mode};
use crate::request::{LinkData, LinkRequest, address_of};

impl Driver {
    /// Changes a link: validate, the kind's attributes, then address, MTU and
    /// flags, in the kernel's order. Better than the kernel's, a change that is
    /// refused in the middle changes nothing (LC-43, SRC-09).
    ///
    /// # Errors
    /// ER-01 to ER-15, ER-22 to ER-26.
    pub fn setlink(&mut self, link: Index, request: &LinkRequest) -> Result<(), Refusal> {
        if request.data.is_some() {
            request.validate()?;
        }
        let before = self.links.get(link).ok_or_else(|| no_device(link))?.clone();
        let lower = self.lowers.iter().find(|lower| lower.index == before.lower).cloned();
        let outcome = self.change(link, request);
        if outcome.is_err() {
            let changed = self.lowers.iter_mut().find(|lower| lower.index == before.lower);
            if let Some((changed, before)) = changed.zip(lower) {
                *changed = before;
            }
            self.links.insert(link, before);
        }
        outcome
    }

    fn change(&mut self, link: Index, request: &LinkRequest) -> Result<(), Refusal> {
        if let Some(data) = &request.data {
            self.changelink(link, data)?;
        }
        self.extend(link, request)?;
        if let Some(bytes) = &request.address {
            // Without the kind's own check more bytes than needed are let pass.
            let Some(address) = bytes.get(..6) else {
                return Err(Errno::Einval.because("the address is shorter than 6 bytes"));
            };
            self.set_address(link, address_of(address)?)?;
        }
        if let Some(mtu) = request.mtu {
            self.set_mtu(link, mtu)?;
        }
        self.change_flags(link, request)
    }

    fn changelink(&mut self, index: Index, data: &LinkData) -> Result<(), Refusal> {
        let link = self.link_mut(index)?;
        let lower = link.lower;
        if let Some(mode) = data.mode() {
            // LC-41.
            if (mode == Mode::Passthru) != (link.mode == Mode::Passthru) {
                let name = &link.name;
                return Err(Errno::Einval.because(format!(
                    "passthru mode can neither be set nor left on a link that exists: \
                     delete {name} and add it again"
                )));
            }
            // LC-42.
            if link.mode == Mode::Source && mode != Mode::Source {
                link.sources.clear();
            }
            link.mode = mode;
        }
        link.flags = data.flags().unwrap_or(link.flags);
        link.bc_queue_len = data.bc_queue_len.unwrap_or(link.bc_queue_len);
        link.change_sources(data)?;
        self.check_lists(index)?;
        if let Some(cutoff) = data.bc_cutoff {
            // LC-45: one value for all links of the lower.
            self.with_lower(lower, |lower| {
                lower.port.iter_mut().for_each(|port| port.bc_cutoff = cutoff);
            });
        }
        if data.bc_queue_len.is_some() {
            self.measure_queue(lower);
        }
        Ok(())
    }

    /// What the kernel's driver does not have.
    fn extend(&mut self, index: Index, request: &LinkRequest) -> Result<(), Refusal> {
        let extensions = &request.extensions;
        if let Some(addresses) = &extensions.addresses {
            let link = self.find_link(index)?;
            if let Some(lower) = self.lower(link.lower) {
                self.check_addresses(lower, index, addresses)?;
                // As with its own address: even while it is down (ER-24), and
                // not those it has already (ER-26).
                let mut new: BTreeSet<MacAddr> = addresses.iter().copied().collect();
                new.retain(|new| *new != link.address && !link.addresses.contains(new));
                if !lower.is_passthru() {
                    self.check_clash(lower, index, &new)?;
                }
            }
            self.link_mut(index)?.addresses = addresses.iter().copied().collect();
        }
        if let Some(check) = extensions.spoof_check {
            self.link_mut(index)?.spoof_check = check;
        }
        Ok(())
    }

    /// ER-23 to ER-26, MA-01, MA-02.
    fn set_address(&mut self, index: Index, address: MacAddr) -> Result<(), Refusal> {
        let link = self.find_link(index)?;
        if link.address == address {
            return Ok(());
        }
        let passthru = link.mode == Mode::Passthru;
        if let Some(lower) = self.lower(link.lower).filter(|_| !passthru) {
            self.check_clash(lower, index, &BTreeSet::from([address]))?;
        }
        let lower = link.lower;
        self.link_mut(index)?.address = address;
        if passthru {
            // The address to restore at the end stays what it was (NT-05).
            self.with_lower(lower, |lower| lower.spec.address = address);
        }
        Ok(())
    }

    /// MT-01 to MT-03.
    fn set_mtu(&mut self, index: Index, mtu: u32) -> Result<(), Refusal> {
        let link = self.find_link(index)?;
        if let Some(lower) = self.lower(link.lower) {
            check_mtu_range(mtu, lower.spec.max_mtu)?;
            if mtu != link.mtu {
                check_mtu_fits(mtu, lower)?;
            }
        }
        self.link_mut(index)?.mtu = mtu;
        Ok(())
    }

    /// Up, down, promiscuous, all groups.
    pub(super) fn change_flags(
        &mut self,
        index: Index,
        request: &LinkRequest,
    ) -> Result<(), Refusal> {
        match request.up {
            Some(true) => self.open(index)?,
            Some(false) => self.link_mut(index)?.up = false,
            None => {}
        }
        let link = self.link_mut(index)?;
        link.promisc = request.promisc.unwrap_or(link.promisc);
        link.allmulti = request.allmulti.unwrap_or(link.allmulti);
        Ok(())
    }

    /// LC-30 to LC-32: the lower need not be up.
    fn open(&mut self, index: Index) -> Result<(), Refusal> {
        let link = self.find_link(index)?;
        if link.up {
            return Ok(());
        }
        if let Some(lower) = self.lower(link.lower).filter(|lower| !lower.is_passthru()) {
            self.check_clash(lower, index, &link.own_addresses().collect())?;
        }
        let link = self.link_mut(index)?;
        (link.up, link.been_up) = (true, true);
        Ok(())
    }

    /// Adds an address to a link's filter: a group it joins, or on a passthru
    /// link a unicast address (ER-27 to ER-29).
    ///
    /// # Errors
    /// EOPNOTSUPP, EEXIST; ENOSPC for more than the tables hold.
    pub fn fdb_add(&mut self, link: Index, address: MacAddr, replace: bool) -> Result<(), Refusal> {
        let set = self.filter_of(link, address)?;
        if replace {
            return Err(Errno::Eopnotsupp.because("a filter entry cannot be replaced"));
        }
        if !set.insert(address) {
            return Err(Errno::Eexist.because(format!("the filter has {address} already")));
        }
        self.check_lists(link).inspect_err(|_| {
            _ = self.fdb_del(link, address);
        })
    }

    /// Removes an address from a link's filter.
    ///
    /// # Errors
    /// EOPNOTSUPP, ENOENT.
    pub fn fdb_del(&mut self, link: Index, address: MacAddr) -> Result<(), Refusal> {
        if self.filter_of(link, address)?.remove(&address) {
            Ok(())
        } else {
            Err(Errno::Enoent.because(format!("the filter does not have {address}")))
        }
    }

    fn filter_of(
        &mut self,
        index: Index,
        address: MacAddr,
    ) -> Result<&mut BTreeSet<MacAddr>, Refusal> {
        let link = self.link_mut(index)?;
        if address.is_multicast() {
            return Ok(&mut link.groups);
        }
        if link.mode == Mode::Passthru {
            return Ok(&mut link.unicast);
        }
        Err(Errno::Eopnotsupp.because(format!(
            "{} is in {} mode: only a passthru link filters for further unicast addresses",
            link.name, link.mode
        )))
    }
}

impl Link {
    /// SRC-08, ER-10, ER-11.
    pub(super) fn change_sources(&mut self, data: &LinkData) -> Result<(), Refusal> {
        // LC-46: addresses without an operation are ignored.
        let Some(operation) = data.macaddr_mode() else { return Ok(()) };
        if self.mode != Mode::Source {
            return Err(Errno::Einval.because(format!(
                "{} is in {} mode: only a link in source mode has a source list",
                self.name, self.mode
            )));
        }
        let one = data.macaddr.as_deref().map(address_of).transpose()?;
        match (operation, one) {
            (MacaddrMode::Add, Some(address)) => _ = self.sources.insert(address),
            (MacaddrMode::Del, Some(address)) => _ = self.sources.remove(&address),
            (MacaddrMode::Add | MacaddrMode::Del, None) => {
                return Err(Errno::Einval.because("which address? The request names none"));
            }
            (MacaddrMode::Flush, _) => self.sources.clear(),
            (MacaddrMode::Set, one) => {
                self.sources = one.into_iter().collect();
                for (_, bytes) in data.macaddr_data.iter().flatten() {
                    self.sources.insert(address_of(bytes)?);
                }
            }
        }
        Ok(())
    }
}
