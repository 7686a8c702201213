//! `fdb` and `maddress`: `bridge fdb` and `ip maddress` for a link's filter (IP-08).

use crate::failure::{Failure, usage};
use crate::proto::{Filter, Request};
use crate::words::{Words, garbage, mac, needed, once};

/// `fdb add` and `maddress add` with these words.
///
/// # Errors
/// They name no address, or no link.
pub(crate) fn filter_add(words: &[String]) -> Result<Request, Failure> {
    parse(words).map(Request::FilterAdd)
}

/// `fdb del` and `maddress del` with these words.
///
/// # Errors
/// They name no address, or no link.
pub(crate) fn filter_del(words: &[String]) -> Result<Request, Failure> {
    parse(words).map(Request::FilterDel)
}

fn parse(words: &[String]) -> Result<Filter, Failure> {
    let (mut name, mut address) = (None, None);
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match word {
            "dev" => once(word, &mut name, words.value(word)?.to_owned())?,
            word => match mac(word) {
                Some(found) if address.is_none() => address = Some(found),
                _ => return garbage(word),
            },
        }
    }
    match (address, name) {
        (None, _) => usage("the MAC address is missing, such as 33:33:00:00:00:fb"),
        (Some(address), name) => Ok(Filter { name: needed(name, "the link (dev LINK)")?, address }),
    }
}
