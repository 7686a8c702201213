//! A naive model of links, and whether what clients saw is one order of their
//! operations.
//!
//! Knows of one lower and of the few keys that the races change. Shares no code
//! with the switch.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Value, json};

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Add { name: usize, address: String, source: bool },
    Del { name: usize },
    Mtu { name: usize, mtu: u32 },
    Address { name: usize, address: String },
    Up { name: usize, up: bool },
    Source { name: usize, address: String, add: bool },
    Group { name: usize, address: String, add: bool },
}

pub(crate) fn name_of(name: usize) -> String {
    format!("r{name}")
}

impl Op {
    pub(crate) fn request(&self) -> (&'static str, Value) {
        match self {
            Self::Add { name, address, source } => {
                let mode = if *source { "source" } else { "bridge" };
                let link = json!({"name": name_of(*name), "link": "lan0", "address": address, "mode": mode});
                ("link.add", link)
            }
            Self::Del { name } => ("link.del", json!({"name": name_of(*name)})),
            Self::Mtu { name, mtu } => ("link.set", json!({"name": name_of(*name), "mtu": mtu})),
            Self::Address { name, address } => {
                ("link.set", json!({"name": name_of(*name), "address": address}))
            }
            Self::Up { name, up } => ("link.set", json!({"name": name_of(*name), "up": up})),
            Self::Source { name, address, add } => (
                if *add { "source.add" } else { "source.del" },
                json!({"name": name_of(*name), "address": address}),
            ),
            Self::Group { name, address, add } => (
                if *add { "filter.add" } else { "filter.del" },
                json!({"name": name_of(*name), "address": address}),
            ),
        }
    }

    fn name(&self) -> usize {
        match self {
            Self::Add { name, .. }
            | Self::Del { name }
            | Self::Mtu { name, .. }
            | Self::Address { name, .. }
            | Self::Up { name, .. }
            | Self::Source { name, .. }
            | Self::Group { name, .. } => *name,
        }
    }
}

/// A link, as far as the races change one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    address: String,
    mtu: u64,
    up: bool,
    source: bool,
    senders: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Link {
    /// The same of a link as it is shown.
    pub(crate) fn of(shown: &Value) -> Self {
        let data = &shown["linkinfo"]["info_data"];
        let set = |list: &Value| {
            let texts = list.as_array().into_iter().flatten();
            texts.map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        Self {
            address: shown["address"].as_str().unwrap().to_owned(),
            mtu: shown["mtu"].as_u64().unwrap(),
            up: shown["flags"].as_array().unwrap().contains(&json!("UP")),
            source: data["mode"] == "source",
            senders: set(&data["macaddr_data"]),
            groups: set(&shown["mvswitch"]["groups"]),
        }
    }
}

/// Links by number of their names.
pub(crate) type State = BTreeMap<usize, Link>;

/// What becomes of an operation: the state after it, or the errno.
fn apply(state: &State, op: &Op) -> Result<State, &'static str> {
    // An address is taken by links that are up.
    let taken = |address: &str, but: usize| {
        state.iter().any(|(name, link)| *name != but && link.up && link.address == address)
    };
    let number = op.name();
    let mut next = state.clone();
    if let Op::Add { address, source, .. } = op {
        if state.contains_key(&number) {
            return Err("EEXIST");
        }
        if taken(address, number) {
            return Err("EADDRINUSE");
        }
        let (senders, groups) = (BTreeSet::new(), BTreeSet::new());
        let (address, source) = (address.clone(), *source);
        next.insert(number, Link { address, mtu: 1500, up: true, source, senders, groups });
        return Ok(next);
    }
    let Some(link) = next.get_mut(&number) else { return Err("ENODEV") };
    match op {
        Op::Add { .. } => {}
        Op::Del { .. } => _ = next.remove(&number),
        Op::Mtu { mtu, .. } => link.mtu = u64::from(*mtu),
        Op::Address { address, .. } => {
            if link.address != *address && taken(address, number) {
                return Err("EADDRINUSE");
            }
            link.address.clone_from(address);
        }
        Op::Up { up, .. } => {
            if *up && !link.up && taken(&link.address.clone(), number) {
                return Err("EADDRINUSE");
            }
            link.up = *up;
        }
        Op::Source { .. } if !link.source => return Err("EINVAL"),
        Op::Source { address, add, .. } => {
            if *add {
                link.senders.insert(address.clone());
            } else {
                link.senders.remove(address);
            }
        }
        Op::Group { address, add: true, .. } => {
            if !link.groups.insert(address.clone()) {
                return Err("EEXIST");
            }
        }
        Op::Group { address, add: false, .. } => {
            if !link.groups.remove(address) {
                return Err("ENOENT");
            }
        }
    }
    Ok(next)
}

/// One operation of a client: what was answered, and between which moments.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) op: Op,
    /// The errno, if it was refused.
    pub(crate) refused: Option<String>,
    /// Microseconds since 1970.
    pub(crate) asked: u64,
    pub(crate) answered: u64,
}

/// One event of the monitor: the link as it is then; none where it is gone.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) name: usize,
    pub(crate) link: Option<Link>,
    pub(crate) at: u64,
}

/// Looks for an order of all clients' operations in which each keeps its own,
/// each is answered as the model answers it, each takes effect between question
/// and answer, and the changes are the events, one for one.
pub(crate) struct Search<'a> {
    clients: &'a [Vec<Done>],
    events: &'a [Told],
    /// What led nowhere: events so far, and operations of each client so far.
    dead: HashSet<(usize, Vec<usize>)>,
    /// The furthest that any attempt came, for the message.
    furthest: (usize, String),
}

impl<'a> Search<'a> {
    pub(crate) fn new(clients: &'a [Vec<Done>], events: &'a [Told]) -> Self {
        Self { clients, events, dead: HashSet::new(), furthest: (0, String::new()) }
    }

    /// The state that the order ends in.
    pub(crate) fn order(mut self) -> Result<State, String> {
        // Choices that were made: before each, the state and what had been done.
        let mut open = vec![(0, vec![0; self.clients.len()], State::new())];
        while let Some((event, mut at, state)) = open.pop() {
            if !self.dead.insert((event, at.clone())) {
                continue;
            }
            self.pass_what_is_refused(event, &mut at, &state);
            let next = self.clients.iter().zip(&at).enumerate();
            let next: Vec<(usize, &Done)> =
                next.filter_map(|(client, (done, &at))| Some((client, done.get(at)?))).collect();
            let told = self.events.get(event);
            if told.is_none() && next.is_empty() {
                return Ok(state);
            }
            if event >= self.furthest.0 {
                self.furthest = (event, format!("{told:?}\nin {state:?}\nby one of {next:#?}"));
            }
            for (client, done) in next {
                let Ok(after) = apply(&state, &done.op) else { continue };
                let mut at = at.clone();
                at[client] += 1;
                if done.refused.is_some() || !self.fits(event, done) {
                    continue;
                }
                // It may have changed nothing now, or have waited for a change to undo.
                if after == state {
                    open.push((event, at, after));
                } else if let Some(told) = told
                    && done.op.name() == told.name
                    && after.get(&told.name) == told.link.as_ref()
                    && done.answered >= told.at
                {
                    open.push((event + 1, at, after));
                }
            }
        }
        Err(format!("event {}: {}", self.furthest.0, self.furthest.1))
    }

    /// Between the events before and after it, this moment may be one at which
    /// `done` took effect.
    fn fits(&self, event: usize, done: &Done) -> bool {
        let before = event.checked_sub(1).and_then(|last| self.events.get(last));
        let after = self.events.get(event);
        before.is_none_or(|told| done.answered >= told.at)
            && after.is_none_or(|told| done.asked <= told.at)
    }

    /// What is refused is taken as soon as it fits: that never stands in the way
    /// of anything.
    fn pass_what_is_refused(&self, event: usize, at: &mut [usize], state: &State) {
        for (done, at) in self.clients.iter().zip(at) {
            let refused = |next: &&Done| {
                let wanted = apply(state, &next.op).err();
                next.refused.is_some()
                    && next.refused.as_deref() == wanted
                    && self.fits(event, next)
            };
            while done.get(*at).filter(refused).is_some() {
                *at += 1;
            }
        }
    }
}
