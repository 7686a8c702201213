//! Explanations: their verdict against that of the compiled rules, on random
//! topologies and frames; and the rules named in situations one by one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

// The generators of the model's test, and the small switch of the statements'.
#[allow(dead_code)]
#[path = "../model/both.rs"]
mod both;
#[allow(dead_code)]
#[path = "../model/frames.rs"]
mod frames;
#[allow(dead_code)]
#[path = "../model/ops.rs"]
mod ops;
mod property;
#[allow(dead_code)]
#[path = "../model/random.rs"]
mod random;
mod situations;
#[allow(dead_code)]
#[path = "../model/state.rs"]
mod state;
#[allow(dead_code)]
#[path = "../statements/switch.rs"]
mod switch;
