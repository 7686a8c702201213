//! What the benches of lookups share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "each bench uses a part; a set-up that cannot fail; small numbers"
)]

pub mod contenders;
pub mod rte_hash;
pub mod ticks;
pub mod traffic;

use mvswitch::dpdk::{Eal, EalOptions, Memory};

/// Addresses looked up at once.
pub const BURST: usize = 32;

/// Numbers of addresses: powers of four.
pub const SIZES: [usize; 9] = [16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576];

/// For `rte_hash` and the clock. Needs no rights.
pub fn start_eal(directory: &tempfile::TempDir) -> Eal {
    Eal::start(&EalOptions {
        name: "bench".into(),
        runtime_dir: directory.path().into(),
        control_core: 0,
        memory: Memory::Small,
        memory_mb: 256,
        pci: Vec::new(),
        extra: Vec::new(),
    })
    .unwrap()
}
