"""Compiled operators: the CUDA source in `kernels_cu/`, run by CuPy on a GPU and by a C++ compiler on the host.

Importing this package compiles nothing and needs no compiler; the first call of an operator does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.geometry.autocast import autocast
from pdegcnn_lib.geometry.checks import transformed
from pdegcnn_lib.geometry.constant import name_of
from pdegcnn_lib.ops import reference
from pdegcnn_lib.ops.compiled import device, host, library, tables
from pdegcnn_lib.ops.compiled.convolution import SEMIRINGS
from pdegcnn_lib.ops.compiled.machines import SCALARS
from pdegcnn_lib.ops.compiled.transforms import apply, by_law, forward_mode
from pdegcnn_lib.spaces import Space

__all__ = [
    "availability",
    "evolution",
    "kernel_table",
    "normalised_linear",
    "projection",
    "refused_options",
    "semiring_convolution",
    "shift",
]


def availability() -> dict[str, str | None]:
    """For `cpu` and `cuda` None when it can be used here, otherwise the reason, in words that say what to install.

    Found out by use: a small kernel is compiled, unless it is kept from another time, and run.
    """
    return {"cpu": host.unavailable(), "cuda": device.unavailable()}


def refused_options(backend: str) -> str | None:
    """Options of the user's own that alone keep a backend from working, see `host.refused_options`."""
    return host.refused_options() if backend == "cpu" else None


def semiring_convolution(
    f: Tensor, k: Tensor, semiring: str, backend: str, lists: list[int] | None = None
) -> Tensor:
    r"""The convolution over a semiring, see `ops.reference.semiring_convolution` for the law.

    Orientations are periodic, taps outside the image are left out, the first of equal taps in the order (i, j, l)
    takes the gradient, a NaN spreads and infinities stay. 16-bit storage is computed in float32.

    Shapes: `f [B, C, Or, H, W]`, `k [C, Or, KOr, KH, KW]` with odd sizes and KOr <= Or -> as f; with lists, in which
    every volume stands among those that it reads, `f [B, C, O, Z, H, W]`, `k [C, O, S, KZ, KH, KW]` -> as f.
    Raises: ValueError for an unknown semiring or a tensor that is not on the backend's device, TypeError for a dtype
    without a kernel.
    """
    if semiring not in SEMIRINGS:
        raise ValueError(f"semiring must be one of {', '.join(SEMIRINGS)}, got {semiring!r}")
    _on(backend, f, k)
    # Inside `torch.func` a tensor does not tell whether an outer transformation differentiates it.
    differentiated = torch.is_grad_enabled() and (f.requires_grad or k.requires_grad or transformed())
    if differentiated and semiring in ("max_plus", "min_plus") and not by_law():
        return apply(library.tropical_convolution, f, k, semiring, lists)[0]
    return apply(library.semiring_convolution, f, k, semiring, lists)


def evolution(
    f: Tensor, displacement: Tensor, dilating: Tensor, eroding: Tensor, backend: str
) -> Tensor | None:
    r"""f shifted, dilated and eroded by one operator, bit for bit what the three give one after the other.

    None where they are to do it: where nothing is differentiated, so that no winning taps need be kept, and under
    tangents and the transformations of `torch.func`.

    Shapes: `f [B, C, Or, H, W]`, `displacement [C, Or, 3]`, `dilating, eroding [C, Or, KOr, KH, KW]` -> as f.
    Raises: as `semiring_convolution`.
    """
    _on(backend, f, displacement, dilating, eroding)
    differentiated = any(x.requires_grad for x in (f, displacement, dilating, eroding))
    if not (differentiated and torch.is_grad_enabled()) or forward_mode() or transformed():
        return None
    return library.evolve(f, displacement, dilating, eroding)[0]


def normalised_linear(
    f: Tensor, w: Tensor, gain: Tensor, offset: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    r"""The batch normalisation of w f with the mean `[C]` and the covariance `[C, C]` of the channels of f.

    None where torch's own operators are to do it: for other types than float32 and float64, for one value per channel,
    for more than 128 channels, whose products take more memory than they do, under autocast and under the
    transformations of `torch.func`.
    """
    supported = f.dtype in (torch.float32, torch.float64) and f.shape[1] < f.numel() and f.shape[1] <= 128
    alike = w.dtype == gain.dtype == offset.dtype == f.dtype
    if not supported or not alike or autocast(f.device) or forward_mode() or transformed():
        return None
    return library.normalised_linear(f, w, gain, offset, eps)


def projection(f: Tensor) -> Tensor:
    """The maximum over the third axis, `[B, C, N, ...]` -> `[B, C, ...]`; equal maxima share the gradient."""
    # Torch's maximum is as fast as memory, its gradient keeps masks of equality. On a GPU that is not felt.
    differentiated = torch.is_grad_enabled() and f.requires_grad
    if not differentiated or f.device.type != "cpu" or f.dtype not in SCALARS:
        return reference.projection(f)
    return apply(library.projection, f)


def shift(f: Tensor, displacement: Tensor, backend: str, periodic: bool = True) -> Tensor:
    r"""The input displaced by a constant vector per channel and plane, see `ops.reference.shift` for the law.

    Shapes: `f [B, C, Z, H, W]`, `displacement [C, Z, 3] = (dx, dy, dz)` in pixels and planes -> as f.
    Raises: as `semiring_convolution`.
    """
    _on(backend, f, displacement)
    return apply(library.shift, f, displacement, periodic)


def kernel_table(
    w: Tensor,
    law: str,
    alpha: float,
    window: tuple[int, ...],
    space: Space,
    t: float,
    estimate: str,
    metric: str,
    backend: str,
) -> Tensor | None:
    r"""The kernel of metrics of a kind in one launch, or None where there is no formula for this alpha and t.

    `law` is `morphological` or `diffusion`, see `kernels.morphological_kernel` and `kernels.diffusion_kernel`, which
    also say what the arguments may be, and `metric` a `Metric.kind`; nothing of that is checked here.

    Shapes: `w [C, numbers]`, parameters of metrics, float32 or float64, differentiable -> `[C, *kernels, *window]`.
    Raises: ValueError for a tensor that is not on the backend's device.
    """
    if tables.formula(law, alpha, space.dim, t, w.dtype) is None:
        return None
    _on(backend, w)
    return apply(library.kernel_table, w, law, name_of(space), list(window), alpha, t, estimate, metric)


def _on(backend: str, *tensors: Tensor) -> None:
    for x in tensors:
        if x.device.type != backend:
            raise ValueError(f"backend {backend!r} needs tensors on that device, got a tensor on {x.device}")
