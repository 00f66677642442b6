"""Argument checks of the geometry and kernel layers: each raises with the name, the value and what is allowed."""

from __future__ import annotations

import torch
from torch import Tensor


def last_axis(name: str, x: Tensor, size: int) -> Tensor:
    """Return `x` if it is a real floating tensor whose last axis has length `size`; raise otherwise."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(f"{name} must be a floating point tensor, got dtype {x.dtype}")
    if x.ndim == 0 or x.shape[-1] != size:
        raise ValueError(f"{name} must have shape [..., {size}], got {list(x.shape)}")
    return x


def positive(name: str, x: Tensor) -> Tensor:
    """Return `x` if all entries are positive and finite; raise otherwise.

    A value check would stop the tracer of torch.compile, so it is left out there.
    """
    if torch.compiler.is_compiling():
        return x
    bad = ~(torch.isfinite(x) & (x > 0))
    if bad.any():
        index = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{name} must be positive and finite, got {x[tuple(index)].item():g} at index {index}"
        )
    return x
