//! Imports go down only, and unsafe code has an address.
//!
//! Reads the sources as text: the compiler would not mind a module that reaches
//! up, and a reader would.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every module of the daemon and its floor; lower floors know nothing of higher ones.
const FLOORS: &[(&str, u8)] = &[
    ("dpdk", 2),
    ("datapath", 3),
    ("demo", 3),
    ("control", 4),
    ("config", 4),
    ("api", 5),
    ("metrics", 5),
    ("cli", 5),
    ("lib", 6),
    ("main", 6),
];

/// Where unsafe code may be.
const UNSAFE: &[&str] = &["dpdk-sys/", "src/dpdk/", "macvlan/src/simd.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file in `directory` and below it, relative to the root.
fn sources(directory: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

/// The text of a file without comments, so that prose may name what code may not.
fn code(file: &str) -> String {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let lines = text.lines().map(|line| match line.find("//") {
        // An address in a string has two slashes as well.
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The module that a file below src/ belongs to.
fn module(file: &str) -> &str {
    let path = file.strip_prefix("src/").unwrap();
    path.split(['/', '.']).next().unwrap()
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The modules that `code` reaches by `crate::…` or `crate::{…, …}`.
fn reached(code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = Vec::new();
    for after in code.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            found.push(word(after));
            continue;
        };
        // Only the first word of each member of the outer braces is a module.
        let mut depth = 0_i32;
        let mut first = true;
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => first = true,
                _ if first && !letter.is_whitespace() => {
                    found.push(word(&group[at..]));
                    first = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn reached_modules_are_found() {
    let text = "use crate::a::B; use crate::{\n c::{D, e},\n f };\n let x = crate::g::h(1, 2);";
    assert_eq!(reached(text), ["a", "c", "f", "g"]);
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    for file in sources("src") {
        let Some(own) = floor(module(&file)) else {
            wrong.push(format!("{file}: give its module a floor in tests/floors.rs"));
            continue;
        };
        for other in reached(&code(&file)) {
            // A name that is no module is an item of lib.rs, which has none to offer.
            match floor(&other) {
                Some(theirs) if theirs <= own => {}
                Some(theirs) => {
                    wrong
                        .push(format!("{file}: floor {own} reaches up to {other}, floor {theirs}"));
                }
                None => wrong.push(format!("{file}: crate::{other} is on no floor")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_pure_members_know_no_dpdk() {
    for member in ["macvlan", "mvctl"] {
        let manifest = fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split_once("[dependencies]").map_or("", |(_, rest)| rest);
        for name in ["dpdk", "mvswitch"] {
            assert!(!dependencies.contains(name), "{member}/Cargo.toml depends on {name}");
        }
    }
}

#[test]
fn unsafe_code_has_an_address() {
    let mut wrong = Vec::new();
    for directory in ["src", "macvlan/src", "mvctl/src", "tests"] {
        for file in sources(directory) {
            let allowed = UNSAFE.iter().any(|address| file.starts_with(address));
            let keyword = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"];
            // This file has the words in strings.
            let named = file == "tests/floors.rs";
            if !allowed && !named && keyword.iter().any(|words| code(&file).contains(words)) {
                wrong.push(file);
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe code outside {UNSAFE:?}: {wrong:?}");
}
