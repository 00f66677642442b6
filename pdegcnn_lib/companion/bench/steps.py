"""What a training step costs on one core, and what two cores are best used for."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from subprocess import PIPE

import torch

from pdegcnn_lib.companion.bench.cases import training_step
from pdegcnn_lib.companion.bench.measure import Timing, side_by_side
from pdegcnn_lib.memory import keep_freed_memory

NETWORKS = ("vessels-pdegcnn6", "vessels-cnn6-narrow", "vessels-gcnn6-narrow", "vessels-unet")
BATCH = (8, 1, 64, 64)  # a training batch
DIGITS = ("digits-pdegcnn", "digits-pdegcnn-invariant", "digits-gcnn", "digits-gcnn-invariant")
BATCH_OF_DIGITS = (64, 1, 28, 28)

_CODE = """
import sys, time, torch
torch.set_num_threads({threads})
from pdegcnn_lib.companion.bench.steps import keep_freed_memory, training_step
keep_freed_memory()
step = training_step({name!r}, {batch})
step()
print("ready", flush=True)
sys.stdin.readline()
count, start = 0, time.perf_counter()
while count == 0 or time.perf_counter() - start < {seconds}:
    step()
    count += 1
print(count / (time.perf_counter() - start))
"""


def on_one_thread(
    names: tuple[str, ...] = NETWORKS, batch: tuple[int, int, int, int] = BATCH, seconds: float = 8
) -> dict[str, Timing]:
    """The training steps of networks in turns, on one thread."""
    keep_freed_memory()  # as training does
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return side_by_side({name: training_step(name, batch) for name in names}, seconds=seconds)
    finally:
        torch.set_num_threads(before)


def steps_per_second(
    name: str,
    *,
    runs: int,
    threads: int,
    batch: tuple[int, int, int, int] = BATCH,
    seconds: float = 8,
) -> float:
    """The training steps that so many runs of so many threads make together, at the same time, each its own process.

    Raises: RuntimeError where a run fails.
    """
    code = _CODE.format(threads=threads, name=name, batch=batch, seconds=seconds)
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, encoding="utf-8")
            )
            for _ in range(runs)
        ]
        for run in started:
            assert run.stdin is not None and run.stdout is not None
            if run.stdout.readline() != "ready\n":
                for other in started:
                    other.kill()
                raise RuntimeError(f"a run of {name} failed")
        for run in started:
            assert run.stdin is not None
            run.stdin.write("\n")
            run.stdin.flush()
        rates = [run.communicate()[0] for run in started]
    if not all(rates):
        raise RuntimeError(f"a run of {name} failed")
    return sum(map(float, rates))
