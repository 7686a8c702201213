//! Machines that this one need not be: a tree of files, and interfaces by hand.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use macvlan::mode::Mode;
use tempfile::TempDir;

use super::*;
use crate::cli::netlink::{Interface, Kind, Lower, Macvlan};

/// A machine's files, for as long as this lives.
struct Tree(TempDir);

impl Tree {
    /// Root on two CPUs.
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.process(0, 0x1ff_ffff_ffff, "0-1")
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn link(self, path: &str, target: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    fn process(self, user: u32, capabilities: u64, cpus: &str) -> Self {
        let status = format!(
            "Name:\tx\nUid:\t7\t{user}\t7\t7\nCapEff:\t{capabilities:016x}\nCpus_allowed_list:\t{cpus}\n"
        );
        self.file("proc/self/status", &status)
    }

    /// A network card bound to `driver`.
    fn card(self, address: &str, driver: &str) -> Self {
        let directory = format!("sys/bus/pci/devices/{address}");
        self.file(&format!("{directory}/class"), "0x020000\n")
            .link(&format!("{directory}/driver"), &format!("../../drivers/{driver}"))
    }

    fn machine(&self, interfaces: Vec<Interface>) -> Machine {
        Machine::at(self.0.path().to_owned(), Ok(interfaces))
    }

    fn bare(&self) -> Machine {
        self.machine(Vec::new())
    }
}

fn interface(index: u32, name: &str) -> Interface {
    Interface {
        index,
        name: name.to_owned(),
        address: None,
        mtu: 1500,
        up: true,
        promisc: false,
        ethernet: true,
        master: None,
        lower: Lower::None,
        kind: Kind::Other,
    }
}

/// The needs of a config with one lower on `device`, and `more`.
fn wants(device: &str, more: &str) -> Needs {
    let text = format!("{more}\n[[lower]]\nname = \"lan0\"\ndevice = \"{device}\"\n");
    let config = Config::parse(&text, Path::new("t.toml")).unwrap();
    Needs { config: Some(config), runtime_dir: PathBuf::from("/nowhere") }
}

fn with_link(device: &str) -> Needs {
    let text = format!(
        "[[lower]]\nname = \"lan0\"\ndevice = \"{device}\"\n\
         [[lower]]\nname = \"v\"\nlower = \"lan0\"\nvlan = 5\n[[macvlan]]\nname = \"m\"\nlink = \"v\"\n"
    );
    let config = Config::parse(&text, Path::new("t.toml")).unwrap();
    Needs { config: Some(config), runtime_dir: PathBuf::from("/nowhere") }
}

fn nothing() -> Needs {
    Needs { config: None, runtime_dir: PathBuf::from("/nowhere") }
}

#[track_caller]
fn expect(check: &Check, state: State, found: &str, mend: &str) {
    assert_eq!(check.state, state, "{check:?}");
    assert!(check.found.contains(found), "{found}: {check:?}");
    let said = check.mend.as_deref().unwrap_or("");
    assert!(said.contains(mend), "{mend}: {check:?}");
    assert_eq!(check.mend.is_none(), state == State::Ok, "{check:?}");
}

fn pages(size: &str, total: u32, free: u32, tree: Tree) -> Tree {
    let directory = format!("sys/kernel/mm/hugepages/hugepages-{size}");
    tree.file(&format!("{directory}/nr_hugepages"), &format!("{total}\n"))
        .file(&format!("{directory}/free_hugepages"), &format!("{free}\n"))
}

#[test]
fn the_command_for_huge_pages_counts_those_there_are() {
    let few = pages("1048576kB", 0, 0, pages("2048kB", 10, 4, Tree::new()));
    let check = memory::huge_pages(&few.bare(), &nothing());
    // 8 MiB are free of 256; 124 pages are missing beside the 10.
    expect(&check, State::Note, "4 of 10 free of 2 MiB, 0 of 0 free of 1 GiB", "nr_hugepages=134");
    assert!(!check.mend.unwrap().contains("sudo"), "root needs no sudo");
    let user = few.process(1000, 0, "0").file("proc/meminfo", "Hugepagesize:    1048576 kB\n");
    let check = memory::huge_pages(&user.bare(), &nothing());
    expect(&check, State::Note, "", "sudo sysctl vm.nr_hugepages=1");
    let enough = pages("2048kB", 200, 128, Tree::new());
    expect(&memory::huge_pages(&enough.bare(), &nothing()), State::Ok, "128 of 200", "");
    let none = memory::huge_pages(&Tree::new().bare(), &nothing());
    expect(&none, State::Note, "this kernel has none", "");
}

#[test]
fn rights_are_judged_by_what_the_devices_need() {
    let raw_only = Tree::new().process(1000, 1 << 13, "0-1");
    let nobody = Tree::new().process(1000, 0, "0-1");
    let rights = |tree: &Tree, needs: &Needs| rights::rights(&tree.bare(), needs);
    expect(&rights(&Tree::new(), &nothing()), State::Ok, "CAP_IPC_LOCK", "");
    expect(
        &rights(&nobody, &nothing()),
        State::Note,
        "user 1000",
        "setcap cap_net_raw,cap_net_admin+ep",
    );
    let packet = "net_af_packet0,iface=eth0";
    expect(&rights(&nobody, &wants(packet, "")), State::Problem, "lower lan0", "cap_net_raw+ep");
    expect(&rights(&raw_only, &wants(packet, "")), State::Ok, "", "");
    expect(&rights(&raw_only, &wants("net_tap0", "")), State::Problem, "", "cap_net_admin+ep");
    expect(&rights(&nobody, &wants("demo", "")), State::Ok, "needs no more", "");
    // On files net_pcap is anybody's.
    expect(&rights(&nobody, &wants("net_pcap0,rx_pcap=a", "")), State::Ok, "", "");
    expect(&rights(&nobody, &wants("net_pcap0,iface=eth0", "")), State::Problem, "", "cap_net_raw");
}

#[test]
fn a_card_of_the_machine_shows_its_driver_and_how_to_bind_it() {
    let tree = Tree::new()
        .card("0000:01:00.0", "e1000e")
        .file("sys/bus/pci/devices/0000:01:00.0/net/eth0/mtu", "1500")
        .card("0000:02:00.0", "virtio-pci")
        .file("sys/bus/pci/devices/0000:02:00.0/virtio2/net/eth1/mtu", "1500")
        .card("0000:03:00.0", "vfio-pci")
        .card("0000:04:00.0", "mlx5_core")
        .file("sys/bus/pci/devices/0000:05:00.0/class", "0x010000")
        .file("proc/net/route", "Iface Destination\neth0 00000000 0100A8C0\neth1 0000A8C0 0\n");
    let checks = pci::checks(&tree.bare(), &nothing());
    let of = |name: &str| checks.iter().find(|check| check.check == name).unwrap();
    let (first, bind) = (of("NIC 0000:01:00.0"), "dpdk-devbind.py -b vfio-pci 0000:01:00.0");
    expect(first, State::Note, "e1000e, interface eth0, which has the default route", bind);
    assert!(first.mend.as_ref().unwrap().starts_with("modprobe vfio-pci && "), "{first:?}");
    expect(of("NIC 0000:02:00.0"), State::Note, "interface eth1", "0000:02:00.0");
    assert!(!of("NIC 0000:02:00.0").found.contains("default route"));
    expect(of("NIC 0000:03:00.0"), State::Ok, "vfio-pci", "");
    expect(of("NIC 0000:04:00.0"), State::Ok, "mlx5_core", "");
    assert!(checks.iter().all(|check| !check.check.contains("05:00.0")), "a disk: {checks:?}");
    expect(of("IOMMU"), State::Note, "off", "intel_iommu=on");
    expect(of("kernel modules"), State::Note, "neither", "modprobe vfio-pci");

    let tree = tree
        .file("sys/bus/pci/drivers/vfio-pci/bind", "")
        .file("sys/kernel/iommu_groups/3/type", "DMA");
    let checks = pci::checks(&tree.bare(), &nothing());
    let of = |name: &str| checks.iter().find(|check| check.check == name).unwrap();
    expect(of("IOMMU"), State::Ok, "on, 1 groups", "");
    expect(of("kernel modules"), State::Ok, "vfio-pci", "");
    assert_eq!(of("NIC 0000:01:00.0").mend.as_deref(), Some(bind));
    // What the config does not name is left out, and what it does not need is fine.
    let checks =
        pci::checks(&Tree::new().card("0000:01:00.0", "e1000e").bare(), &wants("demo", ""));
    assert!(checks.iter().all(|check| check.state == State::Ok), "{checks:?}");
    assert_eq!(checks.len(), 2);
}

#[test]
fn a_card_of_the_config_must_be_there_and_bound() {
    let tree = Tree::new().card("0000:8a:00.0", "e1000e").card("0000:8b:00.0", "vfio-pci");
    let named = |tree: &Tree, device| pci::named(&tree.bare(), "lower lan0", device);
    expect(&named(&tree, "0000:8c:00.0"), State::Problem, "no PCI device", "0000:8a:00.0, 0000:8b");
    expect(&named(&tree, "0000:8A:00.0"), State::Problem, "e1000e", "-b vfio-pci 0000:8a:00.0");
    expect(&named(&tree, "0000:8b:00.0"), State::Ok, "vfio-pci", "");
    let grouped = tree.link("sys/bus/pci/devices/0000:8b:00.0/iommu_group", "../../groups/7");
    let closed = named(&grouped, "0000:8b:00.0,x=1");
    expect(&closed, State::Problem, "/dev/vfio/noiommu-7 may not", "chown");
    let open = grouped.file("dev/vfio/7", "");
    expect(&named(&open, "0000:8b:00.0"), State::Ok, "vfio-pci", "");
    // vfio without an IOMMU ends the start, unless it is told to go on.
    let iommu = |tree: &Tree| pci::checks(&tree.bare(), &wants("0000:8b:00.0", "")).remove(0);
    expect(&iommu(&open), State::Problem, "off", "noiommu_mode=1");
    let told = open.file("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
    expect(&iommu(&told), State::Ok, "without", "");
    let uio = Tree::new().card("0000:8d:00.0", "uio_pci_generic").process(1000, 0, "0");
    expect(&named(&uio, "0000:8d:00.0"), State::Problem, "for root alone", "run as root");
}

#[test]
fn control_and_workers_must_fit_the_cores() {
    let cores = |tree: &Tree, needs: &Needs| cpus::cores(&tree.bare(), needs).remove(0);
    let four = Tree::new().process(0, 0, "0-3");
    expect(&cores(&four, &nothing()), State::Ok, "0-3 may be used", "");
    expect(&cores(&four, &wants("demo", "")), State::Ok, "control 0, workers 1-3", "");
    let missing = wants("demo", "[cores]\nworkers = \"2-5\"");
    expect(&cores(&four, &missing), State::Problem, "4-5 may not", "cores of 0-3");
    let odd = Tree::new().process(0, 0, "2,5");
    expect(&cores(&odd, &nothing()), State::Note, "core 0", "control = 2");
    expect(&cores(&odd, &wants("demo", "")), State::Problem, "0 may not", "cores of 2,5");
    let one = Tree::new().process(0, 0, "0");
    expect(&cores(&one, &nothing()), State::Note, "share", "second core");
    expect(&cores(&one, &wants("demo", "")), State::Note, "same core", "second core");
    let spin = wants("demo", "[cores]\nworkers = \"2-3\"\nidle = \"spin\"");
    expect(&cores(&four, &spin), State::Note, "none is isolated", "isolcpus=2-3");
    let isolated = four.file("sys/devices/system/cpu/isolated", "2-3\n");
    expect(&cores(&isolated, &spin), State::Ok, "2-3 isolated", "");
}

#[test]
fn a_worker_far_from_its_card_is_told() {
    let tree = Tree::new()
        .process(0, 0, "0-3")
        .card("0000:8a:00.0", "vfio-pci")
        .file("sys/bus/pci/devices/0000:8a:00.0/numa_node", "1\n")
        .file("sys/devices/system/node/node0/cpulist", "0-1\n")
        .file("sys/devices/system/node/node1/cpulist", "2-3\n");
    let numa = |workers: &str| {
        let cores = format!("[cores]\nworkers = \"{workers}\"");
        cpus::numa(&tree.bare(), &wants("0000:8a:00.0", &cores))
    };
    expect(&numa("1-2"), State::Note, "lower lan0 is on node 1, workers 1-2", "workers of 2-3");
    expect(&numa("2-3"), State::Ok, "node 0 has cores 0-1", "");
    expect(&cpus::numa(&Tree::new().bare(), &nothing()), State::Ok, "one node", "");
}

#[test]
fn interfaces_of_the_config_must_be_there_up_and_free() {
    let macvlan = Macvlan {
        tap: false,
        mode: Some(Mode::Bridge),
        nopromisc: false,
        nodst: false,
        sources: Vec::new(),
        bcqueuelen: None,
        bclim: None,
    };
    let (lower, kind) = (Lower::Here(5), Kind::Macvlan(macvlan));
    let interfaces = vec![
        interface(1, "eth0"),
        Interface { up: false, ..interface(2, "eth1") },
        Interface { master: Some(4), ..interface(3, "eth2") },
        interface(4, "br0"),
        interface(5, "eth3"),
        Interface { lower, kind, ..interface(6, "mv0") },
        Interface { ethernet: false, ..interface(7, "lo") },
    ];
    let tree = Tree::new().file("sys/class/net/br0/tun_flags", "0x1002");
    let machine = tree.machine(interfaces);
    for (device, state, found, mend) in [
        ("net_af_packet0,iface=eth0", State::Ok, "there and up", ""),
        ("net_af_packet0,iface=eth1", State::Note, "down", "ip link set eth1 up"),
        ("net_af_packet0,iface=eth2", State::Problem, "port of br0", "eth2 nomaster"),
        ("net_af_packet0,iface=eth3", State::Note, "links mv0", "mvswitch import eth3"),
        ("net_af_packet0,iface=lo", State::Problem, "no Ethernet", "another"),
        ("net_af_packet0,iface=eth9", State::Problem, "no interface eth9", "eth0, eth1, eth2"),
        ("net_af_packet0", State::Problem, "no interface", "iface=NAME"),
        ("net_tap0,iface=eth9", State::Ok, "free", ""),
        ("net_tap0,iface=eth0", State::Problem, "another interface", "iface="),
        ("net_tap0,iface=br0", State::Note, "a tap device already", "ip link del br0"),
        ("net_virtio_user0,path=/no/such", State::Problem, "/no/such", "listens"),
        ("net_null0", State::Ok, "nothing", ""),
        ("demo", State::Ok, "nothing", ""),
    ] {
        let checks = devices::named(&machine, &with_link(device));
        let [check] = &checks[..] else { panic!("{checks:?}") };
        assert_eq!(check.check, "lower lan0");
        expect(check, state, found, mend);
    }
    // Without links such a lower starts.
    for device in ["net_af_packet0,iface=lo", "net_af_packet0,iface=eth2"] {
        let checks = devices::named(&machine, &wants(device, ""));
        assert_eq!(checks[0].state, State::Note, "{checks:?}");
    }
}

#[test]
fn special_files_matter_to_those_who_use_them() {
    let without = Tree::new();
    let tun = |tree: &Tree, needs: &Needs| devices::special_files(&tree.bare(), needs).remove(0);
    let vhost = |tree: &Tree, needs: &Needs| devices::special_files(&tree.bare(), needs).remove(1);
    expect(&tun(&without, &nothing()), State::Note, "absent", "modprobe tun");
    expect(&tun(&without, &wants("net_tap0", "")), State::Problem, "net_tap", "modprobe tun");
    expect(&tun(&without, &wants("demo", "")), State::Ok, "this config does not", "");
    let kernel = wants("net_virtio_user0,path=/dev/vhost-net", "");
    expect(&vhost(&without, &kernel), State::Problem, "absent", "modprobe vhost_net");
    let with = without.file("dev/net/tun", "");
    expect(&tun(&with, &wants("net_tap0", "")), State::Ok, "may be used", "");
}

#[test]
fn wireless_lowers_are_warned_about() {
    let tree = Tree::new()
        .file("sys/class/net/wlan0/wireless/status", "0")
        .file("sys/class/net/eth0/mtu", "1500");
    let of = |needs: &Needs| devices::wireless(&tree.bare(), needs);
    let [check] = &of(&nothing())[..] else { panic!("one") };
    expect(check, State::Note, "access points drop", "wired");
    assert_eq!(check.check, "Wi-Fi wlan0");
    assert_eq!(of(&wants("net_af_packet0,iface=wlan0", "")).len(), 1);
    assert_eq!(of(&wants("net_af_packet0,iface=eth0", "")), []);
}

#[test]
fn user_namespaces_matter_to_those_without_rights() {
    let user = || Tree::new().process(1000, 0, "0");
    let of = |tree: &Tree| rights::user_namespaces(&tree.bare());
    expect(&of(&user()), State::Ok, "unshare -Urn", "");
    let none = user().file("proc/sys/user/max_user_namespaces", "0\n");
    expect(&of(&none), State::Note, "is 0", "sudo sysctl user.max_user_namespaces=");
    let guarded = user().file("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
    expect(&of(&guarded), State::Note, "is 1", "apparmor_restrict_unprivileged_userns=0");
    expect(&of(&guarded.process(0, 0, "0")), State::Ok, "root", "");
}
