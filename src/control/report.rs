//! What the switch says of itself: counters, what would become of a
//! frame, which version it is.
//!
//! Called by control to answer requests; changes nothing but the baseline.

use std::sync::Arc;

use hashbrown::HashMap;
use macvlan::driver::{Driver, Index};
use macvlan::explain::{self, Place};
use macvlan::fib::Head;
use macvlan::mac::MacAddr;
use mvctl::proto::{
    Explain, Explanation, PortStats as Shown, Receiver, RpcError, Rule, StatsShow, Version,
};

use super::{Control, Outcome, show};
use crate::datapath::{PortStats, Totals};
use crate::dpdk;

/// Counters as they were when somebody wanted to begin anew. By the counters'
/// place in memory, which is theirs as long as they are kept here.
#[derive(Default)]
pub(super) struct Baseline(HashMap<usize, (Arc<PortStats>, Totals)>);

impl Baseline {
    /// What was counted since.
    fn since(&self, stats: &Arc<PortStats>) -> Totals {
        let now = stats.totals();
        match self.0.get(&Arc::as_ptr(stats).addr()) {
            Some((_, before)) => now.since(before),
            None => now,
        }
    }
}

impl Control {
    pub(super) fn clear_baseline(&mut self) {
        let ports = &self.registry.inventory.load().ports;
        let entry = |stats: &Arc<PortStats>| {
            (Arc::as_ptr(stats).addr(), (Arc::clone(stats), stats.totals()))
        };
        self.baseline.0 = ports.iter().map(|port| entry(&port.stats)).collect();
    }
}

/// Counters of all ports, or of the one of this name.
///
/// # Errors
/// ENODEV: there is none of this name.
pub(super) fn stats(control: &Control, which: &StatsShow) -> Outcome<Vec<Shown>> {
    let inventory = control.registry.inventory.load();
    let wanted = |name: &str| which.name.as_deref().is_none_or(|wanted| wanted == name);
    let ports = inventory.ports.iter().filter(|port| wanted(&port.name));
    let shown: Vec<Shown> = ports
        .map(|port| {
            let totals = match which.since_start {
                true => port.stats.totals(),
                false => control.baseline.since(&port.stats),
            };
            Shown {
                port: port.name.to_string(),
                kind: port.kind.name().to_owned(),
                receive_packets: totals.rx_packets,
                receive_bytes: totals.rx_bytes,
                transmit_packets: totals.tx_packets,
                transmit_bytes: totals.tx_bytes,
                copies: totals.copies,
                drops: show::drops(&totals),
            }
        })
        .collect();
    match &which.name {
        Some(name) if shown.is_empty() => Err(RpcError::enodev(format!("there is no port {name}"))),
        _ => Ok(shown),
    }
}

/// Which switch this is.
pub(super) fn version(control: &Control) -> Version {
    Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: env!("MVSWITCH_REVISION").to_owned(),
        dpdk: dpdk::release(),
        switch: control.config.switch.name.clone(),
        pid: std::process::id(),
        uptime_seconds: control.started.elapsed().as_secs(),
    }
}

/// What would become of a frame, and by which rules.
///
/// # Errors
/// ENODEV: nobody of that name sends; EINVAL: an address or tag is none.
pub(super) fn explain(control: &Control, frame: &Explain) -> Outcome<Explanation> {
    let driver = control.registry.driver();
    let (mut lower, mut from) = sender(driver, &frame.from)?;
    let mac = |text: &str| {
        text.parse::<MacAddr>()
            .map_err(|error| RpcError::einval(format!("address \"{text}\" is {error}")))
    };
    let dst = mac(&frame.dst)?;
    let src = match (&frame.src, from) {
        (Some(text), _) => mac(text)?,
        (None, Place::Link(link)) => driver.link(link).map_or(MacAddr::ZERO, |it| it.address),
        (None, Place::Host) => driver.lower(lower).map_or(MacAddr::ZERO, |it| it.spec.address),
        (None, Place::Wire) => STRANGER,
    };
    let mut ether_type = frame.ether_type.unwrap_or(0x0800);
    let mut rules = Vec::new();
    if let Some(id) = frame.vlan {
        if !(1..=4094).contains(&id) {
            return Err(RpcError::einval(format!("vlan {id} is not within 1 to 4094")));
        }
        let on_it = control.registry.vlans_on(lower);
        match on_it.filter(|_| from == Place::Wire).find(|vlan| vlan.tag() == Some((0x8100, id))) {
            Some(vlan) => {
                lower = vlan.index;
                from = Place::Wire;
                let name = &vlan.port.name;
                rules.push(Rule {
                    id: "vlan".to_owned(),
                    rule: format!("frames with tag {id} are {name}'s, without the tag"),
                });
            }
            None => ether_type = 0x8100,
        }
    }
    let head = head(dst, src, ether_type);
    let Some(explained) = explain::explain(driver, lower, from, head) else {
        return Err(RpcError::enodev(format!("{} is gone", frame.from)));
    };
    let name = |place: Place| match place {
        Place::Link(link) => driver.link(link).map_or("", |link| &link.name).to_owned(),
        Place::Wire => lower_name(driver, lower),
        Place::Host => format!("host@{}", lower_name(driver, lower)),
    };
    rules.extend(
        explained.rules.into_iter().map(|rule| Rule { id: rule.id.to_owned(), rule: rule.text }),
    );
    Ok(Explanation {
        lower: lower_name(driver, lower),
        src: src.to_string(),
        receivers: explained
            .receivers
            .iter()
            .map(|receiver| Receiver { port: name(receiver.place), queued: receiver.queued })
            .collect(),
        dropped: explained.dropped.map(|reason| reason.name().to_owned()),
        rules,
    })
}

/// Somebody on the wire of whom nothing is known.
const STRANGER: MacAddr = MacAddr::new([0x02, 0, 0, 0xff, 0xff, 0xfe]);

fn lower_name(driver: &Driver, lower: Index) -> String {
    driver.lower(lower).map_or("", |lower| &*lower.spec.name).to_owned()
}

/// Who sends under this name, and on which lower.
fn sender(driver: &Driver, name: &str) -> Outcome<(Index, Place)> {
    let (of_host, device) = match name.strip_prefix("host@") {
        Some(lower) => (true, lower),
        None => (false, name),
    };
    let unknown = || RpcError::enodev(format!("there is no link, lower or host {name}"));
    let index = driver.by_name(device).ok_or_else(unknown)?;
    match (driver.link(index), of_host) {
        (Some(link), false) => Ok((link.lower, Place::Link(index))),
        (None, true) => Ok((index, Place::Host)),
        (None, false) => Ok((index, Place::Wire)),
        (Some(_), true) => Err(unknown()),
    }
}

fn head(dst: MacAddr, src: MacAddr, ether_type: u16) -> Head {
    let mut bytes = [0; 14];
    let (addresses, kind) = bytes.split_at_mut(12);
    let parts = dst.bytes().into_iter().chain(src.bytes());
    addresses.iter_mut().zip(parts).for_each(|(to, byte)| *to = byte);
    kind.copy_from_slice(&ether_type.to_be_bytes());
    Head::read(&bytes)
}
