//! Compiling a lower's rules into tables, and classifying batches by them.
//!
//! `cargo bench -p macvlan --bench rules`. A plan for 1,000 links and 65,536
//! addresses, all a lower can have, is to be compiled in under 20 ms.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros and a set-up that cannot fail"
)]

mod scenes;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use macvlan::driver::MAX_ADDRESSES;
use macvlan::fib::Decisions;
use macvlan::mode::Mode;
use macvlan::rules::compile;
use scenes::{BATCH, Scene, driver};

fn plans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    let full = MAX_ADDRESSES / 1000;
    for (name, mode, links, addresses) in [
        ("16 links", Mode::Bridge, 16, 1),
        ("16 links, 8192 addresses", Mode::Bridge, 16, 512),
        ("16 links, 16384 addresses", Mode::Bridge, 16, 1024),
        ("1000 links", Mode::Bridge, 1000, 1),
        ("1000 links, 65000 addresses", Mode::Bridge, 1000, full),
        ("1000 links, 65000 sources", Mode::Source, 1000, full),
        ("16 links, 65536 addresses", Mode::Bridge, 16, MAX_ADDRESSES / 16),
    ] {
        let (driver, lower) = driver(mode, links, addresses);
        group.bench_function(name, |bench| {
            // Giving the old plan back is another's work.
            let compile = || compile(black_box(&driver), lower).unwrap();
            bench.iter_batched(|| (), |()| compile(), BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn classification(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("classify");
    group.throughput(Throughput::Elements(BATCH as u64));
    for scene in Scene::all() {
        let mut decisions = Decisions::new(BATCH);
        let mut batches = scene.batches.iter().cycle();
        group.bench_function(scene.name, |bench| {
            bench.iter(|| scene.run(batches.next().unwrap(), &mut decisions));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = plans, classification
}
criterion_main!(benches);
