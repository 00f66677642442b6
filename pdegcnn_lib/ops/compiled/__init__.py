"""Compiled operators: the CUDA source in `kernels_cu/`, run by CuPy on a GPU and by a C++ compiler on the host.

Importing this package compiles nothing and needs no compiler; the first call of an operator does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.ops.compiled import device, host, library
from pdegcnn_lib.ops.compiled.convolution import SEMIRINGS
from pdegcnn_lib.ops.compiled.tables import ESTIMATES

__all__ = ["availability", "morphological_table", "semiring_convolution", "shift"]


def availability() -> dict[str, str | None]:
    """For `cpu` and `cuda` None when it can be used here, otherwise the reason, in words that say what to install."""
    return {"cpu": host.unavailable(), "cuda": device.unavailable()}


def semiring_convolution(f: Tensor, k: Tensor, semiring: str, backend: str) -> Tensor:
    r"""The group convolution over a semiring, see `ops.reference.semiring_convolution` for the law.

    Orientations are periodic, taps outside the image are left out, the first of equal taps in the order (i, j, l)
    takes the gradient, a NaN spreads and infinities stay. 16-bit storage is computed in float32.

    Shapes: `f [B, C, Or, H, W]`, `k [C, Or, KOr, KH, KW]` with odd sizes and KOr <= Or -> as f.
    Raises: ValueError for an unknown semiring or a tensor that is not on the backend's device, TypeError for a dtype
    without a kernel, RuntimeError for a second derivative.
    """
    if semiring not in SEMIRINGS:
        raise ValueError(f"semiring must be one of {', '.join(SEMIRINGS)}, got {semiring!r}")
    _on(backend, f, k)
    differentiated = torch.is_grad_enabled() and (f.requires_grad or k.requires_grad)
    if differentiated and semiring in ("max_plus", "min_plus"):
        return library.tropical_convolution(f, k, semiring)[0]
    return library.semiring_convolution(f, k, semiring)


def shift(f: Tensor, displacement: Tensor, backend: str) -> Tensor:
    r"""The input displaced by a constant vector per channel and orientation, see `ops.reference.shift` for the law.

    Shapes: `f [B, C, Or, H, W]`, `displacement [C, Or, 3] = (dx, dy, ds)` in pixels and orientation steps -> as f.
    Raises: as `semiring_convolution`.
    """
    _on(backend, f, displacement)
    return library.shift(f, displacement)


def morphological_table(
    w: Tensor,
    alpha: float,
    window: tuple[int, int, int],
    orientations: int,
    t: float,
    estimate: str,
    backend: str,
) -> Tensor:
    r"""The morphological kernel of diagonal metrics in one launch, see `kernels.morphological_kernel` for the law.

    Shapes: `w [C, 3]` positive, float32 or float64, differentiable -> `[C, Or, KOr, KH, KW]`; 1/2 < alpha <= 1.
    Raises: ValueError for an unknown estimate, an alpha or t out of range or a tensor that is not on the backend's
    device, TypeError for a 16-bit w, RuntimeError for a second derivative.
    """
    if estimate not in ESTIMATES:
        raise ValueError(f"estimate must be one of {', '.join(ESTIMATES)}, got {estimate!r}")
    if not 0.5 < alpha <= 1:
        raise ValueError(f"alpha must be in (1/2, 1] for a table, got {alpha}")
    if not 0 < t < float("inf"):
        raise ValueError(f"t must be positive and finite, got {t}")
    if w.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"w must be float32 or float64, got {w.dtype}")
    _on(backend, w)
    return library.morphological_table(w, list(window), orientations, float(alpha), float(t), estimate)


def _on(backend: str, *tensors: Tensor) -> None:
    for x in tensors:
        if x.device.type != backend:
            raise ValueError(f"backend {backend!r} needs tensors on that device, got a tensor on {x.device}")
