//! A wire inside the process: two ethdevs, each transmitting into the rings
//! the other receives from.
//!
//! Owns the rings. Created by whoever needs a wire without a device (the demo
//! wire, tests); the rings must outlive both ends, which the shared owner sees to.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys as sys;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::error::{DpdkError, attempt};
use super::ethdev::{EthOptions, EthPort};
use super::pool::Pool;

/// Frames a ring holds, less one.
const SLOTS: u32 = 1024;

/// One end of the wire, and the rings it needs.
#[derive(Debug)]
pub struct RingPair {
    // Field order: the port closes before its rings can go.
    port: EthPort,
    _rings: Arc<Rings>,
    /// Tells the receiver of this end, and of the other one.
    wake: Arc<EventFd>,
    peer: Arc<EventFd>,
}

#[derive(Debug)]
struct Rings(Vec<NonNull<sys::rte_ring>>);

// SAFETY: rings are only freed here; the ethdevs use them under their own rules.
unsafe impl Send for Rings {}
// SAFETY: as above.
unsafe impl Sync for Rings {}

impl RingPair {
    /// A wire of `options.queues` queues each way; `name` (at most 16 bytes)
    /// must be new.
    ///
    /// # Errors
    /// The failed call. Nothing is left behind.
    pub fn wire(
        name: &str,
        options: &EthOptions,
        pool: &Arc<Pool>,
    ) -> Result<(Self, Self), DpdkError> {
        let mut rings = Rings(Vec::new());
        for direction in ["a", "b"] {
            for queue in 0..options.queues {
                let ring = CString::new(format!("{name}_{direction}{queue}")).unwrap_or_default();
                // SAFETY: EAL runs; the name is copied; -1 is SOCKET_ID_ANY.
                // Flags 0: any number of producers and consumers.
                let ring = unsafe { sys::rte_ring_create(ring.as_ptr(), SLOTS, -1, 0) };
                let ring =
                    NonNull::new(ring).ok_or_else(|| DpdkError::new("rte_ring_create", -1))?;
                rings.0.push(ring);
            }
        }
        let rings = Arc::new(rings);
        let (a, b) = rings.0.split_at(usize::from(options.queues));
        let event = || {
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let event = EventFd::from_flags(flags);
            event.map(Arc::new).map_err(|errno| DpdkError {
                call: "eventfd",
                errno: errno as i32,
                said: None,
            })
        };
        let (near, far) = (event()?, event()?);
        let end = |suffix: &str, rx: &[NonNull<sys::rte_ring>], tx: &[NonNull<sys::rte_ring>]| {
            let device = CString::new(format!("{name}_{suffix}")).unwrap_or_default();
            let count = u32::from(options.queues);
            // SAFETY: both arrays hold `count` valid rings, which live until
            // the port is closed.
            let id = attempt("rte_eth_from_rings", || unsafe {
                let (rx, tx) = (rx.as_ptr().cast(), tx.as_ptr().cast());
                sys::rte_eth_from_rings(device.as_ptr(), rx, count, tx, count, 0)
            })?;
            let id = u16::try_from(id).unwrap_or(u16::MAX);
            // Who uses the far end is not known here: its queues have locks.
            let users = if suffix == "far" { u16::MAX } else { options.users };
            let port = EthPort::start(id, &EthOptions { users, ..options.clone() }, pool)?;
            Ok::<_, DpdkError>((port, Arc::clone(&rings)))
        };
        let (port, _rings) = end("near", a, b)?;
        let one = Self { port, _rings, wake: Arc::clone(&near), peer: Arc::clone(&far) };
        let (port, _rings) = end("far", b, a)?;
        Ok((one, Self { port, _rings, wake: far, peer: near }))
    }

    /// Becomes readable when the other end has called [`RingPair::notify`].
    #[must_use]
    pub fn wake_fd(&self) -> &EventFd {
        &self.wake
    }

    /// Tells the other end that frames are waiting. A system call.
    pub fn notify(&self) {
        // Fails only if the counter is full, and then the other end knows.
        _ = self.peer.write(1);
    }

    /// The ethdev of this end.
    #[must_use]
    pub fn port(&self) -> &EthPort {
        &self.port
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        for ring in &self.0 {
            // SAFETY: both ends are closed: each holds the Arc of this value.
            // A ring that still holds frames gives them back first.
            unsafe { sys::mv_ring_free(ring.as_ptr()) };
        }
    }
}
