"""Convection: transport along left-invariant vector fields."""

from __future__ import annotations

import torch
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
    return _convected(f, g0, _check.convected(f, g0, space), backend)


def _convected(f: Tensor, g0: Tensor, space: Space, backend: str | None) -> Tensor:
    by = space.displacement(g0)
    if space.positions == 2 and not space.kernels:
        return _on_volumes(f[:, :, None], by[:, None], True, backend)[:, :, 0]
    if space.lists:  # each point of the fibre has a volume of its own
        volumes = _on_volumes(f.flatten(1, 2), by.flatten(0, 1)[:, None], False, backend)
        return volumes.unflatten(1, f.shape[1:3])
    return _on_volumes(f, by if space.kernels else by[:, None], space.periodic[-3], backend)


def _on_volumes(f: Tensor, by: Tensor, periodic: bool, backend: str | None) -> Tensor:
    """`f [B, C, Z, H, W]`, `by [C, Z, 3]` or `[C, 1, 3]`; where planes end the first and the last go on."""
    run, planes = implementation(backend, f).shift, f.shape[2]
    by = by.expand(-1, planes, -1)
    if periodic:
        return run(f, by)
    f = torch.cat(
        [f[:, :, :1].expand(-1, -1, planes, -1, -1), f, f[:, :, -1:].expand(-1, -1, planes, -1, -1)], 2
    )
    by = torch.cat([by[..., :2], by[..., 2:].clamp(-planes, planes)], dim=-1)
    return run(f, torch.cat([by[:, :1].expand(-1, planes, -1), by, by[:, -1:].expand(-1, planes, -1)], 1))[
        :, :, planes : 2 * planes
    ]


def convection_r2(f: Tensor, shift: Tensor, *, backend: str | None = None) -> Tensor:
    r"""`convection` with `space=Plane()`, $out(x) = f(x - c)$: `f [B, C, H, W]`, `shift [C, 2]` in pixels -> as f."""
    return _convected(f, shift, _check.convected(f, shift, Plane(), "shift"), backend)
