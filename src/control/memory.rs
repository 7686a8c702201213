//! How much memory a config needs, and from which pages it comes.
//!
//! Pure arithmetic and one look at the system. Used at start alone. Says in
//! advance what EAL would otherwise say in its own words.

use std::path::Path;

use crate::config::{Config, Endpoint, LowerConfig, LowerDevice, Memory as Wanted, is_pci};
use crate::dpdk::{Memory, Pool};

/// Descriptors per queue of a lower, and of a link that is an ethdev.
pub(super) const LOWER_DESCRIPTORS: u16 = 1024;
pub(super) const LINK_DESCRIPTORS: u16 = 256;

/// Room for what is added at run time and for frames between two ports.
const SPARE: u32 = 8192;

/// One part in so many of the pool may wait in broadcast queues: the others
/// have what they need whatever comes from the wire.
const QUEUED: u32 = 4;

/// Bytes around the payload: Ethernet header and up to two VLAN tags.
const OVERHEAD: u16 = 22;

/// What librte_vhost takes for a guest with queues of 1,024, in KiB: 40 bytes per
/// descriptor of two queues, and the rest of its device.
const GUEST_KB: usize = 96;

/// What EAL needs for itself, in MiB.
const EAL_MB: u32 = 48;

const MIB: u64 = 1 << 20;

/// The memory a switch runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Which pages.
    pub memory: Memory,
    /// MiB that EAL takes at start.
    pub megabytes: u32,
    /// Frames in the pool.
    pub buffers: u32,
    /// Largest frame a buffer holds, in bytes.
    pub room: u16,
}

impl Profile {
    /// The words shown at start.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.memory {
            Memory::Huge => format!("huge pages, {} MiB", self.megabytes),
            Memory::Small => format!(
                "laptop (4 KiB pages, {} MiB, no huge pages needed): fine for trying, not for benchmarks",
                self.megabytes
            ),
        }
    }

    /// Frames that may wait in broadcast queues, of all lowers together.
    #[must_use]
    pub const fn queued(&self) -> usize {
        (self.buffers / QUEUED) as usize
    }

    /// Chooses pages and sizes for `config` with so many workers.
    ///
    /// # Errors
    /// Huge pages are needed and too few are free: how many, and what to type.
    pub fn choose(config: &Config, workers: u16) -> Result<Self, String> {
        Self::choose_with(config, workers, free_huge_mb(Path::new("/sys/kernel/mm/hugepages")))
    }

    fn choose_with(config: &Config, workers: u16, free_mb: u64) -> Result<Self, String> {
        let mtu = config.lowers.iter().map(|lower| lower.mtu).max().unwrap_or(1500);
        // DPDK's customary room, unless larger frames are wanted.
        let room = mtu.saturating_add(OVERHEAD).max(2048);
        let queues = u32::from(workers);
        let lowers = config.lowers.iter().filter(|lower| device_of(lower).is_some()).count();
        let lowers = u32::try_from(lowers).unwrap_or(0);
        let links = config.links.iter();
        let links = links.filter(|link| matches!(link.endpoint, Endpoint::Device(_))).count();
        let hosts = config.lowers.iter().filter(|lower| lower.host.is_some()).count();
        let ethdevs = u32::try_from(links + hosts).unwrap_or(0);
        let per_queue =
            2 * (lowers * u32::from(LOWER_DESCRIPTORS) + ethdevs * u32::from(LINK_DESCRIPTORS));
        let others = SPARE + queues * (per_queue + 2 * Pool::CACHE);
        let buffers = others + others.div_ceil(QUEUED - 1);
        let bytes = u64::from(buffers) * Pool::bytes_per_buffer(room);
        let guests = u64::try_from((config.links.len() - links) * GUEST_KB).unwrap_or(u64::MAX);
        let megabytes = bytes.saturating_add(guests.saturating_mul(1024)).div_ceil(MIB);
        let needed = u32::try_from(megabytes).unwrap_or(u32::MAX).saturating_add(EAL_MB);
        let megabytes = config.eal.memory_mb.unwrap_or_else(|| needed.next_multiple_of(2).max(128));
        if megabytes < needed {
            return Err(format!(
                "memory_mb = {megabytes} is too little for this config: it needs {needed} MiB. \
                 Raise it or leave it out"
            ));
        }
        let profile = |memory| Self { memory, megabytes, buffers, room };
        let enough = free_mb >= u64::from(megabytes);
        let is_nic = |lower: &&LowerConfig| device_of(lower).is_some_and(is_pci);
        let pci = config.lowers.iter().find(is_nic);
        match (config.eal.memory, pci) {
            (Wanted::Small, _) => Ok(profile(Memory::Small)),
            (Wanted::Auto, None) if !enough => Ok(profile(Memory::Small)),
            _ if enough => Ok(profile(Memory::Huge)),
            (_, pci) => {
                let why = match pci {
                    Some(lower) => format!("lower {} is a PCI device, which", lower.name),
                    None => "memory = \"huge\"".to_owned(),
                };
                let pages = u64::from(megabytes).saturating_sub(free_mb).div_ceil(2);
                Err(format!(
                    "{why} needs {megabytes} MiB of huge pages, and {free_mb} MiB are free. \
                     Type, as root: echo $(($(cat /proc/sys/vm/nr_hugepages) + {pages})) > /proc/sys/vm/nr_hugepages"
                ))
            }
        }
    }
}

/// The device of a lower that has one of its own.
fn device_of(lower: &LowerConfig) -> Option<&str> {
    match &lower.device {
        LowerDevice::Device(device) => Some(device),
        LowerDevice::Vlan { .. } => None,
    }
}

/// Free huge pages of all sizes below `directory`, in MiB.
fn free_huge_mb(directory: &Path) -> u64 {
    let sizes = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let free = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let pages = std::fs::read_to_string(entry.path().join("free_hugepages")).ok()?;
        Some(pages.trim().parse::<u64>().ok()? * kib / 1024)
    };
    sizes.filter_map(free).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_config_and_what_is_free() {
        let parse = |text: &str| Config::parse(text, Path::new("t.toml")).unwrap();
        let demo = "[[lower]]\nname = \"a\"\ndevice = \"demo\"\n";
        let huge = format!("[eal]\nmemory = \"huge\"\n{demo}");
        let pci = "[[lower]]\nname = \"a\"\ndevice = \"0000:8a:00.0\"\n";
        let memory =
            |text: &str, free| Profile::choose_with(&parse(text), 1, free).map(|p| p.memory);
        assert_eq!(memory(demo, 0), Ok(Memory::Small));
        assert_eq!(memory(demo, 4096), Ok(Memory::Huge));
        assert_eq!(memory(&huge, 4096), Ok(Memory::Huge));
        assert!(memory(&huge, 10).unwrap_err().contains("10 MiB are free"));
        assert!(memory(pci, 0).unwrap_err().contains("lower a is a PCI device"));
        assert_eq!(memory(&format!("[eal]\nmemory = \"4k\"\n{demo}"), 4096), Ok(Memory::Small));
        let little = Profile::choose_with(&parse(&format!("[eal]\nmemory_mb = 16\n{demo}")), 1, 0);
        assert!(little.unwrap_err().contains("too little"));
        // A thousand guests with long queues find room, too.
        let link = |number| format!("[[macvlan]]\nname = \"mv{number}\"\nlink = \"a\"\n");
        let many = demo.to_owned() + &(0..1000).map(link).collect::<String>();
        let megabytes = |text: &str| Profile::choose_with(&parse(text), 1, 0).unwrap().megabytes;
        assert!(megabytes(&many) >= megabytes(demo) + 32);
    }

    #[test]
    fn full_broadcast_queues_leave_the_others_what_they_need() {
        let carrier = "[[lower]]\nname = \"a\"\ndevice = \"demo\"\n";
        let vlan = |id| format!("[[lower]]\nname = \"v{id}\"\nlower = \"a\"\nvlan = {id}\n");
        let text = carrier.to_owned() + &(1..50).map(vlan).collect::<String>();
        let config = Config::parse(&text, Path::new("t.toml")).unwrap();
        let profile = Profile::choose_with(&config, 2, 0).unwrap();
        let queued = u32::try_from(profile.queued()).unwrap();
        let others = SPARE + 2 * (2 * u32::from(LOWER_DESCRIPTORS) + 2 * Pool::CACHE);
        assert!(profile.buffers - queued >= others);
        assert!(queued >= macvlan::driver::BC_QUEUE_LEN, "one queue of the usual length fits");
    }
}
