//! Work for callgrind to count: the pure core of the data path, without DPDK.
//!
//! `scripts/bench/instructions.sh` runs it and compares with what is stored. Each
//! scene has a function of its own, by whose name callgrind starts and stops to
//! count: making the scene is not counted.
#![allow(missing_docs, clippy::unwrap_used, reason = "a set-up that cannot fail")]

mod scenes;

use std::hint::black_box;

use macvlan::fib::{Decisions, MacTable};
use scenes::{BATCH, Scene, address, outsider};

/// Rounds over the batches of a scene.
const ROUNDS: usize = 16;

/// Addresses per burst of the table's own scenes.
const BURST: usize = 32;

#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    for _ in 0..ROUNDS {
        work();
    }
}

fn classify(scene: &Scene) -> usize {
    let mut decisions = Decisions::new(BATCH);
    let mut batches = || {
        for batch in &scene.batches {
            black_box(scene.run(batch, &mut decisions));
        }
    };
    counted(&mut batches);
    scene.batches.iter().map(Vec::len).sum()
}

fn look_up(keys: &[u64]) -> usize {
    let entries = (0..1024_u16).map(|nth| (address(usize::from(nth), 0), nth));
    let table = MacTable::build(entries).unwrap();
    let mut values = [0; BURST];
    let mut bursts = || {
        for burst in keys.chunks(BURST) {
            table.lookup_burst(burst, &mut values);
            black_box(&values);
        }
    };
    counted(&mut bursts);
    keys.len()
}

fn main() {
    let Some(wanted) = std::env::args().nth(1).filter(|word| !word.starts_with('-')) else {
        let scenes = Scene::all().into_iter().map(|scene| scene.name);
        ["table_hit", "table_miss"].into_iter().chain(scenes).for_each(|name| println!("{name}"));
        return;
    };
    let frames = match wanted.as_str() {
        "table_hit" => {
            look_up(&(0..1024).map(|nth| address(nth * 5 % 1024, 0).key()).collect::<Vec<_>>())
        }
        "table_miss" => look_up(&(0..1024).map(|nth| outsider(nth).key()).collect::<Vec<_>>()),
        _ => {
            let scene = Scene::all().into_iter().find(|scene| scene.name == wanted);
            classify(&scene.unwrap())
        }
    };
    println!("{}", frames * ROUNDS);
}
