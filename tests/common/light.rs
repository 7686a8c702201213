//! A light guest: the driver's end of a vhost-user socket and nothing else.
//!
//! Owns a memfd of 64 KiB with two rings in it, which it reads and writes as a
//! file: hundreds of them cost next to nothing. It sends single frames and takes
//! none. Rings are virtio 1.2's split virtqueues, messages vhost-user's.

use std::fs::File;
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{Ordering, fence};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Descriptors in each ring.
const SIZE: u16 = 16;
/// Where a ring's parts are, from its own beginning.
const RING: u64 = 0x4000;
const AVAIL: u64 = 0x1000;
const USED: u64 = 0x2000;
/// Where frames are.
const BUFFERS: u64 = 0x8000;
const MEMORY: u64 = 0x10000;
/// Where the memory would be mapped.
const BASE: u64 = 0x4000_0000;

/// VERSION_1 and PROTOCOL_FEATURES.
const FEATURES: u64 = 1 << 32 | 1 << 30;
const EVENT_IDX: u64 = 1 << 29;
/// The virtio-net header of VERSION_1.
const HEADER: usize = 12;

/// Beside a ring's number: no descriptor comes with it.
const NO_FD: u64 = 1 << 8;

/// The rings, in virtio's numbering.
const TO_GUEST: u32 = 0;
const FROM_GUEST: u32 = 1;

/// How a guest learns that the switch wants to be kicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kicks {
    /// By a flag in the ring.
    Flag,
    /// By the number of the frame that the switch waits for.
    EventIndex,
    /// Not at all: it has no descriptor to kick, and its ring must be looked at.
    Never,
}

/// A connected guest.
#[derive(Debug)]
pub(crate) struct LightGuest {
    socket: UnixStream,
    manner: Kicks,
    memory: File,
    /// By ring.
    kicks: [EventFd; 2],
    calls: [EventFd; 2],
    sent: u16,
}

impl LightGuest {
    /// Tells the switch at the other end of `socket` all it needs to run.
    pub(crate) fn attach(socket: UnixStream, manner: Kicks) -> Self {
        Self::try_attach(socket, manner).unwrap()
    }

    /// The same, unless the switch hangs up at once.
    pub(crate) fn try_attach(socket: UnixStream, manner: Kicks) -> Option<Self> {
        let memory = memfd_create(c"guest", MFdFlags::MFD_CLOEXEC).unwrap();
        let memory = File::from(memory);
        memory.set_len(MEMORY).unwrap();
        let event = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).unwrap();
        let events = || [event(), event()];
        let guest = Self { socket, manner, memory, kicks: events(), calls: events(), sent: 0 };
        let features = FEATURES | if manner == Kicks::EventIndex { EVENT_IDX } else { 0 };
        let offered = guest.try_ask(1)?;
        assert_eq!(offered & features, features, "{offered:#x}");
        guest.tell(3, &[], None);
        guest.tell(2, &features.to_ne_bytes(), None);
        guest.ask(15);
        guest.tell(16, &0_u64.to_ne_bytes(), None);
        let region = [1, 0, MEMORY, BASE, 0].map(u64::to_ne_bytes).concat();
        guest.tell(5, &region, Some(guest.memory.as_fd()));
        for ring in [TO_GUEST, FROM_GUEST] {
            let start = BASE + u64::from(ring) * RING;
            let place = usize::try_from(ring).unwrap();
            guest.tell_ring(8, ring, SIZE.into());
            guest.tell_ring(10, ring, 0);
            let addresses = [ring.into(), start, start + USED, start + AVAIL, 0];
            guest.tell(9, &addresses.map(u64::to_ne_bytes).concat(), None);
            let number = u64::from(ring);
            guest.tell(13, &number.to_ne_bytes(), Some(guest.calls[place].as_fd()));
            if manner == Kicks::Never {
                guest.tell(12, &(number | NO_FD).to_ne_bytes(), None);
            } else {
                guest.tell(12, &number.to_ne_bytes(), Some(guest.kicks[place].as_fd()));
            }
            guest.enable(ring, true);
        }
        Some(guest)
    }

    /// Stops or starts the ring that carries its frames.
    pub(crate) fn enable_sending(&self, enable: bool) {
        self.enable(FROM_GUEST, enable);
        // Answered when it has been done.
        self.ask(15);
    }

    /// Takes the descriptor away that it kicked.
    pub(crate) fn stop_kicking(&mut self) {
        self.manner = Kicks::Never;
        self.tell(12, &(u64::from(FROM_GUEST) | NO_FD).to_ne_bytes(), None);
        self.ask(15);
    }

    /// Sends one frame, and kicks if the switch wants to be.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        let ring = u64::from(FROM_GUEST) * RING;
        let slot = u64::from(self.sent % SIZE);
        let buffer = BUFFERS + slot * 0x400;
        self.write(buffer, &[&[0; HEADER], frame].concat());
        let length = u32::try_from(HEADER + frame.len()).unwrap();
        let descriptor =
            [&(buffer).to_ne_bytes()[..], &length.to_ne_bytes(), &[0, 0, 0, 0]].concat();
        self.write(ring + slot * 16, &descriptor);
        self.write(ring + AVAIL + 4 + slot * 2, &(self.sent % SIZE).to_ne_bytes());
        self.sent = self.sent.wrapping_add(1);
        self.write(ring + AVAIL + 2, &self.sent.to_ne_bytes());
        fence(Ordering::SeqCst);
        let wanted = match self.manner {
            Kicks::Flag => self.read(ring + USED) & 1 == 0,
            Kicks::EventIndex => {
                self.read(ring + USED + 4 + 8 * u64::from(SIZE)) == self.sent.wrapping_sub(1)
            }
            Kicks::Never => false,
        };
        if wanted {
            self.kicks[1].write(1).unwrap();
        }
    }

    /// The switch has taken all that was sent.
    pub(crate) fn is_rid(&self) -> bool {
        self.read(u64::from(FROM_GUEST) * RING + USED + 2) == self.sent
    }

    fn read(&self, at: u64) -> u16 {
        let mut bytes = [0; 2];
        self.memory.read_exact_at(&mut bytes, at).unwrap();
        u16::from_ne_bytes(bytes)
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.memory.write_all_at(bytes, at).unwrap();
    }

    fn enable(&self, ring: u32, enable: bool) {
        self.tell_ring(18, ring, enable.into());
    }

    fn tell_ring(&self, request: u32, ring: u32, value: u32) {
        self.tell(request, &[ring, value].map(u32::to_ne_bytes).concat(), None);
    }

    fn tell(&self, request: u32, payload: &[u8], fd: Option<BorrowedFd<'_>>) {
        self.try_tell(request, payload, fd).unwrap();
    }

    fn try_tell(
        &self,
        request: u32,
        payload: &[u8],
        fd: Option<BorrowedFd<'_>>,
    ) -> nix::Result<()> {
        let size = u32::try_from(payload.len()).unwrap();
        let message = [&[request, 1, size].map(u32::to_ne_bytes).concat(), payload].concat();
        let fds: Vec<_> = fd.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        let parts = [IoSlice::new(&message)];
        let flags = MsgFlags::MSG_NOSIGNAL;
        let sent = sendmsg::<()>(self.socket.as_raw_fd(), &parts, rights, flags, None)?;
        assert_eq!(sent, message.len());
        Ok(())
    }

    fn ask(&self, request: u32) -> u64 {
        self.try_ask(request).unwrap()
    }

    fn try_ask(&self, request: u32) -> Option<u64> {
        self.try_tell(request, &[], None).ok()?;
        let mut answer = [0; 20];
        (&self.socket).read_exact(&mut answer).ok()?;
        Some(u64::from_ne_bytes(answer[12..].try_into().unwrap()))
    }
}
