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

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lookup::traffic::{Traffic, addresses};
use lookup::{BURST, SIZES, contenders, start_eal};
use mvswitch::dpdk::clock;

/// TSC ticks instead of nanoseconds.
struct Ticks;

impl Measurement for Ticks {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        clock::ticks()
    }

    fn end(&self, begun: u64) -> u64 {
        clock::ticks() - begun
    }

    fn add(&self, a: &u64, b: &u64) -> u64 {
        a + b
    }

    fn zero(&self) -> u64 {
        0
    }

    fn to_f64(&self, ticks: &u64) -> f64 {
        *ticks as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &Ticks
    }
}

impl ValueFormatter for Ticks {
    fn format_throughput(&self, throughput: &Throughput, ticks: f64) -> String {
        let Throughput::Elements(count) = throughput else { return self.format_value(ticks) };
        let each = ticks / *count as f64;
        let nanoseconds = each * 1e9 / clock::ticks_per_second() as f64;
        format!("{each:.2} ticks, {nanoseconds:.2} ns each")
    }

    fn scale_values(&self, _: f64, _: &mut [f64]) -> &'static str {
        "ticks"
    }

    fn scale_throughputs(&self, _: f64, of: &Throughput, values: &mut [f64]) -> &'static str {
        if let Throughput::Elements(count) = of {
            values.iter_mut().for_each(|ticks| *ticks /= *count as f64);
        }
        "ticks each"
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "ticks"
    }
}

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
