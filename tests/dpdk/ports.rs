//! Buffers and ports: who owns what, and what goes wrong loudly.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mvswitch::dpdk::{BURST, Burst, EthOptions, EthPort, Lcore, Role, VhostOptions, VhostPort};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Bench, frame, mac, options, tag, wait_for};

pub(crate) fn burst_owns_its_frames(bench: &Bench) {
    let new = |tag| bench.pool.frame(&frame(mac(1), mac(2), tag, 60)).unwrap();
    let mut burst = Burst::new();
    for number in 0..BURST {
        assert!(burst.push(new(u32::try_from(number).unwrap())).is_none());
    }
    assert!(burst.is_full());
    // One too many comes back instead of being lost.
    let rejected = burst.push(new(99)).expect("no room");
    assert_eq!(tag(rejected.bytes()), 99);
    drop(rejected);
    assert_eq!(bench.pool.in_use() as usize, BURST);

    // A partly used drain frees the rest.
    let first: Vec<_> = burst.drain().take(3).collect();
    assert_eq!(first.iter().map(|frame| tag(frame.bytes())).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((burst.len(), bench.pool.in_use()), (0, 3));
    drop(first);

    // A transmit takes what fits, from the front, and leaves the rest owned.
    let lcore = Lcore::helper().unwrap();
    let (near, far) = bench.wire("t", 1);
    let mut sent = 0;
    loop {
        (0..BURST).for_each(|number| drop(burst.push(new(u32::try_from(sent + number).unwrap()))));
        let taken = far.port().tx(&lcore, &mut burst);
        sent += taken;
        assert_eq!(burst.len(), BURST - taken);
        if taken < BURST {
            let next = burst.as_slice().first().map(|frame| tag(frame.bytes()));
            assert_eq!(next, Some(u32::try_from(sent).unwrap()));
            break;
        }
    }
    assert_eq!(
        burst.clear() + sent,
        usize::try_from(bench.pool.in_use()).unwrap() + BURST - sent % BURST
    );
    // Frames left in the rings come back with them.
    drop((near, far));
}

pub(crate) fn shared_frames_come_back_once(bench: &Bench) {
    let frame = bench.pool.frame(&frame(mac(1), mac(2), 7, 60)).unwrap();
    let copies: Vec<_> = (0..20).map(|_| frame.share()).collect();
    assert_eq!(bench.pool.in_use(), 1);
    drop(frame);
    assert_eq!(bench.pool.in_use(), 1);
    assert!(copies.iter().all(|copy| tag(copy.bytes()) == 7 && copy.len() == 60));
    drop(copies);
    assert_eq!(bench.pool.in_use(), 0);
    assert!(bench.pool.frame(&vec![0; 3000]).is_none(), "longer than a buffer");
}

pub(crate) fn devices_that_cannot_be_opened_say_why(bench: &Bench) {
    for (device, needle) in [
        ("net_nonsense0", "net_nonsense0"),
        ("net_af_packet0,iface=nosuchif", "nosuchif"),
        ("net_af_packet0", "iface"),
        ("0000:ff:1f.7", "0000:ff:1f.7"),
        ("", "parse"),
    ] {
        let error = EthPort::attach(device, &options(1), &bench.pool).expect_err(device);
        let text = error.to_string();
        assert!(
            text.contains("rte_") && (text.contains(needle) || error.errno != 0),
            "{device}: {text}"
        );
    }
    // Nothing of a failed attempt is in the way of the next.
    drop(EthPort::attach("net_null0", &options(1), &bench.pool).unwrap());
    drop(EthPort::attach("net_null0", &options(1), &bench.pool).unwrap());
}

/// DPDK's own threads are on core 0, which this test gave to EAL, and on no worker's.
pub(crate) fn dpdk_keeps_to_the_control_core(bench: &Bench) {
    let (port, guest, _) = vhost_pair(bench, 1);
    let mut seen = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let status = std::fs::read_to_string(path.join("status")).unwrap();
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
        };
        let name = field("Name:");
        if name.starts_with("eal-") || name.starts_with("vhost") || name.starts_with("rte_") {
            assert_eq!(field("Cpus_allowed_list:"), "0", "{name}");
            seen.push(name);
        }
    }
    assert!(seen.iter().any(|name| name.starts_with("vhost")), "{seen:?}");
    drop((guest, port));
}

pub(crate) fn a_device_has_one_owner(bench: &Bench) {
    let first = EthPort::attach("net_null3", &options(1), &bench.pool).unwrap();
    let error = EthPort::attach("net_null3", &options(1), &bench.pool).unwrap_err();
    assert_eq!(error.errno, 16, "EBUSY: {error}");
    assert_eq!(first.info().driver, "net_null");
}

pub(crate) fn worker_numbers_are_exclusive(_: &Bench) {
    let first = Lcore::register(3, Some(0)).unwrap();
    let second = std::thread::spawn(|| Lcore::register(3, None).map(|_| ()).unwrap_err().errno);
    assert_eq!(second.join().unwrap(), 16);
    drop(first);
    assert_eq!(Lcore::register(3, Some(4095)).unwrap_err().call, "sched_setaffinity");
    Lcore::register(3, None).unwrap();
}

/// A listening port, and how often it has changed.
pub(crate) fn open_socket(bench: &Bench, number: u8) -> (VhostPort, Arc<AtomicU32>) {
    let changes = Arc::new(AtomicU32::new(0));
    let path = bench.path(&format!("v{number}.sock"));
    let counted = Arc::clone(&changes);
    let changed = Box::new(move || _ = counted.fetch_add(1, Ordering::Relaxed));
    let port = VhostPort::open(VhostOptions { path, role: Role::Server, changed }, &bench.pool);
    let port = port.unwrap();
    assert!(!port.connected());
    (port, changes)
}

/// A listening port and a virtio-user device in the same process.
pub(crate) fn vhost_pair(bench: &Bench, number: u8) -> (VhostPort, EthPort, Arc<AtomicU32>) {
    let (port, changes) = open_socket(bench, number);
    let guest = attach_guest(bench, &port, number);
    (port, guest, changes)
}

/// A virtio-user device on the port's socket, once the port has seen it.
pub(crate) fn attach_guest(bench: &Bench, port: &VhostPort, number: u8) -> EthPort {
    let path = port.path().display();
    let device = format!("net_virtio_user{number},path={path},mac={}", mac(number));
    // The test's own thread sends from it, whatever its number.
    let shared = EthOptions { users: u16::MAX, ..options(1) };
    let guest = EthPort::attach(&device, &shared, &bench.pool).unwrap();
    wait_for("the guest", || port.connected());
    guest
}

pub(crate) fn a_second_guest_is_refused(bench: &Bench) {
    let (port, guest, _) = vhost_pair(bench, 1);
    let device = format!("net_virtio_user9,path={}", port.path().display());
    assert!(EthPort::attach(&device, &options(1), &bench.pool).is_err());
    assert!(port.connected(), "the first guest lost its place");
    assert_eq!(port.connections(), 1);
    drop(guest);
    wait_for("the end of the guest", || !port.connected());
    assert!(port.wake_fd().is_none());
    // The socket takes the next guest.
    drop(EthPort::attach(&device, &options(1), &bench.pool).unwrap());
}

/// A look at the socket is no guest: who connects and leaves at once must not
/// push out the one that is there.
pub(crate) fn a_probe_of_the_socket_leaves_the_guest_alone(bench: &Bench) {
    let lcore = Lcore::register(0, None).unwrap();
    let (port, guest, _) = vhost_pair(bench, 1);
    for _ in 0..20 {
        drop(std::os::unix::net::UnixStream::connect(port.path()).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(10));
        assert!(port.connected(), "the guest lost its place to a probe");
    }
    let mut burst = Burst::new();
    drop(burst.push(bench.pool.frame(&frame(mac(1), mac(2), 0, 60)).unwrap()));
    assert_eq!(guest.tx(&lcore, &mut burst), 1);
    wait_for("the frame", || port.rx(&mut burst) == 1);
}

/// A guest that leaves while a kick was asked of it takes that wish along: the
/// next one must be asked anew, or a sleeping worker would miss its frames.
pub(crate) fn the_next_guest_is_asked_for_kicks_anew(bench: &Bench) {
    let lcore = Lcore::register(0, None).unwrap();
    let (port, guest, _) = vhost_pair(bench, 1);
    assert!(!port.ask_for_kicks(true), "nothing waits");
    drop(guest);
    wait_for("the end of the guest", || !port.connected());
    // The worker wakes, and nobody is there to be told.
    assert!(!port.ask_for_kicks(false));
    let guest = attach_guest(bench, &port, 2);
    assert!(!port.ask_for_kicks(true), "nothing waits");
    let kick = port.wake_fd().expect("a descriptor for kicks");
    let kicked = |timeout: u16| {
        let mut fds = [PollFd::new(kick.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(timeout)) == Ok(1)
    };
    // Drivers kick once when they start.
    while kicked(100) {
        nix::unistd::read(&kick, &mut [0; 8]).unwrap();
    }
    let mut burst = Burst::new();
    drop(burst.push(bench.pool.frame(&frame(mac(1), mac(2), 0, 60)).unwrap()));
    assert_eq!(guest.tx(&lcore, &mut burst), 1);
    assert!(kicked(2000), "no kick came");
    assert_eq!(port.rx(&mut burst), 1);
}

pub(crate) fn a_vhost_port_carries_frames_both_ways(bench: &Bench) {
    let lcore = Lcore::register(0, None).unwrap();
    let (port, guest, changes) = vhost_pair(bench, 1);
    assert!(changes.load(Ordering::Relaxed) > 0);
    let mut burst = Burst::new();
    for number in 0..1000 {
        drop(burst.push(bench.pool.frame(&frame(mac(1), mac(2), number, 60)).unwrap()));
        assert_eq!(guest.tx(&lcore, &mut burst), 1);
        wait_for("the switch's side", || port.rx(&mut burst) > 0);
        assert_eq!(tag(burst.as_slice()[0].bytes()), number);
        assert_eq!(port.tx(&lcore, burst.as_slice()), Some(1));
        burst.clear();
        wait_for("the guest's side", || guest.rx(0, &mut burst) > 0);
        assert_eq!(tag(burst.as_slice()[0].bytes()), number);
        burst.clear();
    }
    drop(guest);
    wait_for("the end of the guest", || !port.connected());
    drop(burst.push(bench.pool.frame(&frame(mac(1), mac(2), 0, 60)).unwrap()));
    assert_eq!(port.tx(&lcore, burst.as_slice()), None, "nobody is there");
    assert_eq!(burst.clear(), 1);
}
