//! `lower add`, `lower set` and `lower del`.

use crate::failure::{Failure, usage};
use crate::proto::{LowerAdd, LowerSet, Named, Request};
use crate::words::{
    Keyword::{self, Exact, Prefix},
    Words, garbage, keyword, mac_of, needed, number, on_off, once,
};

const OPTIONS: &[Keyword] = &[
    Exact("up"),
    Exact("down"),
    Exact("mtu"),
    Prefix("address"),
    Exact("device"),
    Exact("lower"),
    Exact("vlan"),
    Exact("vlan_protocol"),
    Exact("private_strict"),
    Exact("drop_link_local"),
];

/// `lower add` with these words.
///
/// # Errors
/// They ask for no lower.
pub(crate) fn lower_add(words: &[String]) -> Result<Request, Failure> {
    let lower = parse(words)?;
    match (&lower.device, &lower.lower, lower.vlan) {
        (None, None, _) => {
            usage("what the lower is, is missing: device DEVICE, or lower LOWER vlan ID")
        }
        (None, Some(_), None) => usage("which VLAN of it is missing: vlan ID"),
        _ => Ok(Request::LowerAdd(lower)),
    }
}

/// `lower set` with these words.
///
/// # Errors
/// They ask for no change of a lower.
pub(crate) fn lower_set(words: &[String]) -> Result<Request, Failure> {
    let LowerAdd {
        name,
        device,
        lower,
        vlan,
        vlan_protocol,
        mtu,
        address,
        up,
        private_strict,
        drop_link_local,
    } = parse(words)?;
    if device.is_some() || lower.is_some() || vlan.is_some() || vlan_protocol.is_some() {
        return usage(format!(
            "device, lower and vlan are settled when the lower is added: delete {name} and add it again"
        ));
    }
    Ok(Request::LowerSet(LowerSet { name, up, mtu, address, private_strict, drop_link_local }))
}

/// `lower del` with these words.
///
/// # Errors
/// They name no lower, or say more.
pub(crate) fn lower_del(words: &[String]) -> Result<Request, Failure> {
    let lower = parse(words)?;
    if lower != (LowerAdd { name: lower.name.clone(), ..LowerAdd::default() }) {
        return usage("lower del takes a name and nothing else");
    }
    Ok(Request::LowerDel(Named { name: lower.name }))
}

fn parse(words: &[String]) -> Result<LowerAdd, Failure> {
    let mut name = None;
    let mut asked = LowerAdd::default();
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match keyword(OPTIONS, word) {
            Some("up") => asked.up = Some(true),
            Some("down") => asked.up = Some(false),
            Some(option) => valued(&mut asked, option, words.value(option)?)?,
            None => {
                let word = if matches!(word, "dev" | "name") { words.value(word)? } else { word };
                if name.replace(word.to_owned()).is_some() {
                    return garbage(word);
                }
            }
        }
    }
    Ok(LowerAdd { name: needed(name, "the lower's name")?, ..asked })
}

fn valued(asked: &mut LowerAdd, option: &'static str, word: &str) -> Result<(), Failure> {
    match option {
        "mtu" => once(option, &mut asked.mtu, number(option, word, 0, u32::MAX)?),
        "address" => once(option, &mut asked.address, mac_of(option, word)?),
        "device" => once(option, &mut asked.device, word.to_owned()),
        "lower" => once(option, &mut asked.lower, word.to_owned()),
        "vlan" => once(option, &mut asked.vlan, number(option, word, 0, u16::MAX)?),
        "vlan_protocol" => once(option, &mut asked.vlan_protocol, word.to_owned()),
        "private_strict" => once(option, &mut asked.private_strict, on_off(option, word)?),
        _ => once(option, &mut asked.drop_link_local, on_off(option, word)?),
    }
}
