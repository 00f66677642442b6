"""Whether the committed results still hold: every trained network is evaluated again.

`make recheck` does it for all of them, on the CPU; what a network scores now is held against what was recorded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import torch

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.experiments.registry import experiment
from pdegcnn_lib.companion.experiments.run import load_model, read_result, weights_path

TOLERANCE = 2e-3  # the few digits or pixels at a threshold that sums in another order move


def committed() -> list[Path]:
    """Every committed result of a run, with weights or without."""
    return [path for path in sorted(paths.results().rglob("*.json")) if "digest" in read_result(path)]


def scores(results: Iterable[Path]) -> Iterator[tuple[Path, float, float]]:
    """Each result with the score that it recorded and the one that its network has now.

    Raises: DataError where data are not here or files are damaged.
    """

    def data_of(result: Path) -> tuple[str, str, str]:
        record = read_result(result)
        return record["experiment"], record["profile"], json.dumps(record["data"], sort_keys=True)

    for (name, profile, data), group in groupby(sorted(results, key=data_of), data_of):
        chosen = experiment(name)
        task = chosen.task(profile, **json.loads(data))
        for result in group:
            now = task.evaluate(load_model(result), torch.device("cpu"))[chosen.score]
            yield result, read_result(result)["metrics"][chosen.score], float(str(now))


def main() -> int:
    """Evaluate all networks, a line for each; 1 where a score has moved."""
    trained = [result for result in committed() if weights_path(result).is_file()]
    moved = done = 0
    for _, group in groupby(trained, lambda result: result.parent):
        try:
            for result, then, now in scores(group):
                done += 1
                moved += abs(then - now) > TOLERANCE
                print(f"{result.relative_to(paths.results())}: {then:.4f}, now {now:.4f}", flush=True)
        except DataError as error:
            print(f"left out: {error}", flush=True)
    print(f"{done} of {len(trained)} networks evaluated, {moved} scores moved by more than {TOLERANCE}")
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
