"""Connected components of a set on any space: what the dilation of its points comes to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdegcnn_lib.ops.semiring import dilation
from pdegcnn_lib.spaces import Space


@torch.no_grad()
def connected_components(
    inside: Tensor, k: Tensor, *, space: Space | None = None, backend: str | None = None
) -> Tensor:
    r"""The components of a set A: points that are near belong together, and so do chains of them.

    $$p \sim q \iff p = p_0, p_1, \ldots, p_n = q \text{ in } A \text{ with } k(p_{i-1}^{-1}\, p_i) \le 0$$

    With the kernel of alpha = 1/2, `kernels.morphological_kernel(w, alpha=0.5, t=r, ...)`, which is 0 up to the
    distance r and infinite beyond, near means not farther than r. Every point has a number, and dilation by k gives it
    the largest one near it, until none changes. It commutes with the symmetries of the space up to the numbering.
    k must be that of a distance, $k(h) = k(h^{-1})$.

    Shapes: `inside [B, C, *axes]` of bools, `k [C, *kernels, *window]` as in `dilation` -> int64 in the shape of
    `inside`: 0 outside, and 1, 2, ... in the order of their first points, through all channels and images.
    Raises: TypeError for an `inside` that is not of bools; errors as in `dilation`.
    Source: connected components on Lie groups, doi 10.1007/s10851-026-01287-9.
    """
    if not (isinstance(inside, Tensor) and inside.dtype == torch.bool):
        found = inside.dtype if isinstance(inside, Tensor) else type(inside).__name__
        raise TypeError(f"inside must be a tensor of bools, got {found}")
    near = torch.where(k <= 0, 0.0, math.inf).double()
    number = torch.zeros(inside.shape, dtype=torch.float64, device=inside.device)
    n = int(inside.sum())
    own = torch.arange(n, 0, -1, dtype=torch.float64, device=inside.device)
    while True:
        number[inside] = own
        met = torch.maximum(own, dilation(number, near, space=space, backend=backend)[inside])
        if torch.equal(met, own):
            break
        # The point that a number comes from takes the largest met under it, and all that have it follow: a component is
        # doubled in a step, not walked along.
        own = own.scatter_reduce(0, (n - own).long(), met, "amax")
        own = own[(n - own).long()]
    values, place = own.unique(return_inverse=True)
    number[inside] = (len(values) - place).double()
    return number.long()
