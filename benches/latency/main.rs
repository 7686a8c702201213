//! Round-trip latency through mvswitch, testpmd io and OVS-DPDK in turn.
//!
//! `scripts/bench/latency.sh` builds and runs it; docs/latency.md says what is
//! measured and how to read it. This file is the command line and the exit code.
#![allow(missing_docs, reason = "a program")]

mod measure;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use measure::{Kind, Options};

/// Round-trip latency of mvswitch beside testpmd io and OVS-DPDK.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often all programs are started anew and measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one window in milliseconds; a program has eight for each load and round.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    window: u64,
    /// Measure these alone, in this order.
    #[arg(long = "program", value_name = "NAME", value_enum)]
    programs: Vec<Kind>,
    /// Write all figures to FILE.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        rounds: arguments.rounds,
        window: Duration::from_millis(arguments.window),
        programs: if arguments.programs.is_empty() { Kind::ALL.into() } else { arguments.programs },
        daemon: env!("CARGO_BIN_EXE_mvswitch").into(),
    };
    let written = measure::run(&options).and_then(|report| {
        print!("{}", report.table());
        if let Some(file) = &arguments.json {
            std::fs::write(file, format!("{:#}\n", report.json()))
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
        Ok(())
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
