//! The harness of the black-box tests: the switch, its peers, and their ends.
//!
//! Owns every process, namespace and huge page that a test uses, and gives each
//! back when it goes out of scope, also when the test panics: processes are
//! ended by the id they were started with, never by name. Used by the tests
//! beside it alone. It must never reach into the switch other than as a user
//! can: command line, sockets, JSON-RPC and `/metrics`. A helper that cannot
//! go on panics, which fails the test that called it.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of the harness")]

mod hugepages;
mod light;
mod metrics;
mod namespace;
mod need;
mod process;
mod qemu;
mod switch;
mod testpmd;

use std::time::{Duration, Instant};

pub(crate) use hugepages::HugePages;
pub(crate) use light::{Kicks, LightGuest};
pub(crate) use metrics::{Metrics, PortCounters};
pub(crate) use namespace::{Namespace, Veth};
pub(crate) use need::{Need, have};
pub(crate) use process::{Process, run};
pub(crate) use qemu::{Guest, GuestKernel};
pub(crate) use switch::{Stopped, Switch};
pub(crate) use testpmd::{PortStats, Testpmd, Vdev};

/// How long anything may take that has no limit of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Lets `duration` pass.
#[allow(clippy::disallowed_methods, reason = "a test has no worker to delay")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Asks `probe` every few milliseconds until it answers; panics with `what` after `limit`.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        pause(Duration::from_millis(10));
    }
}

/// Like [`wait_for`], for a condition.
#[track_caller]
pub(crate) fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, limit, || holds().then_some(()));
}

/// Asks `read` until two answers `apart` are equal: whatever moved has come to rest.
#[track_caller]
pub(crate) fn at_rest<T: PartialEq>(apart: Duration, mut read: impl FnMut() -> T) -> T {
    let mut last = read();
    wait_for("counters come to rest", PATIENCE, || {
        pause(apart);
        let now = read();
        let same = now == last;
        last = now;
        same.then(&mut read)
    })
}
