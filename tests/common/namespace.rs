//! Network namespaces with a real host in them.
//!
//! Owns namespaces and interfaces whose names carry the id of the process that
//! made them, and removes both on drop. What a killed test run left is removed
//! by the next one. Interfaces of the machine itself are never touched.

use std::fs::File;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output};

use nix::sched::{CloneFlags, setns};

use super::run;

/// How the names of our namespaces and interfaces begin.
const PREFIX: &str = "mvt";

/// A namespace that exists as long as this lives.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with IPv6 off, so that nothing is sent that the test did not ask for.
    #[track_caller]
    pub(crate) fn new(name: &str) -> Self {
        sweep();
        let namespace = Self { name: format!("{PREFIX}{}-{name}", std::process::id()) };
        run("ip", &["netns", "add", &namespace.name]);
        for which in ["all", "default"] {
            let file = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
            let line = format!("[ ! -e {file} ] || echo 1 > {file}");
            namespace.run("sh", &["-c", &line]);
        }
        namespace.run("ip", &["link", "set", "lo", "up"]);
        namespace
    }

    /// Its name, as `ip netns` knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command in it; panics unless it succeeds.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        run("ip", &[&["netns", "exec", &self.name, program], args].concat())
    }

    /// Runs a command in it and leaves the judgement to the caller.
    #[track_caller]
    pub(crate) fn output(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).args(args);
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    /// Pings `address` so many times, a second apart at most; how many answers came.
    #[track_caller]
    pub(crate) fn ping(&self, address: &str, count: u32) -> u32 {
        let count = count.to_string();
        let output =
            self.output("busybox", &["ping", "-c", &count, "-i", "0.2", "-W", "2", address]);
        let said = String::from_utf8_lossy(&output.stdout);
        let words: Vec<&str> = said.split_whitespace().collect();
        let at = words.windows(2).position(|pair| pair == ["packets", "received,"]);
        let at = at.unwrap_or_else(|| panic!("ping {address}: {said} {output:?}"));
        words[at - 1].parse().unwrap()
    }

    /// Sends `frames` UDP datagrams to the broadcast address `to`, in small groups.
    #[track_caller]
    pub(crate) fn broadcast(&self, to: &str, frames: usize) {
        let path = Path::new("/run/netns").join(&self.name);
        let to = to.to_owned();
        // A namespace is entered by one thread alone, which ends with it.
        let thread = std::thread::spawn(move || {
            setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_broadcast(true).unwrap();
            for frame in 0..frames {
                socket.send_to(&[0; 64], (to.as_str(), 9)).unwrap();
                if frame % 16 == 15 {
                    super::pause(std::time::Duration::from_millis(5));
                }
            }
        });
        thread.join().unwrap();
    }

    /// Moves an interface of the machine into it, gives it an address and sets it up.
    #[track_caller]
    pub(crate) fn adopt(&self, interface: &str, address: &str) {
        run("ip", &["link", "set", interface, "netns", &self.name]);
        self.run("ip", &["addr", "add", address, "dev", interface]);
        self.run("ip", &["link", "set", interface, "up"]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove("netns", &self.name);
    }
}

/// Two joined interfaces; `outer` is meant for the switch, `inner` for a namespace.
#[derive(Debug)]
pub(crate) struct Veth {
    pub(crate) outer: String,
    pub(crate) inner: String,
}

impl Veth {
    /// Makes the pair: up, quiet, and with every offload off that would leave a
    /// frame half done for whoever reads it raw.
    #[track_caller]
    pub(crate) fn new() -> Self {
        sweep();
        let id = std::process::id();
        let veth = Self { outer: format!("{PREFIX}{id}o"), inner: format!("{PREFIX}{id}i") };
        run("ip", &["link", "add", &veth.outer, "type", "veth", "peer", "name", &veth.inner]);
        for end in [&veth.outer, &veth.inner] {
            let file = format!("/proc/sys/net/ipv6/conf/{end}/disable_ipv6");
            if Path::new(&file).exists() {
                std::fs::write(file, "1").unwrap();
            }
            let off = ["rx", "tx", "tso", "gso", "gro", "rxvlan", "txvlan"];
            let off: Vec<&str> = off.iter().flat_map(|feature| [*feature, "off"]).collect();
            run("ethtool", &[&["-K", end], &off[..]].concat());
        }
        run("ip", &["link", "set", &veth.outer, "up"]);
        veth
    }
}

impl Drop for Veth {
    fn drop(&mut self) {
        // Gone already when the namespace with the other end went first.
        remove("link", &self.outer);
    }
}

/// Deletes without a word: the thing may be gone already.
fn remove(kind: &str, name: &str) {
    _ = Command::new("ip").args([kind, "del", name]).output();
}

/// Removes what test runs that are no longer alive left behind.
fn sweep() {
    for (kind, list) in [("netns", "/run/netns"), ("link", "/sys/class/net")] {
        for entry in std::fs::read_dir(list).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let id: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if !id.is_empty() && !Path::new("/proc").join(&id).exists() {
                remove(kind, &name);
            }
        }
    }
}
