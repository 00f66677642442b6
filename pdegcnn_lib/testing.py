"""Group actions on the pixel grid and measures of equivariance, for tests, notebooks and users' own layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def quarter_turn(f: Tensor, turns: int = 1) -> Tensor:
    r"""The action of a rotation by `turns` quarter turns about the image centre, exact on the grid.

    $(\rho_g f)(x) = f(R^{-1}x)$ on images, $(\rho_g f)(x, \theta) = f(R^{-1}x, \theta - \pi/2)$ on orientation scores;
    +x turns toward +y, which is clockwise on the screen.

    Shapes: `[B, C, H, W]` or `[B, C, Or, H, W]` with Or divisible by 4; anything of lower rank (features after pooling)
    is returned unchanged. Raises: ValueError for another Or.
    """
    if f.ndim < 4:
        return f
    if f.ndim == 5:
        if f.shape[2] % 4:
            raise ValueError(
                f"a quarter turn needs a number of orientations divisible by 4, got Or = {f.shape[2]}"
            )
        f = torch.roll(f, turns * f.shape[2] // 4, dims=2)
    return torch.rot90(f, -turns, dims=(-2, -1))


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
