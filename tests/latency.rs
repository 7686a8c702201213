//! The latency bench runs to its end, says all that it should, and leaves
//! nothing behind. How fast anything is does not matter here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../benches/latency/measure/mod.rs"]
mod measure;

use std::time::Duration;

use measure::{Kind, Options};
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use serde_json::Value;

#[test]
fn a_short_run_is_complete() {
    let report = measure::run(&Options {
        rounds: 1,
        window: Duration::from_millis(20),
        // Open vSwitch takes longer to start than all the rest.
        programs: Kind::ALL.into_iter().filter(|&kind| kind != Kind::Ovs).collect(),
        daemon: env!("CARGO_BIN_EXE_mvswitch").into(),
    });
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    let left = waitpid(None, Some(WaitPidFlag::WNOHANG));
    assert_eq!(left, Err(Errno::ECHILD), "a process was left behind");

    let json = report.json();
    for fact in ["cpu", "kernel", "dpdk", "pages", "commit", "date"] {
        assert!(!json["machine"][fact].as_str().unwrap().is_empty(), "{fact}: {json:#}");
    }
    assert!(json["machine"]["tsc_hz"].as_u64().unwrap() > 100_000_000, "{json:#}");
    let programs: Vec<&String> = json["capacity_mpps"].as_object().unwrap().keys().collect();
    assert!(programs.iter().any(|name| *name == "mvswitch"), "{json:#}");
    let cells = json["cells"].as_array().unwrap();
    let loads: Vec<_> = cells.iter().map(|cell| (&cell["load_percent"], &cell["burst"])).collect();
    let loads: Vec<_> = loads.iter().map(|(l, b)| (l.as_u64(), b.as_u64())).collect();
    let all = [10, 50, 90].iter().flat_map(|&load| [1, 8].map(|burst| (Some(load), Some(burst))));
    assert_eq!(loads, all.collect::<Vec<_>>());
    for cell in cells {
        for &program in &programs {
            check(&cell["programs"][program], cell);
        }
    }

    let table = report.table();
    assert!(programs.iter().all(|name| table.matches(name.as_str()).count() > 6), "{table}");
}

/// One program under one load: eight windows, and figures that fit each other.
fn check(row: &Value, cell: &Value) {
    assert_eq!(row["windows"], 8, "{cell:#}");
    let left_out = row["left_out"].as_u64().unwrap();
    let median = |name: &str| row["all_windows"][name]["median"].as_f64();
    let figures = ["p50", "p90", "p99", "p99_9", "max"].map(|name| median(name).unwrap_or(0.0));
    assert!(figures.is_sorted() && figures[0] > 0.1 && figures[4] < 1e6, "{cell:#}");
    let count = |name: &str| row[name].as_u64().unwrap();
    assert_eq!(count("frames") + count("lost"), count("due"), "{cell:#}");
    // 20 ms each.
    let due = cell["rate_mpps"]["median"].as_f64().unwrap() * 20e3 * (8 - left_out) as f64;
    let slack = 16.0 + due / 50.0;
    assert!((count("due") as f64 - due).abs() <= slack, "{due} expected: {cell:#}");
}
