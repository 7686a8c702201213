//! `mvswitch doctor`: what a switch finds on this machine, a line per check, and
//! what mends what is missing.
//!
//! Looks through files, netlink and limits; starts no EAL, opens no device,
//! makes, loads and removes nothing. With a config it looks at what that needs,
//! without one at what there is. A problem is what a start would end with;
//! everything else that could be better is a note.

mod cpus;
mod devices;
mod machine;
mod memory;
mod paths;
mod pci;
mod rights;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use mvctl::runtime_dir;
use serde::Serialize;

use self::machine::Machine;
use super::args::DoctorArgs;
use super::{Failure, load};
use crate::config::{Config, Endpoint, LowerConfig, LowerDevice};
use crate::dpdk;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// A switch starts, with less than it could have.
    Note,
    /// A switch does not start.
    Problem,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// One line of the report, and one object of `-j`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    check: String,
    state: State,
    found: String,
    /// What to type or to write; nothing if all is well.
    mend: Option<String>,
}

impl Check {
    fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, found: found.into(), mend: None }
    }

    fn note(check: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        let mend = Some(mend.into());
        Self { check: check.into(), state: State::Note, found: found.into(), mend }
    }

    fn problem(
        check: impl Into<String>,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { state: State::Problem, ..Self::note(check, found, mend) }
    }
}

/// What a start would need: of a config, or of any.
struct Needs {
    config: Option<Config>,
    runtime_dir: PathBuf,
}

impl Needs {
    /// Whose device each is, and the device; empty without a config.
    fn devices(&self) -> Vec<(String, &str)> {
        let Some(config) = &self.config else { return Vec::new() };
        let lowers = config.lowers.iter().filter_map(|lower| match &lower.device {
            LowerDevice::Device(device) => Some((format!("lower {}", lower.name), &**device)),
            LowerDevice::Vlan { .. } => None,
        });
        let hosts = config.lowers.iter().filter_map(|lower| {
            Some((format!("host of {}", lower.name), &*lower.host.as_ref()?.device))
        });
        let links = config.links.iter().filter_map(|link| match &link.endpoint {
            Endpoint::Device(device) => Some((format!("link {}", link.name), &**device)),
            Endpoint::Vhost { .. } => None,
        });
        lowers.chain(hosts).chain(links).collect()
    }

    /// True if links are on this lower, or on a VLAN of it.
    fn has_links(&self, owner: &str) -> bool {
        let (Some(config), Some(name)) = (&self.config, owner.strip_prefix("lower ")) else {
            return false;
        };
        let carried = |lower: &&LowerConfig| {
            let is_vlan = matches!(&lower.device, LowerDevice::Vlan { lower, .. } if lower == name);
            lower.name == name || is_vlan
        };
        let mut lowers = config.lowers.iter().filter(carried);
        lowers.any(|lower| config.links.iter().any(|link| link.lower == lower.name))
    }

    /// True if a device of the config is driven by one of `drivers`.
    fn any(&self, drivers: &[&str]) -> bool {
        self.devices().iter().any(|(_, device)| devices::is_driven(device, drivers))
    }

    /// True if the config names a PCI device.
    fn pci(&self) -> bool {
        self.devices().iter().any(|(_, device)| crate::config::is_pci(device))
    }
}

pub(super) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let needs = match &args.config {
        Some(path) => {
            let (config, runtime_dir) = load(path, args.runtime_dir.as_deref())?;
            Needs { config: Some(config), runtime_dir }
        }
        None => Needs {
            config: None,
            runtime_dir: runtime_dir::resolve(args.runtime_dir.as_deref(), None),
        },
    };
    let checks = examine(&Machine::this(), &needs);
    let problems = checks.iter().filter(|check| check.state == State::Problem).count();
    if args.json {
        let text = serde_json::to_string(&checks).map_err(Failure::runtime)?;
        super::print(&format!("{text}\n"));
    } else {
        super::print(&render(&checks));
    }
    match problems {
        0 => Ok(()),
        1 => Err(Failure::runtime("1 problem stands in the way of a start")),
        many => Err(Failure::runtime(format!("{many} problems stand in the way of a start"))),
    }
}

fn examine(machine: &Machine, needs: &Needs) -> Vec<Check> {
    let mut checks = vec![dpdk_release(), rights::rights(machine, needs)];
    checks.push(memory::huge_pages(machine, needs));
    checks.extend(cpus::cores(machine, needs));
    checks.push(cpus::numa(machine, needs));
    checks.extend(pci::checks(machine, needs));
    checks.extend(devices::special_files(machine, needs));
    checks.extend(rights::limits(machine, needs));
    checks.push(rights::user_namespaces(machine));
    checks.extend(paths::checks(machine, needs));
    checks.extend(devices::wireless(machine, needs));
    checks.extend(devices::named(machine, needs));
    checks
}

fn dpdk_release() -> Check {
    let (built, loaded) = (env!("MVSWITCH_DPDK"), dpdk::release());
    let found = if built == loaded {
        format!("{loaded}, as it was built with")
    } else {
        format!("{loaded}; built with {built}")
    };
    match dpdk::check_release() {
        Ok(()) => Check::ok("DPDK", found),
        Err(refusal) => {
            let (_, advice) = refusal.split_once(". ").unwrap_or(("", &refusal));
            Check::problem(
                "DPDK",
                format!("{found}: refused for holes in its vhost library"),
                advice,
            )
        }
    }
}

/// The report: a line per check, below it what mends it, and a last line.
fn render(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.check.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Check { check, state, found, mend } in checks {
        let state = state.name();
        text += &format!("{state:<8} {check:<width$}  {found}\n");
        if let Some(mend) = mend {
            text += &format!("{:<8} {:<width$}    mend: {mend}\n", "", "");
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    if count(State::Problem) == 0 {
        let notes = match count(State::Note) {
            0 => String::new(),
            1 => " (1 note)".to_owned(),
            many => format!(" ({many} notes)"),
        };
        text += &format!("nothing stands in the way of a start{notes}\n");
    }
    text
}
