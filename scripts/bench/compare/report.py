"""The results as a table: on the terminal, and in Markdown for docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path

TITLES = {"mvswitch": "mvswitch", "testpmd": "testpmd io", "ovs": "OVS-DPDK"}
BEGIN, END = "<!-- figures: written by compare.sh --markdown -->", "<!-- end of figures -->"

HEAD = ["scenario", "mvswitch", "Mpps", "per batch", "testpmd io", "OVS-DPDK", "per batch",
        "mvswitch : testpmd", "OVS : mvswitch", "goals", "left out"]


def number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def spread(ratio: dict | None) -> str:
    return f"{ratio['median']:.2f} [{ratio['min']:.2f}–{ratio['max']:.2f}]" if ratio else "–"


def goals(scenario: dict) -> str:
    """What was to be reached, and whether it was."""
    said = []
    for goal in scenario["goals"]:
        sign = "≥" if goal["times_faster"] else "≤"
        bounds = " ".join(f"{word} {sign} {goal[word]:g}" for word in ("must", "aim") if goal[word] is not None)
        whom = TITLES.get(goal["than"], f"{spread(goal['ratio'])} of {goal['than']}")
        said.append(f"{whom}: {bounds}: {goal['verdict']}")
    return "; ".join(said)


def row(scenario: dict) -> list[str]:
    columns = scenario["columns"]
    ours, theirs, ovs = (columns.get(name) or {} for name in TITLES)
    lost = f", {ours['lost']:.0%} lost" if ours.get("lost", 0) >= 0.005 else ""
    left_out = " ".join(f"{column['left_out']}/{column['windows']}" if column else "all"
                        for column in columns.values()) if scenario["crosses_cores"] else ""
    return [scenario["name"], number(ours.get("cycles")), number(ours.get("mpps"), 2) + lost,
            number(ours.get("per_batch")), number(theirs.get("cycles")), number(ovs.get("cycles")),
            number(ovs.get("per_batch")), spread(scenario["ratios"]["mvswitch/testpmd"]),
            spread(scenario["ratios"]["ovs/mvswitch"]), goals(scenario), left_out]


def table(results: dict) -> str:
    """For a terminal."""
    rows = [HEAD, *(row(scenario) for scenario in results["scenarios"])]
    widths = [max(len(cells[place]) for cells in rows) for place in range(len(HEAD))]

    def line(cells: list[str]) -> str:
        padded = (cell.ljust(width) if place in (0, 9, 10) else cell.rjust(width)
                  for place, (cell, width) in enumerate(zip(cells, widths)))
        return "  ".join(padded).rstrip()

    return "\n".join([*map(line, rows), *notes(results)])


def notes(results: dict) -> list[str]:
    """What the table does not say by itself."""
    said = ["TSC ticks per frame of turns that moved frames; ratios are medians over rounds [min–max]."]
    stolen = [column["stolen_max"] for scenario in results["scenarios"]
              for column in scenario["columns"].values() if column]
    preempted = [column["preempted"] for scenario in results["scenarios"]
                 for column in scenario["columns"].values() if column]
    if max(preempted, default=0) > 5:
        said.append(f"NOT QUIET: others got the forwarding core up to {max(preempted):.0f} times a second.")
    if max(stolen, default=0) > 0.01:
        said.append(f"The hypervisor took up to {max(stolen):.1%} of the cores' time during a run.")
    said += [f"{TITLES[name]} is left out: {why}." for name, why in results["left_out"].items()]
    missed = [scenario["name"] for scenario in results["scenarios"]
              if any(goal["verdict"] == "MISSED" for goal in scenario["goals"])]
    if missed:
        said.append(f"MISSED what must be reached: {', '.join(missed)}.")
    said += [f"FAILED: {failure}" for failure in results["failures"]]
    return said + results["remarks"]


def machine(results: dict) -> str:
    """One line about where and when."""
    facts, versions = results["machine"], results["programs"]
    changed = " with changes" if facts["changed"] else ""
    programs = ", ".join(f"{TITLES[name]} {version}" for name, version in versions.items())
    return (f"{facts['date']}, commit {facts['commit']}{changed}; {facts['cpu']}, {facts['cores']} cores, "
            f"TSC {number(facts['tsc_mhz'], 0)} MHz, "
            f"Linux {facts['kernel']}, DPDK {facts['dpdk']}, pages of {facts['pages']}; {programs}; "
            f"{results['rounds']} rounds of {results['windows']} windows of {results['window_seconds']:g} s.")


def markdown(results: dict, picture: str | None) -> str:
    """For docs: table, machine, command."""
    lines = [machine(results), "", "```console", f"$ {results['command']}", "```", ""]
    lines += ["| " + " | ".join(HEAD) + " |", "|---" + "|--:" * (len(HEAD) - 3) + "|---|---|"]
    lines += ["| " + " | ".join(row(scenario)) + " |" for scenario in results["scenarios"]]
    lines += ["", *(note + "  " for note in notes(results))]
    if picture:
        lines += ["", f"![cycles per frame, as multiples of mvswitch's]({picture})"]
    return "\n".join(lines) + "\n"


def write_markdown(file: Path, text: str) -> None:
    """Between the marks of `file`, if it has them; else `file` is the table alone."""
    if file.exists():
        old = file.read_text()
        if BEGIN in old and END in old:
            text = f"{old.split(BEGIN)[0]}{BEGIN}\n\n{text}\n{END}{old.split(END, 1)[1]}"
    file.write_text(text)
