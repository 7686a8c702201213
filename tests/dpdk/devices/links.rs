//! Links that come and go: pulled cables, deleted interfaces, taps in other
//! namespaces, guests that leave; and a sleeper that a tap wakes.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mvswitch::dpdk::{Burst, EthEvent, EthPort, InterfaceState, Lcore, Link};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::super::common::{Namespace, PATIENCE, Veth, have, pause, run, wait_until};
use super::super::ports::{attach_guest, vhost_pair};
use super::super::{Bench, frame, mac, options, wait_for};
use super::{FURTHER, GROUP, NEEDS, OWN, af_packet, attach, shown, tap_name};

/// Sends `bytes` from one port until they come out of the other.
fn passes(bench: &Bench, lcore: &Lcore, from: &EthPort, to: &EthPort, bytes: &[u8]) {
    let mut burst = Burst::new();
    wait_until("a frame to pass", PATIENCE, || {
        drop(burst.push(bench.pool.frame(bytes).unwrap()));
        from.tx(lcore, &mut burst);
        burst.clear();
        pause(Duration::from_millis(5));
        received(to).iter().any(|frame| frame == bytes)
    });
}

/// Everything that has come.
fn received(port: &EthPort) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut burst = Burst::new();
    while port.rx(0, &mut burst) > 0 {
        frames.extend(burst.drain().map(|frame| frame.bytes().to_vec()));
    }
    frames
}

pub(crate) fn a_pulled_cable_is_seen(bench: &Bench) {
    if !have("a_pulled_cable_is_seen", NEEDS) {
        return;
    }
    let lcore = Lcore::helper().unwrap();
    let veth = Veth::new();
    let set = |interface: &str, to: &str| {
        run("ip", &["link", "set", interface, to]);
    };
    set(&veth.inner, "up");
    let (near, far) = (af_packet(bench, 0, &veth.outer), af_packet(bench, 1, &veth.inner));
    let down = Link { up: false, speed_mbps: None, full_duplex: false };
    let up = Link { up: true, speed_mbps: Some(10_000), full_duplex: true };
    let bytes = frame(mac(1), mac(2), 7, 60);
    for _ in 0..3 {
        assert_eq!((near.link(), near.interface()), (up, Some(InterfaceState::Up)));
        passes(bench, &lcore, &near, &far, &bytes);
        passes(bench, &lcore, &far, &near, &bytes);
        // The far end of the cable.
        set(&veth.inner, "down");
        assert_eq!((near.link(), near.interface()), (down, Some(InterfaceState::NoCarrier)));
        assert_eq!((far.link(), far.interface()), (down, Some(InterfaceState::Down)));
        set(&veth.inner, "up");
        assert!(near.carrier() && far.carrier());
        // The interface itself. Frames sent meanwhile are in nobody's way.
        set(&veth.outer, "down");
        assert_eq!((near.link(), near.interface()), (down, Some(InterfaceState::Down)));
        let mut burst = Burst::new();
        drop(burst.push(bench.pool.frame(&frame(mac(1), mac(2), 9, 60)).unwrap()));
        near.tx(&lcore, &mut burst);
        burst.clear();
        assert!(!near.is_removed() && !far.is_removed());
        set(&veth.outer, "up");
    }
    // A name is not what it is known by.
    let other = format!("{}x", veth.inner);
    set(&veth.inner, "down");
    run("ip", &["link", "set", &veth.inner, "name", &other]);
    set(&other, "up");
    assert_eq!(far.interface(), Some(InterfaceState::Up));
}

pub(crate) fn a_deleted_interface_is_seen(bench: &Bench) {
    if !have("a_deleted_interface_is_seen", NEEDS) {
        return;
    }
    let lcore = Lcore::helper().unwrap();
    let veth = Veth::new();
    run("ip", &["link", "set", &veth.inner, "up"]);
    let (near, far) = (af_packet(bench, 0, &veth.outer), af_packet(bench, 1, &veth.inner));
    near.set_promiscuous(true).unwrap();
    near.add_address(FURTHER).unwrap();
    // To the namespace it leaves, an interface that moves is deleted.
    let away = Namespace::new("away");
    away.adopt(&veth.inner, "192.0.2.1/24");
    assert_eq!(far.interface(), Some(InterfaceState::Removed));
    assert!(far.is_removed() && !far.carrier());
    assert_eq!(near.interface(), Some(InterfaceState::Up));
    run("ip", &["link", "del", &veth.outer]);
    assert_eq!(near.interface(), Some(InterfaceState::Removed));
    assert!(near.is_removed() && !near.carrier());
    // Whoever has not heard of it yet gets errors and no frames, and loses none.
    let mut burst = Burst::new();
    drop(burst.push(bench.pool.frame(&frame(mac(1), mac(2), 9, 60)).unwrap()));
    near.tx(&lcore, &mut burst);
    assert_eq!(near.rx(0, &mut Burst::new()), 0);
    let asked = [
        near.set_groups(&[GROUP]),
        near.add_address(OWN),
        near.set_address(OWN),
        near.set_mtu(1400),
    ];
    for result in asked {
        let error = result.expect_err("the interface is gone");
        assert!(!error.is_unsupported(), "{error}");
    }
    // The kernel has ended these itself.
    near.set_promiscuous(false).unwrap();
    near.remove_address(FURTHER).unwrap();
}

pub(crate) fn a_tap_is_a_host_port(bench: &Bench) {
    if !have("a_tap_is_a_host_port", NEEDS) {
        return;
    }
    let lcore = Lcore::helper().unwrap();
    let name = tap_name();
    let port = attach(bench, &format!("net_tap0,iface={name}"));
    let tap = Link { up: true, speed_mbps: None, full_duplex: true };
    assert_eq!((port.link(), port.wake_fds().len()), (tap, 1));
    // No signal for each frame, to whichever thread.
    let flags = fcntl(&port.wake_fds()[0], FcntlArg::F_GETFL).unwrap();
    assert!(!OFlag::from_bits_retain(flags).contains(OFlag::O_ASYNC));
    // One descriptor for each receive queue, and not the one that keeps it alive.
    let two = format!("net_tap1,iface={name}2");
    let two = EthPort::attach(&two, &options(2), &bench.pool).unwrap();
    assert_eq!((two.info().rx_queues, two.wake_fds().len()), (2, 2));
    drop(two);
    // The kernel's interface takes the address, the MTU and the switches.
    port.set_address(OWN).unwrap();
    port.set_mtu(1400).unwrap();
    port.set_promiscuous(true).unwrap();
    port.set_all_multicast(true).unwrap();
    let now = shown(&name);
    for what in ["02:00:00:00:09:02", "mtu 1400", "PROMISC", "ALLMULTI"] {
        assert!(now.contains(what), "{what}: {now}");
    }
    port.set_promiscuous(false).unwrap();
    port.set_all_multicast(false).unwrap();
    let now = shown(&name);
    assert!(!now.contains("PROMISC") && !now.contains("ALLMULTI"), "{now}");
    // It does not take an address away from under a host that has it.
    port.set_mtu(1500).unwrap();
    let host = af_packet(bench, 1, &name);
    let bytes = frame(mac(1), mac(2), 7, 60);
    passes(bench, &lcore, &host, &port, &bytes);
    passes(bench, &lcore, &port, &host, &bytes);
    drop(host);
    run("ip", &["link", "set", &name, "down"]);
    assert_eq!((port.carrier(), port.interface()), (false, Some(InterfaceState::Down)));
    run("ip", &["link", "set", &name, "up"]);
    assert!(port.carrier());
    // A tap goes into a namespace and stays what it is.
    let away = Namespace::new("tap");
    away.adopt(&name, "192.0.2.1/24");
    assert_eq!((port.link(), port.is_removed()), (tap, false));
    away.run("ip", &["link", "set", &name, "down"]);
    assert_eq!((port.carrier(), port.is_removed()), (false, false));
    away.run("ip", &["link", "set", &name, "up"]);
    assert!(port.carrier());
    drop(received(&port));
    assert_eq!(away.ping("192.0.2.1", 1), 1);
    away.output("busybox", &["ping", "-c", "1", "-W", "1", "192.0.2.2"]);
    let asked = received(&port);
    assert!(asked.iter().any(|frame| frame[12..14] == [8, 6]), "no ARP request: {asked:?}");
    away.run("ip", &["link", "del", &name]);
    assert_eq!((port.carrier(), port.interface()), (false, Some(InterfaceState::Removed)));
    assert!(port.is_removed());
    let mut burst = Burst::new();
    drop(burst.push(bench.pool.frame(&bytes).unwrap()));
    port.tx(&lcore, &mut burst);
    assert_eq!(port.rx(0, &mut Burst::new()), 0);
}

/// A worker that sleeps without a limit on a tap's descriptor, which wakes at
/// changes only, misses no frame.
pub(crate) fn a_tap_wakes_a_sleeper(bench: &Bench) {
    const FRAMES: u32 = 3000;
    if !have("a_tap_wakes_a_sleeper", NEEDS) {
        return;
    }
    let name = tap_name();
    let port = attach(bench, &format!("net_tap0,iface={name}"));
    let host = af_packet(bench, 1, &name);
    let seen = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _lcore = Lcore::helper().unwrap();
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
            for fd in port.wake_fds() {
                let edge = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
                epoll.add(fd.as_fd(), EpollEvent::new(edge, 0)).unwrap();
            }
            let mut burst = Burst::new();
            while seen.load(Ordering::Relaxed) < FRAMES {
                let mut events = [EpollEvent::empty(); 4];
                // The limit only ends a test that has failed.
                match epoll.wait(&mut events, EpollTimeout::from(5000_u16)) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) => panic!("a signal woke the worker: {error}"),
                }
                while port.rx(0, &mut burst) > 0 {
                    let frames =
                        burst.drain().filter(|frame| frame.bytes()[12..14] == [0x88, 0xb5]);
                    seen.fetch_add(u32::try_from(frames.count()).unwrap(), Ordering::Relaxed);
                }
            }
        });
        let lcore = Lcore::helper().unwrap();
        let mut burst = Burst::new();
        for number in 1..=FRAMES {
            drop(burst.push(bench.pool.frame(&frame(mac(1), mac(2), number, 60)).unwrap()));
            assert_eq!(host.tx(&lcore, &mut burst), 1);
            // One at a time, so that each of them has to wake it anew.
            wait_until(&format!("frame {number}"), Duration::from_secs(4), || {
                (0..2000).any(|_| {
                    std::thread::yield_now();
                    seen.load(Ordering::Relaxed) >= number
                })
            });
        }
    });
    assert_eq!(seen.load(Ordering::Relaxed), FRAMES);
    drop((host, port));
    assert!(!Path::new("/sys/class/net").join(&name).exists(), "a descriptor keeps the tap alive");
}

pub(crate) fn link_events_end_with_the_port(bench: &Bench) {
    let (port, guest, _) = vhost_pair(bench, 1);
    let events = Arc::new(AtomicU32::new(0));
    let watch = |port: &EthPort| {
        let events = Arc::clone(&events);
        port.watch(Box::new(move |event| {
            if event == EthEvent::Link {
                events.fetch_add(1, Ordering::Relaxed);
            }
        }))
    };
    watch(&guest).unwrap();
    assert_eq!(watch(&guest).unwrap_err().errno, Errno::EBUSY as i32);
    assert!(guest.carrier() && !guest.needs_polling());
    drop(port);
    wait_until("word that the switch went", PATIENCE, || events.load(Ordering::Relaxed) > 0);
    wait_until("no link", PATIENCE, || !guest.carrier());
    drop(guest);
    assert_eq!(Arc::strong_count(&events), 1, "a dropped port keeps its watcher");
    // The next port of the same number can be watched, and tells.
    let (port, first, _) = vhost_pair(bench, 3);
    watch(&first).unwrap();
    drop(first);
    assert_eq!(Arc::strong_count(&events), 1);
    // Closing while an event is on its way.
    for _ in 0..20 {
        let guest = attach_guest(bench, &port, 4);
        watch(&guest).unwrap();
        drop(guest);
        assert_eq!(Arc::strong_count(&events), 1);
        wait_for("the end of the guest", || !port.connected());
    }
    // A driver without events can be watched, and is silent.
    let null = attach(bench, "net_null0");
    watch(&null).unwrap();
    drop(null);
    assert_eq!(Arc::strong_count(&events), 1);
}
