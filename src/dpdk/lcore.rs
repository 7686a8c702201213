//! A worker thread known to DPDK.
//!
//! Owns the thread's pinning and registration, and the exclusive right to one
//! worker number. Created on the thread itself and never leaves it.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use dpdk_sys as sys;
use nix::sched::CpuSet;

use super::error::{DpdkError, attempt};

static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// The right of this thread to transmit as worker `index`: no two live values
/// have the same number, so a transmit queue of that number has one user.
#[derive(Debug)]
pub struct Lcore {
    index: u16,
    // Registration and pinning belong to the thread.
    not_send: PhantomData<*mut ()>,
}

impl Lcore {
    /// Pins the calling thread to `core`, where given, and registers it, which
    /// gives it a mempool cache.
    ///
    /// # Errors
    /// EBUSY if the number is taken, EINVAL if the thread cannot be pinned,
    /// ENOMEM if DPDK has no lcore id left.
    pub fn register(index: u16, core: Option<usize>) -> Result<Self, DpdkError> {
        // DPDK copies the affinity at registration: pin first.
        if let Some(id) = core
            // core_affinity panics on a number that no CPU set holds.
            && (id >= CpuSet::count() || !core_affinity::set_for_current(core_affinity::CoreId { id }))
        {
            return Err(failed("sched_setaffinity", nix::libc::EINVAL));
        }
        if !TAKEN.lock().unwrap_or_else(PoisonError::into_inner).insert(index) {
            return Err(failed("rte_thread_register", nix::libc::EBUSY));
        }
        let lcore = Self { index, not_send: PhantomData };
        // SAFETY: EAL runs, and this thread is not registered: it holds no other Lcore.
        attempt("rte_thread_register", || unsafe { sys::rte_thread_register() })?;
        Ok(lcore)
    }

    /// Registers a thread that is no worker: unpinned, with a number no worker has.
    ///
    /// # Errors
    /// As [`Lcore::register`].
    pub fn helper() -> Result<Self, DpdkError> {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let free = (0..u16::MAX).rev().find(|index| !taken.contains(index));
        Self::register(free.unwrap_or(0), None)
    }

    /// The worker number.
    #[inline]
    #[must_use]
    pub fn index(&self) -> u16 {
        self.index
    }
}

fn failed(call: &'static str, errno: i32) -> DpdkError {
    DpdkError { call, errno, said: None }
}

impl Drop for Lcore {
    fn drop(&mut self) {
        // SAFETY: runs on the registered thread, since the value cannot leave it;
        // on a thread whose registration failed it does nothing.
        unsafe { sys::rte_thread_unregister() };
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.index);
    }
}
