"""A group of one's own: the family between SE(2) and the Heisenberg group H(3).

Chapter 41 reads this file with its reader. Slopes take the place of angles: an element is (x, y, t). Sampled at slopes,
`spaces.Sampled(GroupsBetween(0.0), range(-3, 4))`, it has every operator and layer of the library.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pdegcnn_lib.geometry.groups import half_angle_ratio, half_angle_sinc


@dataclass(frozen=True)
class GroupsBetween:
    r"""The simply connected group with $[A_3, A_1] = A_2$, $[A_3, A_2] = -\mu^2 A_1$, $[A_1, A_2] = 0$.

    $$(x, t)\,(y, s) = (x + M_t\, y,\; t + s), \qquad
      M_t = \begin{pmatrix} \cos\mu t & -\mu\sin\mu t \\ \sin(\mu t)/\mu & \cos\mu t \end{pmatrix}$$

    mu = 1 is SE(2) with angles that are not wrapped, mu = 0 is H(3) with the shears $M_t = (1, 0; t, 1)$.
    Elements are `[..., 3] = (x, y, t)`. The logarithm is that of |mu t| < 2 pi.
    """

    mu: float
    name = "between SE(2) and H(3)"
    dim = 3

    def matrix(self, t: Tensor) -> Tensor:
        """The linear map M_t: `[...]` -> `[..., 2, 2]`."""
        cos, slope = (
            torch.cos(self.mu * t),
            t * half_angle_sinc(2 * self.mu * t),
        )  # sin(mu t)/mu, at mu = 0 too
        return torch.stack([torch.stack([cos, -(self.mu**2) * slope], -1), torch.stack([slope, cos], -1)], -2)

    def turned(self, t: Tensor, x: Tensor) -> Tensor:
        """M_t x: `[...]`, `[..., 2]` -> `[..., 2]`."""
        return (self.matrix(t) @ x[..., None])[..., 0]

    def identity(self, like: Tensor | None = None) -> Tensor:
        return torch.zeros(3) if like is None else like.new_zeros(3)

    def product(self, g: Tensor, h: Tensor) -> Tensor:
        xy, t = self.act(g, h[..., :2]), g[..., 2] + h[..., 2]
        return torch.cat([xy, t.expand(xy.shape[:-1])[..., None]], dim=-1)

    def inverse(self, g: Tensor) -> Tensor:
        return torch.cat([-self.turned(-g[..., 2], g[..., :2]), -g[..., 2:]], dim=-1)

    def half_angle(self, g: Tensor) -> Tensor:
        """The position seen from the frame of half the slope, and the slope: even estimates are built from it."""
        return torch.cat([self.turned(-g[..., 2] / 2, g[..., :2]), g[..., 2:]], dim=-1)

    def exp(self, xi: Tensor) -> Tensor:
        c, t = xi[..., :2], xi[..., 2]
        xy = self.turned(t / 2, half_angle_sinc(self.mu * t)[..., None] * c)
        return torch.cat([xy, t[..., None]], dim=-1)

    def log(self, g: Tensor) -> Tensor:
        b, t = self.half_angle(g), g[..., 2]
        return torch.cat([half_angle_ratio(self.mu * t)[..., None] * b[..., :2], t[..., None]], dim=-1)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        return g[..., :2] + self.turned(g[..., 2], x)

    def frame(self, g: Tensor) -> Tensor:
        plane = functional.pad(self.matrix(g[..., 2]), (0, 1, 0, 1))
        return plane + torch.diag(g.new_tensor([0.0, 0.0, 1.0]))
