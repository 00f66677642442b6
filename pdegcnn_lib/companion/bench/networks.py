"""What whole networks cost: a training step, a photograph, the memory at the peak, side by side in one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pdegcnn_lib import models
from pdegcnn_lib.companion.bench.cases import Call, training_step
from pdegcnn_lib.companion.bench.measure import peak_in_fresh_process, side_by_side
from pdegcnn_lib.companion.bench.steps import BATCH
from pdegcnn_lib.companion.experiments.provenance import provenance
from pdegcnn_lib.companion.experiments.registry import experiment
from pdegcnn_lib.memory import keep_freed_memory

NETWORKS = tuple(
    name
    for layers in (3, 6, 12)
    for name in (f"vessels-cnn{layers}-narrow", f"vessels-gcnn{layers}-narrow", f"vessels-pdegcnn{layers}")
) + ("vessels-pdegcnn12-wide", "vessels-unet")
PHOTOGRAPH = (1, 1, 480, 499)  # a photograph of CHASE_DB1 at half resolution


def network_of(name: str) -> tuple[str, dict[str, Any]]:
    """The network and the options that a name stands for: those of its variant in the experiment, where it has one."""
    vessels = experiment("vessels")
    if name not in vessels.labels:
        return name, {}
    variant = vessels.variant(name)
    return variant.model, dict(variant.options)


def step(name: str, batch: tuple[int, int, int, int] = BATCH) -> Call:
    """A training step on random patches `[B, C, H, W]`."""
    model, options = network_of(name)
    return training_step(model, batch, **options)


def segmentation(name: str) -> Call:
    """The segmentation of a whole photograph."""
    built, options = network_of(name)
    model, image = models.build(built, **options).eval(), torch.rand(PHOTOGRAPH)

    def call() -> object:
        with torch.no_grad():
            return model(image)

    return call


def memory_of_step(name: str) -> tuple[Call, Call]:
    """A small step that loads everything, and the step whose memory counts."""
    return step(name, (1, 1, 16, 16)), step(name)


def run(
    names: tuple[str, ...] = NETWORKS,
    *,
    seconds: float = 10.0,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, object]:
    """Measure the networks on the CPU: milliseconds of a step and of a photograph, MiB at the peak of a step."""
    keep_freed_memory()  # as training does
    progress("training steps")
    steps = side_by_side({name: step(name) for name in names}, seconds=seconds)
    progress("photographs")
    photographs = side_by_side({name: segmentation(name) for name in names}, seconds=seconds)
    rows = []
    for name in names:
        progress(f"memory of {name}")
        model, options = network_of(name)
        rows.append(
            {
                "variant": name,
                "model": model,
                "options": options,
                "parameters": models.parameter_count(models.build(model, **options)),
                "step_ms": steps[name].as_dict(),
                "photograph_ms": photographs[name].as_dict(),
                "peak_mib": peak_in_fresh_process(f"networks.memory_of_step({name!r})"),
            }
        )
    return {"provenance": provenance(torch.device("cpu")), "networks": rows}
