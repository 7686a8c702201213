//! What net_af_packet's interface shall hear, as memberships of a packet socket.
//!
//! The driver can do no more than set the interface's promiscuous flag, which
//! then outlives the process. The kernel has more to offer to a packet socket,
//! the same that a kernel macvlan asks of its lower: single addresses, groups,
//! all groups, everything. It counts what is asked and takes it back when the
//! socket closes, however that comes about. Owned by the port; control only.

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::error::DpdkError;

/// Kinds of membership, by their numbers in linux/if_packet.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Group = 0,
    Promiscuous = 1,
    AllGroups = 2,
    Address = 3,
}

/// The interface's memberships through this socket.
#[derive(Debug)]
pub(super) struct Memberships {
    // Bound to no protocol: it receives nothing.
    socket: OwnedFd,
    index: libc::c_int,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    groups: BTreeSet<[u8; 6]>,
    addresses: BTreeSet<[u8; 6]>,
    all_groups: bool,
    promiscuous: bool,
}

/// struct packet_mreq of linux/if_packet.h.
#[repr(C)]
struct Request {
    index: libc::c_int,
    kind: u16,
    len: u16,
    address: [u8; 8],
}

const REQUEST_LEN: libc::socklen_t = 16;
const _: () = assert!(size_of::<Request>() == REQUEST_LEN as usize);

impl Memberships {
    /// No memberships yet, of interface `index`.
    pub(super) fn open(index: libc::c_int) -> Result<Self, DpdkError> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)
            .map_err(|errno| failed("socket", errno as i32))?;
        Ok(Self { socket, index, held: Mutex::default() })
    }

    pub(super) fn set_promiscuous(&self, on: bool) -> Result<(), DpdkError> {
        let mut held = self.held();
        self.switch(&mut held.promiscuous, on, Kind::Promiscuous)
    }

    pub(super) fn set_all_groups(&self, on: bool) -> Result<(), DpdkError> {
        let mut held = self.held();
        self.switch(&mut held.all_groups, on, Kind::AllGroups)
    }

    /// Joins the groups not yet held, then leaves those not named. On an error
    /// every group held before is held still.
    pub(super) fn set_groups(&self, groups: &[[u8; 6]]) -> Result<(), DpdkError> {
        let mut held = self.held();
        let wanted: BTreeSet<[u8; 6]> = groups.iter().copied().collect();
        for group in &wanted - &held.groups {
            self.change(true, Kind::Group, group)?;
            held.groups.insert(group);
        }
        for group in &held.groups - &wanted {
            self.change(false, Kind::Group, group)?;
            held.groups.remove(&group);
        }
        Ok(())
    }

    pub(super) fn add_address(&self, address: [u8; 6]) -> Result<(), DpdkError> {
        let mut held = self.held();
        if !held.addresses.contains(&address) {
            self.change(true, Kind::Address, address)?;
            held.addresses.insert(address);
        }
        Ok(())
    }

    /// Returns whether the address was held.
    pub(super) fn remove_address(&self, address: [u8; 6]) -> Result<bool, DpdkError> {
        let mut held = self.held();
        let known = held.addresses.contains(&address);
        if known {
            self.change(false, Kind::Address, address)?;
            held.addresses.remove(&address);
        }
        Ok(known)
    }

    fn switch(&self, held: &mut bool, on: bool, kind: Kind) -> Result<(), DpdkError> {
        if *held != on {
            self.change(on, kind, [0; 6])?;
            *held = on;
        }
        Ok(())
    }

    fn change(&self, join: bool, kind: Kind, address: [u8; 6]) -> Result<(), DpdkError> {
        let [a, b, c, d, e, f] = address;
        let address = [a, b, c, d, e, f, 0, 0];
        let request = Request { index: self.index, kind: kind as u16, len: 6, address };
        let (call, option) = match join {
            true => ("PACKET_ADD_MEMBERSHIP", libc::PACKET_ADD_MEMBERSHIP),
            false => ("PACKET_DROP_MEMBERSHIP", libc::PACKET_DROP_MEMBERSHIP),
        };
        // SAFETY: the option takes one packet_mreq of that length.
        let code = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const request).cast(),
                REQUEST_LEN,
            )
        };
        if code == 0 { Ok(()) } else { Err(failed(call, nix::errno::Errno::last_raw())) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(call: &'static str, errno: i32) -> DpdkError {
    DpdkError { call, errno, said: None }
}
