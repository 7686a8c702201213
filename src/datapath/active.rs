//! Which of its sources a worker polls: the cost of a turn grows with the links
//! that are active, not with those there are.
//!
//! Owned by the worker. With few sources all are polled, because a kick takes
//! longer than a look. With many, a link whose guest was silent for a while, or
//! is not there, is parked: its guest is asked to kick, its ring is looked at
//! once more, and it is left out until a mark brings it back (`wake.rs`, where
//! the argument stands that no frame stays behind). A new plan starts with all.

use std::time::Duration;

use super::plan::{Plan, Poll};
use super::port::{Device, Port};
use super::wake::Kicks;
use crate::dpdk::{VhostPort, clock};

/// Silence after which a link is parked.
const SILENCE: Duration = Duration::from_millis(1);

/// Time between two looks for silent links, and how many of them are parked at
/// once: frames of others wait meanwhile.
const REVIEW: Duration = Duration::from_micros(250);
const AT_ONCE: usize = 32;

/// A source that is polled.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) poll: Poll,
    /// When it last had a frame, in TSC ticks.
    pub(super) last: u64,
    /// Its socket's number, if it can be parked.
    number: Option<u16>,
}

/// A guest's link, by the number of its socket.
#[derive(Clone, Copy, Debug)]
struct Link {
    poll: Poll,
    parked: bool,
}

/// A worker's sources.
#[derive(Debug)]
pub(super) struct Active {
    /// Where the plan lies that they are from, to tell it from the next.
    plan: *const Plan,
    sources: Vec<Source>,
    links: Vec<Option<Link>>,
    parks: bool,
    /// When silent links are looked for next, in TSC ticks.
    review: u64,
    silence: u64,
    between: u64,
}

impl Active {
    pub(super) fn new() -> Self {
        Self {
            plan: std::ptr::null(),
            sources: Vec::new(),
            links: Vec::new(),
            parks: false,
            review: 0,
            silence: clock::ticks_in(SILENCE),
            between: clock::ticks_in(REVIEW),
        }
    }

    /// Brings the list in line with the plan and the marks. `now` in TSC ticks.
    #[inline]
    pub(super) fn follow(&mut self, plan: &Plan, worker: u16, kicks: &Kicks, now: u64) {
        // The plan before is held until this one is: no two lie at one place.
        if !std::ptr::eq(self.plan, plan) {
            self.start(plan, worker, kicks, now);
        }
        if kicks.any() {
            self.bring_back(plan, kicks, now);
        }
    }

    /// The sources to poll.
    #[inline]
    pub(super) fn sources(&mut self) -> &mut [Source] {
        &mut self.sources
    }

    /// Their ports.
    pub(super) fn ports<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a Port> {
        self.sources.iter().filter_map(|source| plan.port(&source.poll))
    }

    /// Takes silent links off the list, now and then.
    #[inline]
    pub(super) fn park_silent(&mut self, plan: &Plan, kicks: &Kicks, now: u64) {
        if self.parks && now >= self.review {
            self.parks = kicks.is_heard();
            if self.parks {
                self.review(plan, now);
            }
        }
    }

    #[cold]
    fn start(&mut self, plan: &Plan, worker: u16, kicks: &Kicks, now: u64) {
        self.plan = plan;
        self.parks = kicks.is_heard() && plan.has_many_sources(worker);
        self.review = now.saturating_add(self.silence);
        self.links.clear();
        self.sources.clear();
        self.sources.extend(plan.polls(worker).iter().map(|&poll| {
            let number = vhost(plan, &poll).map(VhostPort::number);
            Source { poll, last: now, number }
        }));
        for source in &self.sources {
            let Some(number) = source.number.map(usize::from) else { continue };
            if self.links.len() <= number {
                self.links.resize(number + 1, None);
            }
            if let Some(link) = self.links.get_mut(number) {
                *link = Some(Link { poll: source.poll, parked: false });
            }
            // It may have been parked under the plan before.
            if let Some(port) = vhost(plan, &source.poll) {
                port.ask_for_kicks(false);
            }
        }
    }

    #[cold]
    fn bring_back(&mut self, plan: &Plan, kicks: &Kicks, now: u64) {
        let Self { sources, links, .. } = self;
        kicks.take(|number| {
            let link = links.get_mut(usize::from(number)).and_then(Option::as_mut);
            let Some(link) = link else { return };
            // An active one may have been asked to kick by the worker before.
            if let Some(port) = vhost(plan, &link.poll) {
                port.ask_for_kicks(false);
            }
            if std::mem::take(&mut link.parked) {
                sources.push(Source { poll: link.poll, last: now, number: Some(number) });
            }
        });
    }

    #[cold]
    fn review(&mut self, plan: &Plan, now: u64) {
        let Self { sources, links, silence, .. } = self;
        let (mut place, mut parked) = (0, 0);
        while let Some(source) = sources.get(place).filter(|_| parked < AT_ONCE) {
            let silent = now.saturating_sub(source.last) >= *silence;
            let number = source.number.filter(|_| silent);
            if !number.is_some_and(|number| park(plan, links, &source.poll, number)) {
                place += 1;
                continue;
            }
            sources.swap_remove(place);
            parked += 1;
        }
        // More are silent: the next turn goes on.
        if parked < AT_ONCE {
            self.review = now.saturating_add(self.between);
        }
    }
}

/// `false`: frames wait, or its guest cannot kick.
fn park(plan: &Plan, links: &mut [Option<Link>], poll: &Poll, number: u16) -> bool {
    let link = links.get_mut(usize::from(number)).and_then(Option::as_mut);
    let (Some(link), Some(port)) = (link, vhost(plan, poll)) else { return false };
    if !port.tells() {
        return false;
    }
    // The second look: what the guest sent before it saw the wish.
    if port.ask_for_kicks(true) {
        port.ask_for_kicks(false);
        return false;
    }
    link.parked = true;
    true
}

fn vhost<'a>(plan: &'a Plan, poll: &Poll) -> Option<&'a VhostPort> {
    match &plan.port(poll)?.device {
        Device::Vhost(port) => Some(port),
        Device::Eth(_) | Device::Ring(_) | Device::Vlan(_) => None,
    }
}
