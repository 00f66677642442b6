"""What the machine can do at most, measured: subtract-and-max on registers, and a copy."""

from __future__ import annotations

import torch

from pdegcnn_lib.companion.bench.measure import side_by_side
from pdegcnn_lib.ops.compiled.machines import machine_of
from pdegcnn_lib.ops.compiled.sources import Unit


class Arithmetic:
    """The loop of `kernels_cu/limits.cu`: subtract and max on nothing but registers.

    Call it to run it once; `taps` is how many (subtract, max) pairs a run makes.
    """

    def __init__(self, device: str) -> None:
        blocks, repeats = (64, 20_000) if device == "cpu" else (4096, 20_000)
        self.blocks, self.repeats = blocks, repeats
        self.k = torch.linspace(0.5, 1.5, 12, device=device)
        self.out = torch.empty(blocks, device=device)
        self.report = torch.zeros(1, dtype=torch.int64, device=device)
        self()

    def __call__(self) -> None:
        machine_of(self.out).launch(
            Unit("limits"),
            "arithmetic_limit",
            [self.k, self.out, self.report, self.repeats],
            blocks=self.blocks,
        )

    @property
    def taps(self) -> int:
        return int(self.report.item()) * self.blocks

    def gtaps_per_second(self, milliseconds: float) -> float:
        """The rate of a run that took so long."""
        return round(self.taps / milliseconds / 1e6, 3)


def copy_bandwidth(device: str) -> float:
    """GB/s that a copy of 64 MiB reads and writes."""
    x = torch.randn(2**24, device=device)
    y = torch.empty_like(x)
    best = side_by_side({"copy": lambda: y.copy_(x)})["copy"].best
    return 2 * x.nbytes / best / 1e6
