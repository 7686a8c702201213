//! A demo guest: one host behind a virtio-user port, in a process of its own.
//!
//! Run by the hidden command `demo-guest`. It reads commands from standard
//! input, a line each, and answers each with one line:
//! `ping ADDRESS COUNT` → `REPLIES MEDIAN-MICROSECONDS`. It ends with its input.

use std::io::{BufRead, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, TryRecvError, unbounded};
use macvlan::mac::MacAddr;

use super::host::{Host, Pings};
use crate::dpdk::{Burst, Eal, EalOptions, EthOptions, EthPort, Lcore, Memory, Pool};

/// Who the guest is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The switch's socket.
    pub socket: PathBuf,
    /// Its IPv4 address.
    pub address: Ipv4Addr,
    /// Length of the address' prefix in bits.
    pub prefix: u8,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Memory of its own, in MiB.
    pub memory_mb: u32,
    /// CPU its EAL starts on.
    pub core: usize,
    /// A directory of its own for what EAL writes.
    pub runtime_dir: PathBuf,
}

/// Runs the guest until standard input ends.
///
/// # Errors
/// One sentence: EAL, the pool or the port failed.
pub fn run(options: &Options) -> Result<(), String> {
    let eal = Eal::start(&EalOptions {
        name: format!("guest-{}", options.address),
        runtime_dir: options.runtime_dir.clone(),
        control_core: options.core,
        memory: Memory::Small,
        memory_mb: options.memory_mb,
        pci: Vec::new(),
        extra: Vec::new(),
    });
    let _eal = eal.map_err(|error| format!("the demo guest cannot start: {error}"))?;
    let pool = Pool::new("guest", 2047, 2048).map_err(|error| error.to_string())?;
    let device = format!("net_virtio_user0,path={},mac={}", options.socket.display(), options.mac);
    let eth =
        EthOptions { queues: 1, users: u16::MAX, descriptors: 256, mtu: 1500, promiscuous: false };
    let pool = Arc::new(pool);
    let port = EthPort::attach(&device, &eth, &pool).map_err(|error| {
        format!("the demo guest cannot attach to {}: {error}", options.socket.display())
    })?;

    let (lines, commands) = unbounded();
    std::thread::spawn(move || {
        let input = std::io::stdin().lock().lines().map_while(Result::ok);
        // Ends when the guest does.
        input.take_while(|line| lines.send(line.clone()).is_ok()).for_each(drop);
    });
    let served = std::thread::scope(|scope| {
        // On a thread of its own: the main one is an lcore already.
        scope.spawn(|| serve(options, &port, &pool, &commands)).join()
    });
    served.map_err(|_| "the demo guest failed".to_owned())?
}

fn serve(
    options: &Options,
    port: &EthPort,
    pool: &Pool,
    commands: &Receiver<String>,
) -> Result<(), String> {
    let lcore = Lcore::helper().map_err(|error| error.to_string())?;
    let new_host = || Host::new(options.mac, options.address, options.prefix, 1500);
    let mut host = new_host();
    let mut burst = Burst::new();
    let mut pings: Option<Pings> = None;
    answer("ready")?;
    loop {
        match commands.try_recv() {
            Ok(line) => match parse_ping(&line) {
                // A new series begins with an empty neighbour table, so that
                // it shows what a new conversation would.
                Some(series) => {
                    host = new_host();
                    pings = Some(series);
                }
                None => answer("?")?,
            },
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {}
        }
        let mut moved = port.rx(0, &mut burst) > 0;
        burst.drain().for_each(|frame| host.input(frame.bytes()));
        let sent: Vec<Vec<u8>> = host.poll().collect();
        for frame in sent.iter().filter_map(|frame| pool.frame(frame)) {
            moved = true;
            drop(burst.push(frame));
            port.tx(&lcore, &mut burst);
            burst.clear();
        }
        if let Some(series) = &mut pings
            && series.step(&mut host)
        {
            let mut times = series.replies.clone();
            times.sort();
            let median = times.get(times.len() / 2).map_or(0, Duration::as_micros);
            answer(&format!("{} {median}", times.len()))?;
            pings = None;
        }
        if !moved {
            std::thread::park_timeout(Duration::from_micros(100));
        }
    }
}

fn parse_ping(line: &str) -> Option<Pings> {
    let mut words = line.split_whitespace();
    let series = match (words.next()?, words.next(), words.next()) {
        ("ping", Some(address), Some(count)) => {
            Pings::new(address.parse().ok()?, count.parse().ok()?)
        }
        _ => return None,
    };
    words.next().is_none().then_some(series)
}

fn answer(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|error| format!("nobody reads the demo guest's answers: {error}"))
}
