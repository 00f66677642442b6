"""Argument checks of the geometry and kernel layers: each raises with the name, the value and what is allowed."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch._subclasses import FakeTensor

from pdegcnn_lib.geometry.constant import taken_as_found


def last_axis(name: str, x: Tensor, size: int) -> Tensor:
    """Return `x` if it is a real floating tensor whose last axis has length `size`; raise otherwise."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(f"{name} must be a floating point tensor, got dtype {x.dtype}")
    if x.ndim == 0 or x.shape[-1] != size:
        raise ValueError(f"{name} must have shape [..., {size}], got {list(x.shape)}")
    return x


@taken_as_found
def transformed() -> bool:
    """Whether the call is inside `torch.func`: grad, vjp, vmap, jacrev."""
    return torch._C._are_functorch_transforms_active()


def has_values(x: Tensor) -> bool:
    """Whether the entries of `x` can be looked at: not while it is traced, mapped over, on meta or fake."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing() or transformed()
    return not (traced or x.is_meta or isinstance(x, FakeTensor))


def sizes(x: Tensor) -> tuple[int, ...]:
    """The shape of a parameter as integers, which `torch.jit.trace` would make tensors of, as if it could change."""
    if not torch.jit.is_tracing():
        return tuple(x.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        return tuple(int(n) for n in x.shape)


def positive(name: str, x: Tensor) -> Tensor:
    """Return `x` if all entries are positive and finite; raise otherwise. Left out where there are no values."""
    if not has_values(x):
        return x
    bad = ~(torch.isfinite(x) & (x > 0))
    if bad.any():
        index = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{name} must be positive and finite, got {x[tuple(index)].item():g} at index {index}"
        )
    return x
