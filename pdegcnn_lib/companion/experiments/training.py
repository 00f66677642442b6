"""The one training loop: plain, resumable, deterministic on the CPU."""

from __future__ import annotations

import io
import math
import time
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.experiments.config import Training
from pdegcnn_lib.companion.experiments.gradient import Gradient, own_stream
from pdegcnn_lib.companion.experiments.provenance import device_name
from pdegcnn_lib.companion.experiments.task import Task
from pdegcnn_lib.memory import keep_freed_memory

CURVE_POINTS = 100


class Course(NamedTuple):
    """How a training went.

    `curve` is a list of {step, loss, seconds}, averaged over stretches of steps. `places` is a list of {step, device,
    torch}: from which step on it ran where; a run that was resumed may have more than one.
    """

    curve: list[dict[str, float]]
    places: list[dict[str, object]]


def learning_rate(training: Training, step: int) -> float:
    """The learning rate at a step, see `Training.schedule`."""
    progress = step / training.steps
    if training.schedule == "constant":
        return training.learning_rate
    if training.schedule == "exponential":
        return training.learning_rate * 0.01**progress
    warm_up = min(1.0, (step + 1) / max(1, training.steps // 20))
    return training.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def _averaged(mean: dict[str, Tensor], now: dict[str, Tensor], training: Training, steps: int) -> None:
    """Move the mean of the networks along the way, running statistics too, toward the one after so many steps.

    At the beginning it forgets faster, so that it is not held back by the untrained network.
    """
    forget = min(training.average, (1 + steps) / (10 + steps))
    moved = [name for name, value in now.items() if value.is_floating_point()]
    torch._foreach_lerp_([mean[name] for name in moved], [now[name] for name in moved], 1 - forget)
    for name in now.keys() - set(moved):
        mean[name].copy_(now[name])


def _save(path: Path, state: dict) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    paths.write_atomically(path, buffer.getvalue())


def _generators(device: torch.device) -> dict[str, Tensor]:
    """The states of the generators that dropout draws from on a device."""
    on_gpu = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **on_gpu}


def _restore_generators(states: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"].cpu())
    if device.type == "cuda" and "cuda" in states:  # not where a run that began on a CPU goes on
        torch.cuda.set_rng_state(states["cuda"].cpu(), device)


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _read(path: Path, model: nn.Module | None = None) -> dict[str, Any] | None:
    """What a checkpoint holds; None, said loudly, for one that is damaged: it is set aside and the run starts anew.

    So is one that is not of `model`. Where memory runs out, that says nothing of the file.
    """
    parts = {"of", "model", "optimizer", "average", "rng", "state"}
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # the same run, done by another process too, has ended meanwhile
        return None
    try:
        if part := zipfile.ZipFile(io.BytesIO(content)).testzip():  # which torch leaves out
            raise ValueError(f"{part} has another checksum")
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not isinstance(saved, dict) or not parts <= saved.keys():
            raise KeyError("a part of the state is missing")
        if model is not None and _shapes(saved["model"]) != _shapes(model.state_dict()):
            raise ValueError("it is that of another network")
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a file that was cut short fails in a way of its own at every length
        aside = paths.set_aside(path)
        warnings.warn(
            f"the checkpoint {path} is damaged ({type(error).__name__}) and set aside as {aside.name}; "
            "the run starts from its beginning",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return saved


def _check_same(checkpoint: Path, saved: dict[str, Any], of: dict[str, Any]) -> None:
    other = [
        f"{name} is {saved.get(name)!r} there and {value!r} here"
        for name, value in of.items()
        if saved.get(name) != value
    ]
    if other:
        raise ValueError(f"checkpoint must be one of this training, {checkpoint} is not: {', '.join(other)}")


def _progress(steps: int, start: int, label: str) -> Iterable[int]:
    from tqdm import tqdm

    # TQDM_DISABLE=1 in the environment, which make sets, leaves the bar out of logs and pages.
    return tqdm(range(start, steps), initial=start, total=steps, desc=label, leave=False)


def train(
    model: nn.Module,
    task: Task,
    training: Training,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    label: str = "",
) -> Course:
    """Train in place and return how it went.

    Batch n is drawn by a generator seeded with (seed, n), and the state of everything else is in the checkpoint, so
    a run that was killed and started again ends where the undisturbed one ends: bit for bit on the CPU, with as many
    threads. What is left in `model` is the mean of `training.average`, or the last network.
    Raises: FloatingPointError when the loss or what is left in `model` is not finite, naming the step; ValueError for a
    checkpoint of another seed or other settings.
    """
    keep_freed_memory()
    of = {"seed": seed, **asdict(training)}
    del of["checkpoint_seconds"]
    model.to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        fused=device.type == "cuda" or None,  # one launch
    )
    average = {name: value.clone() for name, value in model.state_dict().items()} if training.average else {}
    state: dict[str, Any] = {"step": 0, "curve": [], "losses": [], "seconds": 0.0, "places": []}
    if checkpoint is not None and checkpoint.is_file():
        saved = _read(checkpoint, model)
        if saved is not None:
            _check_same(checkpoint, saved["of"], of)
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            _restore_generators(saved["rng"], device)
            average = {name: value.to(device) for name, value in saved["average"].items()}
            state |= saved["state"]
    place = {"device": device_name(device), "torch": str(torch.__version__)}
    if not state["places"] or not place.items() <= state["places"][-1].items():
        state["places"].append({"step": state["step"], **place})
    now = model.state_dict()  # the tensors themselves, which a step changes
    stretch = max(1, training.steps // CURVE_POINTS)
    mixed = training.mixed_precision and device.type == "cuda"

    def loss_of(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed, cache_enabled=False):
            return task.loss(model(inputs), targets)

    gradient = Gradient(model, loss_of, training.gradient_clip)
    started = last_saved = time.monotonic()
    before = state["seconds"]
    with own_stream(device):
        for step in _progress(training.steps, state["step"], label):
            generator = torch.Generator().manual_seed(seed * 1_000_000_007 + step)
            inputs, targets = (part.to(device) for part in task.batch(training.batch_size, generator))
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(training, step)
            value = gradient(inputs, targets).item()
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss of {label or 'this run'} is {value} at step {step}")
            optimizer.step()
            if average:
                _averaged(average, now, training, step)
            state["losses"].append(value)
            state["seconds"] = before + time.monotonic() - started
            state["step"] = step + 1
            if len(state["losses"]) == stretch or state["step"] == training.steps:
                mean = sum(state["losses"]) / len(state["losses"])
                state["curve"].append(
                    {"step": state["step"], "loss": mean, "seconds": round(state["seconds"], 3)}
                )
                state["losses"] = []
            if checkpoint is not None and time.monotonic() - last_saved > training.checkpoint_seconds:
                last_saved = time.monotonic()
                _save(
                    checkpoint,
                    {
                        "of": of,
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "average": average,
                        "rng": _generators(device),
                        "state": state,
                    },
                )
    if average:
        model.load_state_dict(average)
    # The loss of a step is that of the network before it: the last step shows in the network alone.
    if not all(value.isfinite().all() for value in model.state_dict().values()):
        raise FloatingPointError(
            f"the network of {label or 'this run'} is not finite after step {training.steps - 1}"
        )
    return Course(state["curve"], state["places"])
