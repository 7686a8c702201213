//! What a device receives, and what it calls itself: addresses, groups, the
//! promiscuous switches, the MTU.
//!
//! Owns no state: the device has it, or the kernel. Called by control alone,
//! which computes what is wanted from its own state and may ask for the same
//! twice. Where the device has too little room or no such thing, the error says
//! so ([`DpdkError::is_unsupported`]) and the caller asks for something wider.
//!
//! What the drivers answer, as `tests/dpdk/devices.rs` has it of DPDK 22.11:
//!
//! | driver | further addresses | groups | promiscuous | all groups | own address | MTU |
//! |---|---|---|---|---|---|---|
//! | net_af_packet | yes | yes | yes | yes | the interface's | the interface's, 68 to 1500 |
//! | net_tap | no | yes | yes | yes | the interface's | the interface's, 68 to 1504 |
//! | net_virtio_user | no | no | no | no | yes | yes |
//! | net_ring | no | no | yes | yes | no | no |
//! | net_null | no | no | always | always | yes | yes |
//! | net_pcap | no | no | always | always | no | no |
//! | net_memif | no | no | always | no | no | no |
//!
//! "Always" means that it cannot be switched off. Tap, ring, null, pcap on a
//! file, memif and virtio-user hear every frame, whatever they answer. What
//! af_packet asks of the kernel ends with the port; an interface keeps the
//! address and the MTU that it was given: whoever set them puts them back.

use std::ffi::c_int;

use dpdk_sys as sys;
use nix::libc;

use super::error::{DpdkError, attempt};
use super::ethdev::EthPort;

/// Ethernet header and one VLAN tag: what a buffer holds besides the payload.
const HEADERS: u16 = 18;

/// What virtio puts before the frame, and wants room for.
const VIRTIO_HEADER: u16 = 12;

/// What DPDK takes as header and FCS where a driver names no greatest MTU.
const OVERHEAD: u32 = 18;

/// The least that IPv4 can do with: what the kernel and virtio demand, and do
/// not mention.
const IP_MIN_MTU: u16 = 68;

/// A DPDK call that turns something on or off for a device.
type Switch = unsafe extern "C" fn(u16) -> c_int;

const fn ether(address: [u8; 6]) -> sys::rte_ether_addr {
    sys::rte_ether_addr { addr_bytes: address }
}

impl EthPort {
    /// Receives every frame, or no longer so.
    ///
    /// # Errors
    /// The call that failed; ENOTSUP, too, if it cannot be switched off.
    pub fn set_promiscuous(&self, on: bool) -> Result<(), DpdkError> {
        if let Some(memberships) = self.memberships() {
            return memberships.set_promiscuous(on);
        }
        let (call, switch): (_, Switch) = match on {
            true => ("rte_eth_promiscuous_enable", sys::rte_eth_promiscuous_enable),
            false => ("rte_eth_promiscuous_disable", sys::rte_eth_promiscuous_disable),
        };
        // SAFETY: the device exists.
        attempt(call, || unsafe { switch(self.id()) }).map(drop)
    }

    /// Receives the frames of every group, or no longer so.
    ///
    /// # Errors
    /// The call that failed.
    pub fn set_all_multicast(&self, on: bool) -> Result<(), DpdkError> {
        if let Some(memberships) = self.memberships() {
            return memberships.set_all_groups(on);
        }
        let (call, switch): (_, Switch) = match on {
            true => ("rte_eth_allmulticast_enable", sys::rte_eth_allmulticast_enable),
            false => ("rte_eth_allmulticast_disable", sys::rte_eth_allmulticast_disable),
        };
        // SAFETY: the device exists.
        attempt(call, || unsafe { switch(self.id()) }).map(drop)
    }

    /// Receives the frames of these groups, and forgets those named before.
    ///
    /// # Errors
    /// The call that failed; EINVAL if an address is no group's.
    pub fn set_groups(&self, groups: &[[u8; 6]]) -> Result<(), DpdkError> {
        const CALL: &str = "rte_eth_dev_set_mc_addr_list";
        if groups.iter().any(|[first, ..]| first & 1 == 0) {
            return Err(DpdkError { call: CALL, errno: libc::EINVAL, said: None });
        }
        if let Some(memberships) = self.memberships() {
            return memberships.set_groups(groups);
        }
        let mut list: Vec<_> = groups.iter().copied().map(ether).collect();
        let count = u32::try_from(list.len()).unwrap_or(u32::MAX);
        // SAFETY: the list holds `count` addresses, which are copied.
        let set = attempt(CALL, || unsafe {
            sys::rte_eth_dev_set_mc_addr_list(self.id(), list.as_mut_ptr(), count)
        });
        set.map(drop)
    }

    /// Receives the frames for a further address of its own. Nothing is done if
    /// it has that one already.
    ///
    /// # Errors
    /// The call that failed; ENOSPC if the table is full.
    pub fn add_address(&self, address: [u8; 6]) -> Result<(), DpdkError> {
        const CALL: &str = "rte_eth_dev_mac_addr_add";
        let table = self.address_table()?;
        if table.contains(&address) {
            return Ok(());
        }
        if let Some(memberships) = self.memberships() {
            return memberships.add_address(address);
        }
        // A device without an address of its own (a ring) would take this one
        // for its own: DPDK looks for the first free place, which is that.
        if table.first() == Some(&[0; 6]) {
            return Err(DpdkError { call: CALL, errno: libc::ENOTSUP, said: None });
        }
        let mut address = ether(address);
        // SAFETY: the address is readable and copied; pool 0 is everybody's.
        let added = attempt(CALL, || unsafe {
            sys::rte_eth_dev_mac_addr_add(self.id(), &raw mut address, 0)
        });
        added.map(drop)
    }

    /// Ends [`EthPort::add_address`]. Nothing is done if it has no such address.
    ///
    /// # Errors
    /// The call that failed; EADDRINUSE if it is the device's own address.
    pub fn remove_address(&self, address: [u8; 6]) -> Result<(), DpdkError> {
        const CALL: &str = "rte_eth_dev_mac_addr_remove";
        if let Some(memberships) = self.memberships()
            && memberships.remove_address(address)?
        {
            return Ok(());
        }
        // A driver without a table would answer that it has no such call.
        match self.address_table()?.iter().position(|&known| known == address) {
            None => return Ok(()),
            Some(0) => {
                return Err(DpdkError { call: CALL, errno: libc::EADDRINUSE, said: None });
            }
            Some(_) => {}
        }
        let mut address = ether(address);
        // SAFETY: the address is readable.
        let removed = attempt(CALL, || unsafe {
            sys::rte_eth_dev_mac_addr_remove(self.id(), &raw mut address)
        });
        removed.map(drop)
    }

    /// Addresses the device can have, its own included; `u32::MAX` if it is up
    /// to the kernel's memory.
    ///
    /// # Errors
    /// The call that failed.
    pub fn max_addresses(&self) -> Result<u32, DpdkError> {
        match self.memberships() {
            Some(_) => Ok(u32::MAX),
            None => Ok(self.facts()?.max_mac_addrs),
        }
    }

    /// Gives the device, and the kernel interface behind it, another address of
    /// its own. One that it had as a further address is that no longer.
    ///
    /// # Errors
    /// The call that failed, EINVAL for a group's address or zero; then its own
    /// address is the former one still.
    pub fn set_address(&self, address: [u8; 6]) -> Result<(), DpdkError> {
        let former = self.address()?;
        let held = self.address_table()?.iter().skip(1).any(|&known| known == address);
        // Early releases would keep it twice, later ones refuse (EEXIST).
        if held {
            self.remove_address(address)?;
        }
        let mut raw = ether(address);
        // SAFETY: the address is readable and copied.
        let set = attempt("rte_eth_dev_default_mac_addr_set", || unsafe {
            sys::rte_eth_dev_default_mac_addr_set(self.id(), &raw mut raw)
        });
        match set {
            Err(error) => {
                if held {
                    // It fitted a moment ago.
                    _ = self.add_address(address);
                }
                Err(error)
            }
            Ok(_) => {
                // It is done, so it is no failure any more: what is left over
                // lets too much in at most.
                if let Some(memberships) = self.memberships() {
                    _ = memberships.remove_address(address);
                }
                // Its table of further addresses has the own one, too, and is
                // written anew only when one is added or removed.
                if self.info().driver == "net_virtio"
                    && former != address
                    && self.add_address(former).is_ok()
                {
                    _ = self.remove_address(former);
                }
                Ok(())
            }
        }
    }

    /// The device's own address as DPDK has it. A change made to a kernel
    /// interface behind its back does not show.
    ///
    /// # Errors
    /// The call that failed.
    pub fn address(&self) -> Result<[u8; 6], DpdkError> {
        let mut address = sys::rte_ether_addr::default();
        // SAFETY: `address` is writable.
        attempt("rte_eth_macaddr_get", || unsafe {
            sys::rte_eth_macaddr_get(self.id(), &raw mut address)
        })?;
        Ok(address.addr_bytes)
    }

    /// Sets the largest payload in bytes, for the kernel interface behind the
    /// device, too.
    ///
    /// # Errors
    /// The call that failed; EINVAL outside [`EthPort::min_mtu`] to
    /// [`EthPort::max_mtu`], EBUSY from NICs that must be stopped for it.
    pub fn set_mtu(&self, mtu: u16) -> Result<(), DpdkError> {
        const CALL: &str = "rte_eth_dev_set_mtu";
        // More than a buffer holds would arrive in pieces, or cut off.
        if mtu > self.room() {
            return Err(DpdkError { call: CALL, errno: libc::EINVAL, said: None });
        }
        // SAFETY: the device exists.
        attempt(CALL, || unsafe { sys::rte_eth_dev_set_mtu(self.id(), mtu) }).map(drop)
    }

    /// The largest payload in bytes as DPDK has it.
    ///
    /// # Errors
    /// The call that failed.
    pub fn mtu(&self) -> Result<u16, DpdkError> {
        let mut mtu = 0;
        // SAFETY: `mtu` is writable.
        attempt("rte_eth_dev_get_mtu", || unsafe {
            sys::rte_eth_dev_get_mtu(self.id(), &raw mut mtu)
        })?;
        Ok(mtu)
    }

    /// The largest payload in bytes that can be sent through it: its MTU, or what
    /// fits a buffer if the driver has no such thing. What is larger stops a tap:
    /// the frames behind it in the burst are not taken either.
    ///
    /// # Errors
    /// The call that failed.
    pub fn carries(&self) -> Result<u16, DpdkError> {
        // No driver takes 0, and one without an MTU says so first.
        match self.set_mtu(0) {
            Err(error) if error.errno == libc::ENOTSUP => self.max_mtu(),
            _ => self.mtu(),
        }
    }

    /// The least MTU the driver takes, in bytes of payload.
    ///
    /// # Errors
    /// The call that failed.
    pub fn min_mtu(&self) -> Result<u16, DpdkError> {
        let least = self.facts()?.min_mtu;
        Ok(if self.kernel().is_some() || self.is_virtio() { least.max(IP_MIN_MTU) } else { least })
    }

    /// The greatest MTU the driver takes and one buffer holds, in bytes of payload.
    ///
    /// # Errors
    /// The call that failed.
    pub fn max_mtu(&self) -> Result<u16, DpdkError> {
        let facts = self.facts()?;
        let (mtu, frame) = (u32::from(facts.max_mtu), facts.max_rx_pktlen);
        // How DPDK itself checks an MTU: some drivers bound the frame alone.
        let named = facts.max_mtu != u16::MAX && frame > mtu;
        let overhead = if named { frame - mtu } else { OVERHEAD };
        let by_frame = u16::try_from(frame.saturating_sub(overhead)).unwrap_or(u16::MAX);
        Ok(facts.max_mtu.min(by_frame).min(self.room()))
    }

    /// Payload that fits one buffer.
    fn room(&self) -> u16 {
        let headers = if self.is_virtio() { HEADERS + VIRTIO_HEADER } else { HEADERS };
        self.pool().room().saturating_sub(headers)
    }

    fn is_virtio(&self) -> bool {
        self.info().driver.starts_with("net_virtio")
    }

    /// The device's addresses, its own first. Free places are left out, unless
    /// the first is one.
    fn address_table(&self) -> Result<Vec<[u8; 6]>, DpdkError> {
        let most = self.facts()?.max_mac_addrs.max(1);
        let mut table = vec![sys::rte_ether_addr::default(); most as usize];
        // SAFETY: `table` has room for `most` addresses.
        let count = attempt("rte_eth_macaddrs_get", || unsafe {
            sys::rte_eth_macaddrs_get(self.id(), table.as_mut_ptr(), most)
        })?;
        table.truncate(usize::try_from(count).unwrap_or(0));
        let mut table: Vec<[u8; 6]> = table.iter().map(|address| address.addr_bytes).collect();
        let mut first = true;
        table.retain(|address| std::mem::take(&mut first) || *address != [0; 6]);
        Ok(table)
    }

    pub(super) fn facts(&self) -> Result<sys::rte_eth_dev_info, DpdkError> {
        let mut facts = sys::rte_eth_dev_info::default();
        // SAFETY: `facts` is writable.
        attempt("rte_eth_dev_info_get", || unsafe {
            sys::rte_eth_dev_info_get(self.id(), &raw mut facts)
        })?;
        Ok(facts)
    }
}
