//! Rtnetlink, byte by byte: one socket, requests built here, answers taken apart here.
//!
//! Written by hand because half of what the tests send is wrong on purpose, and
//! a library of well-formed messages has no words for that. Knows how messages
//! and attributes are laid out and nothing of what they mean; `links.rs` does.

use std::io::{self, Read};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

pub(crate) const NETLINK_ROUTE: i32 = 0;
pub(crate) const NETLINK_GENERIC: i32 = 16;

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWNEIGH: u16 = 28;
pub(crate) const RTM_DELNEIGH: u16 = 29;
pub(crate) const RTM_GETNEIGH: u16 = 30;

pub(crate) const NLM_F_REPLACE: u16 = 0x100;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NESTED: u16 = 0x8000;
const HEADER: usize = 16;

/// The bytes of a message's body: a fixed part and attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body(Vec<u8>);

impl Body {
    /// A body that begins with these fixed bytes.
    pub(crate) fn new(fixed: &[u8]) -> Self {
        Self(fixed.to_vec())
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let len = u16::try_from(4 + value.len()).unwrap();
        self.0.extend(len.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    pub(crate) fn nest(&mut self, kind: u16, inner: &Self) -> &mut Self {
        self.bytes(kind | NESTED, &inner.0)
    }
}

/// The attributes in `bytes`: type without its flags, and value.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first four bytes of `value` as a number.
pub(crate) fn number(value: &[u8]) -> u32 {
    u32::from_ne_bytes(value[..4].try_into().unwrap())
}

/// A link message's fixed part: `struct ifinfomsg`.
pub(crate) fn ifinfo(index: u32, flags: u32, change: u32) -> Vec<u8> {
    [&[0; 4], &index.to_ne_bytes()[..], &flags.to_ne_bytes(), &change.to_ne_bytes()].concat()
}

/// A socket to the kernel's link code, in the namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    pub(crate) fn open(protocol: i32) -> Self {
        let (domain, protocol) = (Domain::from(libc::AF_NETLINK), Protocol::from(protocol));
        let socket = Socket::new(domain, Type::RAW, Some(protocol)).expect("a netlink socket");
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { socket, sequence: 0, buffer: vec![0; 1 << 17] }
    }

    /// Sends a request and waits for its answer; the error is the kernel's number.
    pub(crate) fn request(&mut self, kind: u16, flags: u16, body: &Body) -> Result<(), i32> {
        self.send(kind, flags | NLM_F_ACK, body);
        self.answers(|_| ())
    }

    /// Like [`Netlink::request`], and calls `each` with the body of every answer.
    pub(crate) fn ask(
        &mut self,
        kind: u16,
        body: &Body,
        each: impl FnMut(&[u8]),
    ) -> Result<(), i32> {
        self.send(kind, NLM_F_ACK, body);
        self.answers(each)
    }

    /// Asks for everything of a kind and calls `each` with every message's body.
    pub(crate) fn dump(&mut self, kind: u16, body: &Body, each: impl FnMut(&[u8])) {
        self.send(kind, NLM_F_DUMP, body);
        self.answers(each).expect("a dump");
    }

    fn send(&mut self, kind: u16, flags: u16, body: &Body) {
        self.sequence += 1;
        let len = u32::try_from(HEADER + body.0.len()).unwrap();
        let mut message = len.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(&body.0);
        assert_eq!(self.socket.send(&message).expect("netlink send"), message.len());
    }

    fn answers(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), i32> {
        loop {
            let got = match (&self.socket).read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                got => got.expect("an answer of the kernel within 30 s"),
            };
            let mut rest = &self.buffer[..got];
            while rest.len() >= HEADER {
                let len = usize::try_from(number(rest)).unwrap();
                let kind = u16::from_ne_bytes(rest[4..6].try_into().unwrap());
                let body = &rest[HEADER..len];
                // An answer to an older request would be a mistake of this file.
                assert_eq!(number(&rest[8..]), self.sequence, "netlink answers out of turn");
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => {
                        let code = number(body).cast_signed();
                        return if code == 0 { Ok(()) } else { Err(-code) };
                    }
                    _ => each(body),
                }
                rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}
