"""Checks of operator arguments: each raises with the name of the argument, what it got and what is allowed."""

from __future__ import annotations

from torch import Tensor

from pdegcnn_lib.geometry.autocast import autocast
from pdegcnn_lib.geometry.checks import sizes
from pdegcnn_lib.spaces import M2, Space, of_features


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
    if x.dtype != f.dtype and not autocast(f.device):
        raise TypeError(f"{name} must have the dtype of f, {f.dtype}, got {x.dtype}")
    if x.device != f.device:
        raise ValueError(f"{name} must be on the device of f, {f.device}, got {x.device}")


def beside(x: Tensor, f: Tensor) -> Tensor:
    """`x` in the dtype of f; under autocast as it is, where an operator takes it beside 16-bit features unrounded."""
    return x if x.dtype == f.dtype or autocast(f.device) else x.to(f.dtype)


def features(f: Tensor, space: Space | None, channels: str = "C") -> Space:
    """The space that f lives on, by its rank M2 or M3 where None is named; raise unless f fits it."""
    if space is None:
        space = of_features(f) if getattr(f, "ndim", 0) in (5, 6) else M2()
    floating("f", f, 2 + len(space.axes), space.shape().replace("C", channels, 1))
    if space.kernels and f.shape[2] != space.fibre:
        raise ValueError(f"f must have {space.axes[0]} = {space.fibre} on {space}, got {list(f.shape)}")
    return space


def channelwise(f: Tensor, k: Tensor, space: Space | None) -> Space:
    """The space of f, see `features`; raise unless k is a channel-wise kernel `[C, *kernels, *window]` that fits it."""
    space = features(f, space)
    first = 1 + len(space.kernels)
    floating("k", k, first + len(space.axes), space.shape("k"))
    alike("k", k, f)
    if k.shape[:first] != f.shape[1 : 1 + first]:
        names = f"[C, {space.axes[0]}] = {list(f.shape[1:3])}" if space.kernels else f"C = {f.shape[1]}"
        raise ValueError(f"k must start with {names} as f does, got {list(k.shape)}")
    if space.lists:
        space.check_window(sizes(k)[first:])
    odd_window(k.shape[first:], space.fibre if space.kernels else None, space.axes[0])
    return space


def convected(f: Tensor, g0: Tensor, space: Space | None, name: str = "g0") -> Space:
    """The space of f, see `features`; raise unless g0 has the numbers of a convection for each channel."""
    space = features(f, space)
    n = space.velocities
    floating(name, g0, 2, f"[C, {n}]")
    alike(name, g0, f)
    if g0.shape != (f.shape[1], n):
        raise ValueError(f"{name} must have shape [C, {n}] = {[f.shape[1], n]}, got {list(g0.shape)}")
    return space


def odd_window(window: tuple[int, ...], fibre: int | None = None, axis: str = "Or") -> None:
    """Raise unless all window sizes are odd and the first, if `fibre` is given, is at most that."""
    if any(n % 2 == 0 for n in window):
        raise ValueError(f"the window of k must be odd in every axis, got {list(window)}")
    if fibre is not None and window[0] > fibre:
        points = "orientations" if axis == "Or" else "points"
        raise ValueError(
            f"the window of k must span at most {axis} = {fibre} {points}, got K{axis} = {window[0]}"
        )
