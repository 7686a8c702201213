//! Those who talk to the switch: `mvctl`, and lines on the control socket.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::common::{PATIENCE, Switch};

/// The program, which cargo builds beside the daemon.
#[track_caller]
pub(crate) fn mvctl_program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_mvswitch")).with_file_name("mvctl");
    assert!(program.exists(), "no mvctl: type cargo build --profile peers");
    program
}

/// What a run of `mvctl` left behind.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What it printed; it must have been carried out.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }
}

/// Runs `mvctl` to its end.
#[track_caller]
pub(crate) fn mvctl(switch: &Switch, args: &[&str]) -> Said {
    let mut command = Command::new(mvctl_program());
    Said::of(command.arg("--socket").arg(switch.socket("control.sock")).args(args))
}

/// One connection to the control socket.
#[derive(Debug)]
pub(crate) struct Line(BufReader<UnixStream>);

impl Line {
    #[track_caller]
    pub(crate) fn open(switch: &Switch) -> Self {
        let stream = UnixStream::connect(switch.socket("control.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.0.get_ref()
    }

    /// Writes as it is, without a line's end.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The next line; `None` once the switch has hung up.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// The same, if something comes within `limit`.
    pub(crate) fn hear_within(&mut self, limit: Duration) -> Option<Value> {
        self.stream().set_read_timeout(Some(limit)).unwrap();
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        self.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        read.ok().filter(|&read| read > 0)?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// Sends a line and hears its answer: the result, or the error object.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str) -> Result<Value, Value> {
        self.write(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = self.hear().unwrap_or_else(|| panic!("hung up at {line:.200}"));
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }

    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "reads better with json! at the call")]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.ask(&request(method, params).to_string())
    }
}

pub(crate) fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// The errno of an error object.
pub(crate) fn errno(error: &Value) -> &str {
    error["data"]["errno"].as_str().unwrap_or_default()
}

/// Takes out what moves by itself.
fn without_counters(mut shown: Value) -> Value {
    for one in shown.as_array_mut().unwrap() {
        one.as_object_mut().unwrap().remove("stats64");
        let extra = one["mvswitch"].as_object_mut().unwrap();
        extra.remove("drops");
        extra.remove("lower_drops");
    }
    shown
}

/// All that a switch is, byte for byte: links, lowers, config, sockets.
#[track_caller]
pub(crate) fn state(switch: &Switch) -> String {
    let links = without_counters(switch.rpc("link.show", json!({})));
    let lowers = without_counters(switch.rpc("lower.show", json!({})));
    let config = switch.rpc("config.show", json!({}));
    format!("{links:#}\n{lowers:#}\n{}\n{:?}", config["text"].as_str().unwrap(), files(switch))
}

/// What lies in the runtime directory.
pub(crate) fn files(switch: &Switch) -> BTreeSet<String> {
    let entries = std::fs::read_dir(switch.runtime_dir()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// One link, as it is shown.
#[track_caller]
pub(crate) fn link(switch: &Switch, name: &str) -> Value {
    switch.rpc("link.show", json!({ "name": name }))[0].clone()
}

/// One lower, as it is shown.
#[track_caller]
pub(crate) fn lower(switch: &Switch, name: &str) -> Value {
    switch.rpc("lower.show", json!({ "name": name }))[0].clone()
}

/// KiB of memory that the process has, without EAL's, which it shares with
/// guests: that grows with each buffer that is used for the first time.
#[track_caller]
pub(crate) fn memory(switch: &Switch) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", switch.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// KiB by which nothing that clients do may make the process grow. A thousand that come
/// at once have 8 KiB each before they are turned away.
pub(crate) const GROWTH: u64 = 16 << 10;

/// Asserts that memory has not grown by more than [`GROWTH`] since it was `before`.
#[track_caller]
pub(crate) fn has_not_grown(switch: &Switch, before: u64) {
    let now = memory(switch);
    assert!(now <= before + GROWTH, "{before} KiB have grown to {now} KiB");
}
