//! What a test needs of the machine, and what happens when it is not there.
//!
//! A test asks first. What is missing is said aloud, past the test runner's
//! capture, as a line that begins with `SKIPPED:`, which `scripts/test.sh`
//! counts. Where `CI` is set it is a failure instead: there the machine is
//! supposed to have everything.

use std::io::Write;
use std::path::{Path, PathBuf};

/// One thing a machine may lack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// The rights of root: network namespaces, raw sockets, huge pages.
    Root,
    /// A program on the search path.
    Program(&'static str),
    /// A file or directory.
    Path(&'static str),
    /// The kernel and modules that `scripts/test.sh` unpacks for the guests.
    GuestKernel,
}

impl Need {
    /// Why this need is not met, and what to type.
    fn missing(self) -> Option<String> {
        match self {
            Self::Root => (!nix::unistd::geteuid().is_root())
                .then(|| "not root: run scripts/test.sh with sudo".to_owned()),
            Self::Program(name) => find(name)
                .is_none()
                .then(|| format!("no program {name}: scripts/test.sh installs it")),
            Self::Path(path) => {
                (!Path::new(path).exists()).then(|| format!("{path} does not exist"))
            }
            Self::GuestKernel => {
                let image = super::GuestKernel::directory().join("vmlinuz");
                (!image.exists()).then(|| {
                    format!("{} does not exist: scripts/test.sh qemu makes it", image.display())
                })
            }
        }
    }
}

/// True if the machine has all of `needs`; else says `SKIPPED: test: why`.
#[track_caller]
pub(crate) fn have(test: &str, needs: &[Need]) -> bool {
    let missing: Vec<String> = needs.iter().filter_map(|need| need.missing()).collect();
    if missing.is_empty() {
        return true;
    }
    let why = missing.join("; ");
    assert!(std::env::var_os("CI").is_none(), "{test} must not be skipped in CI: {why}");
    // print! would be captured, and a skip nobody sees is a lie. The runner has begun a line.
    _ = writeln!(std::io::stderr(), "\nSKIPPED: {test}: {why}");
    false
}

/// Where on the search path `program` is.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Debian keeps ip and ethtool where an ordinary user does not look.
    let also = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(also)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
