//! Raw frames into and out of the kernel: AF_PACKET sockets of the thread's namespace.
//!
//! Two kinds of socket (semantics, section 0.3): one tap for all frames of all
//! interfaces, which tells what links and the wire get, and one socket per
//! EtherType, which tells what is left for the host once the driver has had its
//! choice. None of them is bound to an interface or puts one into promiscuous
//! mode: that would change what is being measured.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, SockaddrStorage};
use nix::sys::socket::{recvmsg, sendto, setsockopt, sockopt::RcvBufForce};
use socket2::{Domain, Protocol, Socket, Type};

/// Every EtherType a frame of ours can have once its tags are gone, and the tags'.
const HOST_KINDS: [u16; 6] = [0x88b5, 0x0800, 0x0806, 0x8808, 0x8100, 0x88a8];

const SOL_PACKET: i32 = 263;
const PACKET_AUXDATA: i32 = 8;
const PACKET_IGNORE_OUTGOING: i32 = 23;
const ETH_P_ALL: u16 = 3;
const PACKET_OUTGOING: u8 = 4;
/// `tp_status`: the tag fields are valid.
const VLAN_VALID: u32 = 1 << 4;

#[derive(Clone, Copy, Debug)]
struct AuxData;
nix::setsockopt_impl!(
    AuxData,
    SOL_PACKET,
    PACKET_AUXDATA,
    bool,
    nix::sys::socket::sockopt::SetBool
);
#[derive(Clone, Copy, Debug)]
struct IgnoreOutgoing;
nix::setsockopt_impl!(
    IgnoreOutgoing,
    SOL_PACKET,
    PACKET_IGNORE_OUTGOING,
    bool,
    nix::sys::socket::sockopt::SetBool
);

/// A frame as one socket saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) index: u32,
    /// With the outer tag back in its place where the tap still had it.
    pub(crate) bytes: Vec<u8>,
}

/// The sockets.
#[derive(Debug)]
pub(crate) struct Packets {
    tap: Socket,
    hosts: Vec<Socket>,
    addresses: BTreeMap<u32, LinkAddr>,
    buffer: Vec<u8>,
}

impl Packets {
    pub(crate) fn open() -> Self {
        let hosts = HOST_KINDS.iter().map(|kind| socket(*kind)).collect();
        Self { tap: socket(ETH_P_ALL), hosts, addresses: BTreeMap::new(), buffer: vec![0; 1 << 16] }
    }

    /// Forgets which interfaces there are: numbers are never used twice, but new ones come.
    pub(crate) fn refresh(&mut self) {
        self.addresses.clear();
        for interface in nix::ifaddrs::getifaddrs().expect("the interfaces") {
            let address = interface.address.as_ref().and_then(SockaddrStorage::as_link_addr);
            if let Some(address) = address {
                let index = u32::try_from(address.ifindex()).unwrap();
                self.addresses.insert(index, *address);
            }
        }
    }

    /// Sends a frame out of an interface.
    pub(crate) fn send(&mut self, index: u32, bytes: &[u8]) -> Result<(), Errno> {
        if !self.addresses.contains_key(&index) {
            self.refresh();
        }
        let address = self.addresses[&index];
        let sent = sendto(self.tap.as_raw_fd(), bytes, &address, MsgFlags::empty())?;
        assert_eq!(sent, bytes.len());
        Ok(())
    }

    /// Everything the tap has seen since it was last asked.
    pub(crate) fn tapped(&mut self) -> Vec<Seen> {
        receive(&self.tap, &mut self.buffer)
    }

    /// Everything the sockets for one EtherType each have seen.
    pub(crate) fn passed(&mut self) -> Vec<Seen> {
        let Self { hosts, buffer, .. } = self;
        hosts.iter().flat_map(|socket| receive(socket, buffer)).collect()
    }

    /// Waits until there may be more.
    pub(crate) fn wait(&self, timeout: Duration) {
        let polled = |socket| PollFd::new(AsFd::as_fd(socket), PollFlags::POLLIN);
        let mut polled = [polled(&self.tap), polled(&self.hosts[0])];
        let timeout = PollTimeout::try_from(timeout).unwrap();
        _ = poll(&mut polled, timeout);
    }
}

fn socket(kind: u16) -> Socket {
    let protocol = Protocol::from(i32::from(kind.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), Some(protocol))
        .expect("a packet socket");
    setsockopt(&socket, RcvBufForce, &(8 << 20)).unwrap();
    setsockopt(&socket, AuxData, &true).unwrap();
    setsockopt(&socket, IgnoreOutgoing, &true).unwrap();
    socket
}

fn receive(socket: &Socket, buffer: &mut [u8]) -> Vec<Seen> {
    let mut frames = Vec::new();
    loop {
        let mut control = nix::cmsg_space!([u8; 64]);
        let mut slices = [IoSliceMut::new(buffer)];
        let message = recvmsg::<LinkAddr>(
            socket.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::empty(),
        );
        let message = match message {
            Ok(message) => message,
            Err(Errno::EAGAIN) => return frames,
            // An interface went down while the socket listened to it.
            Err(Errno::ENETDOWN | Errno::EINTR) => continue,
            Err(error) => panic!("recvmsg: {error}"),
        };
        let from = message.address.expect("a sender");
        let tag = message.cmsgs().unwrap().find_map(|control| match control {
            ControlMessageOwned::Unknown(unknown)
                if unknown.cmsg_header.cmsg_level == SOL_PACKET
                    && unknown.cmsg_header.cmsg_type == PACKET_AUXDATA =>
            {
                tag(&unknown.data_bytes)
            }
            _ => None,
        });
        let len = message.bytes;
        if from.pkttype() == PACKET_OUTGOING {
            continue;
        }
        let mut bytes = buffer[..len].to_vec();
        if let Some(tag) = tag {
            bytes.splice(12..12, tag);
        }
        frames.push(Seen { index: u32::try_from(from.ifindex()).unwrap(), bytes });
    }
}

/// The tag in a `struct tpacket_auxdata`, as it stood in the frame.
fn tag(data: &[u8]) -> Option<[u8; 4]> {
    let status = u32::from_ne_bytes(data.get(..4)?.try_into().ok()?);
    let field = |at: usize| {
        let bytes = data.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_ne_bytes(bytes).to_be_bytes())
    };
    let ([a, b], [c, d]) = (field(18)?, field(16)?);
    (status & VLAN_VALID != 0).then_some([a, b, c, d])
}
