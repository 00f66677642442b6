"""Resampling and pooling that respect the symmetries of the square grid."""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.nn.layer import Layer


def nearest_table(size_in: int, size_out: int, device: torch.device | None = None) -> Tensor:
    """The nearest-neighbour resampling of one axis as a matrix `[size_out, size_in]`, symmetric under reversal.

    Sample i sits at (i + 1/2) size_in / size_out. Where that falls between two pixels neither is nearer: it takes
    their mean. Rounding to one side instead would make the result depend on the direction of the axis, and a network
    with such a step is not equivariant under quarter turns.
    """
    if size_in < 1 or size_out < 1:
        raise ValueError(f"sizes must be at least 1, got {size_in} -> {size_out}")
    # Twice the position in units of 1/size_out: exact integers. No loop, in which a tracer would fix the sizes.
    position = (2 * torch.arange(size_out, device=device)[:, None] + 1) * size_in
    cell, whole = position // (2 * size_out), (position % (2 * size_out) == 0).long()
    pixel = torch.arange(size_in, device=device)
    return ((pixel == cell).float() + (pixel == cell - whole).float()) / 2


class Resample(Layer):
    """Nearest-neighbour resampling to a fixed spatial size, exactly equivariant under quarter turns.

    Shapes: `[..., H, W]` -> `[..., size, size]`. See `nearest_table` for the rule at ties.
    Raises: TypeError for a size that is no integer, ValueError for one below 1.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"size must be an int, got {size!r}")
        self.size = size

    def forward(self, f: Tensor) -> Tensor:
        rows = nearest_table(f.shape[-2], self.size, f.device).to(f.dtype)
        columns = nearest_table(f.shape[-1], self.size, f.device).to(f.dtype)
        return rows @ f @ columns.mT

    def extra_repr(self) -> str:
        return f"size={self.size}"


class InvariantPool(Layer):
    """The mean and the maximum over positions and orientations, features that no roto-translation changes.

    Shapes: `[B, C, Or, H, W]`, or those of another space, -> `[B, 2 C]`. Translations leave it unchanged as long as
    nothing crosses the border. Raises: ValueError for features without two axes of positions.
    """

    def forward(self, f: Tensor) -> Tensor:
        if f.ndim < 4:
            raise ValueError(
                f"f must have shape [B, C, Or, H, W] or that of another space, got {list(f.shape)}"
            )
        flat = f.flatten(2)
        return torch.cat([flat.mean(-1), flat.amax(-1)], dim=1)
