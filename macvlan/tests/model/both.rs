//! The driver under test and the naive model, side by side.
//!
//! Owns the translation between the two vocabularies and every comparison. A
//! difference is a text; the caller decides what to do about it.

use macvlan::driver::{DeviceKind, Driver, Event as DriverEvent, HostPort, Index, LowerSpec};
use macvlan::errno::Refusal;
use macvlan::fib::{Decisions, Fib, Head, Output, Receiver, Target};
use macvlan::mac::MacAddr;
use macvlan::mode::Flags;
use macvlan::request::{Extensions, LinkData, LinkRequest};
use macvlan::rules::compile;

use super::frames::{Frame, Place, View};
use super::random::Op;
use super::state::{Event, Host, Kind, Lower, Mac, Mode, Model, Request};

#[derive(Default)]
pub(crate) struct Both {
    pub(crate) model: Model,
    pub(crate) driver: Driver,
}

/// What differs.
pub(crate) type Difference = String;

impl Both {
    /// Carries out one operation on both sides and compares the outcome and all
    /// state. Answers whether it was carried out.
    pub(crate) fn step(&mut self, op: &Op) -> Result<bool, Difference> {
        let expected = self.expected(op);
        let before = format!("{:?}", self.driver);
        let got = self.got(op);
        if let Err(refusal) = &got {
            if refusal.message.is_empty() {
                return Err(format!("a refusal without a sentence: {op:?}"));
            }
            if before != format!("{:?}", self.driver) {
                return Err(format!("refused ({refusal}), and yet something has changed"));
            }
        }
        let got = got.map_err(|refusal| refusal.errno.name());
        if got != expected {
            return Err(format!("the model says {expected:?}, the driver {got:?}"));
        }
        self.compare_state()?;
        Ok(got.is_ok())
    }

    fn expected(&mut self, op: &Op) -> Result<Vec<String>, &'static str> {
        let model = &mut self.model;
        let none = |()| vec![];
        match op {
            Op::AddLower(lower) => model.add_lower(lower.clone()).map(none),
            Op::New(request, random) => model.newlink(request, *random).map(none),
            Op::Set(link, request) => model.setlink(link, request).map(none),
            Op::Delete(link) => model.dellink(link).map(none),
            Op::FdbAdd(link, group, replace) => model.fdb_add(link, *group, *replace).map(none),
            Op::FdbDel(link, group) => model.fdb_del(link, *group).map(none),
            Op::Notify(device, event) => model.notify(device, event),
        }
    }

    fn got(&mut self, op: &Op) -> Result<Vec<String>, Refusal> {
        let index = |name: &str| self.driver.by_name(name).unwrap_or(Index::new(u32::MAX));
        let none = |()| vec![];
        match op {
            Op::AddLower(lower) => self.driver.add_lower(spec(lower)).map(|_| vec![]),
            Op::New(wanted, random) => {
                let request = self.request(wanted);
                self.driver.newlink(&request, &mut || MacAddr::new(*random)).map(|_| vec![])
            }
            Op::Set(link, wanted) => {
                let (link, request) = (index(link), self.request(wanted));
                self.driver.setlink(link, &request).map(none)
            }
            Op::Delete(link) => self.driver.dellink(index(link)).map(none),
            Op::FdbAdd(link, group, replace) => {
                self.driver.fdb_add(index(link), MacAddr::new(*group), *replace).map(none)
            }
            Op::FdbDel(link, group) => {
                self.driver.fdb_del(index(link), MacAddr::new(*group)).map(none)
            }
            Op::Notify(device, event) => {
                let links = self.driver.notify(index(device), &translate(event))?;
                let name = |link| self.driver.link(link).unwrap().name.clone();
                Ok(links.into_iter().map(name).collect())
            }
        }
    }

    fn request(&self, request: &Request) -> LinkRequest {
        let index = |name: &String| self.driver.by_name(name).unwrap_or(Index::new(u32::MAX));
        let data = request.data.clone().map(|data| LinkData {
            mode: data.mode,
            flags: data.flags,
            macaddr_mode: data.list_operation,
            macaddr: data.one,
            macaddr_data: data.many,
            macaddr_count: data.count,
            bc_queue_len: data.bcqueuelen,
            bc_queue_len_used: data.usedbcqueuelen,
            bc_cutoff: data.bclim,
        });
        let addresses = |further: &Vec<Mac>| further.iter().copied().map(MacAddr::new).collect();
        LinkRequest {
            name: request.name.clone(),
            parent: request.parent.as_ref().map(index),
            address: request.address.clone(),
            mtu: request.mtu,
            up: request.up,
            promisc: request.promisc,
            allmulti: request.allmulti,
            data,
            extensions: Extensions {
                addresses: request.further.as_ref().map(addresses),
                spoof_check: request.spoof_check,
            },
        }
    }

    fn compare_state(&self) -> Result<(), Difference> {
        let names: Vec<&str> = self.driver.lowers().map(|lower| &*lower.spec.name).collect();
        let wanted: Vec<&str> = self.model.lowers.iter().map(|lower| &*lower.name).collect();
        same("lowers", &wanted, &names)?;
        for lower in &self.model.lowers {
            let index = self.driver.by_name(&lower.name).unwrap();
            let spec = &self.driver.lower(index).unwrap().spec;
            let wanted = (lower.address, lower.mtu, lower.up, lower.carrier);
            let got = (spec.address.bytes(), spec.mtu, spec.up, spec.carrier);
            same(&lower.name, &wanted, &got)?;

            let filters = self.model.filters(&lower.name);
            let mode = self.driver.rx_mode(index).unwrap();
            let unicast: Vec<Mac> = mode.unicast.iter().map(|mac| mac.bytes()).collect();
            let groups: Vec<Mac> = mode.groups.iter().map(|mac| mac.bytes()).collect();
            same("the unicast filter", &filters.unicast, &unicast)?;
            same("the group filter", &filters.groups, &groups)?;
            same("all groups", &filters.allmulti, &mode.allmulti)?;
            same("promiscuity", &filters.promiscuous, &mode.promiscuous)?;

            let wanted = self.model.links_of(&lower.name);
            let wanted: Vec<&str> = wanted.iter().map(|link| &*link.name).collect();
            let got: Vec<&str> = self.driver.links_of(index).map(|link| &*link.name).collect();
            same("the links by age", &wanted, &got)?;
        }
        for link in &self.model.links {
            self.compare_link(link).map_err(|text| format!("{}: {text}", link.name))?;
        }
        Ok(())
    }

    fn compare_link(&self, wanted: &super::state::Link) -> Result<(), Difference> {
        let index = self.driver.by_name(&wanted.name).ok_or("the driver does not have it")?;
        let got = self.driver.link(index).unwrap();
        same("address", &wanted.address, &got.address.bytes())?;
        same("mtu", &wanted.mtu, &got.mtu)?;
        same("up", &wanted.up, &got.up)?;
        same("promisc", &wanted.promisc, &got.promisc)?;
        same("allmulti", &wanted.allmulti, &got.allmulti)?;
        same("spoof_check", &wanted.spoof_check, &got.spoof_check)?;
        let lower = self.model.lower(&wanted.lower).unwrap();
        let state = match (wanted.up, lower.up && lower.carrier) {
            (false, _) => "DOWN",
            (true, false) => "LOWERLAYERDOWN",
            (true, true) => "UP",
        };
        same("operstate", &state, &self.driver.oper_state(got).name())?;

        let wanted = self.model.info(&wanted.name).unwrap();
        let got = self.driver.fill_info(index).ok_or("there is no info")?;
        same("mode", &mode_word(wanted.mode), &got.mode.name())?;
        same("nopromisc", &wanted.nopromisc, &got.flags.contains(Flags::NOPROMISC))?;
        same("nodst", &wanted.nodst, &got.flags.contains(Flags::NODST))?;
        let listed: Vec<Mac> = got.macaddr.iter().map(|mac| mac.bytes()).collect();
        same("macaddr", &wanted.listed, &listed)?;
        same("bcqueuelen", &wanted.bcqueuelen, &got.bc_queue_len)?;
        same("usedbcqueuelen", &wanted.usedbcqueuelen, &got.bc_queue_len_used)?;
        same("bclim", &wanted.bclim, &got.bc_cutoff)
    }

    /// The compiled rules of a lower.
    pub(crate) fn fib(&self, lower: &str) -> Result<Fib, Difference> {
        let index = self.driver.by_name(lower).unwrap();
        compile(&self.driver, index).map_err(|error| format!("{lower} does not compile: {error}"))
    }
}

/// One frame, both sides.
pub(crate) fn compare_frame(
    view: &View<'_>,
    fib: &Fib,
    from: Place,
    frame: &Frame,
) -> Result<(), Difference> {
    let mut expected: Vec<Receiver> = view.receivers(from, frame).into_iter().map(copy).collect();
    expected.sort();
    let got = fib.receivers(output(from), Head::read(frame));
    if got != expected {
        return Err(format!("the model says {expected:?}, the driver {got:?}"));
    }
    // Whether copies wait matters where links get any.
    let waits = from == Place::Wire && expected.iter().any(|receiver| receiver.multicast);
    if waits {
        let mut decisions = Decisions::new(1);
        fib.classify(output(from), &[Head::read(frame)], &mut decisions);
        let Target::Group(group) = decisions.target(0) else {
            return Err("replicated, but no group".into());
        };
        let queued = fib.members(group, fib.list_of(&decisions, 0)).queued();
        let wanted = view.queued(frame[..6].try_into().unwrap());
        same("queued", &wanted, &queued)?;
    }
    Ok(())
}

/// A burst against its frames one by one. `decisions` holds whatever earlier
/// bursts have left there, as a worker's does.
pub(crate) fn compare_burst(
    fib: &Fib,
    from: Place,
    heads: &[Head],
    decisions: &mut Decisions,
) -> Result<(), Difference> {
    fib.classify(output(from), heads, decisions);
    for (number, head) in heads.iter().enumerate() {
        let number = number as u16;
        let mut all: Vec<Output> = fib.sources_of(decisions, number).to_vec();
        match decisions.target(number) {
            Target::Output(output) => all.push(output),
            Target::Group(group) => {
                all.extend(fib.members(group, fib.list_of(decisions, number)));
            }
            Target::Drop(_) => {}
        }
        all.sort();
        let alone: Vec<Output> =
            fib.receivers(output(from), *head).iter().map(|receiver| receiver.output).collect();
        let text = format!("frame {number} of a burst of {}", heads.len());
        same(&text, &alone, &all)?;
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, got: &T) -> Result<(), Difference> {
    if wanted == got {
        return Ok(());
    }
    Err(format!("{what}: the model says {wanted:?}, the driver {got:?}"))
}

fn output(place: Place) -> Output {
    match place {
        Place::Wire => Output::WIRE,
        Place::Host => Output::HOST,
        Place::Link(number) => Output::link(number as u16),
    }
}

fn copy((to, multicast): (Place, bool)) -> Receiver {
    Receiver { output: output(to), multicast }
}

fn spec(lower: &Lower) -> LowerSpec {
    let mut spec = LowerSpec::ethernet(&lower.name, MacAddr::new(lower.address), lower.mtu);
    spec.max_mtu = lower.max_mtu;
    spec.up = lower.up;
    spec.carrier = lower.carrier;
    spec.kind = match lower.kind {
        Kind::Ethernet => DeviceKind::Ethernet,
        Kind::Loopback => DeviceKind::Loopback,
        Kind::Other => DeviceKind::Other,
    };
    spec.owner = lower.owned.then(|| "br0".into());
    spec.host = match lower.host {
        Host::None => HostPort::None,
        Host::Taps => HostPort::Taps,
        Host::Reachable => HostPort::Reachable,
    };
    spec.private_strict = lower.private_strict;
    spec.drop_link_local = lower.drop_link_local;
    spec
}

fn translate(event: &Event) -> DriverEvent {
    match *event {
        Event::Register => DriverEvent::Register,
        Event::Up => DriverEvent::Up,
        Event::Down => DriverEvent::Down,
        Event::Carrier(carrier) => DriverEvent::Change { carrier },
        Event::Features => DriverEvent::FeatChange,
        Event::Mtu(mtu) => DriverEvent::ChangeMtu(mtu),
        Event::Address(mac) => DriverEvent::ChangeAddr(MacAddr::new(mac)),
        Event::TypeChange => DriverEvent::PreTypeChange,
        Event::NotifyPeers => DriverEvent::NotifyPeers,
        Event::Failover => DriverEvent::BondingFailover,
        Event::ResendIgmp => DriverEvent::ResendIgmp,
        Event::Unregister => DriverEvent::Unregister,
    }
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Private => "private",
        Mode::Vepa => "vepa",
        Mode::Bridge => "bridge",
        Mode::Passthru => "passthru",
        Mode::Source => "source",
    }
}
