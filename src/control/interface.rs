//! Whether the kernel's interface behind a lower could be a macvlan's lower.
//!
//! Looked at once, when the lower is opened. What the kernel's driver refuses is
//! refused here too (ER-16, ER-17): a packet socket would be content with a
//! bridge's port, and then both would deliver its frames.

use macvlan::driver::DeviceKind;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::config::device_name;

/// What is known of the interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    /// Whether it is an Ethernet device.
    pub(super) kind: DeviceKind,
    /// Which bridge, bond or the like has its frames already.
    pub(super) owner: Option<String>,
}

/// Looks at the interface that `device` receives from, if it does that.
pub(super) fn behind(device: &str) -> Interface {
    let listens = ["net_af_packet", "net_af_xdp", "net_pcap"];
    let name = device.split(',').skip(1).find_map(|argument| argument.strip_prefix("iface="));
    match name {
        Some(name) if listens.iter().any(|driver| device_name(device).starts_with(driver)) => {
            Interface { kind: kind(name), owner: owner(name) }
        }
        _ => Interface::default(),
    }
}

fn kind(name: &str) -> DeviceKind {
    let mut addresses = getifaddrs().into_iter().flatten().filter(|entry| {
        entry.interface_name == name
            && entry.address.as_ref().is_some_and(|address| address.as_link_addr().is_some())
    });
    match addresses.next() {
        Some(entry) if entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) => DeviceKind::Loopback,
        Some(entry) => {
            let link = entry.address.as_ref().and_then(|address| address.as_link_addr());
            let six_bytes = link.is_some_and(|link| link.halen() == 6);
            if six_bytes { DeviceKind::Ethernet } else { DeviceKind::Other }
        }
        // Not there, or not to be seen: opening it says more.
        None => DeviceKind::Ethernet,
    }
}

/// The interface's master. Only believed if /sys shows this network namespace.
fn owner(name: &str) -> Option<String> {
    let directory = std::path::Path::new("/sys/class/net").join(name);
    let shown: u32 =
        std::fs::read_to_string(directory.join("ifindex")).ok()?.trim().parse().ok()?;
    if if_nametoindex(name).ok()? != shown {
        return None;
    }
    let master = std::fs::read_link(directory.join("master")).ok()?;
    master.file_name().map(|name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_what_has_no_interface() {
        assert_eq!(behind("net_af_packet0,iface=lo").kind, DeviceKind::Loopback);
        assert_eq!(behind("net_tap0,iface=lo"), Interface::default());
        assert_eq!(behind("demo"), Interface::default());
        assert_eq!(behind("net_af_packet0,iface=nowhere"), Interface::default());
    }
}
