//! The switch under test, as a user starts, asks and stops it.
//!
//! Owns one `mvswitch` process and its directory. Every test ends it with
//! [`Switch::stop`], which holds what must be true after any run: it stops in
//! time, every frame is accounted for, no buffer is missing, no socket is left,
//! and nothing was complained about that the test did not expect.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Metrics, PATIENCE, PortCounters, Process, at_rest, wait_until};

/// A clean stop takes less than this.
const STOP: Duration = Duration::from_secs(2);

/// The last line of a clean stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// Frames received by all ports.
    pub(crate) received: u64,
    /// Further copies made of them.
    pub(crate) copies: u64,
    /// Frames delivered by all ports.
    pub(crate) delivered: u64,
    /// Frames dropped, each with a reason.
    pub(crate) dropped: u64,
    /// Buffers not back in the pool.
    pub(crate) mbufs_in_use: u64,
}

/// A running switch.
#[derive(Debug)]
pub(crate) struct Switch {
    process: Process,
    directory: TempDir,
    metrics: SocketAddr,
    allowed: Vec<String>,
}

impl Switch {
    /// Starts a switch with this config; the harness adds where metrics are served.
    #[track_caller]
    pub(crate) fn start(config: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("mvswitch-").tempdir().unwrap();
        // Free now, and nobody else on a test machine hunts for ports.
        let metrics = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap();
        let file = directory.path().join("test.toml");
        fs::write(&file, format!("{config}\n[metrics]\nlisten = \"{metrics}\"\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvswitch"));
        command.arg("-c").arg(&file).arg("--runtime-dir").arg(directory.path().join("run"));
        let process = Process::start("mvswitch", &mut command);
        let ready = |said: &str| said.lines().any(|line| line.starts_with("ready")).then_some(());
        process.expect("line that begins with ready", 0, PATIENCE, ready);
        Self { process, directory, metrics, allowed: Vec::new() }
    }

    /// Says that a complaint in the log with `text` in it is expected.
    pub(crate) fn allow(&mut self, text: &str) {
        self.allowed.push(text.to_owned());
    }

    /// The directory of the control socket and of the guests' sockets.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// Where the socket `name` of the config is.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.runtime_dir().join(name)
    }

    /// The file it was started with.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("test.toml")
    }

    /// Where metrics are served.
    pub(crate) fn metrics_address(&self) -> SocketAddr {
        self.metrics
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Tells it something by a signal.
    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// True once it has ended by itself, with success.
    #[track_caller]
    pub(crate) fn has_ended(mut self) -> bool {
        self.process.ended(STOP).is_some_and(|status| status.success())
    }

    /// What it has said on standard error so far.
    pub(crate) fn log(&self) -> String {
        self.process.stderr()
    }

    /// What it has said on standard output so far.
    pub(crate) fn said(&self) -> String {
        self.process.stdout()
    }

    /// One JSON-RPC call; panics when it is refused.
    #[track_caller]
    pub(crate) fn rpc(&self, method: &str, params: Value) -> Value {
        self.try_rpc(method, params).unwrap_or_else(|error| panic!("{method} was refused: {error}"))
    }

    /// One JSON-RPC call: the result, or the error object.
    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "reads better with json! at the call")]
    pub(crate) fn try_rpc(&self, method: &str, params: Value) -> Result<Value, Value> {
        let mut stream = UnixStream::connect(self.socket("control.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        writeln!(stream, "{request}").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        let mut answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("{method}: {e}: {line:?}"));
        assert_eq!(answer["id"], 1, "{answer}");
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }

    /// Scrapes `/metrics`.
    #[track_caller]
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::scrape(self.metrics)
    }

    /// The counters of one port.
    #[track_caller]
    pub(crate) fn port(&self, port: &str) -> PortCounters {
        self.metrics().port(port)
    }

    /// The counters of `ports` once they no longer move.
    #[track_caller]
    pub(crate) fn ports_at_rest<const N: usize>(&self, ports: [&str; N]) -> [PortCounters; N] {
        at_rest(Duration::from_millis(200), || {
            let metrics = self.metrics();
            ports.map(|port| metrics.port(port))
        })
    }

    /// Waits until the guest of each port is connected, or gone.
    #[track_caller]
    pub(crate) fn wait_up(&self, ports: &[&str], up: bool) {
        wait_until(&format!("{ports:?} up = {up}"), PATIENCE, || {
            let metrics = self.metrics();
            ports.iter().all(|port| metrics.is_up(port) == up)
        });
    }

    /// How many descriptors the process has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// Stops it as an operator does and checks all that must hold after any run.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Stopped {
        assert!(self.process.is_running(), "mvswitch ended before it was stopped");
        let asked = Instant::now();
        self.process.signal(Signal::SIGTERM);
        let status = self.process.ended(STOP).unwrap_or_else(|| panic!("no stop within {STOP:?}"));
        assert!(status.success(), "stopped with {status} after {:?}", asked.elapsed());

        let said = self.process.stdout();
        let last = said.lines().last().unwrap_or_default();
        let stopped = parse_stopped(last).unwrap_or_else(|| panic!("last line: {last:?}"));
        assert_eq!(
            stopped.received + stopped.copies,
            stopped.delivered + stopped.dropped,
            "frames appeared or vanished: {last}"
        );
        assert_eq!(stopped.mbufs_in_use, 0, "buffers are missing: {last}");
        assert_eq!(sockets_below(&self.runtime_dir()), Vec::<PathBuf>::new(), "sockets are left");

        let log = self.process.stderr();
        let complaint = |line: &&str| {
            let serious = line.contains(" ERROR ") || line.contains(" WARN ");
            serious && !self.allowed.iter().any(|text| line.contains(text.as_str()))
        };
        let complaints: Vec<&str> = log.lines().filter(complaint).collect();
        assert!(complaints.is_empty(), "complaints in the log:\n{}", complaints.join("\n"));
        stopped
    }
}

/// `stopped  received R  copies C  delivered D  dropped X  mbufs_in_use N`
fn parse_stopped(line: &str) -> Option<Stopped> {
    let mut words = line.strip_prefix("stopped ")?.split_whitespace();
    let mut number = |name: &str| {
        (words.next()? == name).then_some(())?;
        words.next()?.parse().ok()
    };
    Some(Stopped {
        received: number("received")?,
        copies: number("copies")?,
        delivered: number("delivered")?,
        dropped: number("dropped")?,
        mbufs_in_use: number("mbufs_in_use")?,
    })
}

/// Every socket in `directory` and below it.
fn sockets_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_socket() => vec![entry.path()],
        Ok(kind) if kind.is_dir() => sockets_below(&entry.path()),
        _ => Vec::new(),
    };
    entries.flat_map(below).collect()
}
