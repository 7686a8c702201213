//! Operations on the driver with any attributes, as bytes choose them.
//!
//! Names, devices and addresses come from small sets: only what clashes finds
//! anything. Shared by the targets that need a state.

use macvlan::driver::{DeviceKind, Driver, Event, HostPort, Index, LowerSpec};
use macvlan::errno::Refusal;
use macvlan::mac::MacAddr;
use macvlan::notifier::{Chain, Context};
use macvlan::request::{Extensions, LinkData, LinkRequest, MACADDR};

use super::bytes::Bytes;

const NAMES: [&str; 8] = ["lan0", "lan1", "mv0", "mv1", "mv2", "mv3", "mv4", ""];

const MTUS: [u32; 8] = [1500, 68, 67, 1501, 9216, 65_535, 65_536, 0];

/// Something that is done to the driver.
#[derive(Clone, Debug)]
pub enum Operation {
    AddLower(LowerSpec),
    New(LinkRequest, MacAddr),
    Set(Index, LinkRequest),
    Del(Index),
    FdbAdd(Index, MacAddr, bool),
    FdbDel(Index, MacAddr),
    Notify(Index, Event),
}

impl Operation {
    pub fn read(bytes: &mut Bytes<'_>) -> Self {
        match bytes.byte() % 16 {
            0 => Self::AddLower(lower(bytes)),
            1..=4 => Self::New(request(bytes), address(bytes)),
            5..=8 => Self::Set(device(bytes), request(bytes)),
            9 => Self::Del(device(bytes)),
            10 | 11 => Self::FdbAdd(device(bytes), address(bytes), bytes.flag()),
            12 => Self::FdbDel(device(bytes), address(bytes)),
            _ => Self::Notify(device(bytes), event(bytes)),
        }
    }

    pub fn run(&self, chain: &Chain, context: &mut Context) -> Result<(), Refusal> {
        let driver = &mut context.driver;
        match self {
            Self::AddLower(spec) => driver.add_lower(spec.clone()).map(drop),
            Self::New(request, random) => driver.newlink(request, &mut || *random).map(drop),
            Self::Set(link, request) => driver.setlink(*link, request),
            Self::Del(link) => driver.dellink(*link),
            Self::FdbAdd(link, address, replace) => driver.fdb_add(*link, *address, *replace),
            Self::FdbDel(link, address) => driver.fdb_del(*link, *address),
            Self::Notify(device, event) => chain.publish(context, *device, event),
        }
    }
}

/// One lower, and the driver on its chain.
pub fn start() -> (Chain, Context) {
    let (mut chain, mut context) = (Chain::default(), Context::default());
    let spec = LowerSpec::ethernet("lan0", MacAddr::new([2, 0, 0, 0, 0, 1]), 1500);
    let added = context.driver.add_lower(spec).map(drop);
    assert_eq!(added.and(chain.load(&mut context)), Ok(()));
    (chain, context)
}

/// A few unicast addresses, groups, and what is neither; rarely any other.
pub fn address(bytes: &mut Bytes<'_>) -> MacAddr {
    let byte = bytes.byte();
    match byte {
        0..0xa0 => MacAddr::new([2, 0, 0, 0, 0, byte % 8]),
        0xa0..0xc0 => MacAddr::new([1, 0, 0x5e, 0, 0, byte % 4]),
        0xc0..0xd0 => MacAddr::new([1, 0x80, 0xc2, 0, 0, byte % 17]),
        0xd0..0xe0 => MacAddr::BROADCAST,
        0xe0..0xe8 => MacAddr::ZERO,
        0xe8.. => MacAddr::new(bytes.array()),
    }
}

/// Lowers and links have small numbers; few of them are there.
fn device(bytes: &mut Bytes<'_>) -> Index {
    Index::new(u32::from(bytes.byte() % 12))
}

fn name(bytes: &mut Bytes<'_>) -> String {
    let name = NAMES.get(usize::from(bytes.byte()) % NAMES.len());
    name.copied().unwrap_or_default().to_owned()
}

/// The bytes of an attribute that should be an address.
fn raw_address(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut raw = address(bytes).bytes().to_vec();
    let length = bytes.byte();
    // Six, but for a few.
    if length >= 0xf0 {
        raw.resize(usize::from(length - 0xf0) * 3, 0);
    }
    raw
}

fn lower(bytes: &mut Bytes<'_>) -> LowerSpec {
    let (name, flags, more) = (name(bytes), bytes.byte(), bytes.byte());
    LowerSpec {
        up: flags & 1 == 0,
        carrier: flags & 2 == 0,
        kind: match flags >> 2 & 7 {
            6 => DeviceKind::Loopback,
            7 => DeviceKind::Other,
            _ => DeviceKind::Ethernet,
        },
        owner: (flags >> 5 == 7).then(|| "bond0".to_owned()),
        host: match more & 3 {
            0 => HostPort::None,
            1 => HostPort::Taps,
            _ => HostPort::Reachable,
        },
        private_strict: more & 4 != 0,
        drop_link_local: more & 8 != 0,
        max_mtu: bytes.one_of(&MTUS),
        ..LowerSpec::ethernet(&name, address(bytes), bytes.one_of(&MTUS))
    }
}

fn request(bytes: &mut Bytes<'_>) -> LinkRequest {
    LinkRequest {
        name: bytes.maybe(name),
        parent: bytes.maybe(device),
        address: bytes.maybe(raw_address),
        mtu: bytes.maybe(|bytes| bytes.one_of(&MTUS)),
        up: bytes.maybe(Bytes::flag),
        promisc: bytes.maybe(Bytes::flag),
        allmulti: bytes.maybe(Bytes::flag),
        data: bytes.maybe(data),
        extensions: Extensions {
            addresses: bytes.maybe(|bytes| bytes.several(4, address)),
            spoof_check: bytes.maybe(Bytes::flag),
        },
    }
}

fn data(bytes: &mut Bytes<'_>) -> LinkData {
    let listed = |bytes: &mut Bytes<'_>| {
        let kind = if bytes.byte() < 0xf0 { MACADDR } else { 5 };
        (kind, raw_address(bytes))
    };
    LinkData {
        mode: bytes.maybe(|bytes| bytes.one_of(&[4, 16, 8, 1, 2, 0, 12, 32])),
        flags: bytes.maybe(|bytes| u16::from(bytes.byte() % 5)),
        macaddr_mode: bytes.maybe(|bytes| bytes.one_of(&[0, 1, 2, 3, 4])),
        macaddr: bytes.maybe(raw_address),
        macaddr_data: bytes.maybe(|bytes| bytes.several(4, listed)),
        // Read-only attributes would hide all the others.
        macaddr_count: (bytes.byte() == 0xff).then_some(0),
        bc_queue_len: bytes.maybe(|bytes| bytes.one_of(&[0, 1, 1000])),
        bc_queue_len_used: (bytes.byte() == 0xff).then_some(0),
        bc_cutoff: bytes.maybe(|bytes| bytes.one_of(&[0, 1, 2, u32::MAX]).cast_signed()),
    }
}

fn event(bytes: &mut Bytes<'_>) -> Event {
    match bytes.byte() % 13 {
        0 => Event::Register,
        1 => Event::Up,
        2 => Event::Down,
        3 => Event::Change { carrier: bytes.flag() },
        4 => Event::FeatChange,
        5 => Event::ChangeMtu(bytes.one_of(&MTUS)),
        6 => Event::ChangeAddr(address(bytes)),
        7 => Event::PreTypeChange,
        8 => Event::NotifyPeers,
        9 => Event::BondingFailover,
        10 => Event::ResendIgmp,
        11 => Event::Unregister,
        _ => Event::Peer { connected: bytes.flag(), returned: bytes.flag() },
    }
}

/// The state as text: it has no equality, and none is needed elsewhere.
pub fn picture(driver: &Driver) -> String {
    format!("{driver:?}")
}
