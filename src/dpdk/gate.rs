//! The gate of a vhost queue: guest memory is touched only behind it.
//!
//! One lock word. Workers `enter` per batch and skip the queue if it is closed;
//! librte_vhost's callbacks close it. A closed and drained gate means that no
//! worker is inside a library call for that queue, so the library may unmap the
//! guest's memory and free the device.

use std::sync::atomic::{AtomicU32, Ordering};

/// Set while the gate is closed; the bits below count who is inside.
const CLOSED: u32 = 1 << 31;

/// A queue's lock word, on a cache line of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Gate(AtomicU32);

impl Gate {
    pub(super) const fn closed() -> Self {
        Self(AtomicU32::new(CLOSED))
    }

    /// Admits the caller until the pass is dropped, or says that the gate is closed.
    #[inline]
    pub(super) fn enter(&self) -> Option<Pass<'_>> {
        // Most gates of a large switch are closed, and a look leaves the line
        // where it is. Whoever comes in spite of it is turned back below.
        if !self.is_open() {
            return None;
        }
        // Acquire: what the opener wrote (the device id) is visible inside.
        if self.0.fetch_add(1, Ordering::Acquire) & CLOSED != 0 {
            self.0.fetch_sub(1, Ordering::Release);
            return None;
        }
        Some(Pass(self))
    }

    pub(super) fn open(&self) {
        self.0.fetch_and(!CLOSED, Ordering::Release);
    }

    /// Refuses newcomers from now on, and does not wait: for callbacks that
    /// hold the library's queue lock, which those inside may be waiting for.
    pub(super) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Waits until nobody is inside a closed gate: one batch at most.
    pub(super) fn drain(&self) {
        while self.0.load(Ordering::Acquire) & !CLOSED != 0 {
            std::thread::yield_now();
        }
    }

    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CLOSED == 0
    }
}

/// The right to be inside; leaving is dropping it.
#[derive(Debug)]
pub(super) struct Pass<'a>(&'a Gate);

impl Drop for Pass<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_closed_gate_admits_nobody() {
        let gate = Gate::closed();
        assert!(gate.enter().is_none());
        gate.open();
        assert!(gate.enter().is_some());
        gate.close();
        assert!(gate.enter().is_none() && !gate.is_open());
        gate.drain();
    }

    #[test]
    fn drain_waits_for_those_inside() {
        static GATE: Gate = Gate::closed();
        static MAPPED: AtomicBool = AtomicBool::new(true);
        GATE.open();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                std::thread::spawn(|| {
                    let mut inside = 0_u32;
                    while inside < 200_000 {
                        match GATE.enter() {
                            Some(_pass) => assert!(MAPPED.load(Ordering::Relaxed)),
                            None => std::hint::spin_loop(),
                        }
                        inside += 1;
                    }
                })
            })
            .collect();
        for _ in 0..200 {
            GATE.close();
            GATE.drain();
            MAPPED.store(false, Ordering::Relaxed);
            MAPPED.store(true, Ordering::Relaxed);
            GATE.open();
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    }
}
