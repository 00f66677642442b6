"""Trained networks by name: those that are committed, and those that come with an installed package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pdegcnn_lib import models
from pdegcnn_lib.companion.experiments.registry import EXPERIMENTS
from pdegcnn_lib.companion.experiments.run import holds, weights_path


def available() -> dict[str, Path]:
    """The networks that turn a picture into a mask: `experiment/variant` -> the result of the first seed.

    They are those whose result says how pictures were prepared for them. Where there is one that was trained for long,
    it is that one; of equals the reader's own, not the one that lies with the library.
    """
    found: dict[str, Path] = {}
    for profile in ("full", "long"):
        found |= dict(_packaged(profile)) | dict(_made(profile))
    return found


def _packaged(profile: str) -> Iterator[tuple[str, Path]]:
    """Those that lie with the library, wherever the reader works: in its checkout or in the installed package."""
    for name, stem in models.weights.TRAINED.items():
        experiment, of, run = stem.split("/")
        with suppress(FileNotFoundError):
            result = models.weights.place(name, ".json")
            if of == profile and holds(result, "preparation"):
                yield f"{experiment}/{run.rpartition('-seed')[0]}", result


def _made(profile: str) -> Iterator[tuple[str, Path]]:
    """Those that are committed or made on this machine, first seeds last."""
    from pdegcnn_lib.companion.experiments.grid import find

    for experiment in EXPERIMENTS.values():
        for unit in reversed(experiment.units(profile)) if experiment.keep_weights else ():
            result = find(unit)
            if result is None or not weights_path(result).is_file():
                continue
            if holds(result, "preparation"):
                yield f"{experiment.name}/{unit.variant}", result


def resolve(model: str) -> Path:
    """The result file of a trained network: of a name as in `available` or as `models.trained` takes, or of a path.

    Raises: ValueError for a name that is neither.
    """
    path = Path(model)
    if path.suffix in (".json", ".safetensors"):
        result = path.with_suffix(".json")
        for part in (result, weights_path(result)):
            if not part.is_file():
                raise ValueError(
                    f"model must name a result with its weights beside it, but {part} is missing"
                )
        return result
    names = available()
    if model in names:
        return names[model]
    short = [name for name in names if name.split("/")[1] == model]
    if len(short) == 1:
        return names[short[0]]
    if model in models.trained_names():  # several experiments have one of this name; the book speaks of this
        return models.weights.place(model, ".json")
    known = ", ".join(names) or "(none is here: run `make grid`)"
    raise ValueError(f"model must be a file or one of {known}, got {model!r}")
