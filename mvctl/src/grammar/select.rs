//! Which links `link show` shows: the filters of `ip link show`.

use crate::failure::{Failure, usage};
use crate::proto::{LinkShow, Name};
use crate::words::{Words, garbage, once};

/// Which links are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkFilter {
    /// The one of this name.
    pub(crate) name: Option<String>,
    /// Those that are up, or down.
    pub(crate) up: Option<bool>,
    /// Those of this type.
    pub(crate) kind: Option<String>,
    /// Those of this lower.
    pub(crate) link: Option<String>,
    /// Those of this group.
    pub(crate) group: Option<String>,
}

impl LinkFilter {
    /// Whether `link` is among them.
    pub(crate) fn matches(&self, link: &LinkShow) -> bool {
        fn same(wanted: Option<&String>, found: &str) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        let up = link.flags.iter().any(|flag| flag == "UP");
        self.up.is_none_or(|wanted| wanted == up)
            && same(self.kind.as_ref(), &link.linkinfo.info_kind)
            && same(self.link.as_ref(), &link.link)
            && same(self.group.as_ref(), &link.group)
    }
}

/// The links that these words ask for.
///
/// # Errors
/// They ask for more than one name, or for what links do not have.
pub(crate) fn links(words: &[String]) -> Result<LinkFilter, Failure> {
    let mut filter = LinkFilter::default();
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        match word {
            "up" => filter.up = Some(true),
            "down" => filter.up = Some(false),
            "type" => once(word, &mut filter.kind, words.value(word)?.to_owned())?,
            "link" => once(word, &mut filter.link, words.value(word)?.to_owned())?,
            "group" => once(word, &mut filter.group, words.value(word)?.to_owned())?,
            // No link has either.
            "nomaster" | "novf" => {}
            "master" | "vrf" => return usage(format!("mvswitch's links have no \"{word}\"")),
            _ => {
                let name = if word == "dev" { words.value(word)? } else { word };
                if filter.name.replace(name.to_owned()).is_some() {
                    return garbage(name);
                }
            }
        }
    }
    Ok(filter)
}

/// At most one name, with or without `dev`.
///
/// # Errors
/// There are more words.
pub(crate) fn one_name(words: &[String]) -> Result<Name, Failure> {
    let mut name = None;
    let mut words = Words::new(words);
    while let Some(word) = words.next() {
        let word = if word == "dev" { words.value(word)? } else { word };
        if name.replace(word.to_owned()).is_some() {
            return garbage(word);
        }
    }
    Ok(Name { name })
}
