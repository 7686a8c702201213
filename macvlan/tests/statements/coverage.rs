//! The list of where each statement is shown, checked against the tests there are.

use std::collections::BTreeMap;
use std::path::Path;

/// The numbers of the statements, by prefix: ranges, both ends included.
const STATEMENTS: &[(&str, &[(u32, u32)])] = &[
    ("LC", &[(1, 6), (10, 22), (30, 36), (40, 47)]),
    ("ER", &[(1, 32)]),
    ("RXU", &[(1, 8)]),
    ("RXM", &[(1, 6), (10, 19)]),
    ("TX", &[(1, 17)]),
    ("SRC", &[(1, 14)]),
    ("MCF", &[(1, 11)]),
    ("BCQ", &[(1, 3)]),
    ("UCF", &[(1, 10)]),
    ("NT", &[(1, 10)]),
    ("MT", &[(1, 3)]),
    ("MA", &[(1, 4)]),
    ("ST", &[(1, 10)]),
    ("OF", &[(1, 9)]),
    ("IP", &[(1, 8)]),
];

/// The one that was put in later.
const INSERTED: &str = "UCF-06b";

fn statements() -> Vec<String> {
    let mut all = vec![INSERTED.to_owned()];
    for (prefix, ranges) in STATEMENTS {
        for (first, last) in *ranges {
            all.extend((*first..=*last).map(|number| format!("{prefix}-{number:02}")));
        }
    }
    all.sort();
    all
}

/// The list: section, then statement, then what it says.
fn list() -> BTreeMap<String, BTreeMap<String, String>> {
    let text = include_str!("../statements.toml");
    let table: toml::Table = text.parse().unwrap();
    let section = |value: toml::Value| value.try_into().unwrap();
    table.into_iter().map(|(name, value)| (name, section(value))).collect()
}

/// The text of a file of the workspace.
fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn every_statement_is_in_the_list_once() {
    let list = list();
    let sections: Vec<&str> = list.keys().map(String::as_str).collect();
    assert_eq!(sections, ["elsewhere", "not-applicable", "tested"]);
    let mut listed: Vec<String> =
        list.values().flat_map(|section| section.keys().cloned()).collect();
    listed.sort();
    assert_eq!(listed, statements());
}

#[test]
fn what_is_listed_as_tested_has_a_test_of_that_name() {
    let list = list();
    for (id, file) in &list["tested"] {
        let start = format!("fn {}_", id.to_lowercase().replace('-', "_"));
        let lines: Vec<String> = source(file).lines().map(|line| line.trim().to_owned()).collect();
        let named = lines.windows(2).any(|two| two[0] == "#[test]" && two[1].starts_with(&start));
        assert!(named, "{id}: {file} has no test {start}…");
    }
    let cases = source("tests/dpdk/main.rs");
    for (id, place) in &list["elsewhere"] {
        let (file, function) = place.split_once("::").unwrap();
        assert!(source(file).contains(&format!("fn {function}(")), "{id}: no {function} in {file}");
        // These are not found by an attribute: what is not a case never runs.
        let runs = !file.starts_with("tests/dpdk/") || cases.contains(&format!("\"{function}\""));
        assert!(runs, "{id}: {function} is no case of tests/dpdk/main.rs");
        let other = statement_of(function).filter(|other| other != id);
        assert_eq!(other, None, "{id}: {function} is the test of another statement");
    }
}

/// The statement that a function is named after, if it is.
fn statement_of(function: &str) -> Option<String> {
    let (prefix, rest) = function.split_once('_')?;
    let number = rest.split('_').next()?;
    let known = STATEMENTS.iter().any(|(known, _)| known.to_lowercase() == prefix);
    let is_number = number.starts_with(|first: char| first.is_ascii_digit());
    // The letter of the one that was put in later is small.
    (known && is_number).then(|| format!("{}-{number}", prefix.to_uppercase()))
}

/// The names of the functions in `text` that begin with `start`.
fn functions<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let names = text.lines().filter_map(|line| line.strip_prefix(start)?.split('(').next());
    names.collect()
}

#[test]
fn tests_named_after_a_statement_are_listed() {
    let list = list();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/statements");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for name in functions(&text, "fn ") {
            let listed = statement_of(name).is_none_or(|id| list["tested"].contains_key(&id));
            assert!(listed, "{name} is not listed");
        }
    }
    let file = "tests/dpdk/counters.rs";
    let cases = source(file);
    let cases = functions(&cases, "pub(crate) fn ");
    assert!(!cases.is_empty());
    for name in cases {
        let Some(id) = statement_of(name) else { continue };
        let place = list["elsewhere"].get(&id).cloned();
        assert_eq!(place, Some(format!("{file}::{name}")), "{name} is not listed");
    }
}

#[test]
fn what_is_not_tested_has_a_reason() {
    let list = list();
    for (id, reason) in &list["not-applicable"] {
        assert!(reason.split_whitespace().count() >= 3, "{id}: {reason:?} is no reason");
    }
}
