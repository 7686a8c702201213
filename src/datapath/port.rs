//! A port: a device with a name and counters, whatever kind it is.
//!
//! Owned through an `Arc` by the registry and by every plan that names it; the
//! last owner, which is control, closes the device by dropping it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::counters::PortStats;
use crate::dpdk::{Burst, EthPort, Lcore, RingPair, VhostPort};

/// The kinds of device frames go in and out of.
#[derive(Debug)]
pub enum Device {
    /// An ethdev of any driver.
    Eth(EthPort),
    /// One end of a wire inside the process.
    Ring(RingPair),
    /// A vhost-user socket.
    Vhost(VhostPort),
}

/// A device, its name and its counters.
#[derive(Debug)]
pub struct Port {
    /// Name of the lower or link.
    pub name: String,
    /// What moves the frames.
    pub device: Device,
    /// Shared with readers, who may outlive the device.
    pub stats: Arc<PortStats>,
}

impl Port {
    /// Receives behind the frames already in `burst`; returns how many.
    #[inline]
    pub(super) fn rx(&self, queue: u16, burst: &mut Burst) -> usize {
        match &self.device {
            Device::Vhost(port) => port.rx(burst),
            Device::Eth(port) => port.rx(queue, burst),
            Device::Ring(ring) => ring.port().rx(queue, burst),
        }
    }

    /// Delivers from the front of `burst`; the rest stays in it. `None`: no
    /// peer is there.
    #[inline]
    pub(super) fn tx(&self, lcore: &Lcore, burst: &mut Burst) -> Option<usize> {
        match &self.device {
            Device::Vhost(port) => port.tx(lcore, burst),
            Device::Eth(port) => Some(port.tx(lcore, burst)),
            Device::Ring(ring) => Some(ring.port().tx(lcore, burst)),
        }
    }

    /// Receive queues that workers poll, at least 1 unless the device cannot receive.
    #[must_use]
    pub fn rx_queues(&self) -> u16 {
        match &self.device {
            Device::Vhost(_) => 1,
            Device::Eth(port) => port.info().rx_queues,
            Device::Ring(ring) => ring.port().info().rx_queues,
        }
    }

    /// The peer is there: a running guest, a device with carrier.
    #[must_use]
    pub fn carrier(&self) -> bool {
        match &self.device {
            Device::Vhost(port) => port.connected(),
            Device::Eth(port) => port.carrier(),
            Device::Ring(ring) => ring.port().carrier(),
        }
    }

    /// Descriptors of the device that become readable when a frame arrives. A
    /// guest's kick is not among them: it comes and goes with the guest.
    pub fn wake_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let (sockets, event) = match &self.device {
            Device::Vhost(_) => (&[][..], None),
            Device::Eth(port) => (port.wake_fds(), None),
            Device::Ring(ring) => (&[][..], Some(ring.wake_fd().as_fd())),
        };
        sockets.iter().map(AsFd::as_fd).chain(event)
    }

    /// A worker may sleep until it is told of a frame from here.
    pub(super) fn tells(&self) -> bool {
        match &self.device {
            Device::Vhost(_) | Device::Ring(_) => true,
            Device::Eth(port) => !port.wake_fds().is_empty(),
        }
    }
}
