//! Rights and limits of this process.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::machine::Machine;
use super::{Check, Needs, devices, memory};
use crate::config::{Endpoint, is_pci};

/// A capability that some driver needs.
struct Capability {
    bit: u32,
    name: &'static str,
    /// Devices that do not open without.
    drivers: &'static [&'static str],
}

const CAPABILITIES: [Capability; 2] = [
    Capability {
        bit: 13,
        name: "CAP_NET_RAW",
        drivers: &["net_af_packet", "net_pcap", "net_af_xdp"],
    },
    Capability { bit: 12, name: "CAP_NET_ADMIN", drivers: &["net_tap", "net_af_xdp"] },
];

const IPC_LOCK: u32 = 14;

/// Descriptors that the switch itself has, and that a guest costs.
const OWN_DESCRIPTORS: u64 = 64;
const GUEST_DESCRIPTORS: u64 = 16;

fn has(machine: &Machine, bit: u32) -> bool {
    machine.capabilities >> bit & 1 == 1
}

/// Who this is, and what it may.
pub(super) fn rights(machine: &Machine, needs: &Needs) -> Check {
    let who = match machine.user {
        0 => "root".to_owned(),
        user => format!("user {user}"),
    };
    let (had, lacking): (Vec<_>, Vec<_>) =
        CAPABILITIES.iter().partition(|capability| has(machine, capability.bit));
    let names = |all: &[&Capability]| {
        all.iter().map(|capability| capability.name).collect::<Vec<_>>().join(", ")
    };
    let mut had: Vec<&str> = had.iter().map(|capability| capability.name).collect();
    if has(machine, IPC_LOCK) {
        had.push("CAP_IPC_LOCK");
    }
    let found = match had[..] {
        [] => format!("{who}, without capabilities"),
        _ => format!("{who}, with {}", had.join(", ")),
    };
    let grant = |all: &[&Capability]| {
        let program = std::env::current_exe().unwrap_or_else(|_| "mvswitch".into());
        let list = names(all).to_lowercase().replace(", ", ",");
        machine.as_root(&format!("setcap {list}+ep {}", program.display()))
    };
    if lacking.is_empty() {
        return Check::ok("rights", found);
    }
    if needs.config.is_none() {
        let what: Vec<String> = lacking
            .iter()
            .map(|capability| format!("{} for {}", capability.name, capability.drivers.join(", ")))
            .collect();
        let found = format!(
            "{found}; demo wires and vhost-user sockets need none, other devices need {}",
            what.join(", and ")
        );
        return Check::note("rights", found, grant(&lacking));
    }
    let devices = needs.devices();
    let wanting: Vec<&Capability> = lacking
        .into_iter()
        .filter(|capability| {
            devices.iter().any(|(_, device)| devices::is_driven(device, capability.drivers))
        })
        .collect();
    if wanting.is_empty() {
        return Check::ok("rights", format!("{found}; this config needs no more"));
    }
    let whose: Vec<&str> = devices
        .iter()
        .filter(|(_, device)| {
            wanting.iter().any(|capability| devices::is_driven(device, capability.drivers))
        })
        .map(|(owner, _)| owner.as_str())
        .collect();
    let found = format!("{found}; {} needed by {}", names(&wanting), whose.join(", "));
    Check::problem("rights", found, grant(&wanting))
}

/// Open files, and memory that may be locked.
pub(super) fn limits(machine: &Machine, needs: &Needs) -> Vec<Check> {
    vec![open_files(needs), locked_memory(machine, needs)]
}

fn open_files(needs: &Needs) -> Check {
    let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Check::ok("open files", "the limit is not known");
    };
    let room = hard.saturating_sub(OWN_DESCRIPTORS) / GUEST_DESCRIPTORS;
    let found = format!("{} at most, enough for {room} guests", amount(hard));
    let guests = match &needs.config {
        Some(config) => {
            let sockets =
                |link: &&crate::config::LinkConfig| matches!(link.endpoint, Endpoint::Vhost { .. });
            u64::try_from(config.links.iter().filter(sockets).count()).unwrap_or(u64::MAX)
        }
        None => 16,
    };
    if room >= guests {
        return Check::ok("open files", found);
    }
    let wanted = (OWN_DESCRIPTORS + guests * GUEST_DESCRIPTORS).next_power_of_two();
    let mend = format!("ulimit -n {wanted} as root, or LimitNOFILE={wanted} in the unit");
    Check::note("open files", format!("{found}; {guests} links want one each"), mend)
}

fn locked_memory(machine: &Machine, needs: &Needs) -> Check {
    let Ok((soft, _)) = getrlimit(Resource::RLIMIT_MEMLOCK) else {
        return Check::ok("locked memory", "the limit is not known");
    };
    let found = if soft == RLIM_INFINITY {
        "as much as there is".to_owned()
    } else {
        format!("{} KiB at most", soft / 1024)
    };
    if has(machine, IPC_LOCK) {
        return Check::ok("locked memory", format!("{found}, which CAP_IPC_LOCK lifts"));
    }
    let nic = needs.devices().into_iter().find(|(_, device)| is_pci(device));
    let needed = u64::from(memory::needed(machine, needs)) << 20;
    match nic {
        Some((owner, _)) if soft < needed => Check::problem(
            "locked memory",
            format!("{found}; {owner} needs {} MiB for its card", needed >> 20),
            "ulimit -l unlimited as root, or LimitMEMLOCK=infinity in the unit",
        ),
        Some(_) => Check::ok("locked memory", found),
        None => Check::ok("locked memory", format!("{found}; only a NIC needs it")),
    }
}

fn amount(limit: u64) -> String {
    if limit == RLIM_INFINITY { "any number".to_owned() } else { limit.to_string() }
}

/// Whether somebody without rights can have a network namespace of their own,
/// in which af_packet and tap devices work.
pub(super) fn user_namespaces(machine: &Machine) -> Check {
    let name = "user namespaces";
    if machine.user == 0 {
        return Check::ok(name, "not needed: root makes network namespaces as it is");
    }
    let switches = [
        ("user.max_user_namespaces", "proc/sys/user/max_user_namespaces", 0, 15_000),
        ("kernel.unprivileged_userns_clone", "proc/sys/kernel/unprivileged_userns_clone", 0, 1),
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            1,
            0,
        ),
    ];
    // A kernel without one of these does not restrict by it.
    let off = switches.iter().find(|(_, file, off, _)| machine.number(file) == Some(*off));
    match off {
        None => {
            Check::ok(name, "unshare -Urn gives a network of one's own, with af_packet and tap")
        }
        Some((key, _, value, good)) => Check::note(
            name,
            format!("{key} is {value}, so af_packet and tap need rights"),
            machine.as_root(&format!("sysctl {key}={good}")),
        ),
    }
}
