//! Huge pages: how many are free, and how many are wanted.

use super::machine::Machine;
use super::{Check, Needs, cpus};
use crate::config::{Config, Memory as Wanted};
use crate::control::Profile;
use crate::dpdk::Memory;

/// MiB that an ordinary config wants, where there is none to ask.
const USUAL_MB: u32 = 256;

const NAME: &str = "huge pages";

/// Pages of one size.
struct Pages {
    kib: u64,
    free: u64,
    total: u64,
}

/// MiB that a start takes.
pub(super) fn needed(machine: &Machine, needs: &Needs) -> u32 {
    let Some(config) = &needs.config else { return USUAL_MB };
    on_small_pages(config, machine).map_or(USUAL_MB, |profile| profile.megabytes)
}

/// The sizes, which are the same on any pages, and on these nothing is lacking.
fn on_small_pages(config: &Config, machine: &Machine) -> Result<Profile, String> {
    let mut config = config.clone();
    config.eal.memory = Wanted::Small;
    Profile::choose(&config, cpus::workers(machine, &config))
}

pub(super) fn huge_pages(machine: &Machine, needs: &Needs) -> Check {
    let sizes = sizes(machine);
    let free: u64 = sizes.iter().map(|pages| pages.free * pages.kib / 1024).sum();
    let found = match sizes[..] {
        [] => "this kernel has none".to_owned(),
        _ => sizes.iter().map(Pages::describe).collect::<Vec<_>>().join(", "),
    };
    let Some(config) = &needs.config else {
        let wanted = format!("{found}; a switch wants {USUAL_MB} MiB");
        return if free >= u64::from(USUAL_MB) {
            Check::ok(NAME, wanted)
        } else {
            let found = format!("{wanted}, and takes 4 KiB pages for a trial");
            Check::note(NAME, found, reserve(machine, &sizes, USUAL_MB, free))
        };
    };
    let wanted = match on_small_pages(config, machine) {
        Ok(profile) => profile.megabytes,
        Err(refusal) => {
            let (wrong, advice) = refusal.split_once(". ").unwrap_or((&refusal, "raise it"));
            return Check::problem("memory", wrong, advice);
        }
    };
    let mend = || reserve(machine, &sizes, wanted, free);
    let found = format!("{found}; this config wants {wanted} MiB");
    match Profile::choose(config, cpus::workers(machine, config)) {
        Ok(profile) if profile.memory == Memory::Huge => Check::ok(NAME, found),
        Ok(_) if config.eal.memory == Wanted::Small => {
            Check::ok(NAME, format!("{found}, of 4 KiB pages"))
        }
        Ok(_) => Check::note(NAME, format!("{found}, and takes 4 KiB pages"), mend()),
        Err(_) => Check::problem(NAME, format!("{found}, and cannot do without"), mend()),
    }
}

impl Pages {
    fn describe(&self) -> String {
        let size = match self.kib {
            kib if kib >= 1 << 20 => format!("{} GiB", kib >> 20),
            kib if kib >= 1 << 10 => format!("{} MiB", kib >> 10),
            kib => format!("{kib} KiB"),
        };
        format!("{} of {} free of {size}", self.free, self.total)
    }
}

fn sizes(machine: &Machine) -> Vec<Pages> {
    let directory = "sys/kernel/mm/hugepages";
    let names = machine.names(directory);
    let mut sizes: Vec<Pages> = names
        .iter()
        .filter_map(|name| {
            let count = |file: &str| machine.number(format!("{directory}/{name}/{file}"));
            Some(Pages {
                kib: name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?,
                free: count("free_hugepages")?,
                total: count("nr_hugepages")?,
            })
        })
        .collect();
    sizes.sort_by_key(|pages| pages.kib);
    sizes
}

/// The command that makes `wanted` MiB of them free. It sets how many pages of
/// the usual size there are in all.
fn reserve(machine: &Machine, sizes: &[Pages], wanted: u32, free: u64) -> String {
    let meminfo = machine.read("proc/meminfo").unwrap_or_default();
    let usual = meminfo.lines().find_map(|line| line.strip_prefix("Hugepagesize:"));
    let kib = usual.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(2048);
    let total = sizes.iter().find(|pages| pages.kib == kib).map_or(0, |pages| pages.total);
    let missing = (u64::from(wanted).saturating_sub(free) * 1024).div_ceil(kib.max(1));
    machine.as_root(&format!("sysctl vm.nr_hugepages={}", total + missing))
}
