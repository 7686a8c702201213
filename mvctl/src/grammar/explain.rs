//! `explain`: a frame in words.

use crate::failure::{Failure, usage};
use crate::proto::Explain;
use crate::words::{Words, mac_of, needed, number, once};

/// The frame that these words describe.
///
/// # Errors
/// They describe none.
pub(crate) fn explain(words: &[String]) -> Result<Explain, Failure> {
    let (mut from, mut dst) = (None, None);
    let mut frame = Explain::default();
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match word {
            "from" | "dev" => once(word, &mut from, words.value(word)?.to_owned())?,
            "dst" => once(word, &mut dst, mac_of(word, words.value(word)?)?)?,
            "src" => once(word, &mut frame.src, mac_of(word, words.value(word)?)?)?,
            "type" => once(word, &mut frame.ether_type, ether_type(words.value(word)?)?)?,
            "vlan" => {
                once(word, &mut frame.vlan, number(word, words.value(word)?, 0, 4095)?)?;
            }
            _ => {
                return usage(format!(
                    "a frame has no \"{word}\": there are from, dst, src, type and vlan"
                ));
            }
        }
    }
    frame.from = needed(from, "who sends the frame (from LINK, from LOWER or from host@LOWER)")?;
    frame.dst = needed(dst, "the frame's destination (dst MAC)")?;
    Ok(frame)
}

fn ether_type(word: &str) -> Result<u16, Failure> {
    match word {
        "ipv4" | "ip" => Ok(0x0800),
        "arp" => Ok(0x0806),
        "ipv6" => Ok(0x86dd),
        _ => match number("type", word, 0, u16::MAX) {
            Ok(number) => Ok(number),
            Err(_) => usage(format!(
                "argument of \"type\" must be ipv4, ipv6, arp or a number up to 0xffff, not \"{word}\""
            )),
        },
    }
}
