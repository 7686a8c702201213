//! What may follow `type macvlan`: IP-01 to IP-06, and mvswitch's own words.

use super::link::Asked;
use crate::failure::{Failure, usage};
use crate::proto::Macaddr;
use crate::words::{
    Keyword::{self, Exact, Prefix},
    Words, keyword, mac_of, number, on_off, once,
};

/// iproute2's words, in its order.
pub(super) const OPTIONS: &[Keyword] = &[
    Prefix("mode"),
    Prefix("flag"),
    Prefix("macaddr"),
    Prefix("nopromisc"),
    Prefix("nodst"),
    Prefix("bcqueuelen"),
    Exact("bclim"),
    Exact("socket"),
    Exact("role"),
    Exact("device"),
    Exact("addresses"),
    Exact("spoof_check"),
];

/// The option that `word` is, written out: before `type` a beginning would be a
/// name, or another word of `ip`.
pub(super) fn written_out(word: &str) -> Option<&'static str> {
    keyword(OPTIONS, word).filter(|option| *option == word)
}

/// Takes what belongs to `option`, one of [`OPTIONS`].
pub(super) fn take(asked: &mut Asked, option: &str, words: &mut Words<'_>) -> Result<(), Failure> {
    let link = &mut asked.link;
    match option {
        "nopromisc" | "nodst" => return flag(asked, option),
        "macaddr" => {
            let change = macaddr(words)?;
            return once(option, &mut link.macaddr, change);
        }
        _ => {}
    }
    let word = words.value(option)?;
    match option {
        "mode" => match word {
            "private" | "vepa" | "bridge" | "passthru" | "source" => {
                link.mode = Some(word.to_owned());
            }
            _ => {
                return usage(format!(
                    "argument of \"mode\" must be \"private\", \"vepa\", \"bridge\", \"passthru\" or \
                     \"source\", not \"{word}\""
                ));
            }
        },
        "flag" => return flag(asked, word),
        "bcqueuelen" => link.bcqueuelen = Some(number(option, word, 0, u32::MAX)?),
        "bclim" => link.bclim = Some(number(option, word, i32::MIN, i32::MAX)?),
        "socket" => once(option, &mut link.socket, word.to_owned())?,
        "device" => once(option, &mut link.device, word.to_owned())?,
        "role" => match word {
            "server" | "client" => link.role = Some(word.to_owned()),
            _ => {
                return usage(format!(
                    "argument of \"role\" must be \"server\" or \"client\", not \"{word}\""
                ));
            }
        },
        "addresses" => once(option, &mut link.addresses, addresses(word)?)?,
        _ => link.spoof_check = Some(on_off(option, word)?),
    }
    Ok(())
}

/// Flags are a whole (IP-03): one word settles them all.
fn flag(asked: &mut Asked, word: &str) -> Result<(), Failure> {
    let flags = asked.flags.get_or_insert_default();
    match word {
        "nopromisc" => flags.nopromisc = true,
        "nodst" => flags.nodst = true,
        "null" => {}
        _ => {
            return usage(format!(
                "argument of \"flag\" must be \"nopromisc\", \"nodst\" or \"null\", not \"{word}\""
            ));
        }
    }
    Ok(())
}

fn macaddr(words: &mut Words<'_>) -> Result<Macaddr, Failure> {
    let verb = words.value("macaddr")?;
    Ok(match verb {
        "add" => Macaddr::Add(mac_of("macaddr add", words.value(verb)?)?),
        "del" => Macaddr::Del(mac_of("macaddr del", words.value(verb)?)?),
        "flush" => Macaddr::Flush,
        // Swallows what looks like an address (IP-05).
        "set" => Macaddr::Set(std::iter::from_fn(|| words.next_mac()).collect()),
        _ => {
            return usage(format!(
                "argument of \"macaddr\" must be \"add\", \"del\", \"set\" or \"flush\", not \"{verb}\""
            ));
        }
    })
}

/// MAC addresses between commas, or `none`.
fn addresses(word: &str) -> Result<Vec<String>, Failure> {
    if word == "none" {
        return Ok(Vec::new());
    }
    match word.split(',').map(crate::words::mac).collect() {
        Some(addresses) => Ok(addresses),
        None => usage(format!(
            "argument of \"addresses\" must be MAC addresses with commas between them, or \"none\", \
             not \"{word}\""
        )),
    }
}
