"""Rounds: every program of every scenario in turn, a fresh process each, in short windows."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from .machine import Bench, steal
from .mvswitch import Mvswitch
from .ovs import Ovs
from .process import Failed, kill_all
from .program import Program, Reading
from .scenarios import Scenario
from .testpmd import TestpmdIo

PROGRAMS: tuple[type[Program], ...] = (Mvswitch, TestpmdIo, Ovs)

SETTLES_WITHIN = 20.0
"""Seconds that a program may take until it has seen all of the traffic."""

TRIES = 3
"""A guest and a vhost port now and then miss each other's start."""


@dataclass(frozen=True)
class Method:
    """How much is measured."""

    rounds: int
    windows: int
    seconds: float
    """Of a window."""


class Runner:
    """Runs and says on standard error how far it is."""

    def __init__(self, bench: Bench, method: Method, programs: list[type[Program]]):
        self.bench = bench
        self.method = method
        self.programs = programs
        self.remarks: list[str] = []
        self.failures: list[str] = []

    def run(self, scenarios: list[Scenario]) -> dict[str, list[dict]]:
        """Measures. Returns the runs of each scenario by its name."""
        runs: dict[str, list[dict]] = {scenario.name: [] for scenario in scenarios}
        for number in range(self.method.rounds):
            for scenario in scenarios:
                able = [program for program in self.programs if program.name not in scenario.without]
                # A B C, C B A: what drifts meets all alike.
                for program in able if number % 2 == 0 else reversed(able):
                    self.say(f"round {number + 1} of {self.method.rounds}: {scenario.name}, {program.title}")
                    try:
                        run = self.one(program, scenario)
                    except Failed as error:
                        # What else was measured is not lost.
                        self.failures.append(f"{scenario.name}: {program.title}: {error}")
                    else:
                        runs[scenario.name].append({"program": program.name, "round": number, **run})
        self.say("")
        return runs

    def one(self, kind: type[Program], scenario: Scenario) -> dict:
        """One run: its windows, and how much of the time the hypervisor took."""
        for attempt in range(TRIES):
            program = kind(self.bench)
            try:
                program.start(scenario)
                self.settle(program, scenario)
                before, began = steal(), time.monotonic()
                windows = self.windows(program)
                stolen = (steal() - before) / 100 / (time.monotonic() - began)
                program.stop()
                return {"windows": windows, "stolen": round(stolen, 4), "tries": attempt + 1}
            except Failed as error:
                if attempt + 1 == TRIES:
                    raise
                self.remark(f"{scenario.name}: {kind.title} is tried once more: {first_line(error)}")
            finally:
                kill_all()
        raise AssertionError("the last try returns or raises")

    def settle(self, program: Program, scenario: Scenario) -> None:
        """Waits until frames move, and until the program learns nothing any more."""
        until = time.monotonic() + SETTLES_WITHIN
        last, calm = program.read(), 0
        while calm < 2:
            time.sleep(0.2)
            now = program.read()
            moves = counted(scenario, now) > counted(scenario, last)
            learns = now.sample.unsettled > last.sample.unsettled
            calm = calm + 1 if moves and not learns else 0
            if time.monotonic() > until:
                if not moves:
                    raise Failed(f"no frame moved within {SETTLES_WITHIN:.0f} s")
                self.remark(f"{scenario.name}: {program.title} was not settled after {SETTLES_WITHIN:.0f} s")
                return
            last = now

    def windows(self, program: Program) -> list[dict]:
        """Differences between readings, one window after the other."""
        windows = []
        last = program.read()
        for _ in range(self.method.windows):
            time.sleep(max(0.0, last.at + self.method.seconds - time.monotonic()))
            now = program.read()
            windows.append(window(last, now))
            last = now
        return windows

    def remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

    @staticmethod
    def say(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif text:
            print(text, file=sys.stderr, flush=True)


def first_line(error: Failed) -> str:
    """The rest is what a program said, which a remark has no room for."""
    return str(error).split("\n", 1)[0]


def counted(scenario: Scenario, reading: Reading) -> int:
    """What the scenario calls frames."""
    return {"received": reading.sample.received, "sent": reading.sample.sent, "guest": reading.guest}[scenario.counts]


def window(last: Reading, now: Reading) -> dict:
    """What happened between two readings."""
    one, two = last.sample, now.sample
    entry = {"seconds": round(now.at - last.at, 6), "ticks": two.ticks - one.ticks,
             "received": two.received - one.received, "sent": two.sent - one.sent,
             "preempted": now.preempted - last.preempted}
    for name, before, after in (("batches", one.batches, two.batches), ("clock", one.clock, two.clock),
                                ("guest", last.guest, now.guest)):
        if before is not None and after is not None:
            entry[name] = after - before
    return entry
