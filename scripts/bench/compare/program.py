"""What each of the compared programs can do: be started, be read, be ended."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from .guests import GuestPorts
from .machine import Bench, preempted
from .scenarios import Scenario


@dataclass(frozen=True)
class Sample:
    """Counters at one moment; all only grow."""

    ticks: int
    """TSC ticks of turns that moved frames."""
    received: int
    """Frames taken from ports."""
    sent: int
    """Frames handed to ports, copies included, whether these took them or not."""
    batches: int | None = None
    """Groups of frames in which they were handed over, if the program counts them."""
    clock: int | None = None
    """The TSC, if the program tells."""
    unsettled: int = 0
    """Whatever shows that the program has not seen all of the traffic yet."""


@dataclass(frozen=True)
class Reading:
    """A sample with the time, and what the guests have got."""

    at: float
    sample: Sample
    guest: int | None
    preempted: int
    """How often somebody else got the forwarding core."""


class Program(ABC):
    """One of those compared. A fresh one for every run."""

    name: str
    title: str

    def __init__(self, bench: Bench):
        self.bench = bench
        self.guests: GuestPorts | None = None

    @classmethod
    @abstractmethod
    def missing(cls, bench: Bench) -> str | None:
        """Why it cannot run on this machine."""

    @classmethod
    @abstractmethod
    def version(cls, bench: Bench) -> str:
        """Its release."""

    @abstractmethod
    def start(self, scenario: Scenario) -> None:
        """Starts it and its guests; frames move when this returns."""

    @abstractmethod
    def sample(self) -> Sample:
        """Its counters now."""

    @abstractmethod
    def stop(self) -> None:
        """Ends it in order. Raises Failed if it has anything to complain about."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """Of the process that forwards."""

    def read(self) -> Reading:
        """Counters of program and guests."""
        sample, at = self.sample(), time.monotonic()
        guest = self.guests.received() if self.guests else None
        return Reading(at, sample, guest, preempted(self.pid, self.bench.forward))
