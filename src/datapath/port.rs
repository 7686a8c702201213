//! A port: a device with a name and counters, whatever kind it is.
//!
//! Owned through an `Arc` by the registry and by every plan that names it; the
//! last owner, which is control, closes the device by dropping it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::counters::PortStats;
use crate::dpdk::{Burst, EthPort, Lcore, Mbuf, Pool, RingPair, VhostPort};

/// The kinds of device frames go in and out of.
#[derive(Debug)]
pub enum Device {
    /// An ethdev of any driver.
    Eth(EthPort),
    /// One end of a wire inside the process.
    Ring(RingPair),
    /// A vhost-user socket.
    Vhost(VhostPort),
    /// One VLAN of another port.
    Vlan(VlanDevice),
}

/// What makes a VLAN a device: frames leave through another port with a tag.
/// They enter there, too, and whoever receives them takes the tag off.
#[derive(Debug)]
pub struct VlanDevice {
    /// The port that carries the frames.
    pub carrier: Arc<Port>,
    /// Protocol: 0x8100 or 0x88a8.
    pub tpid: u16,
    /// VLAN id, 1 to 4094.
    pub id: u16,
    /// Where the copy of a shared frame comes from, which gets the tag.
    pub pool: Arc<Pool>,
}

/// A device, its name and its counters.
#[derive(Debug)]
pub struct Port {
    /// Name of the lower or link.
    pub name: Arc<str>,
    /// What moves the frames.
    pub device: Device,
    /// Shared with readers, who may outlive the device.
    pub stats: Arc<PortStats>,
    /// Frames of ours that count as received here.
    injected: ArrayQueue<Mbuf>,
    is_far: bool,
}

/// Frames that can wait to be taken for received.
const INJECTED: usize = 64;

impl Port {
    /// A port whose frames are counted by so many workers.
    #[must_use]
    pub fn new(name: &str, device: Device, workers: u16) -> Self {
        let stats = Arc::new(PortStats::new(usize::from(workers)));
        let is_far = match &device {
            Device::Eth(port) => port.is_far(),
            Device::Ring(_) => true,
            Device::Vhost(_) | Device::Vlan(_) => false,
        };
        Self { name: name.into(), device, stats, injected: ArrayQueue::new(INJECTED), is_far }
    }

    /// Lets the worker that polls this port take `frame` for received: how a
    /// link is announced in its guest's stead. `false`: too many wait already.
    pub fn inject(&self, frame: Mbuf) -> bool {
        self.injected.push(frame).is_ok()
    }

    /// Frames that were received may not be in this core's cache yet.
    #[inline]
    pub(super) fn is_far(&self) -> bool {
        self.is_far
    }

    /// Receives behind the frames already in `burst`; returns how many.
    #[inline]
    pub(super) fn rx(&self, lcore: &Lcore, queue: u16, burst: &mut Burst) -> usize {
        if !self.injected.is_empty() {
            return self.rx_injected(burst);
        }
        match &self.device {
            Device::Vhost(port) => port.rx(burst),
            Device::Eth(port) => port.poll(lcore, queue, burst),
            Device::Ring(ring) => ring.port().poll(lcore, queue, burst),
            Device::Vlan(_) => 0,
        }
    }

    /// Lets another worker receive from the queue.
    pub(super) fn let_go(&self, lcore: &Lcore, queue: u16) {
        if let Some(port) = self.eth() {
            port.let_go(lcore, queue);
        }
    }

    #[cold]
    fn rx_injected(&self, burst: &mut Burst) -> usize {
        let mut received = 0;
        while !burst.is_full()
            && let Some(frame) = self.injected.pop()
        {
            drop(burst.push(frame));
            received += 1;
        }
        received
    }

    /// Receive queues that workers poll, at least 1 unless the device cannot receive.
    #[must_use]
    pub fn rx_queues(&self) -> u16 {
        match &self.device {
            Device::Vhost(_) => 1,
            Device::Eth(port) => port.info().rx_queues,
            Device::Ring(ring) => ring.port().info().rx_queues,
            Device::Vlan(_) => 0,
        }
    }

    /// The peer is there: a running guest, a device with carrier.
    #[must_use]
    pub fn carrier(&self) -> bool {
        match &self.device {
            Device::Vhost(port) => port.connected(),
            Device::Eth(port) => port.carrier(),
            Device::Ring(ring) => ring.port().carrier(),
            Device::Vlan(vlan) => vlan.carrier.carrier(),
        }
    }

    /// Its frames move through another port.
    #[must_use]
    pub fn is_vlan(&self) -> bool {
        matches!(self.device, Device::Vlan(_))
    }

    /// The ethdev, if it is one of its own.
    #[must_use]
    pub fn eth(&self) -> Option<&EthPort> {
        match &self.device {
            Device::Eth(port) => Some(port),
            Device::Ring(ring) => Some(ring.port()),
            Device::Vhost(_) | Device::Vlan(_) => None,
        }
    }

    /// Descriptors of the device that become readable when a frame arrives. A
    /// guest's kick is not among them: it comes and goes with the guest.
    pub fn wake_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let (sockets, event) = match &self.device {
            Device::Vhost(_) | Device::Vlan(_) => (&[][..], None),
            Device::Eth(port) => (port.wake_fds(), None),
            Device::Ring(ring) => (&[][..], Some(ring.wake_fd().as_fd())),
        };
        sockets.iter().map(AsFd::as_fd).chain(event)
    }

    /// A worker may sleep until it is told of a frame from here.
    pub(super) fn tells(&self) -> bool {
        match &self.device {
            Device::Ring(_) | Device::Vlan(_) => true,
            Device::Vhost(port) => port.tells(),
            Device::Eth(port) => !port.wake_fds().is_empty(),
        }
    }
}
