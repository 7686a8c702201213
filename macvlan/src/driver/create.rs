//! newlink and dellink: how links come and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{
    BC_CUTOFF, BC_QUEUE_LEN, DeviceKind, Driver, Index, Link, Lower, MAX_ADDRESSES, MAX_MTU,
    MIN_MTU, MacvlanPort, no_device,
};
use crate::errno::{Errno, Refusal};
use crate::fib::Output;
use crate::mac::MacAddr;
use crate::mode::{Flags, Mode};
use crate::request::{LinkRequest, address_of};

impl Driver {
    /// Creates a link: validate, names, the kind's own steps in the order of
    /// section 1.2, then the flags of the request. `random` gives the address
    /// of a link that asks for none (LC-13).
    ///
    /// # Errors
    /// ER-01 to ER-22.
    pub fn newlink(
        &mut self,
        request: &LinkRequest,
        random: &mut dyn FnMut() -> MacAddr,
    ) -> Result<Index, Refusal> {
        request.validate()?;
        let name = request.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err(Errno::Einval.because("a link needs a name"));
        }
        self.check_name_is_free(name)?;
        if let Some(mtu) = request.mtu {
            check_mtu_range(mtu, MAX_MTU)?;
        }
        let parent = request.parent.ok_or_else(|| {
            Errno::Einval.because(format!("{name} needs a device below: name a lower"))
        })?;
        // LC-11: on a link means beside it.
        let lower = self.link(parent).map_or(parent, |link| link.lower);
        let lower = self.lower(lower).ok_or_else(|| no_device(parent))?;
        let mtu = request.mtu.unwrap_or(lower.spec.mtu);
        check_mtu_fits(mtu, lower)?;
        self.check_lower(lower)?;
        let link = self.build(name, request, lower, mtu, random)?;
        let (index, lower, port) = (link.index, lower.index, lower.port);
        self.insert(link, request);
        // Flags come last, as rtnetlink has it: a link that cannot go up is
        // not created.
        let fits = self.check_lists(index);
        if let Err(refusal) = fits.and_then(|()| self.change_flags(index, request)) {
            self.links.remove(index);
            self.with_lower(lower, |lower| {
                lower.links.pop();
                lower.port = port;
            });
            return Err(refusal);
        }
        self.last = index.0;
        self.names_mut().insert(name.into(), index);
        Ok(index)
    }

    /// Whether a lower can have (another) link.
    fn check_lower(&self, lower: &Lower) -> Result<(), Refusal> {
        let name = &lower.spec.name;
        if lower.port.is_none() {
            if lower.spec.kind != DeviceKind::Ethernet {
                return Err(Errno::Einval.because(format!("{name} is no Ethernet device")));
            }
            if let Some(owner) = &lower.spec.owner {
                return Err(Errno::Ebusy.because(format!("{name} belongs to {owner}")));
            }
        }
        if lower.is_passthru() {
            let holder = self.links_of(lower.index).next().map_or("a link", |link| &link.name);
            return Err(Errno::Einval
                .because(format!("{name} belongs to {holder} alone, which is in passthru mode")));
        }
        if lower.links.len() >= Output::MAX_LINKS {
            return Err(
                Errno::Enospc.because(format!("{name} can have {} links", Output::MAX_LINKS))
            );
        }
        Ok(())
    }

    fn build(
        &self,
        name: &str,
        request: &LinkRequest,
        lower: &Lower,
        mtu: u32,
        random: &mut dyn FnMut() -> MacAddr,
    ) -> Result<Link, Refusal> {
        let data = request.data.clone().unwrap_or_default();
        let mode = data.mode().unwrap_or(Mode::Vepa);
        if mode == Mode::Passthru
            && let Some(first) = self.links_of(lower.index).next()
        {
            return Err(Errno::Einval.because(format!(
                "a passthru link must be the only one of {}, which has {}",
                lower.spec.name, first.name
            )));
        }
        let address = match &request.address {
            // LC-15: whatever was asked for.
            _ if mode == Mode::Passthru => lower.spec.address,
            Some(bytes) => address_of(bytes)?,
            None => random(),
        };
        let mut link = Link {
            index: Index(self.last + 1),
            name: name.to_owned(),
            lower: lower.index,
            mode,
            flags: data.flags().unwrap_or(Flags::NONE),
            address,
            addresses: BTreeSet::new(),
            mtu,
            up: false,
            been_up: false,
            promisc: false,
            allmulti: false,
            groups: BTreeSet::new(),
            unicast: BTreeSet::new(),
            sources: BTreeSet::new(),
            bc_queue_len: data.bc_queue_len.unwrap_or(BC_QUEUE_LEN),
            spoof_check: request.extensions.spoof_check.unwrap_or(false),
        };
        link.change_sources(&data)?;
        if let Some(addresses) = &request.extensions.addresses {
            self.check_addresses(lower, link.index, addresses)?;
            link.addresses = addresses.iter().copied().collect();
        }
        Ok(link)
    }

    fn insert(&mut self, link: Link, request: &LinkRequest) {
        let index = link.index;
        let cutoff = request.data.as_ref().and_then(|data| data.bc_cutoff);
        self.with_lower(link.lower, |lower| {
            let address = lower.spec.address;
            let port = lower.port.get_or_insert(MacvlanPort {
                passthru: link.mode == Mode::Passthru,
                permanent: address,
                bc_cutoff: BC_CUTOFF,
                bc_queue_len: 0,
            });
            port.bc_queue_len = port.bc_queue_len.max(link.bc_queue_len);
            port.bc_cutoff = cutoff.unwrap_or(port.bc_cutoff);
            lower.links.push(index);
        });
        self.links.insert(index, Arc::new(link));
    }

    /// Deletes a link (LC-21); with the last one the lower gets its own address
    /// back (MA-03).
    ///
    /// # Errors
    /// ENODEV: there is no such link.
    pub fn dellink(&mut self, link: Index) -> Result<(), Refusal> {
        let gone = self.links.remove(link).ok_or_else(|| no_device(link))?;
        let lower = gone.lower;
        self.names_mut().remove(gone.name.as_str());
        self.with_lower(lower, |lower| {
            lower.links.retain(|&other| other != link);
            if lower.links.is_empty()
                && let Some(port) = lower.port.take()
                && port.passthru
            {
                lower.spec.address = port.permanent;
            }
        });
        self.measure_queue(lower);
        Ok(())
    }

    /// Further addresses of a link: valid, not too many, and nobody else's.
    pub(super) fn check_addresses(
        &self,
        lower: &Lower,
        link: Index,
        addresses: &[MacAddr],
    ) -> Result<(), Refusal> {
        if let Some(address) = addresses.iter().find(|address| !address.is_valid_unicast()) {
            return Err(Errno::Eaddrnotavail
                .because(format!("{address} is a group address or zero: it must be unicast")));
        }
        let others = self.links_of(lower.index).filter(|other| other.index != link);
        let others: usize = others.map(|other| 1 + other.addresses.len()).sum();
        if others + 1 + addresses.len() > MAX_ADDRESSES {
            return Err(Errno::Enospc.because(format!(
                "the links of {} can have {MAX_ADDRESSES} addresses together",
                lower.spec.name
            )));
        }
        Ok(())
    }
}

/// ER-15, MT-01: what no Ethernet device can have.
pub(super) fn check_mtu_range(mtu: u32, most: u32) -> Result<(), Refusal> {
    if (MIN_MTU..=most).contains(&mtu) {
        Ok(())
    } else {
        Err(Errno::Einval.because(format!("mtu {mtu} is not within {MIN_MTU} to {most}")))
    }
}

/// ER-14.
pub(super) fn check_mtu_fits(mtu: u32, lower: &Lower) -> Result<(), Refusal> {
    if mtu <= lower.spec.mtu {
        Ok(())
    } else {
        Err(Errno::Einval.because(format!(
            "mtu {mtu} is larger than {}, the mtu of {}",
            lower.spec.mtu, lower.spec.name
        )))
    }
}
