//! A link request as a message: the attributes of [`Request`], right or wrong, as they are.

use super::links::{ALLMULTI, IFLA_ADDRESS, IFLA_LINKINFO, IFLA_MTU, PROMISC, UP};
use super::netlink::{Body, ifinfo};
use super::scenario::{Data, Request};

/// A link message with the attributes of `request`.
pub(crate) fn body_of(index: u32, request: &Request, create: bool) -> Body {
    let (mut flags, mut change) = (0, 0);
    for (bit, wish) in [(UP, request.up), (PROMISC, request.promisc), (ALLMULTI, request.allmulti)]
    {
        if let Some(on) = wish {
            change |= bit;
            flags |= if on { bit } else { 0 };
        }
    }
    let mut body = Body::new(&ifinfo(index, flags, change));
    if let Some(address) = &request.address {
        body.bytes(IFLA_ADDRESS, address);
    }
    if let Some(mtu) = request.mtu {
        body.number(IFLA_MTU, mtu);
    }
    if create || request.data.is_some() {
        let mut info = Body::default();
        info.text(1, "macvlan");
        if let Some(data) = &request.data {
            info.nest(2, &data_of(data));
        }
        body.nest(IFLA_LINKINFO, &info);
    }
    body
}

fn data_of(data: &Data) -> Body {
    let mut body = Body::default();
    if let Some(mode) = data.mode {
        body.number(1, mode);
    }
    if let Some(flags) = data.flags {
        body.bytes(2, &flags.to_ne_bytes());
    }
    if let Some(mode) = data.macaddr_mode {
        body.number(3, mode);
    }
    if let Some(address) = &data.macaddr {
        body.bytes(4, address);
    }
    if let Some(list) = &data.macaddr_data {
        let mut inner = Body::default();
        for (kind, address) in list {
            inner.bytes(*kind, address);
        }
        body.nest(5, &inner);
    }
    if let Some(count) = data.macaddr_count {
        body.number(6, count);
    }
    if let Some(len) = data.bc_queue_len {
        body.number(7, len);
    }
    if let Some(len) = data.bc_queue_len_used {
        body.number(8, len);
    }
    if let Some(limit) = data.bc_cutoff {
        body.number(9, limit.cast_unsigned());
    }
    body
}
