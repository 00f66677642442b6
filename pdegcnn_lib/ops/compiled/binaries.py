"""Where compiled units are kept, and how a damaged one is told from a sound one.

A binary is named by what it was made from and by what it holds, `shift-<inputs>-<content>.so`, so one that was cut
short is never loaded. Where the user's directory cannot be written to, is full or may not be executed from, binaries
live in a private temporary directory for as long as the process does, and that is said once.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

kept_from: list[str] = []  # what kept this process from keeping binaries


def directory() -> Path:
    """Where binaries are kept: `$PDEGCNN_CACHE`, or `pdegcnn` in the user's cache directory.

    Raises: RuntimeError for a user without a home.
    """
    if chosen := os.environ.get("PDEGCNN_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    # A relative XDG_CACHE_HOME is to be ignored, says its specification.
    return (base if base.is_absolute() else Path.home() / ".cache") / "pdegcnn"


@cache
def _private() -> Path:
    place = tempfile.mkdtemp(prefix="pdegcnn-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)


def places(problems: list[str]) -> Iterator[Path]:
    """The directories to try in turn; one that is not there at all is entered among the problems.

    A directory that failed once is not tried for every unit again.
    """
    problems += kept_from[:1]
    try:
        if not kept_from:
            yield directory()
    except RuntimeError as error:
        problems.append(str(error))
    try:
        yield _private()
    except OSError as error:  # not one temporary directory can be written to
        problems.append(str(error))


def load(place: Path, stem: str) -> ctypes.CDLL | None:
    """The sound binary of this stem, None where there is none that can be read and loaded."""
    for path in sorted(place.glob(f"{stem}-*.so")):
        with suppress(OSError):
            if path.stem == f"{stem}-{_content(path)}":
                return ctypes.CDLL(str(path))
    return None


def keep(scratch: Path, stem: str) -> None:
    """Put a finished binary into its place, atomically, for whoever may read the user's files."""
    umask = os.umask(0o077)
    os.umask(umask)
    scratch.chmod(0o666 & ~umask)
    os.replace(scratch, scratch.with_name(f"{stem}-{_content(scratch)}.so"))


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def speak(problem: str) -> None:
    """Say once that nothing can be kept."""
    kept_from.append(problem)
    if len(kept_from) == 1:
        warnings.warn(
            f"compiled kernels cannot be kept ({problem}), so every process compiles them anew; "
            "point PDEGCNN_CACHE at a folder that can be written to and executed from",
            RuntimeWarning,
            stacklevel=2,
        )
