//! A safe wrapper around the part of DPDK that mvswitch uses.
//!
//! Owns every call into DPDK and, apart from the bindings, all `unsafe` of the
//! daemon. `datapath/` and `control/` call it. It never sees a MAC table, a
//! link or a mode: it moves frames between ports and says what failed.
//!
//! | item | is |
//! |---|---|
//! | [`Eal`] | the initialised environment; everything else needs it to live |
//! | [`Pool`], [`Mbuf`], [`Burst`] | buffers, one buffer, up to 64 of them on their way |
//! | [`Copies`] | a frame for several owners |
//! | [`EthPort`] | an ethdev: a NIC, tap, af_packet, ring, virtio-user … |
//! | [`VhostPort`] | a vhost-user socket on librte_vhost |
//! | [`Lcore`] | a registered, pinned worker thread; the right to transmit |
#![allow(unsafe_code)]

mod bell;
pub mod clock;
mod eal;
mod error;
mod ethdev;
mod fds;
mod gate;
mod kernel;
mod lcore;
mod link;
mod log;
mod mbuf;
mod membership;
mod pool;
mod rings;
mod rx_mode;
mod tap;
mod vhost;
mod vlan;

pub use eal::{Eal, EalOptions, Memory, arguments};
pub use error::{DpdkError, check_release, release};
pub use ethdev::{EthInfo, EthOptions, EthPort};
pub use kernel::InterfaceState;
pub use lcore::Lcore;
pub use link::{EthEvent, Link};
pub use mbuf::{BURST, Burst, Copies, Mbuf};
pub use pool::Pool;
pub use rings::RingPair;
pub use vhost::{Role, VhostOptions, VhostPort};
pub use vlan::VlanTag;
