//! What `-j -d link show` shows, so that two of them can be compared.
//!
//! Everything is compared that is not named here, and nothing is named here
//! without its reason.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Keys that are not compared.
const IGNORED: &[(&str, &str)] = &[
    ("ifindex", "each side numbers its own"),
    ("max_mtu", "what the lower's device is capable of"),
    ("inet6_addr_gen_mode", "of the host's stack, which ours does not have"),
    ("gso_max_size", "offloads, which ours does not have"),
    ("gso_max_segs", "the same"),
    ("gso_ipv4_max_size", "the same"),
    ("gro_max_size", "the same"),
    ("gro_ipv4_max_size", "the same"),
    ("tso_max_size", "the same"),
    ("tso_max_segs", "the same"),
    ("mvswitch", "ours alone"),
];

/// How addresses begin that a command gave; others are made at random, or of names.
const GIVEN: &str = "02:00:00:00:";

/// What is compared of a lower: it is a device of another kind on each side.
const OF_A_LOWER: &[&str] = &["mtu", "address", "operstate", "flags"];

/// All that is compared, by name and by key.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) links: BTreeMap<String, BTreeMap<String, Value>>,
    lowers: BTreeMap<String, BTreeMap<String, Value>>,
}

impl State {
    /// The macvlan links among `links`, and those of `lowers` that have one of `names`.
    pub(crate) fn new(links: &[Value], lowers: &[Value], names: &[&str]) -> Self {
        let named = |value: &Value| value["ifname"].as_str().unwrap().to_owned();
        let is_link = |value: &&Value| value["linkinfo"]["info_kind"] == "macvlan";
        let is_lower = |value: &&Value| names.contains(&value["ifname"].as_str().unwrap());
        let state = Self {
            links: links.iter().filter(is_link).map(|it| (named(it), link(it))).collect(),
            lowers: lowers.iter().filter(is_lower).map(|it| (named(it), lower(it))).collect(),
        };
        assert_eq!(state.lowers.len(), names.len(), "{lowers:?}");
        state
    }

    /// The names of the links.
    pub(crate) fn names(&self) -> Vec<String> {
        self.links.keys().cloned().collect()
    }

    /// One thing of one link; null where there is none.
    pub(crate) fn get(&self, name: &str, pointer: &str) -> Value {
        let link = self.links.get(name).map_or(Value::Null, |link| json!(link));
        link.pointer(pointer).cloned().unwrap_or_default()
    }

    /// Where this one, the kernel's, differs from ours.
    pub(crate) fn differences(&self, ours: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (theirs, ours) in [(&self.links, &ours.links), (&self.lowers, &ours.lowers)] {
            let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
            for name in names {
                let (Some(theirs), Some(ours)) = (theirs.get(name), ours.get(name)) else {
                    let side = if theirs.contains_key(name) { "ip" } else { "mvctl" };
                    found.push(format!("{name} is shown by {side} alone"));
                    continue;
                };
                let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
                for key in keys {
                    let [theirs, ours] =
                        [theirs, ours].map(|all| all.get(key).cloned().unwrap_or_default());
                    if theirs != ours {
                        found.push(format!("{name} {key}: ip {theirs}, mvctl {ours}"));
                    }
                }
            }
        }
        found
    }
}

fn link(shown: &Value) -> BTreeMap<String, Value> {
    let object = shown.as_object().unwrap();
    let ignored = |key: &String| IGNORED.iter().any(|(ignored, _)| ignored == key);
    let compared = object.iter().filter(|(key, _)| !ignored(key));
    compared.map(|(key, value)| (key.clone(), made_equal(key, value))).collect()
}

fn made_equal(key: &str, value: &Value) -> Value {
    let mut value = value.clone();
    match key {
        "address" if !value.as_str().unwrap().starts_with(GIVEN) => json!("not given"),
        "linkinfo" => {
            // The kernel's order is that of a hash table.
            if let Some(Value::Array(list)) = value.pointer_mut("/info_data/macaddr_data") {
                list.sort_by_key(ToString::to_string);
            }
            value
        }
        _ => value,
    }
}

fn lower(shown: &Value) -> BTreeMap<String, Value> {
    let mut compared = BTreeMap::new();
    for key in OF_A_LOWER {
        let value = match *key {
            // Who asked for promiscuity differs with the device.
            "flags" => json!(shown["flags"].as_array().unwrap().contains(&json!("UP"))),
            key => shown[key].clone(),
        };
        compared.insert((*key).to_owned(), value);
    }
    compared
}
