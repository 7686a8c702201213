//! What differs, and that it can be carried out in that order.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::samples::{read, texts};
use super::super::{Endpoint, device_name};
use super::*;

/// A switch that refuses what a real one would, one step at a time.
#[derive(Debug)]
struct Model {
    lowers: Vec<LowerConfig>,
    links: Vec<LinkConfig>,
}

fn add<T>(items: &mut Vec<T>, item: &T, name: impl Fn(&T) -> &String)
where
    T: Clone,
{
    assert!(!items.iter().any(|other| name(other) == name(item)), "{} is there", name(item));
    items.push(item.clone());
}

impl Model {
    fn lower(&mut self, name: &str) -> &mut LowerConfig {
        let lower = self.lowers.iter_mut().find(|lower| lower.name == name);
        lower.unwrap_or_else(|| panic!("no lower {name}"))
    }

    fn take<T: Step>(&mut self, edit: &Edit<T>) {
        match &*edit.action {
            Action::Add(to) => to.add(self, &edit.name),
            Action::Set { from, to } => to.set(self, &edit.name, from),
            Action::Del(from) => from.del(self, &edit.name),
            Action::Replace { .. } => panic!("{} is to be replaced in one step", edit.name),
        }
        self.check();
    }

    /// What must hold at any time.
    fn check(&self) {
        let mut names = HashSet::new();
        let mut devices = HashSet::new();
        let mut sockets = HashSet::new();
        let mut addresses = HashSet::new();
        let mut vlans = HashSet::new();
        for lower in &self.lowers {
            assert!(names.insert(&lower.name), "{}: name", lower.name);
            let host = lower.host.as_ref().map(|host| host.device.as_str());
            let device = match &lower.device {
                LowerDevice::Device(device) => Some(device.as_str()).filter(|name| *name != "demo"),
                LowerDevice::Vlan { lower: carrier, id, protocol } => {
                    assert!(self.lowers.iter().any(|other| other.name == *carrier));
                    assert!(vlans.insert((carrier, id, protocol)), "{}: vlan", lower.name);
                    None
                }
            };
            for device in device.into_iter().chain(host) {
                assert!(devices.insert(device_name(device)), "{}: {device}", lower.name);
            }
            if let Some(address) = lower.address {
                assert!(addresses.insert((&lower.name, address)), "{}: address", lower.name);
            }
        }
        for link in &self.links {
            assert!(names.insert(&link.name), "{}: name", link.name);
            assert!(self.lowers.iter().any(|lower| lower.name == link.lower), "{}", link.name);
            for address in super::addresses(link) {
                assert!(addresses.insert((&link.lower, address)), "{}: {address}", link.name);
            }
            let alone = self.links.iter().all(|other| {
                other.name == link.name || other.lower != link.lower || !is_passthru(other)
            });
            assert!(alone, "{}: passthru", link.name);
            match &link.endpoint {
                Endpoint::Vhost { socket, .. } => assert!(sockets.insert(socket), "{}", link.name),
                Endpoint::Device(device) => assert!(devices.insert(device_name(device))),
            }
        }
    }
}

trait Step {
    fn add(&self, model: &mut Model, name: &str);
    fn set(&self, model: &mut Model, name: &str, from: &Self);
    fn del(&self, model: &mut Model, name: &str);
}

impl Step for LowerConfig {
    fn add(&self, model: &mut Model, _: &str) {
        add(&mut model.lowers, self, |lower| &lower.name);
    }

    fn set(&self, model: &mut Model, name: &str, from: &Self) {
        let lower = model.lower(name);
        let host = lower.host.take();
        assert_eq!((&*lower, &self.device), (from, &from.device));
        *lower = Self { host, ..self.clone() };
    }

    fn del(&self, model: &mut Model, name: &str) {
        assert_eq!(model.lower(name), self);
        assert!(!model.links.iter().any(|link| link.lower == name), "{name} has links");
        model.lowers.retain(|lower| lower.name != name);
    }
}

impl Step for HostConfig {
    fn add(&self, model: &mut Model, name: &str) {
        assert_eq!(model.lower(name).host.replace(self.clone()), None);
    }

    fn set(&self, model: &mut Model, name: &str, from: &Self) {
        assert_eq!(self.device, from.device);
        assert_eq!(model.lower(name).host.replace(self.clone()).as_ref(), Some(from));
    }

    fn del(&self, model: &mut Model, name: &str) {
        assert_eq!(model.lower(name).host.take().as_ref(), Some(self));
    }
}

impl Step for LinkConfig {
    fn add(&self, model: &mut Model, _: &str) {
        add(&mut model.links, self, |link| &link.name);
    }

    fn set(&self, model: &mut Model, name: &str, from: &Self) {
        let link = model.links.iter_mut().find(|link| link.name == name).unwrap();
        assert_eq!(link, from);
        assert_eq!((&link.lower, &link.endpoint), (&self.lower, &self.endpoint));
        assert_eq!(is_passthru(link), is_passthru(self));
        *link = self.clone();
    }

    fn del(&self, model: &mut Model, name: &str) {
        assert_eq!(model.links.iter().find(|link| link.name == name), Some(self));
        model.links.retain(|link| link.name != name);
    }
}

/// Carries the difference out.
fn apply(running: &Config, wanted: &Config) -> Model {
    let mut model = Model { lowers: running.lowers.clone(), links: running.links.clone() };
    for step in steps(diff(running, wanted)) {
        match step {
            Change::Restart { .. } => {}
            Change::Lower(edit) => model.take(&edit),
            Change::Host(edit) => model.take(&edit),
            Change::Link(edit) => model.take(&edit),
        }
    }
    model
}

/// What must be the same of a link after a change.
fn fact(link: &LinkConfig) -> LinkConfig {
    let mut link = link.clone();
    for list in [&mut link.macaddr, &mut link.addresses, &mut link.multicast] {
        list.sort_unstable();
        list.dedup();
    }
    link.random_address = false;
    if is_passthru(&link) {
        link.address = MacAddr::ZERO;
    }
    link
}

fn sorted<T>(mut items: Vec<T>, name: impl Fn(&T) -> String) -> Vec<T> {
    items.sort_by_key(|item| name(item));
    items
}

proptest! {
    #[test]
    fn a_config_differs_in_nothing_from_itself(text in texts()) {
        let config = read(&text);
        prop_assert_eq!(diff(&config, &config), vec![]);
        // Random addresses are drawn again, and are no difference.
        prop_assert_eq!(diff(&config, &read(&text)), vec![]);
    }

    #[test]
    fn what_is_carried_out_step_by_step_is_what_was_wanted(a in texts(), b in texts()) {
        let (running, wanted) = (read(&a), read(&b));
        let settled = settled(&running, &wanted);
        // A link may want the address that its lower keeps: the driver refuses that.
        prop_assume!(settled.lowers.iter().all(|lower| {
            let on_it = settled.links.iter().filter(|link| link.lower == lower.name);
            !on_it.flat_map(super::addresses).any(|address| Some(address) == lower.address)
        }));
        let model = apply(&running, &wanted);
        let wanted = settled;
        prop_assert_eq!(
            sorted(model.lowers.clone(), |lower| lower.name.clone()),
            sorted(wanted.lowers.clone(), |lower| lower.name.clone())
        );
        let facts = |links: &[LinkConfig]| {
            sorted(links.iter().map(fact).collect(), |link| link.name.clone())
        };
        prop_assert_eq!(facts(&model.links), facts(&wanted.links));
        let after = wanted.with(model.lowers, model.links);
        prop_assert_eq!(diff(&after, &wanted), vec![]);
        // The wanted file may still say random, which what runs stays by.
        prop_assert_eq!(diff(&after, &read(&b)), vec![]);
    }

    #[test]
    fn the_order_is_by_kind_and_then_that_of_the_file(a in texts(), b in texts()) {
        let (running, wanted) = (read(&a), read(&b));
        let changes = diff(&running, &wanted);
        prop_assert!(changes.is_sorted_by_key(rank));
        let place = |links: &[LinkConfig], name: &str| links.iter().position(|link| link.name == name);
        let added = changes.iter().filter_map(|change| match change {
            Change::Link(edit) if edit.word() == "add" => place(&wanted.links, &edit.name),
            _ => None,
        });
        prop_assert!(added.is_sorted());
        let gone = changes.iter().filter_map(|change| match change {
            Change::Link(edit) if edit.word() == "del" => place(&running.links, &edit.name),
            _ => None,
        });
        prop_assert!(gone.is_sorted());
    }
}

const LAN0: &str = "[[lower]]\nname = \"lan0\"\ndevice = \"net_null0\"\n";

fn link(name: &str, rest: &str) -> String {
    format!("[[macvlan]]\nname = \"{name}\"\nlink = \"lan0\"\n{rest}")
}

fn shown(running: &str, wanted: &str) -> Vec<String> {
    let lines = |change: &Change| {
        let proto::Change { change, kind, name, keys } = change.into();
        let keys: Vec<String> =
            keys.iter().map(|Keyed { key, from, to }| format!(" {key}: {from} > {to}")).collect();
        format!("{change} {kind} {name}{}", keys.join(","))
    };
    diff(&read(running), &read(wanted)).iter().map(lines).collect()
}

#[test]
fn values_are_shown_as_toml() {
    let wanted = format!(
        "[cores]\nworkers = \"1-2\"\n[control]\ngroup = \"ops\"\n{LAN0}mtu = 9000\n[[lower]]\nname = \"lan0.7\"\nlower = \"lan0\"\nvlan = 7\n\
         [[host]]\nlink = \"lan0\"\ndevice = \"net_tap0\"\n{}{}",
        link("a", "mode = \"source\"\nmtu = 1500\nmacaddr = [\"02:00:00:00:00:0a\"]\n"),
        link("c", "address = \"02:00:00:00:00:0c\"\n"),
    );
    let running = format!(
        "{LAN0}{}{}",
        link("a", "up = false\n"),
        link("b", "address = \"02:00:00:00:00:0b\"\n")
    );
    assert_eq!(
        shown(&running, &wanted),
        [
            "restart cores cores workers: \"auto\" > \"1,2\"",
            "restart control control group:  > \"ops\"",
            "del link b link: \"lan0\" > , address: \"02:00:00:00:00:0b\" > , socket: \"/run/x/b.sock\" > ",
            "set lower lan0 mtu: 1500 > 9000",
            "add lower lan0.7 lower:  > \"lan0\", vlan:  > 7",
            "add host lan0 device:  > \"net_tap0\"",
            "set link a mode: \"bridge\" > \"source\", up: false > true, macaddr:  > [\"02:00:00:00:00:0a\"]",
            "add link c link:  > \"lan0\", address:  > \"02:00:00:00:00:0c\", socket:  > \"/run/x/c.sock\"",
        ]
    );
}

#[test]
fn a_lower_that_is_replaced_takes_all_that_stands_on_it() {
    let rest = format!(
        "[[lower]]\nname = \"v\"\nlower = \"lan0\"\nvlan = 7\n[[host]]\nlink = \"lan0\"\ndevice = \"net_tap0\"\n{}\
         [[macvlan]]\nname = \"b\"\nlink = \"v\"\n",
        link("a", "")
    );
    let running = format!("{LAN0}{rest}");
    let wanted = running.replace("net_null0", "net_null1");
    assert_eq!(
        shown(&running, &wanted),
        [
            "replace lower lan0 device: \"net_null0\" > \"net_null1\"",
            "replace lower v",
            "replace host lan0",
            "replace link a",
            "replace link b",
        ]
    );
    let words = |step: &Change| {
        let proto::Change { change, kind, name, .. } = step.into();
        format!("{change} {kind} {name}")
    };
    let steps: Vec<String> =
        steps(diff(&read(&running), &read(&wanted))).iter().map(words).collect();
    assert_eq!(
        steps,
        [
            "del link a",
            "del link b",
            "del host lan0",
            "del lower v",
            "del lower lan0",
            "add lower lan0",
            "add lower v",
            "add host lan0",
            "add link a",
            "add link b",
        ]
    );
}

#[test]
fn a_link_is_replaced_where_it_cannot_be_set() {
    let running = format!("{LAN0}{}", link("a", ""));
    for (rest, line) in [
        ("mode = \"private\"\n", "set link a mode"),
        ("address = \"02:00:00:00:00:01\"\n", "set link a address"),
        ("role = \"client\"\n", "replace link a role"),
        ("socket = \"b.sock\"\n", "replace link a socket"),
        ("device = \"net_null5\"\n", "replace link a socket"),
        ("mode = \"passthru\"\n", "replace link a mode"),
    ] {
        let changes = shown(&running, &format!("{LAN0}{}", link("a", rest)));
        assert!(changes.len() == 1 && changes[0].starts_with(line), "{rest}: {changes:?}");
    }
    assert_eq!(
        shown(&running, &format!("{LAN0}{}", link("a", "socket = \"./a.sock\"\n"))).len(),
        0
    );
}

#[test]
fn links_that_take_each_others_addresses_wait_their_turn() {
    let at = |name: &str, last: u8| link(name, &format!("address = \"02:00:00:00:00:0{last}\"\n"));
    let running = format!("{LAN0}{}{}{}", at("a", 1), at("b", 2), at("c", 3));
    let words = |wanted: &str| -> Vec<String> {
        let shown = shown(&running, wanted);
        shown.iter().map(|line| line.split(" address").next().unwrap().to_owned()).collect()
    };
    // b moves on first, so that a can follow.
    let wanted = format!("{LAN0}{}{}{}", at("a", 2), at("b", 4), at("c", 5));
    assert_eq!(words(&wanted), ["set link b", "set link c", "set link a"]);
    // Nobody can go first.
    let wanted = format!("{LAN0}{}{}{}", at("a", 2), at("b", 1), at("c", 3));
    assert_eq!(words(&wanted), ["set link b", "replace link a"]);
    // The lower goes first, always.
    let wanted = format!(
        "{LAN0}address = \"02:00:00:00:00:01\"\n{}{}{}",
        at("a", 4),
        at("b", 2),
        at("c", 3)
    );
    assert_eq!(words(&wanted), ["set lower lan0", "replace link a"]);
}

#[test]
fn what_the_file_leaves_open_stays_as_it_runs() {
    let running = format!(
        "{LAN0}address = \"02:00:00:00:00:01\"\n{}",
        link("a", "address = \"02:00:00:00:00:02\"\nbclim = 5\n")
    );
    let wanted = format!("{LAN0}{}", link("a", "address = \"random\"\n"));
    assert_eq!(shown(&running, &wanted), Vec::<String>::new());
    let settled = settled(&read(&running), &read(&wanted));
    assert!(settled.links[0].random_address);
    assert_eq!(settled.links[0].address.to_string(), "02:00:00:00:00:02");
    assert_eq!(settled.links[0].bclim, Some(5));
    // Unless another link is given that address: then a new one is drawn.
    let thief = link("b", "address = \"02:00:00:00:00:02\"\n");
    let changes = shown(&running, &format!("{wanted}{thief}"));
    assert!(changes[0].starts_with("set link a address"), "{changes:?}");
    assert!(changes[1].starts_with("add link b"), "{changes:?}");
}
