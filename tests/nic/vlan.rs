//! VLAN lowers beside the 8021q and macvlan modules of Debian's kernel.
//!
//! Both cards of the guest have the same address, and each carries the same
//! tree: a link on the card, two on its VLAN 10, one on its service VLAN 10. The
//! kernel's links are called like the switch's but for the first letter. What is
//! put onto one wire is put onto the other.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::frames::{BROADCAST, Mac, OUTSIDE, text};
use super::rig::{NIC, Rig, Seen};
use super::wire::Wire;

/// The links, as both have them: name, lower of the switch, interface of the
/// kernel, address.
const LINKS: [(&str, &str, &str, Mac); 4] = [
    ("p", "lan0", "eth0", [2, 0, 0, 0, 1, 0]),
    ("v", "vlan10", "eth0.c", [2, 0, 0, 0, 1, 1]),
    ("w", "vlan10", "eth0.c", [2, 0, 0, 0, 1, 2]),
    ("s", "service10", "eth0.s", [2, 0, 0, 0, 1, 3]),
];

const GROUP: Mac = [1, 0, 0x5e, 1, 2, 3];
const STRANGER: Mac = [2, 7, 7, 7, 7, 7];

/// The kernel makes copies of group frames a moment later.
const LATE: Duration = Duration::from_millis(150);

const C: u16 = 0x8100;
const S: u16 = 0x88a8;

/// Tags of a frame, the outer one first.
const TAGS: [&[(u16, u16)]; 13] = [
    &[],
    &[(C, 10)],
    // Priority and drop eligibility beside the id.
    &[(C, 0xb00a)],
    // Priority alone.
    &[(C, 0xa000)],
    &[(C, 11)],
    &[(C, 4095)],
    &[(S, 10)],
    &[(S, 11)],
    &[(S, 10), (C, 10)],
    &[(S, 11), (C, 10)],
    &[(C, 10), (C, 10)],
    &[(C, 10), (C, 20)],
    &[(C, 10), (S, 10)],
];

fn config() -> String {
    let mut config = "[[lower]]\nname = \"vlan10\"\nlower = \"lan0\"\nvlan = 10\n\
                      [[lower]]\nname = \"service10\"\nlower = \"lan0\"\nvlan = 10\n\
                      vlan_protocol = \"802.1ad\"\n"
        .to_owned();
    for (number, (name, lower, _, address)) in LINKS.iter().enumerate() {
        config += &format!(
            "[[macvlan]]\nname = \"m{name}\"\nlink = \"{lower}\"\naddress = \"{}\"\n\
             device = \"net_tap{number},iface=m{name}\"\n",
            text(*address)
        );
    }
    config
}

/// The kernel's tree. Everything comes in, as at the switch: QEMU's card keeps
/// tags out that nobody asked for.
fn build(rig: &mut Rig) {
    let mut lines = vec![
        "link set eth0 up promisc on".to_owned(),
        "link add link eth0 name eth0.c type vlan id 10".to_owned(),
        "link add link eth0 name eth0.s type vlan proto 802.1ad id 10".to_owned(),
        "link set eth0.c up".to_owned(),
        "link set eth0.s up".to_owned(),
    ];
    for (name, _, lower, address) in LINKS {
        let address = text(address);
        lines.push(format!(
            "link add link {lower} name k{name} address {address} type macvlan mode bridge"
        ));
        lines.push(format!("link set k{name} up allmulticast on"));
    }
    for line in lines {
        rig.shell(&format!("/usr/sbin/ip {line}"));
    }
    for (name, _, _, address) in LINKS {
        rig.interface_up(&format!("m{name}"), address);
    }
}

/// Every destination a frame can have.
fn destinations() -> Vec<Mac> {
    let links = LINKS.map(|(.., address)| address);
    links.into_iter().chain([NIC, STRANGER, GROUP, BROADCAST]).collect()
}

/// What the links with this first letter got, by the rest of their names.
fn of(seen: &[Seen], first: char) -> Vec<Seen> {
    let seen = seen.iter().filter_map(|(name, frame)| {
        let name = name.strip_prefix(first)?;
        LINKS.iter().any(|(link, ..)| *link == name).then(|| (name.to_owned(), frame.clone()))
    });
    let mut seen: Vec<Seen> = seen.collect();
    seen.sort();
    seen
}

/// Says where two lists differ, one frame a line.
#[track_caller]
fn same(what: &str, ours: &[Seen], kernel: &[Seen]) {
    let lines = |sign: char, of: &[Seen], other: &[Seen]| -> String {
        let only = of.iter().filter(|seen| {
            let count = |list: &[Seen]| list.iter().filter(|one| one == seen).count();
            count(of) > count(other)
        });
        only.map(|(name, frame)| format!("{sign} {name}: {:02x?}\n", &frame[..30])).collect()
    };
    let differences = lines('+', ours, kernel) + &lines('-', kernel, ours);
    assert!(differences.is_empty(), "{what}: + ours alone, - the kernel's alone\n{differences}");
}

/// VLAN lowers of a card of this model do as the kernel's VLANs with macvlan links on them.
pub(crate) fn compare(model: &str) {
    let mut rig = Rig::start(model, &config());
    rig.wait_state("lower", "service10", "UP");
    build(&mut rig);
    let shown = rig.show("lower", "vlan10");
    assert_eq!(shown["address"], json!(text(NIC)), "{shown}");
    let shown = rig.show("lower", "lan0");
    let why = (model == "virtio-net-pci").then_some("the device keeps tagged frames out otherwise");
    assert_eq!(shown["mvswitch"]["promiscuous_because"], json!(why), "{shown}");
    from_the_wire(&mut rig);
    from_the_links(&mut rig);
    let ended = rig.stop();
    assert_eq!(ended.left, 0, "{}", ended.last);
    assert_eq!(ended.complaints, Vec::<String>::new());
}

fn from_the_wire(rig: &mut Rig) {
    for tags in TAGS {
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for dst in destinations() {
            frames.push(rig.frames.tagged(dst, OUTSIDE, tags));
        }
        // What a switch outside reflects: from one of the links.
        for src in [LINKS[0].3, LINKS[1].3, LINKS[3].3] {
            frames.push(rig.frames.tagged(BROADCAST, src, tags));
            frames.push(rig.frames.tagged(LINKS[2].3, src, tags));
        }
        let mark = rig.frames.plain(BROADCAST, OUTSIDE);
        for frame in frames.iter().chain([&mark]) {
            rig.wire.send(frame);
            rig.other.send(frame);
        }
        let seen = rig.collect(&["kp", "mp"], &mark, LATE);
        let (ours, kernel) = (of(&seen, 'm'), of(&seen, 'k'));
        same(&format!("from the wire, tags {tags:x?}"), &ours, &kernel);
        // Comparing nothing with nothing would prove nothing.
        let who: BTreeSet<&str> = ours.iter().map(|(name, _)| &**name).collect();
        let wanted: &[&str] = match tags {
            [(C, control), ..] if control & 0xfff == 10 => &["v", "w"],
            [(S, 10), ..] => &["s"],
            _ => &["p"],
        };
        assert_eq!(who.into_iter().collect::<Vec<_>>(), wanted, "from the wire, tags {tags:x?}");
    }
}

fn from_the_links(rig: &mut Rig) {
    for (name, _, _, src) in LINKS {
        for tags in [&[][..], &[(C, 20)], &[(C, 10)], &[(S, 20)]] {
            let mut frames = Vec::new();
            for dst in destinations().into_iter().filter(|dst| *dst != src) {
                frames.push(rig.frames.tagged(dst, src, tags));
            }
            let last = rig.frames.tagged(OUTSIDE, src, tags);
            frames.push(last.clone());
            rig.send(&format!("m{name}"), &frames);
            rig.send(&format!("k{name}"), &frames);
            // Its end has its number, whatever tag it has got.
            let is_last = |frame: &[u8]| frame.ends_with(&last[last.len() - 48..]);
            let left = |wire: &mut Wire| -> Vec<Seen> {
                let left = wire.until("last frame", is_last).into_iter();
                let mut left: Vec<Seen> = left.map(|frame| ("wire".to_owned(), frame)).collect();
                left.sort();
                left
            };
            let (ours, kernel) = (left(&mut rig.wire), left(&mut rig.other));
            let what = format!("from {name}, tags {tags:x?}");
            same(&what, &ours, &kernel);
            // Onto the wire goes all but what is for a sibling.
            assert!(ours.len() >= 5, "{what}: {ours:02x?}");

            let seen = rig.seen(&format!("usleep {}", LATE.as_micros()));
            same(&what, &of(&seen, 'm'), &of(&seen, 'k'));
            if name == "v" {
                // Broadcast, group, and the frame of its own.
                assert_eq!(of(&seen, 'm').len(), 3, "{what}: what the sibling got");
            }
        }
    }
}
