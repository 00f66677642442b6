r"""The rigid motions of space, SE(3): what the geometry of M3 = SE(3)/SO(2) is checked with.

No layer needs a rotation matrix, since the estimates on M3 are functions of scalar products; the group stands here for
the definitions and for the tests of invariance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.geometry.checks import last_axis
from pdegcnn_lib.geometry.groups import half_angle_ratio, half_angle_sinc


def _turn(q: Tensor, x: Tensor) -> Tensor:
    """The vector x turned by the unit quaternion q = (cos t/2, u sin t/2): `[..., 4]`, `[..., 3]` -> `[..., 3]`."""
    q, x = torch.broadcast_tensors(q, torch.cat([torch.zeros_like(x[..., :1]), x], dim=-1))
    scalar, axis, x = q[..., :1], q[..., 1:], x[..., 1:]
    twice = 2 * torch.linalg.cross(axis, x)
    return x + scalar * twice + torch.linalg.cross(axis, twice)


class RigidMotionGroup:
    r"""The roto-translations of space, $SE(3) = \mathbb{R}^3 \rtimes SO(3)$, $(x, R)(y, Q) = (x + R y, R Q)$.

    Elements are `[..., 7] = (x, y, z, q_0, q_1, q_2, q_3)`, voxels and a unit quaternion; q and -q are one rotation.
    The Lie algebra is `[..., 6]`, translations before rotations, in the frame of the identity.
    """

    name = "SE3"
    dim = 7

    def identity(self, like: Tensor | None = None) -> Tensor:
        """The neutral element, with the dtype and device of `like`."""
        one = torch.tensor([0.0, 0, 0, 1, 0, 0, 0])
        return one if like is None else one.to(like)

    def product(self, g: Tensor, h: Tensor) -> Tensor:
        """The group product g h, broadcast over the leading axes: `[..., 7]`, `[..., 7]` -> `[..., 7]`."""
        g, h = torch.broadcast_tensors(last_axis("g", g, 7), last_axis("h", h, 7))
        (s, v), (t, u) = ((q[..., 3:4], q[..., 4:]) for q in (g, h))
        scalar = s * t - (v * u).sum(-1, keepdim=True)
        return torch.cat([self.act(g, h[..., :3]), scalar, s * u + t * v + torch.linalg.cross(v, u)], dim=-1)

    def inverse(self, g: Tensor) -> Tensor:
        """The inverse (-R^-1 x, R^-1): `[..., 7]` -> `[..., 7]`."""
        conjugate = last_axis("g", g, 7)[..., 3:] * g.new_tensor([1.0, -1, -1, -1])
        return torch.cat([-_turn(conjugate, g[..., :3]), conjugate], dim=-1)

    def exp(self, xi: Tensor) -> Tensor:
        r"""The exponential map, $x = R^{1/2}(c_\parallel + \mathrm{sinc}(t/2)\, c_\perp)$ for an angle t about u.

        Shapes: `[..., 6]` -> `[..., 7]`.
        """
        c, omega = last_axis("xi", xi, 6).split(3, dim=-1)
        t = torch.linalg.vector_norm(omega, dim=-1, keepdim=True)
        axis = omega / torch.where(t > 0, t, torch.ones_like(t))
        along = (c * axis).sum(-1, keepdim=True) * axis
        b = along + half_angle_sinc(t) * (c - along)
        half = torch.cat([torch.cos(t / 4), torch.sin(t / 4) * axis], dim=-1)
        whole = torch.cat([torch.cos(t / 2), torch.sin(t / 2) * axis], dim=-1)
        return torch.cat([_turn(half, b), whole], dim=-1)

    def log(self, g: Tensor) -> Tensor:
        r"""The principal logarithm, the inverse of `exp` for rotations by less than $\pi$: `[..., 7]` -> `[..., 6]`."""
        x, q = last_axis("g", g, 7)[..., :3], g[..., 3:]
        q = torch.where(q[..., :1] < 0, -q, q)  # the shorter of the two turns
        sine = torch.linalg.vector_norm(q[..., 1:], dim=-1, keepdim=True)
        axis = q[..., 1:] / torch.where(sine > 0, sine, torch.ones_like(sine))
        t = 2 * torch.atan2(sine, q[..., :1])
        back = torch.cat([torch.cos(t / 4), -torch.sin(t / 4) * axis], dim=-1)
        b = _turn(back, x)
        along = (b * axis).sum(-1, keepdim=True) * axis
        return torch.cat([along + half_angle_ratio(t) * (b - along), t * axis], dim=-1)

    def act(self, g: Tensor, x: Tensor) -> Tensor:
        """The action on points of space, g . x = g_x + R x: `[..., 7]`, `[..., 3]` -> `[..., 3]`."""
        g, x = last_axis("g", g, 7), last_axis("x", x, 3)
        return g[..., :3] + _turn(g[..., 3:], x)

    def act_m3(self, g: Tensor, p: Tensor) -> Tensor:
        """The action on M3, g . (x, n) = (g_x + R x, R n): `[..., 7]`, `[..., 6]` -> `[..., 6]`."""
        g, p = last_axis("g", g, 7), last_axis("p", p, 6)
        return torch.cat([self.act(g, p[..., :3]), _turn(g[..., 3:], p[..., 3:])], dim=-1)


SE3 = RigidMotionGroup()


def section(p: Tensor) -> Tensor:
    r"""The element of the fibre over p = (x, n) that turns $e_z$ to n about $e_z \times n$, without torsion.

    Shapes: `p [..., 6]` -> `[..., 7]`. For n = -e_z, where the axis is undefined, the turn is about $e_x$.
    """
    n = last_axis("p", p, 6)[..., 3:]
    zero = torch.zeros_like(n[..., 0])
    q = torch.stack([1 + n[..., 2], -n[..., 1], n[..., 0], zero], dim=-1)
    size = torch.linalg.vector_norm(q, dim=-1, keepdim=True)
    opposite = torch.tensor([0.0, 1, 0, 0]).to(q)
    unit = torch.where(size > 1e-12, q / torch.where(size > 1e-12, size, torch.ones_like(size)), opposite)
    return torch.cat([p[..., :3], unit], dim=-1)
