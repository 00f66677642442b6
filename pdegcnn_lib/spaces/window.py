"""The window of a discrete convolution: odd sizes along each axis, centred on the point it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def check_odd(window: tuple[int, ...], names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the window as a tuple if it has an odd positive size for each of the axes named; raise otherwise."""
    expected = f"({', '.join(f'K{name}' for name in names)})"
    if not isinstance(window, Sequence) or len(window) != len(names):
        raise ValueError(f"window must be {expected}, got {window}")
    window = tuple(window)
    if not all(isinstance(n, int) and n > 0 and n % 2 == 1 for n in window):
        raise ValueError(f"window must be {expected} of odd positive integers, got {window}")
    return window


def offsets(
    size: int, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
) -> Tensor:
    """The offsets -size//2 ... size//2 of an odd window axis, `[size]`."""
    return torch.arange(size, dtype=dtype, device=device) - size // 2


def widest(size: int, most: int) -> int:
    """The largest odd number that is at most `size` and at most `most`."""
    most = min(size, most)
    return most - 1 + most % 2
