"""mvswitch: a config per scenario, counters from its control socket."""

from __future__ import annotations

import json
import shutil

from .guests import GuestPorts
from .machine import MEGABYTES, Bench, output
from .process import Failed, Process, Rpc
from .program import Program, Sample
from .scenarios import Scenario, mac


class Mvswitch(Program):
    name = "mvswitch"
    title = "mvswitch"

    @classmethod
    def missing(cls, bench: Bench) -> str | None:
        return None if bench.mvswitch.exists() else f"{bench.mvswitch} is not built"

    @classmethod
    def version(cls, bench: Bench) -> str:
        return output(str(bench.mvswitch), "--version").removeprefix("mvswitch ")

    def start(self, scenario: Scenario) -> None:
        run = self.bench.work / "run"
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir()
        config = self.bench.work / "mvswitch.toml"
        config.write_text(self.config(scenario))
        bench = self.bench
        # It refuses cores that it was not given, and narrows itself what it got.
        cores = f"{bench.control},{bench.forward},{bench.second}"
        command = ["taskset", "-c", cores, str(bench.mvswitch), "-c", str(config), "--runtime-dir", str(run),
                   "--log-level", "warn"]
        env = {}
        if scenario.fill:
            command += ["--", "-d", str(self.bench.plugin)]
            env = {"FILL_RECEIVE": "net_null0"} | scenario.fill
        self.process = Process(self.name, command, self.bench.work, env)
        self.process.expect("^ready")
        self.control = Rpc(run / "control.sock", ends_with_newline=True)
        if scenario.guests:
            self.guests = GuestPorts(self.bench, scenario,
                                     [run / f"link{number}.sock" for number in range(1, len(scenario.links) + 1)])
            self.guests.start()

    def config(self, scenario: Scenario) -> str:
        """The scenario in mvswitch's words. TOML's strings and arrays are JSON's."""
        wire, links = scenario.devices()
        workers = f"{self.bench.forward}" + (f",{self.bench.second}" if scenario.workers > 1 else "")
        lines = ["[cores]", f"control = {self.bench.control}", f'workers = "{workers}"', 'idle = "spin"',
                 "[eal]", f'memory = "{"huge" if self.bench.huge else "4k"}"', f"memory_mb = {MEGABYTES}",
                 "[[lower]]", 'name = "wire"', f'device = "{wire}"']
        for number, device in enumerate(links, 1):
            lines += ["[[macvlan]]", f'name = "link{number}"', 'link = "wire"', f'address = "{mac(number)}"']
            lines.append(f'device = "{device}"' if device else f'socket = "link{number}.sock"')
            if scenario.addresses > 1:
                lines.append(f"addresses = {json.dumps([mac(number, a) for a in range(1, scenario.addresses)])}")
            if scenario.unqueued:
                lines.append("bclim = -1")
        return "\n".join(lines) + "\n"

    def sample(self) -> Sample:
        workers, ports = self.control.call(("worker.show", {}), ("stats.show", {}))
        return Sample(
            ticks=sum(worker["busy_ticks"] for worker in workers),
            received=sum(port["receive_packets"] for port in ports),
            sent=sum(port["transmit_packets"] for port in ports),
            batches=sum(worker["batches"] for worker in workers),
            clock=sum(worker["busy_ticks"] + worker["idle_ticks"] for worker in workers) // len(workers),
        )

    @property
    def pid(self) -> int:
        return self.process.child.pid

    def stop(self) -> None:
        if self.guests:
            self.guests.quit()
        self.control.close()
        # It checks at its end that every frame is accounted for.
        code = self.process.end()
        if code != 0:
            raise Failed(f"mvswitch ended with {code}: {self.process.said[-600:]}")
