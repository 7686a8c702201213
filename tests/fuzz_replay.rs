//! The corpus of the fuzz targets, replayed: each file as it is, and then
//! changed in thousands of ways, the same ones each time.
//!
//! Needs no fuzzer. What it finds lies in a file whose name it tells; that file
//! belongs into the corpus together with the fix.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Changed copies of each file.
const MUTATIONS: u64 = 2000;

/// What fits into a repository and into the patience of who runs the tests.
const MOST_FILES: usize = 200;
const MOST_BYTES: usize = 200 * 1024;

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The corpus of a target, by name.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(directory(target)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

/// Numbers that look random and are the same each time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// 0 to `limit`.
    fn upto(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit as u64 + 1)).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// One to four changes of `input`: bits, bytes, pieces, and pieces of `other`.
fn mutate(input: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=numbers.upto(3) {
        let at = numbers.upto(bytes.len());
        let end = (at + 1 + numbers.upto(15)).min(bytes.len());
        match (numbers.upto(5), bytes.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << numbers.upto(7),
            (1, Some(byte)) => *byte = numbers.byte(),
            (2, _) => bytes.insert(at, numbers.byte()),
            (3, _) => drop(bytes.drain(at..end)),
            (4, _) => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            _ => {
                let from = numbers.upto(other.len());
                let to = (from + numbers.upto(63)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    bytes
}

fn replay(target: &str) {
    let &(_, check) = fuzz::TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let run = |from: &Path, input: &[u8]| {
        if catch_unwind(|| check(input)).is_err() {
            let saved = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}"));
            std::fs::write(&saved, input).unwrap();
            panic!("{target} fails for {}, made of {}", saved.display(), from.display());
        }
    };
    let files = corpus(target);
    assert!(!files.is_empty(), "{target} has no corpus");
    for (number, (file, input)) in files.iter().enumerate() {
        run(file, input);
        let mut numbers =
            Numbers(input.iter().fold(0, |sum, &byte| sum * 31 % 65_521 + u64::from(byte)));
        for _ in 0..MUTATIONS {
            let other = &files[(number + numbers.upto(files.len())) % files.len()].1;
            run(file, &mutate(input, other, &mut numbers));
        }
    }
}

#[test]
fn command_line() {
    replay("command_line");
}

#[test]
fn config_file() {
    replay("config_file");
}

#[test]
fn frames() {
    replay("frames");
}

#[test]
fn link_ops() {
    replay("link_ops");
}

#[test]
fn rpc_line() {
    replay("rpc_line");
}

#[test]
fn the_corpus_is_small_and_belongs_to_targets() {
    let mut entries: Vec<_> = std::fs::read_dir(directory(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    entries.sort();
    assert_eq!(entries, fuzz::TARGETS.map(|(name, _)| name));
    let files: Vec<_> = entries.iter().flat_map(|target| corpus(target)).collect();
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(files.len() < MOST_FILES && bytes < MOST_BYTES, "{} files, {bytes} bytes", files.len());
}
