//! A link operation's attributes as they arrive, and the first check of them.
//!
//! Owns the shape of requests and [`LinkRequest::validate`], which is the link
//! kind's own check before anything is looked up. Values are the raw ones of
//! routing netlink, so that every refusal of the kernel can be given by the same
//! test in the same order; whoever speaks JSON or TOML translates words first.

use crate::driver::Index;
use crate::errno::{Errno, Refusal};
use crate::mac::MacAddr;
use crate::mode::{Flags, MacaddrMode, Mode};

/// The type of an address inside `macaddr_data` (`IFLA_MACVLAN_MACADDR`).
pub const MACADDR: u16 = 4;

/// The longest address any kind of device has, in bytes (`MAX_ADDR_LEN`).
const LONGEST_ADDRESS: usize = 32;

/// What a request says; `None` is an attribute that is not there.
#[derive(Clone, Debug, Default)]
pub struct LinkRequest {
    /// Name of the new link (`IFLA_IFNAME`). Required to create one.
    pub name: Option<String>,
    /// The device below (`IFLA_LINK`).
    pub parent: Option<Index>,
    /// The link's address (`IFLA_ADDRESS`).
    pub address: Option<Vec<u8>>,
    /// Largest payload in bytes (`IFLA_MTU`).
    pub mtu: Option<u32>,
    /// Administratively up (`IFF_UP`).
    pub up: Option<bool>,
    /// `IFF_PROMISC`: hear all groups, and make the lower promiscuous.
    pub promisc: Option<bool>,
    /// `IFF_ALLMULTI`: hear all groups.
    pub allmulti: Option<bool>,
    /// The kind's own attributes (`IFLA_INFO_DATA`).
    pub data: Option<LinkData>,
    /// What the kernel's driver does not have.
    pub extensions: Extensions,
}

/// The attributes of the kind `macvlan` (`IFLA_MACVLAN_*`).
#[derive(Clone, Debug, Default)]
pub struct LinkData {
    /// [`Mode::value`].
    pub mode: Option<u32>,
    /// [`Flags::bits`].
    pub flags: Option<u16>,
    /// [`MacaddrMode::value`].
    pub macaddr_mode: Option<u32>,
    /// One address for the list.
    pub macaddr: Option<Vec<u8>>,
    /// Addresses for the list: attribute type ([`MACADDR`]) and value.
    pub macaddr_data: Option<Vec<(u16, Vec<u8>)>>,
    /// Read-only; refused (ER-09).
    pub macaddr_count: Option<u32>,
    /// Frames the lower's broadcast queue shall hold.
    pub bc_queue_len: Option<u32>,
    /// Read-only; refused (ER-09).
    pub bc_queue_len_used: Option<u32>,
    /// Groups with more members than this go through the queue; below 0 none does.
    pub bc_cutoff: Option<i32>,
}

/// Extensions of mvswitch: each off unless asked for.
#[derive(Clone, Debug, Default)]
pub struct Extensions {
    /// Further addresses of the link, which then has several.
    pub addresses: Option<Vec<MacAddr>>,
    /// Frames from the link must come from one of its own addresses.
    pub spoof_check: Option<bool>,
}

impl LinkRequest {
    /// The checks that need no state, in the kernel's order (section 1.4).
    ///
    /// # Errors
    /// ER-01 to ER-09.
    pub fn validate(&self) -> Result<(), Refusal> {
        if let Some(data) = &self.data {
            data.parse()?;
        }
        if self.address.as_ref().is_some_and(|address| address.len() > LONGEST_ADDRESS) {
            return Err(Errno::Erange.because("the address is too long for any device"));
        }
        if let Some(address) = &self.address {
            check_address(address, "the address")?;
        }
        let Some(data) = &self.data else { return Ok(()) };
        if data.flags.is_some_and(|flags| Flags::from_bits(flags).is_none()) {
            return Err(Errno::Einval.because("unknown flags: nopromisc is 1, nodst is 2"));
        }
        if data.mode.is_some_and(|mode| Mode::from_value(mode).is_none()) {
            return Err(Errno::Einval
                .because("unknown mode: private is 1, vepa 2, bridge 4, passthru 8, source 16"));
        }
        if data.macaddr_mode.is_some_and(|mode| MacaddrMode::from_value(mode).is_none()) {
            return Err(Errno::Einval
                .because("unknown operation on the source list: one of add, del, flush, set"));
        }
        if let Some(address) = &data.macaddr {
            check_address(address, "the source address")?;
        }
        for (kind, address) in data.macaddr_data.iter().flatten() {
            if *kind != MACADDR {
                return Err(Errno::Einval.because("the source list holds something else"));
            }
            check_address(address, "a source address")?;
        }
        if data.macaddr_count.is_some() {
            return Err(Errno::Einval.because("macaddr_count cannot be set: it is a count"));
        }
        Ok(())
    }
}

impl LinkData {
    /// What the kernel's attribute policy refuses before the kind is asked.
    fn parse(&self) -> Result<(), Refusal> {
        if self.macaddr.as_ref().is_some_and(|address| address.len() > LONGEST_ADDRESS) {
            return Err(Errno::Erange.because("the source address is too long for any device"));
        }
        if self.bc_queue_len_used.is_some() {
            return Err(Errno::Einval.because(
                "usedbcqueuelen cannot be set: it is the longest queue any link of the lower asks for",
            ));
        }
        Ok(())
    }

    /// The mode asked for, of a request that is valid.
    pub(crate) fn mode(&self) -> Option<Mode> {
        Mode::from_value(self.mode?)
    }

    /// The flags asked for, of a request that is valid.
    pub(crate) fn flags(&self) -> Option<Flags> {
        Flags::from_bits(self.flags?)
    }

    /// The list operation asked for, of a request that is valid.
    pub(crate) fn macaddr_mode(&self) -> Option<MacaddrMode> {
        MacaddrMode::from_value(self.macaddr_mode?)
    }
}

/// ER-01, ER-02, ER-07, ER-08: six bytes, neither a group nor all zero.
fn check_address(bytes: &[u8], what: &str) -> Result<MacAddr, Refusal> {
    let Ok(bytes) = <[u8; 6]>::try_from(bytes) else {
        return Err(Errno::Einval.because(format!("{what} has {} bytes instead of 6", bytes.len())));
    };
    let address = MacAddr::new(bytes);
    if address.is_valid_unicast() {
        Ok(address)
    } else {
        Err(Errno::Eaddrnotavail.because(format!(
            "{what} {address} is a group address or zero: it must be that of one device"
        )))
    }
}

/// The address in bytes that are known to be valid.
pub(crate) fn address_of(bytes: &[u8]) -> Result<MacAddr, Refusal> {
    check_address(bytes, "the address")
}
