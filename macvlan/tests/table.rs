//! The MAC table against a plain map: sizes, burst lengths, hits, misses, and
//! addresses chosen to collide.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::HashMap;

use macvlan::fib::{MISS, MacTable, ONE_LINE};
use macvlan::mac::MacAddr;
use proptest::prelude::*;

/// Compares every lookup, one by one and in bursts: of every length from 1 to
/// 64, and of lengths that do not fit the table's own scratch space.
fn compare(entries: &HashMap<u64, u16>, misses: &[u64]) -> MacTable {
    let table =
        MacTable::build(entries.iter().map(|(&key, &value)| (MacAddr::from_key(key), value)))
            .unwrap();
    assert_eq!(table.len(), entries.len());
    let keys: Vec<u64> = entries.keys().chain(misses).copied().collect();
    let expected: Vec<u16> =
        keys.iter().map(|key| entries.get(key).copied().unwrap_or(MISS)).collect();
    for (&key, &value) in keys.iter().zip(&expected) {
        assert_eq!(table.lookup(key), (value != MISS).then_some(value));
    }
    let mut from = 0;
    for length in (1..=64).chain([65, 128, 200]).cycle() {
        let to = (from + length).min(keys.len());
        let mut values = vec![0x5555; to - from];
        table.lookup_burst(&keys[from..to], &mut values);
        assert_eq!(values, expected[from..to]);
        if to == keys.len() {
            break;
        }
        from = to;
    }
    table
}

fn unicast() -> impl Strategy<Value = u64> {
    // Few different bytes: neighbours and vendor prefixes, as real addresses have.
    prop_oneof![any::<u64>(), (0_u64..4096).prop_map(|low| 0x0002 | low << 32)]
        .prop_map(|key| key & 0x0000_ffff_ffff_fffe)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn equals_a_map(
        entries in prop::collection::hash_map(unicast(), 0_u16..0xffff, 0..300),
        misses in prop::collection::vec(any::<u64>().prop_map(|key| key & 0xffff_ffff_ffff), 0..200),
    ) {
        let table = compare(&entries, &misses);
        prop_assert_eq!(table.max_probe(), 1);
    }
}

/// A reproducible sequence of unicast addresses.
fn addresses(count: usize, mut seed: u64) -> HashMap<u64, u16> {
    let mut entries = HashMap::new();
    while entries.len() < count {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = u16::try_from(entries.len() % 0xffff).unwrap();
        entries.insert(seed >> 16 & 0xffff_ffff_fffe, value);
    }
    entries
}

/// How many lines a lookup may have to see.
fn allowed(count: usize) -> usize {
    if count <= ONE_LINE { 1 } else { 8 }
}

proptest! {
    // Few, for they are large; sizes below 300 have a test of their own above.
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn equals_a_map_of_any_size(
        count in prop_oneof![0..=ONE_LINE, ONE_LINE..=100_000],
        seed: u64,
    ) {
        let entries = addresses(count, seed);
        let misses: Vec<u64> =
            addresses(2000, !seed).into_keys().filter(|key| !entries.contains_key(key)).collect();
        let table = compare(&entries, &misses);
        prop_assert!(table.max_probe() <= allowed(count), "{} lines", table.max_probe());
    }
}

#[test]
fn equals_a_map_at_every_scale() {
    for count in [0, 1, 7, 8, 9, 64, 1000, ONE_LINE, ONE_LINE + 1, 20_000, 65_536, 100_000, 1 << 20]
    {
        let entries = addresses(count, count as u64);
        let misses: Vec<u64> = addresses(2000, !(count as u64)).into_keys().collect();
        let misses: Vec<u64> =
            misses.into_iter().filter(|key| !entries.contains_key(key)).collect();
        let table = compare(&entries, &misses);
        assert!(
            table.max_probe() <= allowed(count),
            "{count} addresses: {} lines",
            table.max_probe()
        );
        assert!(table.lines() * 8 >= count * 2, "more than half full");
        // Small ones may take twice as much for a multiplier that fits.
        let most = if count <= ONE_LINE { count } else { count / 2 + 1 };
        assert!(table.lines() <= most.max(1), "{count} addresses in {} lines", table.lines());
    }
}

#[test]
fn consecutive_addresses_are_no_worse() {
    for count in [100_u64, 4096, 65_536] {
        // The last byte counts fastest, as vendors number their devices.
        let key =
            |n: u64| MacAddr::new([2, 0x16, 0x3e, (n >> 16) as u8, (n >> 8) as u8, n as u8]).key();
        let entries = (0..count).map(|n| (key(n), (n % 0xffff) as u16)).collect();
        let table = compare(&entries, &[]);
        assert!(table.max_probe() <= allowed(count as usize), "{count}: {}", table.max_probe());
    }
}

#[test]
fn addresses_that_differ_in_few_bits_are_found() {
    // A multiplicative hash takes its bucket from the product's top bits:
    // multiples of a large power of two leave few bits to tell keys apart.
    let high = (1..2000).map(|n: u64| (n << 37 & 0xffff_ffff_fffe, (n & 0x7fff) as u16)).collect();
    compare(&high, &[0, 2, 1 << 36]);
}

#[test]
fn broadcast_and_duplicates() {
    let table = MacTable::build([(MacAddr::new([2, 0, 0, 0, 0, 1]), 7)]).unwrap();
    assert_eq!(table.lookup(MacAddr::BROADCAST.key()), None);
    let mac = MacAddr::new([2, 0, 0, 0, 0, 1]);
    let error = MacTable::build([(mac, 1), (MacAddr::ZERO, 5), (mac, 2)]).unwrap_err();
    assert_eq!((error.mac, error.values), (mac, (1, 2)));
    // Wherever the twins lie, and whatever comes between them.
    for count in [4, 100, 5000] {
        let entries = |twin: u64| {
            let key = move |n: u64| if n == count - 1 { twin } else { n };
            (0..count).map(move |n| (MacAddr::from_key((key(n) + 1) << 1), n as u16))
        };
        MacTable::build(entries(count)).unwrap();
        for twin in [0, count / 2, count - 2] {
            let error = MacTable::build(entries(twin)).unwrap_err();
            assert_eq!(error.mac, MacAddr::from_key((twin + 1) << 1));
            assert_eq!(error.values, (twin as u16, (count - 1) as u16));
        }
    }
}
