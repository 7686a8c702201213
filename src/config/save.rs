//! The running state as a config file: the old file with what no longer holds
//! put right, and nothing else touched.
//!
//! Pure text. Control calls it and writes the file; it must never decide what
//! the running state is.

mod document;
#[cfg(test)]
mod tests;

use std::path::Path;

use macvlan::mode::Mode;

use self::document::Document;
use super::keys::{self, Datum, Key};
use super::{Config, Endpoint, LinkConfig};

/// `text` with as little changed as makes it mean `running`. Comments, order
/// and blank lines stay; what is gone takes its own comments with it (those
/// right above it), and what is new comes last of its kind. Sockets below
/// `runtime_dir` are written relative to it. A word such as `auto` stays where
/// it means what runs.
///
/// `text` is a valid config: what cannot be read is not kept, so a caller that
/// read it from disk parses it first.
#[must_use]
pub fn save(text: &str, running: &Config, runtime_dir: &Path) -> String {
    let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let plain = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let before = Config::parse(&plain, running.file()).ok();
    let before = before.map(|config| relative(config, runtime_dir));
    let running = relative(running.clone(), runtime_dir);
    let running = &limits_once(running, before.as_ref());
    let mut document = match (&before, Document::parse(&plain)) {
        (Some(_), Some(document)) => document,
        _ => Document::default(),
    };
    put_right(&mut document, before.as_ref(), running);
    name_addresses(&mut document, running);
    if !document.is_changed() {
        return text.to_owned();
    }
    let saved = document.to_string();
    // The first line tells which line ends the file has.
    let windows = text.split_once('\n').is_some_and(|(first, _)| first.ends_with('\r'));
    let saved = if windows { saved.replace('\n', "\r\n") } else { saved };
    format!("{mark}{saved}")
}

/// Sockets as a file has them.
fn relative(mut config: Config, runtime_dir: &Path) -> Config {
    for link in &mut config.links {
        if let Endpoint::Vhost { socket, .. } = &mut link.endpoint {
            let below = socket.strip_prefix(runtime_dir).unwrap_or(socket);
            *socket = super::rules::without_dots(below);
        }
    }
    config
}

/// All links of a lower have the same `bclim`: it is said where the file did so
/// before, else once.
fn limits_once(mut running: Config, before: Option<&Config>) -> Config {
    let said_it = |link: &&LinkConfig| {
        let then = before.and_then(|config| find(&config.links, |it| &it.name, &link.name));
        then.is_some_and(|then| then.lower == link.lower && then.bclim.is_some())
    };
    let mut says = Vec::new();
    for lower in &running.lowers {
        let on_it = running.links.iter().filter(|link| link.lower == lower.name);
        let before = says.len();
        says.extend(on_it.clone().filter(said_it).map(|link| link.name.clone()));
        if says.len() == before {
            let said = on_it.filter(|link| link.bclim.is_some());
            says.extend(said.map(|link| link.name.clone()).take(1));
        }
    }
    for link in running.links.iter_mut().filter(|link| !says.contains(&link.name)) {
        link.bclim = None;
    }
    running
}

fn put_right(document: &mut Document, before: Option<&Config>, running: &Config) {
    let sections = before.map(keys::sections);
    for (index, (section, now)) in keys::sections(running).iter().enumerate() {
        let then = sections.as_ref().and_then(|sections| sections.get(index));
        document.section(section, then.map(|(_, keys)| keys.as_slice()), now);
    }
    let lower = |name: &str, config: &Config| {
        let lower = find(&config.lowers, |lower| &lower.name, name)?;
        Some(keys::lower(lower, config))
    };
    let names: Vec<&str> = running.lowers.iter().map(|lower| lower.name.as_str()).collect();
    many(document, "lower", &names, before, running, lower);
    document.order_lowers();

    let host = |name: &str, config: &Config| {
        let lower = find(&config.lowers, |lower| &lower.name, name)?;
        Some(keys::host(name, lower.host.as_ref()?))
    };
    let hosts = running.lowers.iter().filter(|lower| lower.host.is_some());
    let names: Vec<&str> = hosts.map(|lower| lower.name.as_str()).collect();
    many(document, "host", &names, before, running, host);

    let link = |name: &str, config: &Config| {
        let link = find(&config.links, |link| &link.name, name)?;
        let mut keys = keys::link(link, config);
        for key in keys.iter_mut().filter(|key| key.name == "address") {
            if link.random_address && key.value.is_some() {
                key.value = Some(Datum::Text("random".to_owned()));
            }
        }
        Some(keys)
    };
    let names: Vec<&str> = running.links.iter().map(|link| link.name.as_str()).collect();
    many(document, "macvlan", &names, before, running, link);
}

fn find<'a, T>(items: &'a [T], name: impl Fn(&T) -> &String, wanted: &str) -> Option<&'a T> {
    items.iter().find(|item| name(item) == wanted)
}

/// Brings all sections of one kind up to date.
fn many(
    document: &mut Document,
    kind: &'static str,
    names: &[&str],
    before: Option<&Config>,
    running: &Config,
    keys: impl Fn(&str, &Config) -> Option<Vec<Key>>,
) {
    document.keep(kind, names);
    for name in names {
        let then = before.and_then(|config| keys(name, config));
        let now = keys(name, running).unwrap_or_default();
        document.item(kind, name, then.as_deref(), &now);
    }
}

/// Writes the addresses that the file would derive otherwise. To name one may
/// change what others derive, so it is the reader itself that is asked.
fn name_addresses(document: &mut Document, running: &Config) {
    loop {
        let Ok(read) = Config::parse(&document.to_string(), running.file()) else { return };
        let mut wrong = false;
        for link in &read.links {
            let runs = find(&running.links, |link| &link.name, &link.name);
            let Some(runs) = runs.filter(|runs| {
                !runs.random_address && runs.mode != Mode::Passthru && runs.address != link.address
            }) else {
                continue;
            };
            wrong |= document.value("macvlan", &link.name, "address", &runs.address.to_string());
        }
        if !wrong {
            return;
        }
    }
}
