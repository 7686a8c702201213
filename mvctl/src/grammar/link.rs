//! `link add`, `link set` and `link del`: the words of `ip link`.

use super::macvlan;
use crate::failure::{Failure, usage};
use crate::proto::{LinkAdd, LinkSet, Named, Request};
use crate::words::{
    Keyword::{self, Exact, Prefix},
    Words, garbage, keyword, mac_of, needed, number, on_off, once,
};

/// What may stand before `type`, in iproute2's order, which decides what an
/// abbreviation means: so the words that mvswitch has no use for stand here, too.
const GENERAL: &[Keyword] = &[
    Exact("up"),
    Exact("down"),
    Exact("name"),
    Exact("index"),
    Prefix("link"),
    Prefix("address"),
    Prefix("broadcast"),
    Exact("brd"),
    Prefix("txqueuelen"),
    Exact("qlen"),
    Prefix("txqlen"),
    Exact("mtu"),
    Exact("inet"),
    Exact("xdpgeneric"),
    Exact("xdpdrv"),
    Exact("xdpoffload"),
    Exact("xdp"),
    Exact("netns"),
    Exact("multicast"),
    Exact("allmulticast"),
    Exact("promisc"),
    Exact("trailers"),
    Exact("arp"),
    Exact("carrier"),
    Exact("vf"),
    Prefix("master"),
    Exact("vrf"),
    Prefix("nomaster"),
    Prefix("dynamic"),
    Prefix("type"),
    Prefix("alias"),
    Exact("group"),
    Exact("state"),
    Prefix("numtxqueues"),
    Prefix("numrxqueues"),
    Prefix("addrgenmode"),
    Prefix("link-netns"),
    Prefix("link-netnsid"),
    Exact("protodown"),
    Exact("protodown_reason"),
    Exact("gso_max_size"),
    Exact("gso_max_segs"),
    Exact("gro_max_size"),
    Exact("gso_ipv4_max_size"),
    Exact("gro_ipv4_max_size"),
    Exact("parentdev"),
];

/// macvlan's flags.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) nopromisc: bool,
    pub(super) nodst: bool,
}

/// What the words asked for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    name: Option<String>,
    dev: Option<String>,
    lower: Option<String>,
    /// Everything else; its name and lower are not filled in.
    pub(super) link: LinkAdd,
    pub(super) flags: Option<Flags>,
}

/// `link add` with these words.
///
/// # Errors
/// They ask for no link.
pub(crate) fn link_add(words: &[String]) -> Result<Request, Failure> {
    let asked = parse(words)?;
    if let (Some(name), Some(dev)) = (&asked.name, &asked.dev)
        && name != dev
    {
        return usage(format!("a new link cannot have two names, {name} and {dev}"));
    }
    let name = needed(asked.name.or(asked.dev), "the link's name")?;
    let link = needed(asked.lower, "the lower of the new link (link LOWER)")?;
    Ok(Request::LinkAdd(LinkAdd { name, link, ..asked.link }))
}

/// `link set` with these words.
///
/// # Errors
/// They ask for no change of a link.
pub(crate) fn link_set(words: &[String]) -> Result<Request, Failure> {
    let asked = parse(words)?;
    let name = changed(&asked)?;
    if asked.lower.is_some() {
        return usage(format!(
            "a link cannot move to another lower: delete {name} and add it again"
        ));
    }
    let LinkAdd { mode, address, mtu, up, socket, role, device, kind, .. } = asked.link;
    if socket.is_some() || role.is_some() || device.is_some() {
        return usage(format!(
            "socket, role and device are settled when the link is added: delete {name} and add it again"
        ));
    }
    let LinkAdd { nopromisc, nodst, macaddr, bcqueuelen, bclim, .. } = asked.link;
    let LinkAdd { addresses, promisc, allmulticast, spoof_check, .. } = asked.link;
    Ok(Request::LinkSet(LinkSet {
        name,
        mode,
        up,
        address,
        mtu,
        kind,
        nopromisc,
        nodst,
        macaddr,
        bcqueuelen,
        bclim,
        addresses,
        promisc,
        allmulticast,
        spoof_check,
    }))
}

/// `link del` with these words.
///
/// # Errors
/// They name no link, or say more.
pub(crate) fn link_del(words: &[String]) -> Result<Request, Failure> {
    let mut asked = parse(words)?;
    let name = changed(&asked)?;
    asked.link.kind = None;
    if asked.lower.is_some() || asked.link != LinkAdd::default() {
        return usage("link del takes a name and nothing else");
    }
    Ok(Request::LinkDel(Named { name }))
}

/// The name of the link that is there.
fn changed(asked: &Asked) -> Result<String, Failure> {
    match (&asked.name, &asked.dev) {
        (Some(name), Some(dev)) if name != dev => {
            usage(format!("a link cannot be renamed: delete {dev} and add {name}"))
        }
        (name, dev) => needed(dev.clone().or(name.clone()), "the link's name"),
    }
}

fn parse(words: &[String]) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        if let Some("type") = keyword(GENERAL, word) {
            kind(&mut asked, &mut words)?;
        } else if let Some(option) = keyword(GENERAL, word) {
            general(&mut asked, option, &mut words)?;
        } else if let Some(option) = macvlan::written_out(word) {
            macvlan::take(&mut asked, option, &mut words)?;
        } else {
            let dev = if word == "dev" { words.value(word)? } else { word };
            if asked.dev.replace(dev.to_owned()).is_some() {
                return garbage(dev);
            }
        }
    }
    if let Some(Flags { nopromisc, nodst }) = asked.flags {
        if nopromisc && asked.link.mode.as_deref() != Some("passthru") {
            return usage("nopromisc is a flag only in passthru mode: say mode passthru with it");
        }
        asked.link.nopromisc = Some(nopromisc);
        asked.link.nodst = Some(nodst);
    }
    Ok(asked)
}

/// What stands after `type`: the kind, and options of that kind to the end.
fn kind(asked: &mut Asked, words: &mut Words<'_>) -> Result<(), Failure> {
    let kind = words.value("type")?;
    if !matches!(kind, "macvlan" | "macvtap") {
        return usage(format!("there are no links of type \"{kind}\" here: macvlan and macvtap"));
    }
    asked.link.kind = Some(kind.to_owned());
    while let Some(word) = words.next() {
        match keyword(macvlan::OPTIONS, word) {
            Some(option) => macvlan::take(asked, option, words)?,
            None => {
                let general = keyword(GENERAL, word);
                let hint = if general.is_some() { "; it stands before \"type\"" } else { "" };
                return usage(format!(
                    "{kind} has no option \"{word}\"{hint}: there are mode, flag, nopromisc, nodst, \
                     macaddr, bcqueuelen, bclim, socket, role, device, addresses and spoof_check"
                ));
            }
        }
    }
    Ok(())
}

fn general(asked: &mut Asked, option: &'static str, words: &mut Words<'_>) -> Result<(), Failure> {
    let link = &mut asked.link;
    match option {
        "up" => link.up = Some(true),
        "down" => link.up = Some(false),
        "name" => once(option, &mut asked.name, words.value(option)?.to_owned())?,
        "link" => asked.lower = Some(words.value(option)?.to_owned()),
        "address" => {
            link.address = Some(match words.value(option)? {
                word @ ("auto" | "random") => word.to_owned(),
                word => mac_of(option, word)?,
            });
        }
        "mtu" => once(option, &mut link.mtu, number(option, words.value(option)?, 0, u32::MAX)?)?,
        "promisc" => link.promisc = Some(on_off(option, words.value(option)?)?),
        "allmulticast" => link.allmulticast = Some(on_off(option, words.value(option)?)?),
        "index" => return usage("mvswitch numbers its links itself: leave \"index\" out"),
        _ => return usage(format!("mvswitch's links have no \"{option}\"")),
    }
    Ok(())
}
