//! What the windows say: a table for people, JSON for programs.
//!
//! The figure of a round is that of all frames of its windows together; of all
//! rounds the median is quoted, and the range. A program is compared with the
//! floor round by round, and the floor's first window with its second, which is
//! how much two equal programs would differ.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use mvswitch::dpdk::{Memory, clock};
use serde_json::{Map, Value, json};

use super::load::{self, FRAME, Offer, Window};
use super::{Kind, Options, PASSES, machine};

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    programs: Vec<Kind>,
    /// Index of the program that the others are compared with.
    floor: usize,
    window: Duration,
    machine: Value,
    pub(super) rounds: Vec<Round>,
    /// Hundredths of seconds that the hypervisor took.
    pub(super) steal: u64,
}

/// All loads with the same processes.
#[derive(Debug)]
pub(super) struct Round {
    /// Frames per second, of each program.
    pub(super) capacities: Vec<u64>,
    /// The same loads and bursts in every round.
    pub(super) cells: Vec<Cell>,
}

/// A load, and what each program made of it.
#[derive(Debug)]
pub(super) struct Cell {
    /// Share of the floor's capacity, in per cent.
    pub(super) load: u64,
    /// The rate differs from round to round.
    pub(super) offer: Offer,
    /// Of each program, in the order they were measured.
    pub(super) windows: Vec<Vec<Window>>,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug)]
struct Figures {
    /// As in [`NAMES`].
    at: [f64; NAMES.len()],
}

const NAMES: [&str; 5] = ["p50", "p90", "p99", "p99_9", "max"];
const P50: usize = 0;
const P99: usize = 2;

impl Figures {
    /// `None` without frames.
    fn of<'a>(windows: impl IntoIterator<Item = &'a Window>) -> Option<Self> {
        let mut all: Histogram<u32> = load::histogram(clock::ticks_per_second());
        for window in windows {
            all.add(&window.latency).ok()?;
        }
        let micro = clock::ticks_per_second() as f64 / 1e6;
        let at =
            [0.5, 0.9, 0.99, 0.999, 1.0].map(|part| all.value_at_quantile(part) as f64 / micro);
        (!all.is_empty()).then_some(Self { at })
    }

    fn get(&self, index: usize) -> f64 {
        self.at.get(index).copied().unwrap_or_default()
    }

    /// Microseconds more at the median, and the ratio at the 99th percentile.
    fn beside(&self, floor: &Self) -> (f64, f64) {
        (self.get(P50) - floor.get(P50), self.get(P99) / floor.get(P99))
    }
}

/// The middle of several figures, and the ends.
#[derive(Clone, Copy, Debug)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        let upper = sorted.get(half)?;
        let lower = if sorted.len().is_multiple_of(2) { sorted.get(half - 1)? } else { upper };
        let median = lower.midpoint(*upper);
        Some(Self { median, min: *sorted.first()?, max: *sorted.last()? })
    }

    fn json(self) -> Value {
        let round = |figure: f64| (figure * 1000.0).round() / 1000.0;
        let Self { median, min, max } = self;
        json!({"median": round(median), "min": round(min), "max": round(max)})
    }

    fn text(self, digits: usize) -> String {
        format!("{:.digits$} [{:.digits$} {:.digits$}]", self.median, self.min, self.max)
    }
}

/// One program under one load, over all rounds.
#[derive(Debug)]
struct Summary {
    kind: Kind,
    /// One for each of [`NAMES`]; none if no window counts.
    figures: Vec<Spread>,
    /// With the windows that do not count.
    all: Vec<Spread>,
    /// Beside the floor; of the floor itself, its halves beside each other.
    p50_more: Option<Spread>,
    p99_ratio: Option<Spread>,
    frames: u64,
    due: u64,
    lost: u64,
    windows: usize,
    left_out: usize,
    /// How busy the generator was, in per cent.
    generator: Option<Spread>,
}

impl Summary {
    /// Frames lost of those due, in per cent, over windows that count.
    fn loss(&self) -> f64 {
        self.lost as f64 * 100.0 / self.due.max(1) as f64
    }
}

fn counting(windows: &[Window]) -> impl Iterator<Item = &Window> {
    windows.iter().filter(|window| !window.disturbed())
}

impl Report {
    pub(super) fn new(options: &Options, programs: Vec<Kind>, floor: usize, pages: Memory) -> Self {
        let machine = machine::facts(pages);
        Self { programs, floor, window: options.window, machine, rounds: Vec::new(), steal: 0 }
    }

    /// Load and burst of each cell.
    fn cells(&self) -> impl Iterator<Item = (usize, u64, u32)> + '_ {
        let cells = self.rounds.first().into_iter().flat_map(|round| round.cells.iter());
        cells.enumerate().map(|(index, cell)| (index, cell.load, cell.offer.burst))
    }

    /// Windows of a program under a load, round by round.
    fn windows(&self, cell: usize, program: usize) -> impl Iterator<Item = &[Window]> {
        let cells = self.rounds.iter().filter_map(move |round| round.cells.get(cell));
        cells.filter_map(move |cell| cell.windows.get(program).map(Vec::as_slice))
    }

    /// Millions of frames per second offered.
    fn rate(&self, cell: usize) -> Option<Spread> {
        let cells = self.rounds.iter().filter_map(|round| round.cells.get(cell));
        Spread::of(cells.map(|cell| cell.offer.rate as f64 / 1e6))
    }

    fn capacity(&self, program: usize) -> Option<Spread> {
        let rates = self.rounds.iter().filter_map(|round| round.capacities.get(program));
        Spread::of(rates.map(|&rate| rate as f64 / 1e6))
    }

    fn summary(&self, cell: usize, program: usize, kind: Kind) -> Summary {
        let figures = |keep: fn(&[Window]) -> Option<Figures>| {
            let rounds: Vec<Figures> = self.windows(cell, program).filter_map(keep).collect();
            let each = |index| Spread::of(rounds.iter().map(|figures| figures.get(index)));
            (0..NAMES.len()).filter_map(each).collect()
        };
        let beside: Vec<(f64, f64)> = if program == self.floor {
            let half = |windows: &[Window], first| {
                let half = windows.iter().skip(first).step_by(2);
                Figures::of(half.filter(|window| !window.disturbed()))
            };
            let rounds = self.windows(cell, program);
            let rounds = rounds.filter_map(|own| Some(half(own, 1)?.beside(&half(own, 0)?)));
            rounds.collect()
        } else {
            let rounds = self.windows(cell, program).zip(self.windows(cell, self.floor));
            let rounds = rounds.filter_map(|(own, floor)| {
                Some(Figures::of(counting(own))?.beside(&Figures::of(counting(floor))?))
            });
            rounds.collect()
        };
        let windows: Vec<&Window> = self.windows(cell, program).flatten().collect();
        let good: Vec<&Window> =
            windows.iter().copied().filter(|window| !window.disturbed()).collect();
        Summary {
            kind,
            figures: figures(|windows| Figures::of(counting(windows))),
            all: figures(|windows| Figures::of(windows)),
            p50_more: Spread::of(beside.iter().map(|pair| pair.0)),
            p99_ratio: Spread::of(beside.iter().map(|pair| pair.1)),
            frames: good.iter().map(|window| window.latency.len()).sum(),
            due: good.iter().map(|window| window.due).sum(),
            lost: good.iter().map(|window| window.lost()).sum(),
            windows: windows.len(),
            left_out: windows.len() - good.len(),
            generator: Spread::of(good.iter().map(|window| window.generator_busy as f64)),
        }
    }

    fn summaries(&self, cell: usize) -> impl Iterator<Item = Summary> + '_ {
        let programs = self.programs.iter().enumerate();
        programs.map(move |(program, &kind)| self.summary(cell, program, kind))
    }

    /// For a terminal.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let rounds = self.rounds.len();
        let windows = self.window.as_millis();
        writeln!(
            text,
            "Round trips of {FRAME}-byte frames, each twice through the program, in \
            microseconds from the moment a frame was due."
        )?;
        writeln!(
            text,
            "{rounds} rounds, {} windows of {windows} ms each; median of rounds [least \
            most]. Windows are left out in which\nthe generator or the program was kept off its core \
            for more than a 400th of the time.",
            2 * PASSES
        )?;
        writeln!(text, "\nhighest rate without loss, millions a second")?;
        for (program, kind) in self.programs.iter().enumerate() {
            let capacity = self.capacity(program).map(|spread| spread.text(2));
            writeln!(text, "  {kind:<9} {}", capacity.unwrap_or_default())?;
        }
        let floor = self.programs.get(self.floor).map(ToString::to_string).unwrap_or_default();
        for (cell, load, burst) in self.cells() {
            let rate = self.rate(cell).map(|spread| spread.text(2)).unwrap_or_default();
            writeln!(
                text,
                "\n{load} % of what {floor} carries: {rate} millions a second, burst {burst}"
            )?;
            writeln!(
                text,
                "  {:<9} {:>20} {:>8} {:>22} {:>8} {:>9} {:>7} {:>9} {:>6}  beside {floor}",
                "", "p50", "p90", "p99", "p99.9", "max", "loss %", "frames", "left",
            )?;
            for summary in self.summaries(cell) {
                self.write_row(text, &summary)?;
            }
        }
        writeln!(
            text,
            "\nThe floor beside itself is every other of its windows beside the rest: differences as \
            small as that mean nothing."
        )?;
        writeln!(text, "{} s were taken by the hypervisor.", self.steal as f64 / 100.0)
    }

    fn write_row(&self, text: &mut String, summary: &Summary) -> std::fmt::Result {
        let Summary { kind, figures, left_out, windows, frames, .. } = summary;
        write!(text, "  {:<9} ", kind.to_string())?;
        let [p50, p90, p99, p99_9, max] = figures.as_slice() else {
            return writeln!(text, "all {windows} windows are left out");
        };
        write!(text, "{:>20} {:>8.2} {:>22} ", p50.text(2), p90.median, p99.text(2))?;
        write!(text, "{:>8.2} {:>9.1} {:>7.3} ", p99_9.median, max.max, summary.loss())?;
        write!(text, "{frames:>9} {:>6}  ", format!("{left_out}/{windows}"))?;
        if let (Some(more), Some(ratio)) = (summary.p50_more, summary.p99_ratio) {
            let itself = if self.programs.get(self.floor) == Some(kind) { "(itself) " } else { "" };
            let sign = if more.median < 0.0 { "" } else { "+" };
            write!(text, "{itself}p50 {sign}{}, p99 x {}", more.text(2), ratio.text(2))?;
        }
        if summary.loss() > 1.0 {
            write!(text, ", cannot carry it")?;
        }
        writeln!(text)
    }

    /// All figures, in microseconds and frames.
    pub(crate) fn json(&self) -> Value {
        let spread = |spread: Option<Spread>| spread.map(Spread::json);
        let name = |kind: &Kind| kind.to_string();
        let named = |figures: &[Spread]| -> Map<String, Value> {
            let figures = NAMES.iter().zip(figures);
            figures.map(|(&name, figure)| (name.to_owned(), figure.json())).collect()
        };
        let row = |summary: Summary| {
            let mut row = named(&summary.figures);
            row.insert("all_windows".into(), named(&summary.all).into());
            row.insert("p50_more".into(), json!(spread(summary.p50_more)));
            row.insert("p99_ratio".into(), json!(spread(summary.p99_ratio)));
            row.insert("frames".into(), summary.frames.into());
            row.insert("due".into(), summary.due.into());
            row.insert("lost".into(), summary.lost.into());
            row.insert("windows".into(), summary.windows.into());
            row.insert("left_out".into(), summary.left_out.into());
            row.insert("generator_busy_percent".into(), json!(spread(summary.generator)));
            (name(&summary.kind), Value::Object(row))
        };
        let capacities = self.programs.iter().enumerate();
        let capacities: Map<String, Value> = capacities
            .map(|(program, kind)| (name(kind), json!(spread(self.capacity(program)))))
            .collect();
        let cells: Vec<Value> = self
            .cells()
            .map(|(cell, load, burst)| {
                json!({
                    "load_percent": load,
                    "burst": burst,
                    "rate_mpps": spread(self.rate(cell)),
                    "programs": self.summaries(cell).map(row).collect::<Map<_, _>>(),
                })
            })
            .collect();
        json!({
            "machine": self.machine,
            "rounds": self.rounds.len(),
            "window_ms": u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX),
            "frame_bytes": FRAME,
            "unit": "microseconds",
            "floor": self.programs.get(self.floor).map(name),
            "steal_seconds": self.steal as f64 / 100.0,
            "capacity_mpps": capacities,
            "cells": cells,
        })
    }
}
