"""What the grid costs in core hours, from the seconds that committed results recorded, and how long it takes on many
cores.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

from pdegcnn_lib.companion.experiments.config import PROFILES, Run
from pdegcnn_lib.companion.experiments.grid import urgency
from pdegcnn_lib.companion.experiments.provenance import threads
from pdegcnn_lib.companion.experiments.registry import EXPERIMENTS
from pdegcnn_lib.companion.experiments.run import committed_results
from pdegcnn_lib.companion.viz.tables import markdown_table


def recorded() -> list[dict[str, Any]]:
    """Every committed result that an experiment asks for and that ran on one core throughout."""
    every = (
        record for name in EXPERIMENTS for profile in PROFILES for record in committed_results(name, profile)
    )
    return [r for r in every if all(threads(place["device"]) == 1 for place in r.get("places", [r]))]


def seconds(units: Sequence[Run], results: Sequence[dict[str, Any]]) -> list[float | None]:
    """How long each run takes, by results of its network: the seconds of a step times its steps, and the evaluation.

    They are the medians of the network in the experiment of the run, where there are none of it in any experiment;
    None where no result is of that network.
    """
    steps, rest = defaultdict(list), defaultdict(list)
    for result in results:
        for key in ((result["experiment"], result["model"]), result["model"]):
            steps[key].append(result["training_seconds"] / result["training"]["steps"])
            # Of a run that was resumed older results hold the seconds of its last process only.
            rest[key].append(max(0.0, result["wall_seconds"] - result["training_seconds"]))
    found: list[float | None] = []
    for unit in units:
        keys = [key for key in ((unit.experiment, unit.model), unit.model) if key in steps]
        found.append(unit.training.steps * median(steps[keys[0]]) + median(rest[keys[0]]) if keys else None)
    return found


def table(profiles: Sequence[str], at_a_time: Sequence[int]) -> str:
    """Core hours of profiles, their longest runs and the hours that so many tasks at a time take, in Markdown.

    The runs begin in the order of the grid. Searches are left out, as their runs depend on what they find.
    """
    results = recorded()
    heads = ["profile", "runs", "core hours", "longest run", *(f"{n} at a time" for n in at_a_time)]
    rows = []
    plain = [experiment for experiment in EXPERIMENTS.values() if experiment.search is None]
    for profile in profiles:
        units = sorted((unit for e in plain for unit in e.units(profile)), key=urgency)
        known = [s for s in seconds(units, results) if s is not None]
        hours = [sum(known), max(known, default=0.0), *(elapsed(known, n) for n in at_a_time)]
        rows.append([profile, f"{len(known)} of {len(units)}", *(f"{s / 3600:.1f} h" for s in hours)])
    return markdown_table(heads, rows)


def elapsed(seconds: Sequence[float], tasks: int) -> float:
    """How long runs take that are begun in this order, each when one of so many tasks is free.

    Raises: ValueError for fewer than one task.
    """
    if tasks < 1:
        raise ValueError(f"tasks must be at least 1, got {tasks}")
    free = [0.0] * tasks
    for run in seconds:
        heapq.heapreplace(free, free[0] + run)
    return max(free)
