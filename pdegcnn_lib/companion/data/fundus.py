"""Photographs of the retina: where the eye is in the picture, and a scale on which all pictures are alike."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

DARK = 0.08  # the red channel of the frame around the eye stays below this
RIM = 6  # pixels
MODES = ("green", "rgb")
SIGMA = 12.0  # pixels of the surroundings that a picture is measured by


def field_of_view(rgb: Tensor) -> Tensor:
    """The part of a photograph that shows the eye: the bright region within the dark frame, without holes.

    The red channel, smoothed over 5 x 5 pixels, is brighter than the frame everywhere in the eye. Of the bright
    regions the largest counts, less a rim of a few pixels in which the light fades. A picture without a dark corner has
    no frame, and all of it is the field.

    Shapes: `[3, H, W]` in [0, 1] -> bool `[H, W]`. Raises: ImportError when SciPy is not installed.
    """
    try:
        from scipy import ndimage
    except ImportError as error:
        raise ImportError("the field of view needs SciPy: pip install 'pdegcnn[notebooks]'") from error
    red = ndimage.uniform_filter(rgb[0].double().numpy(), size=5, mode="nearest")
    bright = red > DARK
    if bright[np.ix_([0, -1], [0, -1])].all():
        return torch.ones(bright.shape, dtype=torch.bool)
    regions, count = ndimage.label(bright)
    if count == 0:
        return torch.ones(bright.shape, dtype=torch.bool)
    largest = 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    whole = ndimage.binary_fill_holes(regions == largest)
    return torch.from_numpy(ndimage.binary_erosion(whole, iterations=RIM))


def channels(rgb: Tensor, mode: str) -> Tensor:
    """The green channel alone, in which vessels show best, or all three: `[3, H, W]` -> `[1, H, W]` or `[3, H, W]`."""
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    return rgb[1:2] if mode == "green" else rgb


def standardise(image: Tensor, field: Tensor, *, sigma: float = SIGMA) -> Tensor:
    r"""Every channel relative to its surroundings: without their mean, in units of their deviation.

    $$out = \frac{f - \mu}{\sqrt{(s^2 + \bar s^2)/2}}, \qquad \mu = \frac{G * (m f)}{G * m}, \qquad
      s^2 = \frac{G * (m (f - \mu)^2)}{G * m}$$

    m is the field of view, G a Gaussian of `sigma` pixels, wide against a vessel and narrow against the eye, so the
    light and shadow of the camera go and vessels stay; $\bar s^2$ is the mean of $s^2$ in the field, which keeps flat
    parts from being blown up. Outside the field the result is 0, so its edge is no vessel. The Gaussian is isotropic:
    the step commutes with roto-translations.
    Shapes: `image [C, H, W]`, `field [H, W]` -> `[C, H, W]`. Raises: ValueError for an empty field.
    """
    from scipy import ndimage

    if not field.any():
        raise ValueError("field must hold at least one pixel, got an empty one")

    def blurred(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, sigma=(0, sigma, sigma), mode="constant")

    f, inside = image.double().numpy(), field.numpy()
    m = inside[None].astype(float)
    weight = np.maximum(blurred(m), 1e-6)
    centred = m * (f - blurred(m * f) / weight)
    local = blurred(centred**2) / weight
    everywhere = np.maximum(local[:, inside].mean(axis=1), 1e-12)[:, None, None]
    return torch.from_numpy(centred / np.sqrt((local + everywhere) / 2)).to(image.dtype)
