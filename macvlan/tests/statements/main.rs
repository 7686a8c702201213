//! One named test per statement about the driver (`macvlan-semantics.md`), as
//! far as the pure rules can show it; and the list of where the others are shown.
//!
//! Names begin with the statement's id. Everything goes through the public
//! operations and [`macvlan::rules::compile`]: what a link is, and who receives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod coverage;
mod events;
mod filters;
mod life;
mod limits;
mod lists;
mod queue;
mod refusals;
mod switch;
mod transmit;
mod wire;
mod words;
