"""Files of a data set: present, undamaged, or one sentence that says what is wrong and how to mend it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pdegcnn_lib.companion.data.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


def checked_bytes(
    path: Path, sha256: str | None, dataset: str, how_to_get: str, *, largest: int | None = None
) -> bytes:
    """The content of a file, held against its checksum where one is known.

    Raises: DataError for a missing file, with `how_to_get` it, for a folder or a pipe, for a file that cannot be read
    or has more than `largest` bytes, and for one whose SHA-256 differs.
    """
    try:
        if path.is_dir():
            raise DataError(f"{dataset}: {path} is a folder, not a file")
        if path.exists() and not path.is_file():
            raise DataError(f"{dataset}: {path} is a pipe or a device: write it to a file first")
        if not path.is_file():
            raise DataError(f"{dataset}: {path} is missing; {how_to_get}")
        size = path.stat().st_size
        if largest is not None and size > largest:
            raise DataError(f"{dataset}: {path} has {size} bytes, it may have {largest}")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{dataset}: {path} cannot be read: {reason}") from error
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256:
        raise DataError(f"{dataset}: {path} is damaged: its SHA-256 is {digest}, it must be {sha256}")
    return content


@contextmanager
def parsing(path: Path, dataset: str) -> Iterator[None]:
    """Raise DataError, with the name of the file, for whatever the parsers of Pillow stumble over."""
    try:
        yield
    except Exception as error:
        raise DataError(f"{dataset}: {path} cannot be read as a picture: {error}") from error


def picture(content: bytes, path: Path, dataset: str, *, largest: int | None = None) -> Image:
    """A picture from the content of a file.

    Raises: DataError when it is none or has more than `largest` pixels, ImportError without Pillow.
    """
    import io
    import warnings

    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError("pictures are read by Pillow: pip install 'pdegcnn[notebooks]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Image.DecompressionBombWarning
            )  # of this size they are refused below
            image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        reason = (
            f"{error}"
            if largest is None
            else f"it may have {largest / 1e6:g} million pixels: make it smaller"
        )
        raise DataError(f"{dataset}: {path} is too large, {reason}") from error
    # Pillow passes on whatever its parsers stumble over, and its word on a format that it does not know is the
    # address of a buffer.
    except Exception as error:
        reason = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise DataError(f"{dataset}: {path} cannot be read as a picture{reason}") from error
    if largest is not None and image.width * image.height > largest:
        raise DataError(
            f"{dataset}: {path} has {image.width} x {image.height} pixels, it may have {largest / 1e6:g} million: "
            "make it smaller"
        )
    with parsing(path, dataset):
        image.load()
    return image
