//! Both sides step by step, compared after every step.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use macvlan::mac::MacAddr;

use super::counters::Expected;
use super::deviations::Deviations;
use super::judge::{known, tagged_pause};
use super::kernel::Kernel;
use super::links::Snapshot;
use super::ours::{Delivery, Ours};
use super::rings::Rings;
use super::scenario::{Change, Data, Frame, Mac, Request, Scenario, Side, Step};
use super::state::{State, Unlike};

/// Frames between two barriers: far fewer than the kernel's broadcast queue holds.
const BATCH: usize = 25;

/// What the two sides do not agree about.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) step: usize,
    pub(crate) text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}", self.step, self.text)
    }
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) operations: u64,
    pub(crate) refused: u64,
    pub(crate) frames: u64,
    pub(crate) deliveries: u64,
    /// Groups that reached a link which had not joined them, and groups that could have.
    pub(crate) collisions: u64,
    pub(crate) unjoined: u64,
}

/// A scenario on its way through both sides.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    kernel: &'a mut Kernel,
    /// A worker that has to deliver what the rules say.
    rings: Option<&'a mut Rings>,
    ours: Ours,
    deviations: &'a mut Deviations,
    pub(crate) tally: Tally,
    pub(crate) snapshot: Snapshot,
    /// The kernel's answer to the last operation: 0 or an error number.
    pub(crate) answer: i32,
}

impl<'a> Run<'a> {
    pub(crate) fn new(kernel: &'a mut Kernel, deviations: &'a mut Deviations) -> Self {
        Self {
            kernel,
            rings: None,
            ours: Ours::default(),
            deviations,
            tally: Tally::default(),
            snapshot: Snapshot::default(),
            answer: 0,
        }
    }

    /// Sends the frames through a worker, too.
    pub(crate) fn with_rings(mut self, rings: Option<&'a mut Rings>) -> Self {
        self.rings = rings;
        self
    }

    /// The whole scenario; the kernel's side is empty again afterwards.
    pub(crate) fn play(mut self, scenario: &Scenario) -> (Tally, Result<(), Difference>) {
        let mut result = Ok(());
        let mut at = 0;
        while at < scenario.steps.len() && result.is_ok() {
            let mut frames: Vec<(Side, &Frame)> = Vec::new();
            let start = at;
            while let Some(Step::Send { from, frame }) = scenario.steps.get(at)
                && frames.len() < BATCH
            {
                frames.push((*from, frame));
                at += 1;
            }
            result = if frames.is_empty() {
                at += 1;
                self.operate(&scenario.steps[start], start)
            } else {
                self.exchange(&frames, start)
            };
        }
        self.kernel.clear();
        (self.tally, result)
    }

    /// Does one operation on both sides and compares.
    pub(crate) fn operate(&mut self, step: &Step, at: usize) -> Result<(), Difference> {
        let Some(kernel) = self.kernel.apply(step) else { return Ok(()) };
        let before = std::mem::take(&mut self.snapshot);
        self.snapshot = self.kernel.snapshot();
        let random = match step {
            Step::NewLink { link, .. } => self.snapshot.state.links.get(link),
            _ => None,
        };
        let random = random.map_or(Mac::new([2, 0xee, 0, 0, 0, 0]), |link| link.address);
        let untouched = self.ours.state();
        let Some(ours) = self.ours.apply(step, random) else {
            let text = format!("{step}: mvswitch does not know what this is about");
            return Err(Difference { step: at, text });
        };
        self.answer = kernel.err().unwrap_or(0);
        self.tally.operations += 1;
        self.tally.refused += u64::from(kernel.is_err());
        let numbers =
            (kernel.err().unwrap_or(0), ours.as_ref().err().map_or(0, |r| r.errno.number()));
        let state = self.ours.state();
        if ours.is_err() && state != untouched {
            let text =
                format!("{step}: mvswitch refuses, yet changes {:?}", untouched.unlike(&state));
            return Err(Difference { step: at, text });
        }
        let unlike = self.snapshot.state.unlike(&state);
        if numbers.0 == numbers.1 && unlike.is_empty() {
            return Ok(());
        }
        let Some(id) = known(step, numbers, &unlike, &before.state) else {
            let said = ours.err().map(|refusal| refusal.message).unwrap_or_default();
            let mut text = format!(
                "{step}: the kernel says {}, mvswitch {} {said}",
                name(numbers.0),
                name(numbers.1)
            );
            for Unlike { who, field, kernel, ours } in unlike {
                text += &format!("\n  {who} {field}: kernel {kernel}, mvswitch {ours}");
            }
            return Err(Difference { step: at, text });
        };
        self.deviations.meet(id);
        self.realign(&before.state, at)
    }

    /// Makes the kernel's state ours again after a deviation.
    fn realign(&mut self, before: &State, at: usize) -> Result<(), Difference> {
        let wanted = self.ours.state();
        for (number, link) in &wanted.links {
            let Some(actual) = self.snapshot.state.links.get(number) else { continue };
            if actual == link {
                continue;
            }
            let source = link.mode == super::scenario::SOURCE;
            let list = link.sources.iter().map(|mac| (4, mac.bytes().to_vec())).collect();
            let request = Request {
                address: (actual.address != link.address).then(|| link.address.bytes().to_vec()),
                mtu: (actual.mtu != link.mtu).then_some(link.mtu),
                up: (actual.up != link.up).then_some(link.up),
                promisc: (actual.promisc != link.promisc).then_some(link.promisc),
                allmulti: (actual.allmulti != link.allmulti).then_some(link.allmulti),
                data: Some(Data {
                    mode: Some(link.mode),
                    flags: Some(link.flags),
                    macaddr_mode: source.then_some(3),
                    macaddr_data: source.then_some(list),
                    bc_queue_len: Some(link.bc_queue_len),
                    bc_cutoff: Some(link.bc_cutoff),
                    ..Data::default()
                }),
            };
            // What this does not mend is rebuilt below.
            _ = self.kernel.apply(&Step::SetLink { link: *number, request });
        }
        // A lower's address may have followed its link's already.
        let now = self.kernel.snapshot().state.lowers;
        for (number, lower) in &wanted.lowers {
            if now.get(number).is_some_and(|now| now.address != lower.address) {
                let change = Change::Address(lower.address);
                _ = self.kernel.apply(&Step::SetLower { lower: *number, change });
            }
        }
        self.snapshot = self.kernel.snapshot();
        let broken = self.snapshot.state.unlike(&wanted);
        let mut lowers: Vec<u8> =
            broken.iter().filter_map(|unlike| lower_of(unlike, &wanted, before)).collect();
        lowers.dedup();
        for lower in lowers {
            for step in [Step::RemoveLower { lower }, Step::AddLower { lower }] {
                _ = self.kernel.apply(&step);
                _ = self.ours.apply(&step, Mac(MacAddr::ZERO));
            }
        }
        self.snapshot = self.kernel.snapshot();
        let unlike = self.snapshot.state.unlike(&self.ours.state());
        if unlike.is_empty() {
            return Ok(());
        }
        Err(Difference { step: at, text: format!("the kernel cannot be realigned: {unlike:?}") })
    }

    fn exchange(&mut self, frames: &[(Side, &Frame)], at: usize) -> Result<(), Difference> {
        let (got, barriers) = self.kernel.exchange(frames, &self.snapshot.state);
        let mut expected = Expected::default();
        for side in barriers {
            if let Side::Link(link) = side {
                expected.barrier(link);
            }
        }
        let mut rules = Vec::new();
        for (number, ((from, frame), kernel)) in frames.iter().zip(got).enumerate() {
            let ours = self.ours.deliver(*from, frame);
            self.tally.frames += 1;
            self.tally.deliveries += kernel.len() as u64;
            let counted = self
                .compare(*from, frame, &kernel, &ours)
                .map_err(|text| Difference { step: at + number, text })?;
            let state = &self.snapshot.state;
            expected.sent(*from, frame, state);
            expected.delivered(*from, frame, &counted, state, self.deviations);
            rules.push(ours);
        }
        if let Some(rings) = self.rings.as_deref_mut().filter(|_| Rings::fit(&self.ours)) {
            rings.exchange(&self.ours, frames, &rules).map_err(|text| Difference {
                step: at + frames.len() - 1,
                text: format!("{text}\n{}", self.describe()),
            })?;
        }
        // The kernel counts a queued group frame after it has handed it over.
        let deadline = Instant::now() + Duration::from_secs(1);
        let (after, unlike) = loop {
            let after = self.kernel.snapshot();
            let unlike = expected.unlike(&self.snapshot.counters, &after.counters);
            if unlike.is_empty() || Instant::now() > deadline {
                break (after, unlike);
            }
        };
        self.snapshot = after;
        if unlike.is_empty() {
            return Ok(());
        }
        let sent: Vec<String> =
            frames.iter().map(|(from, frame)| format!("  {from}: {frame:?}")).collect();
        let text = format!(
            "the counters moved otherwise\n{}\n{}\n{}",
            unlike.join("\n"),
            sent.join("\n"),
            self.describe()
        );
        Err(Difference { step: at + frames.len() - 1, text })
    }

    /// What the kernel delivered, with our word on what counts as a multicast.
    fn compare(
        &mut self,
        from: Side,
        frame: &Frame,
        kernel: &[Side],
        ours: &[Delivery],
    ) -> Result<Vec<Delivery>, String> {
        let mut balance: BTreeMap<Side, i32> = BTreeMap::new();
        kernel.iter().for_each(|side| *balance.entry(*side).or_default() += 1);
        ours.iter().for_each(|(side, _)| *balance.entry(*side).or_default() -= 1);
        let inexact = |side: &Side| match side {
            Side::Link(link) => self.ours.links.get(link).is_some_and(|index| {
                let group = frame.dst.0.is_multicast() && frame.dst.0 != MacAddr::BROADCAST;
                let link = self.ours.driver.link(*index);
                group
                    && link.is_some_and(|link| {
                        !link.hears_all() && !link.groups.contains(&frame.dst.0)
                    })
            }),
            _ => false,
        };
        // The kernel's filter is a hash: it may let through more, never less.
        let extra: Vec<Side> = balance
            .iter()
            .filter(|(side, count)| **count == 1 && inexact(side))
            .map(|(side, _)| *side)
            .collect();
        self.tally.unjoined +=
            self.ours.links.keys().filter(|link| inexact(&Side::Link(**link))).count() as u64;
        self.tally.collisions += extra.len() as u64;
        let mut counted = ours.to_vec();
        for side in extra {
            self.deviations.meet("MCF-01");
            balance.remove(&side);
            counted.push((side, true));
        }
        if balance.values().all(|count| *count == 0) {
            return Ok(counted);
        }
        if tagged_pause(from, frame, &balance) {
            self.deviations.meet("RXM-14");
            counted.retain(|(side, multicast)| kernel.contains(side) || !multicast);
            return Ok(counted);
        }
        let list = |sides: Vec<Side>| {
            let names: Vec<String> = sides.iter().map(Side::to_string).collect();
            names.join(" ")
        };
        Err(format!(
            "{}\n  {} -> {} type {:#06x} tags {:x?}\n  kernel:   {}\n  mvswitch: {}\n{}",
            Step::Send { from, frame: frame.clone() },
            frame.src,
            frame.dst,
            frame.kind,
            frame.tags,
            list(kernel.to_vec()),
            list(ours.iter().map(|(side, _)| *side).collect()),
            self.describe()
        ))
    }

    /// The links as they are now.
    fn describe(&self) -> String {
        let mut text = String::new();
        for (number, lower) in &self.snapshot.state.lowers {
            text += &format!("  low{number}: {} up={}\n", lower.address, lower.up);
        }
        for (number, link) in &self.snapshot.state.links {
            let groups =
                self.ours.links.get(number).and_then(|index| self.ours.driver.link(*index));
            text += &format!(
                "  mv{number}@low{}: {} {} flags={} up={} allmulti={} promisc={} bclim={} sources={:?} groups={:?}\n",
                link.lower,
                super::print::mode_name(link.mode),
                link.address,
                link.flags,
                link.up,
                link.allmulti,
                link.promisc,
                link.bc_cutoff,
                link.sources,
                groups.map(|link| &link.groups)
            );
        }
        text
    }
}

/// The lower that something unlike belongs to.
fn lower_of(unlike: &Unlike, wanted: &State, before: &State) -> Option<u8> {
    if let Some(number) = unlike.who.strip_prefix("low") {
        return number.parse().ok();
    }
    let link: u8 = unlike.who.strip_prefix("mv")?.parse().ok()?;
    let state = wanted.links.get(&link).or_else(|| before.links.get(&link))?;
    Some(state.lower)
}

/// The name of an error number, as both sides give it.
pub(crate) fn name(number: i32) -> String {
    match number {
        0 => "success".to_owned(),
        number => format!("{:?}", nix::errno::Errno::from_raw(number)),
    }
}
