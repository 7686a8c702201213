//! The control protocol, its client, and what daemon and mvctl both must agree on.
//!
//! Owns the types that travel over `control.sock` ([`proto`]), a blocking
//! [`client`] for it, the choice of the runtime directory ([`runtime_dir`]) and
//! how results look on a terminal ([`render`]). Knows no DPDK: `mvctl` must
//! start in milliseconds on a machine without it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod client;
pub mod proto;
pub mod render;
pub mod runtime_dir;
