"""Where the files of a data set lie: as they are handed out, in whatever folder and spelling they were unpacked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.data.files import checked_bytes

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar", ".npz")


def folder(dataset: str) -> Path:
    """Where a data set is looked for: the folder of its name below that of the data, or this one, if it has that name.

    Case and punctuation do not count: `CHASEDB1` is CHASE_DB1.
    """
    data = paths.data()
    named = [data / dataset, *_listed(data), data]
    return next((p for p in named if _spoken(p.name) == _spoken(dataset) and _is_dir(p)), named[0])


def _spoken(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _is_dir(path: Path) -> bool:
    with suppress(OSError):
        return path.is_dir()
    return False


def _listed(place: Path) -> list[Path]:
    """What lies in a folder; nothing for one that cannot be read."""
    with suppress(OSError):
        return sorted(place.iterdir())
    return []


def _below(place: Path) -> list[Path]:
    """Every file below a folder, the shallow ones first."""
    found = [Path(at) / name for at, _, names in os.walk(place) for name in names]
    return sorted(found, key=lambda path: (len(path.parts), path))


def place(dataset: str, names: Iterable[str]) -> tuple[Path, str]:
    """Where a file of a data set lies, and the name by which it is found there.

    `names` are those that it may have below the folder of the data set, such as `images/21.tif`, the usual one first.
    It may lie deeper and in other case. Where it is nowhere, the place is the usual one.
    """
    top, usual = folder(dataset), next(iter(names))
    if (top / usual).is_file():
        return top / usual, usual
    there = [(path, path.as_posix().casefold()) for path in _below(top)]
    for name in names:
        for path, folded in there:
            if folded.endswith(f"/{name.casefold()}") and path.is_file():
                return path, name
    return top / usual, usual


def content(dataset: str, names: Mapping[str, str | None], how_to_get: str) -> tuple[Path, bytes]:
    """A file of a data set with what it holds; `names` are as for `place`, each with its SHA-256 where it is known.

    Raises: DataError as `checked_bytes`; for a missing file it says as well what is there instead.
    """
    try:
        path, name = place(dataset, names)
        how = how_to_get if path.is_file() else _instead(dataset) + how_to_get
    except OSError as error:
        raise DataError(f"{dataset}: {error.filename} cannot be read: {error.strerror}") from error
    return path, checked_bytes(path, names[name], dataset, how)


def _instead(dataset: str) -> str:
    """What keeps a data set from being found, where that is plain."""
    data, top = paths.data(), folder(dataset)
    if problem := unreadable(data):
        return f"{problem}; "
    beside = [path for path in _listed(data) if _spoken(dataset) in _spoken(path.name)]
    packed = [p for p in (*beside, *_listed(top)) if p.name.lower().endswith(ARCHIVES) and p.is_file()]
    return f"{packed[0]} is there, but archives are not looked into: unpack it; " if packed else ""


def unreadable(place: Path) -> str | None:
    """What is wrong with a folder that cannot be looked into; None where nothing is."""
    try:
        os.listdir(place)
    except NotADirectoryError:
        return f"{place} is a file, not a folder"
    except FileNotFoundError:
        return f"{place} is not there"
    except OSError as error:
        return f"{place} cannot be read: {error.strerror}"
    return None
