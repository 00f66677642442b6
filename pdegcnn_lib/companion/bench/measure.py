"""Clocks: times side by side in one run, and the memory that a call needs at its peak."""

from __future__ import annotations

import gc
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: the median, the best, and the number of calls."""

    median: float
    best: float
    calls: int

    def as_dict(self) -> dict[str, float]:
        return {k: round(v, 4) for k, v in asdict(self).items()}


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _once(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    synchronize()
    start = clock()
    call()
    synchronize()
    return (clock() - start) * 1e3


def side_by_side(
    calls: dict[str, Callable[[], object]],
    *,
    seconds: float = 1.5,
    most: int = 50,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time several calls in turns, so that what disturbs one round disturbs all alike.

    Each call runs once or twice to warm up, then for about `seconds` but at least 3 times and at most `most` times.
    On one thread the processor's clock, `time.process_time`, does not see what else the machine does.
    """
    rounds = {}
    for name, call in calls.items():
        first = _once(call)
        if first < 5e3:
            first = _once(call)
        rounds[name] = max(3, min(most, int(seconds * 1e3 / max(first, 1e-3))))
    times: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    for turn in range(max(rounds.values())):
        for name, call in calls.items():
            if turn < rounds[name]:
                times[name].append(_once(call, clock))
    return {name: Timing(statistics.median(t), min(t), len(t)) for name, t in times.items()}


def _status(field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) / 1024


def peak_of(call: Callable[[], object]) -> float:
    """MiB that `call` needs at its peak beyond what the process holds already, freed memory included. On Linux."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew from here
    before = _status("VmRSS")
    call()
    return max(0.0, _status("VmHWM") - before)


def peak_in_fresh_process(statement: str) -> float | None:
    """`peak_of` in a process of its own for the source of a `(setup, call)` pair; None but on Linux.

    The source may use `bench.cases` and `bench.networks`. A process that has run for a while would serve the call from
    what it has freed, and show no peak.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    code = (
        "from pdegcnn_lib.companion.bench import cases, measure, networks\n"
        f"setup, call = {statement}\nsetup()\nprint(measure.peak_of(call))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.split()[-1])


def row(figure: str, value: float, relation: str, target: float) -> dict[str, object]:
    """A line of the table: the figure, its target `relation target`, and whether it was met."""
    met = value >= target if relation == ">=" else value <= target
    return {"figure": figure, "value": round(value, 3), "target": f"{relation} {target}", "met": met}
