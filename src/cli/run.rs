//! The main command: run the switch until a signal ends it.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use mvctl::runtime_dir;
use nix::sys::signal::{SigSet, Signal};

use super::args::RunArgs;
use super::{Failure, load, stats};
use crate::api::access::Rights;
use crate::control::{Handle, StartError, Switch};
use crate::{api, config, dpdk, metrics};

/// A stop that takes longer than this is cut short.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(args: RunArgs) -> Result<(), Failure> {
    let path = &args.config;
    let (config, runtime_dir) = load(path, args.runtime_dir.as_deref())?;
    for word in &args.eal {
        config::check_eal_arg(config.eal.memory, word).map_err(Failure::usage)?;
    }
    runtime_dir::prepare(&runtime_dir).map_err(Failure::runtime)?;
    let rights = Rights::new(&config.control).map_err(Failure::usage)?;
    // Before any thread starts: all of them inherit it.
    let signals = block_signals();
    let metrics_listener = match config.metrics {
        Some(address) => Some(TcpListener::bind(address).map_err(|error| {
            let advice = "name another address in [metrics] listen";
            Failure::runtime(format!("cannot serve metrics on {address}: {error}; {advice}"))
        })?),
        None => None,
    };
    let metrics_address = metrics_listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let name = config.switch.name.clone();

    let mut switch =
        Switch::start(config, runtime_dir.clone(), &args.eal).map_err(|error| match error {
            StartError::Config(message) => Failure::usage(format!("{}: {message}", path.display())),
            StartError::Runtime(message) => Failure::runtime(message),
        })?;
    let registry = metrics::registry(switch.inventory()).map_err(Failure::runtime)?;
    let control_socket = runtime_dir.join(runtime_dir::CONTROL_SOCKET);
    let options = api::Options {
        control_socket: control_socket.clone(),
        metrics: metrics_listener,
        registry,
        rights,
    };
    let api = match api::spawn(switch.handle(), options) {
        Ok(api) => api,
        Err(error) => {
            _ = switch.stop();
            return Err(Failure::runtime(error));
        }
    };
    follow(signals, switch.handle());
    let table = args.stats_period.map(|period| stats::Table::start(period, switch.inventory()));

    print_banner(&name, &switch, &control_socket, metrics_address);
    switch.run();

    // The table's last lines come before the summary.
    drop(table);
    api.stop();
    let summary = switch.stop();
    say(&format!(
        "stopped  received {}  copies {}  delivered {}  dropped {}  mbufs_in_use {}",
        summary.received, summary.copies, summary.delivered, summary.dropped, summary.mbufs_in_use
    ));
    if summary.is_balanced() {
        Ok(())
    } else {
        Err(Failure::runtime("frames or buffers are unaccounted for: this is a bug of mvswitch"))
    }
}

fn print_banner(
    name: &str,
    switch: &Switch,
    control_socket: &Path,
    metrics: Option<std::net::SocketAddr>,
) {
    say(&format!(
        "mvswitch {} (DPDK {})  {name}  memory: {}",
        env!("CARGO_PKG_VERSION"),
        dpdk::release(),
        switch.profile.describe()
    ));
    switch.describe().iter().for_each(|line| say(line));
    for worker in &switch.inventory().load().workers {
        let core = worker.core.map_or_else(|| "any".to_owned(), |core| core.to_string());
        say(&format!(
            "worker {}  core {core}   control core {}",
            worker.index, switch.control_core
        ));
    }
    let metrics =
        metrics.map_or_else(String::new, |address| format!("   metrics http://{address}/metrics"));
    say(&format!("control {}{metrics}", control_socket.display()));
    say("ready    attach guests, or try: mvswitch demo");
}

/// A reader that has gone away is no reason to end.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn block_signals() -> SigSet {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGHUP);
    // Cannot fail for these; and without it a signal would merely end us at once.
    _ = signals.thread_block();
    signals
}

/// SIGHUP reads the config again. The first other signal ends the switch in
/// order, the second at once.
fn follow(signals: SigSet, control: Handle) {
    let wait = move || {
        while signals.wait() == Ok(Signal::SIGHUP) {
            control.reload();
        }
        control.stop();
        thread::spawn(|| {
            thread::park_timeout(PATIENCE);
            eprintln!("the stop took too long and was cut short");
            std::process::exit(1);
        });
        while signals.wait() == Ok(Signal::SIGHUP) {}
        std::process::exit(1);
    };
    // Without the thread a signal stays pending and SIGKILL is needed.
    if let Err(error) = thread::Builder::new().name("mv-signals".to_owned()).spawn(wait) {
        tracing::error!("signals cannot be waited for: {error}");
    }
}
