//! What a build says on a machine that lacks something: one sentence.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Builds the bindings with one thing changed and returns the errors it prints.
fn build(variable: &str, value: &Path) -> Vec<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "-p", "dpdk-sys", "--target-dir"]).arg(env!("CARGO_TARGET_TMPDIR"));
    cargo.env(variable, value).env_remove("MVSWITCH_ALLOW_OLD_DPDK");
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let compiler_output =
        said.lines().any(|line| line.contains("panicked") || line.starts_with("Caused by"));
    assert!(!compiler_output, "{said}");
    said.lines()
        .filter_map(|line| line.strip_prefix("error: dpdk-sys@0.1.0: "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_is_missing_is_named_with_the_packages_to_install() {
    let nowhere = Path::new("/nonexistent");
    for (variable, needle) in [("PKG_CONFIG_LIBDIR", "libdpdk-dev"), ("LIBCLANG_PATH", "libclang")]
    {
        let errors = build(variable, nowhere);
        assert_eq!(errors.len(), 1, "{variable}: {errors:?}");
        assert!(errors[0].contains(needle) && errors[0].contains("apt-get install"), "{errors:?}");
    }
}

#[test]
fn a_dpdk_with_known_holes_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let find =
        Command::new("pkg-config").args(["--variable=pcfiledir", "libdpdk"]).output().unwrap();
    let found = String::from_utf8(find.stdout).unwrap();
    for file in ["libdpdk.pc", "libdpdk-libs.pc"] {
        let text = fs::read_to_string(Path::new(found.trim()).join(file)).unwrap();
        let old = text.lines().map(|line| match line.strip_prefix("Version:") {
            Some(_) => "Version: 22.11.7",
            None => line,
        });
        fs::write(directory.path().join(file), old.collect::<Vec<_>>().join("\n")).unwrap();
    }
    let errors = build("PKG_CONFIG_PATH", directory.path());
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].contains("22.11.7 is refused") && errors[0].contains("22.11.11"),
        "{errors:?}"
    );
}
