"""Checks of operator arguments: each raises with the name of the argument, what it got and what is allowed."""

from __future__ import annotations

import torch
from torch import Tensor


def floating(name: str, x: Tensor, ndim: int, shape: str) -> Tensor:
    """Return `x` if it is a floating tensor with `ndim` axes; raise otherwise, quoting `shape`."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(f"{name} must be a floating point tensor, got dtype {x.dtype}")
    if x.ndim != ndim:
        raise ValueError(f"{name} must have shape {shape}, got {list(x.shape)}")
    return x


def alike(name: str, x: Tensor, f: Tensor) -> None:
    """Raise unless `x` has the device of `f` and, outside autocast, its dtype."""
    if x.dtype != f.dtype and not autocast(f):
        raise TypeError(f"{name} must have the dtype of f, {f.dtype}, got {x.dtype}")
    if x.device != f.device:
        raise ValueError(f"{name} must be on the device of f, {f.device}, got {x.device}")


def autocast(f: Tensor) -> bool:
    """Whether autocast is on for the device of `f`."""
    device = f.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def channelwise(f: Tensor, k: Tensor) -> None:
    """Raise unless f is `[B, C, Or, H, W]` and k a channel-wise kernel `[C, Or, KOr, KH, KW]` that fits it."""
    floating("f", f, 5, "[B, C, Or, H, W]")
    floating("k", k, 5, "[C, Or, KOr, KH, KW]")
    alike("k", k, f)
    if k.shape[:2] != f.shape[1:3]:
        raise ValueError(f"k must start with [C, Or] = {list(f.shape[1:3])} as f does, got {list(k.shape)}")
    odd_window(k.shape[2:], f.shape[2])


def odd_window(window: tuple[int, ...], orientations: int | None = None) -> None:
    """Raise unless all window sizes are odd and the first, if `orientations` is given, fits the circle."""
    if any(n % 2 == 0 for n in window):
        raise ValueError(f"the window of k must be odd in every axis, got {list(window)}")
    if orientations is not None and window[0] > orientations:
        raise ValueError(
            f"the window of k must span at most Or = {orientations} orientations, got KOr = {window[0]}"
        )
