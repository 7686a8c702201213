//! The programs that are measured: started, stopped for a while, ended.
//!
//! Owns their processes. Each is ended by its id when its value goes, and dies
//! with the bench if that is killed. Ports of a program are two vhost-user
//! sockets that it listens on; it forwards on one core of its own.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mvswitch::dpdk::Memory;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::load::{ADDRESSES, RING};
use super::machine::eal_arguments;
use super::{CONTROL_CORE, FORWARD_CORE, Options, Outcome};

/// How long a program may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

const OVS: &str = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk";
const OVS_SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A switch with two links on vhost sockets, on the forwarding core.
fn config_text(memory: &str) -> String {
    let links = [0, 1].map(|number| {
        let address = ADDRESSES[number];
        format!(
            "[[macvlan]]\nname = \"mv{number}\"\nlink = \"wire\"\naddress = \"{address}\"\n\
             socket = \"mv{number}.sock\"\n"
        )
    });
    format!(
        "[cores]\ncontrol = {CONTROL_CORE}\nworkers = \"{FORWARD_CORE}\"\nidle = \"spin\"\n\
         [eal]\nmemory = \"{memory}\"\n\
         [[lower]]\nname = \"wire\"\ndevice = \"net_null1,no-rx=1\"\n{}",
        links.concat()
    )
}

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Its io mode over two net_vhost: the cost of the drivers, the floor.
    Testpmd,
    /// This switch, with two links in bridge mode.
    Mvswitch,
    /// Open vSwitch with DPDK ports and a rule for each address.
    Ovs,
}

impl Kind {
    /// In the order they are measured in.
    pub(crate) const ALL: [Self; 3] = [Self::Testpmd, Self::Mvswitch, Self::Ovs];

    /// Why it cannot be measured here.
    pub(super) fn missing(self) -> Option<String> {
        let found = |program: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
        };
        match self {
            Self::Testpmd if !found("dpdk-testpmd") => {
                Some("no dpdk-testpmd; type: apt-get install dpdk-dev".into())
            }
            Self::Ovs if !Path::new(OVS).exists() => {
                Some("it is not installed; type: apt-get install openvswitch-switch-dpdk".into())
            }
            Self::Ovs if !geteuid().is_root() => Some("it needs root for its interfaces".into()),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Testpmd => "testpmd",
            Self::Mvswitch => "mvswitch",
            Self::Ovs => "ovs",
        })
    }
}

/// A running program.
#[derive(Debug)]
pub(super) struct Program {
    kind: Kind,
    /// The one that forwards, and what it needs beside it.
    worker: Process,
    others: Vec<Process>,
    sockets: [PathBuf; 2],
}

impl Program {
    /// Starts it, with its files below `run`, and waits until it is ready.
    pub(super) fn start(kind: Kind, options: &Options, run: &Path, pages: Memory) -> Outcome<Self> {
        let directory = run.join(kind.to_string());
        fs::create_dir(&directory)?;
        match kind {
            Kind::Testpmd => Self::testpmd(&directory, pages),
            Kind::Mvswitch => Self::mvswitch(&directory, &options.daemon, pages),
            Kind::Ovs => Self::ovs(&directory, pages),
        }
    }

    fn testpmd(directory: &Path, pages: Memory) -> Outcome<Self> {
        let sockets = ["a.sock", "b.sock"].map(|name| directory.join(name));
        let mut command = vec!["stdbuf".into(), "-oL".into(), "dpdk-testpmd".into()];
        command.extend(["--lcores".into(), format!("0@{CONTROL_CORE},1@{FORWARD_CORE}")]);
        command.extend(eal_arguments("testpmd", pages, 256));
        for (number, socket) in sockets.iter().enumerate() {
            command.push("--vdev".into());
            command.push(format!("net_vhost{number},iface={}", socket.display()));
        }
        let own = ["--", "-i", "--forward-mode=io", "--port-topology=paired"];
        command.extend(own.map(str::to_owned));
        command.extend([format!("--rxd={RING}"), format!("--txd={RING}")]);
        command.push("--total-num-mbufs=16384".into());
        let mut worker = Process::start("testpmd", &command, directory)?;
        worker.wait_for(|said| said.contains("testpmd> "))?;
        Ok(Self { kind: Kind::Testpmd, worker, others: Vec::new(), sockets })
    }

    fn mvswitch(directory: &Path, daemon: &Path, pages: Memory) -> Outcome<Self> {
        let sockets = ["mv0.sock", "mv1.sock"].map(|name| directory.join(name));
        let memory = if pages == Memory::Huge { "huge" } else { "4k" };
        let config = directory.join("mvswitch.toml");
        fs::write(&config, config_text(memory))?;
        let path = |path: &Path| path.display().to_string();
        // It refuses cores that it may not use, and the generator is pinned to its own.
        let cores = format!("{CONTROL_CORE},{FORWARD_CORE}");
        let command = ["taskset".into(), "-c".into(), cores, path(daemon), "-c".into()];
        let command = [&command[..], &[path(&config), "--runtime-dir".into()]].concat();
        let command = [&command[..], &[path(directory), "--log-level".into(), "warn".into()]];
        let mut worker = Process::start("mvswitch", &command.concat(), directory)?;
        worker.wait_for(|said| said.lines().any(|line| line.starts_with("ready")))?;
        Ok(Self { kind: Kind::Mvswitch, worker, others: Vec::new(), sockets })
    }

    /// With a database and a network namespace of its own.
    fn ovs(directory: &Path, pages: Memory) -> Outcome<Self> {
        let at = |name: &str| directory.join(name).display().to_string();
        let database = format!("unix:{}", at("db.sock"));
        tool(directory, &["ovsdb-tool", "create", &at("conf.db"), OVS_SCHEMA])?;
        let command = [
            "ovsdb-server".into(),
            at("conf.db"),
            format!("--remote=p{database}"),
            format!("--unixctl={}", at("db.ctl")),
            "-vconsole:warn".into(),
        ];
        let mut server = Process::start("ovsdb-server", &command, directory)?;
        server.wait_until("its socket", || directory.join("db.sock").exists())?;

        let vsctl = |words: &[&str]| {
            let db = format!("--db={database}");
            tool(directory, &[&["ovs-vsctl", &db, "--timeout=30"], words].concat())
        };
        // Its pools have 262,144 buffers.
        let mut extra = eal_arguments("ovs", pages, 2048);
        if pages == Memory::Small {
            // Otherwise it adds --in-memory, which --no-huge refuses.
            extra.push("--legacy-mem".into());
        }
        let extra = format!("other_config:dpdk-extra=\"{}\"", extra.join(" "));
        let control = format!("other_config:dpdk-lcore-mask={:#x}", 1 << CONTROL_CORE);
        let forward = format!("other_config:pmd-cpu-mask={:#x}", 1 << FORWARD_CORE);
        let set = ["--no-wait", "init", "--", "set", "Open_vSwitch", "."];
        vsctl(&[&set[..], &["other_config:dpdk-init=true", &control, &forward, &extra]].concat())?;
        let command = [
            "unshare".into(),
            "--net".into(),
            "--".into(),
            OVS.into(),
            database.clone(),
            format!("--unixctl={}", at("vswitchd.ctl")),
            "-vconsole:warn".into(),
        ];
        let mut worker = Process::start("ovs-vswitchd", &command, directory)?;
        worker.wait_until("its socket", || directory.join("vswitchd.ctl").exists())?;

        let mut words = vec!["add-br", "br", "--", "set", "bridge", "br"];
        words.extend(["datapath_type=netdev", "fail_mode=secure"]);
        for (port, number) in [("a", "ofport_request=1"), ("b", "ofport_request=2")] {
            words.extend(["--", "add-port", "br", port, "--", "set", "Interface", port]);
            words.extend(["type=dpdkvhostuser", number]);
        }
        vsctl(&words).map_err(|error| worker.explain(error))?;
        let bridge = format!("unix:{}", at("br.mgmt"));
        for (address, port) in ADDRESSES.iter().zip(1..) {
            let rule = format!("dl_dst={address},actions=output:{port}");
            tool(directory, &["ovs-ofctl", "add-flow", &bridge, &rule])?;
        }
        let sockets = ["a", "b"].map(|name| directory.join(name));
        Ok(Self { kind: Kind::Ovs, worker, others: vec![server], sockets })
    }

    /// Where its two guests connect.
    pub(super) fn sockets(&self) -> &[PathBuf; 2] {
        &self.sockets
    }

    /// Lets it forward, now that its guests are there.
    pub(super) fn go(&mut self) -> Outcome<()> {
        if self.kind == Kind::Testpmd { self.worker.say("start") } else { Ok(()) }
    }

    /// Takes it off its core.
    pub(super) fn pause(&self) -> Outcome<()> {
        self.worker.signal(Signal::SIGSTOP)
    }

    /// Puts it back.
    pub(super) fn resume(&self) -> Outcome<()> {
        self.worker.signal(Signal::SIGCONT)
    }

    /// Nanoseconds that each of its threads has run, and waited for its core.
    pub(super) fn waits(&self) -> HashMap<String, (u64, u64)> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.worker.child.id()));
        let threads = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let mut fields = text.split_whitespace().map_while(|field| field.parse().ok());
            let name = task.file_name().to_string_lossy().into_owned();
            Some((name, (fields.next()?, fields.next()?)))
        });
        threads.collect()
    }

    /// `error`, with what the program said last.
    pub(super) fn explain(&self, error: Box<dyn std::error::Error>) -> Box<dyn std::error::Error> {
        self.worker.explain(error)
    }

    /// Ends it as its user would.
    pub(super) fn end(mut self) -> Outcome<()> {
        match self.kind {
            Kind::Testpmd => self.worker.say("quit")?,
            Kind::Mvswitch | Kind::Ovs => self.worker.signal(Signal::SIGTERM)?,
        }
        self.worker.ended()?;
        for other in &mut self.others {
            other.signal(Signal::SIGTERM)?;
            other.ended()?;
        }
        Ok(())
    }
}

/// How long the thread that ran most between the two looks waited for its core.
pub(super) fn waited(
    before: &HashMap<String, (u64, u64)>,
    after: &HashMap<String, (u64, u64)>,
) -> Duration {
    let spent = after.iter().map(|(thread, &(ran, waited))| {
        let &(ran_before, waited_before) = before.get(thread).unwrap_or(&(0, 0));
        (ran.saturating_sub(ran_before), waited.saturating_sub(waited_before))
    });
    Duration::from_nanos(spent.max().unwrap_or((0, 0)).1)
}

/// Runs one of Open vSwitch's tools to its end.
fn tool(directory: &Path, command: &[&str]) -> Outcome<()> {
    let output = command_of(command, directory).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", command.join(" "), said.trim()).into())
}

/// `command`, with all files it may make below `directory`.
fn command_of(command: &[impl AsRef<std::ffi::OsStr>], directory: &Path) -> Command {
    // Dies with this thread, whatever becomes of it.
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "KILL", "--"]).args(command);
    for kind in ["RUN", "LOG", "DB", "SYSCONF"] {
        wrapped.env(format!("OVS_{kind}DIR"), directory);
    }
    wrapped.env("RUNTIME_DIRECTORY", directory);
    wrapped
}

/// A child, and the file that it says everything into.
#[derive(Debug)]
struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(name: &'static str, command: &[String], directory: &Path) -> Outcome<Self> {
        let log = directory.join(format!("{name}.log"));
        let said = File::create(&log)?;
        let mut command = command_of(command, directory);
        command.stdin(Stdio::piped()).stdout(said.try_clone()?).stderr(said);
        let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, child, log })
    }

    fn said(&self) -> String {
        fs::read(&self.log).map(|text| String::from_utf8_lossy(&text).into()).unwrap_or_default()
    }

    fn wait_for(&mut self, look: impl Fn(&str) -> bool) -> Outcome<()> {
        let log = self.log.clone();
        self.wait_until("word that it is ready", || {
            fs::read(&log).is_ok_and(|text| look(&String::from_utf8_lossy(&text)))
        })
    }

    fn wait_until(&mut self, what: &str, holds: impl Fn() -> bool) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(self.explain(format!("{}: no {what}", self.name).into()));
            }
            pause(Duration::from_millis(10));
        }
        Ok(())
    }

    fn explain(&self, error: Box<dyn std::error::Error>) -> Box<dyn std::error::Error> {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default();
        format!("{error}\n{}: {}", self.name, last.join("\n")).into()
    }

    fn say(&mut self, line: &str) -> Outcome<()> {
        let stdin = self.child.stdin.as_mut().ok_or("no standard input")?;
        Ok(writeln!(stdin, "{line}").and_then(|()| stdin.flush())?)
    }

    fn signal(&self, signal: Signal) -> Outcome<()> {
        let id = Pid::from_raw(self.child.id().try_into()?);
        kill(id, signal).map_err(|error| format!("{}: {signal}: {error}", self.name).into())
    }

    /// Waits for the end that it was asked for.
    fn ended(&mut self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait()? {
                // Open vSwitch's daemons clean up and then end by the signal, too.
                Some(status) if status.success() || status.signal() == Some(15) => return Ok(()),
                Some(status) => {
                    let error = format!("{} ended with {status}", self.name);
                    return Err(self.explain(error.into()));
                }
                None if Instant::now() > deadline => {
                    return Err(self.explain(format!("{} does not end", self.name).into()));
                }
                None => pause(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[allow(clippy::disallowed_methods, reason = "a bench has no worker to delay")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
