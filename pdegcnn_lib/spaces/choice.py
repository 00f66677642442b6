"""The space where none is named: by the rank of features, or M2 by its number of orientations."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pdegcnn_lib.geometry.checks import sizes
from pdegcnn_lib.spaces.base import Space
from pdegcnn_lib.spaces.flat import Plane
from pdegcnn_lib.spaces.m3 import M3
from pdegcnn_lib.spaces.slices import M2


def of_features(f: Any) -> Space:
    """The space that features are taken to live on where none is named: by their rank: five axes are M2, six M3."""
    if not isinstance(f, Tensor):
        raise TypeError(f"f must be a torch.Tensor, got {type(f).__name__}")
    if f.ndim == 6:
        return M3(sizes(f)[2])
    return M2(sizes(f)[2]) if f.ndim == 5 else Plane()


def chosen(space: Space | None, orientations: int | None) -> Space:
    """The space that two arguments name: itself, or M2 by its number of orientations; M2(8) where both are None.

    Raises: TypeError for anything else, ValueError where both are given.
    """
    if space is None:
        return M2() if orientations is None else M2(orientations)
    if not isinstance(space, Space):
        raise TypeError(f"space must be one of pdegcnn_lib.spaces, such as M2(8) or Plane(), got {space!r}")
    if orientations is not None:
        raise ValueError(
            f"orientations = {orientations} is short for a space, and {space} was given beside it"
        )
    return space
