"""What this machine has: versions, backends, compiler, data."""

from __future__ import annotations

import shlex
import subprocess
import warnings
from collections.abc import Callable
from functools import partial

import torch

from pdegcnn_lib import ops
from pdegcnn_lib.companion import data, paths
from pdegcnn_lib.companion.data import places
from pdegcnn_lib.companion.experiments.provenance import installed, processor, versions
from pdegcnn_lib.ops.compiled import binaries, host

OPTIONAL = (
    "cupy-cuda12x",
    "cupy-cuda13x",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "jupyter-book",
    "papermill",
)


def compiler() -> dict[str, str | None]:
    """The C++ compiler that the cpu backend would use: its command and what it calls itself."""
    try:
        found = host.compiler()
    except ValueError:  # a CXX that is no command; the backend quotes it
        found = None
    if found is None:
        return {"path": None, "version": None}
    try:
        said = subprocess.run(
            [*shlex.split(found), "--version"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            check=False,
        ).stdout.splitlines()
    except OSError:
        said = []
    return {"path": found, "version": said[0] if said else None}


def _backends() -> dict[str, dict[str, object]]:
    """Every backend is tried; that binaries cannot be kept is a line of its own here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ops.availability()
    return {name: {"usable": why is None, "why_not": why} for name, why in found.items()}


def _cache() -> dict[str, str | None]:
    """Where compiled kernels are kept, and what keeps them from it."""
    try:
        place = str(binaries.directory())
    except RuntimeError as error:
        return {"path": None, "problem": str(error)}
    return {"path": place, "problem": next(iter(binaries.kept_from), None)}


def _there(available: Callable[[], bool]) -> bool:
    try:
        return available()
    except (OSError, ValueError):  # a folder that may not be read, or is none; `_data_folder` says why
        return False


def _data_folder() -> dict[str, str | None]:
    """Where data sets are looked for, and what keeps them from being found."""
    try:
        place = paths.data()
    except ValueError as error:
        return {"path": None, "problem": str(error)}
    return {"path": str(place), "problem": places.unreadable(place)}


def report() -> dict[str, object]:
    """Everything that `pdegcnn doctor` prints, as plain values."""
    return {
        "versions": versions(),
        "optional": {name: installed(name) for name in OPTIONAL},
        "backends": _backends(),
        "compiler": compiler(),
        "cache": _cache(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "data_folder": _data_folder(),
        "data": {
            "digits (scikit-learn)": installed("scikit-learn") is not None,
            "MNIST": _there(data.mnist.available),
            "CHASE_DB1": _there(data.chase.available),
            "DRIVE": _there(data.drive.available),
            "DRIVE, the training part": _there(partial(data.drive.available, parts=(True,))),
        },
    }


def as_text(report: dict) -> str:
    """The report for a reader."""
    lines = ["versions    " + ", ".join(f"{k} {v}" for k, v in report["versions"].items())]
    lines += [
        "optional    " + ", ".join(f"{k} {v or '(not installed)'}" for k, v in report["optional"].items())
    ]
    for name, backend in report["backends"].items():
        lines.append(
            f"backend     {name}: " + ("usable" if backend["usable"] else f"not usable: {backend['why_not']}")
        )
    found = report["compiler"]
    lines.append(
        f"compiler    {found['version']} ({found['path']})" if found["path"] else "compiler    none found"
    )
    cache = report["cache"]
    lines.append(
        f"cache       {cache['path']}"
        if cache["problem"] is None
        else f"cache       nothing can be kept ({cache['problem']}): every process compiles its kernels anew; "
        "point PDEGCNN_CACHE at a folder that can be written to and executed from"
    )
    lines.append(f"processor   {report['processor']}, {report['threads']} threads")
    lines.append(f"GPU         {report['gpu'] or 'none'}")
    folder = report["data_folder"]
    lines.append(f"data        {folder['problem'] or 'below ' + folder['path']}")
    lines += [
        f"data        {name}: " + ("found" if there else "not found")
        for name, there in report["data"].items()
    ]
    return "\n".join(lines)
