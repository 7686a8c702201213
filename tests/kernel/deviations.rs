//! The table of deviations: what mvswitch does differently on purpose.
//!
//! A difference is tolerated only under an id of `tests/deviations.toml`, and an
//! id that a test is said to meet and does not meet fails that test: a deviation
//! that is no more has no business in the table.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    /// The test that must meet it; others may.
    test: String,
    kernel: String,
    mvswitch: String,
    why: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    deviation: Vec<Entry>,
}

/// The table, and how often each entry was met.
#[derive(Debug)]
pub(crate) struct Deviations {
    entries: Vec<Entry>,
    met: BTreeMap<&'static str, u64>,
}

impl Deviations {
    pub(crate) fn read() -> Self {
        let text = include_str!("../deviations.toml");
        let table: Table = toml::from_str(text).expect("tests/deviations.toml");
        let mut ids: Vec<(&str, &str)> =
            table.deviation.iter().map(|entry| (&*entry.id, &*entry.test)).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "an id stands twice: {ids:?}");
        for entry in &table.deviation {
            let said = [&entry.kernel, &entry.mvswitch, &entry.why];
            assert!(said.iter().all(|text| !text.is_empty()), "{}: say what and why", entry.id);
        }
        Self { entries: table.deviation, met: BTreeMap::new() }
    }

    /// Says that a difference is the one of this id.
    pub(crate) fn meet(&mut self, id: &'static str) {
        assert!(
            self.entries.iter().any(|entry| entry.id == id),
            "{id} is not in tests/deviations.toml"
        );
        *self.met.entry(id).or_default() += 1;
    }

    /// How often each was met.
    pub(crate) fn met(&self) -> &BTreeMap<&'static str, u64> {
        &self.met
    }

    /// Every entry that `test` is said to meet must have been met.
    pub(crate) fn settle(&self, test: &str) {
        let idle: Vec<&str> = self
            .entries
            .iter()
            .filter(|entry| entry.test == test && !self.met.contains_key(&*entry.id))
            .map(|entry| &*entry.id)
            .collect();
        assert!(
            idle.is_empty(),
            "these deviations did not occur; if they are no more, delete them from \
             tests/deviations.toml: {idle:?}"
        );
    }
}
