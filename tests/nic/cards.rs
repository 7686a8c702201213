//! What a network card must do for the switch, whatever its model.
//!
//! One boot per model: a link with a tap on the card, so that the guest's own
//! Linux sits behind it as `mv0`. What the card let in is told by the lower's
//! counter, not by the link's: the switch would drop a stranger's frame by itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::frames::{BROADCAST, KIND, Mac, OUTSIDE, mac, text};
use super::rig::{NIC, Rig};

/// The address of the link.
const LINK: Mac = [2, 0, 0, 0, 0, 0x10];
/// An address that nobody has.
const STRANGER: Mac = [2, 7, 7, 7, 7, 7];
/// A group that the link joins, and one that it does not.
const JOINED: Mac = [1, 0, 0x5e, 1, 2, 3];
const FOREIGN: Mac = [1, 0, 0x5e, 0x44, 0x55, 0x66];

const CONFIG: &str = "[[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\naddress = \"02:00:00:00:00:10\"\n\
                      device = \"net_tap0,iface=mv0\"\n";

/// A model of QEMU's.
#[derive(Debug)]
pub(crate) struct Card {
    /// Its name for `-device`.
    pub(crate) model: &'static str,
    /// DPDK's driver for it.
    pub(crate) driver: &'static str,
    /// Addresses that its filter has room for, beside its own.
    pub(crate) room: usize,
    /// The driver programs groups one by one; else all are let in.
    pub(crate) lists_groups: bool,
}

/// Every step in one boot.
pub(crate) fn exercise(card: &Card) {
    let mut rig = Rig::start(card.model, CONFIG);
    starts(&mut rig, card);
    forwards(&mut rig);
    is_a_neighbour(&mut rig);
    filter_overflows(&mut rig, card);
    groups_are_listed(&mut rig, card);
    lower_is_changed(&mut rig);
    cable_is_pulled(&mut rig);
    passthru_is_the_card(&mut rig);
    let ended = rig.stop();
    assert_eq!(ended.left, 0, "{}", ended.last);
    assert_eq!(ended.complaints, Vec::<String>::new());
}

fn lower(rig: &mut Rig) -> Value {
    rig.show("lower", "lan0")
}

/// The addresses in the card's filter.
fn unicast(rig: &mut Rig) -> BTreeSet<Mac> {
    let shown = lower(rig)["mvswitch"]["unicast"].clone();
    shown.as_array().unwrap().iter().map(|one| mac(one.as_str().unwrap())).collect()
}

fn starts(rig: &mut Rig, card: &Card) {
    let said = rig.said();
    assert!(said.contains("memory: huge pages"), "{said}");
    assert!(said.contains("lower  lan0         0000:00:05.0"), "{said}");
    let driver = rig.shell("readlink /sys/bus/pci/devices/0000:00:05.0/driver");
    assert!(driver.trim().ends_with("/uio_pci_generic"), "{driver}");
    let log = rig.log();
    assert!(log.contains(card.driver), "{log}");
    rig.wait_state("lower", "lan0", "UP");
    rig.interface_up("mv0", LINK);
    let shown = lower(rig);
    assert_eq!(shown["address"], text(NIC));
    assert_eq!(shown["promiscuity"], 0, "{shown}");
    assert_eq!(unicast(rig), BTreeSet::from([LINK]));
}

/// One frame each; the third word says whether the card lets it in.
fn forwards(rig: &mut Rig) {
    let cases: [(Mac, &[&str], bool); 6] = [
        (LINK, &["mv0"], true),
        (STRANGER, &[], false),
        // Its own address: let in, but no link has it.
        (NIC, &[], true),
        (BROADCAST, &["mv0"], true),
        (JOINED, &["mv0"], true),
        (FOREIGN, &["mv0"], true),
    ];
    for (dst, to, let_in) in cases {
        let frame = rig.frames.plain(dst, OUTSIDE);
        assert_eq!(let_in_of(rig, &frame, to), let_in, "{}", text(dst));
    }
    let frame = rig.frames.plain(OUTSIDE, LINK);
    leaves(rig, frame);
    let frame = rig.frames.plain(BROADCAST, LINK);
    leaves(rig, frame);
}

/// Sends a frame from behind the link: it leaves the card as it is, and once.
#[track_caller]
fn leaves(rig: &mut Rig, frame: Vec<u8>) {
    let frames = [frame];
    rig.send("mv0", &frames);
    let mut seen = rig.wire.until("such frame", |seen| seen == frames[0]);
    // Linux may ask for a neighbour at any time.
    seen.retain(|seen| seen[12..14] == KIND);
    assert_eq!(seen, frames, "what left the card");
}

/// Injects a frame, checks who gets it, and says whether the card let it in.
#[track_caller]
fn let_in_of(rig: &mut Rig, frame: &[u8], to: &[&str]) -> bool {
    let received = |rig: &mut Rig| lower(rig)["stats64"]["rx"]["packets"].as_u64().unwrap();
    let before = received(rig);
    rig.expect(frame, to, "mv0");
    // The broadcast behind it counts, too.
    match received(rig) - before {
        1 => false,
        2 => true,
        other => panic!("{other} frames came in instead of one or two"),
    }
}

/// Linux behind the link is asked for its address, and pinged.
fn is_a_neighbour(rig: &mut Rig) {
    rig.shell("ip addr add 10.0.0.10/24 dev mv0");
    let (ours, theirs) = ([10, 0, 0, 1], [10, 0, 0, 10]);
    let arp = |dst: Mac, operation: u8, from: (Mac, [u8; 4]), to: (Mac, [u8; 4])| {
        let head = [8, 6, 0, 1, 8, 0, 6, 4, 0, operation];
        [&dst[..], &from.0, &head, &from.0, &from.1, &to.0, &to.1].concat()
    };
    rig.wire.send(&arp(BROADCAST, 1, (OUTSIDE, ours), ([0; 6], theirs)));
    let answer = arp(OUTSIDE, 2, (LINK, theirs), (OUTSIDE, ours));
    rig.wire.until("answer to who-has", |seen| seen.starts_with(&answer));

    let echo = |dst: Mac, src: Mac, kind: u8, from: [u8; 4], to: [u8; 4]| {
        let mut icmp = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
        icmp.extend((0..56).map(|n: u8| n));
        let sum = checksum(&icmp);
        icmp[2..4].copy_from_slice(&sum);
        let mut ip = vec![0x45, 0, 0, 84, 0, 0, 0, 0, 64, 1, 0, 0];
        ip.extend([from, to].concat());
        let sum = checksum(&ip);
        ip[10..12].copy_from_slice(&sum);
        [&dst[..], &src, &[8, 0], &ip, &icmp].concat()
    };
    rig.wire.send(&echo(LINK, OUTSIDE, 8, ours, theirs));
    let answer = echo(OUTSIDE, LINK, 0, theirs, ours);
    // The answer's IP header has an identification of its own.
    let seen = rig.wire.until("answer to a ping", |seen| {
        seen.len() == answer.len() && seen[..14] == answer[..14] && seen[23] == 1
    });
    assert_eq!(seen.last().unwrap()[26..], answer[26..]);
    rig.shell("ip addr flush dev mv0");
}

/// The Internet checksum.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!u16::try_from(folded).unwrap()).to_be_bytes()
}

/// UCF-01 to UCF-03: more addresses than the card has room for, and fewer again.
fn filter_overflows(rig: &mut Rig, card: &Card) {
    let further = |count: usize| -> Vec<Mac> {
        (0..count).map(|n| [2, 0, 0, 1, 0, u8::try_from(n).unwrap()]).collect()
    };
    let set = |rig: &mut Rig, addresses: &[Mac]| {
        let addresses: Vec<String> = addresses.iter().map(|one| text(*one)).collect();
        rig.call("link.set", json!({"name": "mv0", "addresses": addresses}));
    };
    // To the last place: each is let in, a stranger is not.
    let full = further(card.room - 1);
    set(rig, &full);
    let shown = lower(rig);
    assert_eq!(shown["promiscuity"], 0, "{shown}");
    assert_eq!(unicast(rig), full.iter().copied().chain([LINK]).collect());
    for dst in [full[0], full[card.room - 2], LINK] {
        let frame = rig.frames.plain(dst, OUTSIDE);
        assert!(let_in_of(rig, &frame, &["mv0"]), "{}", text(dst));
    }
    let frame = rig.frames.plain(STRANGER, OUTSIDE);
    assert!(!let_in_of(rig, &frame, &[]), "a stranger's frame was let in by a full filter");

    // One more: everything is let in, and that is said.
    let more = further(card.room);
    set(rig, &more);
    let shown = lower(rig);
    assert_eq!(shown["promiscuity"], 1, "{shown}");
    let why = "the links have more addresses than its filter has room for";
    assert_eq!(shown["mvswitch"]["promiscuous_because"], why);
    assert!(shown["flags"].as_array().unwrap().contains(&json!("PROMISC")), "{shown}");
    for dst in [more[0], more[card.room - 1], LINK] {
        let frame = rig.frames.plain(dst, OUTSIDE);
        assert!(let_in_of(rig, &frame, &["mv0"]), "{}", text(dst));
    }
    let frame = rig.frames.plain(STRANGER, OUTSIDE);
    assert!(let_in_of(rig, &frame, &[]), "the card is not promiscuous");

    set(rig, &[]);
    let shown = lower(rig);
    assert_eq!(shown["promiscuity"], 0, "{shown}");
    assert_eq!(shown["mvswitch"]["promiscuous_because"], Value::Null);
    assert_eq!(unicast(rig), BTreeSet::from([LINK]));
    for (dst, to) in [(LINK, &["mv0"][..]), (STRANGER, &[]), (more[0], &[])] {
        let frame = rig.frames.plain(dst, OUTSIDE);
        assert_eq!(let_in_of(rig, &frame, to), !to.is_empty(), "{}", text(dst));
    }
}

/// MCF-05, MCF-06: a link that hears single groups.
fn groups_are_listed(rig: &mut Rig, card: &Card) {
    rig.call("link.set", json!({"name": "mv0", "allmulticast": false}));
    rig.call("filter.add", json!({"name": "mv0", "address": text(JOINED)}));
    let shown = lower(rig);
    let groups = if card.lists_groups { json!([text(JOINED)]) } else { json!([]) };
    assert_eq!(shown["mvswitch"]["groups"], groups, "{shown}");
    assert_eq!(shown["allmulti"], u32::from(!card.lists_groups), "{shown}");
    for (dst, to) in [(JOINED, &["mv0"][..]), (FOREIGN, &[]), (BROADCAST, &["mv0"])] {
        let frame = rig.frames.plain(dst, OUTSIDE);
        let expected = !to.is_empty() || !card.lists_groups;
        assert_eq!(let_in_of(rig, &frame, to), expected, "{}", text(dst));
    }
    rig.call("filter.del", json!({"name": "mv0", "address": text(JOINED)}));
    assert_eq!(lower(rig)["mvswitch"]["groups"], json!([]));
    // Where nobody wants a group, none has to be let in for want of a list.
    assert_eq!(lower(rig)["allmulti"], 0);
    let frame = rig.frames.plain(JOINED, OUTSIDE);
    assert!(!let_in_of(rig, &frame, &[]), "a group that nobody hears was let in");
    rig.call("link.set", json!({"name": "mv0", "allmulticast": true}));
    assert_eq!(lower(rig)["allmulti"], 1);
    let frame = rig.frames.plain(FOREIGN, OUTSIDE);
    assert!(let_in_of(rig, &frame, &["mv0"]));
}

/// NT-03 to NT-05: the card takes what the lower is told.
fn lower_is_changed(rig: &mut Rig) {
    const OTHER: Mac = [2, 0, 0, 0, 0, 0x66];
    rig.call("lower.set", json!({"name": "lan0", "address": text(OTHER)}));
    assert_eq!(lower(rig)["address"], text(OTHER));
    for (dst, to, let_in) in
        [(OTHER, &[][..], true), (NIC, &[], false), (LINK, &["mv0"], true), (STRANGER, &[], false)]
    {
        let frame = rig.frames.plain(dst, OUTSIDE);
        assert_eq!(let_in_of(rig, &frame, to), let_in, "{}", text(dst));
    }
    rig.call("lower.set", json!({"name": "lan0", "address": text(NIC)}));
    assert_eq!(lower(rig)["address"], text(NIC));

    rig.call("lower.set", json!({"name": "lan0", "mtu": 1400}));
    assert_eq!((&lower(rig)["mtu"], &rig.show("link", "mv0")["mtu"]), (&json!(1400), &json!(1400)));
    let mut frame = rig.frames.plain(LINK, OUTSIDE);
    frame.resize(1414, 0xaa);
    assert!(let_in_of(rig, &frame, &["mv0"]), "a frame of just its MTU");
    rig.call("lower.set", json!({"name": "lan0", "mtu": 1500}));
    rig.call("link.set", json!({"name": "mv0", "mtu": 1500}));
    let mut frame = rig.frames.plain(LINK, OUTSIDE);
    frame.resize(1514, 0xaa);
    assert!(let_in_of(rig, &frame, &["mv0"]), "a frame of just its MTU");
    let mut frame = rig.frames.plain(OUTSIDE, LINK);
    frame.resize(1514, 0xaa);
    leaves(rig, frame);

    rig.call("lower.set", json!({"name": "lan0", "up": false}));
    assert_eq!(rig.show("link", "mv0")["operstate"], "LOWERLAYERDOWN");
    rig.call("lower.set", json!({"name": "lan0", "up": true}));
    rig.wait_state("link", "mv0", "UP");
    let frame = rig.frames.plain(LINK, OUTSIDE);
    assert!(let_in_of(rig, &frame, &["mv0"]));
}

/// NT-01: carrier.
fn cable_is_pulled(rig: &mut Rig) {
    rig.plug(false);
    rig.wait_state("link", "mv0", "LOWERLAYERDOWN");
    assert_eq!(lower(rig)["operstate"], "DOWN");
    rig.plug(true);
    rig.wait_state("link", "mv0", "UP");
    assert_eq!(lower(rig)["operstate"], "UP");
    let frame = rig.frames.plain(LINK, OUTSIDE);
    assert!(let_in_of(rig, &frame, &["mv0"]));
    let frame = rig.frames.plain(OUTSIDE, LINK);
    leaves(rig, frame);
}

/// LC-15, LC-19, MA-02, MA-03, UCF-05, UCF-07: a passthru link is its lower.
fn passthru_is_the_card(rig: &mut Rig) {
    const OTHER: Mac = [2, 0, 0, 0, 0, 0x77];
    rig.call("link.del", json!({"name": "mv0"}));
    let device = "net_tap1,iface=pt0";
    let link = json!({"name": "pt0", "link": "lan0", "mode": "passthru", "nopromisc": true, "device": device});
    rig.call("link.add", link);
    rig.interface_up("pt0", NIC);
    assert_eq!(rig.show("link", "pt0")["address"], text(NIC));
    let shown = lower(rig);
    assert_eq!((&shown["promiscuity"], &shown["mvswitch"]["unicast"]), (&json!(0), &json!([])));
    let frame = rig.frames.plain(NIC, OUTSIDE);
    rig.expect(&frame, &["pt0"], "pt0");

    rig.call("link.set", json!({"name": "pt0", "address": text(OTHER)}));
    assert_eq!(lower(rig)["address"], text(OTHER));
    for (dst, to) in [(OTHER, &["pt0"][..]), (NIC, &[]), (STRANGER, &[]), (LINK, &[])] {
        let frame = rig.frames.plain(dst, OUTSIDE);
        rig.expect(&frame, to, "pt0");
    }
    rig.call("link.set", json!({"name": "pt0", "nopromisc": false}));
    let shown = lower(rig);
    assert_eq!(shown["promiscuity"], 1);
    assert_eq!(shown["mvswitch"]["promiscuous_because"], "a link asks for it");
    let frame = rig.frames.plain(STRANGER, OUTSIDE);
    rig.expect(&frame, &["pt0"], "pt0");

    rig.call("link.del", json!({"name": "pt0"}));
    let shown = lower(rig);
    assert_eq!((&shown["address"], &shown["promiscuity"]), (&json!(text(NIC)), &json!(0)));
    let link = json!({"name": "mv0", "link": "lan0", "address": text(LINK), "device": "net_tap2,iface=mv0"});
    rig.call("link.add", link);
    rig.interface_up("mv0", LINK);
    for (dst, to, let_in) in
        [(LINK, &["mv0"][..], true), (OTHER, &[], false), (STRANGER, &[], false), (NIC, &[], true)]
    {
        let frame = rig.frames.plain(dst, OUTSIDE);
        assert_eq!(let_in_of(rig, &frame, to), let_in, "{}", text(dst));
    }
}
