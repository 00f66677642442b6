"""The work of the grid: one run, or every run that is missing, into `results/`, whatever kills and faults leave."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.experiments.config import Run
from pdegcnn_lib.companion.experiments.grid import (
    committed_path,
    diverged_path,
    end_of,
    known,
    missing,
    urgency,
)
from pdegcnn_lib.companion.experiments.provenance import provenance
from pdegcnn_lib.companion.experiments.registry import EXPERIMENTS, Experiment
from pdegcnn_lib.companion.experiments.run import (
    checkpoint_path,
    default_device,
    drop_checkpoint,
    read_result,
    result_path,
    run,
    weights_path,
)


def _damage(result: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        read_result(result)
        if weights_path(result).is_file():
            with safe_open(weights_path(result), "pt"):
                return None
    except DataError as error:
        return str(error)
    except SafetensorError as error:
        return f"{weights_path(result)} is damaged: {error}"
    return None


def set_aside_damaged(units: Sequence[Run], say: Callable[[str], None] = lambda line: None) -> None:
    """Give results that cannot be read, or whose weights cannot, other names, so that their runs are done again."""
    for unit in units:
        for result in (committed_path(unit), result_path(unit), diverged_path(unit)):
            with suppress(FileNotFoundError):  # another process sets it aside
                if not result.is_file() or (damage := _damage(result)) is None:
                    continue
                for part in (result, weights_path(result)):
                    if part.is_file():
                        paths.set_aside(part)
                say(f"{damage}; it is set aside as {result.name}.damaged")


def clear_away(units: Sequence[Run], say: Callable[[str], None] = lambda line: None) -> None:
    """Clear away what kills left of runs: damaged results, checkpoints of runs that came to an end, parts of files.

    A checkpoint younger than the end stays: somebody does that run once more, as `pdegcnn train` is asked to. A result
    that is checked out later counts as younger.
    """
    set_aside_damaged(units, say)
    for unit in units:
        end = end_of(unit)
        if end is None:
            continue
        with suppress(FileNotFoundError):  # another process may clear away the same
            if checkpoint_path(unit).stat().st_mtime > end.stat().st_mtime:
                continue
        drop_checkpoint(unit)  # it was killed between its last file and the end of its checkpoint
    for folder in {path(unit).parent for unit in units for path in (committed_path, checkpoint_path)}:
        paths.drop_parts(folder)


def _makes(task: Callable[..., object]) -> object:
    return (task.func, task.args, task.keywords) if isinstance(task, partial) else task


def twin(unit: Run) -> Run | None:
    """A run with a committed result that differs from this one by name alone, and so has the same numbers.

    Experiments overlap: what a search comes to may be what another has tried as a number of steps that is set.
    """
    ours = EXPERIMENTS.get(unit.experiment)
    if ours is None:  # it is not on the list, as one that is handed to `work_off` need not be
        return None
    alike = [e for e in EXPERIMENTS.values() if _makes(e.task) == _makes(ours.task)]
    for other in (other for e in alike for other in e.units(unit.profile)):
        path = committed_path(other)
        if other == unit or replace(other, experiment=unit.experiment, variant=unit.variant) != unit:
            continue
        if (
            path.is_file()
            and _damage(path) is None
            and (weights_path(path).is_file() or not ours.keep_weights)
        ):
            return other
    return None


def _take_over(unit: Run, other: Run) -> None:
    theirs, ours = committed_path(other), committed_path(unit)
    record = {**read_result(theirs), "digest": unit.digest, **unit.config, "run_as": other.stem}
    if EXPERIMENTS[unit.experiment].keep_weights:
        paths.write_atomically(weights_path(ours), weights_path(theirs).read_bytes())
    paths.write_atomically(ours, json.dumps(record, indent=1) + "\n")


def keep(units: Sequence[Run]) -> None:
    """Put the results that this machine has made, with this code, among those to commit."""
    for unit in units:
        made, kept = result_path(unit), committed_path(unit)
        if end_of(unit) != made:
            continue
        if weights_path(made).is_file():
            paths.write_atomically(weights_path(kept), weights_path(made).read_bytes())
        paths.write_atomically(kept, made.read_bytes())


def do(unit: Run, say: Callable[[str], None] = lambda line: None) -> None:
    """Do one run, unless it came to an end before, and keep its result among those to commit.

    The result of its `twin` is taken over, with the name of the run that it comes from. A run that diverges is
    recorded. Nothing is locked here: files are put in their places whole, and the same run done twice at a time leaves
    the same numbers.
    Raises: DataError without the data.
    """
    clear_away([unit], say)
    if known(unit):
        keep([unit])
        say(f"{unit.name}: done before")
        return
    if (other := twin(unit)) is not None:
        _take_over(unit, other)
        drop_checkpoint(unit)
        say(f"{unit.name}: done as {other.name}")
        return
    try:
        run(unit, out=committed_path(unit))
        say(f"{unit.name}: done")
    except FloatingPointError as error:
        end_of_run = {"digest": unit.digest, **unit.config, "metrics": {}, "diverged": str(error)}
        end_of_run |= provenance(default_device())
        paths.write_atomically(diverged_path(unit), json.dumps(end_of_run, indent=1) + "\n")
        drop_checkpoint(unit)
        say(f"{unit.name}: {error}")


def work_off(
    experiments: Sequence[Experiment],
    profile: str,
    *,
    minutes: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Do every missing run in the order of `urgency`, and keep the results among those to commit.

    A run that fails, other than for want of data, is named and passed over: the next call tries it again.

    Several processes may work side by side: each run is locked while it is done, and a lock ends with its process.
    After `minutes` no further run is begun. An experiment whose data are not here is left out, with a word through
    `say`. Raises: RuntimeError at the end where a run failed, ImportError and OSError at once.
    """
    from filelock import FileLock, Timeout

    if minutes is not None and not minutes >= 0:
        raise ValueError(f"minutes must be at least 0, got {minutes}")
    end = None if minutes is None else time.monotonic() + 60 * minutes
    without_data: set[str] = set()
    passed_over: set[str] = set()
    failed: list[Exception] = []
    asked = [unit for e in experiments for unit in e.units(profile)]
    clear_away(asked, say)
    keep(asked)
    while True:
        # A search asks for its next run when it has the result of the last: what is missing is found out every time.
        units = [u for e in experiments if e.name not in without_data for u in missing(e, profile)]
        unit = min((u for u in units if u.stem not in passed_over), key=urgency, default=None)
        if unit is None:
            break
        if end is not None and time.monotonic() > end:
            say(f"stopped after {minutes:g} minutes; the next call goes on")
            break
        lock = paths.runs() / f"{unit.stem}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=0):
                do(unit, say)
        except Timeout:
            passed_over.add(unit.stem)  # another process is at it
        except DataError as error:
            without_data.add(unit.experiment)
            say(f"{unit.experiment} is left out: {error}")
        except (ImportError, OSError):  # the next run would end so too
            raise
        except Exception as error:
            passed_over.add(unit.stem)
            failed.append(error)
            say(f"{unit.stem} failed and is passed over: {type(error).__name__}: {error}")
    if failed:
        raise RuntimeError(f"{len(failed)} runs failed; they are named above") from failed[-1]
