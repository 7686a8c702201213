//! The MAC table beside hashbrown, DPDK's `rte_hash_lookup_bulk` and a scan:
//! bursts of 32 lookups; hits, misses, Zipf and mixed; 16 to 1,048,576 addresses.
//!
//! `cargo bench --bench fib [FILTER]`, criterion's way, in TSC ticks: `thrpt` is
//! ticks and nanoseconds per address. Contenders run one after the other here, so
//! on a shared machine `cargo bench --bench pairs` tells who is faster.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros and a set-up that cannot fail"
)]

mod lookup;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lookup::ticks::Ticks;
use lookup::traffic::{Traffic, addresses};
use lookup::{BURST, SIZES, contenders, start_eal};

fn lookups(criterion: &mut Criterion<Ticks>) {
    let directory = tempfile::tempdir().unwrap();
    let _eal = start_eal(&directory);
    let mut group = criterion.benchmark_group("lookup");
    group.throughput(Throughput::Elements(BURST as u64));
    for size in SIZES {
        let present = addresses(size, 1);
        let contenders = contenders::all(&present);
        for traffic in Traffic::ALL {
            let keys = traffic.keys(&present);
            for contender in &contenders {
                let name = format!("{} {}", contender.name(), traffic.name());
                let mut values = [0; BURST];
                let mut bursts = keys.chunks_exact(BURST).cycle();
                group.bench_function(BenchmarkId::new(name, size), |bench| {
                    bench.iter(|| contender.burst(bursts.next().unwrap(), &mut values));
                });
            }
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(Ticks)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(30);
    targets = lookups
}
criterion_main!(benches);
