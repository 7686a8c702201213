//! The far end of a guest's network cable: a Unix socket to QEMU.
//!
//! Owns the socket and what came out of the card so far. Used by the rig. Each
//! frame is preceded by its length, as QEMU's `-netdev stream` has it; nothing
//! is lost or reordered here.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::common::{PATIENCE, wait_for};

/// A frame that is on its way for longer is lost.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A plug that no card is in yet.
#[derive(Debug)]
pub(crate) struct Plug(UnixListener);

impl Plug {
    pub(crate) fn new(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// Waits for the card.
    #[track_caller]
    pub(crate) fn wire(self) -> Wire {
        let stream = wait_for("QEMU at the wire", PATIENCE, || self.0.accept().ok()).0;
        stream.set_nonblocking(false).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let (sender, frames) = channel();
        let mut from = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut length = [0; 4];
            // Until QEMU ends or nobody listens any more.
            while from.read_exact(&mut length).is_ok() {
                let mut frame = vec![0; u32::from_be_bytes(length) as usize];
                if from.read_exact(&mut frame).is_err() || sender.send(frame).is_err() {
                    return;
                }
            }
        });
        Wire { stream, frames }
    }
}

/// A wire with a card at its other end.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: UnixStream,
    frames: Receiver<Vec<u8>>,
}

impl Wire {
    /// Puts a frame onto the wire.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        self.stream.write_all(&[&length, frame].concat()).unwrap();
    }

    /// What came out of the card until `last` holds for a frame, that one included.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, last: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + ARRIVAL;
        let mut seen = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(frame) = self.frames.recv_timeout(left) else {
                panic!("no {what} on the wire within {ARRIVAL:?}, but {seen:02x?}")
            };
            let done = last(&frame);
            seen.push(frame);
            if done {
                return seen;
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Ends the reader, too.
        _ = self.stream.shutdown(Shutdown::Both);
    }
}
