//! The environment abstraction layer: started once per process, from the config.
//!
//! Owns the argument list, the process-wide start and the clean-up. Called by
//! the binary's start-up alone, before any other DPDK call and on the thread
//! that becomes control. It must not leave the caller pinned: EAL pins the
//! calling thread, and everything spawned later would inherit that.

use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};

use dpdk_sys as sys;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::error::{DpdkError, attempt};
use super::log;

/// Which pages EAL takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Huge pages, held by descriptors that vanish with the process.
    Huge,
    /// Ordinary pages: no rights and no preparation needed. The laptop profile.
    Small,
}

/// What EAL is started with.
#[derive(Clone, Debug)]
pub struct EalOptions {
    /// The instance's name: file prefix of anything EAL writes.
    pub name: String,
    /// EAL's own files go below it, never to a place shared with other users.
    pub runtime_dir: PathBuf,
    /// CPU of the control thread and of DPDK's own threads.
    pub control_core: usize,
    /// Page kind.
    pub memory: Memory,
    /// Memory to take at start, in MiB.
    pub memory_mb: u32,
    /// PCI addresses that may be probed; all others are left alone.
    pub pci: Vec<String>,
    /// Further EAL arguments, last so that they win.
    pub extra: Vec<String>,
}

/// The argument list EAL is started with.
#[must_use]
pub fn arguments(options: &EalOptions) -> Vec<String> {
    let mut args = vec!["mvswitch".to_owned()];
    let mut add = |words: &[&str]| args.extend(words.iter().map(|&word| word.to_owned()));
    // Lcore 0 is the control thread; workers register themselves later.
    add(&["--lcores", &format!("0@{}", options.control_core)]);
    add(&["--file-prefix", &format!("mvswitch-{}", options.name)]);
    add(&["-m", &options.memory_mb.to_string(), "--no-telemetry"]);
    // A NIC's kernel driver decides: vfio translates addresses, uio cannot, and
    // EAL knows which it is.
    if options.pci.is_empty() || options.memory == Memory::Small {
        add(&["--iova-mode=va"]);
    }
    match options.memory {
        // One file per page would run virtio-user into its limit of 8 regions.
        Memory::Huge => add(&["--in-memory", "--single-file-segments"]),
        // 22.11 refuses --in-memory beside --no-huge.
        Memory::Small => add(&["--no-huge", "--no-shconf"]),
    }
    if options.pci.is_empty() {
        add(&["--no-pci"]);
    }
    for address in &options.pci {
        add(&["-a", address]);
    }
    args.extend(options.extra.iter().cloned());
    args
}

/// The started environment. Everything of DPDK must be gone before it drops.
#[derive(Debug)]
pub struct Eal {
    runtime_dir: PathBuf,
}

impl Eal {
    /// Starts EAL. Can succeed once per process.
    ///
    /// # Errors
    /// The call that failed; EAL's own words are in the log at that point.
    pub fn start(options: &EalOptions) -> Result<Self, DpdkError> {
        attempt("rte_openlog_stream", log::install)?;
        let here = Pid::from_raw(0);
        let affinity = sched_getaffinity(here).ok();
        // DPDK's own threads get what the caller may use less the lcores'
        // CPUs. Narrowed to the control core beforehand, that leaves them
        // there and off the workers' cores.
        let mut control = CpuSet::new();
        if control.set(options.control_core).is_ok() {
            _ = sched_setaffinity(here, &control);
        }
        // SAFETY: start-up runs on one thread, as `start` requires of its caller.
        unsafe { std::env::set_var("RUNTIME_DIRECTORY", &options.runtime_dir) };

        // EAL keeps pointers into the list: it is leaked, once per process.
        let argv: Vec<*mut c_char> = arguments(options)
            .into_iter()
            .filter_map(|word| CString::new(word).ok())
            .map(CString::into_raw)
            .collect();
        let argc = i32::try_from(argv.len()).unwrap_or(i32::MAX);
        let argv = argv.leak();
        // SAFETY: argv holds argc valid, writable, NUL-terminated strings that
        // live for ever; EAL may permute them.
        let started =
            attempt("rte_eal_init", || unsafe { sys::rte_eal_init(argc, argv.as_mut_ptr()) });
        if let Some(affinity) = affinity {
            _ = sched_setaffinity(here, &affinity);
        }
        started?;
        Ok(Self { runtime_dir: options.runtime_dir.clone() })
    }
}

impl Drop for Eal {
    fn drop(&mut self) {
        // SAFETY: called once, after every port and pool has been closed.
        _ = unsafe { sys::rte_eal_cleanup() };
        remove_leftovers(&self.runtime_dir);
    }
}

/// EAL leaves its (empty) directories behind.
fn remove_leftovers(runtime_dir: &Path) {
    let dpdk = runtime_dir.join("dpdk");
    if let Ok(prefixes) = std::fs::read_dir(&dpdk) {
        for prefix in prefixes.flatten() {
            _ = std::fs::remove_dir(prefix.path());
        }
    }
    _ = std::fs::remove_dir(dpdk);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(memory: Memory) -> EalOptions {
        EalOptions {
            name: "t".into(),
            runtime_dir: "/run/t".into(),
            control_core: 3,
            memory,
            memory_mb: 256,
            pci: vec![],
            extra: vec!["--log-level=pmd.net.vhost:debug".into()],
        }
    }

    #[test]
    fn laptop_profile_needs_no_rights_and_no_huge_pages() {
        assert_eq!(
            arguments(&options(Memory::Small)).join(" "),
            "mvswitch --lcores 0@3 --file-prefix mvswitch-t -m 256 --no-telemetry --iova-mode=va \
             --no-huge --no-shconf --no-pci --log-level=pmd.net.vhost:debug"
        );
    }

    #[test]
    fn huge_profile_probes_only_named_devices() {
        let options = EalOptions { pci: vec!["0000:8a:00.0".into()], ..options(Memory::Huge) };
        let line = arguments(&options).join(" ");
        assert!(line.contains("--in-memory --single-file-segments -a 0000:8a:00.0"), "{line}");
        assert!(!line.contains("--no-pci") && !line.contains("--iova-mode"), "{line}");
    }
}
