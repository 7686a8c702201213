//! What is fuzzed: for each target one function that takes any bytes and panics
//! on a finding.
//!
//! Called by libFuzzer (`fuzz_targets/`, started by `scripts/fuzz.sh`) and, with
//! the corpus, by `tests/fuzz_replay.rs`, which includes this file and needs
//! neither. Uses nothing that has to be started: no EAL, no socket, no file.
#![allow(unreachable_pub, reason = "a library for the one, a module for the other")]

mod bytes;
pub mod command_line;
pub mod config_file;
pub mod frames;
pub mod link_ops;
mod operation;
pub mod rpc_line;

/// Takes any bytes.
pub type Check = fn(&[u8]);

/// Every target by its name, which is that of its directory in `corpus/`, too.
pub const TARGETS: [(&str, Check); 5] = [
    ("command_line", command_line::check),
    ("config_file", config_file::check),
    ("frames", frames::check),
    ("link_ops", link_ops::check),
    ("rpc_line", rpc_line::check),
];
