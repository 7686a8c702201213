//! The switch inside a QEMU guest, with an emulated network card as its lower: what
//! links need reaches a real driver's filters, and what happens to the card reaches
//! the links. And VLANs beside those of Debian's kernel.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod cards;
#[path = "../common/mod.rs"]
mod common;
mod frames;
#[allow(
    dead_code,
    clippy::expect_used,
    reason = "shared with tests/kernel, which needs more of it"
)]
#[path = "../kernel/packets.rs"]
mod packets;
mod rig;
mod vlan;
mod wire;

use cards::Card;
use common::{Need, have};

/// What the guest runs beside the switch. On this machine there is no task.
#[test]
fn agent() {
    if let Ok(task) = std::env::var(agent::TASK) {
        return agent::run(&task);
    }
    let frame = frames::Frames::default().plain(frames::BROADCAST, frames::OUTSIDE);
    assert_eq!(frames::unhex(&frames::hex(&frame)), frame);
}

/// True if there is what a guest is made of; else says so.
fn can_boot(test: &str) -> bool {
    let needs = [
        Need::Program("qemu-system-x86_64"),
        Need::Program("cpio"),
        Need::Program("ip"),
        Need::Path("/bin/busybox"),
    ];
    let kernel = rig::kernel_directory().join("vmlinuz");
    // Lives as long as the process, which asks once per test.
    let kernel: &'static str = Box::leak(kernel.display().to_string().into_boxed_str());
    have(test, &[&needs[..], &[Need::Path(kernel)]].concat())
}

#[test]
fn an_e1000() {
    if can_boot("an_e1000") {
        cards::exercise(&Card {
            model: "e1000",
            driver: "net_e1000_em",
            room: 14,
            lists_groups: true,
        });
    }
}

/// The 82574L. QEMU has no igb before 8.0; of DPDK's driver for that one nothing is tested here.
#[test]
fn an_e1000e() {
    if can_boot("an_e1000e") {
        cards::exercise(&Card {
            model: "e1000e",
            driver: "net_e1000_em",
            room: 14,
            lists_groups: true,
        });
    }
}

/// Its driver has no list of groups.
#[test]
fn a_virtio_card() {
    if can_boot("a_virtio_card") {
        cards::exercise(&Card {
            model: "virtio-net-pci",
            driver: "net_virtio",
            room: 63,
            lists_groups: false,
        });
    }
}

/// VLAN lowers, with the kernel's beside them. This card keeps out tags nobody asked for.
#[test]
fn vlans_of_a_virtio_card_are_those_of_the_kernel() {
    if can_boot("vlans_of_a_virtio_card_are_those_of_the_kernel") {
        vlan::compare("virtio-net-pci");
    }
}

#[test]
fn vlans_of_an_e1000_are_those_of_the_kernel() {
    if can_boot("vlans_of_an_e1000_are_those_of_the_kernel") {
        vlan::compare("e1000");
    }
}
