//! The comparison with testpmd and OVS-DPDK: it measures all three, and leaves nothing behind.
//!
//! Nothing here asks how fast anybody is: the machine that runs the tests is not quiet.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Need, Process, have, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Program("python3"),
    Need::Program("gcc"),
    Need::Program("dpdk-testpmd"),
    Need::Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"),
];

const PROGRAMS: [&str; 3] = ["mvswitch", "testpmd", "ovs"];

/// Starts and ends of six programs with their guests take the most of it.
const PATIENCE: Duration = Duration::from_secs(180);

/// `compare.sh` with `words`, on this build, with `directory` for its files.
fn compare(directory: &TempDir, words: &[&str]) -> Process {
    let mut command = Command::new("scripts/bench/compare.sh");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(words);
    command.env("MVSWITCH", env!("CARGO_BIN_EXE_mvswitch")).env("TMPDIR", directory.path());
    Process::start("compare.sh", &mut command)
}

/// Command lines of processes that have to do with `directory`.
fn processes_of(directory: &Path) -> Vec<String> {
    let own = |entry: fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(&*directory.to_string_lossy()).then_some(line)
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(own).collect()
}

#[track_caller]
fn number(of: &Value, key: &str) -> f64 {
    of[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {of}"))
}

/// All windows of a run moved frames, at a cost that a CPU can have.
#[track_caller]
fn check_run(run: &Value, windows: usize) {
    let shown = run["windows"].as_array().unwrap();
    assert_eq!(shown.len(), windows, "{run}");
    for window in shown {
        let (seconds, ticks) = (number(window, "seconds"), number(window, "ticks"));
        let (received, sent) = (number(window, "received"), number(window, "sent"));
        assert!(seconds > 0.05 && received > 0.0 && sent > 0.0, "{window}");
        // No TSC ticks faster than 10 GHz, and no core is busy for longer than there is time.
        assert!(ticks > 0.0 && ticks < seconds * 1e10, "{window}");
        // Each frame has one receiver. What is on its way may be counted on one side only.
        assert!((received - sent).abs() <= 0.1 * received + 10_000.0, "{window}");
    }
}

#[test]
fn all_three_programs_are_measured() {
    if !have("all_three_programs_are_measured", NEEDS) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let files = ["results.json", "ratios.svg", "table.md"].map(|name| directory.path().join(name));
    let [json, svg, markdown] = files.each_ref().map(|file| file.to_str().unwrap());
    let words = ["w16", "v2v-64", "--pairs", "1", "--windows", "3", "--seconds", "0.2"];
    let outputs = ["--json", json, "--svg", svg, "--markdown", markdown];
    let mut compare = compare(&directory, &[&words[..], &outputs[..]].concat());
    let status = compare.ended(PATIENCE).unwrap_or_else(|| panic!("it takes over {PATIENCE:?}"));
    assert!(status.success(), "{}", compare.stderr());

    let results: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    for fact in ["cpu", "kernel", "dpdk", "pages", "commit", "date"] {
        assert!(results["machine"][fact].as_str().is_some_and(|it| !it.is_empty()), "no {fact}");
    }
    let mhz = number(&results["machine"], "tsc_mhz");
    assert!((500.0..10_000.0).contains(&mhz), "the TSC has {mhz} MHz");
    assert_eq!(results["left_out"], serde_json::json!({}));
    let scenarios = results["scenarios"].as_array().unwrap();
    let names: Vec<&str> = scenarios.iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["W16", "V2V-64"]);
    for scenario in scenarios {
        let runs = scenario["runs"].as_array().unwrap();
        assert_eq!(runs.len(), PROGRAMS.len());
        runs.iter().for_each(|run| check_run(run, 3));
        for program in PROGRAMS {
            let cycles = number(&scenario["columns"][program], "cycles");
            assert!((5.0..100_000.0).contains(&cycles), "{program}: {cycles} cycles per frame");
        }
        for ratio in ["mvswitch/testpmd", "ovs/mvswitch"] {
            assert!(number(&scenario["ratios"][ratio], "median") > 0.0, "{ratio}");
        }
        assert!(scenario["goals"].as_array().is_some_and(|goals| goals.len() == 2));
    }
    let table = fs::read_to_string(markdown).unwrap();
    assert!(names.iter().all(|name| table.contains(&format!("| {name} |"))), "{table}");
    assert!(fs::read_to_string(svg).unwrap().starts_with("<svg"));

    assert_eq!(processes_of(directory.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), files.len());
}

#[test]
fn an_end_in_the_middle_ends_everything() {
    if !have("an_end_in_the_middle_ends_everything", NEEDS) {
        return;
    }
    for (signal, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGTERM, Some(143))] {
        let directory = tempfile::tempdir().unwrap();
        let mut compare = compare(&directory, &["v2v-64", "--pairs", "1", "--windows", "100"]);
        let runs =
            || processes_of(directory.path()).iter().any(|it| it.contains("net_virtio_user"));
        wait_until("a run", Duration::from_secs(30), runs);
        compare.signal(signal);
        let status = compare.ended(Duration::from_secs(20)).unwrap();
        assert_eq!(status.code(), code, "{signal}: {}", compare.stderr());
        assert_eq!(processes_of(directory.path()), Vec::<String>::new(), "{signal}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{signal}");
    }
}

#[test]
fn what_is_wrong_with_the_words_is_said() {
    let needs = [Need::Program("python3"), Need::Program("gcc"), Need::Program("dpdk-testpmd")];
    if !have("what_is_wrong_with_the_words_is_said", &needs) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for (words, complaint) in [
        (["w17", "--pairs=1"], "there is no scenario w17"),
        (["w1", "--cores=1,1"], "two different"),
    ] {
        let mut compare = compare(&directory, &words);
        let status = compare.ended(Duration::from_secs(60)).unwrap();
        assert_eq!(status.code(), Some(1));
        assert!(compare.stderr().contains(complaint), "{}", compare.stderr());
    }
}
