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
    pub(super) burst: &'a mut Burst,
    pub(super) batch: &'a mut Batch,
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
        let multicast = self.multicast & ((1_u64 << taken.min(BURST)) - 1);
        Self { frames: taken, bytes: self.bytes.saturating_sub(others), multicast }
    }
}

impl Delivery<'_> {
    /// Delivers up to [`BURST`] frames.
    #[inline]
    pub(super) fn chunk(&mut self, claims: &[Claim]) {
        match &self.to.port.device {
            Device::Vhost(port) => self.lend(port, claims),
            Device::Eth(port) => self.give(port, claims),
            Device::Ring(ring) => self.give(ring.port(), claims),
            Device::Vlan(vlan) => self.carry(vlan, claims),
        }
    }

    /// To a guest, whose ring gets a copy of the bytes.
    #[inline]
    fn lend(&mut self, port: &VhostPort, claims: &[Claim]) {
        let (mut loan, mut sum) = (Loan::new(), Sum::default());
        for &claim in claims {
            let len = self.batch.claimed_len(claim);
            if len > self.most(claim) {
                self.lose(DropReason::TooLong, 1, u64::from(len));
                continue;
            }
            // Cannot overflow: a chunk is no longer than a burst.
            if self.batch.borrow(claim).is_some_and(|frame| loan.push(frame)) {
                sum.add(len, claim);
            }
        }
        if loan.is_empty() {
            return;
        }
        let taken = port.tx(self.lcore, &mut loan);
        if taken == Some(sum.frames) {
            return self.count(sum);
        }
        let reason = if taken.is_none() { DropReason::PeerAbsent } else { DropReason::RingFull };
        let fits = |&claim: &Claim| self.batch.claimed_len(claim) <= self.most(claim);
        let taken = taken.unwrap_or(0);
        let left = claims.iter().copied().filter(fits).skip(taken);
        let bytes = left.map(|claim| u64::from(self.batch.claimed_len(claim))).sum();
        self.count(sum.first(taken, bytes));
        self.lose(reason, sum.frames - taken, bytes);
    }

    /// To a device that keeps the frames.
    #[inline]
    fn give(&mut self, port: &EthPort, claims: &[Claim]) {
        let sum = self.gather(claims);
        self.send(port, sum, 0);
    }

    /// Moves the frames that the output takes into the burst.
    #[inline]
    fn gather(&mut self, claims: &[Claim]) -> Sum {
        let most = self.to.max_delivered;
        match self.batch.take_all(claims, most, self.burst) {
            Some(bytes) => Sum { frames: claims.len(), bytes, multicast: 0 },
            None => self.gather_each(claims),
        }
    }

    fn gather_each(&mut self, claims: &[Claim]) -> Sum {
        let mut sum = Sum::default();
        for &claim in claims {
            let len = self.batch.claimed_len(claim);
            let Some(frame) = self.batch.take(claim) else { continue };
            if len > self.most(claim) {
                self.lose(DropReason::TooLong, 1, u64::from(len));
                continue;
            }
            // Cannot overflow: a chunk is no longer than a burst.
            if self.burst.push(frame).is_none() {
                sum.add(len, claim);
            }
        }
        sum
    }

    /// Sends the burst, whose frames are longer by `tag` bytes than they count.
    /// Returns what was taken of it.
    #[inline]
    fn send(&mut self, port: &EthPort, sum: Sum, tag: u32) -> Sum {
        if self.burst.is_empty() {
            return Sum::default();
        }
        let taken = port.tx(self.lcore, self.burst);
        if taken < sum.frames {
            return self.lose_rest(sum, taken, tag);
        }
        self.count(sum);
        sum
    }

    /// After a transmission that took so many.
    #[cold]
    fn lose_rest(&mut self, sum: Sum, taken: usize, tag: u32) -> Sum {
        let len = |frame: &Mbuf| u64::from(frame.len().saturating_sub(tag));
        let bytes = self.burst.as_slice().iter().map(len).sum();
        let left = self.burst.clear();
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
    fn carry(&mut self, vlan: &VlanDevice, claims: &[Claim]) {
        let mut untagged = Burst::new();
        let all = self.gather(claims);
        std::mem::swap(&mut untagged, self.burst);
        // Everything below counts frames as they are without their tags.
        let mut sum = Sum::default();
        for (place, frame) in untagged.drain().enumerate() {
            let len = frame.len();
            match frame.vlan_push(&vlan.pool, vlan.tpid, vlan.id) {
                Ok(frame) => {
                    sum.multicast |= (all.multicast >> place & 1) << sum.frames;
                    sum.bytes += u64::from(len);
                    sum.frames += 1;
                    drop(self.burst.push(frame));
                }
                Err(_) => self.lose(DropReason::NoBuffer, 1, u64::from(len)),
            }
        }
        let Some(port) = vlan.carrier.eth() else { return };
        let taken = self.send(port, sum, TAG);
        // The port below counts what the VLAN sends through it, tags included.
        if let Some(cell) = vlan.carrier.stats.cell(self.lcore.index()) {
            cell.tx_packets.add(taken.frames as u64);
            cell.tx_bytes.add(taken.bytes + u64::from(TAG) * taken.frames as u64);
        }
    }
}
