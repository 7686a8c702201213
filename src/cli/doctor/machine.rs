//! The machine as files tell it, below a root that tests can replace.

use std::path::{Path, PathBuf};

use crate::cli::netlink::{self, Interface};
use crate::config;

/// Where a check looks.
pub(super) struct Machine {
    root: PathBuf,
    /// Effective user.
    pub(super) user: u32,
    /// Effective capabilities, as bits.
    pub(super) capabilities: u64,
    /// CPUs this process may use, ascending.
    pub(super) cpus: Vec<usize>,
    /// The interfaces of this network namespace, or why they are not known.
    pub(super) interfaces: Result<Vec<Interface>, String>,
}

impl Machine {
    /// The one this runs on.
    pub(super) fn this() -> Self {
        Self::at(PathBuf::from("/"), netlink::interfaces())
    }

    /// One whose files are below `root`.
    pub(super) fn at(root: PathBuf, interfaces: Result<Vec<Interface>, String>) -> Self {
        let mut machine = Self { root, user: 0, capabilities: 0, cpus: Vec::new(), interfaces };
        let status = machine.read("proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).map_or("", |(_, value)| value.trim())
        };
        let user = field("Uid").split_whitespace().nth(1).and_then(|user| user.parse().ok());
        machine.user = user.unwrap_or(u32::MAX);
        machine.capabilities = u64::from_str_radix(field("CapEff"), 16).unwrap_or(0);
        machine.cpus = cpu_list(field("Cpus_allowed_list"));
        machine
    }

    /// `path` (such as `sys/module`) on this machine.
    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// A file's text without the white space around it.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = std::fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim().to_owned())
    }

    /// A file's number.
    pub(super) fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.read(path)?.parse().ok()
    }

    /// The names in a directory, sorted; none if there is none.
    pub(super) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The last part of what a symbolic link leads to.
    pub(super) fn target(&self, path: impl AsRef<Path>) -> Option<String> {
        let target = std::fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    pub(super) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// The interface of that name.
    pub(super) fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.as_ref().ok()?.iter().find(|interface| interface.name == name)
    }

    /// `command`, for somebody who may not have root's rights.
    pub(super) fn as_root(&self, command: &str) -> String {
        if self.user == 0 { command.to_owned() } else { format!("sudo {command}") }
    }
}

/// The CPUs of a list as the kernel writes it: `0-3,8`.
pub(super) fn cpu_list(text: &str) -> Vec<usize> {
    let mut cpus = config::parse_workers(text).ok().flatten().unwrap_or_default();
    cpus.sort_unstable();
    cpus
}

/// CPUs for people.
pub(super) fn shown(cpus: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let range = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}
