"""Which implementation of an operator runs: the choice is made in this file alone."""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor

BACKENDS = ("reference", "cpu", "cuda")


def availability() -> dict[str, str | None]:
    """For each backend None when it can be used here, otherwise the reason, in words that say what to install."""
    from pdegcnn_lib.ops import compiled

    return {"reference": None, **compiled.availability()}


# What runs here does not change while a process lives, so torch.compile need not trace how it is found out.
@torch.compiler.assume_constant_result
def _reason(backend: str) -> str | None:
    return availability()[backend]


@torch.compiler.assume_constant_result
def _usable(backend: str) -> bool:
    return _reason_with_one_warning(backend) is None


@cache
def _reason_with_one_warning(backend: str) -> str | None:
    from pdegcnn_lib.ops import compiled

    reason = _reason(backend)
    if reason is not None:
        if refused := compiled.refused_options(backend):
            raise RuntimeError(f"CXX asks for {refused}, which its compiler refuses: {reason}")
        warnings.warn(
            f"the {backend} backend is not available: {reason}; the reference backend runs instead, slower",
            RuntimeWarning,
            stacklevel=2,
        )
    return reason


def choose(backend: str | None, f: Tensor) -> str:
    """The backend that will run for input `f`.

    None takes the compiled backend of the tensor's device, or the reference with one warning where that is not
    available. A name is taken at its word: it raises where it cannot run.
    Raises: ValueError for an unknown name or a device that does not fit, RuntimeError for an unavailable backend.
    """
    if backend is None:
        native = f.device.type
        return native if native in ("cpu", "cuda") and _usable(native) else "reference"
    if backend not in BACKENDS:
        raise ValueError(f"backend must be None or one of {', '.join(BACKENDS)}, got {backend!r}")
    if backend != "reference":
        if f.device.type != backend:
            raise ValueError(f"backend {backend!r} needs tensors on that device, got a tensor on {f.device}")
        reason = _reason(backend)
        if reason is not None:
            raise RuntimeError(f"backend {backend!r} is not available: {reason}")
    return backend
