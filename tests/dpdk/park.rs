//! Silent links among many: off the poll list, and back by a mark.
//!
//! What control does in the switch (watching a guest's descriptor, then marking
//! its link) the test does by hand, so that it can leave it out, too.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use macvlan::mode::Mode;
use mvswitch::datapath::{Device, IdlePolicy, WakeThread};
use mvswitch::dpdk::{Burst, EthPort, Lcore, VhostPort};

use super::bench::Rig;
use super::idle::quick_enough;
use super::ports::{attach_guest, open_socket};
use super::{Bench, Peer, frame, mac, tag, wait_for};

/// More than a worker polls whether they are active or not.
const LINKS: u8 = 40;
/// Those of them that have a guest.
const GUESTS: u8 = 6;

/// For 99 of 100 frames of a parked link. What is promised is half of that, and
/// held against it by scripts/bench/scale.sh, which wants a quiet machine.
const MAX_P99: Duration = Duration::from_micros(200);

/// Twice what it takes to be parked.
const PARKED: Duration = Duration::from_micros(2500);

/// What a link that is not polled would be delivered in, if it were.
const LONG: Duration = Duration::from_millis(50);

struct Crowd<'a> {
    rig: Rig,
    wake: WakeThread,
    guests: Vec<Option<EthPort>>,
    kicks: Vec<Arc<OwnedFd>>,
    wire: Peer<'a>,
    sent: u32,
}

impl<'a> Crowd<'a> {
    fn start(bench: &'a Bench, lcore: &'a Lcore, idle: IdlePolicy) -> Self {
        let (near, far) = bench.wire("a", 1);
        let sockets: Vec<_> = (1..=LINKS).map(|number| open_socket(bench, number).0).collect();
        let guests = sockets.iter().zip(1..=GUESTS);
        let guests = guests.map(|(port, number)| Some(attach_guest(bench, port, number))).collect();
        let sockets = sockets.into_iter().map(Device::Vhost);
        let devices = std::iter::once(Device::Ring(near)).chain(sockets).collect();
        let rig = Rig::start(devices, &[Mode::Bridge; LINKS as usize], 1, idle);
        let wake = WakeThread::start(&rig.workers).unwrap();
        wake.follow(&rig.plan());
        rig.publish();
        let wire = Peer { bench, ring: far, lcore };
        let mut crowd = Self { rig, wake, guests, kicks: Vec::new(), wire, sent: 0 };
        crowd.kicks = (1..=GUESTS).map(|number| crowd.watch(number)).collect();
        crowd
    }

    fn port(&self, number: u8) -> &VhostPort {
        let Device::Vhost(port) = &self.rig.ports[usize::from(number)].device else {
            unreachable!()
        };
        port
    }

    fn watch(&self, number: u8) -> Arc<OwnedFd> {
        let (port, waker) = (self.port(number), &self.rig.workers[0].waker);
        let kick = port.wake_fd().expect("the guest's kick descriptor");
        waker.watch_guest(&kick, port.number()).unwrap();
        waker.rouse(port.number());
        kick
    }

    fn forget(&self, number: u8) {
        self.rig.workers[0].waker.forget(&self.kicks[usize::from(number - 1)]);
    }

    /// Sends a frame from a guest to the wire.
    fn send(&mut self, number: u8) {
        self.sent += 1;
        let bytes = frame(mac(0xee), mac(number), self.sent, 60);
        let mut burst = Burst::new();
        drop(burst.push(self.wire.bench.pool.frame(&bytes).unwrap()));
        let guest = self.guests[usize::from(number - 1)].as_ref().unwrap();
        assert_eq!(guest.tx(self.wire.lcore, &mut burst), 1);
    }

    /// Waits for the frame that was sent last.
    fn receive(&self) {
        let mut frames = Vec::new();
        wait_for("the frame of a link that was silent", || {
            frames = self.wire.receive();
            !frames.is_empty()
        });
        assert_eq!(frames.iter().map(|bytes| tag(bytes)).collect::<Vec<_>>(), [self.sent]);
    }

    /// Sends a frame that must stay where it is: the link is parked, and nobody
    /// hears the kick.
    fn send_unheard(&mut self, number: u8) {
        self.forget(number);
        // A worker that did not get its core has not parked it yet.
        let stays = (0..20).any(|_| {
            std::thread::sleep(PARKED);
            self.send(number);
            std::thread::sleep(LONG);
            self.wire.receive().is_empty()
        });
        assert!(stays, "a silent link is still polled");
    }

    fn stop(self) {
        drop(self.guests);
        drop(self.rig.stop());
        drop(self.wake);
    }
}

pub(crate) fn a_kick_brings_a_parked_link_back(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let mut crowd = Crowd::start(bench, &lcore, IdlePolicy::Spin);
    let mut numbers = (1..=GUESTS).cycle();
    quick_enough(MAX_P99, PARKED, || {
        let start = Instant::now();
        crowd.send(numbers.next().unwrap());
        crowd.receive();
        start.elapsed()
    });
    crowd.stop();
}

pub(crate) fn what_changes_brings_a_parked_link_back(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let mut crowd = Crowd::start(bench, &lcore, IdlePolicy::Spin);
    // A mark.
    crowd.send_unheard(1);
    crowd.rig.workers[0].waker.rouse(crowd.port(1).number());
    crowd.receive();
    // A new plan.
    crowd.send_unheard(2);
    crowd.rig.publish();
    crowd.receive();
    // A frame of ours, where no guest is.
    crowd.sent += 1;
    let bytes = frame(mac(0xee), mac(LINKS), crowd.sent, 60);
    std::thread::sleep(PARKED);
    assert!(crowd.rig.ports[usize::from(LINKS)].inject(bench.pool.frame(&bytes).unwrap()));
    std::thread::sleep(LONG);
    assert!(crowd.wire.receive().is_empty(), "a link without a guest is polled");
    crowd.rig.workers[0].waker.rouse(crowd.port(LINKS).number());
    crowd.receive();
    // The next guest, and the next but one.
    for next in 1..=2 {
        crowd.forget(3);
        crowd.guests[2] = None;
        wait_for("the end of the guest", || !crowd.port(3).connected());
        std::thread::sleep(PARKED);
        crowd.guests[2] = Some(attach_guest(bench, crowd.port(3), 10 + next));
        crowd.kicks[2] = crowd.watch(3);
        for _ in 0..50 {
            std::thread::sleep(PARKED);
            crowd.send(3);
            crowd.receive();
        }
    }
    crowd.stop();
}

/// Frames that come just when a link is being parked, and just when the worker
/// goes to sleep.
pub(crate) fn no_frame_of_a_parked_link_stays_behind(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    for idle in [IdlePolicy::Spin, IdlePolicy::Auto] {
        let mut crowd = Crowd::start(bench, &lcore, idle);
        for round in 0..4000_u64 {
            let since = Instant::now();
            // The worker looks for silent links every 250 microseconds.
            let pause = Duration::from_micros(950 + round * 7 % 400);
            while since.elapsed() < pause {
                std::hint::spin_loop();
            }
            crowd.send(1);
            crowd.receive();
        }
        crowd.stop();
    }
}
