"""Group actions on the pixel grid and measures of equivariance, for tests, notebooks and users' own layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pdegcnn_lib.spaces.turns import quarter_turn as quarter_turn


def relative_error(a: Tensor, b: Tensor) -> float:
    """The relative distance ||a - b|| / ||b - mean(b)||, 0 for equal tensors, sqrt(2) for unrelated alike ones."""
    scale = (b - b.mean()).norm()
    return float((a - b).norm() / scale) if scale > 0 else float((a - b).norm())


def equivariance_error(
    layer: Callable[[Tensor], Tensor], f: Tensor, turns: tuple[int, ...] = (1, 2, 3)
) -> dict[int, float]:
    r"""The relative error $\|\Phi(\rho_g f) - \rho_g \Phi(f)\| / \|\Phi(f) - \mathrm{mean}\|$ for quarter turns g.

    A map to features without positions is held to invariance. Modules should be in evaluation mode: in training mode
    dropout is random and batch statistics are shared.
    """
    with torch.no_grad():
        out = layer(f)
        return {n: relative_error(layer(quarter_turn(f, n)), quarter_turn(out, n)) for n in turns}


def assert_equivariant(layer: Callable[[Tensor], Tensor], f: Tensor, tolerance: float | None = None) -> None:
    """Raise AssertionError, with the error per element, unless the layer commutes with quarter turns.

    The default tolerance is that of rounding accumulated over a small network: 1e-5 in float32, 1e-12 in float64.
    """
    __tracebackhide__ = True
    if tolerance is None:
        tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[f.dtype]
    errors = equivariance_error(layer, f)
    if not all(error <= tolerance for error in errors.values()):
        report = ", ".join(f"{90 * n} degrees: {e:.2e}" for n, e in errors.items())
        raise AssertionError(f"not equivariant to {tolerance:g}: {report}")
