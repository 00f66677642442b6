"""A small experiment that runs the real training code in a second, and a way to be killed in the middle of it.

As a program, `tiny.py RESULT [HOW]` does the run; HOW is `step N`, killed while computing batch N, or
`replace ENDING N`, killed before the Nth file with that ending is put in its place.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.companion.experiments import EXPERIMENTS, Experiment, Run, Task, Training, Variant, run

STEPS, GATE = 8, 4


class Stripes(Task):
    """Horizontal against vertical noise, 12 x 12; while the file `gate` is there, training waits at step `GATE`."""

    def __init__(self, gate: str | None = None) -> None:
        self.gate = gate

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        while self.gate and os.path.exists(self.gate) and generator.initial_seed() % 1_000_000_007 == GATE:
            time.sleep(0.1)
        labels = torch.randint(2, (size,), generator=generator)
        rows = torch.rand(size, 1, 12, 1, generator=generator).expand(-1, -1, -1, 12)
        return torch.where(labels[:, None, None, None] == 0, rows, rows.mT), labels

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output, target)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, object]:
        images, labels = self.batch(16, torch.Generator().manual_seed(99))
        return {"accuracy": float((model(images.to(device)).argmax(-1).cpu() == labels).double().mean())}


TINY = Experiment(
    name="tiny",
    summary="stripes, to test the machinery",
    task=lambda profile, gate=None: Stripes(gate),
    variants=(Variant("digits-pdegcnn"), Variant("digits-gcnn-invariant")),
    seeds={"fast": 2, "full": 1},
    training=dict.fromkeys(
        ("fast", "full"), Training(steps=STEPS, batch_size=4, checkpoint_seconds=0, average=0.6)
    ),
    settings={"pdegcnn": {"learning_rate": 1e-2}, "gcnn": {"learning_rate": 1e-3}},
    score="accuracy",
)
OPTIONS = {"backend": "reference", "window": [3, 3, 3], "orientations": 4}
UNIT = Run("tiny", "small", "digits-pdegcnn", 3, "fast", TINY.training["fast"], OPTIONS)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arrange(how: list[str]) -> None:
    """Have this process killed at the chosen moment."""
    if how[0] == "step":
        batch, seen = Stripes.batch, []

        def counted(self: Stripes, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            seen.append(None)
            if len(seen) == int(how[1]):
                die()
            return batch(self, size, generator)

        Stripes.batch = counted
    else:
        replace, matching = os.replace, []

        def counted_replace(source: str, target: Path) -> None:
            matching.extend([None] * str(target).endswith(how[1]))
            if len(matching) == int(how[2]):
                die()
            replace(source, target)

        os.replace = counted_replace


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    EXPERIMENTS["tiny"] = TINY
    if len(sys.argv) > 2:
        arrange(sys.argv[2:])
    run(UNIT, out=Path(sys.argv[1]), device=torch.device("cpu"))
