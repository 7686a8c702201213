//! Scenarios for the data path: topologies that mostly work, frames, and changes in between.
//!
//! Knows just enough of the rules to make most operations legal and most frames
//! interesting; what the outcome is it neither knows nor asks.

use macvlan::mac::MacAddr;

use super::kernel::LONGEST;
use super::random::Random;
use super::scenario::{
    BRIDGE, Change, Data, Frame, Mac, NODST, NOPROMISC, PASSTHRU, PRIVATE, Parent, Request,
    SHORTEST, SOURCE, Scenario, Side, Step, VEPA, lower_address,
};

/// Frames between two changes.
const TURN: usize = 5;

/// A link as far as the generator has to know it.
#[derive(Clone, Copy)]
struct Link {
    number: u8,
    lower: u8,
    passthru: bool,
    address: Mac,
}

struct Maker {
    random: Random,
    lowers: u8,
    links: Vec<Link>,
    next: u8,
    steps: Vec<Step>,
}

/// The scenario of a seed with so many frames.
pub(crate) fn scenario(seed: u64, frames: usize) -> Scenario {
    let mut random = Random::new(seed);
    let lowers = random.weighted(&[(6, 1), (3, 2), (1, 3)]);
    let mut maker = Maker { random, lowers, links: Vec::new(), next: 0, steps: Vec::new() };
    for lower in 0..lowers {
        maker.steps.push(Step::AddLower { lower });
    }
    let lone = maker.random.percent(15);
    let links = if lone { 0 } else { maker.random.below(13) };
    for lower in 0..lowers {
        if lone || maker.random.percent(8) {
            maker.add(lower, true);
        }
    }
    for _ in 0..links {
        let lower = u8::try_from(maker.random.below(usize::from(lowers))).unwrap();
        maker.add(lower, false);
    }
    for turn in 0..frames.div_ceil(TURN) {
        if turn > 0 {
            for _ in 0..1 + maker.random.below(3) {
                maker.change();
            }
        }
        for _ in 0..TURN.min(frames - turn * TURN) {
            maker.frame();
        }
    }
    Scenario { seed, steps: maker.steps }
}

/// The groups links join. Those that the IP stack joins are not among them.
fn group(number: usize) -> Mac {
    match number {
        0..=3 => Mac::new([1, 0, 0x5e, 1, 2, number.to_le_bytes()[0]]),
        4 => Mac::new([0x33, 0x33, 0, 1, 0, 2]),
        _ => Mac::new([1, 0x80, 0xc2, 0, 0, 0]),
    }
}

fn foreign(number: usize) -> Mac {
    Mac::new([2, 0xf0, 0, 0, 0, number.to_le_bytes()[0]])
}

impl Maker {
    fn add(&mut self, lower: u8, passthru: bool) {
        let number = self.next;
        self.next += 1;
        let random = &mut self.random;
        // Some share an address: the second one stays down.
        let address = if random.percent(5) && number > 0 { number - 1 } else { number };
        let address = Mac::new([2, 0, 0, 0, 1, address]);
        let mode = if passthru {
            PASSTHRU
        } else {
            random.weighted(&[(2, PRIVATE), (3, VEPA), (5, BRIDGE), (3, SOURCE)])
        };
        let mut data = Data { mode: Some(mode), ..Data::default() };
        if random.percent(30) {
            data.flags = Some(random.pick(&[0, NOPROMISC, NODST, NODST]));
        }
        if random.percent(25) {
            data.bc_cutoff = Some(random.pick(&[-1, 0, 1, 5]));
        }
        let on = random.percent(15);
        let parent = match self.links.iter().find(|link| link.lower == lower && !passthru && on) {
            Some(link) => Parent::Link(link.number),
            None => Parent::Lower(lower),
        };
        let request = Request {
            address: Some(address.bytes().to_vec()),
            up: Some(random.percent(92)),
            allmulti: random.percent(35).then_some(true),
            promisc: random.percent(5).then_some(true),
            data: Some(data),
            ..Request::default()
        };
        self.steps.push(Step::NewLink { link: number, parent, request });
        let address = if passthru { lower_address(lower) } else { address };
        self.links.push(Link { number, lower, passthru, address });
        if mode == SOURCE {
            self.sources(number);
        }
        for _ in 0..self.random.below(4) {
            self.join(number);
        }
    }

    fn sources(&mut self, link: u8) {
        let mut list = Vec::new();
        for _ in 0..self.random.below(4) {
            list.push((4, self.listable().bytes().to_vec()));
        }
        let data = Data { macaddr_mode: Some(3), macaddr_data: Some(list), ..Data::default() };
        let request = Request { data: Some(data), ..Request::default() };
        self.steps.push(Step::SetLink { link, request });
    }

    /// An address a source list may hold: anybody's.
    fn listable(&mut self) -> Mac {
        match self.links.len() {
            0 => foreign(0),
            links if self.random.percent(60) => {
                let at = self.random.below(links);
                self.links[at].address
            }
            _ => foreign(self.random.below(4)),
        }
    }

    fn join(&mut self, link: u8) {
        let address = group(self.random.below(6));
        let add = self.random.percent(85);
        self.steps.push(Step::Fdb { link, add, replace: false, address });
    }

    fn set(&mut self, link: u8, request: Request) {
        self.steps.push(Step::SetLink { link, request });
    }

    fn change(&mut self) {
        if self.links.is_empty() || self.random.percent(12) {
            let lower = u8::try_from(self.random.below(usize::from(self.lowers))).unwrap();
            let change = match self.random.below(4) {
                0 | 1 => Change::Up(self.random.percent(70)),
                2 => Change::Mtu(self.random.pick(&[1500, 1600])),
                _ => Change::Address(Mac::new([2, 0xab, 0, 0, lower, 0])),
            };
            self.steps.push(Step::SetLower { lower, change });
            return;
        }
        let at = self.random.below(self.links.len());
        let link = self.links[at];
        let number = link.number;
        let data = |data| Request { data: Some(data), ..Request::default() };
        match self.random.below(12) {
            0..=2 if !link.passthru => {
                let mode = Some(self.random.pick(&[PRIVATE, VEPA, BRIDGE, SOURCE]));
                self.set(number, data(Data { mode, ..Data::default() }));
                if mode == Some(SOURCE) {
                    self.sources(number);
                }
            }
            3 | 4 => {
                let up = Some(self.random.percent(65));
                self.set(number, Request { up, ..Request::default() });
            }
            5 => {
                let allmulti = Some(self.random.percent(40));
                self.set(number, Request { allmulti, ..Request::default() });
            }
            6 => {
                let promisc = Some(self.random.percent(40));
                self.set(number, Request { promisc, ..Request::default() });
            }
            7 if !link.passthru => {
                let flags = Some(self.random.pick(&[0, NODST]));
                self.set(number, data(Data { flags, ..Data::default() }));
            }
            8 => {
                let fresh = [2, 0, 0, 0, 2, self.random.below(8).to_le_bytes()[0]];
                self.links[at].address = Mac::new(fresh);
                self.set(number, Request { address: Some(fresh.to_vec()), ..Request::default() });
            }
            9 if self.random.percent(50) => {
                self.steps.push(Step::DelLink { link: number });
                self.links.remove(at);
                if link.passthru {
                    self.add(link.lower, true);
                }
            }
            9 => {
                let cutoff = Some(self.random.pick(&[-1, 0, 1, 5]));
                self.set(number, data(Data { bc_cutoff: cutoff, ..Data::default() }));
            }
            _ => self.join(number),
        }
    }

    fn frame(&mut self) {
        let lower = u8::try_from(self.random.below(usize::from(self.lowers))).unwrap();
        let from = self.random.below(100);
        let at = (!self.links.is_empty()).then(|| self.random.below(self.links.len()));
        let link = at.map(|at| self.links[at]);
        let (from, own) = match link {
            Some(link) if from >= 50 => (Side::Link(link.number), link.address),
            _ if from >= 45 => (Side::Host(lower), lower_address(lower)),
            _ => (Side::Wire(lower), foreign(9)),
        };
        let src = match self.random.below(100) {
            0..=44 => own,
            45..=74 => self.listable(),
            75..=89 => foreign(self.random.below(6)),
            90..=93 => lower_address(lower),
            94..=95 => group(self.random.below(6)),
            96..=97 => Mac(MacAddr::ZERO),
            _ => Mac(MacAddr::BROADCAST),
        };
        let dst = match self.random.below(100) {
            0..=33 if link.is_some() => {
                let at = self.random.below(self.links.len());
                self.links[at].address
            }
            0..=38 => lower_address(lower),
            39..=46 => foreign(self.random.below(6)),
            47..=66 => Mac(MacAddr::BROADCAST),
            67..=81 => group(self.random.below(6)),
            82..=89 => Mac::new([1, 0, 0x5e, 9, 9, self.random.below(256).to_le_bytes()[0]]),
            90..=93 => {
                let last = self.random.pick(&[0, 1, 2, 3, 0x0e, 0x21]);
                Mac::new([1, 0x80, 0xc2, 0, 0, last])
            }
            94..=97 => own,
            _ => Mac(MacAddr::ZERO),
        };
        let kind = self.random.weighted(&[(60, 0x88b5), (22, 0x0800), (8, 0x0806), (10, 0x8808)]);
        let tags = match self.random.below(100) {
            0..=5 => vec![(0x8100, self.tci())],
            6..=8 => vec![(0x88a8, self.tci())],
            9..=11 => vec![(0x88a8, self.tci()), (0x8100, self.tci())],
            _ => Vec::new(),
        };
        // One tag may come on top of what the MTU allows; packet sockets mean 802.1Q by that.
        let room = if tags.first().is_some_and(|tag| tag.0 == 0x8100) { 4 } else { 0 };
        let len = match self.random.below(8) {
            0 => SHORTEST + 8,
            1 | 2 => SHORTEST + 8 + self.random.below(1400),
            3 => LONGEST - 1 + room,
            4 => LONGEST + room,
            _ => 100,
        };
        self.steps.push(Step::Send { from, frame: Frame { dst, src, tags, kind, len } });
    }

    fn tci(&mut self) -> u16 {
        self.random.pick(&[0, 1, 10, 4095, 0x2000, 0x6064])
    }
}
