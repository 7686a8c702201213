//! The proof: the same operations and frames through the kernel's macvlan and through mvswitch.
//!
//! Scenarios are random but repeatable: a failure prints its seed, the shortest
//! list of steps that still fails, and the same as JSON. `MVSWITCH_SEED=N` runs
//! one seed, `MVSWITCH_SCENARIO=FILE` the JSON in a file; `MVSWITCH_TOPOLOGIES`,
//! `MVSWITCH_FRAMES` and `MVSWITCH_OPERATIONS` make runs longer. Each test
//! enters a network namespace of its own, which ends with its thread; no
//! interface of the machine is touched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod counters;
mod deviations;
mod directed;
mod errors;
mod judge;
mod kernel;
mod links;
mod linkwatch;
mod message;
mod netlink;
mod operations;
mod ours;
mod packets;
mod print;
mod random;
mod rings;
mod run;
mod scenario;
mod shrink;
mod state;
mod traffic;

use std::time::Instant;

use common::{Need, have};
use deviations::Deviations;
use kernel::Kernel;
use rings::Rings;
use run::{Run, Tally};
use scenario::Scenario;

/// Operations of one control scenario.
const SEQUENCE: usize = 60;

/// Every so manieth scenario goes through a worker, too.
const WORKER_EVERY: u64 = 5;

/// Differences after which a run stops.
const ENOUGH: usize = 8;

/// Seeds of CI runs begin here.
const FIRST_SEED: u64 = 1;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// The seeds to run and whether that is a whole run.
fn seeds(count: u64) -> (std::ops::Range<u64>, bool) {
    match std::env::var("MVSWITCH_SEED") {
        Ok(_) => {
            let seed = setting("MVSWITCH_SEED", 0);
            (seed..seed + 1, false)
        }
        Err(_) => (FIRST_SEED..FIRST_SEED + count, true),
    }
}

/// Differences found, in words, and what was compared on the way.
#[derive(Debug, Default)]
struct Findings {
    total: Tally,
    differences: Vec<String>,
}

impl Findings {
    /// Plays the scenario; a difference is made small and kept.
    fn prove(
        &mut self,
        kernel: &mut Kernel,
        mut rings: Option<&mut Rings>,
        deviations: &mut Deviations,
        scenario: &Scenario,
    ) {
        let run = Run::new(kernel, deviations).with_rings(rings.as_deref_mut());
        let (tally, result) = run.play(scenario);
        add(&mut self.total, tally);
        let Err(difference) = result else { return };
        self.differences.push(match shrink::shrink(kernel, rings, scenario) {
            Some((small, difference)) => format!("seed {}: {difference}\n\n{small}", scenario.seed),
            None => {
                format!("seed {}, once, but not again: {difference}\n\n{scenario}", scenario.seed)
            }
        });
    }

    /// Enough to look at.
    fn enough(&self) -> bool {
        self.differences.len() >= ENOUGH
    }

    fn conclude(&self, what: &str, deviations: &Deviations, started: Instant) {
        eprintln!(
            "{what}: {:?}, deviations {:?}, {:?}",
            self.total,
            deviations.met(),
            started.elapsed()
        );
        assert!(
            self.differences.is_empty(),
            "{} unexplained differences\n\n{}",
            self.differences.len(),
            self.differences.join("\n")
        );
    }
}

fn add(total: &mut Tally, tally: Tally) {
    total.operations += tally.operations;
    total.refused += tally.refused;
    total.frames += tally.frames;
    total.deliveries += tally.deliveries;
    total.collisions += tally.collisions;
    total.unjoined += tally.unjoined;
}

/// Where the kernel can be asked: it has the modules and lets us make namespaces.
fn kernel_is_here(test: &str) -> bool {
    // Only trying tells whether modules can be loaded; a path stands for what is missing.
    have(test, &[Need::Root])
        && (links::Links::possible()
            || have(test, &[Need::Path("a kernel with veth and macvlan (try modprobe)")]))
}

#[test]
fn the_data_path_delivers_as_the_kernels_does() {
    if !kernel_is_here("the_data_path_delivers_as_the_kernels_does") {
        return;
    }
    // EAL first: the kernel's side keeps its thread to a core and a namespace.
    let mut rings = Rings::start();
    let (mut kernel, mut deviations, mut findings) =
        (Kernel::new(), Deviations::read(), Findings::default());
    let started = Instant::now();
    if let Ok(file) = std::env::var("MVSWITCH_SCENARIO") {
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let scenario = serde_json::from_str(text.trim_start_matches("# ")).expect("a scenario");
        findings.prove(&mut kernel, Some(&mut rings), &mut deviations, &scenario);
        return findings.conclude(&file, &deviations, started);
    }
    let frames = usize::try_from(setting("MVSWITCH_FRAMES", 20)).unwrap();
    let (seeds, whole) = seeds(setting("MVSWITCH_TOPOLOGIES", 150));
    for seed in seeds.clone() {
        let scenario = traffic::scenario(seed, frames);
        let rings = (seed % WORKER_EVERY == 0).then_some(&mut rings);
        findings.prove(&mut kernel, rings, &mut deviations, &scenario);
        if findings.enough() {
            break;
        }
    }
    findings.conclude(&format!("data path, seeds {seeds:?}"), &deviations, started);
    eprintln!("data path: {} of the frames went through a worker, too", rings.frames);
    if whole {
        let total = findings.total;
        assert!(rings.frames > total.frames / 20, "too few frames went through a worker");
        assert!(total.deliveries > total.frames / 2, "too little arrives to prove anything");
        // A few groups of 256 bits: one in thirty is far beyond what hashing does.
        assert!(total.collisions * 30 < total.unjoined, "the kernel's filter does not filter");
        deviations.settle("data");
    }
}

#[test]
fn link_operations_succeed_and_fail_as_the_kernels_do() {
    if !kernel_is_here("link_operations_succeed_and_fail_as_the_kernels_do") {
        return;
    }
    let wanted = setting("MVSWITCH_OPERATIONS", 5000);
    let (seeds, whole) = seeds(u64::MAX / 2);
    let started = Instant::now();
    let (mut kernel, mut deviations, mut findings) =
        (Kernel::new(), Deviations::read(), Findings::default());
    let mut last = seeds.start;
    for seed in seeds {
        let scenario = operations::scenario(seed, SEQUENCE);
        findings.prove(&mut kernel, None, &mut deviations, &scenario);
        last = seed;
        if findings.total.operations >= wanted || findings.enough() {
            break;
        }
    }
    findings.conclude(&format!("control path, seeds up to {last}"), &deviations, started);
    if whole {
        let total = findings.total;
        assert!(total.refused > total.operations / 10, "too few requests are wrong");
        deviations.settle("control");
    }
}

#[test]
fn every_row_of_the_error_table() {
    if !kernel_is_here("every_row_of_the_error_table") {
        return;
    }
    errors::prove(&mut Kernel::new(), &mut Deviations::read());
}

/// A case with its own set-up.
type Case = fn(&mut Kernel, &mut Deviations);

#[test]
fn directed_cases() {
    if !kernel_is_here("directed_cases") {
        return;
    }
    let cases: [(&str, Case); 7] = [
        ("links_count_what_they_receive", directed::links_count_what_they_receive),
        ("links_count_what_they_send", directed::links_count_what_they_send),
        ("a_copy_too_long_for_a_sibling", directed::a_copy_too_long_for_a_sibling),
        ("a_queue_of_nothing_loses_broadcasts", directed::a_queue_of_nothing_loses_broadcasts),
        ("odd_deliveries", directed::odd_deliveries),
        ("a_lower_has_one_owner", directed::a_lower_has_one_owner),
        ("fragments_are_put_together", directed::fragments_are_put_together),
    ];
    let (mut kernel, mut deviations) = (Kernel::new(), Deviations::read());
    for (name, case) in cases {
        eprintln!("case {name}");
        case(&mut kernel, &mut deviations);
    }
    deviations.settle("directed");
}
