//! The translation, on interfaces that this machine need not have.

use std::path::Path;

use macvlan::mac::MacAddr;
use macvlan::mode::Flags;

use super::*;
use crate::config::{Config, LowerDevice, VlanProtocol};

fn interface(index: u32, name: &str, lower: Lower, kind: Kind) -> Interface {
    let [.., last] = index.to_be_bytes();
    Interface {
        index,
        name: name.to_owned(),
        address: Some(MacAddr::new([2, 0, 0, 0, 0, last])),
        mtu: 1500,
        up: true,
        promisc: false,
        ethernet: true,
        master: None,
        lower,
        kind,
    }
}

fn eth0() -> Interface {
    interface(2, "eth0", Lower::None, Kind::Other)
}

fn link(mode: Mode) -> Macvlan {
    Macvlan {
        tap: false,
        mode: Some(mode),
        nopromisc: false,
        nodst: false,
        sources: Vec::new(),
        bcqueuelen: Some(BC_QUEUE_LEN),
        bclim: Some(BC_LIMIT),
    }
}

fn on(index: u32, name: &str, lower: u32, mode: Mode) -> Interface {
    interface(index, name, Lower::Here(lower), Kind::Macvlan(link(mode)))
}

/// The text, and what the config's own rules make of it.
#[track_caller]
fn parsed(here: &[Interface], elsewhere: &Elsewhere) -> (String, Config) {
    let text = translate("eth0", here, elsewhere).unwrap();
    let config = Config::parse(&text, Path::new("eth0.toml"));
    let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
    (text, config)
}

#[test]
fn a_vlan_with_links_is_a_vlan_lower() {
    let vlan = |id, service_tag| Kind::Vlan { id, service_tag };
    let here = [
        // Listed before its carrier, as the kernel may.
        interface(3, "eth0.10", Lower::Here(2), vlan(10, false)),
        eth0(),
        interface(4, "eth0.20", Lower::Here(2), vlan(20, false)),
        interface(5, "eth0.30", Lower::Here(2), vlan(30, true)),
        on(6, "mv0", 3, Mode::Vepa),
        on(7, "mv1", 5, Mode::Vepa),
        on(8, "other", 9, Mode::Vepa),
    ];
    let (text, config) = parsed(&here, &Elsewhere::default());
    let names: Vec<&str> = config.lowers.iter().map(|lower| lower.name.as_str()).collect();
    assert_eq!(names, ["eth0", "eth0.10"], "{text}");
    assert_eq!(
        config.lowers[1].device,
        LowerDevice::Vlan { lower: "eth0".into(), id: 10, protocol: VlanProtocol::Dot1q }
    );
    assert_eq!(config.lowers[1].address, Some(MacAddr::new([2, 0, 0, 0, 0, 3])));
    assert_eq!(config.lowers[0].address, None);
    let [link] = &config.links[..] else { panic!("{text}") };
    assert_eq!((link.name.as_str(), link.lower.as_str()), ("mv0", "eth0.10"));
    assert!(text.contains("# eth0.30 is VLAN 30 by 802.1ad"), "{text}");
}

#[test]
fn names_become_good_ones_and_stay_apart() {
    let here = [
        eth0(),
        on(3, "a+b", 2, Mode::Bridge),
        on(4, "a*b", 2, Mode::Bridge),
        on(5, ".hidden", 2, Mode::Bridge),
        on(6, "\"q\u{1b}'", 2, Mode::Bridge),
    ];
    let long = "n".repeat(40);
    let links = [7, 8].map(|index| (long.clone(), on(index, "eth0", 2, Mode::Bridge))).to_vec();
    let (text, config) = parsed(&here, &Elsewhere { links, closed: 2 });
    let names: Vec<&str> = config.links.iter().map(|link| link.name.as_str()).collect();
    let (first, second) = ("n".repeat(32), format!("{}-2", "n".repeat(30)));
    assert_eq!(names, ["a-b", "a-b-2", "-hidden", "-q--", &first, &second]);
    assert!(text.contains("# \"a+b\", in letters"), "{text}");
    assert!(text.contains(r#"ip link del '"q?'\'''"#), "for a shell: {text}");
    assert!(text.contains("could not be looked into: 2"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn every_attribute_is_kept_or_commented_on() {
    let mut source = link(Mode::Source);
    source.sources = [9, 8].map(|last| MacAddr::new([2, 0, 0, 0, 1, last])).to_vec();
    source.nodst = true;
    source.bcqueuelen = Some(77);
    source.bclim = Some(-1);
    let mut tap = link(Mode::Vepa);
    tap.tap = true;
    tap.nopromisc = true;
    let mut unknown = link(Mode::Vepa);
    unknown.mode = None;
    let mut here = vec![eth0()];
    here.extend((3..).zip([source, tap, unknown]).map(|(index, link)| {
        interface(index, &format!("mv{index}"), Lower::Here(2), Kind::Macvlan(link))
    }));
    here[0].mtu = 9000;
    here[1].mtu = 9000;
    here[1].up = false;
    here[1].promisc = true;
    here[2].mtu = 1400;
    let (text, config) = parsed(&here, &Elsewhere::default());
    let [first, second] = &config.links[..] else { panic!("{text}") };
    assert_eq!(first.macaddr.len(), 2);
    assert!(first.macaddr.is_sorted(), "{text}");
    assert!(first.flags.contains(Flags::NODST));
    assert_eq!((first.bcqueuelen, first.bclim), (77, Some(-1)));
    assert_eq!((first.up, first.promisc, first.mtu), (false, true, 1500));
    assert_eq!((second.up, second.promisc, second.mtu), (true, false, 1400));
    assert_eq!((second.bcqueuelen, second.bclim), (BC_QUEUE_LEN, None));
    for comment in [
        "# the kernel has mtu 9000",
        "# a macvtap",
        "# nopromisc has no effect",
        "# mv5 is in a mode without an equivalent",
    ] {
        assert!(text.contains(comment), "{comment}: {text}");
    }
}

#[test]
fn passthru_has_its_lowers_address_and_keeps_nopromisc() {
    let mut passthru = link(Mode::Passthru);
    passthru.nopromisc = true;
    let here = [eth0(), interface(3, "mv0", Lower::Here(2), Kind::Macvlan(passthru))];
    let (text, config) = parsed(&here, &Elsewhere::default());
    assert!(config.links[0].flags.contains(Flags::NOPROMISC), "{text}");
    assert!(!text.contains("address ="), "{text}");
}

#[test]
fn what_cannot_be_imported_is_said() {
    let here = [
        eth0(),
        interface(3, "eth1", Lower::None, Kind::Other),
        on(4, "mv0", 3, Mode::Bridge),
        interface(5, "a,b", Lower::None, Kind::Other),
        // On a lower of another namespace, whose number is eth0's by chance.
        interface(6, "far", Lower::Elsewhere(2, 0), Kind::Macvlan(link(Mode::Bridge))),
    ];
    for (name, needle) in [
        ("eth7", "there is no interface \"eth7\"; write one of eth0, eth1"),
        ("eth0", "there is no macvlan link on eth0, but on eth1"),
        ("mv0", "type mvswitch import eth1"),
        ("a,b", "comma"),
    ] {
        let error = translate(name, &here, &Elsewhere::default()).unwrap_err();
        assert!(error.contains(needle), "{name}: {error}");
    }
    let closed = Elsewhere { closed: 1, ..Elsewhere::default() };
    let error = translate("eth0", &here[..2], &closed).unwrap_err();
    assert!(error.contains("nor on any other") && error.contains(": 1;"), "{error}");
}
