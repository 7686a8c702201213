//! `mvswitch demo`: two tiny guests on a running switch, pinging each other and
//! the wire in every mode, while the switch runs.
//!
//! Each guest is this program again, in a process of its own (EAL starts once
//! per process and must not be forked). The demo judges what it sees: a ping that
//! got through where the mode forbids it, or the reverse, is a failure. Where it
//! may, it asks the kernel's own macvlan driver the same question.

mod guest;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use mvctl::client::{Client, ClientError};
use mvctl::proto::{LinkAdd, LinkSet, LinkShow, LowerShow, Macaddr, Name, Named, Request};
use mvctl::runtime_dir;
use serde::de::DeserializeOwned;

use self::guest::{Guest, Scratch};
use super::Failure;
use super::args::DemoArgs;
use crate::demo::kernel::{self, Reach};
use crate::demo::wire;

pub(super) use self::guest::options as guest_options;

/// The guests' addresses, below the wire's.
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 11)];

/// Modes that a link can change to while it runs, and whether two guests reach
/// each other then; `None`: as the wire reflects frames or not.
const MODES: [(&str, Option<bool>); 4] =
    [("bridge", Some(true)), ("private", Some(false)), ("vepa", None), ("source", Some(false))];

pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let directory = runtime_dir::resolve(args.runtime_dir.as_deref(), None);
    let client = Client::connect(&directory.join(runtime_dir::CONTROL_SOCKET));
    let client = client.map_err(Failure::runtime)?;
    let mut demo = Demo { client, count: args.count, good: true, unasked: None };
    let links = choose(demo.links()?)?;
    let scratch = Scratch::new(&directory)?;
    let judged = demo.all_modes(&links, &scratch.0);
    // The links go back to what they were, whatever happened.
    demo.restore(&links)?;
    judged?;
    match (demo.good, demo.unasked) {
        (true, None) => {
            println!("every mode did as the Linux macvlan driver does: the kernel was asked");
            Ok(())
        }
        (true, Some(why)) => {
            println!("every mode did what the driver's rules say; the kernel was not asked: {why}");
            Ok(())
        }
        (false, _) => Err(Failure::runtime("some pings did not do what the mode says: see above")),
    }
}

struct Demo {
    client: Client,
    /// Pings per series.
    count: u32,
    good: bool,
    /// Why the kernel was not asked.
    unasked: Option<String>,
}

impl Demo {
    fn all_modes(&mut self, links: &[LinkShow; 2], scratch: &Path) -> Result<(), Failure> {
        let [first, second] = links;
        let hairpin = self.hairpin(&first.link)?;
        {
            let mut a = Guest::start(first, ADDRESSES[0], scratch)?;
            let mut b = Guest::start(second, ADDRESSES[1], scratch)?;
            println!(
                "guest {} on {}   guest {} on {}   host {} on the wire",
                a.address,
                a.link,
                b.address,
                b.link,
                wire::ADDRESS
            );
            for (mode, expected) in MODES {
                self.two_guests(mode, expected, hairpin, &first.link, &mut a, &mut b)?;
            }
        }
        self.passthru(links, scratch)
    }

    fn two_guests(
        &mut self,
        mode: &str,
        expected: Option<bool>,
        hairpin: bool,
        lower: &str,
        a: &mut Guest,
        b: &mut Guest,
    ) -> Result<(), Failure> {
        for link in [&a.link, &b.link] {
            let host = wire::host_mac(lower).to_string();
            let macaddr = (mode == "source").then(|| Macaddr::Set(vec![host]));
            let (name, mode) = (link.clone(), Some(mode.to_owned()));
            self.set(LinkSet { name, mode, macaddr, ..LinkSet::default() })?;
        }
        println!("-- mode {mode}");
        let before = self.drops()?;
        let count = self.count;
        let direct = ping(a, b.address, &b.link, count)?;
        let back = ping(b, a.address, &a.link, count)?;
        let wire =
            ping(a, wire::ADDRESS, "the wire", count)? & ping(b, wire::ADDRESS, "the wire", count)?;
        match (mode, direct) {
            ("private", false) => {
                println!("   guest and guest do not reach each other: that is what private means");
            }
            ("source", false) => {
                println!("   each guest lists the host on the wire as its only source");
            }
            ("vepa", true) => println!("   guest and guest met on the wire, which reflects frames"),
            ("vepa", false) => println!(
                "   guest and guest would meet on a wire that reflects frames: this one does not"
            ),
            _ => {}
        }
        self.print_drops(&before)?;
        let seen = Reach { guests: direct, wire };
        self.judge(mode, hairpin, seen, expected.unwrap_or(hairpin), direct == back);
        Ok(())
    }

    /// A passthru link is the only one of its lower: both links make way for it.
    fn passthru(&mut self, links: &[LinkShow; 2], scratch: &Path) -> Result<(), Failure> {
        let [first, second] = links;
        let others = self.links()?;
        let others = others.iter().filter(|link| link.link == first.link).count() - links.len();
        println!("-- mode passthru");
        if others > 0 {
            println!("   not shown: {} has other links, and a passthru link is alone", first.link);
            return Ok(());
        }
        for link in [first, second] {
            self.call::<serde_json::Value>(&delete(link))?;
        }
        let request = LinkAdd { mode: Some("passthru".to_owned()), address: None, ..add(first) };
        self.call::<serde_json::Value>(&Request::LinkAdd(request))?;
        let shown = self.links()?.into_iter().find(|link| link.ifname == first.ifname);
        let Some(shown) = shown else { return Err(Failure::runtime("the link is gone")) };
        let before = self.drops()?;
        let mut guest = Guest::start(&shown, ADDRESSES[0], scratch)?;
        let wire = ping(&mut guest, wire::ADDRESS, "the wire", self.count)?;
        println!("   {} has the lower's own address, {}", shown.ifname, shown.address);
        drop(guest);
        self.print_drops(&before)?;
        self.judge("passthru", false, Reach { guests: false, wire }, false, true);
        Ok(())
    }

    /// Compares with what the mode promises, and with what the kernel does.
    fn judge(&mut self, mode: &str, hairpin: bool, seen: Reach, promised: bool, both: bool) {
        self.good &= both && seen.wire && seen.guests == promised;
        if self.unasked.is_some() {
            return;
        }
        match kernel::ask(mode, hairpin) {
            Ok(reach) if reach == seen => println!("   the kernel's macvlan: the same"),
            Ok(reach) => {
                let said = |reached| if reached { "reached" } else { "did not reach" };
                println!(
                    "   the kernel's macvlan is DIFFERENT: guests {} each other, and {} the wire",
                    said(reach.guests),
                    said(reach.wire)
                );
                self.good = false;
            }
            Err(why) => self.unasked = Some(why),
        }
    }

    /// Puts both links back as they were at the start.
    fn restore(&mut self, links: &[LinkShow; 2]) -> Result<(), Failure> {
        let there = self.links()?;
        let same = |link: &&LinkShow| {
            let kept =
                |other: &LinkShow| other.ifname == link.ifname && other.address == link.address;
            there.iter().any(kept)
        };
        if links.iter().filter(same).count() < links.len() {
            for link in
                there.iter().filter(|other| links.iter().any(|link| link.ifname == other.ifname))
            {
                self.call::<serde_json::Value>(&delete(link))?;
            }
            for link in links {
                self.call::<serde_json::Value>(&Request::LinkAdd(add(link)))?;
            }
        }
        for link in links {
            let info = &link.linkinfo.info_data;
            let (name, mode) = (link.ifname.clone(), Some(info.mode.clone()));
            let list = || Macaddr::Set(info.macaddr_data.clone());
            let macaddr = (info.mode == "source").then(list);
            self.set(LinkSet { name, mode, macaddr, ..LinkSet::default() })?;
        }
        Ok(())
    }

    /// The wire of this lower reflects frames.
    fn hairpin(&mut self, lower: &str) -> Result<bool, Failure> {
        let which = Name { name: Some(lower.to_owned()) };
        let lowers: Vec<LowerShow> = self.call(&Request::LowerShow(which))?;
        let device = lowers.first().map(|lower| lower.mvswitch.device.clone()).unwrap_or_default();
        let options = wire::Options::parse(&device);
        Ok(options.is_some_and(|options| options.is_ok_and(|options| options.hairpin)))
    }

    fn links(&mut self) -> Result<Vec<LinkShow>, Failure> {
        self.call(&Request::LinkShow(Name::default()))
    }

    fn set(&mut self, change: LinkSet) -> Result<(), Failure> {
        self.call::<serde_json::Value>(&Request::LinkSet(change)).map(drop)
    }

    fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        let result = self.client.call(request).map_err(Failure::runtime)?;
        serde_json::from_value(result).map_err(|error| {
            Failure::runtime(ClientError::Unreachable(format!(
                "the daemon speaks another version: {error}"
            )))
        })
    }

    /// Drops at links and lowers, by port, direction and reason.
    fn drops(&mut self) -> Result<BTreeMap<String, u64>, Failure> {
        let mut all = BTreeMap::new();
        for link in self.links()? {
            let places =
                [(&link.ifname, &link.mvswitch.drops), (&link.link, &link.mvswitch.lower_drops)];
            for (port, drops) in places {
                for drop in drops {
                    all.insert(format!("{port} {} {}", drop.direction, drop.reason), drop.frames);
                }
            }
        }
        Ok(all)
    }

    fn print_drops(&mut self, before: &BTreeMap<String, u64>) -> Result<(), Failure> {
        let after = self.drops()?;
        let moved = after.iter().filter_map(|(what, frames)| {
            let more = frames.saturating_sub(before.get(what).copied().unwrap_or(0));
            (more > 0).then(|| format!("{what} +{more}"))
        });
        let moved: Vec<String> = moved.collect();
        let moved = if moved.is_empty() { "none".to_owned() } else { moved.join(", ") };
        println!("   drops: {moved}");
        Ok(())
    }
}

fn delete(link: &LinkShow) -> Request {
    Request::LinkDel(Named { name: link.ifname.clone() })
}

/// The request that makes a link as it is shown.
fn add(link: &LinkShow) -> LinkAdd {
    LinkAdd {
        name: link.ifname.clone(),
        link: link.link.clone(),
        mode: Some(link.linkinfo.info_data.mode.clone()),
        address: Some(link.address.clone()),
        mtu: Some(link.mtu),
        socket: link.mvswitch.socket.clone(),
        role: link.mvswitch.role.clone(),
        ..LinkAdd::default()
    }
}

/// Returns whether all came back; some but not all is an error of its own.
fn ping(from: &mut Guest, to: Ipv4Addr, place: &str, count: u32) -> Result<bool, Failure> {
    let answer = from.ask(&format!("ping {to} {count}"))?;
    let mut words = answer.split_whitespace().map(str::parse::<u32>);
    let (Some(Ok(replies)), Some(Ok(median))) = (words.next(), words.next()) else {
        return Err(Failure::runtime(format!("the guest on {} said: {answer}", from.link)));
    };
    let time = if replies > 0 { format!("   median {median} us") } else { String::new() };
    println!("   {} -> {place:<10} {replies}/{count} replies{time}", from.link);
    match replies {
        0 => Ok(false),
        _ if replies == count => Ok(true),
        _ => Err(Failure::runtime("pings were lost on the way")),
    }
}

/// Two links of one lower that listen and have no guest.
fn choose(links: Vec<LinkShow>) -> Result<[LinkShow; 2], Failure> {
    let free = |link: &LinkShow| {
        let extra = &link.mvswitch;
        extra.role.as_deref() == Some("server") && !extra.peer_connected && link.operstate == "UP"
    };
    let mut free: Vec<LinkShow> = links.into_iter().filter(free).collect();
    while free.len() >= 2 {
        let first = free.remove(0);
        if let Some(second) = free.iter().position(|second| second.link == first.link) {
            return Ok([first, free.remove(second)]);
        }
    }
    Err(Failure::runtime(
        "the demo needs two links of one lower that listen (role = \"server\"), are up and have no guest: \
         start the switch with config/two-ports.toml",
    ))
}
