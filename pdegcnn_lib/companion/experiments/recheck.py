"""Whether the committed results still hold: every trained network is evaluated again.

`make recheck` does it for all of them, on the CPU; what a network scores now is held against what was recorded. With
`--add` a record whose score holds gains what the judge says today and did not say then.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.experiments.provenance import provenance
from pdegcnn_lib.companion.experiments.registry import experiment
from pdegcnn_lib.companion.experiments.run import holds, load_model, read_result, weights_path
from pdegcnn_lib.companion.experiments.task import Task
from pdegcnn_lib.memory import keep_freed_memory

TOLERANCE = 2e-3  # the few digits or pixels at a threshold that sums in another order move


def committed() -> list[Path]:
    """Every committed result of a run, with weights or without, and those that are damaged."""
    return [path for path in sorted(paths.results().rglob("*.json")) if holds(path, "digest")]


@lru_cache(maxsize=1)
def _task(name: str, profile: str, data: str) -> Task:
    return experiment(name).task(profile, **json.loads(data))


def scores(results: Iterable[Path]) -> Iterator[tuple[Path, float, float, Mapping[str, object]]]:
    """Each result with the score that it recorded, the one that its network has now, and all that the judge says now.

    Raises: DataError where data are not here or files are damaged.
    """
    for result in results:
        record, model = read_result(result), load_model(result)
        try:
            score = experiment(record["experiment"]).score
            then = float(record["metrics"][score])
            what = record["experiment"], record["profile"], json.dumps(record["data"], sort_keys=True)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{result} is damaged or no result: {type(error).__name__}: {error}") from error
        now = _task(*what).evaluate(model, torch.device("cpu"))
        yield result, then, float(str(now[score])), now


def add(result: Path, metrics: Mapping[str, object]) -> None:
    """Put the metrics that a record lacks into it, with the origin of those that were added."""
    record = read_result(result)
    new = {key: value for key, value in metrics.items() if key not in record["metrics"]}
    if new:
        record["metrics"] |= new
        origin = {"metrics": sorted(new), **provenance(torch.device("cpu"))}
        record["added"] = [*record.get("added", []), origin]
        paths.write_atomically(result, json.dumps(record, indent=1) + "\n")


def main(arguments: Sequence[str] = ()) -> int:
    """Evaluate all networks, a line for each; 1 where a score has moved, a file is damaged or nothing was evaluated."""
    parser = argparse.ArgumentParser(prog="recheck", description=__doc__)
    parser.add_argument(
        "folders", nargs="*", help="such as vessels or digits-rotated/long; all without a name"
    )
    parser.add_argument("--add", action="store_true", help="add what a record lacks and the judge says today")
    asked = parser.parse_args(arguments)
    keep_freed_memory(0)
    trained = [
        result
        for result in committed()
        if weights_path(result).is_file()
        and (not asked.folders or any(result.is_relative_to(paths.results() / f) for f in asked.folders))
    ]
    moved = done = damaged = 0
    said: set[str] = set()
    for result in trained:
        try:
            [(_, then, now, metrics)] = scores([result])
        except DataError as error:
            if str(error) not in said:  # data that are not here are named once
                print(f"left out: {error}", flush=True)
            said.add(str(error))
            damaged += str(result.with_suffix("")) in str(error)
            continue
        done += 1
        holds_still = abs(then - now) <= TOLERANCE
        moved += not holds_still
        if asked.add and holds_still:
            add(result, metrics)
        print(f"{result.relative_to(paths.results())}: {then:.4f}, now {now:.4f}", flush=True)
    print(f"{done} of {len(trained)} networks evaluated, {moved} scores moved by more than {TOLERANCE}")
    return 1 if moved or damaged or not done else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
