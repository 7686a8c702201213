//! The MAC table beside hashbrown: bursts of 32 lookups, hits and misses.
//!
//! `cargo bench --bench fib`. Only the ratio within one run means anything on a
//! shared machine.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros and a set-up that cannot fail"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hashbrown::HashMap;
use macvlan::fib::MacTable;
use macvlan::mac::MacAddr;

const BURST: usize = 32;

/// Reproducible unicast addresses.
fn keys(count: usize, mut seed: u64) -> Vec<u64> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed >> 16 & 0xffff_ffff_fffe
    };
    (0..count).map(|_| next()).collect()
}

fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    group.throughput(Throughput::Elements(BURST as u64));
    for count in [16, 1024, 65_536] {
        let present = keys(count, 1);
        let value = |index: usize| u16::try_from(index % 0xffff).unwrap();
        let entries =
            present.iter().enumerate().map(|(index, &key)| (MacAddr::from_key(key), value(index)));
        let table = MacTable::build(entries).unwrap();
        let map: HashMap<u64, u16> =
            present.iter().enumerate().map(|(index, &key)| (key, value(index))).collect();
        let absent = keys(4096, 2);
        for (kind, keys) in [("hit", &present), ("miss", &absent)] {
            let bursts: Vec<&[u64]> = keys.chunks_exact(BURST.min(keys.len())).collect();
            let mut values = [0; BURST];
            let mut turn = (0..bursts.len()).cycle();
            group.bench_function(BenchmarkId::new(format!("table {kind}"), count), |bench| {
                bench.iter(|| table.lookup_burst(bursts[turn.next().unwrap()], &mut values));
            });
            group.bench_function(BenchmarkId::new(format!("hashbrown {kind}"), count), |bench| {
                bench.iter(|| {
                    for (key, value) in bursts[turn.next().unwrap()].iter().zip(&mut values) {
                        *value = map.get(key).copied().unwrap_or(u16::MAX);
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
