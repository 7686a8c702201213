//! Hands a burst of frames to its output.
//!
//! Called by the forwarder for each burst that was staged. What an output does not
//! take is dropped and counted now: nothing waits for a guest.

use macvlan::drop::DropReason;

use super::counters::Cell;
use super::plan::Endpoint;
use super::port::{Device, VlanDevice};
use super::stage::Staged;
use crate::dpdk::{Burst, EthPort, Lcore, Mbuf};

/// Bytes of a VLAN tag.
const TAG: u32 = 4;

/// A group of frames on its way to one output.
pub(super) struct Delivery<'a> {
    pub(super) lcore: &'a Lcore,
    pub(super) to: &'a Endpoint,
    /// Counts for the output.
    pub(super) cell: &'a Cell,
    /// Counts for the source, if the output is the wire.
    pub(super) sender: Option<&'a Cell>,
    /// Longest copy of a group frame that the output takes.
    pub(super) max_copy: u32,
}

/// Frames on their way to an output.
#[derive(Clone, Copy, Default)]
struct Sum {
    frames: usize,
    bytes: u64,
    /// Those that count as `multicast`, by their place.
    multicast: u64,
}

impl Sum {
    /// The first `taken` of them, where the others have so many bytes.
    fn first(self, taken: usize, others: u64) -> Self {
        let multicast = match u32::try_from(taken).ok().and_then(|taken| 1_u64.checked_shl(taken)) {
            Some(behind) => self.multicast & (behind - 1),
            None => self.multicast,
        };
        Self { frames: taken, bytes: self.bytes.saturating_sub(others), multicast }
    }
}

impl Delivery<'_> {
    /// Delivers frames, none of which has more bytes than `longest`. Those that
    /// are not taken may be left in the burst.
    #[inline]
    pub(super) fn deliver(&self, staged: &mut Staged, longest: u32) {
        let Staged { bytes, multicast, burst, .. } = staged;
        let mut sum = Sum { frames: burst.len(), bytes: *bytes, multicast: *multicast };
        if longest > self.to.max_delivered.min(self.max_copy) {
            sum = self.lose_long(burst, sum);
        }
        match &self.to.port.device {
            Device::Vhost(port) => {
                let taken = port.tx(self.lcore, burst.as_slice());
                if taken == Some(sum.frames) {
                    return self.count(sum);
                }
                self.lose_left(burst, sum, taken);
            }
            Device::Eth(port) => _ = self.send(port, burst, sum, 0),
            Device::Ring(ring) => _ = self.send(ring.port(), burst, sum, 0),
            Device::Vlan(vlan) => self.carry(vlan, burst, sum),
        }
    }

    /// Of a guest that took so many, or is not there.
    #[cold]
    fn lose_left(&self, burst: &Burst, sum: Sum, taken: Option<usize>) {
        let reason = if taken.is_none() { DropReason::PeerAbsent } else { DropReason::RingFull };
        let taken = taken.unwrap_or(0);
        let left = burst.as_slice().iter().skip(taken);
        let bytes = left.map(|frame| u64::from(frame.len())).sum();
        self.count(sum.first(taken, bytes));
        if taken < sum.frames {
            self.lose(reason, sum.frames - taken, bytes);
        }
    }

    /// Drops what the output does not take, and returns the sum of the others.
    #[cold]
    fn lose_long(&self, burst: &mut Burst, all: Sum) -> Sum {
        let (mut sum, mut place) = (Sum::default(), 0);
        burst.retain(0, |frame| {
            let len = frame.len();
            let is_copy = all.multicast >> place & 1;
            place += 1;
            if len > if is_copy != 0 { self.max_copy } else { self.to.max_delivered } {
                self.lose(DropReason::TooLong, 1, u64::from(len));
                return None;
            }
            sum.multicast |= is_copy << sum.frames;
            sum.frames += 1;
            sum.bytes += u64::from(len);
            Some(frame)
        });
        sum
    }

    /// Sends the burst, whose frames are longer by `tag` bytes than they count.
    /// Returns what was taken of it.
    #[inline]
    fn send(&self, port: &EthPort, burst: &mut Burst, sum: Sum, tag: u32) -> Sum {
        if burst.is_empty() {
            return Sum::default();
        }
        let taken = port.tx(self.lcore, burst);
        if taken < sum.frames {
            return self.lose_rest(burst, sum, taken, tag);
        }
        self.count(sum);
        sum
    }

    /// After a transmission that took so many.
    #[cold]
    fn lose_rest(&self, burst: &mut Burst, sum: Sum, taken: usize, tag: u32) -> Sum {
        let len = |frame: &Mbuf| u64::from(frame.len().saturating_sub(tag));
        let bytes = burst.as_slice().iter().map(len).sum();
        let left = burst.clear();
        let taken = sum.first(taken, bytes);
        self.count(taken);
        self.lose(DropReason::RingFull, left, bytes);
        taken
    }

    #[inline]
    fn count(&self, sum: Sum) {
        self.cell.tx_packets.add(sum.frames as u64);
        self.cell.tx_bytes.add(sum.bytes);
        if sum.multicast != 0 {
            self.cell.multicast.add(u64::from(sum.multicast.count_ones()));
        }
    }

    /// Counts frames that the output did not get: as its own, and if it is the
    /// wire as frames that their sender has not sent (TX-15).
    #[cold]
    fn lose(&self, reason: DropReason, frames: usize, bytes: u64) {
        self.cell.drop_tx(reason, frames);
        if let Some(sender) = self.sender {
            sender.not_sent(frames, bytes);
        }
    }

    /// Through another port, with the VLAN's tag. Shared frames are copied:
    /// other receivers must not see it.
    #[cold]
    fn carry(&self, vlan: &VlanDevice, burst: &mut Burst, all: Sum) {
        let mut untagged = Burst::new();
        std::mem::swap(&mut untagged, burst);
        // Everything below counts frames as they are without their tags.
        let mut sum = Sum::default();
        for (place, frame) in untagged.drain().enumerate() {
            let len = frame.len();
            match frame.vlan_push(&vlan.pool, vlan.tpid, vlan.id) {
                Ok(frame) => {
                    sum.multicast |= (all.multicast >> place & 1) << sum.frames;
                    sum.bytes += u64::from(len);
                    sum.frames += 1;
                    drop(burst.push(frame));
                }
                Err(_) => self.lose(DropReason::NoBuffer, 1, u64::from(len)),
            }
        }
        let Some(port) = vlan.carrier.eth() else { return };
        let taken = self.send(port, burst, sum, TAG);
        // The port below counts what the VLAN sends through it, tags included.
        if let Some(cell) = vlan.carrier.stats.cell(self.lcore.index()) {
            cell.tx_packets.add(taken.frames as u64);
            cell.tx_bytes.add(taken.bytes + u64::from(TAG) * taken.frames as u64);
        }
    }
}
