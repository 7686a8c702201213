//! dpdk-testpmd as a peer: a guest on virtio-user, or the other end of one.
//!
//! Owns one interactive testpmd, driven over its standard input. It shares core
//! 0 with the switch's control thread, so that the worker on core 1 is alone.
//! Its own files go to a directory of its own.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::{PATIENCE, Process};

/// What it prints when it waits for a command.
const PROMPT: &str = "testpmd> ";

/// One virtual device.
#[derive(Clone, Debug)]
pub(crate) struct Vdev {
    text: String,
    /// Where frames that this port makes go.
    peer: Option<String>,
}

impl Vdev {
    /// A guest with address `mac` that connects to the vhost-user socket at `path`.
    pub(crate) fn virtio_user(path: &Path, mac: &str) -> Self {
        let text = format!("path={},mac={mac},queue_size=1024", path.display());
        Self { text: format!("net_virtio_user#,{text}"), peer: None }
    }

    /// The same, but the guest listens and the switch connects.
    pub(crate) fn virtio_user_server(path: &Path, mac: &str) -> Self {
        let mut vdev = Self::virtio_user(path, mac);
        vdev.text.push_str(",server=1");
        vdev
    }

    /// The vhost side: a device that listens at `path` for a virtio-user.
    pub(crate) fn vhost(path: &Path) -> Self {
        Self { text: format!("net_vhost#,iface={}", path.display()), peer: None }
    }

    /// Frames that testpmd makes on this port go to `mac`.
    pub(crate) fn to(mut self, mac: &str) -> Self {
        self.peer = Some(mac.to_owned());
        self
    }
}

/// What testpmd's driver has counted for one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PortStats {
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) rx_missed: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) tx_errors: u64,
}

/// A running testpmd.
#[derive(Debug)]
pub(crate) struct Testpmd {
    process: Process,
    _directory: TempDir,
}

impl Testpmd {
    /// Starts testpmd on ordinary pages; frames made or turned back on a port leave by that port.
    #[track_caller]
    pub(crate) fn start(name: &str, forward: &str, vdevs: &[Vdev]) -> Self {
        Self::launch(name, forward, vdevs, &["--no-huge", "--no-shconf"])
    }

    /// The same on huge pages; the caller holds [`super::HugePages`].
    #[track_caller]
    pub(crate) fn start_huge(name: &str, forward: &str, vdevs: &[Vdev]) -> Self {
        Self::launch(name, forward, vdevs, &["--in-memory", "--single-file-segments"])
    }

    #[track_caller]
    fn launch(name: &str, forward: &str, vdevs: &[Vdev], pages: &[&str]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let serial = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory = tempfile::Builder::new().prefix("mvtest-").tempdir().unwrap();
        // Through a pipe testpmd would otherwise say everything at its end.
        let mut command = Command::new("stdbuf");
        command.env("RUNTIME_DIRECTORY", directory.path());
        command.args(["-oL", "dpdk-testpmd", "--lcores", "0@0,1@0"]).args(pages);
        command.args(["--no-pci", "--no-telemetry", "--iova-mode=va", "-m", "192"]);
        command.arg(format!("--file-prefix=mvtest-{}-{serial}", std::process::id()));
        for (index, vdev) in vdevs.iter().enumerate() {
            command.arg("--vdev").arg(vdev.text.replace('#', &index.to_string()));
        }
        command.args(["--", "-i", "--port-topology=loop", "--rxd=1024", "--txd=1024"]);
        command.arg(format!("--forward-mode={forward}"));
        command.arg(format!("--total-num-mbufs={}", 2048 + 4096 * vdevs.len()));
        for (index, vdev) in vdevs.iter().enumerate() {
            command.args(vdev.peer.as_ref().map(|mac| format!("--eth-peer={index},{mac}")));
        }
        let process = Process::start(name, &mut command);
        let prompt = |said: &str| said.contains(PROMPT).then_some(());
        process.expect("prompt", 0, PATIENCE, prompt);
        Self { process, _directory: directory }
    }

    /// Gives a command and returns what testpmd says to it.
    #[track_caller]
    pub(crate) fn command(&mut self, command: &str) -> String {
        let from = self.process.say(command);
        let answer = |said: &str| said.split_once(PROMPT).map(|(answer, _)| answer.to_owned());
        let answer = self.process.expect("prompt", from, PATIENCE, answer);
        for refusal in ["Bad arguments", "Command not found", "Ambiguous command"] {
            assert!(!answer.contains(refusal), "testpmd does not know {command:?}: {answer}");
        }
        answer
    }

    /// Starts forwarding.
    #[track_caller]
    pub(crate) fn go(&mut self) {
        self.command("start");
    }

    /// Starts forwarding after sending `bursts` bursts of 32 frames.
    #[track_caller]
    pub(crate) fn go_with_bursts(&mut self, bursts: u32) {
        self.command(&format!("start tx_first {bursts}"));
    }

    /// Stops forwarding. What lies in the rings stays there.
    #[track_caller]
    pub(crate) fn halt(&mut self) {
        let said = self.command("stop");
        assert!(said.contains("Forward statistics"), "{said}");
    }

    /// Chooses what is done with frames; forwarding must be stopped.
    #[track_caller]
    pub(crate) fn forward(&mut self, mode: &str) {
        let said = self.command(&format!("set fwd {mode}"));
        assert!(said.contains("packet forwarding mode"), "{said}");
    }

    /// The counters of a port since its start.
    #[track_caller]
    pub(crate) fn stats(&mut self, port: usize) -> PortStats {
        let said = self.command(&format!("show port stats {port}"));
        let number = |key: &str| {
            let rest = said.split_once(key).unwrap_or_else(|| panic!("no {key} in {said}")).1;
            rest.split_whitespace().next().unwrap().parse().unwrap()
        };
        PortStats {
            rx_packets: number("RX-packets:"),
            rx_bytes: number("RX-bytes:"),
            rx_missed: number("RX-missed:"),
            tx_packets: number("TX-packets:"),
            tx_bytes: number("TX-bytes:"),
            tx_errors: number("TX-errors:"),
        }
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as its user would.
    #[track_caller]
    pub(crate) fn quit(mut self) {
        self.process.say("quit");
        let status =
            self.process.ended(PATIENCE).unwrap_or_else(|| panic!("testpmd does not quit"));
        assert!(status.success(), "testpmd ended with {status}");
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }
}
