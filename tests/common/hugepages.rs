//! Huge pages for the length of a test.
//!
//! Owns the difference between what the machine had reserved and what the test
//! needs, and gives it back. 2 MiB pages alone. Needs root.

use std::fs;

const RESERVED: &str = "/proc/sys/vm/nr_hugepages";
const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

/// Pages that stay reserved as long as this lives.
#[derive(Debug)]
pub(crate) struct HugePages {
    before: u64,
}

impl HugePages {
    /// Makes sure that `megabytes` are free; panics when the machine has not that much.
    #[track_caller]
    pub(crate) fn reserve(megabytes: u64) -> Self {
        let before = read(RESERVED);
        let pages = Self { before };
        let missing = (megabytes / 2).saturating_sub(read(FREE));
        if missing > 0 {
            fs::write(RESERVED, (before + missing).to_string()).unwrap();
            let free = read(FREE);
            assert!(free >= megabytes / 2, "{free} huge pages are free, {} needed", megabytes / 2);
        }
        pages
    }

    /// How many pages nobody uses.
    pub(crate) fn free() -> u64 {
        read(FREE)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if let Err(error) = fs::write(RESERVED, self.before.to_string()) {
            eprintln!("{RESERVED} is not back at {}: {error}", self.before);
        }
    }
}

#[track_caller]
fn read(path: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.trim().parse().unwrap()
}
