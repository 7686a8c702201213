//! `host add`, `host set` and `host del`.

use crate::failure::{Failure, usage};
use crate::proto::{HostAdd, HostDel, HostSet, Request};
use crate::words::{Words, needed, on_off, once};

#[derive(Default)]
struct Asked {
    link: String,
    device: Option<String>,
    reachable: Option<bool>,
}

/// `host add` with these words.
///
/// # Errors
/// They ask for no host.
pub(crate) fn host_add(words: &[String]) -> Result<Request, Failure> {
    let Asked { link, device, reachable } = parse(words)?;
    let device = needed(device, "the host's device (device DEVICE)")?;
    Ok(Request::HostAdd(HostAdd { link, device, reachable }))
}

/// `host set` with these words.
///
/// # Errors
/// They ask for no change of a host.
pub(crate) fn host_set(words: &[String]) -> Result<Request, Failure> {
    let Asked { link, device, reachable } = parse(words)?;
    if device.is_some() {
        return usage(format!(
            "device is settled when the host is added: delete the host of {link} and add it again"
        ));
    }
    Ok(Request::HostSet(HostSet { link, reachable }))
}

/// `host del` with these words.
///
/// # Errors
/// They name no lower, or say more.
pub(crate) fn host_del(words: &[String]) -> Result<Request, Failure> {
    match parse(words)? {
        Asked { link, device: None, reachable: None } => Ok(Request::HostDel(HostDel { link })),
        _ => usage("host del takes link LOWER and nothing else"),
    }
}

fn parse(words: &[String]) -> Result<Asked, Failure> {
    let mut link = None;
    let mut asked = Asked::default();
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match word {
            "link" => once(word, &mut link, words.value(word)?.to_owned())?,
            "device" => once(word, &mut asked.device, words.value(word)?.to_owned())?,
            "reachable" => once(word, &mut asked.reachable, on_off(word, words.value(word)?)?)?,
            _ => {
                return usage(format!(
                    "host has no option \"{word}\": there are link, device and reachable"
                ));
            }
        }
    }
    asked.link = needed(link, "the lower whose host it is (link LOWER)")?;
    Ok(asked)
}
