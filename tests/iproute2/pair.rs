//! The kernel's links and mvswitch's, under the same commands.
//!
//! Owns a network namespace, two lowers in it that are the kernel's, and a
//! running switch whose lowers have the same names, addresses and MTU. A command
//! is written as `ip` takes it; `mvctl` gets it word for word, with two
//! exceptions that [`Pair::ours`] has. Never touches an interface of the machine.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

use super::common::{PATIENCE, Switch, pause, run, wait_until};
use super::linkwatch::Linkwatch;
use super::shown::State;

/// The lowers of both sides.
const LOWERS: [&str; 2] = ["lan0", "lan1"];

/// How long ours may take to hear of a device's carrier: it looks every 200 ms.
const CARRIER: Duration = Duration::from_secs(5);

/// What a program left behind.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// What a command did on both sides.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) ip: Said,
    pub(crate) mvctl: Said,
    /// Where the links differ afterwards; empty where they do not.
    pub(crate) differences: Vec<String>,
    /// The kernel's links afterwards.
    pub(crate) state: State,
}

impl Step {
    /// Both carried it out, or both refused it, and it did the same.
    pub(crate) fn agrees(&self) -> bool {
        self.ip.ok == self.mvctl.ok && self.differences.is_empty()
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, said) in [("ip", &self.ip), ("mvctl", &self.mvctl)] {
            let done = if said.ok { "carried it out" } else { "refused it" };
            writeln!(f, "    {name} {done} {}", said.err.lines().next().unwrap_or_default())?;
        }
        self.differences.iter().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

/// Both sides.
#[derive(Debug)]
pub(crate) struct Pair {
    switch: Switch,
    mvctl: PathBuf,
    linkwatch: Linkwatch,
}

impl Pair {
    /// Takes this thread into a new namespace and starts the switch in it.
    #[track_caller]
    pub(crate) fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        run("ip", &["link", "set", "lo", "up"]);
        for which in ["all", "default"] {
            // Without the file there is no IPv6 to be switched off.
            _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
        }
        let mut config = "[eal]\nmemory = \"4k\"\n".to_owned();
        for (number, name) in LOWERS.iter().enumerate() {
            // The switch's device is an interface, too: one that can do what the kernel's can.
            let device = format!("dev{number}");
            let address = format!("02:00:00:00:0{number}:a0");
            for interface in [name, &*device] {
                let peer = format!("{interface}-far");
                let pair = ["link", "add", interface, "address", &address, "type", "veth"];
                run("ip", &[&pair[..], &["peer", "name", &peer]].concat());
                for end in [interface, &peer] {
                    run("ip", &["link", "set", end, "up"]);
                }
            }
            config += &format!(
                "[[lower]]\nname = \"{name}\"\ndevice = \"net_af_packet{number},iface={device}\"\n"
            );
        }
        let switch = Switch::start(&config);
        let mvctl = std::path::Path::new(env!("CARGO_BIN_EXE_mvswitch")).with_file_name("mvctl");
        assert!(mvctl.exists(), "no mvctl: type cargo build --profile peers");
        let linkwatch = Linkwatch::open();
        let mut pair = Self { switch, mvctl, linkwatch };
        wait_until("carrier on both sides", PATIENCE, || pair.compare().1.is_empty());
        pair
    }

    /// Where mvctl's words are not ip's: a link of ours begins up and with all
    /// groups, where the words say nothing else, and lowers have commands of their own.
    pub(crate) fn ours(line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["link" | "l", "add" | "a", ref rest @ ..] => {
                format!("link add down allmulticast off {}", rest.join(" "))
            }
            ["link", "set", name, ref rest @ ..] if LOWERS.contains(&name) => {
                format!("lower set {name} {}", rest.join(" "))
            }
            _ => line.to_owned(),
        }
    }

    /// `ip` with these words, and nothing else.
    #[track_caller]
    pub(crate) fn ip(&self, line: &str) -> Said {
        said(Command::new("ip").args(line.split_whitespace()), "")
    }

    /// `mvctl` with these words, and nothing else.
    #[track_caller]
    pub(crate) fn mvctl(&self, line: &str) -> Said {
        self.mvctl_with(line, "")
    }

    /// The same with something to read.
    #[track_caller]
    pub(crate) fn mvctl_with(&self, line: &str, input: &str) -> Said {
        let mut command = Command::new(&self.mvctl);
        command.arg("--socket").arg(self.switch.socket("control.sock"));
        said(command.args(line.split_whitespace()), input)
    }

    /// Gives the command to both and looks what has become of the links.
    #[track_caller]
    pub(crate) fn step(&mut self, line: &str) -> Step {
        let (ip, mvctl) = (self.ip(line), self.mvctl(&Self::ours(line)));
        let (mut state, mut differences) = self.compare();
        // What a lower's device does, ours sees a little later.
        let patience = if Self::ours(line).starts_with("lower") { CARRIER } else { Duration::ZERO };
        let started = Instant::now();
        while ip.ok && mvctl.ok && !differences.is_empty() && started.elapsed() < patience {
            pause(Duration::from_millis(20));
            (state, differences) = self.compare();
        }
        Step { ip, mvctl, differences, state }
    }

    /// Like [`Pair::step`], for a command that both must carry out.
    #[track_caller]
    pub(crate) fn must(&mut self, line: &str) {
        let step = self.step(line);
        assert!(step.agrees() && step.ip.ok, "{line}\n{step}");
    }

    /// Like [`Pair::step`], for a command that both must refuse.
    #[track_caller]
    pub(crate) fn must_not(&mut self, line: &str) -> Step {
        let step = self.step(line);
        assert!(step.agrees() && !step.ip.ok, "{line}\n{step}");
        step
    }

    /// Deletes all links and sets the lowers as they were.
    #[track_caller]
    pub(crate) fn clear(&mut self) {
        let [theirs, ours] = self.states();
        for name in theirs.names() {
            self.ip(&format!("link del {name}"));
        }
        for name in ours.names() {
            self.mvctl(&format!("link del {name}"));
        }
        for (number, name) in LOWERS.iter().enumerate() {
            let line = format!("link set {name} address 02:00:00:00:0{number}:a0 mtu 1500 up");
            let step = self.step(&line);
            assert!(step.agrees() && step.ip.ok, "a new beginning: {step}");
        }
    }

    fn compare(&mut self) -> (State, Vec<String>) {
        let [theirs, ours] = self.states();
        let differences = theirs.differences(&ours);
        (theirs, differences)
    }

    /// Links and lowers as `ip` and `mvctl` show them.
    #[track_caller]
    pub(crate) fn states(&mut self) -> [State; 2] {
        self.linkwatch.catch_up();
        let shown = self.ip("-j -d link show");
        assert!(shown.ok, "{shown:?}");
        let all: Vec<Value> = serde_json::from_str(&shown.out).unwrap();
        let theirs = State::new(&all, &all, &LOWERS);
        let shown = self.mvctl_with("-j -d -batch -", "link show\nlower show\n");
        assert!(shown.ok, "{shown:?}");
        let lists: Vec<Vec<Value>> =
            shown.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        [theirs, State::new(&lists[0], &lists[1], &LOWERS)]
    }

    /// Ends the switch, and checks what must hold at its end.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.switch.stop();
    }
}

#[track_caller]
fn said(command: &mut Command, input: &str) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}
