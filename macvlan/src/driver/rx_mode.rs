//! What a lower's filters must let through, computed from the state as a whole.
//!
//! Never by counting up and down: that is how the kernel's counters leak
//! (UCF-06b, UCF-08, B15).

use std::collections::BTreeSet;

use super::{Driver, Index, Link, Lower};
use crate::mac::MacAddr;
use crate::mode::{Flags, Mode};

/// A lower's receive mode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RxMode {
    /// Unicast addresses beside the lower's own (UCF-01, UCF-09).
    pub unicast: BTreeSet<MacAddr>,
    /// Groups that links have joined (MCF-06).
    pub groups: BTreeSet<MacAddr>,
    /// All groups (UCF-06).
    pub allmulti: bool,
    /// Everything: a passthru link without nopromisc, or a link that is
    /// promiscuous itself (UCF-04, UCF-07).
    pub promiscuous: bool,
}

impl Driver {
    /// What the filters of a lower must be.
    #[must_use]
    pub fn rx_mode(&self, lower: Index) -> Option<RxMode> {
        self.lower(lower)?;
        let mut mode = RxMode::default();
        let mut unicast = Vec::new();
        for link in self.links_of(lower).filter(|link| link.up) {
            if link.mode == Mode::Passthru {
                // UCF-05: its own promiscuity does not matter.
                mode.promiscuous |= !link.flags.contains(Flags::NOPROMISC);
            } else {
                unicast.extend(link.own_addresses());
                mode.promiscuous |= link.promisc;
            }
            unicast.extend(&link.unicast);
            mode.groups.extend(&link.groups);
            mode.allmulti |= link.allmulti;
        }
        // At once, which sorts them once.
        mode.unicast = unicast.into_iter().collect();
        Some(mode)
    }

    /// What the filters of a lower must be is the same in both, as far as can be
    /// told without working it out.
    #[must_use]
    pub fn shares_rx_mode(&self, other: &Self, lower: Index) -> bool {
        let (Some(here), Some(there)) = (self.lower(lower), other.lower(lower)) else {
            return false;
        };
        let own = |lower: &Lower| (lower.spec.address, lower.spec.host);
        let mut links = self.links_of(lower).zip(other.links_of(lower));
        own(here) == own(there)
            && here.links == there.links
            && links.all(|(a, b)| std::ptr::eq(a, b) || lets_in_the_same(a, b))
    }
}

impl Link {
    /// While it is up, the lower hears all groups because of it (MCF-07).
    #[must_use]
    pub(crate) fn opens_groups(&self) -> bool {
        self.allmulti
            || match self.mode {
                Mode::Passthru => !self.flags.contains(Flags::NOPROMISC),
                _ => self.promisc,
            }
    }
}

fn lets_in_the_same(a: &Link, b: &Link) -> bool {
    let facts =
        |link: &Link| (link.up, link.mode, link.flags, link.address, link.promisc, link.allmulti);
    facts(a) == facts(b)
        && a.addresses == b.addresses
        && a.groups == b.groups
        && a.unicast == b.unicast
}
