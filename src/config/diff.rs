//! What a wanted config changes in a running switch, and in which order.
//!
//! Pure: compares two configs whose sockets are resolved. Control shows the
//! list, or carries it out by [`steps`]; it must never be applied in part.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use macvlan::mac::MacAddr;
use macvlan::mode::Mode;
use mvctl::proto::{self, Keyed};

use super::keys::{self, Key};
use super::{Config, HostConfig, LinkConfig, LowerConfig, LowerDevice};

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A section that counts at start only.
    Restart {
        /// `switch`, `cores`, `eal`, `metrics` or `control`.
        section: &'static str,
        /// What differs.
        keys: Vec<Keyed>,
    },
    /// A lower. Its host is a change of its own, and `None` in here.
    Lower(Edit<LowerConfig>),
    /// The host of the lower that the edit names.
    Host(Edit<HostConfig>),
    /// A link.
    Link(Edit<LinkConfig>),
}

/// What becomes of one lower, host or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<T> {
    /// Its name; a host's is its lower's.
    pub name: String,
    /// What becomes of it.
    pub action: Box<Action<T>>,
    /// What differs. May be empty where it is replaced because its lower is.
    pub keys: Vec<Keyed>,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<T> {
    /// It is new.
    Add(T),
    /// It stays, with other values.
    Set {
        /// As it runs.
        from: T,
        /// As it shall run.
        to: T,
    },
    /// It goes.
    Del(T),
    /// It goes, and another of that name comes.
    Replace {
        /// As it runs.
        from: T,
        /// As it shall run.
        to: T,
    },
}

impl<T> Edit<T> {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match *self.action {
            Action::Add(_) => "add",
            Action::Set { .. } => "set",
            Action::Del(_) => "del",
            Action::Replace { .. } => "replace",
        }
    }

    /// This key differs.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|keyed| keyed.key == key)
    }

    fn shown(&self, kind: &str) -> proto::Change {
        proto::Change {
            change: self.word().to_owned(),
            kind: kind.to_owned(),
            name: self.name.clone(),
            keys: self.keys.clone(),
        }
    }

    /// A replacement as deletion and addition; anything else as it is.
    fn apart(self) -> Vec<Self> {
        let Self { name, action, keys } = self;
        let edit = |action, keys| Self { name: name.clone(), action: Box::new(action), keys };
        match *action {
            Action::Replace { from, to } => {
                vec![edit(Action::Del(from), Vec::new()), edit(Action::Add(to), keys)]
            }
            action => vec![edit(action, keys)],
        }
    }
}

impl From<&Change> for proto::Change {
    fn from(change: &Change) -> Self {
        match change {
            Change::Restart { section, keys } => Self {
                change: "restart".to_owned(),
                kind: (*section).to_owned(),
                name: (*section).to_owned(),
                keys: keys.clone(),
            },
            Change::Lower(edit) => edit.shown("lower"),
            Change::Host(edit) => edit.shown("host"),
            Change::Link(edit) => edit.shown("link"),
        }
    }
}

/// What the switch is once `wanted` was applied to it: that config, with what
/// it leaves open as it runs now. These are a lower's address, a link's `bclim`
/// and a random address.
#[must_use]
pub fn settled(running: &Config, wanted: &Config) -> Config {
    let mut settled = wanted.clone();
    let lowers = by_name(&running.lowers, |lower| &lower.name);
    for lower in &mut settled.lowers {
        let before = lowers.get(lower.name.as_str());
        let before = before.filter(|before| before.device == lower.device);
        lower.address = lower.address.or_else(|| before.and_then(|before| before.address));
    }
    let links = by_name(&running.links, |link| &link.name);
    let mut taken = taken(wanted);
    let Config { lowers, links: settled_links, .. } = &mut settled;
    let lowers = by_name(lowers, |lower| &lower.name);
    for link in settled_links {
        let before = links.get(link.name.as_str());
        // It is the lower's: whoever moves leaves it behind.
        let there = before.filter(|before| before.lower == link.lower);
        link.bclim = link.bclim.or_else(|| there.and_then(|before| before.bclim));
        let before = before.filter(|before| is_passthru(before) == is_passthru(link));
        let before = before.map(|before| before.address);
        if is_passthru(link) {
            let lower = lowers.get(link.lower.as_str()).and_then(|lower| lower.address);
            link.address = lower.or(before).unwrap_or(link.address);
        } else if link.random_address
            && let Some(before) = before
            && taken.insert((link.lower.clone(), before))
        {
            link.address = before;
        }
    }
    settled
}

/// Addresses that the config names, by lower.
fn taken(config: &Config) -> HashSet<(String, MacAddr)> {
    let lowers = config.lowers.iter().filter_map(|lower| Some((&lower.name, lower.address?)));
    let links = config.links.iter().flat_map(|link| {
        let own = (!link.random_address && !is_passthru(link)).then_some(link.address);
        own.into_iter().chain(link.addresses.iter().copied()).map(|address| (&link.lower, address))
    });
    lowers.chain(links).map(|(lower, address)| (lower.clone(), address)).collect()
}

/// What must be changed in what runs to get what is wanted, in the order in
/// which it is shown: what needs a start anew, what goes, then what is changed
/// and what comes. A replacement stands where the new one comes.
#[must_use]
pub fn diff(running: &Config, wanted: &Config) -> Vec<Change> {
    let wanted = &settled(running, wanted);
    let mut changes = Vec::new();
    for ((section, from), (_, to)) in keys::sections(running).iter().zip(keys::sections(wanted)) {
        let keys = changed(from, &to);
        if !keys.is_empty() {
            changes.push(Change::Restart { section, keys });
        }
    }
    let lowers = lowers(running, wanted);
    let replaced: HashSet<&str> = lowers
        .iter()
        .filter(|edit| matches!(*edit.action, Action::Replace { .. }))
        .map(|edit| edit.name.as_str())
        .collect();
    let hosts = hosts(running, wanted, &replaced);
    let links = links(running, wanted, &replaced);
    let links = in_turn(&lowers, links);
    changes.extend(lowers.into_iter().map(Change::Lower));
    changes.extend(hosts.into_iter().map(Change::Host));
    changes.extend(links.into_iter().map(Change::Link));
    changes.sort_by_key(rank);
    changes
}

/// The changes one can carry out one after another: each replacement taken
/// apart into a deletion and an addition, and nothing added before what it
/// stands on, or deleted before what stands on it.
#[must_use]
pub fn steps(changes: Vec<Change>) -> Vec<Change> {
    let apart = |change| match change {
        Change::Lower(edit) => edit.apart().into_iter().map(Change::Lower).collect(),
        Change::Host(edit) => edit.apart().into_iter().map(Change::Host).collect(),
        Change::Link(edit) => edit.apart().into_iter().map(Change::Link).collect(),
        Change::Restart { .. } => vec![change],
    };
    let mut steps: Vec<Change> = changes.into_iter().flat_map(apart).collect();
    steps.sort_by_key(rank);
    steps
}

fn rank(change: &Change) -> u8 {
    let is_vlan = |lower: &LowerConfig| matches!(lower.device, LowerDevice::Vlan { .. });
    match change {
        Change::Restart { .. } => 0,
        Change::Link(edit) => match &*edit.action {
            Action::Del(_) => 1,
            Action::Set { .. } => 10,
            Action::Add(_) | Action::Replace { .. } => 11,
        },
        Change::Host(edit) => match &*edit.action {
            Action::Del(_) => 2,
            _ => 9,
        },
        Change::Lower(edit) => match &*edit.action {
            Action::Del(lower) => 4 - u8::from(is_vlan(lower)),
            Action::Set { to, .. } => 5 + u8::from(is_vlan(to)),
            Action::Add(to) | Action::Replace { to, .. } => 7 + u8::from(is_vlan(to)),
        },
    }
}

/// What differs between what runs and what is wanted of one thing.
fn edit<T>(
    name: &str,
    from: Option<(T, Vec<Key>)>,
    to: Option<(T, Vec<Key>)>,
    again: impl Fn(&T, &T) -> bool,
) -> Option<Edit<T>> {
    let (action, keys) = match (from, to) {
        (None, None) => return None,
        (Some((from, keys)), None) => (Action::Del(from), listed(&keys, true)),
        (None, Some((to, keys))) => (Action::Add(to), listed(&keys, false)),
        (Some((from, before)), Some((to, after))) => {
            let keys = changed(&before, &after);
            match (again(&from, &to), keys.is_empty()) {
                (true, _) => (Action::Replace { from, to }, keys),
                (false, true) => return None,
                (false, false) => (Action::Set { from, to }, keys),
            }
        }
    };
    Some(Edit { name: name.to_owned(), action: Box::new(action), keys })
}

fn shown(key: &Key) -> String {
    key.value.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Both lists are of the same keys.
fn changed(from: &[Key], to: &[Key]) -> Vec<Keyed> {
    let both = from.iter().zip(to).filter(|(from, to)| from.value != to.value);
    both.map(|(from, to)| Keyed { key: from.name.to_owned(), from: shown(from), to: shown(to) })
        .collect()
}

/// What a file would have to say of it, without its name.
fn listed(keys: &[Key], goes: bool) -> Vec<Keyed> {
    let keys = keys.iter().skip(1).filter(|key| !key.usual);
    keys.map(|key| {
        let (from, to) =
            if goes { (shown(key), String::new()) } else { (String::new(), shown(key)) };
        Keyed { key: key.name.to_owned(), from, to }
    })
    .collect()
}

fn by_name<'a, T>(items: &'a [T], name: impl Fn(&'a T) -> &'a String) -> HashMap<&'a str, &'a T> {
    items.iter().map(|item| (name(item).as_str(), item)).collect()
}

fn is_passthru(link: &LinkConfig) -> bool {
    link.mode == Mode::Passthru
}

/// What goes in the order of what runs, the rest in that of the file.
fn lowers(running: &Config, wanted: &Config) -> Vec<Edit<LowerConfig>> {
    let before = by_name(&running.lowers, |lower| &lower.name);
    let after = by_name(&wanted.lowers, |lower| &lower.name);
    let part = |lower: &LowerConfig, config: &Config| {
        (LowerConfig { host: None, ..lower.clone() }, keys::lower(lower, config))
    };
    let mut replaced = HashSet::new();
    let mut compare = |name: &String| {
        let from = before.get(name.as_str()).map(|lower| part(lower, running));
        let to = after.get(name.as_str()).map(|lower| part(lower, wanted));
        let again = |from: &LowerConfig, to: &LowerConfig| {
            from.device != to.device
                || matches!(&to.device, LowerDevice::Vlan { lower, .. } if replaced.contains(lower))
        };
        let edit = edit(name, from, to, again)?;
        if matches!(*edit.action, Action::Replace { .. }) {
            replaced.insert(name.clone());
        }
        Some(edit)
    };
    let gone = running.lowers.iter().filter(|lower| !after.contains_key(lower.name.as_str()));
    // Carriers come before their VLANs in every file, so they are known by then.
    gone.chain(&wanted.lowers).filter_map(|lower| compare(&lower.name)).collect()
}

fn hosts(running: &Config, wanted: &Config, replaced: &HashSet<&str>) -> Vec<Edit<HostConfig>> {
    let before = by_name(&running.lowers, |lower| &lower.name);
    let after = by_name(&wanted.lowers, |lower| &lower.name);
    let part = |lower: &&LowerConfig| {
        lower.host.clone().map(|host| (keys::host(&lower.name, &host), host))
    };
    let compare = |name: &String| {
        let from = before.get(name.as_str()).and_then(part).map(|(keys, host)| (host, keys));
        let to = after.get(name.as_str()).and_then(part).map(|(keys, host)| (host, keys));
        let again = |from: &HostConfig, to: &HostConfig| {
            from.device != to.device || replaced.contains(name.as_str())
        };
        edit(name, from, to, again)
    };
    let gone = running.lowers.iter().filter(|lower| !after.contains_key(lower.name.as_str()));
    gone.chain(&wanted.lowers).filter_map(|lower| compare(&lower.name)).collect()
}

fn links(running: &Config, wanted: &Config, replaced: &HashSet<&str>) -> Vec<Edit<LinkConfig>> {
    let before = by_name(&running.links, |link| &link.name);
    let after = by_name(&wanted.links, |link| &link.name);
    let part = |link: &LinkConfig, config: &Config| (link.clone(), keys::link(link, config));
    let again = |from: &LinkConfig, to: &LinkConfig| {
        from.lower != to.lower
            || from.endpoint != to.endpoint
            || is_passthru(from) != is_passthru(to)
            || replaced.contains(to.lower.as_str())
    };
    let compare = |name: &String| {
        let from = before.get(name.as_str()).map(|link| part(link, running));
        let to = after.get(name.as_str()).map(|link| part(link, wanted));
        edit(name, from, to, again)
    };
    let gone = running.links.iter().filter(|link| !after.contains_key(link.name.as_str()));
    gone.chain(&wanted.links).filter_map(|link| compare(&link.name)).collect()
}

/// Orders links that are set so that none asks for an address that another
/// still has. Where two want each other's, or a lower wants a link's, nothing
/// but a replacement helps: that link's address is free while it is gone.
fn in_turn(lowers: &[Edit<LowerConfig>], links: Vec<Edit<LinkConfig>>) -> Vec<Edit<LinkConfig>> {
    let wanted_by_lowers: HashSet<(&str, MacAddr)> = lowers
        .iter()
        .filter_map(|edit| match &*edit.action {
            Action::Set { to, .. } if edit.has("address") => Some((&*edit.name, to.address?)),
            _ => None,
        })
        .collect();
    let waits = |edit: &Edit<LinkConfig>| {
        from_to(edit).is_some() && (edit.has("address") || edit.has("addresses"))
    };
    let in_the_way = |edit: &Edit<LinkConfig>| {
        from_to(edit).is_some_and(|(from, _)| {
            addresses(from).any(|mac| wanted_by_lowers.contains(&(&*from.lower, mac)))
        })
    };
    let (mut waiting, done): (Vec<_>, Vec<_>) =
        links.into_iter().enumerate().partition(|(_, edit)| waits(edit));
    let mut turn = 0;
    let mut turns: Vec<_> = done.into_iter().map(|(index, edit)| (turn, index, edit)).collect();
    while !waiting.is_empty() {
        let held: HashMap<(String, MacAddr), usize> = waiting
            .iter()
            .filter_map(|(index, edit)| Some((*index, from_to(edit)?.0)))
            .flat_map(|(index, from)| {
                addresses(from).map(move |mac| ((from.lower.clone(), mac), index))
            })
            .collect();
        let blocked = |index: usize, edit: &Edit<LinkConfig>| {
            from_to(edit).is_some_and(|(_, to)| {
                let mut holders =
                    addresses(to).filter_map(|mac| held.get(&(to.lower.clone(), mac)));
                holders.any(|holder| *holder != index)
            })
        };
        let stuck = waiting
            .iter()
            .position(|(_, edit)| in_the_way(edit))
            .or_else(|| waiting.iter().all(|(index, edit)| blocked(*index, edit)).then_some(0));
        if let Some(stuck) = stuck {
            let (index, edit) = waiting.remove(stuck);
            turns.push((turn, index, replacement(edit)));
            continue;
        }
        let free: Vec<_> = waiting.extract_if(.., |(index, edit)| !blocked(*index, edit)).collect();
        turns.extend(free.into_iter().map(|(index, edit)| (turn, index, edit)));
        turn += 1;
    }
    turns.sort_by_key(|(turn, index, _)| (*turn, *index));
    turns.into_iter().map(|(.., edit)| edit).collect()
}

fn from_to(edit: &Edit<LinkConfig>) -> Option<(&LinkConfig, &LinkConfig)> {
    match &*edit.action {
        Action::Set { from, to } => Some((from, to)),
        _ => None,
    }
}

/// The addresses that are a link's own.
fn addresses(link: &LinkConfig) -> impl Iterator<Item = MacAddr> {
    let own = (!is_passthru(link)).then_some(link.address);
    own.into_iter().chain(link.addresses.iter().copied())
}

fn replacement(edit: Edit<LinkConfig>) -> Edit<LinkConfig> {
    let action = match *edit.action {
        Action::Set { from, to } => Action::Replace { from, to },
        action => action,
    };
    Edit { action: Box::new(action), ..edit }
}
