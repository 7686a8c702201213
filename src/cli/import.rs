//! `mvswitch import IFACE`: the config that does what the kernel's macvlan links
//! on an interface do.
//!
//! Owns the translation, which is pure, and prints it. What the kernel has and a
//! config cannot say becomes a comment, never a guess. Changes nothing.

use std::fmt::Write as _;

use macvlan::driver::BC_QUEUE_LEN;
use macvlan::mode::Mode;

use super::Failure;
use super::args::ImportArgs;
use super::netlink::{self, Elsewhere, Interface, Kind, Lower, Macvlan};
use crate::config::{MIN_MTU, check_name};

/// The kernel's own number of members a group may have before it is queued.
const BC_LIMIT: i32 = 1;

/// What net_af_packet can carry: its frames have 1518 bytes at most.
const DEVICE_MTU: u16 = 1500;

pub(super) fn run(args: &ImportArgs) -> Result<(), Failure> {
    let here = netlink::interfaces().map_err(Failure::runtime)?;
    let elsewhere = netlink::elsewhere().map_err(Failure::runtime)?;
    let text = translate(&args.interface, &here, &elsewhere).map_err(Failure::runtime)?;
    super::print(&text);
    Ok(())
}

/// A link to be written, and the namespace it is in if that is another one.
struct Found<'a> {
    namespace: Option<&'a str>,
    interface: &'a Interface,
    link: &'a Macvlan,
}

/// The config for what is on the interface `name`.
fn translate(name: &str, here: &[Interface], elsewhere: &Elsewhere) -> Result<String, String> {
    let carrier = here.iter().find(|interface| interface.name == name);
    let carrier = carrier.ok_or_else(|| {
        let names: Vec<&str> = here.iter().map(|interface| interface.name.as_str()).collect();
        format!("there is no interface \"{name}\"; write one of {}", names.join(", "))
    })?;
    if let (Kind::Macvlan(_), Lower::Here(index)) = (&carrier.kind, carrier.lower) {
        let lower = here.iter().find(|interface| interface.index == index);
        let lower = lower.map_or("its lower", |lower| lower.name.as_str());
        return Err(format!("{name} is a macvlan link itself; type mvswitch import {lower}"));
    }
    if name.contains(',') {
        return Err(format!(
            "the name {name} has a comma in it, which ends an argument of a device; \
             type ip link set {} name lan0",
            quoted(name)
        ));
    }
    let lowers: Vec<(&Interface, Vec<Found<'_>>)> = here
        .iter()
        .filter(|lower| lower.index == carrier.index || is_vlan_on(lower, carrier))
        .map(|lower| (lower, links_on(lower, here, elsewhere)))
        .filter(|(lower, links)| lower.index == carrier.index || !links.is_empty())
        .collect();
    if lowers.iter().all(|(_, links)| links.is_empty()) {
        return Err(nothing_on(name, here, elsewhere));
    }
    let mut text = Text::default();
    text.heading(name, &lowers, elsewhere.closed);
    // The carrier first: a VLAN names it.
    let (first, rest): (Vec<_>, Vec<_>) =
        lowers.iter().partition(|(lower, _)| lower.index == carrier.index);
    let mut names = Vec::new();
    for (lower, links) in first.into_iter().chain(rest) {
        if let Some(written) = text.lower(lower, carrier, &mut names) {
            links.iter().for_each(|link| text.link(link, &written, lower, &mut names));
        }
    }
    Ok(text.0)
}

fn is_vlan_on(interface: &Interface, carrier: &Interface) -> bool {
    matches!(interface.kind, Kind::Vlan { .. }) && interface.lower == Lower::Here(carrier.index)
}

fn links_on<'a>(
    lower: &Interface,
    here: &'a [Interface],
    elsewhere: &'a Elsewhere,
) -> Vec<Found<'a>> {
    let here = here.iter().map(|interface| (None, interface));
    let others = elsewhere.links.iter().map(|(name, interface)| (Some(name.as_str()), interface));
    here.chain(others)
        .filter(|(_, interface)| interface.lower == Lower::Here(lower.index))
        .filter_map(|(namespace, interface)| match &interface.kind {
            Kind::Macvlan(link) => Some(Found { namespace, interface, link }),
            _ => None,
        })
        .collect()
}

fn nothing_on(name: &str, here: &[Interface], elsewhere: &Elsewhere) -> String {
    let with_links: Vec<&str> = here
        .iter()
        .filter(|lower| !links_on(lower, here, elsewhere).is_empty())
        .map(|lower| lower.name.as_str())
        .collect();
    let advice = if with_links.is_empty() {
        "nor on any other interface here".to_owned()
    } else {
        format!("but on {}", with_links.join(", "))
    };
    let closed = match elsewhere.closed {
        0 => String::new(),
        closed => {
            format!(" (network namespaces that could not be looked into: {closed}; root can)")
        }
    };
    format!("there is no macvlan link on {name}, {advice}{closed}")
}

/// The config as it grows.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn comment(&mut self, comment: &str) {
        // A name may hold what would end the comment.
        let safe = |letter: char| if letter.is_control() { '?' } else { letter };
        self.line(&format!("# {}", comment.chars().map(safe).collect::<String>()));
    }

    fn value(&mut self, key: &str, value: impl Into<toml::Value>) {
        // Writing to a String cannot fail.
        _ = writeln!(self.0, "{key} = {}", value.into());
    }

    fn heading(&mut self, name: &str, lowers: &[(&Interface, Vec<Found<'_>>)], closed: usize) {
        self.comment(&format!(
            "What the kernel's macvlan links on {name} do. Written by mvswitch import {name}."
        ));
        self.line("#");
        self.line(
            "# Take the kernel's links away before the start, or both deliver the same frames:",
        );
        for link in lowers.iter().flat_map(|(_, links)| links) {
            let place = match link.namespace {
                // A container's own: it removes the link by leaving it.
                Some(namespace) if !namespace.starts_with("pid-") => {
                    format!("ip -n {} ", quoted(namespace))
                }
                Some(namespace) => format!("nsenter -t {} -n ip ", &namespace["pid-".len()..]),
                None => "ip ".to_owned(),
            };
            self.comment(&format!("  {place}link del {}", quoted(&link.interface.name)));
        }
        self.line("#");
        self.line("# Each link becomes a vhost-user socket for a guest. IP addresses and routes stay with");
        self.line("# whoever used the link: its guest sets them.");
        if closed > 0 {
            self.comment(&format!(
                "Network namespaces that could not be looked into: {closed}. Root can."
            ));
        }
    }

    /// Writes a lower and returns its name; `None` if a config cannot say it.
    fn lower(
        &mut self,
        lower: &Interface,
        carrier: &Interface,
        names: &mut Vec<String>,
    ) -> Option<String> {
        self.line("");
        let kind = if lower.index == carrier.index { &Kind::Other } else { &lower.kind };
        if let Kind::Vlan { id, service_tag } = kind
            && (*service_tag || !(1..=4094).contains(id))
        {
            let what = if *service_tag { "802.1ad" } else { "802.1q" };
            self.comment(&format!(
                "{} is VLAN {id} by {what}, which has no equivalent on net_af_packet: its links are left out.",
                lower.name
            ));
            return None;
        }
        self.line("[[lower]]");
        let name = self.name(&lower.name, names);
        let mtu = self.mtu(lower.mtu, fit(carrier.mtu, DEVICE_MTU));
        match kind {
            Kind::Vlan { id, .. } => {
                // Its name was the first that was given.
                self.value("lower", names.first().map_or("", String::as_str));
                self.value("vlan", i64::from(*id));
            }
            _ => {
                self.value("device", format!("net_af_packet0,iface={}", lower.name));
            }
        }
        self.value("mtu", i64::from(mtu));
        if let Some(address) = lower.address.filter(|address| {
            kind != &Kind::Other && Some(*address) != carrier.address && address.is_valid_unicast()
        }) {
            self.value("address", address.to_string());
        }
        self.flag("up", lower.up, true);
        Some(name)
    }

    fn link(
        &mut self,
        found: &Found<'_>,
        written: &str,
        lower: &Interface,
        names: &mut Vec<String>,
    ) {
        let (interface, link) = (found.interface, found.link);
        self.line("");
        let Some(mode) = link.mode else {
            self.comment(&format!(
                "{} is in a mode without an equivalent: left out.",
                interface.name
            ));
            return;
        };
        let mut what = Vec::new();
        if link.tap {
            what.push(
                "a macvtap: QEMU takes the socket with -netdev vhost-user in its place".to_owned(),
            );
        }
        if let Some(namespace) = found.namespace {
            what.push(format!("{} in the namespace {namespace}", interface.name));
        }
        if !what.is_empty() {
            self.comment(&what.join("; "));
        }
        self.line("[[macvlan]]");
        let wanted = match found.namespace {
            // Containers call theirs eth0, all of them.
            Some(namespace) => format!("{namespace}-{}", interface.name),
            None => interface.name.clone(),
        };
        self.name(&wanted, names);
        self.value("link", written);
        self.value("mode", mode.name());
        match interface.address {
            // It has its lower's.
            _ if mode == Mode::Passthru => {}
            Some(address) if address.is_valid_unicast() => {
                self.value("address", address.to_string());
            }
            _ => self.comment("it has no Ethernet address: one is derived from the names"),
        }
        let mtu = self.mtu(interface.mtu, fit(lower.mtu, DEVICE_MTU));
        self.value("mtu", i64::from(mtu));
        match mode {
            Mode::Passthru => self.flag("nopromisc", link.nopromisc, false),
            _ if link.nopromisc => self.comment("nopromisc has no effect in this mode: left out"),
            _ => {}
        }
        self.flag("nodst", link.nodst, false);
        if mode == Mode::Source {
            let mut sources = link.sources.clone();
            sources.sort_unstable();
            let sources = sources.iter().map(|source| toml::Value::from(source.to_string()));
            self.value("macaddr", sources.collect::<Vec<_>>());
        } else if !link.sources.is_empty() {
            self.comment("its list of sources has no effect in this mode: left out");
        }
        if let Some(frames) = link.bcqueuelen.filter(|frames| *frames != BC_QUEUE_LEN) {
            self.value("bcqueuelen", i64::from(frames));
        }
        if let Some(members) = link.bclim.filter(|members| *members != BC_LIMIT) {
            self.value("bclim", i64::from(members));
        }
        self.flag("promisc", interface.promisc, false);
        self.flag("up", interface.up, true);
    }

    /// Writes a name: the kernel's, or the nearest that is good and free.
    fn name(&mut self, wanted: &str, names: &mut Vec<String>) -> String {
        let name = free_name(wanted, names);
        if name != wanted {
            self.comment(&format!("\"{wanted}\", in letters that a name here may have"));
        }
        self.value("name", name.as_str());
        names.push(name.clone());
        name
    }

    fn flag(&mut self, key: &str, value: bool, default: bool) {
        if value != default {
            self.value(key, value);
        }
    }

    /// The nearest MTU that is good, with a word where it is another.
    fn mtu(&mut self, mtu: u32, most: u16) -> u16 {
        let good = fit(mtu, most);
        if u32::from(good) != mtu {
            self.comment(&format!("the kernel has mtu {mtu}; here it can be {MIN_MTU} to {most}"));
        }
        good
    }
}

/// The nearest MTU to the kernel's that can be had.
fn fit(mtu: u32, most: u16) -> u16 {
    u16::try_from(mtu).unwrap_or(most).clamp(MIN_MTU, most)
}

/// `wanted` with what a name may not have replaced, and a number if it is taken.
fn free_name(wanted: &str, names: &[String]) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let letters = wanted.chars().map(|letter| if plain(letter) { letter } else { '-' });
    let mut name: String = letters.take(32).collect();
    if check_name(&name).is_err() {
        name.replace_range(..1.min(name.len()), "-");
    }
    let free = |name: &str| names.iter().all(|other| other != name);
    let numbered = (2..).map(|number| {
        let number = format!("-{number}");
        format!("{}{number}", &name[..name.len().min(32 - number.len())])
    });
    std::iter::once(name.clone()).chain(numbered).find(|name| free(name)).unwrap_or(name)
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@%+=:,".contains(&byte);
    if word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests;
