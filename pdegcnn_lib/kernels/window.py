"""The window of a discrete group convolution: which neighbours of a point it sees, and how they are related to it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdegcnn_lib.geometry import SE2

Window = tuple[int, int, int]


def check_orientations(orientations: int) -> int:
    """Return the number of orientations if it is a positive integer; raise otherwise."""
    if not isinstance(orientations, int) or isinstance(orientations, bool):
        raise TypeError(f"orientations must be an int, got {orientations!r}")
    if orientations < 1:
        raise ValueError(f"orientations must be at least 1, got {orientations}")
    return orientations


def check_window(window: tuple[int, ...], orientations: int | None = None) -> tuple[int, ...]:
    """Return the window if its sizes are odd and positive and it is not wider than the circle; raise otherwise.

    `window` is (KOr, KH, KW) with `orientations`, (KH, KW) without.
    """
    window = tuple(window)
    names = "(KH, KW)" if orientations is None else "(KOr, KH, KW)"
    if len(window) != len(names.split(",")):
        raise ValueError(f"window must be {names}, got {window}")
    if not all(isinstance(n, int) and n > 0 and n % 2 == 1 for n in window):
        raise ValueError(f"window must be {names} of odd positive integers, got {window}")
    if orientations is not None and window[0] > check_orientations(orientations):
        raise ValueError(
            f"window must not be wider than the circle of {orientations} orientations, got KOr = {window[0]}"
        )
    return window


def default_window(orientations: int, size: int = 5) -> Window:
    """The window of `size` x `size` pixels and as many orientations, or as many as an odd window on the circle has.

    Shapes: -> (KOr, KH, KW); `default_window(8)` is (5, 5, 5), `default_window(4)` is (3, 5, 5).
    """
    widest = check_orientations(orientations) - 1 + orientations % 2
    return min(size, widest), size, size


def orientation_angles(
    orientations: int, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
) -> Tensor:
    r"""The sampled angles $\theta_i = 2\pi i/Or$ of the full circle, `[Or]`, in radians."""
    steps = torch.arange(check_orientations(orientations), dtype=dtype, device=device)
    return steps * (2 * math.pi / orientations)


def offsets(
    size: int, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
) -> Tensor:
    """The offsets -size//2 ... size//2 of an odd window axis, `[size]`."""
    return torch.arange(size, dtype=dtype, device=device) - size // 2


def relative_elements(
    window: Window, orientations: int, *, dtype: torch.dtype, device: torch.device | str | None = None
) -> Tensor:
    r"""The group elements $q^{-1} p$ for a point $p = (0, 0, \theta_o)$ and every neighbour q in its window.

    The neighbour of tap (i, j, l) is $q = (l - KW/2,\; j - KH/2,\; \theta_o + (i - KOr/2)\,2\pi/Or)$, so
    $q^{-1}p = (-R_{\theta_q}^{-1}(x_q, y_q),\; -(i - KOr/2)\,2\pi/Or)$. A kernel of the continuous theory is sampled
    at these elements at every orientation; nothing is rotated by interpolation.

    Shapes: -> `[Or, KOr, KH, KW, 3]`, pixels and radians.
    """
    k_or, k_h, k_w = check_window(window, orientations)
    theta = orientation_angles(orientations, dtype=dtype, device=device)
    step = offsets(k_or, dtype=dtype, device=device) * (2 * math.pi / orientations)
    y, x = offsets(k_h, dtype=dtype, device=device), offsets(k_w, dtype=dtype, device=device)
    shape = (orientations, k_or, k_h, k_w)
    q = torch.stack(
        [
            x.expand(shape),
            y[:, None].expand(shape),
            (theta[:, None] + step)[:, :, None, None].expand(shape),
        ],
        dim=-1,
    )
    zero = torch.zeros_like(theta)
    p = torch.stack([zero, zero, theta], dim=-1)[:, None, None, None]
    relative = SE2.product(SE2.inverse(q), p)
    # The angle is known exactly; the product would return it with rounding, and on either side of the cut at pi.
    return torch.cat([relative[..., :2], -step[:, None, None].expand(shape)[..., None]], dim=-1)
