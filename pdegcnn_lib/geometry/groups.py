"""The Lie groups on which the networks live, behind one small protocol.

A group element is the last axis of a tensor; everything else is batch. A further group is one more class
with the members of `LieGroup`.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from pdegcnn_lib.geometry.checks import last_axis


def wrap_angle(theta: Tensor) -> Tensor:
    r"""The representative of an angle in $[-\pi, \pi)$, in radians; differentiable with slope 1."""
    # Whole turns are subtracted, so that an angle in range, however small, keeps all its digits.
    return theta - 2 * math.pi * torch.floor((theta + math.pi) / (2 * math.pi))


def half_angle_ratio(theta: Tensor) -> Tensor:
    r"""The factor $\frac{\theta/2}{\sin(\theta/2)} = 1/\mathrm{sinc}(\theta/2)$ between half-angle and log coordinates.

    The quotient and its derivative lose all digits at small angles, so a Taylor series takes over there
    (its remainder at |theta| = 0.1 is below 1e-14).

    Shapes: `[...]` -> `[...]`. Units: radians, |theta| < 2 pi.
    """
    small = theta.abs() < 0.1
    h = torch.where(small, torch.ones_like(theta), theta) / 2
    s = (theta / 2) ** 2
    series = 1 + s / 6 * (1 + 7 * s / 60 * (1 + 31 * s / 294 * (1 + 127 * s / 1240)))
    return torch.where(small, series, h / torch.sin(h))


def half_angle_sinc(theta: Tensor) -> Tensor:
    r"""The factor $\mathrm{sinc}(\theta/2) = \frac{\sin(\theta/2)}{\theta/2}$ for any angle, 1/`half_angle_ratio`.

    A series takes over at small angles, where the derivative of the quotient loses its digits.
    Shapes: `[...]` -> `[...]`. Units: radians.
    """
    small = theta.abs() < 0.5
    h = torch.where(small, torch.ones_like(theta), theta) / 2
    s = (theta / 2) ** 2
    series = 1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110))))
    return torch.where(small, series, torch.sin(h) / h)


@runtime_checkable
class LieGroup(Protocol):
    """What the rest of the library asks of a group G acting on the plane.

    `dim` is the number of coordinates of an element. `frame(g)` are the left-invariant vector fields at g:
    column i is A_i in coordinates, so that `frame(g) @ v` is the tangent vector with components v.
    """

    name: str
    dim: int

    def identity(self, like: Tensor | None = None) -> Tensor: ...
    def product(self, g: Tensor, h: Tensor) -> Tensor: ...
    def inverse(self, g: Tensor) -> Tensor: ...
    def exp(self, xi: Tensor) -> Tensor: ...
    def log(self, g: Tensor) -> Tensor: ...
    def act(self, g: Tensor, x: Tensor) -> Tensor: ...
    def frame(self, g: Tensor) -> Tensor: ...


class TranslationGroup:
    r"""The translations of the plane, $(\mathbb{R}^2, +)$: elements `[..., 2] = (x, y)` in pixels."""

    name = "R2"
    dim = 2

    def identity(self, like: Tensor | None = None) -> Tensor:
        """The neutral element (0, 0), with the dtype and device of `like`."""
        return torch.zeros(2) if like is None else like.new_zeros(2)

    def product(self, g: Tensor, h: Tensor) -> Tensor:
        """g h = g + h, broadcast over the leading axes."""
        return last_axis("g", g, 2) + last_axis("h", h, 2)

    def inverse(self, g: Tensor) -> Tensor:
        """g^-1 = -g."""
        return -last_axis("g", g, 2)

    def exp(self, xi: Tensor) -> Tensor:
        """The exponential map, which is the identity on R^2."""
        return last_axis("xi", xi, 2).clone()

    def log(self, g: Tensor) -> Tensor:
        """The logarithm, which is the identity on R^2."""
        return last_axis("g", g, 2).clone()

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """The action on points of the plane, g . x = g + x."""
        return last_axis("g", g, 2) + last_axis("x", x, 2)

    def frame(self, g: Tensor) -> Tensor:
        """The invariant frame, constant on R^2: `[..., 2]` -> `[..., 2, 2]`."""
        return torch.eye(2, dtype=g.dtype, device=g.device).expand(*last_axis("g", g, 2).shape, 2)


class RotoTranslationGroup:
    r"""The roto-translations of the plane, $SE(2) = \mathbb{R}^2 \rtimes SO(2)$, which is also $\mathbb{M}_2$.

    $$(x, R_a)\,(y, R_b) = (x + R_a y,\; R_{a+b})$$

    Elements are `[..., 3] = (x, y, theta)`, pixels and radians; positive theta turns +x toward +y.
    Results carry theta in [-pi, pi).
    """

    name = "SE2"
    dim = 3

    def identity(self, like: Tensor | None = None) -> Tensor:
        """The neutral element (0, 0, 0), with the dtype and device of `like`."""
        return torch.zeros(3) if like is None else like.new_zeros(3)

    def product(self, g: Tensor, h: Tensor) -> Tensor:
        """The group product g h, broadcast over the leading axes: `[..., 3]`, `[..., 3]` -> `[..., 3]`."""
        g, h = last_axis("g", g, 3), last_axis("h", h, 3)
        xy = self.act(g, h[..., :2])
        theta = wrap_angle(g[..., 2] + h[..., 2])
        return torch.cat([xy, theta.expand(xy.shape[:-1])[..., None]], dim=-1)

    def inverse(self, g: Tensor) -> Tensor:
        """The inverse (-R_theta^-1 (x, y), -theta): `[..., 3]` -> `[..., 3]`."""
        x, y, theta = last_axis("g", g, 3).unbind(-1)
        c, s = torch.cos(theta), torch.sin(theta)
        return torch.stack([-c * x - s * y, s * x - c * y, wrap_angle(-theta)], dim=-1)

    def exp(self, xi: Tensor) -> Tensor:
        r"""The exponential map of $\xi = c^1 A_1 + c^2 A_2 + c^3 A_3$.

        In half-angle coordinates it is a scaling, $(b_1, b_2) = \mathrm{sinc}(c_3/2)\,(c_1, c_2)$, followed by a
        rotation over $c_3/2$.

        Shapes: `[..., 3]` -> `[..., 3]`; any angle c3 is allowed.
        """
        c1, c2, c3 = last_axis("xi", xi, 3).unbind(-1)
        ratio = half_angle_sinc(c3)
        c, s = torch.cos(c3 / 2), torch.sin(c3 / 2)
        b1, b2 = ratio * c1, ratio * c2
        return torch.stack([c * b1 - s * b2, s * b1 + c * b2, wrap_angle(c3)], dim=-1)

    def log(self, g: Tensor) -> Tensor:
        r"""The principal logarithm, the inverse of `exp` for angles in $[-\pi, \pi)$.

        $$c^1 = \tfrac{\theta}{2}(y + x\cot\tfrac{\theta}{2}),\quad
          c^2 = \tfrac{\theta}{2}(-x + y\cot\tfrac{\theta}{2}),\quad c^3 = \theta$$

        Shapes: `[..., 3]` -> `[..., 3]`. Finite with finite gradients everywhere, at theta = 0 and pi too.
        """
        b = self.half_angle(g)
        ratio = half_angle_ratio(b[..., 2])
        return torch.stack([ratio * b[..., 0], ratio * b[..., 1], b[..., 2]], dim=-1)

    def half_angle(self, g: Tensor) -> Tensor:
        r"""The half-angle coordinates $b$, the position seen from the half-turned frame.

        $$b^1 = x\cos\tfrac{\theta}{2} + y\sin\tfrac{\theta}{2},\quad
          b^2 = -x\sin\tfrac{\theta}{2} + y\cos\tfrac{\theta}{2},\quad b^3 = \theta$$

        Shapes: `[..., 3]` -> `[..., 3]`, theta wrapped to [-pi, pi).
        """
        x, y, theta = last_axis("g", g, 3).unbind(-1)
        theta = wrap_angle(theta)
        c, s = torch.cos(theta / 2), torch.sin(theta / 2)
        return torch.stack([c * x + s * y, c * y - s * x, theta], dim=-1)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """The action on points of the plane, g . x = (g_x, g_y) + R_theta x: `[..., 3]`, `[..., 2]` -> `[..., 2]`."""
        g, x = last_axis("g", g, 3), last_axis("x", x, 2)
        c, s = torch.cos(g[..., 2]), torch.sin(g[..., 2])
        return torch.stack(
            [g[..., 0] + c * x[..., 0] - s * x[..., 1], g[..., 1] + s * x[..., 0] + c * x[..., 1]], dim=-1
        )

    def frame(self, g: Tensor) -> Tensor:
        r"""The left-invariant frame as columns, `[..., 3]` -> `[..., 3, 3]`.

        $A_1 = \cos\theta\,\partial_x + \sin\theta\,\partial_y$ (main),
        $A_2 = -\sin\theta\,\partial_x + \cos\theta\,\partial_y$ (lateral), $A_3 = \partial_\theta$ (angular).
        """
        theta = last_axis("g", g, 3)[..., 2]
        c, s, zero, one = torch.cos(theta), torch.sin(theta), torch.zeros_like(theta), torch.ones_like(theta)
        rows = [torch.stack(r, -1) for r in ([c, -s, zero], [s, c, zero], [zero, zero, one])]
        return torch.stack(rows, dim=-2)


R2 = TranslationGroup()
SE2 = RotoTranslationGroup()
