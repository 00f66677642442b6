"""The windows of M2 by their number of orientations: short forms of what `spaces.M2` and `spaces.Plane` answer."""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.spaces import M2, Plane
from pdegcnn_lib.spaces.window import offsets as offsets

Window = tuple[int, int, int]


def check_orientations(orientations: int) -> int:
    """Return the number of orientations if it is a positive integer; raise otherwise."""
    return M2(orientations).orientations


def check_window(window: tuple[int, ...], orientations: int | None = None) -> tuple[int, ...]:
    """Return the window if its sizes are odd and positive and it is not wider than the circle; raise otherwise.

    `window` is (KOr, KH, KW) with `orientations`, (KH, KW) without.
    """
    return (Plane() if orientations is None else M2(orientations)).check_window(window)


def default_window(orientations: int, size: int = 5) -> Window:
    """The window of `size` x `size` pixels and as many orientations, or as many as an odd window on the circle has.

    Shapes: -> (KOr, KH, KW); `default_window(8)` is (5, 5, 5), `default_window(4)` is (3, 5, 5).
    """
    k_or, k_h, k_w = M2(orientations).default_window(size)
    return k_or, k_h, k_w


def orientation_angles(
    orientations: int, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
) -> Tensor:
    r"""The sampled angles $\theta_i = 2\pi i/Or$ of the full circle, `[Or]`, in radians."""
    return M2(orientations).samples(dtype, device)


def relative_elements(
    window: Window, orientations: int, *, dtype: torch.dtype, device: torch.device | str | None = None
) -> Tensor:
    r"""The group elements $q^{-1} p$ of a window of M2, `[Or, KOr, KH, KW, 3]`; see `spaces.Slices`."""
    return M2(orientations).relative_elements(window, dtype=dtype, device=device)
