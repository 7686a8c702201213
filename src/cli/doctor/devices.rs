//! What devices stand on: special files, the kernel's interfaces, and each
//! device that a config names.

use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::machine::Machine;
use super::{Check, Needs, State, pci};
use crate::cli::netlink::{Interface, Kind, Lower};
use crate::config::{device_name, is_pci};

/// Drivers that listen on an interface of the kernel.
const LISTENING: [&str; 3] = ["net_af_packet", "net_af_xdp", "net_pcap"];

const VIRTIO_USER: [&str; 2] = ["net_virtio_user", "virtio_user"];

/// True if `device` is driven by one of `drivers`. net_pcap counts where it has
/// an interface: on files it needs nothing.
pub(super) fn is_driven(device: &str, drivers: &[&str]) -> bool {
    let name = device_name(device);
    drivers.iter().any(|driver| {
        name.starts_with(driver) && (*driver != "net_pcap" || argument(device, "iface").is_some())
    })
}

/// The value of a device's argument.
fn argument<'a>(device: &'a str, key: &str) -> Option<&'a str> {
    let mut arguments = device.split(',').skip(1).filter_map(|text| text.split_once('='));
    arguments.find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// True if `path` may be read and written; opens nothing.
pub(super) fn usable(path: &Path) -> bool {
    access(path, AccessFlags::R_OK | AccessFlags::W_OK).is_ok()
}

/// `/dev/net/tun` and `/dev/vhost-net`.
pub(super) fn special_files(machine: &Machine, needs: &Needs) -> Vec<Check> {
    let in_kernel = needs.devices().iter().any(|(_, device)| {
        is_driven(device, &VIRTIO_USER) && argument(device, "path") == Some("/dev/vhost-net")
    });
    let wanted = |is: bool| needs.config.as_ref().map(|_| is);
    vec![
        special(machine, "dev/net/tun", "tun", "net_tap", wanted(needs.any(&["net_tap"]))),
        special(
            machine,
            "dev/vhost-net",
            "vhost_net",
            "virtio_user on the kernel",
            wanted(in_kernel),
        ),
    ]
}

/// `wanted` is whether the config needs it, if there is one.
fn special(machine: &Machine, file: &str, module: &str, user: &str, wanted: Option<bool>) -> Check {
    let name = format!("/{file}");
    let path = machine.path(file);
    if usable(&path) {
        return Check::ok(name, "there, and may be used");
    }
    let (found, mend) = if path.exists() {
        (
            format!("may not be opened by this user; {user} needs it"),
            machine.as_root(&format!("setfacl -m u:{}:rw /{file}", machine.user)),
        )
    } else {
        (format!("absent; {user} needs it"), machine.as_root(&format!("modprobe {module}")))
    };
    match wanted {
        Some(true) => Check::problem(name, found, mend),
        Some(false) => Check::ok(name, format!("{found}, this config does not")),
        None => Check::note(name, found, mend),
    }
}

/// Wireless interfaces: those of the config, or all there are.
pub(super) fn wireless(machine: &Machine, needs: &Needs) -> Vec<Check> {
    let is_wireless = |name: &str| {
        let directory = format!("sys/class/net/{name}");
        ["wireless", "phy80211"].iter().any(|entry| machine.exists(format!("{directory}/{entry}")))
    };
    let devices = needs.devices();
    let names: Vec<String> = match needs.config {
        Some(_) => devices
            .iter()
            .filter(|(_, device)| is_driven(device, &LISTENING))
            .filter_map(|(_, device)| argument(device, "iface").map(str::to_owned))
            .collect(),
        None => machine.names("sys/class/net"),
    };
    let check = |name: &String| {
        Check::note(
            format!("Wi-Fi {name}"),
            "access points drop frames from addresses that did not log in: links get no answers",
            "use a wired interface as the lower, or one link in passthru mode",
        )
    };
    names.iter().filter(|name| is_wireless(name)).map(check).collect()
}

/// A line for each device of the config.
pub(super) fn named(machine: &Machine, needs: &Needs) -> Vec<Check> {
    let devices = needs.devices();
    devices
        .iter()
        .map(|(owner, device)| one(machine, owner, device, needs.has_links(owner)))
        .collect()
}

fn one(machine: &Machine, owner: &str, device: &str, used: bool) -> Check {
    let name = device_name(device);
    if is_pci(device) {
        return pci::named(machine, owner, device);
    }
    match argument(device, "iface") {
        Some(interface) if is_driven(device, &LISTENING) => {
            return listening(machine, owner, interface, used);
        }
        Some(interface) if is_driven(device, &["net_tap"]) => {
            return tap(machine, owner, interface);
        }
        None if is_driven(device, &["net_af_packet", "net_af_xdp"]) => {
            return Check::problem(
                owner,
                format!("{name} names no interface"),
                format!("write \"{name},iface=NAME\""),
            );
        }
        _ => {}
    }
    match argument(device, "path") {
        Some(path) if is_driven(device, &VIRTIO_USER) && path != "/dev/vhost-net" => {
            if Path::new(path).exists() {
                return Check::ok(owner, format!("{path} is there"));
            }
            let mend = "start the program that listens there, or write another path";
            Check::problem(owner, format!("there is no {path}"), mend)
        }
        _ => Check::ok(owner, format!("{name} needs nothing of this machine")),
    }
}

/// An interface that a packet socket is to listen on; `used` if links are on it.
fn listening(machine: &Machine, owner: &str, name: &str, used: bool) -> Check {
    let interfaces = match &machine.interfaces {
        Ok(interfaces) => interfaces,
        Err(why) => return Check::note(owner, format!("{name}: {why}"), "ip link show"),
    };
    let Some(interface) = machine.interface(name) else {
        let names: Vec<&str> = interfaces.iter().map(|other| other.name.as_str()).collect();
        let mend = format!("write iface= one of {}", names.join(", "));
        return Check::problem(owner, format!("there is no interface {name}"), mend);
    };
    // Links are refused on these; a lower without links opens them.
    let state = if used { State::Problem } else { State::Note };
    let fault = |found: String, mend: String| Check { state, ..Check::note(owner, found, mend) };
    if !interface.ethernet {
        let found = format!("{name} is no Ethernet device, and links need one");
        return fault(found, "name another interface".to_owned());
    }
    if let Some(master) = interface.master {
        let master = interfaces.iter().find(|other| other.index == master);
        let master = master.map_or("another interface", |master| &master.name);
        return fault(
            format!("{name} is a port of {master}, which has its frames already"),
            machine.as_root(&format!("ip link set {name} nomaster")),
        );
    }
    let links: Vec<&str> = interfaces
        .iter()
        .filter(|other| is_link_on(other, interface))
        .map(|link| &*link.name)
        .collect();
    if !links.is_empty() {
        return Check::note(
            owner,
            format!(
                "{name} has the kernel's macvlan links {}: both would deliver",
                links.join(", ")
            ),
            format!("mvswitch import {name} makes a config of them, and says how to remove them"),
        );
    }
    if !interface.up {
        let found = format!("{name} is down: it carries nothing");
        return Check::note(owner, found, machine.as_root(&format!("ip link set {name} up")));
    }
    Check::ok(owner, format!("{name} is there and up"))
}

fn is_link_on(other: &Interface, lower: &Interface) -> bool {
    matches!(other.kind, Kind::Macvlan(_)) && other.lower == Lower::Here(lower.index)
}

/// The name that a tap device is to have.
fn tap(machine: &Machine, owner: &str, name: &str) -> Check {
    if machine.interface(name).is_none() {
        return Check::ok(owner, format!("the name {name} is free"));
    }
    let (found, mend) = if machine.exists(format!("sys/class/net/{name}/tun_flags")) {
        let found = format!("{name} is a tap device already: it may be in use");
        return Check::note(owner, found, machine.as_root(&format!("ip link del {name}")));
    } else {
        (format!("{name} is the name of another interface"), "write another iface= in its device")
    };
    Check::problem(owner, found, mend)
}
