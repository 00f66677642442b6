"""The grid of runs: what is done, what is missing, and the command that does what is missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.experiments.config import Unit
from pdegcnn_lib.companion.experiments.registry import Experiment
from pdegcnn_lib.companion.experiments.run import result_path, run


def committed_path(unit: Unit) -> Path:
    """Where the result of a run lies among those that are committed."""
    return paths.results() / f"{unit.stem}.json"


def find(unit: Unit) -> Path | None:
    """The result of a run, committed or made on this machine; None when it is missing."""
    for path in (committed_path(unit), result_path(unit)):
        if path.is_file():
            return path
    return None


def obtain(unit: Unit) -> dict[str, Any]:
    """The result of a run: the committed one where there is one, otherwise that of `run`, which trains if it has to."""
    path = committed_path(unit)
    return json.loads(path.read_text()) if path.is_file() else run(unit)


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
        "missing": [{"model": unit.variant, "seed": unit.seed} for unit in left],
    }


def work_off(
    experiments: Iterable[Experiment],
    profile: str,
    *,
    minutes: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Do every missing run, the first seeds of all experiments first, and keep the results among those to commit.

    Several processes may work side by side: each run is locked while it is done, and a lock ends with its process.
    After `minutes` no further run is begun. An experiment whose data are not here is left out, with a word through
    `say`.
    """
    from filelock import FileLock, Timeout

    end = None if minutes is None else time.monotonic() + 60 * minutes
    units = sorted((u for e in experiments for u in missing(e, profile)), key=lambda u: u.seed)
    without_data: set[str] = set()
    for unit in units:
        if end is not None and time.monotonic() > end:
            say(f"stopped after {minutes:g} minutes; the next call goes on")
            return
        if unit.experiment in without_data:
            continue
        lock = paths.runs() / f"{unit.stem}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=0):
                if find(unit) is None:
                    run(unit, out=committed_path(unit))
                    say(f"{unit.experiment} {unit.variant} seed {unit.seed}: done")
        except Timeout:
            continue  # another process is at it
        except DataError as error:
            without_data.add(unit.experiment)
            say(f"{unit.experiment} is left out: {error}")
        except FloatingPointError as error:
            say(f"{unit.experiment} {unit.variant} seed {unit.seed}: {error}")
