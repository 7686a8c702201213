//! Random operations and frames, from a seed.
//!
//! Owns the weights. Few addresses and few names, so that clashes, matches and
//! misses are all common.

use super::frames::{Frame, Place};
use super::state::{Data, Event, Host, Kind, Lower, Mac, Model, Request};

/// A small generator with good bits (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// One of the choices, by their weights.
    pub(crate) fn weighted<T: Clone>(&mut self, choices: &[(usize, T)]) -> T {
        let mut left = self.below(choices.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in choices {
            if left < *weight {
                return choice.clone();
            }
            left -= weight;
        }
        unreachable!("below() is below the sum")
    }

    fn maybe<T>(&mut self, chance: usize, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.percent(chance) { Some(make(self)) } else { None }
    }
}

/// One step of a case.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    AddLower(Lower),
    New(Request, Mac),
    Set(String, Request),
    Delete(String),
    FdbAdd(String, Mac, bool),
    FdbDel(String, Mac),
    Notify(String, Event),
}

/// Addresses that links, lists and frames have in common.
fn unicast(random: &mut Random) -> Mac {
    match random.below(20) {
        0 => [2, 0, 0, 0, 1, random.below(3) as u8],
        1..4 => [2, 9, 0, 0, 0, random.below(4) as u8],
        _ => [2, 0, 0, 0, 0, random.below(40) as u8],
    }
}

const GROUPS: [Mac; 8] = [
    [0x01, 0x00, 0x5e, 0, 0, 1],
    [0x01, 0x00, 0x5e, 0, 0, 2],
    [0x01, 0x00, 0x5e, 0x7f, 0, 3],
    [0x33, 0x33, 0, 0, 0, 1],
    [0x33, 0x33, 0xff, 0, 0, 2],
    [0x01, 0x80, 0xc2, 0, 0, 0x0e],
    [0x01, 0x80, 0xc2, 0, 0, 0x10],
    [0xff; 6],
];

/// An address as it arrives, sometimes a bad one.
fn raw(random: &mut Random) -> Vec<u8> {
    match random.below(100) {
        0 => vec![2, 0, 0, 0, 0],
        1 => vec![2, 0, 0, 0, 0, 1, 2],
        2 => vec![0; 6],
        3 => random.pick(&GROUPS).to_vec(),
        4 => vec![],
        _ => unicast(random).to_vec(),
    }
}

pub(crate) fn lower(random: &mut Random, number: usize) -> Lower {
    let kind = [(40, Kind::Ethernet), (1, Kind::Loopback), (1, Kind::Other)];
    let host = [(4, Host::None), (5, Host::Taps), (5, Host::Reachable)];
    let mtu = random.pick(&[1500, 1500, 1500, 9000, 1400]);
    let address = [2, 0, 0, 0, 1, number as u8];
    Lower {
        name: format!("lan{number}"),
        address,
        mtu,
        max_mtu: random.pick(&[65_535, 9000]),
        up: random.percent(95),
        carrier: random.percent(97),
        kind: random.weighted(&kind),
        owned: random.percent(3),
        host: random.weighted(&host),
        private_strict: random.percent(30),
        drop_link_local: random.percent(30),
        bclim: 1,
        address_to_restore: address,
    }
}

fn data(random: &mut Random, current: Option<u32>) -> Data {
    let known = current.map(|mode| (40, Some(mode)));
    let modes = [
        (25, Some(4)),
        (18, Some(2)),
        (14, Some(1)),
        (22, Some(16)),
        (if current.is_some() { 2 } else { 5 }, Some(8)),
        (5, None),
        (1, Some(0)),
        (1, Some(3)),
    ];
    let modes: Vec<_> = modes.into_iter().chain(known).collect();
    let mode = random.weighted(&modes);
    let lists = if mode == Some(16) { 70 } else { 4 };
    let list_operation = random.maybe(lists, |r| {
        r.weighted(&[(4, 0), (2, 1), (1, 2), (5, 3), (if lists > 50 { 0 } else { 2 }, 4)])
    });
    let many = |r: &mut Random| {
        let length = r.below(5);
        (0..length).map(|_| (if r.percent(1) { 5 } else { 4 }, raw(r))).collect()
    };
    Data {
        mode,
        flags: random.maybe(35, |r| r.weighted(&[(3, 0), (2, 1), (6, 2), (2, 3), (1, 4)])),
        list_operation,
        one: random.maybe(if list_operation.is_some() { 80 } else { 4 }, raw),
        many: random.maybe(if list_operation.is_some() { 50 } else { 4 }, many),
        count: random.maybe(1, |_| 1),
        bcqueuelen: random.maybe(20, |r| r.pick(&[0, 1, 1000, 5000, u32::MAX])),
        usedbcqueuelen: random.maybe(1, |_| 1),
        bclim: random.maybe(20, |r| r.pick(&[-1, 0, 1, 2, 5, i32::MAX, i32::MIN])),
    }
}

fn request(random: &mut Random, mode: Option<u32>) -> Request {
    let more = |r: &mut Random| {
        let length = r.below(4);
        let one = |r: &mut Random| if r.percent(3) { r.pick(&GROUPS) } else { unicast(r) };
        (0..length).map(|_| one(r)).collect()
    };
    Request {
        name: None,
        parent: None,
        address: random.maybe(50, raw),
        mtu: random
            .maybe(12, |r| r.pick(&[1500, 1400, 1400, 1000, 68, 9000, 67, 0, 65_535, 65_536])),
        up: random.maybe(40, |r| r.percent(75)),
        promisc: random.maybe(10, |r| r.percent(40)),
        allmulti: random.maybe(20, |r| r.percent(50)),
        data: random.maybe(50, |r| data(r, mode)),
        further: random.maybe(8, more),
        spoof_check: random.maybe(8, |r| r.percent(40)),
    }
}

const NAMES: usize = 14;

/// A device's name: mostly of one that exists.
fn name(random: &mut Random, existing: Vec<&str>) -> String {
    if existing.is_empty() || random.percent(3) {
        return format!("mv{}", random.below(NAMES));
    }
    random.pick(&existing).to_owned()
}

/// What a case tends to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) lowers: usize,
    pub(crate) links: usize,
    /// Steps until the end.
    pub(crate) steps: usize,
}

pub(crate) fn shape(random: &mut Random) -> Shape {
    let links = random.below(13);
    let steps = if links == 0 { 12 } else { 20 + random.below(100) };
    Shape { lowers: 1 + random.below(3), links, steps }
}

/// The next step, for the state there is.
pub(crate) fn op(random: &mut Random, model: &Model, shape: &Shape) -> Op {
    let lowers: Vec<&str> = model.lowers.iter().map(|lower| &*lower.name).collect();
    let links: Vec<&str> = model.links.iter().map(|link| &*link.name).collect();
    let room = links.len() < shape.links;
    // First links, then what becomes of them.
    let eager = if links.is_empty() { 95 } else { 60 };
    let choice = if room && random.percent(eager) { 1 } else { random.below(100) };
    match choice {
        _ if lowers.is_empty() => Op::AddLower(lower(random, 0)),
        0 if lowers.len() < shape.lowers => {
            let number = random.below(3);
            Op::AddLower(lower(random, number))
        }
        0..40 if room => {
            let mut request = request(random, None);
            let free = |number: &usize| !links.contains(&&*format!("mv{number}"));
            let number = (0..NAMES).find(free).unwrap_or(0);
            let taken = random.percent(4);
            request.name =
                Some(if taken { random.pick(&lowers).to_owned() } else { format!("mv{number}") });
            request.parent = match random.below(50) {
                0 => None,
                1 => Some("nobody".into()),
                2..6 => Some(name(random, links)),
                6..30 => Some(lowers[0].to_owned()),
                _ => Some(random.pick(&lowers).to_owned()),
            };
            request.up = random.maybe(80, |_| true);
            request.data = random.maybe(93, |r| data(r, None));
            Op::New(request, unicast(random))
        }
        40..46 => Op::Delete(name(random, links)),
        46..62 => {
            let group = match random.below(50) {
                0 => [0; 6],
                1..8 => unicast(random),
                _ => random.pick(&GROUPS),
            };
            Op::FdbAdd(name(random, links), group, random.percent(4))
        }
        62..66 => {
            let name = name(random, links);
            let link = model.link(&name);
            let joined = link.map_or(vec![], |link| [&*link.groups, &*link.filter].concat());
            let group = if joined.is_empty() { random.pick(&GROUPS) } else { random.pick(&joined) };
            Op::FdbDel(name, if random.percent(80) { group } else { unicast(random) })
        }
        66..80 => {
            let device = if random.percent(3) { "nobody" } else { random.pick(&lowers) };
            Op::Notify(device.to_owned(), event(random))
        }
        _ => {
            let name = name(random, links);
            let mode = model.link(&name).map(|link| match link.mode {
                super::state::Mode::Private => 1,
                super::state::Mode::Vepa => 2,
                super::state::Mode::Bridge => 4,
                super::state::Mode::Passthru => 8,
                super::state::Mode::Source => 16,
            });
            Op::Set(name, request(random, mode))
        }
    }
}

fn event(random: &mut Random) -> Event {
    match random.below(40) {
        0..16 => Event::Up,
        16 => random.pick(&[Event::Down, Event::Carrier(false)]),
        17..24 => Event::Carrier(true),
        24..28 => Event::Mtu(random.pick(&[1500, 1400, 68, 9000])),
        28..33 => Event::Address(unicast(random)),
        33 => Event::TypeChange,
        34 => Event::NotifyPeers,
        35 => Event::Failover,
        36 => Event::ResendIgmp,
        37 => Event::Features,
        38 => Event::Register,
        // It takes all links with it.
        _ if random.percent(10) => Event::Unregister,
        _ => Event::Up,
    }
}

/// A frame and where it enters a lower.
pub(crate) fn frame(random: &mut Random, model: &Model, lower: &str) -> (Place, Frame) {
    let links = model.links_of(lower);
    let device = model.lower(lower).unwrap();
    let from = match random.below(10) {
        0 if device.host != Host::None => Place::Host,
        0..5 if !links.is_empty() => Place::Link(random.below(links.len())),
        _ => Place::Wire,
    };
    let any_link = |r: &mut Random| match links.len() {
        0 => unicast(r),
        count => {
            let addresses = links[r.below(count)].addresses();
            r.pick(&addresses)
        }
    };
    let own = |r: &mut Random| match from {
        Place::Link(number) => r.pick(&links[number].addresses()),
        Place::Host => device.address,
        Place::Wire => unicast(r),
    };
    let joined: Vec<Mac> = links.iter().flat_map(|link| link.groups.clone()).collect();
    let listed: Vec<Mac> = links.iter().flat_map(|link| link.listed.clone()).collect();
    let dst = match random.below(100) {
        0..30 => any_link(random),
        30..35 => device.address,
        35..50 => [2, 9, 0, 0, 0, random.below(4) as u8],
        50..60 => [2, 8, random.below(256) as u8, 0, 0, 1],
        60..75 => [0xff; 6],
        75..83 if !joined.is_empty() => random.pick(&joined),
        75..90 => random.pick(&GROUPS),
        90..93 => [0x33, 0x33, 0, 0, 0, random.below(3) as u8],
        93..96 => [0x01, 0x80, 0xc2, 0, 0, random.below(18) as u8],
        96..98 => own(random),
        _ => [0; 6],
    };
    let src = match random.below(100) {
        0..45 => own(random),
        45..60 if !listed.is_empty() => random.pick(&listed),
        45..70 => any_link(random),
        70..74 => device.address,
        74..90 => [2, 9, 0, 0, 0, random.below(4) as u8],
        90..94 => random.pick(&GROUPS),
        94..97 => [0; 6],
        _ => [0xff; 6],
    };
    let kind: [u8; 2] = random.weighted(&[
        (50, [0x88, 0xb5]),
        (20, [0x08, 0x00]),
        (10, [0x86, 0xdd]),
        (5, [0x08, 0x06]),
        (8, [0x81, 0x00]),
        (3, [0x88, 0xa8]),
        (4, [0x88, 0x08]),
        (2, [0x00, 0x40]),
    ]);
    let mut frame = [0; 14];
    frame[..6].copy_from_slice(&dst);
    frame[6..12].copy_from_slice(&src);
    frame[12..].copy_from_slice(&kind);
    (from, frame)
}
