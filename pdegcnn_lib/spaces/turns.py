"""The quarter turns of a square grid, which images and orientation scores share."""

from __future__ import annotations

import torch
from torch import Tensor


def quarter_turn(f: Tensor, turns: int = 1) -> Tensor:
    r"""The action of a rotation by `turns` quarter turns about the image centre, exact on the grid.

    $(\mathcal{U}_g f)(x) = f(R^{-1}x)$ on images, and on orientation scores
    $(\mathcal{U}_g f)(x, \theta) = f(R^{-1}x, \theta - \pi/2)$;
    +x turns toward +y, which is clockwise on the screen.

    Shapes: `[B, C, H, W]` or `[B, C, Or, H, W]` with `turns` Or divisible by 4, for half a turn an even Or; anything of
    lower rank (features after pooling) is returned unchanged. Raises: ValueError for another Or.
    """
    if f.ndim < 4:
        return f
    if f.ndim == 5:
        if turns * f.shape[2] % 4:
            raise ValueError(
                f"a quarter turn needs a number of orientations divisible by 4, got Or = {f.shape[2]}"
            )
        f = torch.roll(f, turns * f.shape[2] // 4, dims=2)
    return torch.rot90(f, -turns, dims=(-2, -1))
