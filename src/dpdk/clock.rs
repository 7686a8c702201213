//! The time-stamp counter: the only clock of the data path.

use std::sync::OnceLock;
use std::time::Duration;

use dpdk_sys as sys;

/// Now, in TSC ticks.
#[inline]
#[must_use]
pub fn ticks() -> u64 {
    // SAFETY: reads a counter; no precondition.
    unsafe { sys::mv_rdtsc() }
}

/// TSC ticks per second. Valid once EAL has started.
#[must_use]
pub fn ticks_per_second() -> u64 {
    static HZ: OnceLock<u64> = OnceLock::new();
    // SAFETY: reads a value that rte_eal_init has set; 0 before.
    *HZ.get_or_init(|| unsafe { sys::rte_get_tsc_hz() }.max(1))
}

/// A span of time in TSC ticks; saturates far beyond any uptime.
#[must_use]
pub fn ticks_in(span: Duration) -> u64 {
    let ticks = span.as_nanos() * u128::from(ticks_per_second()) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Tells the core that this is a spin loop.
#[inline]
pub fn pause() {
    // SAFETY: a hint instruction; no precondition.
    unsafe { sys::mv_pause() }
}
