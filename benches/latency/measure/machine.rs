//! Facts about the machine, for whoever reads the figures later.

use std::fs;
use std::process::Command;

use mvswitch::dpdk::{Memory, clock, release};
use serde_json::{Value, json};

use super::{CONTROL_CORE, FORWARD_CORE};

/// Huge pages if there are enough for the largest program and its guests.
pub(super) fn pages() -> Memory {
    let free = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    let free: u64 =
        fs::read_to_string(free).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    if free >= 2048 { Memory::Huge } else { Memory::Small }
}

/// EAL's arguments for a program that is none of ours.
pub(super) fn eal_arguments(name: &str, pages: Memory, megabytes: u32) -> Vec<String> {
    let kind = match pages {
        Memory::Huge => ["--in-memory", "--single-file-segments"],
        Memory::Small => ["--no-huge", "--no-shconf"],
    };
    let prefix = format!("latency-{}-{name}", std::process::id());
    let megabytes = megabytes.to_string();
    let rest = ["-m", &megabytes, "--no-pci", "--no-telemetry", "--iova-mode=va", "--file-prefix"];
    kind.into_iter().chain(rest).chain([prefix.as_str()]).map(str::to_owned).collect()
}

/// Hundredths of seconds that the hypervisor took from all cores since boot.
pub(super) fn steal() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = text.lines().next().unwrap_or_default();
    all.split_whitespace().nth(8).and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// What a command prints; empty if it cannot run.
fn output(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// All of it.
pub(super) fn facts(pages: Memory) -> Value {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]);
    json!({
        "cpu": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(0, |cores| cores.get()),
        "core_control": CONTROL_CORE,
        "core_forward": FORWARD_CORE,
        "tsc_hz": clock::ticks_per_second(),
        "kernel": kernel.trim(),
        "dpdk": release(),
        "pages": if pages == Memory::Huge { "2 MiB" } else { "4 KiB" },
        "commit": if commit.is_empty() { "unknown" } else { &commit },
        "changed": !output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty(),
        "optimised": !cfg!(debug_assertions),
        "date": output("date", &["--iso-8601=seconds"]),
    })
}
