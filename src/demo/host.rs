//! A tiny IPv4 host: answers ARP and ICMP echo, and can ping.
//!
//! smoltcp does the protocols; this moves frames in and out of it as byte
//! vectors. Knows no port. Not for the data path: it allocates per frame.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use macvlan::mac::MacAddr;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::socket::icmp;
use smoltcp::time::Instant as Time;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr,
};

/// Identifier of our echo requests.
const IDENT: u16 = 0x6d76;

/// Frames a host holds for its stack; more are lost, as on a real one.
const BACKLOG: usize = 256;

/// The host.
pub struct Host {
    interface: Interface,
    sockets: SocketSet<'static>,
    icmp: SocketHandle,
    frames: Frames,
    mac: MacAddr,
    start: Instant,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Host({} {:?})", self.mac, self.interface.ipv4_addr())
    }
}

/// Frames on their way into and out of the stack.
#[derive(Debug, Default)]
struct Frames {
    mtu: usize,
    inbound: VecDeque<Vec<u8>>,
    outbound: VecDeque<Vec<u8>>,
}

impl Host {
    /// A host with nothing in its neighbour table. `mtu` in bytes of payload.
    #[must_use]
    pub fn new(mac: MacAddr, address: Ipv4Addr, prefix: u8, mtu: u16) -> Self {
        let hardware = HardwareAddress::Ethernet(EthernetAddress(mac.bytes()));
        let mut frames = Frames { mtu: usize::from(mtu), ..Frames::default() };
        let mut interface = Interface::new(Config::new(hardware), &mut frames, Time::ZERO);
        interface.update_ip_addrs(|addresses| {
            // Room for one address is always there.
            _ = addresses.push(IpCidr::new(IpAddress::Ipv4(address), prefix));
        });
        let buffer =
            || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 16], vec![0; 4096]);
        let mut socket = icmp::Socket::new(buffer(), buffer());
        // Fails only for a socket that is bound already.
        _ = socket.bind(icmp::Endpoint::Ident(IDENT));
        let mut sockets = SocketSet::new(Vec::new());
        let icmp = sockets.add(socket);
        Self { interface, sockets, icmp, frames, mac, start: Instant::now() }
    }

    /// Whether a frame with this destination is for this host.
    #[must_use]
    pub fn wants(&self, destination: MacAddr) -> bool {
        destination.is_multicast() || destination == self.mac
    }

    /// Hands the host a frame from its wire.
    pub fn input(&mut self, frame: &[u8]) {
        if self.frames.inbound.len() < BACKLOG {
            self.frames.inbound.push_back(frame.to_vec());
        }
    }

    /// Lets the host work. Returns the frames it sends.
    pub fn poll(&mut self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let now =
            Time::from_micros(i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX));
        self.interface.poll(now, &mut self.frames, &mut self.sockets);
        self.frames.outbound.drain(..)
    }

    /// Sends one echo request. Returns whether the socket took it.
    pub fn send_echo(&mut self, to: Ipv4Addr, sequence: u16) -> bool {
        let request =
            Icmpv4Repr::EchoRequest { ident: IDENT, seq_no: sequence, data: b"mvswitch demo" };
        let socket = self.sockets.get_mut::<icmp::Socket<'_>>(self.icmp);
        match socket.send(request.buffer_len(), IpAddress::Ipv4(to)) {
            Ok(room) => {
                request
                    .emit(&mut Icmpv4Packet::new_unchecked(room), &ChecksumCapabilities::default());
                true
            }
            Err(_) => false,
        }
    }

    /// The sequence number of an echo reply that has come, if one has.
    pub fn receive_echo(&mut self) -> Option<u16> {
        let socket = self.sockets.get_mut::<icmp::Socket<'_>>(self.icmp);
        while let Ok((packet, _)) = socket.recv() {
            let packet = Icmpv4Packet::new_checked(packet).ok()?;
            if let Ok(Icmpv4Repr::EchoReply { seq_no, .. }) =
                Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default())
            {
                return Some(seq_no);
            }
        }
        None
    }
}

/// A series of pings in progress.
#[derive(Debug)]
pub struct Pings {
    to: Ipv4Addr,
    sent: Vec<Instant>,
    /// Round-trip times of the replies.
    pub replies: Vec<Duration>,
    wanted: u16,
}

/// Time from one request to the next, and to the end of the series.
const INTERVAL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(400);

impl Pings {
    /// A series of `count` echo requests.
    #[must_use]
    pub fn new(to: Ipv4Addr, count: u16) -> Self {
        Self { to, sent: Vec::new(), replies: Vec::new(), wanted: count }
    }

    /// Sends what is due and takes what has come. Returns true when the series is over.
    pub fn step(&mut self, host: &mut Host) -> bool {
        while let Some(sequence) = host.receive_echo() {
            if let Some(sent) = self.sent.get(usize::from(sequence)) {
                self.replies.push(sent.elapsed());
            }
        }
        let sent = u16::try_from(self.sent.len()).unwrap_or(u16::MAX);
        let since = self.sent.last().map(Instant::elapsed);
        if sent < self.wanted {
            if since.is_none_or(|since| since >= INTERVAL) && host.send_echo(self.to, sent) {
                self.sent.push(Instant::now());
            }
            return false;
        }
        self.replies.len() >= usize::from(self.wanted)
            || since.is_none_or(|since| since >= PATIENCE)
    }
}

impl phy::Device for Frames {
    type RxToken<'a> = Inbound;
    type TxToken<'a> = Outbound<'a>;

    fn receive(&mut self, _: Time) -> Option<(Inbound, Outbound<'_>)> {
        let frame = self.inbound.pop_front()?;
        Some((Inbound(frame), Outbound(&mut self.outbound)))
    }

    fn transmit(&mut self, _: Time) -> Option<Outbound<'_>> {
        (self.outbound.len() < BACKLOG).then_some(Outbound(&mut self.outbound))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + 14;
        capabilities
    }
}

struct Inbound(Vec<u8>);

impl phy::RxToken for Inbound {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Outbound<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::TxToken for Outbound<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hosts_ping_each_other() {
        let address = |last| Ipv4Addr::new(10, 0, 0, last);
        let host = |last| Host::new(MacAddr::new([2, 0, 0, 0, 0, last]), address(last), 24, 1500);
        let (mut a, mut b) = (host(1), host(2));
        let mut pings = Pings::new(address(2), 3);
        while !pings.step(&mut a) {
            let sent: Vec<_> = a.poll().collect();
            sent.iter().for_each(|frame| b.input(frame));
            let sent: Vec<_> = b.poll().collect();
            sent.iter().for_each(|frame| a.input(frame));
        }
        assert_eq!(pings.replies.len(), 3);
    }

    #[test]
    fn nobody_answers_for_an_absent_host() {
        let mut host =
            Host::new(MacAddr::new([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(10, 0, 0, 1), 24, 1500);
        let mut pings = Pings::new(Ipv4Addr::new(10, 0, 0, 9), 2);
        let mut arp = 0;
        while !pings.step(&mut host) {
            arp += host.poll().count();
        }
        assert!(pings.replies.is_empty() && arp > 0);
    }
}
