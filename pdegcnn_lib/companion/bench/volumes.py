"""Dilation on M3 beside a composition and beside M2: two rows of the table, also measured again on one thread."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.bench import cases
from pdegcnn_lib.companion.bench.measure import row, side_by_side
from pdegcnn_lib.companion.experiments.provenance import provenance
from pdegcnn_lib.ops import dilation
from pdegcnn_lib.spaces import M3

M2_WINDOW = (5, 5, 5)
TARGETS = {
    "dilation on M3, 26 directions, 3x3x3, forward + backward / composition of dilations on M2": (">=", 4),
    "the same / dilation 5x5x5 on M2, taps per second": (">=", 0.5),
}


def once(
    device: str, clock: Callable[[], float] = time.perf_counter
) -> tuple[dict[str, float], dict[str, float]]:
    """The medians of one round in milliseconds, and the figures that they give."""
    f, k, g = cases.volumes(device)
    plane_f, plane_k, plane_g = cases.tensors(cases.SMALL, M2_WINDOW, device, grad=True)
    calls = {
        "M3": cases.both_ways(partial(dilation, space=M3(26), backend=device), f, k, upstream=g),
        "M3 by slots": cases.both_ways(cases.dilation_by_slots, f, k, upstream=g),
        "M2": cases.both_ways(cases.dilation(device), plane_f, plane_k, upstream=plane_g),
    }
    ms = {name: timing.median for name, timing in side_by_side(calls, clock=clock).items()}
    speed = (cases.taps_of_volumes() / ms["M3"]) / (cases.taps(cases.SMALL, M2_WINDOW) / ms["M2"])
    return ms, dict(zip(TARGETS, (ms["M3 by slots"] / ms["M3"], speed), strict=True))


def run(rounds: int = 5) -> dict[str, object]:
    """Rows with the median of all rounds by the processor's clock, and the least and the largest value of a round."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times, figures = zip(*(once("cpu", time.process_time) for _ in range(rounds)), strict=True)
    finally:
        torch.set_num_threads(before)
    rows = []
    for figure, target in TARGETS.items():
        values = [of[figure] for of in figures]
        spread = {"least": round(min(values), 3), "largest": round(max(values), 3)}
        rows.append({**row(figure, median(values), *target), **spread})
    milliseconds = {name: [round(of[name], 2) for of in times] for name in times[0]}
    return {
        "provenance": provenance(torch.device("cpu")),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "threads": 1,
        "table": rows,
        "milliseconds": milliseconds,
    }


def main() -> None:
    """Write `results/bench/volumes-cpu.json`."""
    text = json.dumps(run(), indent=2) + "\n"
    print(text)
    print(paths.write_atomically(paths.results() / "bench" / "volumes-cpu.json", text))


if __name__ == "__main__":
    main()
