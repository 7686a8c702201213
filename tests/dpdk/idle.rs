//! `idle = "auto"`: hardly any CPU when nothing moves, and quick when it does.

use std::time::{Duration, Instant};

use macvlan::mode::Mode;
use mvswitch::datapath::{Device, IdlePolicy};
use mvswitch::dpdk::{Burst, Lcore};

use super::bench::Rig;
use super::ports::{attach_guest, vhost_pair};
use super::{Bench, Peer, frame, mac, wait_for};

/// What the issue promises: under 5 % of a core, and 200 microseconds for 99 of
/// 100 frames.
const MAX_CPU: f64 = 0.05;
const MAX_P99: Duration = Duration::from_micros(200);

/// A shared machine may steal the CPU for longer than any bound: the promise
/// must hold in one of these tries.
const TRIES: usize = 10;

pub(crate) fn auto_idles_and_wakes_by_a_ring(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (lower, far_lower) = bench.wire("a", 1);
    let (link, far_link) = bench.wire("b", 1);
    let rig = Rig::start(
        vec![Device::Ring(lower), Device::Ring(link)],
        &[Mode::Bridge],
        1,
        IdlePolicy::Auto,
    );
    let wire = Peer { bench, ring: far_lower, lcore: &lcore };
    let guest = Peer { bench, ring: far_link, lcore: &lcore };
    assert_idle_is_cheap();
    let bytes = frame(mac(1), mac(9), 0, 60);
    assert_wakes_quickly(|| {
        let start = Instant::now();
        wire.send(&bytes);
        wait_for("the frame", || !guest.receive().is_empty());
        start.elapsed()
    });
    drop(rig.stop());
}

pub(crate) fn auto_idles_and_wakes_by_a_guest(bench: &Bench) {
    let lcore = Lcore::helper().unwrap();
    let (near, far) = bench.wire("a", 1);
    let (port, guest, _) = vhost_pair(bench, 1);
    let kick = port.wake_fd().expect("the guest's kick descriptor");
    let rig = Rig::start(
        vec![Device::Ring(near), Device::Vhost(port)],
        &[Mode::Bridge],
        1,
        IdlePolicy::Auto,
    );
    rig.workers[0].waker.watch(&kick).unwrap();
    let wire = Peer { bench, ring: far, lcore: &lcore };
    assert_idle_is_cheap();
    let bytes = frame(mac(9), mac(1), 0, 60);
    let mut burst = Burst::new();
    assert_wakes_quickly(|| {
        drop(burst.push(bench.pool.frame(&bytes).unwrap()));
        let start = Instant::now();
        assert_eq!(guest.tx(&lcore, &mut burst), 1);
        wait_for("the frame", || !wire.receive().is_empty());
        start.elapsed()
    });
    // A guest that comes back while the worker sleeps wakes it just the same.
    let Device::Vhost(port) = &rig.ports[1].device else { unreachable!() };
    let worker = &rig.workers[0].waker;
    worker.forget(&kick);
    drop(guest);
    wait_for("the end of the guest", || !port.connected());
    // As control does when a guest goes: the worker looks round and sleeps on.
    worker.wake();
    std::thread::sleep(Duration::from_millis(20));
    let guest = attach_guest(bench, port, 2);
    worker.watch(port.wake_fd().expect("the new guest's kick descriptor")).unwrap();
    worker.wake();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(5));
        drop(burst.push(bench.pool.frame(&bytes).unwrap()));
        assert_eq!(guest.tx(&lcore, &mut burst), 1);
        wait_for("the frame of the guest that came back", || !wire.receive().is_empty());
    }
    drop(guest);
    drop(rig.stop());
}

/// CPU time of this process.
fn cpu() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let micros = micros(usage.user_time()) + micros(usage.system_time());
    Duration::from_micros(u64::try_from(micros).unwrap())
}

fn assert_idle_is_cheap() {
    std::thread::sleep(Duration::from_millis(200));
    let (start, before) = (Instant::now(), cpu());
    std::thread::sleep(Duration::from_secs(2));
    let share = (cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64();
    println!("idle: {:.2} % of a core", share * 100.0);
    assert!(share < MAX_CPU, "an idle worker takes {:.1} % of a core", share * 100.0);
}

fn assert_wakes_quickly(one: impl FnMut() -> Duration) {
    // Long enough for the worker to have gone to sleep.
    quick_enough(MAX_P99, Duration::from_micros(500), one);
}

/// 99 of 100 frames take no longer than `limit`, each sent after a pause.
pub(crate) fn quick_enough(limit: Duration, pause: Duration, mut one: impl FnMut() -> Duration) {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let mut times: Vec<Duration> = (0..1000)
            .map(|_| {
                std::thread::sleep(pause);
                one()
            })
            .collect();
        times.sort();
        println!("woken: p50 {:?} p99 {:?} max {:?}", times[500], times[990], times[999]);
        if times[990] <= limit {
            return;
        }
        seen.push(times[990]);
    }
    panic!("p99 of 1,000 frames: {seen:?}");
}
