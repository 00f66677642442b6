"""The grid of runs: what is done, what is missing, and in which order that is done."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.experiments.config import Run
from pdegcnn_lib.companion.experiments.provenance import code_fingerprint
from pdegcnn_lib.companion.experiments.registry import EXPERIMENTS, Experiment, key
from pdegcnn_lib.companion.experiments.run import committed_results, read_result, result_path, run
from pdegcnn_lib.companion.experiments.search import Scores, network_of, scores_of


def committed_path(unit: Run) -> Path:
    """Where the result of a run lies among those that are committed."""
    return paths.results() / f"{unit.stem}.json"


def find(unit: Run) -> Path | None:
    """The result of a run, committed or made on this machine; None when it is missing."""
    for path in (committed_path(unit), result_path(unit)):
        if path.is_file():
            return path
    return None


def obtain(unit: Run) -> dict[str, Any]:
    """The result of a run: the committed one where there is one, otherwise that of `run`, which trains if it has to."""
    path = committed_path(unit)
    return read_result(path) if path.is_file() else run(unit)


def diverged_path(unit: Run) -> Path:
    """Where it is recorded that a run diverged."""
    return paths.results() / f"{unit.stem}.diverged.json"


def end_of(unit: Run) -> Path | None:
    """What is left of a run that came to an end: a committed result, the record that it diverged, or its result here.

    What other code has made here is nobody's result but the reader's.
    """
    for path in (committed_path(unit), diverged_path(unit)):
        if path.is_file():
            return path
    made = result_path(unit)
    with suppress(DataError):  # a damaged one is none
        if made.is_file() and read_result(made).get("code") == code_fingerprint():
            return made
    return None


def known(unit: Run) -> bool:
    """Whether a run came to an end, be it that it diverged."""
    return end_of(unit) is not None


def record(unit: Run) -> dict[str, Any]:
    """The result of a run that came to an end; one that diverged has no metrics."""
    return read_result(end_of(unit) or committed_path(unit))


def missing(experiment: Experiment, profile: str) -> list[Run]:
    """The runs of a profile that have no result yet, first seeds first; of a search those that it asks for next.

    A run that diverged is not missing: it would do so again.
    """
    units = experiment.units(profile)
    left = [u for u in units if not known(u)]
    return left if experiment.search is None else _asked(experiment, units, left)


def _asked(experiment: Experiment, units: list[Run], left: list[Run]) -> list[Run]:
    assert experiment.search is not None
    wanted = {
        (network, *run)
        for network, (tried, first) in searched(experiment, units).items()
        for run in experiment.search.next(tried, first)
    }
    return [u for u in left if (network_of(u.config), u.training.steps, u.training.learning_rate) in wanted]


def searched(experiment: Experiment, units: list[Run] | None = None) -> dict[str, tuple[Scores, float]]:
    """For each network of a search the scores by (steps, rate) that it has, and the rate that it begins with."""
    assert experiment.search is not None
    units = experiment.units("long") if units is None else units
    scores = scores_of([record(unit) for unit in units if known(unit)], experiment.score)
    rates = experiment.search.rates
    models = {network_of(unit.config): unit.model for unit in units}
    return {name: (scores.get(name, {}), rates[key(name, model, rates)]) for name, model in models.items()}


def doublings(experiment: Experiment) -> list[dict[str, Any]]:
    """The committed results of a search that doubled the steps, all at the rate that their network begins with."""
    search = experiment.search
    assert search is not None

    def doubled(result: dict[str, Any]) -> bool:
        first = search.rates[key(network_of(result), result["model"], search.rates)]
        return result["training"]["steps"] in search.lengths and result["training"]["learning_rate"] == first

    return list(filter(doubled, committed_results(experiment.name, "long")))


def status(experiment: Experiment, profile: str) -> dict[str, object]:
    """How far a profile of an experiment is, as plain values."""
    left, units = missing(experiment, profile), experiment.units(profile)
    diverged = [unit for unit in units if end_of(unit) == diverged_path(unit)]
    done = sum(known(unit) for unit in units) - len(diverged)
    return {
        "experiment": experiment.name,
        "profile": profile,
        "summary": experiment.summary,
        "runs": done + len(diverged) + len(left),
        "done": done,
        "missing": [{"model": unit.variant, "seed": unit.seed} for unit in left],
        "diverged": [{"model": unit.variant, "seed": unit.seed} for unit in diverged],
    }


# What the comparison stands on comes first, as (experiment, variant or None for all); the rest follows as it is listed.
FIRST = (
    ("vessels", "vessels-pdegcnn12"),
    ("vessels", "vessels-unet"),
    ("vessels", "vessels-cnn6-narrow"),
    ("vessels", "vessels-pdegcnn6"),
    ("vessels", "vessels-gcnn6-narrow"),
    ("digits-rotated", "digits-lenet5"),
    ("digits-rotated", "digits-pdegcnn-invariant"),
    ("vessels", "vessels-cnn12-narrow"),
    ("vessels", "vessels-gcnn12-narrow"),
    ("digits-rotated", None),
    ("digits-rotated-12k", None),
    ("vessels", None),
)


def urgency(unit: Run) -> tuple[int, int, int]:
    """The place of a run in the order of the grid: first seeds, then those up to three, then those up to five.

    Within them the searches, which the settings of the others come from, and then the runs of `FIRST`.
    """
    if unit.experiment.endswith("-search"):
        return 0, -1, 0
    places = (
        n for n, run in enumerate(FIRST) if run in ((unit.experiment, unit.variant), (unit.experiment, None))
    )
    return (unit.seed + 1) // 2, next(places, len(FIRST)), unit.seed


def numbered(profile: str) -> list[Run]:
    """Every run that a profile may ask for, of all experiments: the place of a run in this list is its number.

    What is done already does not move a number; another list of experiments or variants does.
    """
    return [unit for experiment in EXPERIMENTS.values() for unit in experiment.units(profile)]


def numbered_unit(number: int, profile: str) -> Run:
    """The run of this number; ValueError for a number beyond the grid."""
    units = numbered(profile)
    if not 0 <= number < len(units):
        raise ValueError(f"unit must be 0 to {len(units) - 1} in the profile {profile}, got {number}")
    return units[number]


def listed(experiments: Sequence[Experiment], profile: str) -> list[dict[str, object]]:
    """The missing runs of experiments with their numbers, as plain values."""
    asked = {unit.stem for experiment in experiments for unit in missing(experiment, profile)}
    return [
        {
            "number": number,
            "experiment": unit.experiment,
            "variant": unit.variant,
            "model": unit.model,
            "seed": unit.seed,
            "profile": unit.profile,
            "digest": unit.digest,
        }
        for number, unit in enumerate(numbered(profile))
        if unit.stem in asked
    ]
