//! What runs inside the guest beside the switch: this test program once more.
//!
//! Owns the packet sockets there. The rig copies the program into the guest and
//! runs the test `agent` with [`TASK`] set; on the machine that tests there is
//! no task. `listen` writes down every frame of ours that an interface gets,
//! `send INTERFACE FRAME…` sends some.

use std::io::Write;
use std::time::Duration;

use nix::net::if_::{if_indextoname, if_nametoindex};

use super::frames::{KIND, hex, unhex};
use super::packets::Packets;

/// Tells the agent what to do.
pub(crate) const TASK: &str = "MVSWITCH_NIC_AGENT";

/// Begins a line about a frame.
pub(crate) const SEEN: &str = "seen ";

/// Does what it was told to.
pub(crate) fn run(task: &str) {
    let mut words = task.split_whitespace();
    match words.next() {
        Some("listen") => listen(),
        Some("send") => {
            let index = if_nametoindex(words.next().unwrap()).unwrap();
            let mut packets = Packets::open();
            for frame in words {
                packets.send(index, &unhex(frame)).unwrap();
            }
        }
        other => panic!("no task {other:?}"),
    }
}

/// Until it is killed.
fn listen() {
    let mut packets = Packets::open();
    let mut out = std::io::stdout();
    loop {
        packets.wait(Duration::from_millis(100));
        let mut lines = String::new();
        for seen in packets.tapped() {
            // Behind up to two tags.
            let ours = [12, 16, 20].iter().any(|&at| seen.bytes.get(at..at + 2) == Some(&KIND));
            if ours && let Ok(name) = if_indextoname(seen.index) {
                lines += &format!("{SEEN}{} {}\n", name.to_string_lossy(), hex(&seen.bytes));
            }
        }
        // Not by print!, which the test runner may hold back.
        out.write_all(lines.as_bytes()).and_then(|()| out.flush()).unwrap();
        // They are not asked for, and would keep the wait from waiting.
        packets.passed();
    }
}
