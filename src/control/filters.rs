//! What a lower's device is told to let through.
//!
//! Control's alone. The driver says what must come in, computed from all links;
//! here that is brought into the device, by its narrowest filter that holds it:
//! single addresses, then everything. Always from the wanted state, never by
//! counting up and down, so nothing can leak (B15, section 13.4). Wider first,
//! narrower last: what was heard and is still wanted is heard throughout (LC-36).

use std::collections::BTreeSet;

use macvlan::driver::RxMode;
use macvlan::mac::MacAddr;

use super::program::Part;
use crate::dpdk::{DpdkError, EthPort};

const NO_FILTER: &str = "the device has no filter for addresses";
const FULL: &str = "the links have more addresses than its filter has room for";
const CLINGS: &str = "the device refuses to hear less";

/// The receive mode a device was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    /// Unicast addresses in the device's filter, beside its own.
    pub(super) unicast: BTreeSet<MacAddr>,
    /// Groups in the device's filter.
    pub(super) groups: BTreeSet<MacAddr>,
    /// The device refused a list of groups: which ones it has now nobody knows.
    groups_unknown: bool,
    /// All groups come in.
    pub(super) allmulti: bool,
    /// Everything comes in, and why.
    pub(super) promiscuous: Option<&'static str>,
    /// What the device was told in vain, and the log has it.
    pub(super) owes: BTreeSet<Part>,
}

/// How far a device that was widened may be narrowed again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Widened {
    /// It has the list of groups.
    listed: bool,
    /// Nothing was in the way: it need not hear everything.
    all_told: bool,
}

/// What filters ask of a device.
pub(super) trait Device {
    /// Frames of VLANs come in only if everything does.
    fn drops_tagged(&self) -> bool;
    /// As [`EthPort::max_addresses`].
    fn max_addresses(&self) -> Result<u32, DpdkError>;
    /// As [`EthPort::add_address`].
    fn add_address(&self, address: [u8; 6]) -> Result<(), DpdkError>;
    /// As [`EthPort::remove_address`].
    fn remove_address(&self, address: [u8; 6]) -> Result<(), DpdkError>;
    /// As [`EthPort::set_groups`].
    fn set_groups(&self, groups: &[[u8; 6]]) -> Result<(), DpdkError>;
    /// As [`EthPort::set_all_multicast`].
    fn set_all_multicast(&self, on: bool) -> Result<(), DpdkError>;
    /// As [`EthPort::set_promiscuous`].
    fn set_promiscuous(&self, on: bool) -> Result<(), DpdkError>;
}

impl Filters {
    /// Lets `device`, on which there may be VLANs, hear what is wanted. What it
    /// refuses is made up for by something wider. [`Filters::narrow`] is the other
    /// half, once all devices have taken theirs.
    ///
    /// # Errors
    /// The device refuses even to hear everything.
    pub(super) fn widen(
        &mut self,
        device: &impl Device,
        wanted: &RxMode,
        has_vlans: bool,
    ) -> Result<Widened, DpdkError> {
        let mut why = wanted.promiscuous.then_some("a link asks for it");
        if has_vlans && device.drops_tagged() {
            why = why.or(Some("the device keeps tagged frames out otherwise"));
        }
        why = why.or(self.add_unicast(device, &wanted.unicast));
        if wanted.allmulti {
            why = why.or(self.add_all_groups(device));
        }
        // Before the list of groups, which may leave out what comes in so from now on.
        self.hear_everything(device, why)?;
        // Single groups go in even where all do: what is listed is what was asked.
        let listed = self.list_groups(device, &wanted.groups);
        if !listed {
            why = why.or(self.add_all_groups(device));
            self.hear_everything(device, why)?;
        }
        Ok(Widened { listed, all_told: why.is_none() })
    }

    /// The device's own address is this one, or may be: it is no further one.
    pub(super) fn forget(&mut self, address: MacAddr) {
        self.unicast.remove(&address);
    }

    /// Adds single addresses; what is in the way if that cannot be done (UCF-02,
    /// UCF-03). Room is made of what is not wanted any more.
    fn add_unicast(
        &mut self,
        device: &impl Device,
        wanted: &BTreeSet<MacAddr>,
    ) -> Option<&'static str> {
        // The device's own address takes a place, too.
        let room = device.max_addresses().map_or(0, |most| most.saturating_sub(1)) as usize;
        match wanted.len() {
            0 => return None,
            _ if room == 0 => return Some(NO_FILTER),
            // Those that are there stay: nothing is gained by their removal.
            number if number > room => return Some(FULL),
            _ => {}
        }
        let missing: Vec<MacAddr> = wanted.difference(&self.unicast).copied().collect();
        let mut stale: Vec<MacAddr> = self.unicast.difference(wanted).copied().collect();
        for address in missing {
            let mut added = device.add_address(address.bytes());
            while let Err(error) = &added
                && error.errno == nix::libc::ENOSPC
                && let Some(old) = stale.pop()
            {
                if device.remove_address(old.bytes()).is_ok() {
                    self.unicast.remove(&old);
                    added = device.add_address(address.bytes());
                }
            }
            match added {
                Ok(()) => _ = self.unicast.insert(address),
                Err(error) if error.errno == nix::libc::ENOSPC => return Some(FULL),
                Err(error) if error.is_unsupported() => return Some(NO_FILTER),
                Err(_) => return Some("the device refused an address"),
            }
        }
        None
    }

    /// Lets all groups in; what is in the way if that cannot be done.
    fn add_all_groups(&mut self, device: &impl Device) -> Option<&'static str> {
        self.allmulti = self.allmulti || device.set_all_multicast(true).is_ok();
        (!self.allmulti).then_some("the device cannot be told to hear all groups")
    }

    /// Lets everything in, if there is a reason.
    fn hear_everything(
        &mut self,
        device: &impl Device,
        why: Option<&'static str>,
    ) -> Result<(), DpdkError> {
        if why.is_some() {
            if self.promiscuous.is_none() {
                hears_anyway(device.set_promiscuous(true))?;
            }
            self.promiscuous = why;
        }
        Ok(())
    }

    /// Programs groups. False: all must be let in instead. Drivers refuse more
    /// than they have room for with errors of all kinds.
    fn list_groups(&mut self, device: &impl Device, wanted: &BTreeSet<MacAddr>) -> bool {
        if *wanted == self.groups && !self.groups_unknown {
            return true;
        }
        let list: Vec<[u8; 6]> = wanted.iter().map(|group| group.bytes()).collect();
        let set = device.set_groups(&list);
        // One that has no lists has none left over.
        self.groups_unknown = set.as_ref().is_err_and(|error| error.errno != nix::libc::ENOTSUP);
        self.groups = if set.is_ok() { wanted.clone() } else { BTreeSet::new() };
        // Nobody misses a group where none is wanted.
        set.is_ok() || wanted.is_empty()
    }

    /// Takes back what is wanted no longer; the error if the device clings to it:
    /// it is told again with the next call.
    pub(super) fn narrow(
        &mut self,
        device: &impl Device,
        wanted: &RxMode,
        widened: Widened,
    ) -> Option<DpdkError> {
        let Widened { listed, all_told } = widened;
        let mut clings = None;
        self.unicast.retain(|address| {
            wanted.unicast.contains(address)
                || device
                    .remove_address(address.bytes())
                    .map_err(|error| clings = Some(error))
                    .is_err()
        });
        if self.allmulti && !wanted.allmulti && listed {
            match hears_anyway(device.set_all_multicast(false)) {
                Ok(()) => self.allmulti = false,
                Err(error) => clings = Some(error),
            }
        }
        if self.promiscuous.is_some() && all_told {
            match hears_anyway(device.set_promiscuous(false)) {
                Ok(()) => self.promiscuous = None,
                Err(error) => {
                    self.promiscuous = Some(CLINGS);
                    clings = Some(error);
                }
            }
        }
        clings
    }
}

/// A device without the notion hears everything in either case.
fn hears_anyway(switched: Result<(), DpdkError>) -> Result<(), DpdkError> {
    match switched {
        Err(error) if error.errno != nix::libc::ENOTSUP => Err(error),
        _ => Ok(()),
    }
}

impl Device for EthPort {
    fn drops_tagged(&self) -> bool {
        self.info().driver == "net_virtio"
    }

    fn max_addresses(&self) -> Result<u32, DpdkError> {
        self.max_addresses()
    }

    fn add_address(&self, address: [u8; 6]) -> Result<(), DpdkError> {
        self.add_address(address)
    }

    fn remove_address(&self, address: [u8; 6]) -> Result<(), DpdkError> {
        self.remove_address(address)
    }

    fn set_groups(&self, groups: &[[u8; 6]]) -> Result<(), DpdkError> {
        self.set_groups(groups)
    }

    fn set_all_multicast(&self, on: bool) -> Result<(), DpdkError> {
        self.set_all_multicast(on)
    }

    fn set_promiscuous(&self, on: bool) -> Result<(), DpdkError> {
        self.set_promiscuous(on)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use nix::libc::{EINVAL, EIO, ENOSPC};

    use super::*;

    /// A card with little room, and what must come in through it all the time.
    #[derive(Default)]
    struct Card {
        room: usize,
        most_groups: usize,
        unicast: RefCell<BTreeSet<[u8; 6]>>,
        groups: RefCell<BTreeSet<[u8; 6]>>,
        allmulti: Cell<bool>,
        promiscuous: Cell<bool>,
        refuses: RefCell<BTreeSet<&'static str>>,
        must_hear: RefCell<BTreeSet<[u8; 6]>>,
        told: RefCell<Vec<String>>,
    }

    impl Card {
        fn new(room: usize) -> Self {
            Self { room, most_groups: 2, ..Self::default() }
        }

        fn hears(&self, address: &[u8; 6]) -> bool {
            self.promiscuous.get()
                || self.unicast.borrow().contains(address)
                || self.groups.borrow().contains(address)
                || self.allmulti.get() && address[0] & 1 == 1
        }

        /// One call: refused, or done, after which all that must be is heard.
        fn call(
            &self,
            what: &'static str,
            done: impl FnOnce() -> Result<(), i32>,
        ) -> Result<(), DpdkError> {
            self.told.borrow_mut().push(what.to_owned());
            let refused = self.refuses.borrow().contains(what);
            let result = if refused { Err(EIO) } else { done() };
            for address in self.must_hear.borrow().iter() {
                assert!(self.hears(address), "deaf to {address:02x?} after {what}");
            }
            result.map_err(|errno| DpdkError { call: what, errno, said: None })
        }

        fn refuse(&self, what: &[&'static str]) {
            *self.refuses.borrow_mut() = what.iter().copied().collect();
        }

        /// What it is told for this, while what it heard before and shall hear
        /// then is heard throughout.
        fn apply(&self, filters: &mut Filters, wanted: &RxMode) -> Result<Vec<String>, DpdkError> {
            let bytes = |set: &BTreeSet<MacAddr>| -> BTreeSet<[u8; 6]> {
                set.iter().map(|mac| mac.bytes()).collect()
            };
            let unicast = bytes(&wanted.unicast);
            *self.must_hear.borrow_mut() =
                unicast.iter().filter(|address| self.hears(address)).copied().collect();
            self.told.borrow_mut().clear();
            let widened = filters.widen(self, wanted, false);
            let applied = widened.map(|widened| filters.narrow(self, wanted, widened));
            if applied.is_ok() {
                for address in unicast.iter().chain(&bytes(&wanted.groups)) {
                    assert!(self.hears(address), "deaf to {address:02x?}");
                }
            }
            applied.map(|clings| {
                assert_eq!(clings.is_some(), !filters_fit(filters, wanted), "{clings:?}");
                self.told.take()
            })
        }
    }

    impl Device for Card {
        fn drops_tagged(&self) -> bool {
            false
        }

        fn max_addresses(&self) -> Result<u32, DpdkError> {
            Ok(u32::try_from(self.room + 1).unwrap())
        }

        fn add_address(&self, address: [u8; 6]) -> Result<(), DpdkError> {
            self.call("add", || {
                let mut table = self.unicast.borrow_mut();
                let full = table.len() == self.room && !table.contains(&address);
                if full { Err(ENOSPC) } else { Ok(_ = table.insert(address)) }
            })
        }

        fn remove_address(&self, address: [u8; 6]) -> Result<(), DpdkError> {
            self.call("remove", || Ok(_ = self.unicast.borrow_mut().remove(&address)))
        }

        fn set_groups(&self, groups: &[[u8; 6]]) -> Result<(), DpdkError> {
            self.call("groups", || {
                // As some do: the old list is gone before the new one is refused.
                let mut list = self.groups.borrow_mut();
                list.clear();
                if groups.len() > self.most_groups {
                    return Err(EINVAL);
                }
                list.extend(groups);
                Ok(())
            })
        }

        fn set_all_multicast(&self, on: bool) -> Result<(), DpdkError> {
            let what = if on { "all groups" } else { "not all groups" };
            self.call(what, || Ok(_ = self.allmulti.replace(on)))
        }

        fn set_promiscuous(&self, on: bool) -> Result<(), DpdkError> {
            let what = if on { "everything" } else { "not everything" };
            self.call(what, || Ok(_ = self.promiscuous.replace(on)))
        }
    }

    /// Nothing is in there that nobody wants.
    fn filters_fit(filters: &Filters, wanted: &RxMode) -> bool {
        filters.unicast.is_subset(&wanted.unicast)
            && filters.promiscuous != Some(CLINGS)
            && (!filters.allmulti || wanted.allmulti || !wanted.groups.is_empty())
    }

    fn mac(number: u8) -> MacAddr {
        MacAddr::new([2, 0, 0, 0, 0, number])
    }

    fn group(number: u8) -> MacAddr {
        MacAddr::new([1, 0, 0x5e, 0, 0, number])
    }

    fn unicast(numbers: &[u8]) -> RxMode {
        RxMode { unicast: numbers.iter().copied().map(mac).collect(), ..RxMode::default() }
    }

    fn groups(numbers: &[u8]) -> RxMode {
        RxMode { groups: numbers.iter().copied().map(group).collect(), ..RxMode::default() }
    }

    /// LC-36, UCF-03.
    #[test]
    fn a_filter_that_overflows_opens_no_hole() {
        let (card, mut filters) = (Card::new(3), Filters::default());
        card.apply(&mut filters, &unicast(&[1, 2, 3])).unwrap();
        assert!(!card.promiscuous.get());
        let told = card.apply(&mut filters, &unicast(&[1, 2, 3, 4])).unwrap();
        assert_eq!((told, filters.promiscuous), (vec!["everything".to_owned()], Some(FULL)));
        card.apply(&mut filters, &unicast(&[2, 3, 4, 5])).unwrap();
        let told = card.apply(&mut filters, &unicast(&[2, 4, 5])).unwrap();
        assert_eq!(told.last().unwrap(), "not everything");
        assert_eq!(filters.unicast, unicast(&[2, 4, 5]).unicast);
        // A card that will not hear everything refuses, and hears what it did.
        card.refuse(&["everything"]);
        assert_eq!(card.apply(&mut filters, &unicast(&[2, 4, 5, 6])).unwrap_err().errno, EIO);
        assert!([2, 4, 5].iter().all(|&number| card.hears(&mac(number).bytes())));
    }

    /// Another device may still refuse: until then all is heard that was.
    #[test]
    fn what_is_wanted_no_longer_goes_in_the_second_half() {
        let (card, mut filters) = (Card::new(3), Filters::default());
        let before = RxMode { allmulti: true, promiscuous: true, ..unicast(&[1, 2]) };
        card.apply(&mut filters, &before).unwrap();
        *card.must_hear.borrow_mut() = before.unicast.iter().map(|mac| mac.bytes()).collect();
        let widened = filters.widen(&card, &unicast(&[2, 3]), false).unwrap();
        assert!(card.promiscuous.get() && card.allmulti.get());
        assert_eq!(filters.unicast, unicast(&[1, 2, 3]).unicast);
        card.must_hear.borrow_mut().clear();
        assert!(filters.narrow(&card, &unicast(&[2, 3]), widened).is_none());
        assert_eq!(filters, Filters { unicast: unicast(&[2, 3]).unicast, ..Filters::default() });
    }

    /// LC-36.
    #[test]
    fn a_new_address_comes_before_an_old_one_goes() {
        let (card, mut filters) = (Card::new(3), Filters::default());
        card.apply(&mut filters, &unicast(&[1, 2])).unwrap();
        assert_eq!(card.apply(&mut filters, &unicast(&[1, 3])).unwrap(), ["add", "remove"]);
        // Without room for both the old one makes it, and nobody else suffers.
        card.apply(&mut filters, &unicast(&[1, 3, 4])).unwrap();
        let told = card.apply(&mut filters, &unicast(&[1, 3, 5])).unwrap();
        assert_eq!(told, ["add", "remove", "add"]);
        assert_eq!((card.unicast.borrow().len(), filters.promiscuous), (3, None));
    }

    #[test]
    fn groups_that_were_refused_are_told_again() {
        let (card, mut filters) = (Card::new(3), Filters::default());
        card.apply(&mut filters, &groups(&[1, 2])).unwrap();
        assert!(!card.allmulti.get());
        card.apply(&mut filters, &groups(&[1, 2, 3])).unwrap();
        assert!(card.allmulti.get() && filters.groups.is_empty());
        // The list is the one it took last, and it may have lost it.
        card.apply(&mut filters, &groups(&[1, 2])).unwrap();
        assert!(!card.allmulti.get());
        assert_eq!(card.groups.borrow().len(), 2);
        assert_eq!(card.apply(&mut filters, &groups(&[1, 2])).unwrap(), Vec::<String>::new());
        // Without all groups it is everything.
        card.refuse(&["all groups"]);
        card.apply(&mut filters, &groups(&[1, 2, 3])).unwrap();
        assert!(card.promiscuous.get());
        card.apply(&mut filters, &groups(&[])).unwrap();
        assert!(!card.promiscuous.get() && !card.allmulti.get());
        assert_eq!(filters, Filters::default());
    }

    /// LC-19, LC-33: nothing that lets in less can be refused.
    #[test]
    fn a_card_that_clings_to_what_it_hears_refuses_nothing() {
        let (card, mut filters) = (Card::new(3), Filters::default());
        let all = RxMode { allmulti: true, promiscuous: true, ..unicast(&[1, 2]) };
        card.apply(&mut filters, &all).unwrap();
        card.refuse(&["remove", "groups", "not all groups", "not everything"]);
        card.apply(&mut filters, &unicast(&[1])).unwrap();
        assert!(filters.allmulti && filters.promiscuous.is_some());
        assert_eq!(filters.unicast, unicast(&[1, 2]).unicast);
        card.refuse(&[]);
        let told = card.apply(&mut filters, &unicast(&[1])).unwrap();
        assert_eq!(told, ["remove", "not all groups", "not everything"]);
        assert_eq!(filters, Filters { unicast: unicast(&[1]).unicast, ..Filters::default() });
        card.apply(&mut filters, &RxMode::default()).unwrap();
        assert_eq!(filters, Filters::default());
    }

    #[test]
    fn what_an_address_is_refused_for_makes_the_device_hear_everything() {
        let (card, mut filters) = (Card::new(3), Filters::default());
        card.refuse(&["add"]);
        card.apply(&mut filters, &unicast(&[1])).unwrap();
        assert_eq!(filters.promiscuous, Some("the device refused an address"));
        let none = (Card::new(0), unicast(&[1]));
        let mut filters = Filters::default();
        none.0.apply(&mut filters, &none.1).unwrap();
        assert_eq!(filters.promiscuous, Some(NO_FILTER));
    }
}
