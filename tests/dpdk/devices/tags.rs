//! A VLAN tag is taken off and put on, byte by byte; a shared frame stays as it is.

use mvswitch::dpdk::{Mbuf, VlanTag};

use super::super::{Bench, frame, mac};

/// Bytes that differ from place to place.
fn payload(len: u8) -> Vec<u8> {
    let mut bytes = frame(mac(1), mac(2), 0xa1b2_c3d4, 18);
    bytes.extend((18..len).map(|number| number.wrapping_mul(37)));
    bytes
}

/// `bytes` with a tag behind the addresses.
fn tagged(bytes: &[u8], tag: [u8; 4]) -> Vec<u8> {
    [&bytes[..12], &tag, &bytes[12..]].concat()
}

pub(crate) fn tags_go_on_and_off(bench: &Bench) {
    let pool = &bench.pool;
    let inner = VlanTag { tpid: 0x8100, tci: 0xe123 };
    let outer = VlanTag { tpid: 0x88a8, tci: 0x0fff };
    assert_eq!((inner.id(), outer.id()), (0x123, 0xfff));
    for len in [18, 60, 200] {
        let bytes = payload(len);
        let once = tagged(&bytes, [0x81, 0, 0xe1, 0x23]);
        let twice = tagged(&once, [0x88, 0xa8, 0x0f, 0xff]);
        let mut plain = pool.frame(&bytes).unwrap();
        assert_eq!((plain.vlan_tag(), plain.vlan_pop()), (None, None));
        assert_eq!(plain.bytes(), bytes);
        let place = plain.bytes().as_ptr();
        let frame = plain.vlan_push(pool, inner.tpid, inner.tci).unwrap();
        assert_eq!(frame.bytes().as_ptr(), place.wrapping_sub(4), "not in place");
        assert_eq!((frame.bytes(), frame.len()), (&once[..], u32::from(len) + 4));
        let mut frame = frame.vlan_push(pool, outer.tpid, outer.tci).unwrap();
        assert_eq!((frame.bytes(), frame.len()), (&twice[..], u32::from(len) + 8));
        assert_eq!(frame.vlan_tag(), Some(outer));
        assert_eq!(frame.vlan_pop(), Some(outer));
        assert_eq!((frame.bytes(), frame.len()), (&once[..], u32::from(len) + 4));
        assert_eq!(frame.vlan_pop(), Some(inner));
        assert_eq!((frame.bytes(), frame.len()), (&bytes[..], u32::from(len)));
        assert_eq!(frame.bytes().as_ptr(), place);
        assert_eq!(pool.in_use(), 1);
    }
    // Too short for what it announces, and too short for anything.
    let bytes = payload(60);
    let mut cut = pool.frame(&tagged(&bytes, [0x81, 0, 0, 1])[..17]).unwrap();
    assert_eq!(cut.vlan_pop(), None);
    let runt = pool.frame(&bytes[..13]).unwrap();
    let runt = runt.vlan_push(pool, 0x8100, 1).expect_err("no header");
    assert_eq!(runt.bytes(), &bytes[..13]);
    // 128 bytes of headroom are 32 tags; the next one takes a copy.
    let mut stack = pool.frame(&bytes).unwrap();
    for number in 0..40 {
        stack = stack.vlan_push(pool, 0x8100, number).unwrap();
    }
    assert_eq!(stack.len(), 60 + 160);
    for number in (0..40).rev() {
        assert_eq!(stack.vlan_pop(), Some(VlanTag { tpid: 0x8100, tci: number }));
    }
    assert_eq!(stack.bytes(), bytes);
    assert_eq!(pool.in_use(), 3, "the cut one, the runt and the stack");
}

pub(crate) fn a_shared_frame_is_not_written_to(bench: &Bench) {
    let pool = &bench.pool;
    let bytes = payload(60);
    let with_tag = tagged(&bytes, [0x81, 0, 0, 5]);
    let frame = pool.frame(&with_tag).unwrap();
    assert!(!frame.is_shared());
    let mut twin = frame.share();
    assert!(frame.is_shared() && twin.is_shared());
    assert_eq!(twin.vlan_tag(), Some(VlanTag { tpid: 0x8100, tci: 5 }));
    assert_eq!(twin.vlan_pop(), None);
    assert_eq!((frame.bytes(), twin.bytes()), (&with_tag[..], &with_tag[..]));
    // Pushing copies, and the other handle keeps what it has.
    let pushed = twin.vlan_push(pool, 0x88a8, 9).unwrap();
    assert_eq!(pushed.bytes(), tagged(&with_tag, [0x88, 0xa8, 0, 9]));
    assert_eq!(frame.bytes(), with_tag);
    assert!(!frame.is_shared() && !pushed.is_shared());
    assert_eq!(pool.in_use(), 2);
    // A copy is nobody else's, and has all of its headroom.
    let mut copy = frame.copy(pool).unwrap();
    assert_eq!(copy.bytes(), frame.bytes());
    assert_ne!(copy.bytes().as_ptr(), frame.bytes().as_ptr());
    copy.vlan_pop().unwrap();
    assert_eq!((copy.bytes(), frame.bytes()), (&bytes[..], &with_tag[..]));
    drop((copy, pushed));
    // Without a buffer the frame comes back as it was, shared or not.
    let twin = frame.share();
    let hoard: Vec<Mbuf> = std::iter::from_fn(|| pool.frame(&[0; 14])).collect();
    assert!(frame.copy(pool).is_none());
    let back = twin.vlan_push(pool, 0x8100, 1).expect_err("no buffer is left");
    assert_eq!((back.bytes(), frame.bytes()), (&with_tag[..], &with_tag[..]));
    drop(back);
    // In place none is needed.
    let frame = frame.vlan_push(pool, 0x8100, 1).unwrap();
    assert_eq!(frame.len(), 68);
    drop(hoard);
    assert_eq!(pool.in_use(), 1);
}
