//! One case of the property test: running it, and making it shorter.

use std::fmt::Write;

use macvlan::fib::{Decisions, Head};

use super::both::{Both, Difference, compare_burst, compare_frame};
use super::frames::{Frame, Place};
use super::random::{self, Op, Random};
use super::state::Request;

/// Steps between frames.
const STRETCH: usize = 6;

/// Frames after each stretch, for each lower, and for each of its links.
const FRAMES: (usize, usize) = (30, 20);

const LONGEST_BURST: usize = 130;

/// What was tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) operations: u64,
    pub(crate) carried_out: u64,
    pub(crate) refused: u64,
    pub(crate) frames: u64,
    /// Frames that a link or the host received.
    pub(crate) local: u64,
    /// Frames that several received.
    pub(crate) replicated: u64,
    pub(crate) bursts: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.carried_out += other.carried_out;
        self.refused += other.refused;
        self.frames += other.frames;
        self.local += other.local;
        self.replicated += other.replicated;
        self.bursts += other.bursts;
    }
}

/// A frame with names in place of numbers, which shortening would change.
#[derive(Clone, Debug)]
pub(crate) struct Injection {
    lower: String,
    /// A link's name, or `wire` or `host`.
    from: String,
    frame: Frame,
}

/// What went wrong, after which operations.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    ops: Vec<Op>,
    /// None: the last operation itself.
    injection: Option<Injection>,
    difference: Difference,
}

/// Runs the case of a seed.
pub(crate) fn run(seed: u64) -> Result<Tally, Failure> {
    let mut random = Random(seed);
    let mut both = Both::default();
    let mut tally = Tally::default();
    let mut decisions = Decisions::new(LONGEST_BURST);
    let mut ops = Vec::new();
    let shape = random::shape(&mut random);
    for step in 0..shape.steps {
        let op = match step < shape.lowers {
            true => Op::AddLower(random::lower(&mut random, step)),
            false => random::op(&mut random, &both.model, &shape),
        };
        ops.push(op.clone());
        tally.operations += 1;
        match both.step(&op) {
            Ok(true) => tally.carried_out += 1,
            Ok(false) => tally.refused += 1,
            Err(difference) => return Err(Failure { ops, injection: None, difference }),
        }
        if step % STRETCH == STRETCH - 1 {
            frames(&both, &mut random, &mut decisions, &mut tally).map_err(
                |(injection, difference)| Failure { ops: ops.clone(), injection, difference },
            )?;
        }
    }
    Ok(tally)
}

fn frames(
    both: &Both,
    random: &mut Random,
    decisions: &mut Decisions,
    tally: &mut Tally,
) -> Result<(), (Option<Injection>, Difference)> {
    for lower in &both.model.lowers {
        let fib = both.fib(&lower.name).map_err(|difference| (None, difference))?;
        let view = both.model.view(&lower.name);
        let mut heads: Vec<(Place, Vec<Head>)> = Vec::new();
        for _ in 0..FRAMES.0 + FRAMES.1 * view.links.len() {
            let (from, frame) = random::frame(random, &both.model, &lower.name);
            compare_frame(&view, &fib, from, &frame).map_err(|difference| {
                let from = match from {
                    Place::Wire => "wire".into(),
                    Place::Host => "host".into(),
                    Place::Link(number) => view.links[number].name.clone(),
                };
                (Some(Injection { lower: lower.name.clone(), from, frame }), difference)
            })?;
            tally.frames += 1;
            let copies = view.receivers(from, &frame);
            tally.local += u64::from(copies.iter().any(|&(to, _)| to != Place::Wire));
            tally.replicated += u64::from(copies.len() > 1);
            match heads.iter_mut().find(|(place, _)| *place == from) {
                Some((_, heads)) => heads.push(Head::read(&frame)),
                None => heads.push((from, vec![Head::read(&frame)])),
            }
        }
        for (from, heads) in heads {
            let mut rest = &heads[..];
            while !rest.is_empty() {
                let length = if random.percent(4) {
                    random.pick(&[34, 63, 64, 65, LONGEST_BURST])
                } else {
                    1 + random.below(33)
                };
                let (burst, after) = rest.split_at(length.min(rest.len()));
                compare_burst(&fib, from, burst, decisions)
                    .map_err(|difference| (None, difference))?;
                tally.bursts += 1;
                rest = after;
            }
        }
    }
    Ok(())
}

/// Repeats recorded operations: the difference there is, if there is one.
fn replay(ops: &[Op], injection: Option<&Injection>) -> Option<Difference> {
    let mut both = Both::default();
    for op in ops {
        if let Err(difference) = both.step(op) {
            return Some(difference);
        }
    }
    let injection = injection?;
    both.model.lower(&injection.lower)?;
    let fib = match both.fib(&injection.lower) {
        Ok(fib) => fib,
        Err(difference) => return Some(difference),
    };
    let view = both.model.view(&injection.lower);
    let from = match &*injection.from {
        "wire" => Place::Wire,
        "host" => Place::Host,
        name => Place::Link(view.links.iter().position(|link| link.name == name)?),
    };
    compare_frame(&view, &fib, from, &injection.frame).err()
}

/// The operation without one of its attributes, for each it has.
fn simpler(op: &Op) -> Vec<Op> {
    let (request, remake): (&Request, &dyn Fn(Request) -> Op) = match op {
        Op::New(request, random) => (request, &|request| Op::New(request, *random)),
        Op::Set(name, request) => (request, &|request| Op::Set(name.clone(), request)),
        _ => return vec![],
    };
    let leave_out: [fn(&mut Request); 15] = [
        |r| r.address = None,
        |r| r.mtu = None,
        |r| r.up = None,
        |r| r.promisc = None,
        |r| r.allmulti = None,
        |r| r.further = None,
        |r| r.spoof_check = None,
        |r| r.data = None,
        |r| r.data.as_mut().into_iter().for_each(|data| data.mode = None),
        |r| r.data.as_mut().into_iter().for_each(|data| data.flags = None),
        |r| r.data.as_mut().into_iter().for_each(|data| data.list_operation = None),
        |r| r.data.as_mut().into_iter().for_each(|data| data.one = None),
        |r| r.data.as_mut().into_iter().for_each(|data| data.many = None),
        |r| r.data.as_mut().into_iter().for_each(|data| data.bcqueuelen = None),
        |r| r.data.as_mut().into_iter().for_each(|data| data.bclim = None),
    ];
    let without = leave_out.into_iter().map(|leave_out| {
        let mut request = request.clone();
        leave_out(&mut request);
        request
    });
    without.filter(|without| without != request).map(remake).collect()
}

/// Leaves out operations, then attributes, as long as there is a difference.
pub(crate) fn shorten(seed: u64, failure: Failure) -> String {
    let Failure { mut ops, injection, mut difference } = failure;
    let mut at = ops.len();
    while at > 0 {
        at -= 1;
        let mut fewer = ops.clone();
        fewer.remove(at);
        if let Some(other) = replay(&fewer, injection.as_ref()) {
            (ops, difference) = (fewer, other);
            // What depended on it may go as well.
            at = ops.len();
        }
    }
    for at in 0..ops.len() {
        while let Some((fewer, other)) = simpler(&ops[at]).into_iter().find_map(|op| {
            let mut fewer = ops.clone();
            fewer[at] = op;
            replay(&fewer, injection.as_ref()).map(|other| (fewer, other))
        }) {
            (ops, difference) = (fewer, other);
        }
    }
    let mut text = format!("{difference}\nafter these operations:\n");
    for op in &ops {
        _ = writeln!(text, "  {op:?}");
    }
    if let Some(Injection { lower, from, frame }) = injection {
        _ = writeln!(text, "and this frame on {lower}, from {from}: {frame:02x?}");
    }
    format!("{text}repeat with MACVLAN_MODEL_SEED={seed}\n")
}
