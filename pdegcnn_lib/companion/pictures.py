"""A reader's own pictures: what is read from them, and results that replace nothing of the reader's."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data import DataError
from pdegcnn_lib.companion.data.files import checked_bytes, picture

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 64_000_000  # pixels, of a picture and of what a scale makes of it: bounds memory and time
LARGEST_FILE = 1 << 30  # bytes
SIGNED = 2  # of the SampleFormats of TIFF
MARK = "pdegcnn segment"  # the text of a PNG that holds the digest of its pixels: a result, unchanged since


def read(path: Path, remarks: list[str] | None = None) -> Tensor:
    """A picture as `[3, H, W]` in [0, 1], turned as its camera says; white is 1 at every depth of bits.

    What a reader should know of it is added to `remarks`: further pages, damaged EXIF, a depth that is not used.
    Raises: DataError for a file that is missing, no picture or a result of this command, for one of more than
    LARGEST pixels, and for values that are not finite or, of floats, not in [0, 1].
    """
    said = remarks if remarks is not None else []
    content = checked_bytes(path, None, "picture", "check its name", largest=LARGEST_FILE)
    image = picture(content, path, "picture", largest=LARGEST)
    if _is_result(image):
        raise DataError(f"picture: {path} is itself a result of `pdegcnn`")
    if (pages := _pages(image)) > 1:
        advice = ": --model with a network of volumes takes all" if image.format == "TIFF" else ""
        said.append(f"page 1 of {pages}, the others are left out{advice}")
    white, dark, cut = _white(image), _counts_darkness(image), _loses_bits(image, content)
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        said.append("its transparency is left out")
    image = _upright(image, said)
    if white is None:
        if image.mode == "P":  # one with transparent entries turns into colours by way of these alone
            image = image.convert("RGBA")
        pixels = np.array(image.convert("RGB"))
        if cut and (high := int(pixels.max())) < 16:
            said.append(
                f"no value above {256 * high + 255} of 65535, which leaves {high + 1} levels of 256: scale it first "
                "if it was made with fewer bits"
            )
        return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    values = np.asarray(image, dtype=np.float64)
    if wrong := int((~np.isfinite(values)).sum()):
        raise DataError(f"picture: {path} has values that are not finite, {wrong} of {values.size}")
    low, high = values.min(), values.max()
    if low < 0 or high > white:
        raise DataError(f"picture: {path} must have values from 0 to {white:g}, got {low:g} to {high:g}")
    if white > 255 and high <= white / 16:
        said.append(f"no value above {high:g} of {white:g}: scale it first if it was made with fewer bits")
    return torch.from_numpy((white - values if dark else values) / white).float().expand(3, -1, -1)


def _white(image: Image) -> float | None:
    """The value of white in a grey picture of other than 8 bits without sign, 1 for floats; None for all others."""
    tags = _tags(image)  # BitsPerSample and SampleFormat
    [form, *_] = tags.get(339, (1,))
    if image.mode == "F":
        return 1.0
    if not image.mode.startswith("I"):
        return 127.0 if form == SIGNED and image.mode == "L" else None
    [bits, *_] = tags.get(258, (32 if image.mode == "I" and image.format not in ("PNG", "PPM") else 16,))
    return 2.0 ** (bits - (form == SIGNED or bits == 32)) - 1


def _counts_darkness(image: Image) -> bool:
    """Whether 0 is white in a grey picture that Pillow does not turn round itself, as it does up to 8 bits."""
    return _tags(image).get(262) == 0 and image.mode not in ("1", "L")  # PhotometricInterpretation


def _loses_bits(image: Image, content: bytes) -> bool:
    """Whether Pillow leaves out the lower 8 of 16 bits, as it does of colours."""
    # The header of a PNG says its depth, the BitsPerSample of a TIFF theirs.
    depth = content[24] if image.format == "PNG" else max(_tags(image).get(258, (8,)))
    return depth == 16 and not image.mode.startswith("I")


def _tags(image: Image) -> dict[int, Any]:
    """Those of a TIFF."""
    return getattr(image, "tag_v2", {})


def _pages(image: Image) -> int:
    try:
        return getattr(image, "n_frames", 1)
    except Exception:  # what follows the first page is damaged; Pillow has an exception for each way
        return 1


def _upright(image: Image, remarks: list[str]) -> Image:
    """The picture turned as its EXIF says. That is not the picture: where it is damaged, the picture is as it lies."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow passes on whatever its parsers stumble over
        remarks.append("its EXIF data are damaged, so it is not turned")
        return image


def digest(pixels: np.ndarray) -> str:
    """What a result carries of its own values, so that a change to them is seen."""
    return hashlib.sha256(f"{pixels.shape} {pixels.dtype} ".encode() + pixels.tobytes()).hexdigest()


def _is_result(image: Image) -> bool:
    mark = image.info.get(MARK) if image.format == "PNG" else None
    return mark is not None and mark == digest(np.asarray(image))


def _replaceable(path: Path, pixels: np.ndarray) -> bool:
    """Whether nothing of the reader's is lost if these pixels are written in the place of a file."""
    try:
        image = picture(checked_bytes(path, None, "picture", ""), path, "picture")
    except DataError:
        return False
    return _is_result(image) or (image.format == "PNG" and np.array_equal(np.asarray(image), pixels))


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image, PngImagePlugin

    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text(MARK, digest(pixels))
    Image.fromarray(pixels).save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()


def write(pictures: dict[Path, np.ndarray]) -> list[Path]:
    """Write pictures as PNG, as `put` does. A result that the reader has changed since is theirs too."""
    return put(pictures, _replaceable, lambda path, pixels: _png(pixels))


def put(
    results: dict[Path, np.ndarray],
    replaceable: Callable[[Path, np.ndarray], bool],
    encoded: Callable[[Path, np.ndarray], bytes],
) -> list[Path]:
    """Write results, each atomically: all of them, or none where one would replace what is not `replaceable`.

    Raises: DataError naming the file.
    """
    for path, values in results.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.lstat(path)  # raises for a name that is too long, too
        except FileNotFoundError:
            continue
        if not replaceable(path, values):
            raise DataError(f"{path} is there already and not a result of `pdegcnn`; choose another folder")
    return [paths.write_atomically(path, encoded(path, values)) for path, values in results.items()]
