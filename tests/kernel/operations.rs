//! Scenarios for the control path: sequences of link operations, right and wrong.

use super::random::Random;
use super::scenario::{Change, Data, Mac, Parent, Request, Scenario, Step, lower_address};

const LOWERS: usize = 2;
const LINKS: usize = 7;

/// The scenario of a seed with so many operations.
pub(crate) fn scenario(seed: u64, operations: usize) -> Scenario {
    let mut maker = Maker(Random::new(seed));
    let mut steps: Vec<Step> =
        (0..LOWERS).map(|lower| Step::AddLower { lower: small(lower) }).collect();
    let passthru = maker.0.percent(30);
    if passthru {
        let data = Data { mode: Some(8), ..Data::default() };
        let request = Request { data: Some(data), ..Request::default() };
        steps.push(Step::NewLink { link: 0, parent: Parent::Lower(0), request });
    }
    for _ in 0..operations {
        steps.push(maker.step());
    }
    Scenario { seed, steps }
}

fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

struct Maker(Random);

impl Maker {
    fn step(&mut self) -> Step {
        let random = &mut self.0;
        let lower = small(random.below(LOWERS));
        let link = small(random.below(LINKS));
        match random.below(100) {
            0..=17 => {
                let parent = match random.below(100) {
                    0..=79 => Parent::Lower(lower),
                    80..=91 => Parent::Link(small(random.below(LINKS))),
                    92..=94 => Parent::Loopback,
                    95..=97 => Parent::Missing,
                    _ => Parent::Nothing,
                };
                Step::NewLink { link, parent, request: self.request(true) }
            }
            18..=23 => Step::DelLink { link },
            24..=34 => {
                let add = random.percent(65);
                let replace = add && random.percent(8);
                let address = self.filtered();
                Step::Fdb { link, add, replace, address }
            }
            35..=42 => {
                let change = match random.below(7) {
                    0..=2 => Change::Up(random.percent(65)),
                    3 | 4 => Change::Mtu(random.pick(&[1500, 1500, 1400, 900, 2000, 68])),
                    _ => Change::Address(self.address(lower)),
                };
                Step::SetLower { lower, change }
            }
            43 => Step::RemoveLower { lower },
            // Mostly a name that is taken, which is not among the errors compared.
            44 => Step::SetLink { link, request: Request::default() },
            _ => Step::SetLink { link, request: self.request(false) },
        }
    }

    /// A request: one attribute most of the time, now and then several or a wrong one.
    fn request(&mut self, create: bool) -> Request {
        let mut request = Request::default();
        let parts =
            if create { 2 + self.0.below(3) } else { self.0.weighted(&[(7, 1), (2, 2), (1, 4)]) };
        for _ in 0..parts {
            match self.0.below(10) {
                0 | 1 => request.address = Some(self.address_bytes()),
                2 => {
                    request.mtu = Some(
                        self.0.pick(&[1500, 1400, 900, 68, 67, 1501, 2000, 0, 65_535, 70_000]),
                    );
                }
                3 | 4 => request.up = Some(self.0.percent(70)),
                5 => match self.0.below(2) {
                    0 => request.promisc = Some(self.0.percent(60)),
                    _ => request.allmulti = Some(self.0.percent(60)),
                },
                _ => self.data(request.data.get_or_insert_default(), create),
            }
        }
        if create && self.0.percent(50) {
            request.up = Some(true);
        }
        request
    }

    fn data(&mut self, data: &mut Data, create: bool) {
        match self.0.below(if create { 8 } else { 13 }) {
            0..=3 => {
                let modes: &[(usize, u32)] = if create {
                    &[(4, 1), (4, 2), (8, 4), (1, 8), (10, 16), (1, 3), (1, 0), (1, 32)]
                } else {
                    &[(8, 1), (8, 2), (8, 4), (2, 8), (16, 16), (1, 3), (1, 0), (1, 32)]
                };
                data.mode = Some(self.0.weighted(modes));
            }
            4 => {
                data.flags =
                    Some(self.0.weighted(&[(4, 0), (4, 1), (4, 2), (2, 3), (1, 4), (1, 0x8000)]))
            }
            5 => data.bc_queue_len = Some(self.0.pick(&[0, 1, 1000, 5000, u32::MAX])),
            6 => data.bc_cutoff = Some(self.0.pick(&[-1, 0, 1, 2, 100, i32::MIN, i32::MAX])),
            7 if self.0.percent(25) => data.macaddr_count = Some(1),
            7 if self.0.percent(25) => data.bc_queue_len_used = Some(1000),
            _ => {
                // The list belongs to source mode; without it the refusal is the point.
                if create && self.0.percent(80) {
                    data.mode = Some(16);
                }
                data.macaddr_mode =
                    Some(self.0.weighted(&[(6, 0), (3, 1), (2, 2), (5, 3), (1, 4), (1, 99)]));
                if self.0.percent(80) {
                    data.macaddr = Some(self.source_bytes());
                }
                if self.0.percent(50) {
                    let list = (0..self.0.below(4)).map(|_| {
                        let kind = if self.0.percent(4) { 3 } else { 4 };
                        (kind, self.source_bytes())
                    });
                    data.macaddr_data = Some(list.collect());
                }
                if self.0.percent(6) {
                    data.macaddr_mode = None;
                }
            }
        }
    }

    /// An address of a small pool, so that clashes happen.
    fn address(&mut self, lower: u8) -> Mac {
        match self.0.below(12) {
            0 => lower_address(lower),
            number => Mac::new([2, 0, 0, 0, 1, small(number % 8)]),
        }
    }

    fn address_bytes(&mut self) -> Vec<u8> {
        match self.0.below(20) {
            0 => vec![0; 6],
            1 => vec![1, 0, 0x5e, 0, 0, 9],
            2 => vec![2, 0, 0, 0, 1],
            3 => vec![2, 0, 0, 0, 1, 3, 0, 0],
            4 => vec![0xff; 6],
            _ => {
                let lower = small(self.0.below(LOWERS));
                self.address(lower).bytes().to_vec()
            }
        }
    }

    fn source_bytes(&mut self) -> Vec<u8> {
        match self.0.below(24) {
            0 => vec![0; 6],
            1 => vec![0xff; 6],
            2 => vec![2, 0, 0, 0, 3],
            3 => vec![2, 0, 0, 0, 3, 1, 7],
            _ => vec![2, 0, 0, 0, 3, small(self.0.below(6))],
        }
    }

    fn filtered(&mut self) -> Mac {
        match self.0.below(20) {
            0 => Mac::new([0; 6]),
            1 => Mac::new([0xff; 6]),
            2..=8 => Mac::new([2, 0, 0, 0, 4, small(self.0.below(3))]),
            _ => Mac::new([1, 0, 0x5e, 1, 2, small(self.0.below(4))]),
        }
    }
}
