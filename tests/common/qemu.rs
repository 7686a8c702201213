//! Real Linux guests under QEMU's software emulation.
//!
//! Owns the QEMU processes and the initial RAM disk they boot from: busybox and
//! modules of Debian's kernel, with a shell on the serial console.
//! `tests/qemu/init` is the first process of a guest of the switch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Process, run};

/// What a guest may take from power on to its shell, on a busy machine.
const BOOT: Duration = Duration::from_secs(60);

/// The guest's modules, in the order in which they must be loaded.
const MODULES: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
];

/// A kernel with an initial RAM disk.
#[derive(Debug)]
pub(crate) struct GuestKernel {
    image: PathBuf,
    directory: TempDir,
}

impl GuestKernel {
    /// Where `scripts/test.sh` unpacks the kernel: `vmlinuz` and the modules.
    pub(crate) fn directory() -> PathBuf {
        let set = std::env::var_os("MVSWITCH_GUEST_KERNEL").map(PathBuf::from);
        set.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guest-kernel"))
    }

    /// Builds the initial RAM disk of an ordinary guest.
    #[track_caller]
    pub(crate) fn build() -> Self {
        let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/qemu/init");
        Self::with(&Self::directory(), &MODULES, &init, |_| {})
    }

    /// Builds an initial RAM disk: busybox, these modules of the kernel in
    /// `directory` in the order in which they must be loaded, a first process,
    /// and what `fill` puts below the root.
    #[track_caller]
    pub(crate) fn with(
        directory: &Path,
        modules: &[&str],
        init: &Path,
        fill: impl FnOnce(&Path),
    ) -> Self {
        let image = directory.join("vmlinuz");
        let work = tempfile::Builder::new().prefix("mvtest-").tempdir().unwrap();
        let root = work.path().join("root");
        for part in ["bin", "dev", "proc", "sys", "modules"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        fs::copy(init, root.join("init")).unwrap();
        let mut order = String::new();
        for module in modules {
            let file = directory.join(format!("{module}.ko"));
            // A kernel may have a module built in.
            if file.exists() {
                fs::copy(&file, root.join("modules").join(format!("{module}.ko"))).unwrap();
                order.push_str(&format!("/modules/{module}.ko\n"));
            }
        }
        fs::write(root.join("modules/order"), order).unwrap();
        fill(&root);
        let pack = "cd \"$1\" && chmod 755 init bin/* && \
                    find . | cpio -o -H newc --quiet > ../initrd";
        run("sh", &["-c", pack, "pack", root.to_str().unwrap()]);
        Self { image, directory: work }
    }

    fn initrd(&self) -> PathBuf {
        self.directory.path().join("initrd")
    }
}

/// A running guest with a shell.
#[derive(Debug)]
pub(crate) struct Guest {
    name: String,
    process: Process,
}

impl Guest {
    /// Powers on a guest whose network card is on the vhost-user socket; see [`Guest::booted`].
    #[track_caller]
    pub(crate) fn power_on(
        kernel: &GuestKernel,
        name: &str,
        socket: &Path,
        mac: &str,
        address: &str,
    ) -> Self {
        let chardev = format!("socket,id=link,path={}", socket.display());
        // QEMU 7.2 without KVM crashes in the MSI-X set-up of vhost-user devices: vectors=0.
        let card = format!("virtio-net-pci,netdev=net,mac={mac},vectors=0,romfile=");
        let hardware = [
            // The switch reads the guest's memory, so it must be a file of its own, shared.
            ["-object", "memory-backend-memfd,id=memory,size=128M,share=on"],
            ["-machine", "q35,memory-backend=memory"],
            ["-m", "128"],
            ["-smp", "1"],
            ["-chardev", &chardev],
            ["-netdev", "vhost-user,id=net,chardev=link"],
            ["-device", &card],
        ];
        Self::start(kernel, name, &hardware.concat(), &format!("address={address}"))
    }

    /// Powers on a guest with this hardware and these further words on the
    /// kernel's command line; see [`Guest::booted`].
    #[track_caller]
    pub(crate) fn start(kernel: &GuestKernel, name: &str, hardware: &[&str], words: &str) -> Self {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-nodefaults", "-no-user-config", "-nographic", "-no-reboot"]);
        command.args(["-accel", "tcg"]).args(hardware);
        command.args(["-serial", "stdio", "-monitor", "none"]);
        command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(kernel.initrd());
        command.arg("-append").arg(format!("console=ttyS0 quiet panic=-1 {words}"));
        Self { name: name.to_owned(), process: Process::start(name, &mut command) }
    }

    /// Waits for the shell.
    #[track_caller]
    pub(crate) fn booted(&self) {
        let up = |said: &str| said.contains("guest: ready").then_some(());
        self.process.expect("shell", 0, BOOT, up);
    }

    /// Runs a line in the guest's shell: what it says, and its exit code.
    #[track_caller]
    pub(crate) fn shell(&mut self, line: &str, limit: Duration) -> (String, i32) {
        // On a line of its own, so that `line` may be a script.
        let from = self.process.say(&format!("{line}\necho \"guest: code\" $?"));
        let answer = |said: &str| {
            // The echo of what was typed has the words, but no number after them.
            let (answer, rest) = said.rsplit_once("guest: code ")?;
            let code = rest.lines().next().filter(|_| rest.contains('\n'))?.trim().parse().ok()?;
            Some((answer.to_owned(), code))
        };
        self.process.expect("answer", from, limit, answer)
    }

    /// Pings `address` so many times; how many answers came.
    #[track_caller]
    pub(crate) fn ping(&mut self, address: &str, count: u32) -> u32 {
        let limit = Duration::from_secs(20 + u64::from(count) * 2);
        let (said, _) = self.shell(&format!("ping -c {count} -i 0.2 -W 2 {address}"), limit);
        let words: Vec<&str> = said.split_whitespace().collect();
        let at = words.windows(2).position(|pair| pair == ["packets", "received,"]);
        let at = at.unwrap_or_else(|| panic!("{}: ping {address}: {said}", self.name));
        words[at - 1].parse().unwrap()
    }

    /// Switches it off, as its user would.
    #[track_caller]
    pub(crate) fn power_off(mut self) {
        self.process.say("poweroff -f");
        let status = self.process.ended(super::PATIENCE);
        assert!(status.is_some_and(|status| status.success()), "{}: {status:?}", self.name);
    }
}
