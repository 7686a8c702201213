//! testpmd guests on the switch: exact accounts, restarts, crashes, churn.
//!
//! Every frame that a guest sent must be one that the switch received, and every
//! frame that the switch delivered must be one that a guest received; what lies
//! between is dropped with a reason. [`Switch::stop`] checks the switch's own sum.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use common::{HugePages, Need, PATIENCE, PortCounters, Switch, Testpmd, Vdev};
use common::{have, pause, wait_until};
use serde_json::json;

const A: &str = "02:00:00:00:00:10";
const B: &str = "02:00:00:00:00:11";

/// Frames that each guest must get before a test believes in them.
const MILLION: u64 = 1_000_000;

const TESTPMD: &[Need] = &[Need::Program("dpdk-testpmd"), Need::Program("stdbuf")];

/// One worker on core 1, a lower that swallows everything, and these links.
fn config(memory: &str, links: &str) -> String {
    format!(
        "[cores]\ncontrol = 0\nworkers = \"1\"\n[eal]\nmemory = \"{memory}\"\n\
         [[lower]]\nname = \"lan0\"\ndevice = \"net_null0,no-rx=1\"\n{links}"
    )
}

/// A bridge link of `lan0`; `end` is its socket or device.
fn link(name: &str, address: &str, end: &str) -> String {
    format!(
        "[[macvlan]]\nname = \"{name}\"\nlink = \"lan0\"\nmode = \"bridge\"\n\
         address = \"{address}\"\n{end}\n"
    )
}

/// mv0 and mv1 on the sockets mv0.sock and mv1.sock.
fn two_links(memory: &str) -> String {
    let mv0 = link("mv0", A, "socket = \"mv0.sock\"");
    let mv1 = link("mv1", B, "socket = \"mv1.sock\"");
    config(memory, &format!("{mv0}{mv1}"))
}

/// Two guests, A on mv0 and B on mv1, each sending to the other.
fn two_guests(switch: &Switch) -> [Vdev; 2] {
    [
        Vdev::virtio_user(&switch.socket("mv0.sock"), A).to(B),
        Vdev::virtio_user(&switch.socket("mv1.sock"), B).to(A),
    ]
}

/// Bursts that each guest sends to go round: both guests' fit every ring on the way, the
/// 256 descriptors of a link that is a device among them.
const BURSTS: u32 = 3;
const IN_FLIGHT: u64 = BURSTS as u64 * 32;

/// Makes both ports of `guests` send to their peers, and send on what they get, for ever.
#[track_caller]
fn go_round(guests: &mut Testpmd) {
    guests.forward("mac");
    guests.go_with_bursts(BURSTS);
}

/// Stops what [`go_round`] began; what is still on its way arrives and ends there.
#[track_caller]
fn absorb(guests: &mut Testpmd) {
    guests.halt();
    guests.forward("rxonly");
    guests.go();
}

/// Waits until both ports of `guests` have got `frames` more.
#[track_caller]
fn flows_to_both(guests: &mut Testpmd, frames: u64) {
    let before = [0, 1].map(|port| guests.stats(port).rx_packets);
    wait_until("frames arrive at both guests", Duration::from_secs(60), || {
        [0, 1].iter().all(|&port| guests.stats(port).rx_packets >= before[port] + frames)
    });
}

/// Compares the guests' counts with the switch's, frame by frame; returns the switch's.
#[track_caller]
fn compare(switch: &Switch, guests: &mut Testpmd) -> [PortCounters; 2] {
    let ports = switch.ports_at_rest(["mv0", "mv1"]);
    for (index, port) in ports.iter().enumerate() {
        let guest = guests.stats(index);
        assert_eq!(guest.tx_packets, port.received, "sent by guest {index}: {port:?}");
        assert_eq!(guest.tx_bytes, port.received_bytes, "bytes of guest {index}: {port:?}");
        assert_eq!(guest.rx_packets, port.transmitted, "delivered to guest {index}: {port:?}");
        assert_eq!(guest.rx_bytes, port.transmitted_bytes, "bytes to guest {index}: {port:?}");
        let other = &ports[1 - index];
        assert_eq!(
            port.received,
            other.transmitted + other.dropped("ring_full"),
            "every frame from guest {index} is delivered or counted: {ports:?}"
        );
    }
    ports
}

#[test]
fn a_million_frames_without_huge_pages() {
    if !have("a_million_frames_without_huge_pages", TESTPMD) {
        return;
    }
    let switch = Switch::start(&two_links("4k"));
    let mut guests = Testpmd::start("guests", "mac", &two_guests(&switch));
    switch.wait_up(&["mv0", "mv1"], true);
    go_round(&mut guests);
    flows_to_both(&mut guests, MILLION);
    absorb(&mut guests);
    let [mv0, mv1] = compare(&switch, &mut guests);
    guests.quit();
    let stopped = switch.stop();
    assert_eq!(stopped.received, mv0.received + mv1.received);
    assert!(stopped.delivered >= 2 * MILLION, "{stopped:?}");
}

#[test]
fn a_million_frames_on_huge_pages() {
    let needs = [TESTPMD, &[Need::Root, Need::Path("/proc/sys/vm/nr_hugepages")]].concat();
    if !have("a_million_frames_on_huge_pages", &needs) {
        return;
    }
    let pages = HugePages::reserve(512);
    let free = HugePages::free();
    let switch = Switch::start(&two_links("huge"));
    assert!(HugePages::free() < free, "the switch does not use huge pages: {}", switch.said());
    let mut guests = Testpmd::start_huge("guests", "mac", &two_guests(&switch));
    switch.wait_up(&["mv0", "mv1"], true);
    go_round(&mut guests);
    flows_to_both(&mut guests, MILLION);
    absorb(&mut guests);
    compare(&switch, &mut guests);
    guests.quit();
    switch.stop();
    assert_eq!(HugePages::free(), free, "huge pages are left behind");
    drop(pages);
}

#[test]
fn two_processes_lose_nothing_that_fits_the_rings() {
    if !have("two_processes_lose_nothing_that_fits_the_rings", TESTPMD) {
        return;
    }
    let switch = Switch::start(&two_links("4k"));
    let [a, b] = two_guests(&switch);
    let mut b = Testpmd::start("guest b", "mac", &[b]);
    let mut a = Testpmd::start("guest a", "mac", &[a]);
    switch.wait_up(&["mv0", "mv1"], true);
    b.go();
    a.go_with_bursts(BURSTS);
    wait_until("the frames go round", PATIENCE, || a.stats(0).rx_packets > 20 * IN_FLIGHT);
    // A keeps what comes back, so that the frames end there.
    a.halt();
    a.forward("rxonly");
    a.go();
    let [mv0, mv1] = switch.ports_at_rest(["mv0", "mv1"]);
    let (a_stats, b_stats) = (a.stats(0), b.stats(0));
    assert_eq!((a_stats.tx_packets, a_stats.rx_packets), (mv0.received, mv0.transmitted));
    assert_eq!((b_stats.tx_packets, b_stats.rx_packets), (mv1.received, mv1.transmitted));
    assert_eq!(a_stats.tx_packets, b_stats.rx_packets);
    assert_eq!(
        (a_stats.rx_packets, mv0.all_dropped(), mv1.all_dropped()),
        (b_stats.tx_packets, 0, 0)
    );
    a.quit();
    b.quit();
    switch.stop();
}

#[test]
fn one_way_from_a_sender_to_a_receiver() {
    if !have("one_way_from_a_sender_to_a_receiver", TESTPMD) {
        return;
    }
    let switch = Switch::start(&two_links("4k"));
    let [a, b] = two_guests(&switch);
    let mut receiver = Testpmd::start("receiver", "rxonly", &[b]);
    let mut sender = Testpmd::start("sender", "txonly", &[a]);
    switch.wait_up(&["mv0", "mv1"], true);
    receiver.go();
    sender.go();
    wait_until("a million frames are sent", PATIENCE, || sender.stats(0).tx_packets >= MILLION);
    sender.halt();
    let [mv0, mv1] = switch.ports_at_rest(["mv0", "mv1"]);
    // Sender and receiver share a core, so the receiver's ring runs full: that is the point.
    assert_eq!(sender.stats(0).tx_packets, mv0.received);
    assert_eq!(receiver.stats(0).rx_packets, mv1.transmitted);
    assert_eq!(mv0.received, mv1.transmitted + mv1.dropped("ring_full"), "{mv0:?} {mv1:?}");
    assert!(mv1.transmitted > 1000, "{mv1:?}");
    sender.quit();
    receiver.quit();
    switch.stop();
}

#[test]
fn a_link_can_be_the_guest_of_another_vhost() {
    if !have("a_link_can_be_the_guest_of_another_vhost", TESTPMD) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let vhosts = [Vdev::vhost(&path("0")).to(B), Vdev::vhost(&path("1")).to(A)];
    let mut guests = Testpmd::start("vhosts", "mac", &vhosts);
    let device = |index: usize| {
        let path = path(&index.to_string());
        format!("device = \"net_virtio_user{index},path={},queue_size=1024\"", path.display())
    };
    let links = [link("mv0", A, &device(0)), link("mv1", B, &device(1))].concat();
    let switch = Switch::start(&config("4k", &links));
    switch.wait_up(&["mv0", "mv1"], true);
    go_round(&mut guests);
    flows_to_both(&mut guests, MILLION);
    absorb(&mut guests);
    let ports = switch.ports_at_rest(["mv0", "mv1"]);
    for (index, port) in ports.iter().enumerate() {
        let guest = guests.stats(index);
        assert_eq!(guest.tx_packets, port.received, "sent by testpmd's port {index}: {port:?}");
        assert_eq!(guest.rx_packets, port.transmitted, "delivered to port {index}: {port:?}");
        let other = &ports[1 - index];
        assert_eq!(port.received, other.transmitted + other.dropped("ring_full"), "{ports:?}");
    }
    switch.stop();
    guests.quit();
}

#[test]
fn a_listening_guest_survives_a_restart_of_the_switch() {
    if !have("a_listening_guest_survives_a_restart_of_the_switch", TESTPMD) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let end = |name: &str| format!("socket = \"{}\"\nrole = \"client\"", path(name).display());
    let links = [link("mv0", A, &end("a")), link("mv1", B, &end("b"))].concat();
    let config = config("4k", &links);
    // The switch is there first: a guest that listens waits for it before it says a word.
    let mut switch = Switch::start(&config);
    let a = Vdev::virtio_user_server(&path("a"), A).to(B);
    let mut sender = Testpmd::start("sender", "txonly", &[a]);
    let b = Vdev::virtio_user_server(&path("b"), B);
    let mut receiver = Testpmd::start("receiver", "rxonly", &[b]);
    switch.wait_up(&["mv0", "mv1"], true);
    receiver.go();
    sender.go();
    let mut flows = |frames: u64| {
        let before = receiver.stats(0).rx_packets;
        wait_until("frames arrive", PATIENCE, || receiver.stats(0).rx_packets >= before + frames);
    };
    flows(50_000);
    switch.allow("failed to connect");
    assert!(switch.stop().delivered >= 50_000);

    let mut switch = Switch::start(&config);
    switch.wait_up(&["mv0", "mv1"], true);
    flows(50_000);
    sender.halt();
    switch.ports_at_rest(["mv0", "mv1"]);
    switch.allow("failed to connect");
    // The library finds the rings as its predecessor left them, and says so.
    switch.allow("vq->used->idx");
    switch.allow("some packets maybe resent");
    assert!(switch.stop().delivered >= 50_000);
    sender.quit();
    receiver.quit();
}

#[test]
fn a_killed_receiver_comes_back_and_traffic_resumes() {
    if !have("a_killed_receiver_comes_back_and_traffic_resumes", TESTPMD) {
        return;
    }
    let switch = Switch::start(&two_links("4k"));
    let [a, b] = two_guests(&switch);
    let mut sender = Testpmd::start("sender", "txonly", &[b]);
    sender.go();
    for round in 0..3 {
        let mut victim = Testpmd::start("victim", "rxonly", std::slice::from_ref(&a));
        switch.wait_up(&["mv0", "mv1"], true);
        victim.go();
        wait_until("frames arrive", PATIENCE, || victim.stats(0).rx_packets > 10_000);
        victim.kill();
        switch.wait_up(&["mv0"], false);
        assert!(switch.metrics().is_up("mv1"), "round {round}: the sender was cut off too");
        let absent = switch.port("mv0").dropped("peer_absent");
        wait_until("frames to nobody are counted", PATIENCE, || {
            switch.port("mv0").dropped("peer_absent") > absent + 10_000
        });
    }
    sender.halt();
    let [mv0, mv1] = switch.ports_at_rest(["mv0", "mv1"]);
    assert_eq!(sender.stats(0).tx_packets, mv1.received);
    assert_eq!(mv1.received, mv0.transmitted + mv0.all_dropped(), "{mv0:?} {mv1:?}");
    sender.quit();
    switch.stop();
}

#[test]
fn a_killed_sender_comes_back_and_traffic_resumes() {
    if !have("a_killed_sender_comes_back_and_traffic_resumes", TESTPMD) {
        return;
    }
    let switch = Switch::start(&two_links("4k"));
    let [a, b] = two_guests(&switch);
    let mut receiver = Testpmd::start("receiver", "rxonly", &[b]);
    receiver.go();
    for round in 0..3 {
        let mut victim = Testpmd::start("victim", "txonly", std::slice::from_ref(&a));
        switch.wait_up(&["mv0", "mv1"], true);
        let before = receiver.stats(0).rx_packets;
        victim.go();
        wait_until("frames arrive", PATIENCE, || receiver.stats(0).rx_packets > before + 10_000);
        victim.kill();
        switch.wait_up(&["mv0"], false);
        assert!(switch.metrics().is_up("mv1"), "round {round}: the receiver was cut off too");
    }
    let [mv0, mv1] = switch.ports_at_rest(["mv0", "mv1"]);
    assert_eq!(receiver.stats(0).rx_packets, mv1.transmitted);
    assert_eq!(mv0.received, mv1.transmitted + mv1.all_dropped(), "{mv0:?} {mv1:?}");
    receiver.quit();
    switch.stop();
}

#[test]
fn a_second_connection_is_refused_and_the_first_goes_on() {
    if !have("a_second_connection_is_refused_and_the_first_goes_on", TESTPMD) {
        return;
    }
    let mut switch = Switch::start(&two_links("4k"));
    let mut guests = Testpmd::start("guests", "mac", &two_guests(&switch));
    switch.wait_up(&["mv0", "mv1"], true);
    go_round(&mut guests);
    flows_to_both(&mut guests, 10_000);
    for _ in 0..10 {
        assert!(is_hung_up(&switch.socket("mv0.sock")), "a second connection was accepted");
    }
    flows_to_both(&mut guests, 10_000);
    absorb(&mut guests);
    compare(&switch, &mut guests);
    guests.quit();
    // That somebody knocked is worth a word to the operator.
    switch.allow("second connection to");
    switch.allow("failed to add vhost user connection");
    switch.stop();
}

/// True if the switch ends a connection to `socket` at once.
#[track_caller]
fn is_hung_up(socket: &Path) -> bool {
    is_over(&mut UnixStream::connect(socket).unwrap())
}

/// True if the other side ends the connection within two seconds.
#[track_caller]
fn is_over(stream: &mut UnixStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    match stream.read(&mut [0; 16]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Connects as a guest does and asks for the features: the answer shows that the switch serves it.
#[track_caller]
fn shake_hands(socket: &Path) -> UnixStream {
    let mut guest = UnixStream::connect(socket).unwrap();
    guest.set_read_timeout(Some(PATIENCE)).unwrap();
    // VHOST_USER_GET_FEATURES, version 1, no payload.
    guest.write_all(&[1_u32, 1, 0].map(u32::to_ne_bytes).concat()).unwrap();
    // Header and a 64-bit mask.
    guest.read_exact(&mut [0; 20]).unwrap();
    guest
}

#[test]
fn links_come_and_go_under_traffic() {
    if !have("links_come_and_go_under_traffic", TESTPMD) {
        return;
    }
    let mut switch = Switch::start(&two_links("4k"));
    let mut guests = Testpmd::start("guests", "mac", &two_guests(&switch));
    switch.wait_up(&["mv0", "mv1"], true);
    go_round(&mut guests);
    flows_to_both(&mut guests, 10_000);
    let come_and_go = || {
        let link = json!({"name": "mv9", "link": "lan0", "mode": "bridge", "socket": "mv9.sock"});
        switch.rpc("link.add", link);
        // The library looks at new and old sockets once a second, or when another one wakes it.
        assert!(is_hung_up(&switch.socket("mv0.sock")));
        let mut guest = shake_hands(&switch.socket("mv9.sock"));
        switch.rpc("link.del", json!({"name": "mv9"}));
        assert!(is_hung_up(&switch.socket("mv0.sock")));
        assert!(is_over(&mut guest), "the guest of a deleted link is still connected");
        assert!(!switch.socket("mv9.sock").exists(), "the socket is left");
    };
    // What is made once and kept is not a leak.
    come_and_go();
    pause(Duration::from_millis(200));
    let before = switch.open_files();
    // More often than the library has slots for guests (1,024).
    for _ in 0..1100 {
        come_and_go();
    }
    wait_until("descriptors return", PATIENCE, || switch.open_files() <= before);
    let names = switch.rpc("link.show", json!({})).to_string();
    assert!(names.contains("mv0") && names.contains("mv1") && !names.contains("mv9"), "{names}");

    flows_to_both(&mut guests, 10_000);
    absorb(&mut guests);
    // No frame of the others was lost on the way: compare() allows full rings alone.
    compare(&switch, &mut guests);
    guests.quit();
    switch.allow("second connection to");
    switch.allow("failed to add vhost user connection");
    switch.stop();
}

/// All guests share the thread that reads their messages: one that begins a
/// message and falls silent must not stop it.
#[test]
fn a_connection_that_falls_silent_stops_nobody() {
    if !have("a_connection_that_falls_silent_stops_nobody", TESTPMD) {
        return;
    }
    let mut switch = Switch::start(&two_links("4k"));
    switch.allow("mv0.sock");
    let mut silent = UnixStream::connect(switch.socket("mv0.sock")).unwrap();
    // A header: GET_FEATURES, version 1, and eight bytes that never come.
    let header = [1_u32, 1, 8].map(u32::to_ne_bytes).concat();
    silent.write_all(&header).unwrap();
    pause(Duration::from_millis(100));
    let guest = Testpmd::start("b", "rxonly", &[Vdev::virtio_user(&switch.socket("mv1.sock"), B)]);
    switch.wait_up(&["mv1"], true);
    guest.quit();
    switch.rpc("link.del", json!({"name": "mv0"}));
    drop(silent);
    switch.stop();
}
