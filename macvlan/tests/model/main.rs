//! The driver against a naive model of the statements, on random operations and
//! random frames.
//!
//! A case is a seed: operations make and change lowers and links, after each of
//! which both sides must agree on the outcome and on all state; in between,
//! frames enter everywhere, and both must agree on who receives them. A case
//! that fails is shortened and printed with the line that repeats it.
//!
//! `MACVLAN_MODEL_SEED` runs one case, `MACVLAN_MODEL_FRAMES` sets how many
//! frames there are to be in all.
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

mod both;
mod case;
mod frames;
mod ops;
mod random;
mod state;

use case::Tally;

/// Frames of a run, unless asked for more.
const FRAMES: u64 = 1_000_000;

#[test]
fn the_driver_equals_the_model() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("MACVLAN_MODEL_SEED") {
        println!("seed {seed}");
        case::run(seed).unwrap_or_else(|failure| panic!("{}", case::shorten(seed, failure)));
        return;
    }
    let wanted = number("MACVLAN_MODEL_FRAMES").unwrap_or(FRAMES);
    let first = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 >> 8;
    // Two at a time, on odd and even seeds.
    let tallies = std::thread::scope(|scope| {
        let half = |from| scope.spawn(move || until(wanted / 2, from));
        [half(first << 1), half(first << 1 | 1)].map(|half| half.join())
    });
    let mut total = Tally::default();
    for tally in tallies {
        total.add(&tally.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    }
    println!("seeds {}, {} and every second after them: {total:?}", first << 1, first << 1 | 1);
    assert!(total.frames >= wanted, "{total:?}");
    // A test of nothing would agree, too.
    assert!(total.refused * 10 > total.operations && total.carried_out * 3 > total.operations);
    assert!(total.local * 5 > total.frames && total.replicated * 20 > total.frames, "{total:?}");
}

/// Cases until there were enough frames. Every second seed.
fn until(frames: u64, mut seed: u64) -> Tally {
    let mut total = Tally::default();
    while total.frames < frames {
        let tally = case::run(seed);
        let tally = tally.unwrap_or_else(|failure| panic!("{}", case::shorten(seed, failure)));
        total.add(&tally);
        seed += 2;
    }
    total
}
