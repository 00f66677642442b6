"""Where things are: the checkout, the data, the results. Every other module asks here."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path


def root() -> Path:
    """The checkout: `PDEGCNN_ROOT`, or the nearest folder above the working directory that holds the library.

    A reader without a checkout works in the current directory.
    """
    if named := os.environ.get("PDEGCNN_ROOT"):
        return _resolved("PDEGCNN_ROOT", Path(named), Path())
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file() and (folder / "pdegcnn_lib").is_dir():
            return folder
    return here


def _named(variable: str, usual: str) -> Path:
    """The folder that a variable names; a relative one below `root`, as notebooks run in folders of their own."""
    return _resolved(variable, Path(os.environ.get(variable) or usual), root())


def _resolved(variable: str, named: Path, below: Path) -> Path:
    try:
        return (below / named.expanduser()).resolve()
    except RuntimeError as error:  # links that lead to each other, a user who is none
        raise ValueError(f"{variable} must name a folder, got {str(named)!r}: {error}") from error


def data() -> Path:
    """The folder of the data sets: `PDEGCNN_DATA`, or `data` in the checkout."""
    return _named("PDEGCNN_DATA", "data")


def results() -> Path:
    """The committed results that pages read."""
    return root() / "results"


def executed() -> Path:
    """What running the notebooks left behind for the book; not committed."""
    return root() / "book" / "_executed"


def runs() -> Path:
    """The results and checkpoints that this machine made; not committed."""
    return _named("PDEGCNN_RUNS", "runs")


PART = ".partial-"  # short, so that every name that the system takes can be written to
SECONDS_OF_A_WRITE = 3600.0  # far more than any takes


def _umask() -> int:
    """What the user keeps from others; it can only be read by being set, to the strictest meanwhile."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write a file so that a reader, or a kill at any moment, finds the old content or the new, never a part.

    Raises: OSError, which names the file.
    """
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=PART)
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())  # or a loss of power leaves the new name without the content
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException as error:
        if name is not None:
            with suppress(FileNotFoundError):
                os.unlink(name)
        if isinstance(error, OSError):
            error.filename = str(path)  # a full disk says of no file that it is that
        raise
    return path


def _nearest(folder: Path) -> Path:
    """What is there of a path; a link that leads nowhere is."""
    for place in (folder, *folder.parents):
        with suppress(FileNotFoundError):
            os.lstat(place)
            return place
    return folder


def check_writable(folder: Path, *, make: bool = True) -> None:
    """Write into a folder, to find out now and not after hours. Raises: OSError where that is refused.

    The folder is made, or else what is there of its path is tried.
    """
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder if make else _nearest(folder), prefix=PART) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise OSError(error.errno, f"nothing can be written here: {error.strerror}", str(folder)) from error


def check_replaceable(path: Path, *, force: bool) -> None:
    """Raise OSError where a file is not to be written: it is there and not `force`, or nothing can be written there.

    A folder, a pipe or a device, as /dev/null is, is never replaced.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is a pipe or a device, not a file")
    if os.path.lexists(path) and not force:
        raise FileExistsError(f"{path} is there already; --force replaces it")
    check_writable(path.parent, make=False)


def drop_parts(folder: Path) -> None:
    """Delete what `write_atomically` left in a folder where it was killed; a young one may still be written."""
    for part in folder.glob(f"{PART}*"):
        with suppress(FileNotFoundError):  # it has got its name, or somebody else was faster
            if time.time() - part.stat().st_mtime > SECONDS_OF_A_WRITE:
                part.unlink()


def set_aside(path: Path) -> Path:
    """Give a damaged file another name, under which nobody takes it for what it was to be; return that name."""
    return path.replace(path.with_name(f"{path.name}.damaged"))
