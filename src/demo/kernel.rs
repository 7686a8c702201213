//! The kernel's own macvlan driver, asked the same question as the switch: who
//! reaches whom in this mode?
//!
//! Used by the demo, where it may: it needs the rights to make network
//! namespaces, the program `ip` and the driver. Everything happens in namespaces
//! that vanish with the answer: a bridge with reflective relay (or without) is
//! the wire, and two links on a veth pair are the guests. Never touches the
//! machine's own interfaces.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

/// What the two links' guests and the host on the wire could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The guests reach each other, both ways. False where there is but one.
    pub guests: bool,
    /// Every guest reaches the wire.
    pub wire: bool,
}

const WIRE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const GUESTS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 11)];
const PORT: u16 = 4789;
const WIRE_MAC: &str = "02:00:00:00:00:01";

/// A probe that has not come by then does not come: address resolution
/// included, it takes far less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(300);

/// Probes of a way that is there in every mode.
const TRIES: u32 = 10;

/// Builds two links (one in passthru mode) in `mode` and tries who reaches whom.
/// In source mode each lists the host on the wire alone.
///
/// # Errors
/// One sentence: what is missing to ask the kernel.
pub fn ask(mode: &str, hairpin: bool) -> Result<Reach, String> {
    let guests = if mode == "passthru" { 1 } else { GUESTS.len() };
    let mode = mode.to_owned();
    // The namespace is its thread's: this one keeps the machine's.
    std::thread::spawn(move || build(&mode, hairpin, guests))
        .join()
        .map_err(|_| "the comparison failed".to_owned())?
}

fn build(mode: &str, hairpin: bool, guests: usize) -> Result<Reach, String> {
    enter_namespace()?;
    let hairpin = if hairpin { "on" } else { "off" };
    for words in [
        "link add low0 type veth peer name w0".to_owned(),
        format!("link add br0 address {WIRE_MAC} type bridge"),
        "link set w0 master br0".to_owned(),
        format!("link set w0 type bridge_slave hairpin {hairpin}"),
        format!("addr add {WIRE}/24 dev br0"),
        "link set low0 up".to_owned(),
        "link set w0 up".to_owned(),
        "link set br0 up".to_owned(),
    ] {
        ip(&words)?;
    }
    let wire = socket()?;
    let addresses = GUESTS.get(..guests).unwrap_or_default();
    let mut sockets = Vec::new();
    for (number, &address) in addresses.iter().enumerate() {
        let list = if mode == "source" { format!("macaddr add {WIRE_MAC}") } else { String::new() };
        ip(&format!("link add link low0 name m{number} type macvlan mode {mode} {list}"))?;
        sockets.push(guest(number, address)?);
    }
    let mut reach = Reach { guests: guests > 1, wire: true };
    for (from, &address) in sockets.iter().zip(addresses) {
        reach.wire &= arrives_at_last(from, &wire, WIRE)? && arrives_at_last(&wire, from, address)?;
    }
    for (from, &address) in sockets.iter().zip(addresses) {
        for (to, &other) in sockets.iter().zip(addresses).filter(|&(_, &other)| other != address) {
            reach.guests &= arrives(from, to, other)?;
        }
    }
    Ok(reach)
}

/// Moves link `number` into a namespace of its own; the socket keeps that alive.
fn guest(number: usize, address: Ipv4Addr) -> Result<UdpSocket, String> {
    let (entered, thread_id) = channel();
    let (moved, go_on) = channel();
    let thread = std::thread::spawn(move || in_guest(number, address, &entered, &go_on));
    let placed = match thread_id.recv() {
        Ok(id) => ip(&format!("link set m{number} netns {id}")),
        Err(_) => Ok(()),
    };
    if placed.is_ok() {
        // The thread may have ended: then its own error says why.
        _ = moved.send(());
    }
    drop(moved);
    let socket = thread.join().map_err(|_| "the comparison failed".to_owned())?;
    placed.and(socket)
}

fn in_guest(
    number: usize,
    address: Ipv4Addr,
    entered: &Sender<i32>,
    go_on: &Receiver<()>,
) -> Result<UdpSocket, String> {
    enter_namespace()?;
    let gone = "the comparison was given up";
    entered.send(gettid().as_raw()).map_err(|_| gone)?;
    go_on.recv().map_err(|_| gone)?;
    ip(&format!("addr add {address}/24 dev m{number}"))?;
    ip(&format!("link set m{number} up"))?;
    socket()
}

fn enter_namespace() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("no network namespace may be made here ({error})"))
}

fn socket() -> Result<UdpSocket, String> {
    let failed = |error: std::io::Error| format!("no socket: {error}");
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).map_err(failed)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    Ok(socket)
}

/// Whether a datagram from one socket to `address` comes out of the other.
fn arrives(from: &UdpSocket, to: &UdpSocket, address: Ipv4Addr) -> Result<bool, String> {
    let probe = format!("{:?}", std::time::Instant::now());
    from.send_to(probe.as_bytes(), (address, PORT))
        .map_err(|error| format!("a probe could not be sent: {error}"))?;
    let mut place = [0; 128];
    // A probe that came late belongs to an earlier question.
    while let Ok((len, _)) = to.recv_from(&mut place) {
        if place.get(..len) == Some(probe.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same, where it is expected, of several datagrams: the kernel brings
/// interfaces up when it has the time, and what comes earlier is lost.
fn arrives_at_last(from: &UdpSocket, to: &UdpSocket, address: Ipv4Addr) -> Result<bool, String> {
    for _ in 0..TRIES {
        if arrives(from, to, address)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split_whitespace()).output();
    let output = output.map_err(|error| format!("the program ip does not start: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {words}: {}", said.lines().next().unwrap_or("failed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the kernel can be asked it gives what every mode promises.
    #[test]
    fn the_kernel_answers() {
        for (mode, hairpin, guests) in [
            ("bridge", false, true),
            ("private", true, false),
            ("vepa", true, true),
            ("vepa", false, false),
            ("passthru", false, false),
            ("source", true, false),
        ] {
            match ask(mode, hairpin) {
                Ok(reach) => assert_eq!(reach, Reach { guests, wire: true }, "{mode}"),
                Err(why) => {
                    use std::io::Write;
                    assert!(std::env::var_os("CI").is_none(), "{why}");
                    _ = writeln!(std::io::stderr(), "SKIPPED: the_kernel_answers: {why}");
                    return;
                }
            }
        }
    }
}
