"""Convection: transport along left-invariant vector fields."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdegcnn_lib.ops import _check, reference
from pdegcnn_lib.ops.backends import choose


def displacement(g0: Tensor, orientations: int) -> Tensor:
    r"""The vector from which convection by g0 = (a, phi) fetches, per channel and orientation.

    $p\,g_0^{-1} = (x - R_{\theta - \phi}\,a,\; \theta - \phi)$ for $p = (x, \theta)$: at a fixed orientation it does
    not depend on x.

    Shapes: `g0 [C, 3]` -> `[C, Or, 3] = (dx, dy, ds)` in pixels, pixels and orientation steps.
    """
    step = 2 * math.pi / orientations
    theta = torch.arange(orientations, dtype=g0.dtype, device=g0.device) * step
    angle = theta - g0[:, 2:3]
    c, s = torch.cos(angle), torch.sin(angle)
    x, y = g0[:, 0:1], g0[:, 1:2]
    return torch.stack([c * x - s * y, s * x + c * y, (g0[:, 2:3] / step).expand_as(angle)], dim=-1)


def _shift(f: Tensor, by: Tensor, backend: str | None) -> Tensor:
    backend = choose(backend, f)
    if backend == "reference":
        return reference.shift(*reference.widened(f, by)).to(f.dtype)
    from pdegcnn_lib.ops import compiled

    return compiled.shift(f, by, backend)


def convection(f: Tensor, g0: Tensor, *, backend: str | None = None) -> Tensor:
    r"""Convection on M2 for unit time, solved by characteristics: $out(p) = f(p\,g_0^{-1})$.

    With $g_0 = \exp(c)$ it solves $W_t = -c\,W$ for the left-invariant vector field c: a feature moves by +g0 in
    its own frame. Trilinear interpolation; theta is periodic; positions beyond the image read its border.

    Shapes: `f [B, C, Or, H, W]`, `g0 [C, 3] = (x, y, theta)` in pixels and radians -> as f.
    Raises: TypeError or ValueError for a wrong dtype or shape. Source: main paper, section 5.1.
    """
    _check.floating("f", f, 5, "[B, C, Or, H, W]")
    _check.floating("g0", g0, 2, "[C, 3]")
    _check.alike("g0", g0, f)
    if g0.shape != (f.shape[1], 3):
        raise ValueError(f"g0 must have shape [C, 3] = {[f.shape[1], 3]}, got {list(g0.shape)}")
    return _shift(f, displacement(g0, f.shape[2]), backend)


def convection_r2(f: Tensor, shift: Tensor, *, backend: str | None = None) -> Tensor:
    r"""Convection on R^2 for unit time, $out(x) = f(x - c)$, bilinear, with the border continued.

    Shapes: `f [B, C, H, W]`, `shift [C, 2] = (x, y)` in pixels -> as f.
    """
    _check.floating("f", f, 4, "[B, C, H, W]")
    _check.floating("shift", shift, 2, "[C, 2]")
    _check.alike("shift", shift, f)
    if shift.shape != (f.shape[1], 2):
        raise ValueError(f"shift must have shape [C, 2] = {[f.shape[1], 2]}, got {list(shift.shape)}")
    by = torch.cat([shift, shift.new_zeros(len(shift), 1)], dim=-1)[:, None]
    return _shift(f[:, :, None], by, backend)[:, :, 0]
