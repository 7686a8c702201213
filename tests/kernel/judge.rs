//! Which difference is which deviation.
//!
//! Each rule here is as narrow as the deviation it stands for: what it does not
//! describe exactly is a difference nobody has explained.

use std::collections::BTreeMap;

use super::scenario::{Change, Frame, NOPROMISC, PASSTHRU, Request, Side, Step};
use super::state::{State, Unlike};

/// A frame from the wire that is a PAUSE frame but for a tag: the kernel hands it to the host alone.
pub(crate) fn tagged_pause(from: Side, frame: &Frame, balance: &BTreeMap<Side, i32>) -> bool {
    let pause = frame.kind == 0x8808 && frame.tags.len() == 1 && frame.dst.0.is_multicast();
    let links_only = balance.iter().all(|(side, count)| match side {
        Side::Link(_) => *count <= 0,
        _ => *count == 0,
    });
    pause && matches!(from, Side::Wire(_)) && links_only
}

/// What a request that is refused in the middle may have changed. A link that
/// cannot go up takes the other flags all the same.
const PARTIAL: [&str; 14] = [
    "mode",
    "flags",
    "sources",
    "bc_queue_len",
    "bc_queue_len_used",
    "bc_cutoff",
    "address",
    "mtu",
    "up",
    "promisc",
    "allmulti",
    "unicast",
    "groups",
    "promiscuous",
];

/// The deviation a difference of an operation is, if it is one of those in the table.
pub(crate) fn known(
    step: &Step,
    (kernel, ours): (i32, i32),
    unlike: &[Unlike],
    before: &State,
) -> Option<&'static str> {
    let only = |fields: &[&str]| unlike.iter().all(|unlike| fields.contains(&unlike.field));
    let refused_alike = kernel == ours && kernel != 0 && !unlike.is_empty();
    match step {
        // Toggling nopromisc on a passthru link that is down miscounts the lower's promiscuity.
        Step::SetLink { link, request } if toggles_nopromisc_while_down(*link, request, before) => {
            let partly = refused_alike && parts(request) > 1 && only(&PARTIAL);
            let overflow = kernel == libc::EOVERFLOW;
            (overflow || partly || only(&["promiscuous"])).then_some("UCF-08")
        }
        // What came before the refused part stays.
        Step::SetLink { request, .. } if refused_alike && parts(request) > 1 => {
            only(&PARTIAL).then_some("LC-43")
        }
        Step::NewLink { .. } if refused_alike => only(&["bc_cutoff"]).then_some("LC-20"),
        Step::SetLower { lower, change: Change::Address(mac) } if kernel == 0 => {
            let taken = before.links.values().any(|link| {
                link.lower == *lower && link.up && link.mode != PASSTHRU && link.address == *mac
            });
            (ours == libc::EADDRINUSE && taken).then_some("NT-04")
        }
        // An allmulti count that is never taken back.
        Step::SetLink { link, .. } | Step::DelLink { link } if kernel == ours => {
            let passthru = before.links.get(link).is_some_and(|link| link.mode == PASSTHRU);
            (passthru && only(&["allmulti"])).then_some("UCF-06b")
        }
        _ => None,
    }
}

fn toggles_nopromisc_while_down(link: u8, request: &Request, before: &State) -> bool {
    let Some(link) = before.links.get(&link) else { return false };
    let flags = request.data.as_ref().and_then(|data| data.flags);
    let toggled = flags.is_some_and(|flags| (flags ^ link.flags) & NOPROMISC != 0);
    link.mode == PASSTHRU && !link.up && toggled
}

/// How many things a request asks for.
fn parts(request: &Request) -> usize {
    let data = request.data.as_ref().map_or(0, |data| {
        [
            data.mode.is_some(),
            data.flags.is_some(),
            data.macaddr_mode.is_some(),
            data.bc_queue_len.is_some(),
            data.bc_cutoff.is_some(),
        ]
        .iter()
        .filter(|given| **given)
        .count()
    });
    let rest = [
        request.address.is_some(),
        request.mtu.is_some(),
        request.up.is_some(),
        request.promisc.is_some(),
        request.allmulti.is_some(),
    ];
    data + rest.iter().filter(|given| **given).count()
}
