//! A small switch for one statement: a lower `lan0` with links `mv0`, `mv1` …
//!
//! Owns the shorthand of the tests: links by name, refusals by error name, and
//! receivers as a line such as `wire host mv0 mv2`.

use macvlan::driver::{Driver, Event, HostPort, Index, Info, Link, Lower, LowerSpec, RxMode};
use macvlan::errno::Refusal;
use macvlan::fib::{Decisions, Fib, Head, Output, Receiver, Target};
use macvlan::mac::MacAddr;
use macvlan::mode::Mode;
use macvlan::request::{LinkData, LinkRequest};
use macvlan::rules::compile;

pub(crate) const LOWER: MacAddr = MacAddr::new([2, 0, 0, 0, 1, 0]);
pub(crate) const OUTSIDE: MacAddr = MacAddr::new([2, 9, 9, 9, 9, 9]);
pub(crate) const GROUP: MacAddr = MacAddr::new([1, 0, 0x5e, 0, 0, 5]);
pub(crate) const OTHER_GROUP: MacAddr = MacAddr::new([0x33, 0x33, 0, 0, 0, 5]);
pub(crate) const BROADCAST: MacAddr = MacAddr::BROADCAST;

/// The address of link `mvN`, and others like it.
pub(crate) fn mac(number: u8) -> MacAddr {
    MacAddr::new([2, 0, 0, 0, 0, number])
}

pub(crate) struct Switch {
    pub(crate) driver: Driver,
    pub(crate) lan0: Index,
}

/// The name of the error number, if there is one.
pub(crate) type Outcome = Result<(), &'static str>;

fn outcome<T>(result: Result<T, Refusal>) -> Outcome {
    result.map(|_| ()).map_err(|refusal| {
        assert!(!refusal.message.is_empty());
        refusal.errno.name()
    })
}

/// The kind's attributes of a request.
pub(crate) fn data(request: &mut LinkRequest) -> &mut LinkData {
    request.data.get_or_insert_default()
}

impl Switch {
    /// With links in these modes, up, `mvN` with the address [`mac`]`(N)`. The
    /// lower has a host port.
    pub(crate) fn new(modes: &[Mode]) -> Self {
        Self::with(|_| {}, modes)
    }

    pub(crate) fn with(change: impl FnOnce(&mut LowerSpec), modes: &[Mode]) -> Self {
        let mut driver = Driver::default();
        let mut spec = LowerSpec::ethernet("lan0", LOWER, 1500);
        spec.host = HostPort::Taps;
        change(&mut spec);
        let lan0 = driver.add_lower(spec).unwrap();
        let mut switch = Self { driver, lan0 };
        for (number, mode) in (0..).zip(modes) {
            let name = format!("mv{number}");
            let create = |r: &mut LinkRequest| {
                r.address = Some(mac(number).bytes().to_vec());
                r.up = Some(true);
                data(r).mode = Some(mode.value());
            };
            switch.add(&name, create).unwrap();
        }
        switch
    }

    /// Creates a link that is down, has a random address, and is as `change` says.
    pub(crate) fn add(&mut self, name: &str, change: impl FnOnce(&mut LinkRequest)) -> Outcome {
        outcome(self.try_add(name, change))
    }

    pub(crate) fn try_add(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut LinkRequest),
    ) -> Result<Index, Refusal> {
        let mut request = LinkRequest {
            name: Some(name.into()),
            parent: Some(self.lan0),
            ..LinkRequest::default()
        };
        change(&mut request);
        let random = MacAddr::derive(&[name], 0);
        self.driver.newlink(&request, &mut || random)
    }

    pub(crate) fn set(&mut self, name: &str, change: impl FnOnce(&mut LinkRequest)) -> Outcome {
        outcome(self.try_set(name, change))
    }

    pub(crate) fn try_set(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut LinkRequest),
    ) -> Result<(), Refusal> {
        let mut request = LinkRequest::default();
        change(&mut request);
        self.driver.setlink(self.index(name), &request)
    }

    pub(crate) fn set_mode(&mut self, name: &str, mode: Mode) -> Outcome {
        self.set(name, |r| data(r).mode = Some(mode.value()))
    }

    pub(crate) fn set_address(&mut self, name: &str, address: MacAddr) -> Outcome {
        self.set(name, |r| r.address = Some(address.bytes().to_vec()))
    }

    pub(crate) fn up(&mut self, name: &str) -> Outcome {
        self.set(name, |r| r.up = Some(true))
    }

    pub(crate) fn down(&mut self, name: &str) {
        self.set(name, |r| r.up = Some(false)).unwrap();
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.driver.dellink(self.index(name)).unwrap();
    }

    pub(crate) fn fdb_add(&mut self, name: &str, address: MacAddr) -> Outcome {
        outcome(self.driver.fdb_add(self.index(name), address, false))
    }

    pub(crate) fn fdb_replace(&mut self, name: &str, address: MacAddr) -> Outcome {
        outcome(self.driver.fdb_add(self.index(name), address, true))
    }

    pub(crate) fn fdb_del(&mut self, name: &str, address: MacAddr) -> Outcome {
        outcome(self.driver.fdb_del(self.index(name), address))
    }

    /// Tells of an event of the lower: the links that announce themselves.
    pub(crate) fn event(&mut self, event: Event) -> Result<Vec<String>, &'static str> {
        let links = self.driver.notify(self.lan0, &event);
        let links = links.map_err(|refusal| refusal.errno.name())?;
        Ok(links.into_iter().map(|link| self.driver.link(link).unwrap().name.clone()).collect())
    }

    pub(crate) fn index(&self, name: &str) -> Index {
        self.driver.by_name(name).unwrap_or(Index::new(9999))
    }

    pub(crate) fn link(&self, name: &str) -> &Link {
        self.driver.link(self.index(name)).unwrap()
    }

    pub(crate) fn lower(&self) -> &Lower {
        self.driver.lower(self.lan0).unwrap()
    }

    pub(crate) fn info(&self, name: &str) -> Info {
        self.driver.fill_info(self.index(name)).unwrap()
    }

    pub(crate) fn rx_mode(&self) -> RxMode {
        self.driver.rx_mode(self.lan0).unwrap()
    }

    pub(crate) fn oper_state(&self, name: &str) -> &'static str {
        self.driver.oper_state(self.link(name)).name()
    }

    pub(crate) fn fib(&self) -> Fib {
        compile(&self.driver, self.lan0).unwrap()
    }

    /// Who receives a frame from the wire.
    pub(crate) fn wire(&self, dst: MacAddr, src: MacAddr) -> String {
        self.from("wire", dst, src)
    }

    /// Who receives a frame from there: `wire`, `host` or a link's name.
    pub(crate) fn from(&self, from: &str, dst: MacAddr, src: MacAddr) -> String {
        self.frame(from, dst, src, 0x88b5)
    }

    pub(crate) fn frame(&self, from: &str, dst: MacAddr, src: MacAddr, kind: u16) -> String {
        let receivers = self.fib().receivers(self.output(from), head(dst, src, kind));
        let names: Vec<String> = receivers.iter().map(|to| self.name(to.output)).collect();
        names.join(" ")
    }

    /// Those of the receivers for whom the frame counts as `multicast`.
    pub(crate) fn multicast(&self, from: &str, dst: MacAddr, src: MacAddr) -> String {
        let receivers = self.fib().receivers(self.output(from), head(dst, src, 0x88b5));
        let counts = |to: &&Receiver| to.multicast;
        let names: Vec<String> =
            receivers.iter().filter(counts).map(|to| self.name(to.output)).collect();
        names.join(" ")
    }

    /// Whether the copies of a group frame from the wire may wait in the queue.
    pub(crate) fn queued(&self, group: MacAddr) -> bool {
        let (fib, mut decisions) = (self.fib(), Decisions::new(1));
        fib.classify(Output::WIRE, &[head(group, OUTSIDE, 0x88b5)], &mut decisions);
        match decisions.target(0) {
            Target::Group(to) => fib.members(to, fib.list_of(&decisions, 0)).queued(),
            other => panic!("{group} is not replicated: {other:?}"),
        }
    }

    fn output(&self, from: &str) -> Output {
        let slot = || self.driver.links_of(self.lan0).position(|link| link.name == from);
        match from {
            "wire" => Output::WIRE,
            "host" => Output::HOST,
            _ => Output::link(slot().unwrap().try_into().unwrap()),
        }
    }

    fn name(&self, output: Output) -> String {
        match output.slot() {
            Some(slot) => self.driver.links_of(self.lan0).nth(slot.into()).unwrap().name.clone(),
            None if output == Output::WIRE => "wire".into(),
            None => "host".into(),
        }
    }
}

fn head(dst: MacAddr, src: MacAddr, kind: u16) -> Head {
    let bytes = [&dst.bytes()[..], &src.bytes(), &kind.to_be_bytes()].concat();
    Head::read(&bytes.try_into().unwrap())
}
