//! Cores and NUMA nodes: whether control and workers fit.

use super::machine::{Machine, cpu_list, shown};
use super::{Check, Needs};
use crate::config::{Config, Idle, device_name, is_pci};

/// Workers that a switch starts when the config leaves it the choice.
const AUTO_WORKERS: usize = 4;

const NAME: &str = "cores";

/// The cores that a start would give to workers.
fn chosen(machine: &Machine, config: &Config) -> Vec<usize> {
    if let Some(list) = &config.cores.workers {
        return list.clone();
    }
    let rest = machine.cpus.iter().copied().filter(|cpu| *cpu != config.cores.control);
    let rest: Vec<usize> = rest.take(AUTO_WORKERS).collect();
    if rest.is_empty() { vec![config.cores.control] } else { rest }
}

/// How many workers a start would have.
pub(super) fn workers(machine: &Machine, config: &Config) -> u16 {
    u16::try_from(chosen(machine, config).len()).unwrap_or(u16::MAX)
}

pub(super) fn cores(machine: &Machine, needs: &Needs) -> Vec<Check> {
    let isolated = cpu_list(&machine.read("sys/devices/system/cpu/isolated").unwrap_or_default());
    let found = match isolated[..] {
        [] => format!("{} may be used, none is isolated", shown(&machine.cpus)),
        _ => format!("{} may be used, {} isolated", shown(&machine.cpus), shown(&isolated)),
    };
    let first = machine.cpus.first().copied().unwrap_or(0);
    let Some(config) = &needs.config else {
        return vec![match machine.cpus[..] {
            [_] => Check::note(NAME, format!("{found}: control and worker share it"), ALLOW),
            _ if machine.cpus.contains(&0) => Check::ok(NAME, found),
            _ => Check::note(
                NAME,
                format!("{found}; control is on core 0 unless a config says otherwise"),
                format!("write control = {first} in [cores] of the config"),
            ),
        }];
    };
    let (control, workers) = (config.cores.control, chosen(machine, config));
    let found = format!("{found}; control {control}, workers {}", shown(&workers));
    let absent = |cpu: &usize| !machine.cpus.contains(cpu);
    let wrong: Vec<usize> =
        std::iter::once(control).chain(workers.iter().copied()).filter(absent).collect();
    if !wrong.is_empty() {
        let mend = format!(
            "write cores of {} in [cores], or allow more with taskset",
            shown(&machine.cpus)
        );
        return vec![Check::problem(NAME, format!("{found}: {} may not", shown(&wrong)), mend)];
    }
    if workers.contains(&control) {
        return vec![Check::note(NAME, format!("{found}, on the same core"), ALLOW)];
    }
    let disturbed: Vec<usize> =
        workers.iter().copied().filter(|cpu| !isolated.contains(cpu)).collect();
    if config.cores.idle == Idle::Spin && !disturbed.is_empty() {
        let list = shown(&disturbed);
        return vec![Check::note(
            NAME,
            format!("{found}, which the kernel uses for other things, too"),
            format!("boot with isolcpus={list} nohz_full={list} rcu_nocbs={list}"),
        )];
    }
    vec![Check::ok(NAME, found)]
}

const ALLOW: &str = "allow a second core, with taskset or as the container's cpuset";

/// Whether cards and workers are near each other.
pub(super) fn numa(machine: &Machine, needs: &Needs) -> Check {
    let directory = "sys/devices/system/node";
    let nodes: Vec<(u64, Vec<usize>)> = machine
        .names(directory)
        .iter()
        .filter_map(|name| {
            let list = machine.read(format!("{directory}/{name}/cpulist"))?;
            Some((name.strip_prefix("node")?.parse().ok()?, cpu_list(&list)))
        })
        .collect();
    if nodes.len() < 2 {
        return Check::ok("NUMA", "one node: everything is near");
    }
    let list = nodes.iter().map(|(node, cpus)| format!("node {node} has cores {}", shown(cpus)));
    let found = list.collect::<Vec<_>>().join(", ");
    let Some(config) = &needs.config else { return Check::ok("NUMA", found) };
    let workers = chosen(machine, config);
    for (owner, device) in needs.devices() {
        let address = device_name(device).to_ascii_lowercase();
        let node = machine.number(format!("sys/bus/pci/devices/{address}/numa_node"));
        let near = node.and_then(|node| nodes.iter().find(|(other, _)| *other == node));
        if let (true, Some((node, cpus))) = (is_pci(device), near)
            && !workers.iter().all(|worker| cpus.contains(worker))
        {
            return Check::note(
                "NUMA",
                format!("{found}; {owner} is on node {node}, workers {}", shown(&workers)),
                format!("write workers of {} in [cores]", shown(cpus)),
            );
        }
    }
    Check::ok("NUMA", found)
}
