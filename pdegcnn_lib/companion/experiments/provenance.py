"""Where a result came from: versions, device, revision of the code."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

import pdegcnn_lib
from pdegcnn_lib import __version__


@lru_cache(maxsize=1)
def revision() -> str | None:
    """The git revision of the library's checkout, with `+changes` when tracked files differ from it.

    It is asked for once in a process, as the code is read once. None without git, and for a library that lies in a
    repository of something else.
    """
    checkout = Path(pdegcnn_lib.__file__).resolve().parents[1]
    # Inside a hook of git its variables name the repository of the hook.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=checkout, env=clean, capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()

    try:
        if not checkout.samefile(git("rev-parse", "--show-toplevel")):
            return None
        return git("rev-parse", "--short=12", "HEAD") + (
            "+changes" if git("status", "--porcelain", "-uno") else ""
        )
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """A short hash of the sources of the library and its kernels: results of other code are not taken for its own."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[2]
    for folder, pattern in (
        (package, "**/*.py"),
        (package, "kernels_cu/*"),
        (package.parent, "kernels_cu/*"),
    ):
        for path in sorted(folder.glob(pattern)):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def processor() -> str:
    """The name of the processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def device_name(device: torch.device) -> str:
    """The name of a device as a reader knows it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'s' if threads > 1 else ''}"


def threads(device: str) -> int | None:
    """The threads in the name of a device; None for what is no CPU."""
    found = re.search(r", (\d+) threads?$", device)
    return int(found[1]) if found else None


def installed(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """The versions that can change a number."""
    found = {"python": platform.python_version(), "pdegcnn": __version__, "torch": torch.__version__}
    others = {name: installed(name) for name in ("numpy", "scipy", "scikit-learn")}
    return found | {name: number for name, number in others.items() if number is not None}


def provenance(device: torch.device) -> dict[str, object]:
    """Versions, device and revision, as plain values for a result file."""
    return {
        "versions": versions(),
        "device": device_name(device),
        "revision": revision(),
        "code": code_fingerprint(),
    }
