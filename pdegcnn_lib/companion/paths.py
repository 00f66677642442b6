"""Where things are: the checkout, the data, the results. Every other module asks here."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def root() -> Path:
    """The checkout: `PDEGCNN_ROOT`, or the nearest folder above the working directory that holds the library.

    A reader without a checkout works in the current directory.
    """
    if named := os.environ.get("PDEGCNN_ROOT"):
        return Path(named).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "pdegcnn_lib").is_dir():
            return folder
    return here


def data() -> Path:
    """The folder of the data sets: `PDEGCNN_DATA`, or `data` in the checkout."""
    return Path(os.environ.get("PDEGCNN_DATA") or root() / "data").resolve()


def results() -> Path:
    """The committed results that pages read."""
    return root() / "results"


def executed() -> Path:
    """What running the notebooks left behind for the book; not committed."""
    return root() / "book" / "_executed"


def runs() -> Path:
    """The results and checkpoints that this machine made; not committed."""
    return Path(os.environ.get("PDEGCNN_RUNS") or root() / "runs").resolve()


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write a file so that a reader, or a kill at any moment, finds the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return path
