//! A switch between kernel interfaces: a veth as its lower, taps as its links.
//!
//! Frames go in and out of the far ends by packet sockets, so that a test sees
//! each one as it is. Interfaces carry the process' id in their names and are
//! gone at the end.

use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use serde_json::{Value, json};

use super::common::{Switch, Veth, run, wait_until};
use super::packets::Packets;

/// Frames of the tests; nobody else uses it (an experimental EtherType).
const KIND: [u8; 2] = [0x88, 0xb5];

pub(crate) struct Rig {
    pub(crate) switch: Switch,
    pub(crate) veth: Veth,
    packets: Packets,
    number: u32,
}

/// The interface behind a link.
pub(crate) fn tap(link: &str) -> String {
    format!("mvt{}{link}", std::process::id())
}

/// A link on `lower` with a tap behind it.
pub(crate) fn link(name: &str, lower: &str, more: &str) -> String {
    let number: u8 = name.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').sum();
    format!(
        "[[macvlan]]\nname = \"{name}\"\nlink = \"{lower}\"\ndevice = \"net_tap{number},iface={}\"\n{more}\n",
        tap(name)
    )
}

impl Rig {
    /// `lower` goes into the section of lan0, `rest` behind it.
    pub(crate) fn start(lower: &str, rest: &str) -> Self {
        let veth = Veth::new();
        run("ip", &["link", "set", &veth.inner, "up"]);
        let switch = Switch::start(&format!(
            "[cores]\ncontrol = 0\nworkers = \"1\"\n[eal]\nmemory = \"4k\"\n\
             [[lower]]\nname = \"lan0\"\ndevice = \"net_af_packet0,iface={}\"\n{lower}\n{rest}",
            veth.outer
        ));
        let mut rig = Self { switch, veth, packets: Packets::open(), number: 0 };
        rig.up();
        rig
    }

    /// Sets every interface up and waits until the links are.
    pub(crate) fn up(&mut self) {
        for link in self.links() {
            let name = link["ifname"].as_str().unwrap().to_owned();
            if link["mvswitch"]["device"].is_string() {
                quiet(&tap(&name));
            }
        }
        let up = |switch: &Switch| {
            let lowers = switch.rpc("lower.show", json!({}));
            lowers.as_array().unwrap().iter().all(|lower| lower["operstate"] == "UP")
        };
        wait_until("carrier", Duration::from_secs(5), || up(&self.switch));
        self.packets.refresh();
    }

    pub(crate) fn links(&self) -> Vec<Value> {
        self.switch.rpc("link.show", json!({})).as_array().unwrap().clone()
    }

    pub(crate) fn link(&self, name: &str) -> Value {
        self.switch.rpc("link.show", json!({ "name": name }))[0].clone()
    }

    pub(crate) fn lower(&self, name: &str) -> Value {
        self.switch.rpc("lower.show", json!({ "name": name }))[0].clone()
    }

    /// A lower without its counters: the kernel sends something now and then.
    pub(crate) fn uncounted(&self, name: &str) -> Value {
        let mut lower = self.lower(name);
        lower.as_object_mut().unwrap().remove("stats64");
        lower
    }

    pub(crate) fn address(&self, link: &str) -> [u8; 6] {
        mac(self.link(link)["address"].as_str().unwrap())
    }

    /// A frame that differs from all others.
    pub(crate) fn frame(&mut self, dst: [u8; 6], src: [u8; 6]) -> Vec<u8> {
        self.number += 1;
        let mut frame = [&dst[..], &src, &KIND, &self.number.to_be_bytes()].concat();
        frame.resize(60, 0);
        frame
    }

    /// Sends a frame from the wire (`"wire"`) or a link's guest, and says who
    /// got it, as what.
    pub(crate) fn exchange(&mut self, from: &str, frame: &[u8]) -> Vec<(String, Vec<u8>)> {
        self.packets.tapped();
        let from = self.interface(from);
        self.packets.send(if_nametoindex(&*from).unwrap(), frame).unwrap();
        self.collect(Duration::from_millis(150))
    }

    /// What comes out of the switch until nothing has come for so long.
    pub(crate) fn collect(&mut self, silence: Duration) -> Vec<(String, Vec<u8>)> {
        let outer = if_nametoindex(&*self.veth.outer).unwrap_or(0);
        let mut seen = Vec::new();
        let mut last = Instant::now();
        while last.elapsed() < silence {
            for frame in self.packets.tapped() {
                // What enters the lower has not been through the switch.
                let name = self.name(frame.index);
                if frame.index != outer && !name.is_empty() && is_ours(&frame.bytes) {
                    last = Instant::now();
                    seen.push((name, frame.bytes));
                }
            }
            self.packets.wait(Duration::from_millis(5));
        }
        seen.sort();
        seen
    }

    /// Sends a frame and checks who gets it, unchanged.
    #[track_caller]
    pub(crate) fn expect(&mut self, from: &str, frame: &[u8], to: &[&str]) {
        let seen = self.exchange(from, frame);
        let mut wanted: Vec<(String, Vec<u8>)> =
            to.iter().map(|name| ((*name).to_owned(), frame.to_vec())).collect();
        wanted.sort();
        assert_eq!(seen, wanted, "from {from}: {:02x?}", &frame[..18]);
    }

    fn interface(&self, name: &str) -> String {
        if name == "wire" { self.veth.inner.clone() } else { tap(name) }
    }

    /// What the tests call an interface; empty for one that is not theirs.
    fn name(&self, index: u32) -> String {
        if if_nametoindex(&*self.veth.inner) == Ok(index) {
            return "wire".to_owned();
        }
        let prefix = tap("");
        let name = nix::net::if_::if_indextoname(index);
        let name = name.ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let ours = name.strip_prefix(&prefix).unwrap_or_default();
        if name == self.veth.outer { String::new() } else { ours.to_owned() }
    }
}

/// Not what a kernel says of its own accord: a test's frame, tagged or not, or
/// an announcement.
fn is_ours(frame: &[u8]) -> bool {
    let kind = |at: usize| frame.get(at..at + 2);
    kind(12) == Some(&KIND) || kind(16) == Some(&KIND) || kind(12) == Some(&[0x80, 0x35])
}

/// Up, and silent of its own accord.
pub(crate) fn quiet(interface: &str) {
    let file = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    if std::path::Path::new(&file).exists() {
        std::fs::write(file, "1").unwrap();
    }
    run("ip", &["link", "set", interface, "up"]);
}

pub(crate) fn mac(text: &str) -> [u8; 6] {
    let bytes: Vec<u8> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// What `ip -d -j link show` says of an interface.
pub(crate) fn kernel(interface: &str) -> Value {
    let text = run("ip", &["-d", "-j", "link", "show", interface]);
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}
