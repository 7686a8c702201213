//! The command line of the daemon: what each command does, and its exit code.
//!
//! Called by `main` alone. 0 fine, 1 a failure at run time, 2 a usage or config
//! error. Standard output carries what was asked for, the log goes to standard
//! error.

pub mod args;
mod demo;
mod doctor;
mod import;
mod netlink;
mod run;
mod stats;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mvctl::runtime_dir;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::demo::guest;
use args::{Args, Command};

/// Why a command ends: the exit code and what to say.
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn runtime(message: impl ToString) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    fn usage(message: impl ToString) -> Self {
        Self { code: 2, message: message.to_string() }
    }
}

/// Carries out the command.
pub fn main(args: Args) -> ExitCode {
    start_log(&args.log_level);
    let result = match args.command {
        Some(Command::Check(check)) => check_config(&check.config),
        Some(Command::Doctor(doctor)) => doctor::run(&doctor),
        Some(Command::Import(import)) => import::run(&import),
        Some(Command::Schema) => schema(),
        Some(Command::Demo(demo)) => demo::run(&demo),
        Some(Command::DemoGuest(options)) => demo::guest_options(&options)
            .and_then(|options| guest::run(&options))
            .map_err(Failure::runtime),
        None => run::run(args.run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn check_config(path: &Path) -> Result<(), Failure> {
    let (config, _) = load(path, None)?;
    println!(
        "{}: fine ({} lowers, {} links)",
        path.display(),
        config.lowers.len(),
        config.links.len()
    );
    Ok(())
}

/// The JSON Schema of the config on standard output.
fn schema() -> Result<(), Failure> {
    let schema = serde_json::to_string_pretty(&crate::config::schema());
    print(&format!("{}\n", schema.map_err(Failure::runtime)?));
    Ok(())
}

/// What was asked for, on standard output. A reader that has gone away is no
/// reason to end with an error.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The config, and the runtime directory that its sockets are below.
fn load(path: &Path, runtime_dir: Option<&Path>) -> Result<(Config, PathBuf), Failure> {
    let mut config = Config::load(path).map_err(Failure::usage)?;
    let runtime_dir = runtime_dir::resolve(runtime_dir, config.switch.runtime_dir.as_deref());
    config.resolve_sockets(&runtime_dir).map_err(Failure::usage)?;
    Ok((config, runtime_dir))
}

/// Log lines go to standard error. `level` is a level or a filter such as
/// `info,dpdk=debug`.
fn start_log(level: &str) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .with_target(true)
        .init();
}
