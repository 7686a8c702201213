//! The control protocol, its client, and mvctl, the command line on top of both.
//!
//! Owns the types that travel over `control.sock` ([`proto`]), a blocking
//! [`client`] for it, the choice of the runtime directory ([`runtime_dir`]), and
//! `mvctl`: its command line ([`cli`], [`batch`]), what it does ([`run`]) and how results
//! look. Knows no DPDK: `mvctl` must start in milliseconds on a machine without it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod attach;
pub mod batch;
pub mod cli;
pub mod client;
pub mod failure;
pub mod files;
mod grammar;
mod monitor;
mod options;
pub mod proto;
mod render;
pub mod run;
pub mod runtime_dir;
pub mod schema;
mod words;
