"""Photographs of the retina: where the eye is in the picture, and a scale on which all pictures are alike."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

DARK = 0.08  # the red channel of the frame around the eye stays below this
MODES = ("green", "rgb")


def field_of_view(rgb: Tensor) -> Tensor:
    """The part of a photograph that shows the eye: the bright region within the dark frame, without holes.

    The red channel, smoothed over 5 x 5 pixels, is brighter than the frame everywhere in the eye. Of the bright
    regions the largest counts. A picture without a dark corner has no frame, and all of it is the field.

    Shapes: `[3, H, W]` in [0, 1] -> bool `[H, W]`. Raises: ImportError when SciPy is not installed.
    """
    try:
        from scipy import ndimage
    except ImportError as error:
        raise ImportError("the field of view needs SciPy: pip install 'pdegcnn[notebooks]'") from error
    red = ndimage.uniform_filter(rgb[0].double().numpy(), size=5, mode="nearest")
    bright = red > DARK
    if bright[:: bright.shape[0] - 1, :: bright.shape[1] - 1].all():
        return torch.ones(bright.shape, dtype=torch.bool)
    regions, count = ndimage.label(bright)
    if count == 0:
        return torch.ones(bright.shape, dtype=torch.bool)
    largest = 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    return torch.from_numpy(ndimage.binary_fill_holes(regions == largest))


def channels(rgb: Tensor, mode: str) -> Tensor:
    """The green channel alone, in which vessels show best, or all three: `[3, H, W]` -> `[1, H, W]` or `[3, H, W]`."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    return rgb[1:2] if mode == "green" else rgb


def standardise(image: Tensor, field: Tensor) -> Tensor:
    """Every channel shifted and scaled to mean 0 and deviation 1 inside the field of view, and 0 outside.

    The frame then has the mean brightness of the eye, so its edge is no vessel.
    Shapes: `image [C, H, W]`, `field [H, W]` -> `[C, H, W]`. Raises: ValueError for an empty field.
    """
    if not field.any():
        raise ValueError("field must hold at least one pixel, got an empty one")
    inside = image[:, field]
    mean, deviation = inside.mean(dim=1), inside.std(dim=1, correction=0).clamp(min=1e-6)
    scaled = (image - mean[:, None, None]) / deviation[:, None, None]
    return torch.where(field, scaled, torch.zeros_like(scaled))
