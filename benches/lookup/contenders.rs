//! What the MAC table is compared with, behind one call: a burst of keys in,
//! values out.

use hashbrown::HashMap;
use macvlan::fib::{MISS, MacTable};
use macvlan::mac::MacAddr;

use super::rte_hash::RteHash;

/// Something that knows the value of each key.
pub trait Lookup {
    /// What it is called in the tables.
    fn name(&self) -> &'static str;
    /// The values of a burst, [`MISS`] for those not there.
    fn burst(&self, keys: &[u64], values: &mut [u16]);
}

/// All that make sense for so many keys, the MAC table first.
pub fn all(present: &[u64]) -> Vec<Box<dyn Lookup>> {
    let value = |nth: usize| u16::try_from(nth % usize::from(MISS)).unwrap();
    let pairs: Vec<(u64, u16)> =
        present.iter().enumerate().map(|(nth, &key)| (key, value(nth))).collect();
    let macs = pairs.iter().map(|&(key, value)| (MacAddr::from_key(key), value));
    let mut all: Vec<Box<dyn Lookup>> = vec![
        Box::new(MacTable::build(macs).unwrap()),
        Box::new(pairs.iter().copied().collect::<HashMap<_, _>>()),
        Box::new(RteHash::new(&pairs)),
    ];
    if pairs.len() <= 64 {
        all.push(Box::new(pairs));
    }
    all
}

impl Lookup for MacTable {
    fn name(&self) -> &'static str {
        "table"
    }

    fn burst(&self, keys: &[u64], values: &mut [u16]) {
        self.lookup_burst(keys, values);
    }
}

impl Lookup for HashMap<u64, u16> {
    fn name(&self) -> &'static str {
        "hashbrown"
    }

    fn burst(&self, keys: &[u64], values: &mut [u16]) {
        for (key, value) in keys.iter().zip(values) {
            *value = self.get(key).copied().unwrap_or(MISS);
        }
    }
}

impl Lookup for Vec<(u64, u16)> {
    fn name(&self) -> &'static str {
        "scan"
    }

    fn burst(&self, keys: &[u64], values: &mut [u16]) {
        for (key, value) in keys.iter().zip(values) {
            *value = self.iter().find(|pair| pair.0 == *key).map_or(MISS, |pair| pair.1);
        }
    }
}
