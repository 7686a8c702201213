"""The command line."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from . import figures, machine, picture, report
from .process import Failed
from .runner import PROGRAMS, Method, Runner
from .scenarios import SCENARIOS, choose

USAGE = "scripts/bench/compare.sh [SCENARIO]... [--pairs N] [--windows N] [--json FILE] [--svg FILE] [--markdown FILE]"


def arguments() -> argparse.Namespace:
    known = "\n".join(f"  {it.name:<10} {it.title}" for it in SCENARIOS)
    parser = argparse.ArgumentParser(
        prog="compare.sh", usage=USAGE, epilog=f"scenarios:\n{known}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="mvswitch beside testpmd and OVS-DPDK: same frames, same core, in turn.")

    def count(text: str) -> int:
        value = int(text)
        if value < 1:
            raise argparse.ArgumentTypeError("at least 1")
        return value

    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="those measured; all unless given")
    parser.add_argument("--pairs", type=count, default=5, metavar="N", help="rounds (5)")
    parser.add_argument("--windows", type=count, default=7, metavar="N", help="windows of a run (7)")
    parser.add_argument("--seconds", type=float, default=0.3, metavar="S", help="length of a window (0.3)")
    parser.add_argument("--cores", default="0,1", metavar="CONTROL,FORWARD[,SECOND]",
                        help="for control threads and guests; for the program's one worker; for mvswitch's second "
                             "worker, which is else on the first (0,1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes everything that was measured")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="writes a picture of the ratios")
    parser.add_argument("--markdown", type=Path, metavar="FILE",
                        help="writes the table: between the marks of FILE, if it has them")
    parser.add_argument("--from", type=Path, metavar="FILE", dest="source",
                        help="measures nothing: reports what --json has written")
    return parser.parse_args()


def measure(wanted: argparse.Namespace, work: Path) -> dict:
    """Runs it all. Raises Failed."""
    try:
        scenarios = choose(wanted.scenarios)
    except KeyError as error:
        raise Failed(f"there is no scenario {error.args[0]}; scripts/bench/compare.sh --help lists them") from None
    cores = [int(core) for core in wanted.cores.split(",")]
    if not 2 <= len(cores) <= 3 or cores[0] == cores[1] or not set(cores) <= set(os.sched_getaffinity(0)):
        raise Failed(f"--cores {wanted.cores}: name two different cores of this machine, and a third if you like")
    plugin = machine.ROOT / "target" / "fill.so"
    machine.build_plugin(plugin)
    control, forward, *second = cores
    bench = machine.Bench(work, Path(os.environ["MVSWITCH"]).absolute(), plugin, control, forward,
                          second[0] if second else control, machine.huge_pages_are_free())
    left_out = {program.name: why for program in PROGRAMS if (why := program.missing(bench))}
    for name, why in left_out.items():
        print(f"{report.TITLES[name]} is left out: {why}", file=sys.stderr)
    if "mvswitch" in left_out:
        raise Failed("there is nothing to compare with")
    present = [program for program in PROGRAMS if program.name not in left_out]
    versions = {program.name: program.version(bench) for program in present}
    facts = machine.facts(bench)
    # Off the core that forwards; children inherit it, until DPDK pins their threads.
    os.sched_setaffinity(0, {bench.control})
    remarks = []
    if not second:
        remarks += [f"{it.name}: the second worker shares its core with the control thread and the harness, which mostly "
                    "sleep; --cores names a third." for it in scenarios if it.workers > 1]
    runner = Runner(bench, Method(wanted.pairs, wanted.windows, wanted.seconds), present)
    runs = runner.run(scenarios)
    return {
        "format": 1,
        "command": shlex.join(["scripts/bench/compare.sh", *sys.argv[1:]]),
        "machine": facts | {"tsc_mhz": figures.tsc_mhz(runs)},
        "programs": versions, "left_out": left_out,
        "remarks": remarks + runner.remarks, "failures": runner.failures,
        "rounds": wanted.pairs, "windows": wanted.windows, "window_seconds": wanted.seconds,
        "scenarios": figures.conclude(scenarios, runs),
    }


def main() -> int:
    wanted = arguments()
    # Also where whoever started this ignores Ctrl-C: everything that runs is ended on the way out.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        if wanted.source:
            results = json.loads(wanted.source.read_text())
        else:
            with tempfile.TemporaryDirectory(prefix="mvbench-") as work:
                results = measure(wanted, Path(work))
        if wanted.json:
            wanted.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        if wanted.svg:
            wanted.svg.write_text(picture.svg(results, report.machine(results)))
        if wanted.markdown:
            where = wanted.svg and os.path.relpath(wanted.svg, wanted.markdown.parent)
            report.write_markdown(wanted.markdown, report.markdown(results, where))
    except KeyboardInterrupt:
        return 130
    except (Failed, OSError, ValueError) as error:
        print(f"compare.sh: {error}", file=sys.stderr)
        return 1
    print(report.machine(results), report.table(results), sep="\n\n")
    return 1 if results["failures"] else 0


sys.exit(main())
