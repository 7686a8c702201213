//! Announcements: telling the neighbours of a link where it is now.
//!
//! Made by control on an event of the lower (NT-09), on request, and when a
//! guest comes back after a pause in which switches may have forgotten it (B19).
//! The frame enters as if the guest had sent it, so the rules of its mode apply:
//! siblings in bridge mode learn, too.

use macvlan::mac::MacAddr;

use crate::datapath::Port;
use crate::dpdk::Pool;

/// Addresses of one link that are announced at once; one frame each.
const MOST: usize = 32;

/// A reverse ARP request in which the address asks for itself (RFC 903): needs
/// no IP address and is answered by nobody. What QEMU sends after a migration.
fn frame(address: MacAddr) -> [u8; 60] {
    let mut frame = [0; 60];
    let mac = address.bytes();
    let fields: [(usize, &[u8]); 6] = [
        (0, &MacAddr::BROADCAST.bytes()),
        (6, &mac),
        (12, &[0x80, 0x35]),
        // Ethernet, IPv4, lengths 6 and 4, operation 3.
        (14, &[0, 1, 8, 0, 6, 4, 0, 3]),
        (22, &mac),
        (32, &mac),
    ];
    for (at, bytes) in fields {
        if let Some(place) = frame.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
    frame
}

/// Announces these addresses from `port`. Its worker must be woken afterwards.
pub(super) fn announce(port: &Port, pool: &Pool, addresses: impl Iterator<Item = MacAddr>) {
    for address in addresses.take(MOST) {
        // Without a buffer, or behind too many others, there is none: it is a
        // courtesy to the neighbours.
        if let Some(frame) = pool.frame(&frame(address)) {
            port.inject(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_asks_for_its_own_sender() {
        let frame = frame(MacAddr::new([2, 0, 0, 0, 0, 7]));
        assert_eq!(frame[..14], [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 7, 0x80, 0x35]);
        assert_eq!(frame[14..32], [0, 1, 8, 0, 6, 4, 0, 3, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0]);
        assert_eq!(frame[32..42], [2, 0, 0, 0, 0, 7, 0, 0, 0, 0]);
        assert!(frame[42..].iter().all(|&byte| byte == 0));
    }
}
