//! The control plane of a running switch, as its operators, their scripts and
//! their enemies meet it: reload, batches, races, abuse, rights.
//!
//! Everything goes through sockets, signals, files and `mvctl`. Whatever else a
//! test is about, [`common::Switch::stop`] ends it: no frame, buffer or socket
//! may be missing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod abuse;
mod batches;
#[path = "../config/cases.rs"]
mod cases;
mod client;
#[path = "../common/mod.rs"]
mod common;
mod explain;
mod flow;
mod history;
mod monitor;
mod objects;
#[allow(dead_code, reason = "shared with tests/kernel, which needs more of it")]
#[path = "../kernel/packets.rs"]
mod packets;
mod races;
mod rebalance;
mod reload;
#[allow(dead_code, reason = "shared with tests/lowers, which needs more of it")]
#[path = "../lowers/rig.rs"]
mod rig;
mod rights;
mod save;
mod stale;
