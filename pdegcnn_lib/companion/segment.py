"""A trained network applied to a reader's own pictures: masks, probabilities and overlays, picture by picture."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data import DataError, fundus
from pdegcnn_lib.companion.data.files import checked_bytes, picture
from pdegcnn_lib.companion.experiments import load_model
from pdegcnn_lib.models.tiling import apply_tiled

DEFAULT_MODEL = "vessels/vessels-pdegcnn12"
FIELD_DIAMETER = 455.0  # of the eye in the pictures that the vessel networks were trained on, in pixels
OVERLAY = (230, 159, 0)  # the orange of the book's figures
CORE = 512  # pixels of a tile's side: bounds the memory, changes nothing else


def read(path: Path) -> Tensor:
    """A picture as `[3, H, W]` in [0, 1], turned as its camera says; grey and 16-bit pictures too.

    Raises: DataError for a file that is missing or no picture.
    """
    from PIL import ImageOps

    image = ImageOps.exif_transpose(
        picture(checked_bytes(path, None, "picture", "check its name"), path, "picture")
    )
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        grey = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
        return torch.from_numpy(grey).float().expand(3, -1, -1)
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 255


def natural_scale(field: Tensor) -> float:
    """The factor that brings the eye in a photograph to the size of training; 1 for a picture without a frame."""
    if field.all():
        return 1.0
    return FIELD_DIAMETER / (2 * math.sqrt(int(field.sum()) / math.pi))


def load(result: Path) -> tuple[nn.Module, dict[str, Any]]:
    """A trained network with the record of its training, as `probability` takes them."""
    return load_model(result), json.loads(result.read_text())


def prepare(record: Mapping[str, Any], rgb: Tensor, *, scale: float | None = None) -> tuple[Tensor, Tensor]:
    """A picture as a network was shown its training images, and the field of view: `[3, H, W]` -> two tensors.

    The picture is brought to the scale of training (`scale`; by default `natural_scale` for vessels, 1 for lines):
    `[Cin, H', W']`. The field `[H, W]` stays at the size of the picture. `record` is the result of the network.
    """
    of_an_eye = record["experiment"].startswith("vessels")
    field = fundus.field_of_view(rgb) if of_an_eye else torch.ones(rgb.shape[1:], dtype=torch.bool)
    factor = scale if scale is not None else natural_scale(field) if of_an_eye else 1.0
    height, width = (max(8, round(n * factor)) for n in rgb.shape[1:])
    small = resized(rgb, height, width)
    if not of_an_eye:
        return small.mean(dim=0, keepdim=True), field
    inside = resized(field[None].float(), height, width)[0] >= 0.5
    mode = "green" if record["in_channels"] == 1 else "rgb"
    return fundus.standardise(fundus.channels(small, mode), inside), field


def probability(
    model: nn.Module, record: Mapping[str, Any], rgb: Tensor, *, scale: float | None = None, core: int = CORE
) -> Tensor:
    """The probability of a vessel or line at every pixel, 0 outside the field of view.

    The picture is prepared (`prepare`), segmented tile by tile, and brought back to its size. `record` is the result
    that the network comes from. Shapes: `[3, H, W]` -> `[H, W]`.
    """
    image, field = prepare(record, rgb, scale=scale)
    logits = apply_tiled(model, image, core=core)
    back = resized(torch.sigmoid(logits), *rgb.shape[1:])[0]
    return torch.where(field, back, torch.zeros_like(back))


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """A picture at another size, smoothed where it shrinks: `[C, H, W]` -> `[C, height, width]`."""
    if x.shape[1:] == (height, width):
        return x
    return functional.interpolate(
        x[None], (height, width), mode="bilinear", align_corners=False, antialias=True
    )[0]


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def threshold(record: Mapping[str, Any]) -> float:
    """The probability from which a network calls a pixel a vessel or line: what its training images chose, or 1/2."""
    return record.get("metrics", {}).get("threshold", 0.5)


def write(rgb: Tensor, found: Tensor, stem: Path, *, at: float = 0.5) -> list[Path]:
    """The mask from the probability `at` on, the probability (0 to 255) and an overlay, written atomically as PNG."""
    mask = (found >= at).numpy()
    image = (rgb.permute(1, 2, 0) * 255).round().byte().numpy()
    overlay = np.where(mask[..., None], np.array(OVERLAY, dtype=np.uint8), image)
    pictures = {
        "mask": mask.astype(np.uint8) * 255,
        "probability": (found * 255).round().byte().numpy(),
        "overlay": overlay,
    }
    return [
        paths.write_atomically(stem.with_name(f"{stem.name}_{kind}.png"), _png(pixels))
        for kind, pixels in pictures.items()
    ]


def stems(images: list[Path], out: Path) -> dict[Path, Path]:
    """Where the results of each picture go. Raises: ValueError when two would be written to the same files."""
    places: dict[Path, Path] = {}
    for image in images:
        place = out / image.stem
        if place in places.values():
            raise ValueError(
                f"the results of two pictures named {image.stem!r} would overwrite each other in {out}"
            )
        places[image] = place
    return places


def run(
    images: list[Path], out: Path, result: Path, *, scale: float | None = None
) -> Iterator[tuple[Path, str]]:
    """Segment pictures one after the other; yields each with what went wrong, an empty text where nothing did."""
    from tqdm import tqdm

    if scale is not None and not 0 < scale <= 8:
        raise ValueError(f"scale must be positive and at most 8, got {scale}")
    model, record = load(result)
    for image, stem in tqdm(stems(images, out).items(), desc="pictures", leave=False):
        try:
            rgb = read(image)
            found = probability(model, record, rgb, scale=scale)
        except DataError as error:
            yield image, str(error)
            continue
        write(rgb, found, stem, at=threshold(record))
        yield image, ""
