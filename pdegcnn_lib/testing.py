"""Group actions on the pixel grid and measures of equivariance, for tests, notebooks and users' own layers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

import torch
from torch import Tensor, nn

from pdegcnn_lib.spaces import Space, of_features
from pdegcnn_lib.spaces.base import Symmetry
from pdegcnn_lib.spaces.turns import quarter_turn as quarter_turn

TOLERANCES = {torch.bfloat16: 0.15, torch.float16: 0.02, torch.float32: 1e-5, torch.float64: 1e-12}


def relative_error(a: Tensor, b: Tensor) -> float:
    """The relative distance ||a - b|| / ||b - mean(b)||, 0 for equal tensors, sqrt(2) for unrelated alike ones."""
    scale = (b - b.mean()).norm()
    return float((a - b).norm() / scale) if scale > 0 else float((a - b).norm())


def _symmetries(layer: Callable[[Tensor], Tensor], f: Tensor) -> Mapping[Hashable, Symmetry]:
    """Those of the first space that the module names in itself or a part, otherwise those of the features."""
    parts = layer.modules() if isinstance(layer, nn.Module) else ()
    spaces = (getattr(part, "space", None) for part in parts)
    named = next((space for space in spaces if isinstance(space, Space)), None)
    return (of_features(f) if named is None else named).symmetries()


def equivariance_error(
    layer: Callable[[Tensor], Tensor], f: Tensor, turns: Iterable[Hashable] | None = None
) -> dict[Hashable, float]:
    r"""The relative error of equivariance for every g of the grid.

    $$\|\Phi(\mathcal{U}_g f) - \mathcal{U}_g \Phi(f)\| / \|\Phi(f) - \mathrm{mean}\|$$

    Those are the quarter turns 1, 2, 3 of images and orientation scores, half a turn alone where an even number of
    orientations is not divisible by 4, and the turns 1 ... 23 of a cube where the module names a space M3 or f lives on
    one. `turns` chooses among them. A map to features without positions is held
    to invariance. Modules should be in evaluation mode: in training mode dropout is random and batch statistics are
    shared.
    """
    moves = _symmetries(layer, f)
    with torch.no_grad():
        out = layer(f)
        return {
            n: relative_error(layer(moves[n](f)), moves[n](out)) for n in (moves if turns is None else turns)
        }


def assert_equivariant(layer: Callable[[Tensor], Tensor], f: Tensor, tolerance: float | None = None) -> None:
    """Raise AssertionError, with the error per element, unless the layer commutes with every exact symmetry.

    The default tolerance is that of rounding accumulated over a small network: 0.15 in bfloat16, 0.02 in float16, 1e-5
    in float32, 1e-12 in float64. Raises: ValueError where the grid has no exact symmetry.
    """
    __tracebackhide__ = True
    if tolerance is None:
        tolerance = TOLERANCES[f.dtype]
    errors = equivariance_error(layer, f)
    if not errors:
        raise ValueError("there is no exact symmetry of the grid to hold the layer to")
    if not all(error <= tolerance for error in errors.values()):
        quarters = errors.keys() <= {1, 2, 3}
        report = ", ".join(
            f"{90 * int(str(n))} degrees: {e:.2e}" if quarters else f"turn {n}: {e:.2e}"
            for n, e in errors.items()
        )
        raise AssertionError(f"not equivariant to {tolerance:g}: {report}")
