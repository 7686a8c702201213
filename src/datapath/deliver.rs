//! Hands the frames of a batch to one output, in bursts.
//!
//! Called by the forwarder for each output of a batch. What an output does not
//! take is dropped and counted now: nothing waits for a guest.

use macvlan::drop::DropReason;

use super::batch::{Batch, Claim};
use super::counters::Cell;
use super::plan::Endpoint;
use super::port::{Device, VlanDevice};
use crate::dpdk::{BURST, Burst, EthPort, Lcore, Loan, Mbuf, VhostPort};

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
    #[inline]
    fn add(&mut self, len: u32, claim: Claim) {
        self.multicast |= u64::from(claim.is_multicast()) << (self.frames % BURST);
        self.bytes += u64::from(len);
        self.frames += 1;
    }

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
    /// Delivers frames that have no other receiver: `bytes` together, and none
    /// more than `longest`. Those that are not taken may be left in the burst.
    #[inline]
    pub(super) fn frames(&self, burst: &mut Burst, bytes: u64, longest: u32) {
        let mut sum = Sum { frames: burst.len(), bytes, multicast: 0 };
        if longest > self.to.max_delivered {
            sum = self.lose_long(burst);
        }
        match &self.to.port.device {
            Device::Vhost(port) => {
                let taken = port.tx(self.lcore, burst.as_slice());
                if taken == Some(sum.frames) {
                    return self.count(sum);
                }
                let left = burst.as_slice().iter().skip(taken.unwrap_or(0));
                self.lose_left(sum, taken, left.map(Mbuf::len));
            }
            Device::Eth(port) => _ = self.send(port, burst, sum, 0),
            Device::Ring(ring) => _ = self.send(ring.port(), burst, sum, 0),
            Device::Vlan(vlan) => self.carry(vlan, burst, sum),
        }
    }

    /// Delivers up to [`BURST`] frames of a batch, some of which have other
    /// receivers too.
    #[inline]
    pub(super) fn claims(&self, batch: &mut Batch, burst: &mut Burst, claims: &[Claim]) {
        if let Device::Vhost(port) = &self.to.port.device {
            return self.lend(port, batch, claims);
        }
        let sum = self.gather(batch, burst, claims);
        match &self.to.port.device {
            Device::Eth(port) => _ = self.send(port, burst, sum, 0),
            Device::Ring(ring) => _ = self.send(ring.port(), burst, sum, 0),
            Device::Vlan(vlan) => self.carry(vlan, burst, sum),
            Device::Vhost(_) => {}
        }
    }

    /// To a guest, whose ring gets a copy of the bytes.
    #[inline]
    fn lend(&self, port: &VhostPort, batch: &Batch, claims: &[Claim]) {
        let (mut loan, mut sum) = (Loan::new(), Sum::default());
        for &claim in claims {
            let len = batch.claimed_len(claim);
            if len > self.most(claim) {
                self.lose(DropReason::TooLong, 1, u64::from(len));
                continue;
            }
            // Cannot overflow: claims are no more than a burst.
            if batch.borrow(claim).is_some_and(|frame| loan.push(frame)) {
                sum.add(len, claim);
            }
        }
        if loan.is_empty() {
            return;
        }
        let taken = port.tx(self.lcore, loan.as_slice());
        if taken == Some(sum.frames) {
            return self.count(sum);
        }
        let fits = |&claim: &Claim| batch.claimed_len(claim) <= self.most(claim);
        let left = claims.iter().copied().filter(fits).skip(taken.unwrap_or(0));
        self.lose_left(sum, taken, left.map(|claim| batch.claimed_len(claim)));
    }

    /// Of a guest that took so many, or is not there; the others have these lengths.
    #[cold]
    fn lose_left(&self, sum: Sum, taken: Option<usize>, left: impl Iterator<Item = u32>) {
        let reason = if taken.is_none() { DropReason::PeerAbsent } else { DropReason::RingFull };
        let taken = taken.unwrap_or(0);
        let bytes = left.map(u64::from).sum();
        self.count(sum.first(taken, bytes));
        self.lose(reason, sum.frames - taken, bytes);
    }

    /// Drops what the output does not take, and returns the sum of the others.
    #[cold]
    fn lose_long(&self, burst: &mut Burst) -> Sum {
        let mut all = Burst::new();
        std::mem::swap(&mut all, burst);
        let mut sum = Sum::default();
        for frame in all.drain() {
            let len = frame.len();
            if len > self.to.max_delivered {
                self.lose(DropReason::TooLong, 1, u64::from(len));
            } else if burst.push(frame).is_none() {
                sum.frames += 1;
                sum.bytes += u64::from(len);
            }
        }
        sum
    }

    /// Moves the frames that the output takes into the burst.
    #[inline]
    fn gather(&self, batch: &mut Batch, burst: &mut Burst, claims: &[Claim]) -> Sum {
        let mut sum = Sum::default();
        for &claim in claims {
            let len = batch.claimed_len(claim);
            let Some(frame) = batch.take(claim) else { continue };
            if len > self.most(claim) {
                self.lose(DropReason::TooLong, 1, u64::from(len));
                continue;
            }
            // Cannot overflow: claims are no more than a burst.
            if burst.push(frame).is_none() {
                sum.add(len, claim);
            }
        }
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
    fn most(&self, claim: Claim) -> u32 {
        if claim.is_multicast() { self.max_copy } else { self.to.max_delivered }
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
