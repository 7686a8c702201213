//! Explanations against the compiled rules: who receives what, and why not.

use std::collections::BTreeMap;

use macvlan::driver::{Driver, Index};
use macvlan::drop::DropReason;
use macvlan::explain::{Explanation, Place, Rule, explain};
use macvlan::fib::{Decisions, Fib, Head, Output, Target};
use macvlan::mode::Mode;

use super::both::Both;
use super::random::{self, Op, Random};

/// Frames to try at least.
const FRAMES: u64 = 1_000_000;

/// Frames after each stretch of steps, for each lower and each of its links.
const PER_DEVICE: usize = 12;

/// Every id that an explanation can have.
const IDS: &[&str] = &[
    "BCQ-01",
    "LC-34",
    "MCF-01",
    "MCF-04",
    "MCF-05",
    "MCF-07",
    "MCF-09",
    "RXM-01",
    "RXM-02",
    "RXM-03",
    "RXM-04",
    "RXM-05",
    "RXM-06",
    "RXM-10",
    "RXM-11",
    "RXM-14",
    "RXU-02",
    "RXU-03",
    "RXU-04",
    "RXU-05",
    "RXU-06",
    "SRC-03",
    "SRC-04",
    "SRC-05",
    "SRC-06",
    "TX-01",
    "TX-02",
    "TX-03",
    "TX-04",
    "TX-05",
    "TX-06",
    "TX-07",
    "TX-08",
    "TX-09",
    "TX-10",
    "TX-11",
    "TX-16",
    "TX-17",
    "UCF-05",
    "drop_link_local",
    "link_down",
    "private_strict",
    "reachable",
    "spoof_check",
];

/// Of a promiscuous passthru link with nopromisc: not in every run.
const RARE: &&str = &"UCF-05";

#[test]
fn explanations_come_to_the_verdict_of_the_compiled_rules() {
    let first = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 >> 8;
    let first = std::env::var("MACVLAN_EXPLAIN_SEED").map_or(first, |seed| seed.parse().unwrap());
    let (mut frames, mut seed) = (0, first);
    let mut seen = BTreeMap::<&'static str, u64>::new();
    let mut dropped = BTreeMap::<&'static str, u64>::new();
    while frames < FRAMES {
        frames += run(seed, &mut seen, &mut dropped);
        seed += 1;
    }
    println!("seeds from {first}: {frames} frames, {seen:?}, {dropped:?}");
    // A test of a few rules would agree, too.
    let missing: Vec<_> = IDS.iter().filter(|id| !seen.contains_key(**id)).collect();
    assert!(missing.is_empty() || missing == [RARE], "{missing:?}");
    let reasons: Vec<&str> = dropped.keys().copied().collect();
    let expected = [
        "link_down",
        "link_local",
        "lower_down",
        "no_member",
        "private_strict",
        "source_nodst",
        "spoofed",
        "unknown_unicast",
    ];
    assert_eq!(reasons, expected);
}

/// Runs the case of a seed. Returns how many frames that were.
fn run(
    seed: u64,
    seen: &mut BTreeMap<&'static str, u64>,
    dropped: &mut BTreeMap<&'static str, u64>,
) -> u64 {
    let mut random = Random(seed);
    let mut both = Both::default();
    let mut frames = 0;
    let shape = random::shape(&mut random);
    for step in 0..shape.steps {
        let op = match step < shape.lowers {
            true => Op::AddLower(random::lower(&mut random, step)),
            false => random::op(&mut random, &both.model, &shape),
        };
        both.step(&op).unwrap();
        if step % 6 != 5 {
            continue;
        }
        for lower in &both.model.lowers {
            let fib = both.fib(&lower.name).unwrap();
            let index = both.driver.by_name(&lower.name).unwrap();
            let links: Vec<Index> = both.driver.links_of(index).map(|link| link.index).collect();
            for _ in 0..PER_DEVICE * (1 + links.len()) {
                let (from, frame) = random::frame(&mut random, &both.model, &lower.name);
                let (place, output) = match from {
                    super::frames::Place::Wire => (Place::Wire, Output::WIRE),
                    super::frames::Place::Host => (Place::Host, Output::HOST),
                    super::frames::Place::Link(slot) => {
                        (Place::Link(links[slot]), Output::link(slot as u16))
                    }
                };
                let head = Head::read(&frame);
                let explanation = explain(&both.driver, index, place, head).unwrap();
                check(&both.driver, &fib, &links, output, head, &explanation).unwrap_or_else(
                    |difference| {
                        panic!(
                            "{difference}\non {}, from {place:?}: {frame:02x?}\n{explanation:#?}\n\
                             {:#?}\nrepeat with MACVLAN_EXPLAIN_SEED={seed}",
                            lower.name, both.driver,
                        )
                    },
                );
                for rule in &explanation.rules {
                    *seen.entry(rule.id).or_default() += 1;
                }
                if let Some(reason) = explanation.dropped {
                    *dropped.entry(reason.name()).or_default() += 1;
                }
                frames += 1;
            }
        }
    }
    frames
}

/// What an explanation says against what the workers would do.
fn check(
    driver: &Driver,
    fib: &Fib,
    links: &[Index],
    from: Output,
    head: Head,
    explanation: &Explanation,
) -> Result<(), String> {
    let mut decisions = Decisions::new(1);
    fib.classify(from, &[head], &mut decisions);
    let (queued, reason) = match decisions.target(0) {
        Target::Group(group) => {
            (fib.members(group, fib.list_of(&decisions, 0)).queued(), DropReason::NoMember)
        }
        Target::Drop(reason) => (false, reason),
        Target::Output(_) => (false, DropReason::NoMember),
    };
    let receivers = fib.receivers(from, head);
    let dropped = receivers.is_empty().then_some(reason);
    if dropped != explanation.dropped {
        return Err(format!("the rules drop it for {dropped:?}"));
    }
    // Copies that count as multicast are those for links: the ones that wait.
    let mut expected: Vec<(Place, bool, bool)> = receivers
        .iter()
        .map(|to| (place(to.output, links), to.multicast, to.multicast && queued))
        .collect();
    expected.sort_unstable();
    let got: Vec<_> =
        explanation.receivers.iter().map(|to| (to.place, to.multicast, to.queued)).collect();
    if expected != got {
        return Err(format!("the rules give it to {expected:?}"));
    }
    names_everybody(driver, links, from, explanation)
}

fn place(output: Output, links: &[Index]) -> Place {
    match output.slot() {
        Some(slot) => Place::Link(links[usize::from(slot)]),
        None if output == Output::WIRE => Place::Wire,
        None => Place::Host,
    }
}

/// Whoever receives it is named by a rule, and so is everybody who does not
/// where a group frame is replicated.
fn names_everybody(
    driver: &Driver,
    links: &[Index],
    from: Output,
    explanation: &Explanation,
) -> Result<(), String> {
    let rules = &explanation.rules;
    let known = |rule: &Rule| IDS.contains(&rule.id) && rule.text.len() > 10;
    if rules.is_empty() || !rules.iter().all(known) {
        return Err("no rule, or one that says nothing".into());
    }
    let replicated = rules.iter().any(|rule| match rule.id {
        "TX-08" | "RXM-01" | "RXM-02" => true,
        "RXM-03" => !rules.iter().any(|rule| rule.id == "RXM-11"),
        _ => false,
    });
    for &index in links {
        let link = driver.link(index).unwrap();
        let has_it = explanation.receivers.iter().any(|to| to.place == Place::Link(index));
        if !has_it && !replicated {
            continue;
        }
        let word = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == link.name);
        if !rules.iter().any(|rule| word(&rule.text)) {
            return Err(format!("{} ({}) is not named", link.name, link.mode));
        }
    }
    let is_bridge = |index: &Index| driver.link(*index).unwrap().mode == Mode::Bridge;
    let sender = from.slot().map(|slot| links[usize::from(slot)]);
    if rules.iter().any(|rule| rule.id == "TX-08") && !sender.iter().all(is_bridge) {
        return Err("TX-08 is about links in bridge mode".into());
    }
    Ok(())
}
