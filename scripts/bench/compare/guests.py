"""testpmd, alone and as the guests of all links."""

from __future__ import annotations

import re
from pathlib import Path

from .machine import Bench, output
from .process import Process
from .scenarios import STRANGER, Scenario, mac

RING = 1024
"""Descriptors of a guest's ring: the most there can be."""


class Testpmd:
    """An interactive testpmd with one forwarding core."""

    TOTALS = r"Accumulated forward statistics for all ports\s*\++\s*RX-packets: (\d+).*?TX-packets: (\d+)"

    def __init__(self, bench: Bench, name: str, core: int, eal: list[str], arguments: list[str],
                 env: dict[str, str] | None = None):
        # A guest's thread that forwards may be on the core of its main thread, which only waits.
        command = ["dpdk-testpmd", "--lcores", f"0@{bench.control},1@{core}", *bench.eal(name), *eal, "--", "-i",
                   f"--rxd={RING}", f"--txd={RING}", "--no-flush-rx", *arguments]
        self.process = Process(name, command, bench.work, env)
        self.process.expect("^testpmd> ")

    def totals(self) -> tuple[int, int]:
        """Frames received and sent since the start."""
        found = self.process.ask("show fwd stats all", self.TOTALS)
        return int(found[1]), int(found[2])

    def quit(self) -> None:
        """Ends it in order."""
        self.process.say("quit")
        self.process.end(by=None)


class GuestPorts:
    """One testpmd on the control core that is all guests."""

    def __init__(self, bench: Bench, scenario: Scenario, sockets: list[Path]):
        self.want = scenario.guests
        eal, arguments, env = [], [f"--forward-mode={self.want.mode}"], None
        for number, path in enumerate(sockets):
            # The cheapest that a guest can be: it is not what is measured.
            eal += ["--vdev", f"net_virtio_user{number},path={path},mac={mac(number + 1)},queue_size={RING},"
                              "mrg_rxbuf=0,in_order=0,vectorized=1"]
            # Frames go round in pairs, unread: what is for the one guest is sent by the other.
            other = mac((number ^ 1) + 1) if (number ^ 1) < len(sockets) else STRANGER
            arguments.append(f"--eth-peer={number},{other}")
        if self.want.all_to_all:
            eal += ["-d", str(bench.plugin)]
            env = {"FILL_TRANSMIT": "net_virtio_user", "FILL_LINKS": str(len(sockets))}
        topology = "paired" if len(sockets) > 1 and not self.want.all_to_all else "loop"
        arguments += [f"--port-topology={topology}", f"--total-num-mbufs={4096 * len(sockets) + 2048}"]
        self.testpmd = Testpmd(bench, "guests", bench.control, eal, arguments, env)

    def start(self) -> None:
        """Lets them send. Frames of several sizes are put on the way one size after the other."""
        process = self.testpmd.process
        if not self.want.bursts:
            process.say("start")
        for number, (size, bursts) in enumerate(self.want.bursts):
            if number > 0:
                process.ask("stop", r"^Done\.")
            process.say(f"set txpkts {size}")
            process.say(f"start tx_first {bursts}")

    def received(self) -> int:
        """Frames that guests got."""
        return self.testpmd.totals()[0]

    def quit(self) -> None:
        """Ends them, before the switch."""
        self.testpmd.quit()


def release() -> str:
    """Of the DPDK that testpmd is of; it says so only when it starts."""
    found = re.search(r"(\d+\.\d+\.\d+)", output("dpkg-query", "-W", "-f", "${Version}", "dpdk-dev"))
    return found[1] if found else output("pkg-config", "--modversion", "libdpdk")
