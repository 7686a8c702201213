//! mvswitch: the Linux macvlan driver rebuilt in user space on DPDK.
//!
//! Floors, each importing only from those below it:
//!
//! | floor | modules |
//! |---|---|
//! | 5 | [`api`], [`metrics`], [`cli`] |
//! | 4 | [`control`], [`config`] |
//! | 3 | [`datapath`], [`demo`] |
//! | 2 | [`dpdk`]: the only unsafe code |
//! | 1 | the members `macvlan` (the rules) and `mvctl` (the control protocol) |
//! | 0 | the member `dpdk-sys` |
//!
//! ARCHITECTURE.md tells the life of a frame and who may write what.
#![deny(unsafe_code)]

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod datapath;
pub mod demo;
pub mod dpdk;
pub mod metrics;
