"""Two-photon stacks of the vessels of a mouse's brain, from the reader's own copy of vesselNN (arXiv 1606.02382).

The stacks come without a licence file, so the book ships none. A folder has an image and a mask for every stack,
`NAME.tif` and `NAME_label.tif`, pages along z. Voxels are anisotropic, usually 1 x 1 x 5 micrometres, and the turns of
a cube are symmetries of cubes only: the stacks are brought to cubic voxels.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pdegcnn_lib.companion.data.errors import DataError
from pdegcnn_lib.companion.data.files import checked_bytes, parsing, picture
from pdegcnn_lib.companion.data.tubes import Volumes

NAME = "vesselNN"
HOW = "put the stacks of github.com/petteriTeikari/vesselNN_dataset there"
VOXEL = (5.0, 0.99, 0.99)  # along z, y, x in micrometres


def stack(path: Path) -> Tensor:
    """The pages of a TIFF as `[D, H, W]` in float32. Raises: DataError for a file that is no stack of grey pages."""
    image = picture(checked_bytes(path, None, NAME, HOW), path, NAME)
    pages = []
    with parsing(path, NAME), warnings.catch_warnings():
        warnings.simplefilter(
            "error", UserWarning
        )  # a page is read although its tags are cut off, with a warning
        for n in range(getattr(image, "n_frames", 1)):
            image.seek(n)
            pages.append(np.asarray(image))
    for n, page in enumerate(pages):
        if page.ndim != 2:
            raise DataError(f"{NAME}: page {n} of {path} must be grey, got the shape {list(page.shape)}")
    if len(pages) < 2:
        raise DataError(
            f"{NAME}: {path} must be a stack of at least 2 pages, got {len(pages)}: its axes are unclear"
        )
    return torch.from_numpy(np.stack(pages).astype(np.float32))


def cubic_shape(shape: Sequence[int], voxel: Sequence[float], size: float) -> list[int]:
    """The shape of a stack whose voxels of `voxel` (z, y, x) become cubes of `size`."""
    return [max(1, round(n * length / size)) for n, length in zip(shape, voxel, strict=True)]


def cubic(f: Tensor, voxel: Sequence[float] | None, size: float | None) -> Tensor:
    """A stack `[D, H, W]` with voxels of `voxel` (z, y, x) at cubic voxels of `size`, means where it shrinks.

    Raises: ValueError for anisotropic voxels without a size, or lengths that are not positive.
    """
    lengths = tuple(VOXEL if voxel is None else voxel)
    if len(lengths) != 3 or not all(length > 0 for length in lengths):
        raise ValueError(f"voxel must be three positive lengths (z, y, x), got {lengths}")
    if size is None:
        if max(lengths) > 1.01 * min(lengths):
            raise ValueError(
                f"voxels must be cubes, got {lengths}: give the size of the cubes that they are resampled to"
            )
        return f
    if not size > 0:
        raise ValueError(f"size must be positive, got {size}")
    target = cubic_shape(f.shape, lengths, size)
    plane = functional.interpolate(
        f[:, None], target[1:], mode="bilinear", antialias=True, align_corners=False
    )
    # The rows of a picture whose columns are z: smoothed along z alone.
    rows = plane[:, 0].flatten(1).T[None, None]
    along = functional.interpolate(
        rows, (rows.shape[2], target[0]), mode="bilinear", antialias=True, align_corners=False
    )
    return along[0, 0].T.reshape(target)


def load(folder: Path, *, voxel: Sequence[float] | None = None, size: float | None = 5.0) -> list[Volumes]:
    """Every stack of a folder with its mask, at cubic voxels of `size` micrometres, each standardised.

    `voxel` are the lengths of a voxel along z, y, x; by default the usual ones. A voxel belongs to a vessel where at
    least half of it does. Shapes: a list of volumes `[1, 1, D, H, W]`, since stacks differ in size.
    Raises: DataError for a folder without stacks, a missing mask or one of another size; ValueError as in `cubic`.
    """
    masks = sorted(folder.glob("*_label.tif"))
    if not masks:
        raise DataError(f"{NAME}: {folder} holds no *_label.tif; {HOW}")
    found = []
    for path in masks:
        image, mask = stack(path.with_name(path.name.replace("_label", ""))), stack(path)
        if image.shape != mask.shape:
            raise DataError(
                f"{NAME}: {path} must have the shape of its image, {list(image.shape)}, got {list(mask.shape)}"
            )
        f = cubic(image, voxel, size)
        truth = cubic((mask > 0).float(), voxel, size) >= 0.5
        f = (f - f.mean()) / f.std().clamp(min=1e-6)
        found.append(Volumes(f[None, None], truth[None, None]))
    return found
