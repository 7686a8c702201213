//! What the kernel's counters must have moved by, told from mvswitch's and the deviations.
//!
//! mvswitch counts a frame with its whole length wherever it goes; where the
//! kernel does not, the difference has an id in `tests/deviations.toml`.

use std::collections::BTreeMap;

use super::deviations::Deviations;
use super::ours::Delivery;
use super::scenario::{BRIDGE, Frame, SHORTEST, Side, VEPA};
use super::state::{Counters, LinkState, State};

/// The movements of all links' counters.
#[derive(Debug, Default)]
pub(crate) struct Expected(BTreeMap<u8, Counters>);

impl Expected {
    /// A frame of a link that is up, and what becomes of it on the wire's side.
    pub(crate) fn sent(&mut self, from: Side, frame: &Frame, state: &State) {
        let Side::Link(link) = from else { return };
        let Some(link_state) = state.links.get(&link).filter(|link| link.up) else { return };
        let counters = self.0.entry(link).or_default();
        if link_state.carrier {
            counters.tx_packets += 1;
            counters.tx_bytes += frame.len as u64;
        } else {
            // TX-17: without carrier nothing leaves the link.
            counters.tx_dropped += 1;
        }
    }

    /// A barrier that a link has received.
    pub(crate) fn barrier(&mut self, link: u8) {
        let counters = self.0.entry(link).or_default();
        counters.rx_packets += 1;
        counters.rx_bytes += SHORTEST as u64;
        counters.multicast += 1;
    }

    /// What the kernel counts for a frame's deliveries.
    pub(crate) fn delivered(
        &mut self,
        from: Side,
        frame: &Frame,
        deliveries: &[Delivery],
        state: &State,
        deviations: &mut Deviations,
    ) {
        let mut seen: BTreeMap<u8, usize> = BTreeMap::new();
        for (side, multicast) in deliveries {
            let Side::Link(link) = *side else { continue };
            let counters = self.0.entry(link).or_default();
            counters.rx_packets += 1;
            counters.multicast += u64::from(*multicast);
            let earlier = seen.entry(link).or_default();
            let local = matches!(from, Side::Link(_)) && *multicast;
            counters.rx_bytes += if local {
                deviations.meet("ST-05");
                frame.len as u64 + 14
            } else if returns_to_sender(from, frame, state.links.get(&link), *earlier) {
                deviations.meet("RXM-17");
                0
            } else if frame.tags.is_empty() {
                frame.len as u64
            } else {
                deviations.meet("RXU-08");
                frame.len as u64 - 4
            };
            *earlier += 1;
        }
    }

    /// What differs between this and the movement seen.
    pub(crate) fn unlike(
        &self,
        before: &BTreeMap<String, Counters>,
        after: &BTreeMap<String, Counters>,
    ) -> Vec<String> {
        let links = after.iter().filter_map(|(name, after)| {
            let link: u8 = name.strip_prefix("mv")?.parse().ok()?;
            let moved = *after - before.get(name).copied().unwrap_or_default();
            let expected = self.0.get(&link).copied().unwrap_or_default();
            (moved != expected)
                .then(|| format!("  {name}: kernel {moved:?}\n       expected {expected:?}"))
        });
        links.collect()
    }
}

/// Rows RXM-04 to RXM-06: a group frame that comes back to the link that sent
/// it. If its own source list has it as well, that copy comes first.
fn returns_to_sender(from: Side, frame: &Frame, link: Option<&LinkState>, earlier: usize) -> bool {
    matches!(from, Side::Wire(_))
        && frame.dst.0.is_multicast()
        && link.is_some_and(|link| {
            let listed = usize::from(link.sources.contains(&frame.src));
            let turned_back = link.mode != VEPA && link.mode != BRIDGE;
            link.address == frame.src && turned_back && earlier == listed
        })
}
