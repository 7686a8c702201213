//! The daemon: parse, call, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    mvswitch::cli::main(mvswitch::cli::args::Args::parse())
}
