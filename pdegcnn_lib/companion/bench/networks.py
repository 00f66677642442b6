"""What whole networks cost: a training step, a photograph, the memory at the peak, side by side in one run."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion.bench.cases import Call
from pdegcnn_lib.companion.bench.measure import peak_in_fresh_process, side_by_side
from pdegcnn_lib.companion.experiments.memory import keep_freed_memory
from pdegcnn_lib.companion.experiments.metrics import dice_loss
from pdegcnn_lib.companion.experiments.provenance import provenance

NETWORKS = tuple(
    name
    for layers in (3, 6, 12)
    for name in (f"vessels-cnn{layers}-narrow", f"vessels-gcnn{layers}-narrow", f"vessels-pdegcnn{layers}")
)
BATCH = (8, 1, 64, 64)  # a training batch
PHOTOGRAPH = (1, 1, 480, 499)  # a photograph of CHASE_DB1 at half resolution


def training_step(name: str, batch: tuple[int, int, int, int] = BATCH) -> Call:
    """A step of the training loop of the experiments, on random patches."""
    model = models.build(name, batch[1]).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images, truth = torch.rand(batch), (torch.rand(batch[0], 1, *batch[2:]) > 0.9).float()

    def call() -> object:
        optimizer.zero_grad(set_to_none=True)
        dice_loss(model(images), truth).backward()
        return optimizer.step()

    return call


def segmentation(name: str) -> Call:
    """The segmentation of a whole photograph."""
    model, image = models.build(name).eval(), torch.rand(PHOTOGRAPH)

    def call() -> object:
        with torch.no_grad():
            return model(image)

    return call


def memory_of_step(name: str) -> tuple[Call, Call]:
    """A small step that loads everything, and the step whose memory counts."""
    return training_step(name, (1, 1, 16, 16)), training_step(name)


def run(
    names: tuple[str, ...] = NETWORKS,
    *,
    seconds: float = 10.0,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, object]:
    """Measure the networks on the CPU: milliseconds of a step and of a photograph, MiB at the peak of a step."""
    keep_freed_memory()  # as training does
    progress("training steps")
    steps = side_by_side({name: training_step(name) for name in names}, seconds=seconds)
    progress("photographs")
    photographs = side_by_side({name: segmentation(name) for name in names}, seconds=seconds)
    rows = []
    for name in names:
        progress(f"memory of {name}")
        rows.append(
            {
                "model": name,
                "parameters": models.parameter_count(models.build(name)),
                "step_ms": steps[name].as_dict(),
                "photograph_ms": photographs[name].as_dict(),
                "peak_mib": peak_in_fresh_process(f"networks.memory_of_step({name!r})"),
            }
        )
    return {"provenance": provenance(torch.device("cpu")), "networks": rows}
