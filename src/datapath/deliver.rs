//! Hands the frames of a batch to one output, in bursts.
//!
//! Called by the forwarder for each output of a batch. What an output does not
//! take is dropped and counted now: nothing waits for a guest.

use macvlan::drop::DropReason;

use super::batch::Batch;
use super::counters::Cell;
use super::plan::Endpoint;
use super::port::{Device, VlanDevice};
use super::sort::MULTICAST;
use crate::dpdk::{BURST, Burst, Lcore};

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

impl Delivery<'_> {
    /// Delivers up to [`BURST`] frames.
    #[inline]
    pub(super) fn chunk(&mut self, frames: &[u16]) {
        let mut lens = [0_u32; BURST];
        // Bit by place in the burst.
        let mut multicast = 0_u64;
        for &marked in frames {
            let index = marked & !MULTICAST;
            let Some(frame) = self.batch.take(index) else { continue };
            let len = self.batch.frame_len(index);
            let is_copy = marked & MULTICAST != 0;
            if len > if is_copy { self.max_copy } else { self.to.max_delivered } {
                self.lose(DropReason::TooLong, 1, len);
                continue;
            }
            let place = self.burst.len();
            if let Some(len_at) = lens.get_mut(place) {
                *len_at = len;
                multicast |= u64::from(is_copy) << place;
            }
            // Cannot overflow: a chunk is no longer than a burst.
            drop(self.burst.push(frame));
        }
        if let Device::Vlan(vlan) = &self.to.port.device {
            self.tag(vlan, &mut lens);
        }
        if self.burst.is_empty() {
            return;
        }
        let (taken, reason) = match self.to.port.tx(self.lcore, self.burst) {
            Some(taken) => (taken, DropReason::RingFull),
            None => (0, DropReason::PeerAbsent),
        };
        if taken > 0 {
            let bytes = lens.iter().take(taken).map(|&len| u64::from(len)).sum();
            self.cell.tx_packets.add(taken as u64);
            self.cell.tx_bytes.add(bytes);
            // Those of the frames taken, which are at the front.
            let multicast = multicast & ((1_u64 << taken.min(BURST)) - 1);
            if multicast != 0 {
                self.cell.multicast.add(u64::from(multicast.count_ones()));
            }
            if let Device::Vlan(vlan) = &self.to.port.device {
                self.count_carrier(vlan, taken, bytes);
            }
        }
        let left = self.burst.clear();
        if left > 0 {
            let bytes = lens.iter().skip(taken).sum();
            self.lose(reason, left, bytes);
        }
    }

    /// Counts frames that the output did not get: as its own, and if it is the
    /// wire as frames that their sender has not sent (TX-15).
    fn lose(&self, reason: DropReason, frames: usize, bytes: u32) {
        self.cell.drop_tx(reason, frames);
        if let Some(sender) = self.sender {
            sender.not_sent(frames, bytes);
        }
    }

    /// Gives every frame of the burst the VLAN's tag. Shared frames are copied:
    /// other receivers must not see it.
    #[cold]
    fn tag(&mut self, vlan: &VlanDevice, lens: &mut [u32; BURST]) {
        let mut tagged = Burst::new();
        let mut kept = [0_u32; BURST];
        let (mut lost, mut lost_bytes) = (0, 0);
        for (frame, &len) in self.burst.drain().zip(&*lens) {
            match frame.vlan_push(&vlan.pool, vlan.tpid, vlan.id) {
                Ok(frame) => {
                    if let Some(place) = kept.get_mut(tagged.len()) {
                        *place = len;
                    }
                    drop(tagged.push(frame));
                }
                Err(_) => {
                    lost += 1;
                    lost_bytes += len;
                }
            }
        }
        *lens = kept;
        *self.burst = tagged;
        if lost > 0 {
            self.lose(DropReason::NoBuffer, lost, lost_bytes);
        }
    }

    /// The port below counts what the VLAN sends through it, tags included.
    fn count_carrier(&self, vlan: &VlanDevice, taken: usize, bytes: u64) {
        if let Some(cell) = vlan.carrier.stats.cell(self.lcore.index()) {
            cell.tx_packets.add(taken as u64);
            cell.tx_bytes.add(bytes + 4 * taken as u64);
        }
    }
}
