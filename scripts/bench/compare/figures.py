"""What follows from the windows: medians, near and far, ratios, goals. Pure functions of what was measured."""

from __future__ import annotations

from statistics import median

from .scenarios import BY_NAME, Goal, Scenario

NEAR = 1.15
"""A window is near if it costs at most so many times the 5th percentile of its program's windows."""


def cost(scenario: Scenario, window: dict) -> float | None:
    """TSC ticks per frame; None for a window without frames."""
    frames = window[scenario.counts]
    return window["ticks"] / frames if frames > 0 else None


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them are below, by nearest rank."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def kept(scenario: Scenario, runs: list[dict]) -> dict[int, list[dict]]:
    """The windows that count, by round: all with frames; of a scenario that crosses the cores the near ones."""
    limit = float("inf")
    costs = [value for run in runs for window in run["windows"] if (value := cost(scenario, window)) is not None]
    if scenario.crosses_cores and costs:
        limit = NEAR * percentile(costs, 0.05)
    return {run["round"]: [window for window in run["windows"]
                           if (value := cost(scenario, window)) is not None and value <= limit] for run in runs}


def column(scenario: Scenario, runs: list[dict]) -> dict | None:
    """A program's figures in a scenario; None if it has none."""
    by_round = kept(scenario, runs)
    windows = [window for windows in by_round.values() for window in windows]
    rounds = {number: median(cost(scenario, window) for window in windows)
              for number, windows in by_round.items() if windows}
    if not rounds:
        return None
    total = sum(len(run["windows"]) for run in runs)
    figures = {
        "cycles": median(rounds.values()), "cycles_min": min(rounds.values()), "cycles_max": max(rounds.values()),
        "cycles_by_round": {str(number): value for number, value in rounds.items()},
        "mpps": median(window[scenario.counts] / window["seconds"] / 1e6 for window in windows),
        "windows": total, "left_out": total - len(windows),
        "preempted": sum(window["preempted"] for window in windows) / sum(window["seconds"] for window in windows),
        "stolen_max": max(run["stolen"] for run in runs),
    }
    batches = sum(window.get("batches", 0) for window in windows)
    if batches:
        figures["per_batch"] = sum(window["sent"] for window in windows) / batches
    if scenario.counts == "guest":
        figures["lost"] = 1 - sum(it["guest"] for it in windows) / sum(it["received"] for it in windows)
    return figures


def ratio(upper: dict | None, lower: dict | None) -> dict | None:
    """Of two columns' cycles, round by round, as far as both have the round."""
    if not upper or not lower:
        return None
    above, below = upper["cycles_by_round"], lower["cycles_by_round"]
    values = [above[number] / below[number] for number in above if number in below]
    if not values:
        return None
    return {"median": median(values), "min": min(values), "max": max(values), "rounds": values}


def judge(scenario: Scenario, goal: Goal, columns: dict[str, dict[str, dict | None]]) -> dict:
    """What became of a goal."""
    ours = columns[scenario.name].get("mvswitch")
    if goal.than.lower() in BY_NAME:
        value = ratio(ours, columns.get(goal.than, {}).get("mvswitch"))
    else:
        theirs = columns[scenario.name].get(goal.than)
        value = ratio(theirs, ours) if goal.times_faster else ratio(ours, theirs)
    entry = {"than": goal.than, "times_faster": goal.times_faster, "must": goal.must, "aim": goal.aim, "ratio": value}

    def reached(bound: float | None) -> bool:
        return bound is None or (value["median"] >= bound if goal.times_faster else value["median"] <= bound)

    if value is None:
        return entry | {"verdict": "not measured"}
    if not reached(goal.must):
        return entry | {"verdict": "MISSED"}
    return entry | {"verdict": "aim" if reached(goal.aim) else "must" if goal.must is not None else "below aim"}


def tsc_mhz(runs: dict[str, list[dict]]) -> float | None:
    """The rate of the counter that all cycles are counted with."""
    rates = [window["clock"] / window["seconds"] / 1e6
             for group in runs.values() for run in group for window in run["windows"] if "clock" in window]
    return round(median(rates), 1) if rates else None


def conclude(scenarios: list[Scenario], runs: dict[str, list[dict]]) -> list[dict]:
    """Everything that is reported, scenario by scenario."""
    columns = {}
    for scenario in scenarios:
        programs = list(dict.fromkeys(run["program"] for run in runs[scenario.name]))
        columns[scenario.name] = {program: column(scenario, [run for run in runs[scenario.name]
                                                             if run["program"] == program]) for program in programs}
    return [{
        "name": scenario.name, "title": scenario.title, "counts": scenario.counts,
        "crosses_cores": scenario.crosses_cores, "without": scenario.without,
        "columns": columns[scenario.name],
        "ratios": {
            "mvswitch/testpmd": ratio(columns[scenario.name].get("mvswitch"), columns[scenario.name].get("testpmd")),
            "ovs/mvswitch": ratio(columns[scenario.name].get("ovs"), columns[scenario.name].get("mvswitch")),
        },
        "goals": [judge(scenario, goal, columns) for goal in scenario.goals],
        "runs": runs[scenario.name],
    } for scenario in scenarios]
