//! Verdicts for a burst of frames, in passes over the whole burst: hash and
//! prefetch all, then probe all.
//!
//! Called by the workers. The first pass serves every lower; the others run only
//! where a lower has group filters, source lists or checks.

use super::Verdict;
use super::lists::{BROADCAST, FIRST_LISTED, UNLISTED};
use super::{
    CHUNK, Choice, Fib, Head, Ingress, MISS, MacTable, Output, SourceCheck, SourceScope, Target,
};
use crate::drop::DropReason;
use crate::mac::MacAddr;

/// What was decided for the frames of a burst, by their number in it.
#[derive(Debug)]
pub struct Decisions {
    to: Box<[Verdict]>,
    /// Which list of a group. Valid for group frames where the lower is filtered.
    list: Box<[u16]>,
    /// Links whose source lists match. Valid where the lower has any.
    sources: Box<[u16]>,
}

impl Decisions {
    /// Room for bursts of up to `frames`.
    #[must_use]
    pub fn new(frames: usize) -> Self {
        Self {
            to: vec![Verdict::default(); frames].into(),
            list: vec![0; frames].into(),
            sources: vec![0; frames].into(),
        }
    }

    /// Where the frame goes, apart from copies for source lists.
    #[inline]
    #[must_use]
    pub fn target(&self, frame: u16) -> Target {
        self.to.get(usize::from(frame)).copied().unwrap_or_default().target()
    }

    /// The output of all of the first so many frames, if it is the same.
    #[inline]
    #[must_use]
    pub fn sole_output(&self, frames: usize) -> Option<Output> {
        let to = self.to.get(..frames)?;
        let first = *to.first()?;
        // Looks at all of them: no branch, so that many are compared at once.
        let others = to.iter().fold(false, |others, to| others | (*to != first));
        (!others && first.is_output()).then(|| first.as_output())
    }

    /// The outputs of the first so many frames, if each of them goes to one.
    #[inline]
    #[must_use]
    pub fn outputs(&self, frames: usize) -> Option<impl Iterator<Item = Output>> {
        let to = self.to.get(..frames)?;
        // Looks at all of them: no branch, so that many are compared at once.
        let others = to.iter().fold(false, |others, to| others | !to.is_output());
        (!others).then(|| to.iter().map(|to| to.as_output()))
    }
}

/// Someone who gets a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receiver {
    /// Who.
    pub output: Output,
    /// It counts as `multicast` in the link's statistics (ST-03).
    pub multicast: bool,
}

impl Fib {
    /// Decides for each frame that entered at `ingress`. `decisions` has room
    /// for at least as many as there are `heads`.
    #[inline]
    pub fn classify(&self, ingress: Output, heads: &[Head], decisions: &mut Decisions) {
        let Some(ingress) = self.ingresses.get(ingress.index()) else {
            decisions.to.iter_mut().take(heads.len()).for_each(|to| *to = Verdict::default());
            decisions.sources.iter_mut().take(heads.len()).for_each(|set| *set = 0);
            return;
        };
        for (part, heads) in heads.chunks(CHUNK).enumerate() {
            let from = part * CHUNK;
            let Some(to) = decisions.to.get_mut(from..) else { return };
            if ingress.looks_up() {
                self.by_destination(ingress, heads, to);
            } else {
                for (head, to) in heads.iter().zip(&mut *to) {
                    let group = || ingress.special(head, ingress.group);
                    *to = if head.is_group() { group() } else { ingress.miss };
                }
            }
            if ingress.check != SourceCheck::None {
                self.check_sources(ingress, heads, to);
            }
            if self.filtered
                && has_groups(heads)
                && let Some(list) = decisions.list.get_mut(from..)
            {
                self.choose_lists(heads, list);
            }
            if self.has_sources()
                && let Some(sources) = decisions.sources.get_mut(from..)
            {
                self.match_sources(ingress, heads, to, sources);
            }
        }
    }

    /// Some link of the lower has a source list.
    #[inline]
    #[must_use]
    pub fn has_sources(&self) -> bool {
        !self.source_sets.is_empty()
    }

    /// The list of a group that a frame goes to.
    #[inline]
    #[must_use]
    pub fn list_of(&self, decisions: &Decisions, frame: u16) -> u16 {
        let list = decisions.list.get(usize::from(frame)).filter(|_| self.filtered);
        list.copied().unwrap_or(UNLISTED)
    }

    /// The links whose source lists match a frame: each gets a copy.
    #[inline]
    #[must_use]
    pub fn sources_of(&self, decisions: &Decisions, frame: u16) -> &[Output] {
        let set = decisions.sources.get(usize::from(frame)).filter(|_| self.has_sources());
        self.source_members(set.copied().unwrap_or(0))
    }

    /// Everyone who gets a frame with this head, ascending. For tests and
    /// explanations: allocates.
    #[must_use]
    pub fn receivers(&self, ingress: Output, head: Head) -> Vec<Receiver> {
        let mut decisions = Decisions::new(1);
        self.classify(ingress, &[head], &mut decisions);
        let single = |output| Receiver { output, multicast: false };
        let mut all: Vec<Receiver> =
            self.sources_of(&decisions, 0).iter().copied().map(single).collect();
        match decisions.target(0) {
            Target::Output(output) => all.push(single(output)),
            Target::Group(group) => {
                let members = self.members(group, self.list_of(&decisions, 0));
                let multicast = |output: Output| output.slot().is_some();
                all.extend(
                    members
                        .into_iter()
                        .map(|output| Receiver { output, multicast: multicast(output) }),
                );
            }
            Target::Drop(_) => {}
        }
        all.sort_unstable();
        all
    }

    /// Unicast by destination; group frames by source, which tells those that
    /// an external switch reflected.
    #[inline]
    fn by_destination(&self, ingress: &Ingress, heads: &[Head], to: &mut [Verdict]) {
        if !has_groups(heads) {
            let (hit, miss) = (self.choice(ingress.hit), ingress.miss);
            self.table.lookup_each(
                heads,
                |head| head.dst_word(),
                to,
                |value| hit.get(usize::from(value)).copied().unwrap_or(miss),
            );
            return;
        }
        let mut values = [MISS; CHUNK];
        let key = |head: &Head| if head.is_group() { head.src_word() } else { head.dst_word() };
        let values = look_up(&self.table, heads, &mut values, key);
        let (hit, group_from) = (self.choice(ingress.hit), self.choice(ingress.group_from));
        for ((head, &value), to) in heads.iter().zip(values).zip(to) {
            let value = usize::from(value);
            *to = if head.is_group() {
                let group = group_from.get(value).copied();
                ingress.special(head, group.unwrap_or(ingress.group))
            } else {
                hit.get(value).copied().unwrap_or(ingress.miss)
            };
        }
    }

    #[inline]
    fn choice(&self, choice: Choice) -> &[Verdict] {
        self.choices.get(usize::from(choice.0)).map_or(&[], |verdicts| verdicts)
    }

    fn check_sources(&self, ingress: &Ingress, heads: &[Head], to: &mut [Verdict]) {
        let mut sources = [MISS; CHUNK];
        let sources = look_up(&self.table, heads, &mut sources, |head| head.src_word());
        match ingress.check {
            SourceCheck::None => {}
            SourceCheck::Own(own) => {
                for (&source, to) in sources.iter().zip(to) {
                    if source != own.value() {
                        *to = Verdict::drop(DropReason::Spoofed);
                    }
                }
            }
            SourceCheck::NotPrivate => {
                let mut destinations = [MISS; CHUNK];
                let destinations =
                    look_up(&self.table, heads, &mut destinations, |head| head.dst_word());
                let ends = sources.iter().zip(destinations);
                for ((head, (&from, &at)), to) in heads.iter().zip(ends).zip(to) {
                    if !head.is_group() && self.is_private_hairpin(from, at) {
                        *to = Verdict::drop(DropReason::PrivateStrict);
                    }
                }
            }
        }
    }

    /// RXU-06: from one link to another, and one of them is private.
    fn is_private_hairpin(&self, from: u16, to: u16) -> bool {
        let is_link = |value| value != MISS && Output::from_index(value).slot().is_some();
        let private = |value| self.private.get(usize::from(value)).copied().unwrap_or(false);
        is_link(from) && is_link(to) && from != to && (private(from) || private(to))
    }

    fn choose_lists(&self, heads: &[Head], lists: &mut [u16]) {
        let mut values = [MISS; CHUNK];
        let values = look_up(&self.listed, heads, &mut values, |head| head.dst_word());
        for ((head, &value), list) in heads.iter().zip(values).zip(lists) {
            *list = if head.dst() == MacAddr::BROADCAST.key() {
                BROADCAST
            } else if value == MISS {
                UNLISTED
            } else {
                FIRST_LISTED + value
            };
        }
    }

    fn match_sources(
        &self,
        ingress: &Ingress,
        heads: &[Head],
        to: &mut [Verdict],
        sources: &mut [u16],
    ) {
        let mut values = [MISS; CHUNK];
        let values = look_up(&self.sources, heads, &mut values, |head| head.src_word());
        for (((head, &value), to), set) in heads.iter().zip(values).zip(to).zip(sources) {
            *set = 0;
            let seen = match ingress.sources {
                SourceScope::None => false,
                SourceScope::All => {
                    let special = ingress.link_local.is_some() && head.is_link_local();
                    !special && !to.is_refused()
                }
                SourceScope::Direct => !head.is_group() && to.is_local(),
            };
            let Some(found) = self.source_sets.get(usize::from(value)).filter(|_| seen) else {
                continue;
            };
            *set = value + 1;
            if found.consume {
                *to = Verdict::drop(DropReason::SourceNodst);
            }
        }
    }
}

impl Ingress {
    #[inline]
    fn looks_up(&self) -> bool {
        self.hit != Choice::NONE || self.group_from != Choice::NONE
    }

    /// The verdict for a group frame, where `usual` is that for its sender.
    #[inline]
    fn special(&self, head: &Head, usual: Verdict) -> Verdict {
        match self.link_local {
            Some(verdict) if head.is_link_local() => verdict,
            // RXM-14: rows 04 to 06 send a frame back whatever it is.
            _ if head.is_pause() && usual.is_group() => self.pause,
            _ => usual,
        }
    }
}

impl Verdict {
    /// Dropped for what the frame is, not for want of a receiver: source lists
    /// do not see it either.
    fn is_refused(self) -> bool {
        let Target::Drop(reason) = self.target() else { return false };
        matches!(reason, DropReason::PrivateStrict | DropReason::LowerDown)
    }
}

/// Most bursts have none. Looks at all, which takes less than to stop early.
#[inline]
fn has_groups(heads: &[Head]) -> bool {
    heads.iter().fold(false, |any, head| any | head.is_group())
}

/// The values of the keys of up to [`CHUNK`] heads, which are the low 48 bits of words.
#[inline]
fn look_up<'a>(
    table: &MacTable,
    heads: &[Head],
    values: &'a mut [u16; CHUNK],
    word: impl Fn(&Head) -> u64,
) -> &'a [u16] {
    table.lookup_each(heads, word, values, |value| value);
    values
}
