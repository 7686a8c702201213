//! The notifier chain: events of devices, told to subscribers in order.
//!
//! Owns the order and nothing else. Publishers are whoever learns of an event
//! (DPDK's callbacks by way of control, an operation, a guest that connects);
//! the driver is one subscriber among others and ignores devices that are not
//! its lowers. The order of start is the kernel's: the driver subscribes before
//! the link kind can be used and leaves after its end (LC-01 to LC-03), so that
//! it misses no event of a lower that has links.

use crate::driver::{Driver, Event, Index};
use crate::errno::{Errno, Refusal};

/// Name of the link kind, as in `type macvlan`.
pub const KIND: &str = "macvlan";

/// What subscribers look at and change: the driver's state, and the links that
/// are to announce themselves when the event is over.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// All lowers and links.
    pub driver: Driver,
    /// Links that shall announce themselves (NT-09).
    pub announce: Vec<Index>,
}

/// What a subscriber is called with. It may veto by refusing.
pub type Callback = fn(&mut Context, Index, &Event) -> Result<(), Refusal>;

/// Subscribers by name, and the kinds of link there are.
#[derive(Debug, Default)]
pub struct Chain {
    subscribers: Vec<(&'static str, Callback)>,
    kinds: Vec<&'static str>,
}

impl Chain {
    /// Adds a subscriber and tells it of all devices there are (LC-02).
    ///
    /// # Errors
    /// EEXIST: there is one of this name. Or it refused the replay.
    pub fn subscribe(
        &mut self,
        name: &'static str,
        callback: Callback,
        context: &mut Context,
    ) -> Result<(), Refusal> {
        if self.subscribers.iter().any(|&(other, _)| other == name) {
            return Err(Errno::Eexist.because(format!("{name} is subscribed already")));
        }
        let devices: Vec<_> =
            context.driver.lowers().map(|lower| (lower.index, lower.spec.up)).collect();
        for (device, up) in devices {
            callback(context, device, &Event::Register)?;
            if up {
                callback(context, device, &Event::Up)?;
            }
        }
        self.subscribers.push((name, callback));
        Ok(())
    }

    /// Removes a subscriber; nothing happens if it is not there.
    pub fn unsubscribe(&mut self, name: &str) {
        self.subscribers.retain(|&(other, _)| other != name);
    }

    /// Tells every subscriber, in the order they came.
    ///
    /// # Errors
    /// The first veto; whoever comes later is not told, and the context is as it
    /// was before.
    pub fn publish(
        &self,
        context: &mut Context,
        device: Index,
        event: &Event,
    ) -> Result<(), Refusal> {
        let mut next = context.clone();
        for (_, callback) in &self.subscribers {
            callback(&mut next, device, event)?;
        }
        *context = next;
        Ok(())
    }

    /// Starts the driver: the subscription first, then the kind (LC-01).
    ///
    /// # Errors
    /// EEXIST: it is there already. Nothing of it stays behind.
    pub fn load(&mut self, context: &mut Context) -> Result<(), Refusal> {
        self.subscribe(KIND, on_event, context)?;
        if self.has_kind(KIND) {
            self.unsubscribe(KIND);
            return Err(Errno::Eexist.because(format!("there is a link kind {KIND} already")));
        }
        self.kinds.push(KIND);
        Ok(())
    }

    /// Ends the driver: the kind with all its links first, then the
    /// subscription (LC-03).
    pub fn unload(&mut self, context: &mut Context) {
        self.kinds.retain(|&kind| kind != KIND);
        let links: Vec<_> = context.driver.links().map(|link| link.index).collect();
        for link in links {
            // It exists: nobody else deletes meanwhile.
            _ = context.driver.dellink(link);
        }
        self.unsubscribe(KIND);
    }

    /// Links of this kind can be made.
    #[must_use]
    pub fn has_kind(&self, kind: &str) -> bool {
        self.kinds.contains(&kind)
    }
}

fn on_event(context: &mut Context, device: Index, event: &Event) -> Result<(), Refusal> {
    let announce = context.driver.notify(device, event)?;
    context.announce.extend(announce);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::LowerSpec;
    use crate::mac::MacAddr;

    fn context() -> (Context, Index) {
        let mut context = Context::default();
        let spec = LowerSpec::ethernet("lan0", MacAddr::new([2, 0, 0, 0, 0, 1]), 1500);
        let lower = context.driver.add_lower(spec).unwrap();
        (context, lower)
    }

    #[test]
    fn lc_01_a_kind_that_cannot_be_registered_takes_the_subscription_back() {
        let (mut context, _) = context();
        let mut chain = Chain { kinds: vec![KIND], ..Chain::default() };
        assert_eq!(chain.load(&mut context).unwrap_err().errno, Errno::Eexist);
        assert!(chain.subscribers.is_empty());
        let mut chain = Chain::default();
        chain.load(&mut context).unwrap();
        assert!(chain.has_kind(KIND));
        assert_eq!(chain.load(&mut context).unwrap_err().errno, Errno::Eexist);
        assert_eq!(chain.subscribers.len(), 1);
    }

    #[test]
    fn lc_02_a_subscriber_hears_of_the_devices_there_are() {
        fn count(context: &mut Context, device: Index, event: &Event) -> Result<(), Refusal> {
            assert!(matches!(event, Event::Register | Event::Up));
            context.announce.push(device);
            Ok(())
        }
        let (mut context, lower) = context();
        Chain::default().subscribe("count", count, &mut context).unwrap();
        assert_eq!(context.announce, [lower, lower]);
    }

    #[test]
    fn lc_03_the_end_of_the_kind_deletes_its_links() {
        let (mut context, lower) = context();
        let mut chain = Chain::default();
        chain.load(&mut context).unwrap();
        let request = crate::request::LinkRequest {
            name: Some("mv0".into()),
            parent: Some(lower),
            ..Default::default()
        };
        let mac = MacAddr::new([2, 0, 0, 0, 0, 2]);
        context.driver.newlink(&request, &mut || mac).unwrap();
        chain.unload(&mut context);
        assert_eq!(context.driver.links().count(), 0);
        assert!(!chain.has_kind(KIND) && chain.subscribers.is_empty());
    }

    #[test]
    fn a_veto_undoes_what_earlier_subscribers_did() {
        fn veto(_: &mut Context, _: Index, _: &Event) -> Result<(), Refusal> {
            Err(Errno::Eperm.because("no"))
        }
        let (mut context, lower) = context();
        let mut chain = Chain::default();
        chain.load(&mut context).unwrap();
        chain.subscribers.push(("veto", veto));
        assert!(chain.publish(&mut context, lower, &Event::ChangeMtu(900)).is_err());
        assert_eq!(context.driver.lower(lower).unwrap().spec.mtu, 1500);
        chain.unsubscribe("veto");
        chain.publish(&mut context, lower, &Event::ChangeMtu(900)).unwrap();
        assert_eq!(context.driver.lower(lower).unwrap().spec.mtu, 900);
    }
}
