//! Bindings to DPDK, generated from `shim.h`.
//!
//! Owns nothing and adds nothing: `src/dpdk/` of mvswitch is the only caller.
//! Which releases are accepted stands in [`release`].
#![allow(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unnecessary_transmutes,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::pedantic,
    clippy::restriction
)]

pub mod release;

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
