//! The control plane of a running switch: latency of operations, operations a
//! second, what is shown, memory.
//!
//! `cargo bench --bench control [LINKS]`, 1,000 by default. Starts the switch of
//! the same profile on a demo wire, in a directory of its own; needs no rights.
//! From request to answer, over the control socket: the answer to a change is
//! given once its plan is published. Figures of a shared machine mean little
//! alone: run it several times.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a set-up that cannot fail; small numbers"
)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mvctl::client::Client;
use mvctl::proto::Request;
use serde_json::{Value, json};

struct Switch {
    process: Child,
    client: Client,
    dir: tempfile::TempDir,
}

impl Switch {
    fn start(links: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config =
            "[eal]\nmemory = \"4k\"\n[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n".to_owned();
        for link in 0..links {
            write!(config, "[[macvlan]]\nname = \"mv{link}\"\nlink = \"lan0\"\n").unwrap();
        }
        let file = dir.path().join("bench.toml");
        std::fs::write(&file, config).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_mvswitch"))
            .args(["--log-level", "error", "-c"])
            .arg(&file)
            .arg("--runtime-dir")
            .arg(dir.path().join("run"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("ready")), "it did not start");
        let client = Client::connect(&dir.path().join("run/control.sock")).unwrap();
        Self { process, client, dir }
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let request = Request::new(method, Some(params)).unwrap();
        serde_json::to_value(self.client.call(&request).unwrap()).unwrap()
    }

    /// KiB of memory that are its own.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.process.id());
        let text = std::fs::read_to_string(path).unwrap();
        let kib = |key: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        // Buffers and rings are shared memory.
        kib("Private_Dirty:")
    }

    fn stop(mut self) {
        _ = self.call("shutdown", json!({}));
        self.process.wait().unwrap();
    }
}

/// Median and 99th percentile of so many calls, in microseconds.
fn measure(name: &str, count: usize, mut operation: impl FnMut(usize)) {
    let begun = Instant::now();
    let mut times: Vec<Duration> = (0..count)
        .map(|number| {
            let start = Instant::now();
            operation(number);
            start.elapsed()
        })
        .collect();
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |part: usize| times.get(count * part / 100).unwrap().as_micros();
    println!("{name:<28} median {:>6} us   p99 {:>6} us   {rate:>8.0} a second", at(50), at(99));
}

fn main() {
    let links = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1000_usize);
    let empty = Switch::start(0);
    let base = empty.memory();
    empty.stop();
    let mut switch = Switch::start(links);
    println!("{links} links on one lower");
    let each = switch.memory().saturating_sub(base) * 1024 / links as u64;
    println!("{:<28} {each} bytes of private memory", "each link");

    let name = |number: usize| format!("mv{}", number % links);
    measure("version", 2000, |_| _ = switch.call("version", json!({})));
    measure("link.set mtu", 5000, |it| {
        _ = switch.call("link.set", json!({"name": name(it), "mtu": 1400 + it % 2}));
    });
    measure("link.set mode", 5000, |it| {
        let mode = if it % 2 == 0 { "private" } else { "bridge" };
        _ = switch.call("link.set", json!({"name": name(it), "mode": mode}));
    });
    measure("link.set address", 5000, |it| {
        let address = format!("02:00:00:01:{:02x}:{:02x}", it >> 8 & 0xff, it & 0xff);
        _ = switch.call("link.set", json!({"name": name(it), "address": address}));
    });
    measure("link.add, link.del", 500, |it| {
        let name = format!("new{it}");
        _ = switch.call("link.add", json!({"name": name, "link": "lan0"}));
        _ = switch.call("link.del", json!({"name": name}));
    });
    let batch = |first: usize| {
        let requests = (first..first + 500).map(
            |it| json!({"method": "link.set", "params": {"name": name(it), "mtu": 1300 + it % 97}}),
        );
        json!({"requests": requests.collect::<Vec<_>>()})
    };
    let batches: Vec<Value> = (0..100).map(|it| batch(it * 500)).collect();
    let begun = Instant::now();
    for batch in batches {
        _ = switch.call("batch", batch);
    }
    let rate = 50_000.0 / begun.elapsed().as_secs_f64();
    println!("{:<28} {rate:>8.0} operations a second", "batch of 500 link.set mtu");
    measure("link.show", 50, |_| _ = switch.call("link.show", json!({})));
    let mvctl = Path::new(env!("CARGO_BIN_EXE_mvswitch")).with_file_name("mvctl");
    if mvctl.exists() {
        let socket = switch.dir.path().join("run/control.sock");
        measure("mvctl -j link show", 50, |_| {
            let mut mvctl = Command::new(&mvctl);
            let mvctl = mvctl.arg("--socket").arg(&socket).args(["-j", "link", "show"]);
            assert!(mvctl.stdout(Stdio::null()).status().unwrap().success());
        });
    } else {
        println!("mvctl -j link show: build it first: cargo build --release -p mvctl");
    }
    switch.stop();
}
