//! Lowers with links, and the frames that are sent to them: what the benches of
//! rules and of classification share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each bench uses a part; a set-up that cannot fail"
)]

use macvlan::driver::{Driver, Index, LowerSpec};
use macvlan::fib::{Decisions, Fib, Head, Output, Target};
use macvlan::mac::MacAddr;
use macvlan::mode::{MacaddrMode, Mode};
use macvlan::request::{Extensions, LinkData, LinkRequest, MACADDR};
use macvlan::rules::compile;

/// Frames classified at once: a backlogged lower's batch.
pub const BATCH: usize = 128;

/// The nth address of link `link`.
pub fn address(link: usize, nth: usize) -> MacAddr {
    let [.., c, d] = u32::try_from(nth).unwrap().to_be_bytes();
    let [.., a, b] = u32::try_from(link).unwrap().to_be_bytes();
    MacAddr::new([2, 0, a, b, c, d])
}

/// Somebody outside.
pub fn outsider(nth: usize) -> MacAddr {
    address(0xffff, nth)
}

/// A lower with so many links that are up and hear all groups, each with so many
/// addresses. Links in source mode list as many outsiders instead.
pub fn driver(mode: Mode, links: usize, addresses: usize) -> (Driver, Index) {
    let mut driver = Driver::default();
    let lower =
        driver.add_lower(LowerSpec::ethernet("lan0", MacAddr::new([2, 1, 0, 0, 0, 0]), 1500));
    let lower = lower.unwrap();
    for link in 0..links {
        let mut request = LinkRequest {
            name: Some(format!("mv{link}")),
            parent: Some(lower),
            address: Some(address(link, 0).bytes().to_vec()),
            up: Some(true),
            allmulti: Some(true),
            data: Some(LinkData { mode: Some(mode.value()), ..LinkData::default() }),
            ..LinkRequest::default()
        };
        if mode == Mode::Source {
            let listed = |nth| (MACADDR, outsider(link * addresses + nth).bytes().to_vec());
            request.data = Some(LinkData {
                macaddr_mode: Some(MacaddrMode::Set.value()),
                macaddr_data: Some((0..addresses).map(listed).collect()),
                ..request.data.unwrap()
            });
        } else {
            let further = (1..addresses).map(|nth| address(link, nth)).collect();
            request.extensions = Extensions { addresses: Some(further), ..Extensions::default() };
        }
        driver.newlink(&request, &mut || MacAddr::ZERO).unwrap();
    }
    (driver, lower)
}

/// A frame's head.
pub fn head(to: MacAddr, from: MacAddr) -> Head {
    let mut bytes = [0; 14];
    bytes[..6].copy_from_slice(&to.bytes());
    bytes[6..12].copy_from_slice(&from.bytes());
    bytes[12] = 8;
    Head::read(&bytes)
}

/// What a lower gets from the wire: batches of heads, in an order that is not
/// that of the links.
pub struct Scene {
    pub name: &'static str,
    pub fib: Fib,
    pub batches: Vec<Vec<Head>>,
}

impl Scene {
    fn new(name: &'static str, (driver, lower): (Driver, Index), to: fn(usize) -> Head) -> Self {
        let numbers: Vec<usize> = (0..8 * BATCH).map(|nth| (nth * 0x9e37_79b1) >> 7).collect();
        let batch = |numbers: &[usize]| numbers.iter().map(|&number| to(number)).collect();
        let batches = numbers.chunks(BATCH).map(batch).collect();
        Self { name, fib: compile(&driver, lower).unwrap(), batches }
    }

    /// 16 links, each of them with 64 addresses where addresses count.
    pub fn all() -> Vec<Self> {
        let bridge = |addresses| driver(Mode::Bridge, 16, addresses);
        vec![
            Self::new("unicast", bridge(1), |n| head(address(n % 16, 0), outsider(n % 999))),
            Self::new("unicast_1024", bridge(64), |n| {
                head(address(n % 16, n / 16 % 64), outsider(n % 999))
            }),
            Self::new("miss", bridge(1), |n| head(outsider(n % 9999), outsider(n % 999))),
            Self::new("broadcast", bridge(1), |n| head(MacAddr::BROADCAST, outsider(n % 999))),
            Self::new("source", driver(Mode::Source, 16, 64), |n| {
                head(outsider(n % 7777), outsider(n % 1024))
            }),
        ]
    }

    /// Classifies a batch and goes through all who get a frame of it, as a worker
    /// does. Returns how many deliveries that makes.
    #[inline(never)]
    pub fn run(&self, batch: &[Head], decisions: &mut Decisions) -> usize {
        let Self { fib, .. } = self;
        fib.classify(Output::WIRE, batch, decisions);
        let mut deliveries = 0;
        for frame in (0..).take(batch.len()) {
            deliveries += fib.sources_of(decisions, frame).len();
            deliveries += match decisions.target(frame) {
                Target::Output(_) => 1,
                Target::Group(group) => {
                    fib.members(group, fib.list_of(decisions, frame)).into_iter().count()
                }
                Target::Drop(_) => 0,
            };
        }
        deliveries
    }
}
