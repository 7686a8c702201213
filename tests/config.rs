//! Bad configs, shown to the real program: `mvswitch check` refuses each with
//! one line that names the place, and takes every example.

// Helpers of tests are tests too, which clippy sees in marked functions only.
#![allow(clippy::expect_used)]

#[path = "config/cases.rs"]
mod cases;

use std::path::Path;
use std::process::{Command, Output};

fn check(file: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_mvswitch");
    Command::new(program).arg("check").arg("-c").arg(file).output().expect("mvswitch starts")
}

/// What is wrong with how the program refused `file`, if anything.
fn complaint(file: &Path, place: &str, needle: &str) -> Option<String> {
    let output = check(file);
    let said = String::from_utf8_lossy(&output.stderr);
    let good = output.status.code() == Some(2)
        && output.stdout.is_empty()
        && said.lines().count() == 1
        && said.starts_with(&format!("{}{place}: ", file.display()))
        && said.contains(needle);
    (!good).then(|| {
        format!("wanted exit 2 and {place} with {needle:?}, got {}: {said}", output.status)
    })
}

#[test]
fn every_bad_config_is_refused_with_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("bad.toml");
    let mut failures = Vec::new();
    for case in cases::CASES {
        let (text, line, column) = case.split();
        std::fs::write(&file, text).expect("a file");
        if let Some(complaint) = complaint(&file, &format!(":{line}:{column}"), case.needle) {
            failures.push(format!("{}: {complaint}", case.what));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_socket_path_too_long_for_the_runtime_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("long.toml");
    let runtime_dir = format!("/{}", "d".repeat(98));
    let text = format!(
        "[switch]\nruntime_dir = \"{runtime_dir}\"\n[[lower]]\nname = \"lan0\"\ndevice = \"demo\"\n\
         [[macvlan]]\nname = \"mv0\"\nlink = \"lan0\"\nsocket = \"mv0.sock\"\n"
    );
    std::fs::write(&file, text).expect("a file");
    assert_eq!(complaint(&file, ":9:10", "has 108 bytes, and Linux takes 107"), None);
}

#[test]
fn a_config_that_cannot_be_read_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing.toml");
    assert_eq!(complaint(&missing, "", "cannot read the config"), None);
    let binary = directory.path().join("binary.toml");
    std::fs::write(&binary, b"\n# \xff\n").expect("a file");
    assert_eq!(complaint(&binary, ":2:3", "not UTF-8"), None);
}

#[test]
fn every_example_passes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the examples") {
        let file = entry.expect("an example").path();
        let output = check(&file);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", file.display());
        seen.extend(file.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    for name in ["two-ports.toml", "qemu.toml", "physical-nic.toml"] {
        assert!(seen.iter().any(|file| file == name), "{name} is missing");
    }
}
