"""testpmd's io mode: it looks at no frame and sends everything to one port, which makes it the cost of
the drivers alone."""

from __future__ import annotations

import shutil

from .guests import GuestPorts, Testpmd, release
from .machine import Bench
from .program import Program, Sample
from .scenarios import Scenario


class TestpmdIo(Program):
    name = "testpmd"
    title = "testpmd io"

    @classmethod
    def missing(cls, bench: Bench) -> str | None:
        return None if shutil.which("dpdk-testpmd") else "no dpdk-testpmd: the package is dpdk-dev"

    @classmethod
    def version(cls, bench: Bench) -> str:
        return release()

    def start(self, scenario: Scenario) -> None:
        wire, links = scenario.devices()
        sockets = [self.bench.work / f"io{number}.sock" for number, link in enumerate(links) if link is None]
        for path in sockets:
            path.unlink(missing_ok=True)
        vhosts = [f"net_vhost{number},iface={path}" for number, path in enumerate(sockets)]
        devices = vhosts if len(vhosts) > 1 else self.pair(wire, links, vhosts)
        eal = [argument for device in devices for argument in ("--vdev", device)]
        env = None
        if scenario.fill:
            eal += ["-d", str(self.bench.plugin)]
            env = {"FILL_RECEIVE": "net_null0"} | scenario.fill
        # Paired: what the first port receives goes to the second, and so on.
        self.testpmd = Testpmd(self.bench, "io", self.bench.forward, eal,
                               ["--forward-mode=io", "--port-topology=paired", "--record-core-cycles",
                                f"--total-num-mbufs={max(16384, 4096 * len(devices))}"], env)
        if not sockets:
            self.testpmd.process.say("start")
            return
        self.guests = GuestPorts(self.bench, scenario, sockets)
        self.testpmd.process.say("start")
        self.guests.start()

    @staticmethod
    def pair(wire: str | None, links: list[str | None], vhosts: list[str]) -> list[str]:
        """The source and one that swallows, or the guest and the wire: two ports are enough for io mode."""
        devices = [wire, *vhosts, *(link for link in links if link)]
        sources = [device for device in devices if "no-rx" not in device]
        sinks = [device for device in devices if "no-rx" in device]
        return (sources + sinks)[:2]

    def sample(self) -> Sample:
        process = self.testpmd.process
        found = process.ask("show fwd stats all", self.testpmd.TOTALS + r".*?\+{20}(.*?)testpmd> ")
        # CPU cycles/packet=48.25 (total cycles=… / total io packets=135788704) at 2600 MHz Clock
        ticks, received = 0, int(found[1])
        if "total cycles=" in found[3]:
            ticks, received = (int(text.split("=")[1]) for text in
                               found[3].split("(")[1].split(")")[0].split(" / "))
        return Sample(ticks=ticks, received=received, sent=int(found[2]))

    @property
    def pid(self) -> int:
        return self.testpmd.process.child.pid

    def stop(self) -> None:
        if self.guests:
            self.guests.quit()
        self.testpmd.quit()
