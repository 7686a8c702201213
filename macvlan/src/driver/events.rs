//! What the driver does when something happens to a lower (section 7).

use std::sync::Arc;

use super::{Driver, Index, Link};
use crate::errno::{Errno, Refusal};
use crate::mac::MacAddr;
use crate::mode::Mode;

/// Something that happened to a device, as the notifier chain tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has appeared.
    Register,
    /// It was set up.
    Up,
    /// It was set down.
    Down,
    /// Its link came or went.
    Change {
        /// It has carrier.
        carrier: bool,
    },
    /// Its offloads changed.
    FeatChange,
    /// Its MTU is another, in bytes.
    ChangeMtu(u32),
    /// Its address is another.
    ChangeAddr(MacAddr),
    /// It wants to become another kind of device.
    PreTypeChange,
    /// Its neighbours shall be told where it is.
    NotifyPeers,
    /// A bond below has switched over.
    BondingFailover,
    /// Group memberships shall be announced again.
    ResendIgmp,
    /// It is going away.
    Unregister,
    /// Of a link: a guest has come to its port, or has gone.
    Peer {
        /// A guest is there.
        connected: bool,
        /// Not the first one: neighbours may have forgotten the link (B19).
        returned: bool,
    },
}

impl Driver {
    /// The notifier chain's call: changes what is known of the lower and does
    /// what the event asks for. Devices that are no lowers are ignored (NT-10).
    /// Returns the links that shall announce themselves (NT-09).
    ///
    /// # Errors
    /// EPERM: the event is vetoed (NT-08). EADDRINUSE: the lower's new address
    /// is that of a link that is up, which the kernel lets happen to nobody's
    /// good (NT-04).
    pub fn notify(&mut self, device: Index, event: &Event) -> Result<Vec<Index>, Refusal> {
        let Some(lower) = self.lower(device) else { return Ok(Vec::new()) };
        let is_macvlan_lower = lower.port.is_some();
        match *event {
            // NT-01: carrier of links is read from the lower, whose flags they
            // do not share.
            Event::Up => self.with_lower(device, |lower| lower.spec.up = true),
            Event::Down => self.with_lower(device, |lower| lower.spec.up = false),
            Event::Change { carrier } => {
                self.with_lower(device, |lower| lower.spec.carrier = carrier);
            }
            Event::ChangeMtu(mtu) => self.lower_mtu_changed(device, mtu),
            Event::ChangeAddr(address) => self.lower_address_changed(device, address)?,
            Event::PreTypeChange if is_macvlan_lower => {
                return Err(Errno::Eperm.because(format!(
                    "{} has links: delete them before it becomes another kind of device",
                    lower.spec.name
                )));
            }
            Event::NotifyPeers | Event::BondingFailover | Event::ResendIgmp => {
                let links = self.links_of(device).filter(|link| link.up);
                return Ok(links.map(|link| link.index).collect());
            }
            Event::Unregister => self.lower_gone(device),
            Event::Register | Event::FeatChange | Event::PreTypeChange | Event::Peer { .. } => {}
        }
        Ok(Vec::new())
    }

    /// NT-03: links are cut to the lower's MTU; raising it raises nobody.
    fn lower_mtu_changed(&mut self, device: Index, mtu: u32) {
        self.with_lower(device, |lower| lower.spec.mtu = mtu);
        let cut = |link: &&mut Arc<Link>| link.lower == device && link.mtu > mtu;
        self.links.iter_mut().filter(cut).for_each(|link| Arc::make_mut(link).mtu = mtu);
    }

    fn lower_address_changed(&mut self, device: Index, address: MacAddr) -> Result<(), Refusal> {
        let Some(lower) = self.lower(device) else { return Ok(()) };
        if !lower.is_passthru() {
            let mut links = self.links_of(device).filter(|link| link.up);
            if let Some(link) = links.find(|link| link.own_addresses().any(|own| own == address)) {
                return Err(Errno::Eaddrinuse.because(format!(
                    "{} cannot have address {address}: link {}, which is up, has it",
                    lower.spec.name, link.name
                )));
            }
        }
        // NT-05: a passthru link follows, and the address is the one to keep.
        let follows = |link: &&mut Arc<Link>| link.lower == device && link.mode == Mode::Passthru;
        self.links
            .iter_mut()
            .filter(follows)
            .for_each(|link| Arc::make_mut(link).address = address);
        self.with_lower(device, |lower| {
            lower.spec.address = address;
            if let Some(port) = lower.port.as_mut().filter(|port| port.passthru) {
                port.permanent = address;
            }
        });
        Ok(())
    }

    /// NT-06, LC-22: all in one step.
    fn lower_gone(&mut self, device: Index) {
        self.links.retain(|link| link.lower != device);
        self.lowers.retain(|lower| lower.index != device);
        let Self { lowers, links, names, .. } = self;
        Arc::make_mut(names).retain(|_, index| {
            links.get(*index).is_some() || lowers.iter().any(|lower| lower.index == *index)
        });
    }
}
