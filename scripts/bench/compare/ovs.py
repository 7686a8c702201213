"""OVS-DPDK: a database and a daemon of its own in the run's directory, with a network namespace for the
interfaces that it makes; no service of the system is touched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from .guests import GuestPorts
from .machine import Bench, output
from .process import Failed, Process, Rpc, wait_for
from .program import Program, Sample
from .scenarios import Scenario, mac

DAEMON = Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
BRIDGE = "bench"
WIRE = 1
"""Number of the wire's port; link N has number N + 1."""


class Ovs(Program):
    name = "ovs"
    title = "OVS-DPDK"
    daemon: Process | None = None

    @classmethod
    def missing(cls, bench: Bench) -> str | None:
        if not DAEMON.exists() or not shutil.which("ovsdb-server"):
            return "no ovs-vswitchd-dpdk: the package is openvswitch-switch-dpdk"
        if os.geteuid() != 0:
            return "it needs root for the interfaces that it makes"
        return None

    @classmethod
    def version(cls, bench: Bench) -> str:
        found = re.search(r"\) (\S+)", output(str(DAEMON), "--version"))
        return found[1] if found else "unknown"

    def start(self, scenario: Scenario) -> None:
        self.run = self.bench.work / "ovs"
        shutil.rmtree(self.run, ignore_errors=True)
        self.run.mkdir()
        self.env = {f"OVS_{kind}DIR": str(self.run) for kind in ("RUN", "LOG", "DB", "SYSCONF")}
        database = f"unix:{self.run}/db.sock"
        self.tool("ovsdb-tool", "create", str(self.run / "conf.db"), str(SCHEMA))
        self.database = Process("ovsdb-server", [
            "ovsdb-server", str(self.run / "conf.db"), f"--remote=p{database}", f"--unixctl={self.run}/db.ctl",
            "-vconsole:warn"], self.bench.work, self.env)
        wait_for("database", (self.run / "db.sock").exists, self.database)
        # OVS adds --in-memory unless told so, which --no-huge implies.
        extra = self.bench.eal("ovs", 2048) + ([] if self.bench.huge else ["--legacy-mem"])
        env = dict(self.env)
        if scenario.fill:
            extra += ["-d", str(self.bench.plugin)]
            env |= {"FILL_RECEIVE": "net_null0"} | scenario.fill
        self.tool("ovs-vsctl", "--no-wait", "init", "--", "set", "Open_vSwitch", ".",
                  "other_config:dpdk-init=true",
                  f"other_config:dpdk-lcore-mask={1 << self.bench.control:#x}",
                  f"other_config:pmd-cpu-mask={1 << self.bench.forward:#x}",
                  f'other_config:dpdk-extra="{" ".join(extra)}"')
        self.daemon = Process("ovs-vswitchd", [
            "unshare", "--net", "--", str(DAEMON), database, f"--unixctl={self.run}/vswitchd.ctl",
            "-vconsole:warn"], self.bench.work, env)
        wait_for("control socket", (self.run / "vswitchd.ctl").exists, self.daemon)
        self.add_ports(scenario)
        self.control = Rpc(self.run / "vswitchd.ctl", ends_with_newline=False)
        if scenario.guests:
            self.guests = GuestPorts(self.bench, scenario, [self.run / f"link{number}"
                                                            for number in range(1, len(scenario.links) + 1)])
            self.guests.start()

    def add_ports(self, scenario: Scenario) -> None:
        """The bridge, its ports and rules, at once."""
        wire, links = scenario.devices()
        words = ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev", "fail_mode=secure"]
        names = ["wire", *(f"link{number}" for number in range(1, len(links) + 1))]
        for number, (name, device) in enumerate(zip(names, [wire, *links]), WIRE):
            kind = ["type=dpdk", f'options:dpdk-devargs="{device}"'] if device else ["type=dpdkvhostuser"]
            words += ["--", "add-port", BRIDGE, name, "--", "set", "Interface", name,
                      *kind, f"ofport_request={number}"]
        self.tool("ovs-vsctl", "--timeout=60", *words)
        for name in names:
            error = self.tool("ovs-vsctl", "get", "Interface", name, "error")
            if error not in ("[]", '""'):
                raise Failed(f"port {name}: {error}\n{self.daemon.tail()}")
        rules = self.run / "rules"
        rules.write_text("\n".join(self.rules(scenario)) + "\n")
        self.tool("ovs-ofctl", "--bundle", "replace-flows", f"unix:{self.run}/{BRIDGE}.mgmt", str(rules))

    @staticmethod
    def rules(scenario: Scenario) -> list[str]:
        """What the links are for mvswitch, in OpenFlow."""
        everyone = ",".join(f"output:{number + 1}" for number in range(1, len(scenario.links) + 1))
        rules = [f"priority=1,in_port={number + 1},actions=output:{WIRE}"
                 for number in range(1, len(scenario.links) + 1)]
        rules += [f"priority=2,in_port={WIRE},dl_dst=ff:ff:ff:ff:ff:ff,actions={everyone}",
                  f"priority=1,in_port={WIRE},actions=drop"]
        rules += [f"priority=2,dl_dst={mac(number, address)},actions=output:{number + 1}"
                  for number in range(1, len(scenario.links) + 1) for address in range(scenario.addresses)]
        return rules

    def tool(self, *command: str) -> str:
        """Runs one of OVS' tools to its end."""
        if command[0] == "ovs-vsctl":
            command = (command[0], f"--db=unix:{self.run}/db.sock", *command[1:])
        with subprocess.Popen(command, env=os.environ | self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, start_new_session=True) as tool:
            # The tools wait for a daemon that may have ended.
            while tool.poll() is None:
                time.sleep(0.02)
                if self.daemon and self.daemon.child.poll() is not None:
                    tool.kill()
            said, complaint = tool.communicate()
        if tool.returncode != 0:
            raise Failed(f"{command[0]}: {(complaint or said).strip()[-600:]}\n"
                         f"{self.daemon.tail() if self.daemon else ''}")
        return said.strip()

    def sample(self) -> Sample:
        cycles, work = self.control.call(("dpif-netdev/pmd-stats-show", []), ("dpif-netdev/pmd-perf-show", []))

        def number(pattern: str, text: str) -> int:
            # Of the polling core; the text goes on with the main thread.
            found = re.search(rf"pmd thread [^\n]*core_id {self.bench.forward}:.*?{pattern}:\s*(\d+)", text, re.DOTALL)
            return int(found[1]) if found else 0

        return Sample(
            ticks=number("processing cycles", cycles),
            received=number("packets received", cycles),
            sent=number("Tx packets", work),
            batches=number("Tx batches", work),
            # A flow that its caches do not know goes through the OpenFlow rules.
            unsettled=number("miss with success upcall", cycles) + number("miss with failed upcall", cycles),
        )

    @property
    def pid(self) -> int:
        return self.daemon.child.pid

    def stop(self) -> None:
        if self.guests:
            self.guests.quit()
        self.control.call(("exit", ["--cleanup"]))
        self.control.close()
        self.daemon.end(by=None)
        self.database.end()
