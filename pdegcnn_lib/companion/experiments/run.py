"""One run: from a unit to its result file, and the table of results."""

from __future__ import annotations

import glob
import json
import math
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pdegcnn_lib import models
from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.experiments.config import Run
from pdegcnn_lib.companion.experiments.provenance import code_fingerprint, provenance
from pdegcnn_lib.companion.experiments.registry import experiment
from pdegcnn_lib.companion.experiments.training import train
from pdegcnn_lib.nn import Convection, TrainableDiagonalMetric
from pdegcnn_lib.testing import equivariance_error


def learned_geometry(model: nn.Module) -> dict[str, dict[str, list]]:
    """The geometry that a network learned: length scales w and vectors g0 per layer, as plain lists."""
    found: dict[str, dict[str, list]] = {"w": {}, "g0": {}}
    for name, module in model.named_modules():
        if isinstance(module, TrainableDiagonalMetric):
            found["w"][name] = module.w.detach().cpu().tolist()
        elif isinstance(module, Convection):
            found["g0"][name] = module.g0.detach().cpu().tolist()
    return found


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def result_path(unit: Run) -> Path:
    """Where this machine puts the result of a run."""
    return paths.runs() / f"{unit.stem}.json"


def weights_path(result: Path) -> Path:
    """Where the weights of a run lie: beside its result."""
    return result.with_suffix(".safetensors")


def checkpoint_path(unit: Run) -> Path:
    """Where a run that is not finished keeps its state: of this configuration, as this code trains it."""
    return paths.runs() / f"{unit.stem}-{code_fingerprint()}.checkpoint.pt"


def drop_checkpoint(unit: Run) -> None:
    """Delete the state of a run that came to an end, and what other code left of it, but an hour ago or more.

    A younger one of other code stays: a training from another folder may be at it.
    """
    ours = checkpoint_path(unit)
    for left in ours.parent.glob(f"{glob.escape(Path(unit.stem).name)}-*.checkpoint.pt"):
        with suppress(FileNotFoundError):  # another process may have been here first
            if left == ours or time.time() - left.stat().st_mtime > paths.SECONDS_OF_A_WRITE:
                left.unlink()


def _made_by(weights: Path) -> str | None:
    """The digest of the run that a file of weights says it is of."""
    from safetensors import SafetensorError, safe_open

    with suppress(SafetensorError), safe_open(weights, "pt") as file:
        return (file.metadata() or {}).get("run")
    return None


def _plain(value: Any) -> Any:
    """What numpy and torch hold, as numbers and lists of JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a metric must be a number, a text or a list of them, got a {type(value).__name__}")


def build_model(unit: Run, in_channels: int) -> nn.Module:
    """The untrained network of a run: the same numbers for the same seed."""
    torch.manual_seed(unit.seed)
    return models.build(unit.model, in_channels, **unit.options)


def run(unit: Run, *, out: Path | None = None, device: torch.device | None = None) -> dict[str, Any]:
    """Train and evaluate one unit and return its result, or the result that the same code left there.

    The result is one JSON file, written atomically after the weights; a run that was interrupted goes on from its
    checkpoint. `quarter_turn_error` is the relative equivariance error of the trained network on training data;
    `training_seconds` are those of every process that had a part in it, `wall_seconds` the evaluation too.
    Raises: DataError without the data, ValueError for an unknown experiment or model, or where `out` or
    the weights beside it would replace a file of somebody else, FloatingPointError where it diverged.
    """
    out = out or result_path(unit)
    if out.is_file():
        known = read_result(out)
        if "digest" not in known:
            raise ValueError(f"{out} is there already and not the result of a run; name another file")
        if known["digest"] == unit.digest and known.get("code") == code_fingerprint():
            drop_checkpoint(unit)  # where a kill came between the two
            return known
    from safetensors.torch import save

    chosen, weights, checkpoint = experiment(unit.experiment), weights_path(out), checkpoint_path(unit)
    if weights == out:
        raise ValueError(f"{out} is what the weights would be called; name a file that ends in .json")
    ours = out.is_file() or weights.stem == Path(unit.stem).name
    if chosen.keep_weights and weights.exists() and not ours and _made_by(weights) != unit.digest:
        raise ValueError(f"{weights} is there already and not the weights of a run; name another file")
    paths.check_replaceable(out, force=True)
    paths.check_writable(checkpoint.parent)
    device = device or default_device()
    task = chosen.task(unit.profile, **unit.data)
    in_channels = getattr(task, "in_channels", 1)  # any object with the three methods of a task is one
    model = build_model(unit, in_channels)
    origin = provenance(device)  # of the code that trains, whatever is committed meanwhile
    course = train(
        model,
        task,
        unit.training,
        seed=unit.seed,
        device=device,
        checkpoint=checkpoint,
        label=unit.name,
    )
    model.eval()
    prepared = getattr(task, "preparation", None)
    some = task.batch(4, torch.Generator().manual_seed(unit.seed))[0].to(device)
    started, trained = time.monotonic(), course.curve[-1]["seconds"]
    # The convolutions of a GPU may round their factors to TF32 in training, not before the judge.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        # A network of 3 orientations has no exact turn.
        turned = max(equivariance_error(model, some).values(), default=None)
        if turned is not None and not math.isfinite(turned):
            raise FloatingPointError(f"the output of {unit.name} is not finite")
        metrics = json.loads(json.dumps(task.evaluate(model, device), default=_plain))
    result = {
        "digest": unit.digest,
        **unit.config,
        "in_channels": in_channels,
        **({} if prepared is None else {"preparation": prepared.record}),
        "parameters": models.parameter_count(model),
        "metrics": metrics,
        "quarter_turn_error": turned,
        "curve": course.curve,
        "places": course.places,
        "training_seconds": trained,
        "wall_seconds": round(trained + time.monotonic() - started, 3),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **origin,
    }
    if chosen.keep_weights:
        state = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
        paths.write_atomically(weights, save(state, metadata={"run": unit.digest}))
    paths.write_atomically(out, json.dumps(result, indent=1) + "\n")
    drop_checkpoint(unit)
    return result


def read_result(path: Path) -> dict[str, Any]:
    """The record in a result file. Raises: DataError for a file that is damaged, or something else."""
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark before it
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged or no result: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{path} is damaged or no result: it holds a {type(record).__name__}")
    return record


def holds(result: Path, entry: str) -> bool:
    """Whether a result has an entry; a damaged one counts: whoever takes it is told what is wrong, and nobody else."""
    with suppress(DataError):
        return entry in read_result(result)
    return True


def load_model(result: Path) -> nn.Module:
    """The trained network of a result file, in evaluation mode.

    Raises: DataError for a result that describes no network, and for weights that are damaged or another network's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    record, weights = read_result(result), weights_path(result)
    try:
        model = models.build(record["model"], record["in_channels"], **record["options"])
    except KeyError as error:
        raise DataError(f"{result} describes no network: it says nothing of {error}") from error
    except (TypeError, ValueError) as error:
        raise DataError(f"{result} describes no network: {error}") from error
    try:
        state = load_file(weights)
        _check_types(weights, model.state_dict(), state)
        model.load_state_dict(state)
    except SafetensorError as error:
        raise DataError(f"{weights} is damaged: {error}; copy it again") from error
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise DataError(f"{weights} holds other weights than {result} describes: {said}") from error
    if not all(value.isfinite().all() for value in state.values()):
        raise DataError(f"{weights} is damaged: it holds values that are not finite")
    return model.eval()


def _check_types(weights: Path, wanted: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Raise DataError for numbers that loading would round, or take for what they are not, without a word."""
    for name, value in state.items():
        if name not in wanted or value.dtype == (kept := wanted[name].dtype):
            continue
        # Training keeps float32; a network of float64 holds that exactly.
        if (value.dtype, kept) != (torch.float32, torch.float64):
            raise DataError(f"{weights} must hold {kept} for {name}, got {value.dtype}")


def committed_results(name: str, profile: str = "full") -> list[dict[str, Any]]:
    """The results of an experiment that are committed under `results/`, in the order of its variants, then of seeds.

    Only those that the experiment asks for as it stands: a result of other settings is left out.
    """
    found = []
    for unit in experiment(name).units(profile):
        path = paths.results() / f"{unit.stem}.json"
        if path.is_file():
            found.append(read_result(path))
    order = experiment(name).labels
    return sorted(found, key=lambda r: (order.index(r["variant"]), r["seed"]))


def settled_results(name: str) -> list[dict[str, Any]]:
    """The committed results of the profile `long` whose steps and rate a search came to (`Experiment.settled`)."""
    return [r for r in committed_results(name, "long") if experiment(name).settled(r["variant"])]
