"""Files of a data set: present, undamaged, or one sentence that says what is wrong and how to mend it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pdegcnn_lib.companion.data.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


def checked_bytes(path: Path, sha256: str | None, dataset: str, how_to_get: str) -> bytes:
    """The content of a file, held against its checksum where one is known.

    Raises: DataError for a missing file, with `how_to_get` it, and for one whose SHA-256 differs.
    """
    if not path.is_file():
        raise DataError(f"{dataset}: {path} is missing; {how_to_get}")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256:
        raise DataError(f"{dataset}: {path} is damaged: its SHA-256 is {digest}, it must be {sha256}")
    return content


def picture(content: bytes, path: Path, dataset: str) -> Image:
    """A picture from the content of a file. Raises: DataError when it is none, ImportError without Pillow."""
    import io

    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError("pictures are read by Pillow: pip install 'pdegcnn[notebooks]'") from error
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        # Pillow's word on a format that it does not know is the address of a buffer.
        reason = "" if isinstance(error, UnidentifiedImageError) else f": {error}"
        raise DataError(f"{dataset}: {path} cannot be read as a picture{reason}") from error
    return image
