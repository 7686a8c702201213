//! Who looks up faster, in pairs: the contenders take turns in short windows, so
//! that a machine which changes its pace changes it for all of them.
//!
//! `cargo bench --bench pairs [SIZE]...`. Ticks and nanoseconds per address are
//! medians over the windows; each contender's ratio to the MAC table is the median
//! of ratios within a round. The last column says what the table must hold:
//! 8 ticks at 1,024 addresses, 25 at 1,048,576, and less than any other.
#![allow(missing_docs, clippy::unwrap_used, reason = "a set-up that cannot fail")]

mod lookup;

use std::hint::black_box;

use lookup::contenders::{self, Lookup};
use lookup::traffic::{Traffic, addresses};
use lookup::{BURST, SIZES, start_eal};
use mvswitch::dpdk::clock;

/// Times that each has its turn.
const ROUNDS: usize = 15;

/// Addresses looked up in a window, at least.
const WINDOW: usize = 1 << 16;

/// Ticks per address the table may take at a size.
const MUST: [(usize, f64); 2] = [(1024, 8.0), (1_048_576, 25.0)];

/// Looks all keys up so often; what the last burst gave.
fn pass(contender: &dyn Lookup, keys: &[u64], times: usize) -> [u16; BURST] {
    let mut values = [0; BURST];
    for _ in 0..times {
        for burst in keys.chunks_exact(BURST) {
            contender.burst(burst, &mut values);
            black_box(&values);
        }
    }
    values
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Ticks per address of each contender in each round.
fn measure(contenders: &[Box<dyn Lookup>], keys: &[u64]) -> Vec<Vec<f64>> {
    let times = WINDOW.div_ceil(keys.len());
    let window = |contender: &dyn Lookup| {
        // Its own table shall be in the cache, as far as it fits.
        _ = pass(contender, keys, 1);
        let begun = clock::ticks();
        _ = pass(contender, keys, times);
        (clock::ticks() - begun) as f64 / (keys.len() * times) as f64
    };
    (0..ROUNDS).map(|_| contenders.iter().map(|contender| window(&**contender)).collect()).collect()
}

fn main() {
    let wanted: Vec<usize> =
        std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let directory = tempfile::tempdir().unwrap();
    let _eal = start_eal(&directory);
    let ns = 1e9 / clock::ticks_per_second() as f64;
    println!(
        "per address, bursts of {BURST}, {ROUNDS} rounds: ticks (ns); others: ratio to the table"
    );
    for size in SIZES.into_iter().filter(|size| wanted.is_empty() || wanted.contains(size)) {
        let present = addresses(size, 1);
        let contenders = contenders::all(&present);
        for traffic in Traffic::ALL {
            let keys = traffic.keys(&present);
            let found: Vec<_> = contenders.iter().map(|c| pass(&**c, &keys, 1)).collect();
            assert!(found.windows(2).all(|pair| pair.first() == pair.last()), "they disagree");
            let rounds = measure(&contenders, &keys);
            let of = |nth: usize| median(rounds.iter().map(|round| round[nth]));
            print!("{size:>9} {:<6}", traffic.name());
            let mut holds = MUST.iter().all(|(at, most)| *at != size || of(0) <= *most);
            for (nth, contender) in contenders.iter().enumerate() {
                print!("  {} {:.1} ({:.1})", contender.name(), of(nth), of(nth) * ns);
                if nth > 0 {
                    let ratio = median(rounds.iter().map(|round| round[nth] / round[0]));
                    print!(" x{ratio:.2}");
                    holds &= ratio > 1.0;
                }
            }
            println!("  {}", if holds { "holds" } else { "MISSED" });
        }
    }
}
