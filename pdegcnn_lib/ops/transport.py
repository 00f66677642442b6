"""Convection: transport along left-invariant vector fields."""

from __future__ import annotations

from torch import Tensor

from pdegcnn_lib.ops import _check
from pdegcnn_lib.ops.backends import implementation
from pdegcnn_lib.spaces import Plane, Space


def convection(f: Tensor, g0: Tensor, *, space: Space | None = None, backend: str | None = None) -> Tensor:
    r"""Convection for unit time, solved by characteristics: $out(p) = f(p\,g_0^{-1})$.

    With $g_0 = \exp(c)$ it solves $W_t = -c\,W$ for the left-invariant vector field c: a feature moves by +g0 in
    its own frame. Trilinear interpolation; theta is periodic; positions beyond the image read its border, and so do
    slices that end. At a whole displacement, where the interpolation has a kink, the gradient is the mean of the
    derivatives on its two sides.

    Shapes: `f [B, C, Or, H, W]`, `g0 [C, 3] = (x, y, theta)` in pixels and radians on M2, which None stands for, -> as
    f; on another space `f [B, C, *axes]`, `g0 [C, velocities]`.
    Raises: TypeError or ValueError for a wrong dtype or shape. Source: main paper, section 5.1.
    """
    space = _check.convected(f, g0, space)
    return displaced(f, space.displacement(g0), space, backend)


def displaced(f: Tensor, by: Tensor, space: Space, backend: str | None) -> Tensor:
    """f shifted on the grid of a space by what `space.displacement` says."""
    volumes = f
    if len(space.axes) == 2:  # a plane is a volume of one
        volumes = f[:, :, None]
    elif len(space.axes) == 4:  # each point of the fibre has a volume of its own
        volumes, by = f.flatten(1, 2), by.flatten(0, 1)
    if by.ndim == 2:
        by = by[:, None].expand(-1, volumes.shape[2], -1)
    periodic = len(space.axes) == 3 and space.periodic[0]
    return implementation(backend, f).shift(volumes, by, periodic=periodic).reshape(f.shape)


def convection_r2(f: Tensor, shift: Tensor, *, backend: str | None = None) -> Tensor:
    r"""`convection` with `space=Plane()`, $out(x) = f(x - c)$: `f [B, C, H, W]`, `shift [C, 2]` in pixels -> as f."""
    space = _check.convected(f, shift, Plane(), "shift")
    return displaced(f, space.displacement(shift), space, backend)
