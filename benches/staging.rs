//! Staging: what it takes to bring the frames of a batch to their outputs, in
//! TSC ticks per frame, by the number of outputs that they go to at random.
//!
//! `cargo bench --bench staging`. Beside it a vector per output, which is what one
//! would write first.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros and a set-up that cannot fail"
)]

mod lookup;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lookup::start_eal;
use lookup::ticks::Ticks;
use macvlan::fib::Output;
use mvswitch::datapath::Stage;
use mvswitch::dpdk::{Mbuf, Pool};

/// Frames in a batch.
const FRAMES: usize = 512;

fn staging(criterion: &mut Criterion<Ticks>) {
    let directory = tempfile::tempdir().unwrap();
    let _eal = start_eal(&directory);
    let pool = Pool::new("staging", 2047, 2048).unwrap();
    let mut group = criterion.benchmark_group("staging");
    group.throughput(Throughput::Elements(FRAMES as u64));
    for links in [1, 4, 16, 64, 256] {
        let outputs: Vec<Output> = random().map(|number| Output::link(number % links)).collect();
        let mut frames: Vec<Mbuf> = (0..FRAMES).map(|_| pool.frame(&[0; 60]).unwrap()).collect();
        let mut stage = Stage::new();
        group.bench_function(BenchmarkId::new("stage", links), |bench| {
            bench.iter(|| {
                for (frame, &output) in frames.drain(..).zip(&outputs) {
                    stage.add(output, frame, 60);
                }
                stage.each(|staged, _| frames.extend(staged.burst.drain()));
            });
        });
        let mut lists: Vec<Vec<Mbuf>> = Vec::new();
        lists.resize_with(usize::from(links) + 2, || Vec::with_capacity(FRAMES));
        group.bench_function(BenchmarkId::new("vectors", links), |bench| {
            bench.iter(|| {
                for (frame, &output) in frames.drain(..).zip(&outputs) {
                    lists[output.index()].push(frame);
                }
                lists.iter_mut().for_each(|list| frames.append(list));
            });
        });
    }
    group.finish();
}

/// The same numbers in every run, one per frame.
fn random() -> impl Iterator<Item = u16> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..FRAMES).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [low, high, ..] = state.to_le_bytes();
        u16::from_le_bytes([low, high])
    })
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(Ticks)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(30);
    targets = staging
}
criterion_main!(benches);
