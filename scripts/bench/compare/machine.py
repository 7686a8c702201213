"""What the programs share: cores, pages, the plugin, a directory; and facts about the machine."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""Of the repository."""

HUGE_PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")


MEGABYTES = 512
"""Memory of a program, unless it takes more."""


@dataclass(frozen=True)
class Bench:
    """Where and with what the programs run."""

    work: Path
    """A directory of this run, for sockets and configs."""
    mvswitch: Path
    """The binary."""
    plugin: Path
    """fill.c, built."""
    control: int
    """The core of control threads, of guests and of this harness."""
    forward: int
    """The core that forwards."""
    second: int
    """The second forwarding core, of the one scenario that has two; it may be that of control."""
    huge: bool
    """Pages of 2 MiB for all programs; else of 4 KiB."""

    def pages(self, megabytes: int = MEGABYTES) -> list[str]:
        """EAL's arguments for memory: shared with guests, and gone with the process."""
        kind = ["--in-memory", "--single-file-segments"] if self.huge else ["--no-huge", "--no-shconf"]
        return [*kind, "-m", str(megabytes)]

    def eal(self, name: str, megabytes: int = MEGABYTES) -> list[str]:
        """EAL's arguments for a program beside mvswitch, which has its own."""
        return [*self.pages(megabytes), "--no-pci", "--no-telemetry", "--iova-mode=va",
                "--file-prefix", f"bench-{os.getpid()}-{name}"]


def huge_pages_are_free() -> bool:
    """Enough of them for the largest program and its guests."""
    try:
        return int(HUGE_PAGES.read_text()) >= 1280
    except OSError:
        return False


def build_plugin(plugin: Path) -> None:
    """EAL takes no plugin from below a directory that others may write to, such as /tmp."""
    flags = output("pkg-config", "--cflags", "libdpdk").split()
    plugin.parent.mkdir(exist_ok=True)
    subprocess.run(["gcc", "-O3", "-Wall", "-Wextra", "-shared", "-fPIC", *flags,
                    str(Path(__file__).parents[1] / "fill.c"), "-o", str(plugin), "-lm"], check=True)


def output(*command: str) -> str:
    """What a command prints; empty if it cannot run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def facts(bench: Bench) -> dict[str, object]:
    """The machine, for whoever reads the figures later."""
    cpus = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpus, re.MULTILINE)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "core_control": bench.control,
        "core_forward": bench.forward,
        "kernel": platform.release(),
        "dpdk": output("pkg-config", "--modversion", "libdpdk"),
        "pages": "2 MiB" if bench.huge else "4 KiB",
        "commit": output("git", "rev-parse", "--short=12", "HEAD") or "unknown",
        "changed": bool(output("git", "status", "--porcelain", "--untracked-files=no")),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def preempted(pid: int, core: int) -> int:
    """How often somebody else got the core of those threads of a process that are pinned to it."""
    times = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            continue
        if fields["Cpus_allowed_list"].strip() == str(core):
            times += int(fields["nonvoluntary_ctxt_switches"])
    return times


def steal() -> int:
    """Hundredths of seconds that the hypervisor took from all cores since boot."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) if len(fields) > 8 else 0
