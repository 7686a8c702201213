//! The device layer on real drivers: what each can do. In the modules below: how
//! a link goes away, and what becomes of a frame's tag.
//!
//! Kernel interfaces are the tests' own and carry the process' id. Where one is
//! needed and the test does not run as root it says `SKIPPED:`.

pub(crate) mod links;
pub(crate) mod tags;

use std::collections::BTreeSet;

use mvswitch::dpdk::{Burst, DpdkError, EthOptions, EthPort, InterfaceState, Lcore};
use nix::errno::Errno;

use super::common::{Need, Veth, have, run};
use super::ports::vhost_pair;
use super::{Bench, frame, mac, options};

/// A group's address, a further address, and one for the device's own.
const GROUP: [u8; 6] = [1, 0, 0x5e, 1, 2, 3];
const FURTHER: [u8; 6] = [2, 0, 0, 0, 9, 1];
const OWN: [u8; 6] = [2, 0, 0, 0, 9, 2];

const NEEDS: &[Need] = &[Need::Root, Need::Program("ip"), Need::Program("ethtool")];

fn attach(bench: &Bench, device: &str) -> EthPort {
    // The test's own thread sends, whatever its number.
    let shared = EthOptions { users: u16::MAX, ..options(1) };
    EthPort::attach(device, &shared, &bench.pool).unwrap_or_else(|e| panic!("{device}: {e}"))
}

fn af_packet(bench: &Bench, number: u32, interface: &str) -> EthPort {
    attach(bench, &format!("net_af_packet{number},iface={interface}"))
}

/// The name of a tap of this process.
fn tap_name() -> String {
    format!("mvt{}t", std::process::id())
}

/// `ok`, `no` for what a driver has no call for, or another error's name.
fn word<T>(result: Result<T, DpdkError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let errno = Errno::from_raw(error.errno);
            let unsupported = [Errno::EOPNOTSUPP, Errno::EPERM].contains(&errno);
            assert_eq!(error.is_unsupported(), unsupported, "{error}");
            if errno == Errno::EOPNOTSUPP { "no".to_owned() } else { format!("{errno:?}") }
        }
    }
}

/// Asks `port` for everything there is, and for its own state back.
fn answers(port: &EthPort) -> String {
    let own = port.address().unwrap();
    let mtu = port.mtu().unwrap();
    // Twice is once, and away is away.
    let twice = [port.add_address(FURTHER), port.add_address(FURTHER)].map(word);
    assert_eq!(twice[0], twice[1]);
    assert_eq!(word(port.remove_address(FURTHER)), "ok");
    assert_eq!(word(port.remove_address(FURTHER)), "ok");
    assert_eq!(port.address().unwrap(), own, "a further address became the device's own");
    assert_eq!(word(port.add_address(own)), "ok");
    assert_eq!(word(port.remove_address(own)), "EADDRINUSE");
    assert_eq!(word(port.set_address(GROUP)), "EINVAL");
    assert_eq!(word(port.set_address([0; 6])), "EINVAL");
    assert_eq!(word(port.set_groups(&[GROUP, FURTHER])), "EINVAL");
    // An address that the device has already becomes its own, and is then no
    // further one: it is not in the table twice.
    _ = port.add_address(OWN);
    let set = word(port.set_address(OWN));
    assert_eq!(port.address().unwrap(), if set == "ok" { OWN } else { own });
    if set == "ok" {
        assert_eq!(word(port.set_address(own)), "ok");
        assert_eq!(port.address().unwrap(), own);
        assert_eq!(word(port.remove_address(OWN)), "ok");
    }
    let [least, most] = [port.min_mtu(), port.max_mtu()].map(Result::unwrap);
    assert!((least..=most).contains(&mtu), "{least} {mtu} {most}");
    let set_mtu = word(port.set_mtu(most));
    assert_eq!(port.mtu().unwrap(), if set_mtu == "ok" { most } else { mtu });
    if set_mtu == "ok" {
        assert_eq!(word(port.set_mtu(most + 1)), "EINVAL");
        assert_eq!(word(port.set_mtu(least - 1)), "EINVAL");
        assert_eq!(word(port.set_mtu(least)), "ok");
        assert_eq!(port.carries().unwrap(), least);
        assert_eq!(word(port.set_mtu(mtu)), "ok");
    }
    // Without an MTU it is the buffer that bounds what is sent.
    let carries = if set_mtu == "ok" { mtu } else { most };
    assert_eq!((port.carries().unwrap(), port.mtu().unwrap()), (carries, mtu));
    format!(
        "addresses {} {} groups {} {} promiscuous {} {} all groups {} {} own {set} \
         mtu {set_mtu} to {most}",
        twice[0],
        match port.max_addresses().unwrap() {
            u32::MAX => "any".to_owned(),
            number => number.to_string(),
        },
        word(port.set_groups(&[GROUP])),
        word(port.set_groups(&[])),
        word(port.set_promiscuous(true)),
        word(port.set_promiscuous(false)),
        word(port.set_all_multicast(true)),
        word(port.set_all_multicast(false)),
    )
}

pub(crate) fn devices_say_what_they_can(bench: &Bench) {
    let (vhost, guest, _) = vhost_pair(bench, 1);
    let memif = format!(
        "net_memif0,role=server,socket={},socket-abstract=no,mac=02:00:00:00:00:07",
        bench.path("memif.sock").display()
    );
    let pcap = format!("net_pcap0,tx_pcap={}", bench.path("out.pcap").display());
    for (port, link, expected) in [
        (
            attach(bench, "net_null0"),
            true,
            "no 1 groups no no promiscuous ok no all groups ok no own ok mtu ok to 2030",
        ),
        (
            attach(bench, "net_ring0"),
            true,
            "no 1 groups no no promiscuous ok ok all groups ok ok own no mtu no to 2030",
        ),
        (
            attach(bench, &pcap),
            true,
            "no 1 groups no no promiscuous ok no all groups ok no own no mtu no to 2030",
        ),
        (
            attach(bench, &memif),
            false,
            "no 1 groups no no promiscuous ok no all groups no ok own no mtu no to 1500",
        ),
        (
            guest,
            true,
            "EPERM 64 groups no no promiscuous no ok all groups no ok own ok mtu ok to 2018",
        ),
    ] {
        let name = &port.info().name;
        assert_eq!(answers(&port), format!("addresses {expected}"), "{name}");
        assert_eq!((port.link().up, port.carrier()), (link, link), "{name}");
        assert_eq!(port.interface(), None, "{name}");
        assert!(!port.is_removed(), "{name}");
        assert_eq!(port.needs_polling(), !name.contains("virtio"), "{name}");
    }
    drop(vhost);
}

pub(crate) fn kernel_devices_say_what_they_can(bench: &Bench) {
    if !have("kernel_devices_say_what_they_can", NEEDS) {
        return;
    }
    let veth = Veth::new();
    run("ip", &["link", "set", &veth.inner, "up"]);
    for (port, expected) in [
        (
            af_packet(bench, 0, &veth.outer),
            "ok any groups ok ok promiscuous ok ok all groups ok ok own ok mtu ok to 1500",
        ),
        (
            attach(bench, &format!("net_tap0,iface={}", tap_name())),
            "no 1 groups ok ok promiscuous ok ok all groups ok ok own ok mtu ok to 1504",
        ),
        (
            attach(bench, &format!("net_pcap0,iface={}", veth.inner)),
            "no 1 groups no no promiscuous ok no all groups ok no own no mtu no to 2030",
        ),
    ] {
        let name = &port.info().name;
        assert_eq!(answers(&port), format!("addresses {expected}"), "{name}");
        assert_eq!(port.interface(), Some(InterfaceState::Up), "{name}");
        assert!(port.link().up && !port.is_removed() && port.needs_polling(), "{name}");
    }
    a_frame_too_large_stops_a_tap(bench);
}

/// Why nothing goes to a port that is larger than [`EthPort::carries`].
fn a_frame_too_large_stops_a_tap(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let port = attach(bench, &format!("net_tap0,iface={}", tap_name()));
    port.set_mtu(1400).unwrap();
    let carries = usize::from(port.carries().unwrap());
    for (payload, taken) in [(carries, 3), (carries + 100, 1)] {
        let mut burst = Burst::new();
        for (number, len) in (0..).zip([60, 18 + payload, 60]) {
            let frame = bench.pool.frame(&frame(mac(1), mac(2), number, len)).unwrap();
            drop(burst.push(frame));
        }
        assert_eq!(port.tx(&lcore, &mut burst), taken, "{payload}");
        burst.drain().for_each(drop);
    }
}

/// What `ip` says of an interface.
fn shown(interface: &str) -> String {
    run("ip", &["-d", "link", "show", "dev", interface])
}

/// Group addresses the interface listens to.
fn groups_of(interface: &str) -> BTreeSet<String> {
    let table = std::fs::read_to_string("/proc/net/dev_mcast").unwrap();
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|words| words[1] == interface).map(|words| words[4].to_owned()).collect()
}

/// What a port asks of the interface below it the kernel undoes when it goes.
pub(crate) fn memberships_end_with_the_port(bench: &Bench) {
    let needs = [NEEDS, &[Need::Program("bridge")]].concat();
    if !have("memberships_end_with_the_port", &needs) {
        return;
    }
    let veth = Veth::new();
    let further = "02:00:00:00:09:01";
    let (before, groups) = (shown(&veth.outer), groups_of(&veth.outer));
    assert!(before.contains("promiscuity 0"), "{before}");
    let port = af_packet(bench, 0, &veth.outer);
    assert_eq!(shown(&veth.outer), before, "attaching alone asks for nothing");
    port.set_promiscuous(true).unwrap();
    port.set_promiscuous(true).unwrap();
    assert!(shown(&veth.outer).contains("promiscuity 1"), "{}", shown(&veth.outer));
    port.set_all_multicast(true).unwrap();
    assert!(shown(&veth.outer).contains("allmulti 1"), "{}", shown(&veth.outer));
    port.set_groups(&[GROUP, [0x33, 0x33, 0, 0, 0, 9]]).unwrap();
    let joined = groups_of(&veth.outer);
    assert!(joined.contains("01005e010203") && joined.contains("333300000009"), "{joined:?}");
    port.set_groups(&[GROUP]).unwrap();
    assert!(!groups_of(&veth.outer).contains("333300000009"));
    port.add_address(FURTHER).unwrap();
    assert!(run("bridge", &["fdb", "show", "dev", &veth.outer]).contains(further));
    port.remove_address(FURTHER).unwrap();
    assert!(!run("bridge", &["fdb", "show", "dev", &veth.outer]).contains(further));
    port.add_address(FURTHER).unwrap();
    drop(port);
    assert_eq!(shown(&veth.outer), before);
    assert_eq!(groups_of(&veth.outer), groups);
    assert!(!run("bridge", &["fdb", "show", "dev", &veth.outer]).contains(further));
    // What an interface is given, unlike what is asked of it, it keeps.
    let port = af_packet(bench, 0, &veth.outer);
    port.set_address(OWN).unwrap();
    port.set_mtu(1280).unwrap();
    drop(port);
    let now = shown(&veth.outer);
    assert!(now.contains("02:00:00:00:09:02") && now.contains("mtu 1280"), "{now}");
}
