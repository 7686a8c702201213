//! The measurement: rounds, loads and whose turn it is.
//!
//! Used by the bench and by the test of it. All programs of a round run at the
//! same time, stopped by a signal but for the one whose turn it is: that lets
//! turns be a fraction of a second long, so that neighbours in time meet the
//! machine in the same state. It never looks at a figure to decide what counts.

mod load;
mod machine;
mod programs;
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use load::{Generator, Guests, Offer, Window};
pub(crate) use programs::Kind;
use programs::Program;
pub(crate) use report::Report;
use report::{Cell, Round};

/// What went wrong, for a person.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// The generator, and all threads that do not forward.
const CONTROL_CORE: usize = 0;
/// The thread that is measured.
const FORWARD_CORE: usize = 1;

/// Shares of the floor's capacity, in per cent.
const LOADS: [u64; 3] = [10, 50, 90];
/// Frames that are due at the same moment.
const BURSTS: [u32; 2] = [1, 8];
/// How often a round measures all programs there and back under one load. Many
/// short windows: some of them nobody disturbs.
const PASSES: usize = 4;

/// More than any program can carry, in frames per second.
const OVERLOAD: u64 = 20_000_000;
/// Frames lost in ten thousand up to which a rate counts as carried.
const LOSS_ALLOWED: u64 = 10;
/// How often a rate may fail before it counts as too high: one failure is more
/// often the machine's than the program's.
const ATTEMPTS: usize = 3;

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How often all programs are started anew.
    pub(crate) rounds: u32,
    /// Length of a window.
    pub(crate) window: Duration,
    /// Who takes part. The floor is testpmd, or else the first.
    pub(crate) programs: Vec<Kind>,
    /// mvswitch.
    pub(crate) daemon: PathBuf,
}

/// A program with the guests of its two ports. After a failure the program goes
/// first: guests say goodbye, and one that is stopped would not answer.
struct Pair {
    program: Program,
    guests: Guests,
}

/// Measures everything. Leaves no process and no file behind.
///
/// # Errors
/// No program can be measured, or one that was started fails.
pub(crate) fn run(options: &Options) -> Outcome<Report> {
    let cores = std::thread::available_parallelism()?.get();
    if cores <= FORWARD_CORE {
        return Err("latency needs two cores: one for the generator, one for the program".into());
    }
    let mut present = Vec::new();
    for &kind in &options.programs {
        match kind.missing() {
            None => present.push(kind),
            Some(why) => eprintln!("{kind} is left out: {why}"),
        }
    }
    let floor = present.iter().position(|&kind| kind == Kind::Testpmd).unwrap_or(0);
    let directory = tempfile::tempdir()?;
    let pages = machine::pages();
    let mut generator = Generator::start(directory.path(), pages)?;
    let mut report = Report::new(options, present.clone(), floor, pages);
    let steal = machine::steal();
    for number in 0..options.rounds {
        eprintln!("round {} of {}", number + 1, options.rounds);
        let run = directory.path().join(format!("round{number}"));
        std::fs::create_dir(&run)?;
        let mut pairs = Vec::new();
        for &kind in &present {
            let program = Program::start(kind, options, &run, pages)?;
            let guests = generator.guests(program.sockets())?;
            let mut pair = Pair { program, guests };
            pair.program.go()?;
            generator.wait_for(&pair.guests).map_err(|error| pair.program.explain(error))?;
            pair.program.pause()?;
            pairs.push(pair);
        }
        report.rounds.push(round(&mut generator, &mut pairs, floor, options.window)?);
        for Pair { program, guests } in pairs {
            program.resume()?;
            drop(guests);
            program.end()?;
        }
    }
    report.steal = machine::steal().saturating_sub(steal);
    Ok(report)
}

fn round(
    generator: &mut Generator,
    pairs: &mut [Pair],
    floor: usize,
    window: Duration,
) -> Outcome<Round> {
    let mut capacities = Vec::new();
    for pair in pairs.iter() {
        pair.program.resume()?;
        capacities.push(capacity(generator, &pair.guests, window * 2));
        pair.program.pause()?;
    }
    let full = capacities.get(floor).copied().unwrap_or(0);
    // There and back, so that what drifts meets all alike: ABCCBA.
    let order = || {
        let pass = || (0..pairs.len()).chain((0..pairs.len()).rev());
        std::iter::repeat_with(pass).take(PASSES).flatten()
    };
    let mut cells = Vec::new();
    for load in LOADS {
        for burst in BURSTS {
            let offer = Offer { rate: (full * load / 100).max(1), burst, time: window };
            let mut windows: Vec<Vec<Window>> = pairs.iter().map(|_| Vec::new()).collect();
            for index in order() {
                if let (Some(pair), Some(windows)) = (pairs.get(index), windows.get_mut(index)) {
                    windows.push(turn(generator, pair, offer)?);
                }
            }
            cells.push(Cell { load, offer, windows });
        }
    }
    Ok(Round { capacities, cells })
}

/// One window of one program.
fn turn(generator: &mut Generator, pair: &Pair, offer: Offer) -> Outcome<Window> {
    pair.program.resume()?;
    // Caches and rings as they are in the middle of such a load.
    _ = generator.offer(&pair.guests, Offer { time: offer.time / 8, ..offer });
    let before = pair.program.waits();
    let mut window = generator.offer(&pair.guests, offer);
    window.waited = programs::waited(&before, &pair.program.waits());
    pair.program.pause()?;
    Ok(window)
}

/// The highest rate that is carried, in frames per second, within three per cent.
fn capacity(generator: &mut Generator, guests: &Guests, time: Duration) -> u64 {
    let at = |rate| Offer { rate, burst: 1, time };
    let delivered = (0..ATTEMPTS).map(|_| generator.offer(guests, at(OVERLOAD)).rate()).max();
    let (mut carried, mut too_much) = (0, delivered.unwrap_or(0) / 10 * 11);
    while too_much - carried > too_much / 32 + 1 {
        let rate = carried.midpoint(too_much);
        let carries = (0..ATTEMPTS).any(|_| {
            let window = generator.offer(guests, at(rate));
            window.lost() * 10_000 <= window.due * LOSS_ALLOWED
        });
        if carries {
            carried = rate;
        } else {
            too_much = rate;
        }
    }
    carried
}
