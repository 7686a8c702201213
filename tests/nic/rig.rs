//! A guest that the switch itself runs in, on an emulated network card.
//!
//! Owns the guest, its initial RAM disk, the far ends of its network cables and
//! QEMU's monitor. The tests drive the switch as a user of that machine would:
//! by a shell, with mvctl. They reach the frames of the wire directly and those
//! of the guest's interfaces through the [agent](super::agent).

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::agent::{SEEN, TASK};
use super::common::{Guest, GuestKernel, PATIENCE, run, wait_for};
use super::frames::{BROADCAST, Frames, Mac, OUTSIDE, hex, text, unhex};
use super::wire::{Plug, Wire};

/// The modules of the guest, in the order in which they must be loaded.
const MODULES: [&str; 17] = [
    "uio",
    "uio_pci_generic",
    "tun",
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
    "llc",
    "stp",
    "mrp",
    "garp",
    "8021q",
    "macvlan",
];

/// Drivers of DPDK that the guest has; the buses and the pool come with each.
const DRIVERS: [&str; 7] =
    ["bus_pci", "bus_vdev", "mempool_ring", "net_e1000", "net_virtio", "net_tap", "net_ring"];
const DRIVER_DIRECTORY: &str = "/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0";

/// The switch's card is at 0000:00:05.0; the guest's Linux has one behind it,
/// with the same address.
pub(crate) const NIC: Mac = [0x52, 0x54, 0, 0, 0, 1];

/// Where `scripts/test.sh` unpacks the standard kernel.
pub(crate) fn kernel_directory() -> PathBuf {
    let mut path = GuestKernel::directory().into_os_string();
    path.push("-standard");
    path.into()
}

/// A frame that an interface of the guest got.
pub(crate) type Seen = (String, Vec<u8>);

/// What a stopped switch said last.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its last line.
    pub(crate) last: String,
    /// Buffers not back in the pool.
    pub(crate) left: u64,
    /// What it complained about in its log.
    pub(crate) complaints: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Rig {
    /// None once it has been switched off.
    guest: Option<Guest>,
    /// The switch's cable, and that of the guest's Linux.
    pub(crate) wire: Wire,
    pub(crate) other: Wire,
    pub(crate) frames: Frames,
    monitor: BufReader<UnixStream>,
    directory: TempDir,
    _kernel: GuestKernel,
}

impl Rig {
    /// Boots a guest with a card of this model and starts the switch there; `config` is
    /// what follows the section of lan0.
    #[track_caller]
    pub(crate) fn start(model: &str, config: &str) -> Self {
        let config = format!(
            "[cores]\ncontrol = 0\nworkers = \"1\"\n[eal]\nmemory = \"huge\"\n\
             [[lower]]\nname = \"lan0\"\ndevice = \"0000:00:05.0\"\n{config}"
        );
        let kernel = GuestKernel::with(&kernel_directory(), &MODULES, &init(), |root| {
            fill(root, &config);
        });
        let directory = tempfile::Builder::new().prefix("mvnic-").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (plug, other) = (Plug::new(&at("wire")), Plug::new(&at("other")));
        let stream = |name: &str| {
            format!("stream,id={name},server=off,addr.type=unix,addr.path={}", at(name).display())
        };
        let log = format!("file,id=log,path={}", at("log").display());
        let monitor = format!("unix:{},server=on,wait=off", at("monitor").display());
        let card =
            |model: &str, name: &str| format!("{model},netdev={name},mac={},romfile=", text(NIC));
        let hardware = [
            ["-machine", "pc"],
            ["-cpu", "max"],
            ["-m", "768"],
            ["-smp", "2"],
            ["-netdev", &stream("wire")],
            ["-device", &format!("{},id=nic,addr=5", card(model, "wire"))],
            ["-netdev", &stream("other")],
            ["-device", &format!("{},addr=6", card("virtio-net-pci", "other"))],
            ["-chardev", &log],
            ["-device", "isa-serial,chardev=log,index=1"],
            ["-qmp", &monitor],
        ];
        let guest = Guest::start(&kernel, model, &hardware.concat(), "");
        let (wire, other) = (plug.wire(), other.wire());
        let monitor = UnixStream::connect(at("monitor")).unwrap();
        monitor.set_read_timeout(Some(PATIENCE)).unwrap();
        let monitor = BufReader::new(monitor);
        let mut rig = Self {
            guest: Some(guest),
            wire,
            other,
            frames: Frames::default(),
            monitor,
            directory,
            _kernel: kernel,
        };
        rig.guest.as_ref().unwrap().booted();
        rig.monitor("qmp_capabilities", &json!({}));
        rig.shell(&format!("{TASK}=listen agent --exact agent --nocapture >>/tmp/seen 2>&1 &"));
        rig.shell(
            "mvswitch -c /test.toml --runtime-dir /run/mvswitch --log-level debug \
             >/tmp/said 2>/dev/ttyS1 & echo $! >/tmp/pid",
        );
        rig.shell("until grep -q '^ready' /tmp/said || [ ! -e /proc/$(cat /tmp/pid) ]; do usleep 20000; done");
        let said = rig.shell("cat /tmp/said");
        assert!(said.contains("\nready"), "{said}");
        rig
    }

    /// What the switch has said on standard output.
    pub(crate) fn said(&mut self) -> String {
        self.shell("cat /tmp/said")
    }

    /// What the switch has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Runs a line in the guest that must succeed.
    #[track_caller]
    pub(crate) fn shell(&mut self, line: &str) -> String {
        let (said, code) = self.guest.as_mut().unwrap().shell(line, PATIENCE);
        assert_eq!(code, 0, "{line}: {said}");
        said.replace('\r', "")
    }

    /// `mvctl call`: the result.
    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "reads better with json! at the call")]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let said = self.shell(&format!("mvctl call {method} '{params}'"));
        serde_json::from_str(&said).unwrap_or_else(|e| panic!("{method}: {e}: {said}"))
    }

    /// `mvctl -j -d -s link show NAME` or the same of a lower.
    #[track_caller]
    pub(crate) fn show(&mut self, object: &str, name: &str) -> Value {
        let said = self.shell(&format!("mvctl -j -d -s {object} show {name}"));
        let mut all: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
        all[0].take()
    }

    /// Waits until that has such a state.
    #[track_caller]
    pub(crate) fn wait_state(&mut self, object: &str, name: &str, state: &str) {
        wait_for(&format!("{object} {name} {state}"), PATIENCE, || {
            (self.show(object, name)["operstate"] == state).then_some(())
        });
    }

    /// Sets interfaces of the guest up, with these addresses.
    #[track_caller]
    pub(crate) fn interface_up(&mut self, name: &str, mac: Mac) {
        self.shell(&format!("ip link set {name} address {} && ip link set {name} up", text(mac)));
    }

    /// One command of QEMU's monitor.
    #[track_caller]
    pub(crate) fn monitor(&mut self, command: &str, arguments: &Value) {
        let request = json!({"execute": command, "arguments": arguments});
        writeln!(self.monitor.get_mut(), "{request}").unwrap();
        let mut line = String::new();
        // A greeting and events may come first.
        while !line.starts_with("{\"return\"") {
            line.clear();
            self.monitor.read_line(&mut line).unwrap();
            assert!(!line.is_empty() && !line.starts_with("{\"error\""), "{command}: {line}");
        }
    }

    /// Plugs the cable of the switch's card in or pulls it.
    pub(crate) fn plug(&mut self, up: bool) {
        self.monitor("set_link", &json!({"name": "nic", "up": up}));
    }

    /// Puts frames onto the switch's wire: who got which. A broadcast follows them, which
    /// `last` must get, so that what has not come by then does not come.
    #[track_caller]
    pub(crate) fn inject(&mut self, frames: &[Vec<u8>], last: &str) -> Vec<Seen> {
        let mark = self.frames.plain(BROADCAST, OUTSIDE);
        for frame in frames.iter().chain([&mark]) {
            self.wire.send(frame);
        }
        self.collect(&[last], &mark, Duration::ZERO)
    }

    /// The frames that interfaces got until `mark` has come to each of `last`, and for so
    /// long afterwards; without that one.
    #[track_caller]
    pub(crate) fn collect(&mut self, last: &[&str], mark: &[u8], more: Duration) -> Vec<Seen> {
        let marks =
            last.iter().map(|name| format!("grep -q '{SEEN}{name} {}' /tmp/seen", hex(mark)));
        let marks = marks.collect::<Vec<_>>().join(" && ");
        let mut seen = self.seen(&format!(
            "n=0; until {marks} || [ $n = 400 ]; do usleep 20000; n=$((n + 1)); done; usleep {}",
            more.as_micros()
        ));
        for name in last {
            let came = |(to, frame): &Seen| to == name && frame == mark;
            assert!(seen.iter().any(came), "the last frame did not come to {name}: {seen:02x?}");
        }
        seen.retain(|(_, frame)| frame != mark);
        seen
    }

    /// The frames that interfaces got until the line has run in the guest.
    #[track_caller]
    pub(crate) fn seen(&mut self, line: &str) -> Vec<Seen> {
        let said = self.shell(&format!("{line}; cat /tmp/seen; : >/tmp/seen"));
        let seen = said.lines().filter_map(|line| line.strip_prefix(SEEN)?.split_once(' '));
        let mut seen: Vec<Seen> =
            seen.map(|(name, frame)| (name.to_owned(), unhex(frame.trim()))).collect();
        seen.sort();
        seen
    }

    /// Injects one frame and checks who gets it, unchanged.
    #[track_caller]
    pub(crate) fn expect(&mut self, frame: &[u8], to: &[&str], last: &str) {
        let seen = self.inject(&[frame.to_vec()], last);
        let wanted: Vec<Seen> =
            to.iter().map(|name| ((*name).to_owned(), frame.to_vec())).collect();
        assert_eq!(seen, wanted, "{:02x?}", &frame[..18]);
    }

    /// Has interfaces of the guest send frames, in turn.
    #[track_caller]
    pub(crate) fn send(&mut self, interface: &str, frames: &[Vec<u8>]) {
        let frames: Vec<String> = frames.iter().map(|frame| hex(frame)).collect();
        // A terminal takes lines of 4,096 bytes.
        for some in frames.chunks(24) {
            let task = format!("send {interface} {}", some.join(" "));
            self.shell(&format!("{TASK}='{task}' agent --exact agent >/dev/null"));
        }
    }

    /// Stops the switch as an operator does, and the guest.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Ended {
        self.shell("kill $(cat /tmp/pid); wait $(cat /tmp/pid)");
        let last = self.said().lines().last().unwrap_or_default().to_owned();
        let count = |name: &str| -> u64 {
            let mut words = last.split_whitespace().skip_while(|word| *word != name);
            words.nth(1).unwrap_or_else(|| panic!("last line: {last}")).parse().unwrap()
        };
        let (came, went) =
            (count("received") + count("copies"), count("delivered") + count("dropped"));
        assert_eq!(came, went, "frames appeared or vanished: {last}");
        let left = count("mbufs_in_use");
        let log = self.log();
        let serious = |line: &&str| line.contains("ERROR") || line.contains("WARN");
        let complaints = log.lines().filter(serious).map(str::to_owned).collect();
        self.guest.take().unwrap().power_off();
        Ended { last, left, complaints }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- log of the switch in the guest, last lines:\n{}", last.join("\n"));
        }
    }
}

fn init() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nic/init")
}

/// The switch and what it needs, below the root of a guest.
fn fill(root: &Path, config: &str) {
    fs::write(root.join("test.toml"), config).unwrap();
    for directory in ["usr/lib", "usr/lib64", "usr/sbin", "usr/bin"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for name in ["lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
    let daemon = Path::new(env!("CARGO_BIN_EXE_mvswitch"));
    let programs = [
        (daemon.to_owned(), "bin/mvswitch"),
        (daemon.with_file_name("mvctl"), "bin/mvctl"),
        (std::env::current_exe().unwrap(), "bin/agent"),
        // That of busybox knows neither VLANs nor macvlan.
        (program("ip"), "usr/sbin/ip"),
    ];
    let mut libraries = BTreeSet::new();
    for (from, to) in programs {
        libraries.extend(closure(&from));
        fs::copy(&from, root.join(to)).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    }
    for driver in DRIVERS {
        let file = Path::new(DRIVER_DIRECTORY).join(format!("librte_{driver}.so.23"));
        libraries.extend(closure(&file));
        libraries.insert(file);
    }
    for library in libraries {
        // One file under all of its names, as on this machine: a driver loaded as
        // two files would be there twice.
        let real = library.canonicalize().unwrap();
        let real_copy = below(root, &real);
        fs::create_dir_all(real_copy.parent().unwrap()).unwrap();
        fs::copy(&real, &real_copy).unwrap();
        let link = below(root, &library);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(&real, link).unwrap();
        }
    }
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap())
}

fn program(name: &str) -> PathBuf {
    run("sh", &["-c", "PATH=$PATH:/usr/sbin:/sbin command -v \"$1\"", "sh", name]).trim().into()
}

/// Every library that `file` needs, the loader included.
fn closure(file: &Path) -> Vec<PathBuf> {
    let said = run("ldd", &[file.to_str().unwrap()]);
    assert!(!said.contains("not found"), "{}: {said}", file.display());
    let words = said.lines().map(|line| line.split_whitespace());
    words
        .filter_map(|mut words| words.find(|word| word.starts_with('/')).map(PathBuf::from))
        .collect()
}
