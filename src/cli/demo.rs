//! `mvswitch demo`: two tiny guests on a running switch, pinging each other and
//! the wire while a link changes its mode.
//!
//! Each guest is this program again, in a process of its own (EAL starts once
//! per process and must not be forked). It judges what it sees: a ping that got
//! through where the mode forbids it, or the reverse, is a failure.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use mvctl::client::{Client, ClientError};
use mvctl::proto::{LinkSet, LinkShow, Name, Request};
use mvctl::runtime_dir;

use super::Failure;
use super::args::{DemoArgs, DemoGuestArgs};
use crate::demo::{guest, wire};

/// Memory of a guest, in MiB.
const GUEST_MB: u32 = 64;

/// The guests' addresses, below the wire's.
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 11)];

/// What a mode lets two guests do; `None`: as the wire reflects frames or not.
const MODES: [(&str, Option<bool>); 3] =
    [("bridge", Some(true)), ("private", Some(false)), ("vepa", None)];

pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let directory = runtime_dir::resolve(args.runtime_dir.as_deref(), None);
    let mut client =
        Client::connect(&directory.join(runtime_dir::CONTROL_SOCKET)).map_err(Failure::runtime)?;
    let [first, second] = choose(show(&mut client)?)?;
    let scratch = Scratch::new(&directory)?;
    let mut a = Guest::start(&first, ADDRESSES[0], &scratch.0)?;
    let mut b = Guest::start(&second, ADDRESSES[1], &scratch.0)?;
    println!(
        "guest {} on {}   guest {} on {}   host {} on the wire",
        a.address,
        a.link,
        b.address,
        b.link,
        wire::ADDRESS
    );

    let modes =
        [&first, &second].map(|link| (link.ifname.clone(), link.linkinfo.info_data.mode.clone()));
    let judged = play(args.count, &mut client, &mut a, &mut b);
    // The links go back to what they were, whatever happened.
    for (name, mode) in modes {
        set_mode(&mut client, &name, &mode)?;
    }
    if judged? {
        println!("every mode did what the Linux macvlan driver's rules say");
        Ok(())
    } else {
        Err(Failure::runtime("some pings did not do what the mode says: see above"))
    }
}

fn play(count: u32, client: &mut Client, a: &mut Guest, b: &mut Guest) -> Result<bool, Failure> {
    let mut good = true;
    for (mode, expected) in MODES {
        for link in [&a.link, &b.link] {
            set_mode(client, link, mode)?;
        }
        println!("-- mode {mode}");
        let before = drops(client)?;
        let direct = ping(a, b.address, &b.link.clone(), count)?;
        let back = ping(b, a.address, &a.link.clone(), count)?;
        let wire = ping(a, wire::ADDRESS, "the wire", count)?
            && ping(b, wire::ADDRESS, "the wire", count)?;
        good &= wire && direct == back && expected.is_none_or(|expected| direct == expected);
        match (mode, direct) {
            ("private", false) => {
                println!("   guest and guest do not reach each other: that is what private means")
            }
            ("vepa", true) => println!("   guest and guest met on the wire, which reflects frames"),
            ("vepa", false) => println!(
                "   guest and guest would meet on a wire that reflects frames: this one does not"
            ),
            _ => {}
        }
        let after = drops(client)?;
        let moved = after.iter().filter_map(|(what, frames)| {
            let more = frames.saturating_sub(before.get(what).copied().unwrap_or(0));
            (more > 0).then(|| format!("{what} +{more}"))
        });
        let moved: Vec<String> = moved.collect();
        println!(
            "   drops: {}",
            if moved.is_empty() { "none".to_owned() } else { moved.join(", ") }
        );
    }
    Ok(good)
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

fn call(client: &mut Client, request: &Request) -> Result<serde_json::Value, Failure> {
    client.call(request).map_err(Failure::runtime)
}

fn show(client: &mut Client) -> Result<Vec<LinkShow>, Failure> {
    let links = call(client, &Request::LinkShow(Name::default()))?;
    serde_json::from_value(links).map_err(|error| {
        Failure::runtime(ClientError::Unreachable(format!(
            "the daemon speaks another version: {error}"
        )))
    })
}

fn set_mode(client: &mut Client, link: &str, mode: &str) -> Result<(), Failure> {
    let change = LinkSet { name: link.to_owned(), mode: Some(mode.to_owned()), up: None };
    call(client, &Request::LinkSet(change)).map(drop)
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

/// Drops at links and lowers, by port, direction and reason.
fn drops(client: &mut Client) -> Result<BTreeMap<String, u64>, Failure> {
    let mut all = BTreeMap::new();
    for link in show(client)? {
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

/// A directory for what the guests' EALs write; gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(runtime_dir: &Path) -> Result<Self, Failure> {
        let path = runtime_dir.join(format!("demo-{}", std::process::id()));
        std::fs::create_dir(&path)
            .map_err(|error| Failure::runtime(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A guest's process. It ends when its input does.
struct Guest {
    link: String,
    address: Ipv4Addr,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Guest {
    fn start(link: &LinkShow, address: Ipv4Addr, scratch: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::runtime(format!("the demo guest cannot start: {error}"))
        };
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .arg("demo-guest")
            .args(["--socket", link.mvswitch.socket.as_deref().unwrap_or_default()])
            .args(["--address", &format!("{address}/24")])
            .args(["--mac", &link.address])
            .args(["--memory-mb", &GUEST_MB.to_string()])
            .args(["--log-level", "warn"])
            .env("RUNTIME_DIRECTORY", scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let Some(output) = output else {
            return Err(Failure::runtime("the demo guest has no output"));
        };
        let mut guest = Self {
            link: link.ifname.clone(),
            address,
            child,
            input,
            output: BufReader::new(output),
        };
        match guest.answer()?.as_str() {
            "ready" => Ok(guest),
            other => Err(Failure::runtime(format!("the demo guest said: {other}"))),
        }
    }

    fn ask(&mut self, question: &str) -> Result<String, Failure> {
        if let Some(input) = &mut self.input {
            let asked = writeln!(input, "{question}").and_then(|()| input.flush());
            asked.map_err(|error| {
                Failure::runtime(format!("the guest on {} is gone: {error}", self.link))
            })?;
        }
        self.answer()
    }

    fn answer(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(1..) => Ok(line.trim().to_owned()),
            _ => Err(Failure::runtime(format!("the guest on {} ended early", self.link))),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.input = None;
        _ = self.child.wait();
    }
}

/// What the hidden command's arguments mean.
pub(super) fn guest_options(args: &DemoGuestArgs) -> Result<guest::Options, String> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let core = cores.first().map(|core| core.id);
    Ok(guest::Options {
        socket: args.socket.clone(),
        address: args.address.address,
        prefix: args.address.prefix,
        mac: args.mac,
        memory_mb: args.memory_mb,
        core: core.ok_or("no CPU may be used")?,
        runtime_dir: runtime_dir::resolve(None, None),
    })
}
