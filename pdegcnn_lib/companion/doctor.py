"""What this machine has: versions, backends, compiler, data."""

from __future__ import annotations

import shlex
import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch

from pdegcnn_lib import ops
from pdegcnn_lib.companion import data
from pdegcnn_lib.companion.experiments.provenance import processor, versions
from pdegcnn_lib.ops.compiled import host

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
    found = host.compiler()
    if found is None:
        return {"path": None, "version": None}
    said = subprocess.run(
        [*shlex.split(found), "--version"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
        check=False,
    ).stdout.splitlines()
    return {"path": found, "version": said[0] if said else None}


def _installed() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in OPTIONAL:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def report() -> dict[str, object]:
    """Everything that `pdegcnn doctor` prints, as plain values."""
    return {
        "versions": versions(),
        "optional": _installed(),
        "backends": {
            name: {"usable": why is None, "why_not": why} for name, why in ops.availability().items()
        },
        "compiler": compiler(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "data": {
            "digits (scikit-learn)": _installed()["scikit-learn"] is not None,
            "MNIST": data.mnist.available(),
            "CHASE_DB1": data.chase.available(),
            "DRIVE": data.drive.available(),
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
    lines.append(f"processor   {report['processor']}, {report['threads']} threads")
    lines.append(f"GPU         {report['gpu'] or 'none'}")
    lines += [
        f"data        {name}: " + ("found" if there else "not found")
        for name, there in report["data"].items()
    ]
    return "\n".join(lines)
