"""A vessel crossing from the photograph of a healthy retina that comes with scikit-image.

The photograph is by Mikael Häggström, CC0 (Wikimedia Commons, "Fundus photograph of normal left eye").
"""

from __future__ import annotations

from importlib import resources

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

CENTRE = (1214, 588)  # row and column of the crossing in the full photograph


def photograph() -> Tensor:
    """The whole photograph, `[3, 1411, 1411]` in [0, 1]. Raises: ImportError when scikit-image is not installed."""
    try:
        from PIL import Image

        file = resources.files("skimage") / "data" / "retina.jpg"
    except ImportError as error:
        raise ImportError(
            "the photograph comes with scikit-image: pip install 'pdegcnn[notebooks]'"
        ) from error
    with file.open("rb") as stream:
        pixels = np.asarray(Image.open(stream))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).double() / 255


def crossing(size: int = 65) -> Tensor:
    """The crossing of an artery and a vein, `[size, size]` at half the resolution, bright vessels on 0, maximum 1.

    The green channel is inverted and its slow background, a wide local mean, is taken away.
    """
    green = 1 - photograph()[1]
    half = functional.avg_pool2d(green[None, None], 2)
    background = functional.avg_pool2d(half, 41, stride=1, padding=20, count_include_pad=False)
    row, column, reach = CENTRE[0] // 2, CENTRE[1] // 2, size // 2
    vessels = (half - background)[0, 0]
    patch = vessels[row - reach : row - reach + size, column - reach : column - reach + size].clamp(min=0)
    return patch / patch.max()
