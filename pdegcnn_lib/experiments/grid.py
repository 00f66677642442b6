"""The grid of runs: what is done, what is missing."""

from __future__ import annotations

from pathlib import Path

from pdegcnn_lib import paths
from pdegcnn_lib.experiments.config import Unit
from pdegcnn_lib.experiments.registry import Experiment
from pdegcnn_lib.experiments.run import result_path, run


def find(unit: Unit) -> Path | None:
    """The result of a run, committed or made on this machine; None when it is missing."""
    for path in (paths.results() / f"{unit.stem}.json", result_path(unit)):
        if path.is_file():
            return path
    return None


def missing(experiment: Experiment, profile: str) -> list[Unit]:
    """The runs of a profile that have no result yet, first seeds first."""
    return [unit for unit in experiment.units(profile) if find(unit) is None]


def status(experiment: Experiment, profile: str) -> dict[str, object]:
    """How far a profile of an experiment is, as plain values."""
    left = missing(experiment, profile)
    runs = len(experiment.units(profile))
    return {
        "experiment": experiment.name,
        "profile": profile,
        "summary": experiment.summary,
        "runs": runs,
        "done": runs - len(left),
        "missing": [{"model": unit.model, "seed": unit.seed} for unit in left],
    }


def work_off(experiment: Experiment, profile: str) -> None:
    """Do every missing run and keep its result among those to commit."""
    for unit in missing(experiment, profile):
        run(unit, out=paths.results() / f"{unit.stem}.json")
