//! NICs on the PCI bus: which driver has each, and what it takes to give one to
//! DPDK.

use super::machine::Machine;
use super::{Check, Needs};
use crate::config::{device_name, is_pci};

const DEVICES: &str = "sys/bus/pci/devices";

/// Kernel drivers that hand a card over to user space.
const USER_SPACE: [&str; 3] = ["vfio-pci", "uio_pci_generic", "igb_uio"];

/// Kernel drivers that share a card with DPDK.
const SHARING: [&str; 3] = ["mlx4_core", "mlx5_core", "mana"];

/// A card.
struct Nic {
    address: String,
    driver: Option<String>,
    /// The kernel's interfaces on it.
    interfaces: Vec<String>,
}

impl Nic {
    fn at(machine: &Machine, address: &str) -> Self {
        let directory = format!("{DEVICES}/{address}");
        let mut interfaces = machine.names(format!("{directory}/net"));
        // A virtio card has a bus of its own in between.
        for name in machine.names(&directory) {
            if name.starts_with("virtio") {
                interfaces.extend(machine.names(format!("{directory}/{name}/net")));
            }
        }
        let driver = machine.target(format!("{directory}/driver"));
        Self { address: address.to_owned(), driver, interfaces }
    }

    fn is_ready(&self) -> bool {
        let driver = self.driver.as_deref();
        driver.is_some_and(|driver| USER_SPACE.contains(&driver) || SHARING.contains(&driver))
    }

    /// The driver, the interfaces, and whether this machine hangs on them.
    fn describe(&self, machine: &Machine) -> String {
        let mut found = match &self.driver {
            Some(driver) => format!("bound to {driver}"),
            None => "bound to no driver".to_owned(),
        };
        if !self.interfaces.is_empty() {
            found += &format!(", interface {}", self.interfaces.join(", "));
        }
        if let Some(name) = default_route(machine)
            && self.interfaces.contains(&name)
        {
            found += ", which has the default route: this machine leaves the network with it";
        }
        found
    }

    fn bind(&self, machine: &Machine) -> String {
        let bind = machine.as_root(&format!("dpdk-devbind.py -b vfio-pci {}", self.address));
        if machine.exists("sys/bus/pci/drivers/vfio-pci") {
            return bind;
        }
        format!("{} && {bind}", machine.as_root("modprobe vfio-pci"))
    }
}

fn default_route(machine: &Machine) -> Option<String> {
    let routes = machine.read("proc/net/route")?;
    let mut fields = routes.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let default = fields.find(|fields| fields.get(1) == Some(&"00000000"))?;
    Some((*default.first()?).to_owned())
}

/// Every network card's address.
fn cards(machine: &Machine) -> Vec<String> {
    let network = |address: &String| {
        let class = machine.read(format!("{DEVICES}/{address}/class"));
        class.is_some_and(|class| class.starts_with("0x02"))
    };
    machine.names(DEVICES).into_iter().filter(network).collect()
}

/// The cards that matter, and what they need of the machine.
pub(super) fn checks(machine: &Machine, needs: &Needs) -> Vec<Check> {
    let cards = cards(machine);
    let wanted = match needs.config {
        Some(_) => needs.pci(),
        None => !cards.is_empty(),
    };
    let mut checks = vec![iommu(machine, wanted, needs), modules(machine, wanted)];
    if needs.config.is_none() {
        checks.extend(cards.iter().map(|address| card(machine, address)));
        if cards.is_empty() {
            let found = "none on the PCI bus; a lower can be net_af_packet0,iface=NAME";
            checks.push(Check::ok("NICs", found));
        }
    }
    checks
}

fn card(machine: &Machine, address: &str) -> Check {
    let (nic, name) = (Nic::at(machine, address), format!("NIC {address}"));
    let found = nic.describe(machine);
    if nic.is_ready() {
        return Check::ok(name, found);
    }
    Check::note(name, found, nic.bind(machine))
}

/// A device of a config that is a PCI address.
pub(super) fn named(machine: &Machine, owner: &str, device: &str) -> Check {
    let address = device_name(device).to_ascii_lowercase();
    if !machine.exists(format!("{DEVICES}/{address}")) {
        let cards = cards(machine);
        let mend = match cards[..] {
            [] => "name another device: no network card is on the PCI bus".to_owned(),
            _ => format!("write one of {}", cards.join(", ")),
        };
        return Check::problem(owner, format!("there is no PCI device {address}"), mend);
    }
    let nic = Nic::at(machine, &address);
    let found = format!("{address} is {}", nic.describe(machine));
    if !nic.is_ready() {
        return Check::problem(owner, found, nic.bind(machine));
    }
    match nic.driver.as_deref() {
        Some("vfio-pci") => {}
        Some(driver) if driver.contains("uio") && machine.user != 0 => {
            return Check::problem(
                owner,
                format!("{found}, which is for root alone"),
                format!("run as root, or: {}", nic.bind(machine)),
            );
        }
        _ => return Check::ok(owner, found),
    }
    match group(machine, &address) {
        Some(file) if !super::devices::usable(&machine.path(&file)) => Check::problem(
            owner,
            format!("{found}, and /{file} may not be opened"),
            machine.as_root(&format!("chown {} /{file}", machine.user)),
        ),
        _ => Check::ok(owner, found),
    }
}

/// The file that vfio offers a card's group by.
fn group(machine: &Machine, address: &str) -> Option<String> {
    let group = machine.target(format!("{DEVICES}/{address}/iommu_group"))?;
    let named = format!("dev/vfio/{group}");
    // Without an IOMMU the name says so.
    Some(if machine.exists(&named) { named } else { format!("dev/vfio/noiommu-{group}") })
}

fn iommu(machine: &Machine, wanted: bool, needs: &Needs) -> Check {
    let name = "IOMMU";
    let groups = machine.names("sys/kernel/iommu_groups").len();
    if groups > 0 {
        return Check::ok(name, format!("on, {groups} groups"));
    }
    if !wanted {
        return Check::ok(name, "off; only a NIC on vfio-pci needs it");
    }
    let unsafe_mode = machine.read("sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
    if unsafe_mode.is_some_and(|mode| matches!(&*mode, "Y" | "1")) {
        return Check::ok(name, "off; vfio is told to go on without (a card can write anywhere)");
    }
    let on_vfio = needs.devices().iter().any(|(_, device)| {
        let address = device_name(device).to_ascii_lowercase();
        let driver = machine.target(format!("{DEVICES}/{address}/driver"));
        is_pci(device) && driver.as_deref() == Some("vfio-pci")
    });
    let mend = format!(
        "boot with intel_iommu=on (or amd_iommu=on) iommu=pt; in a guest without one: {}",
        machine.as_root("modprobe vfio enable_unsafe_noiommu_mode=1")
    );
    let found = "off, and a NIC on vfio-pci needs it";
    if on_vfio { Check::problem(name, found, mend) } else { Check::note(name, found, mend) }
}

fn modules(machine: &Machine, wanted: bool) -> Check {
    let name = "kernel modules";
    let loaded = |driver: &&str| machine.exists(format!("sys/bus/pci/drivers/{driver}"));
    let found: Vec<&str> = USER_SPACE.iter().copied().filter(|driver| loaded(driver)).collect();
    match (&found[..], wanted) {
        ([], false) => Check::ok(name, "neither vfio-pci nor uio; only a NIC needs one"),
        ([], true) => Check::note(
            name,
            "neither vfio-pci nor uio, and a NIC needs one",
            machine.as_root("modprobe vfio-pci"),
        ),
        _ => Check::ok(name, found.join(", ")),
    }
}
