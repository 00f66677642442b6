r"""Estimates of the distance on M3 = R^3 x S^2 = SE(3)/SO(2), the positions and orientations of space.

For q = (x_0, n_0) and p = (x_1, n_1) every estimate depends on four numbers that need no rotation matrix. With
x = x_1 - x_0 they are its components along the half-way direction m = (n_0 + n_1)/|n_0 + n_1|, along the plane of
bending d = (n_1 - n_0)/|n_1 - n_0| and across it, u = m x d, and the angle beta between n_0 and n_1. They are the
half-angle coordinates of M2 with one more lateral axis: where x lies in the plane of n_0 and n_1, the four are those
of M2 and every estimate is that of M2.

Points are `[..., 6] = (x, y, z, n_x, n_y, n_z)`, voxels and a unit vector; metrics w = (w_main, w_lateral, w_angular),
forward, sideways and for turning, or an `AxialMetric`. Sources: the main paper for M_d; the closed forms are our
derivation, and `rho_c` is the logarithm on the section, as in Duits, Bellaard and Tumpach, arXiv 2504.04878.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdegcnn_lib.geometry.checks import has_values, last_axis, positive
from pdegcnn_lib.geometry.estimates import Coded, Estimate, safe_sqrt, sub_riemannian, vector
from pdegcnn_lib.geometry.groups import half_angle_ratio
from pdegcnn_lib.geometry.metrics import DiagonalMetric, Metric, as_metric
from pdegcnn_lib.geometry.rigid import SE3, section

NU = 1.4  # of the sub-Riemannian estimate: the 1.6 of M2 is too large where two axes are lateral
DEGENERATE = 1e-9  # two directions closer than this (or to opposite) have no plane of bending


@dataclass(frozen=True)
class AxialMetric(Metric):
    r"""Any invariant metric of M3, five numbers: those of a frame that may turn about its main axis.

    $$\|(\dot x, \dot n)\|^2 = w_M^2 (n\cdot\dot x)^2 + w_L^2 |\dot x_\perp|^2 + w_A^2 |\dot n|^2
      + 2a\,\dot x\cdot\dot n + 2b\det(n, \dot x, \dot n)$$

    Reflections in planes exclude b, the map (x, n) -> (x, -n) excludes a; with both exactly the diagonal ones are left.
    Shapes: `w [..., 3]`, `a` and `b [...]`. `checked` as in `DiagonalMetric`.
    Raises: ValueError unless w > 0 and a^2 + b^2 < (w_L w_A)^2.
    """

    w: Tensor
    a: Tensor
    b: Tensor
    checked: bool = True
    component_axes = 1
    kind = "axial"

    def __post_init__(self) -> None:
        if not self.checked:
            return
        positive("w", last_axis("w", self.w, 3))
        room = (self.w[..., 1] * self.w[..., 2]) ** 2 - self.a**2 - self.b**2
        if has_values(room) and not (room > 0).all():
            raise ValueError(
                f"a^2 + b^2 must be below (w_lateral w_angular)^2, it exceeds it by {-room.min().item():g}"
            )

    @property
    def parameters(self) -> Tensor:
        """(w_main, w_lateral, w_angular, a, b): `[..., 5]`."""
        shape = torch.broadcast_shapes(self.w.shape[:-1], self.a.shape, self.b.shape)
        mixed = (x.expand(shape)[..., None] for x in (self.a, self.b))
        return torch.cat([self.w.expand(*shape, 3), *mixed], dim=-1)

    @property
    def dim(self) -> int:
        return 4

    @property
    def matrix(self) -> Tensor:
        """The components on the vectors forward, along the bending, across it, and of turning: `[..., 4, 4]`."""
        w_main, w_lateral, w_angular, a, b = self.parameters.unbind(-1)
        zero, lateral = torch.zeros_like(a), w_lateral**2
        rows = [
            *(w_main**2, zero, zero, zero),
            *(zero, lateral, zero, a),
            *(zero, zero, lateral, -b),
            *(zero, a, -b, w_angular**2),
        ]
        return torch.stack(rows, dim=-1).unflatten(-1, (4, 4))

    def squared(self, v: Tensor) -> Tensor:
        """The squared length of (main, bending, across, angle): `[..., 4]` -> `[...]`, broadcast against the metric."""
        _, bending, across, angle = v.unbind(-1)
        mixed = 2 * angle * (self.a * bending - self.b * across)
        # Close to the bound of a^2 + b^2 rounding could make it negative.
        return (DiagonalMetric(self.w, checked=False).squared(three(v)) + mixed).clamp(min=0)

    @classmethod
    def with_parameters(cls, parameters: Tensor) -> AxialMetric:
        return AxialMetric(parameters[..., :3], parameters[..., 3], parameters[..., 4], checked=False)

    def on(self, n: int) -> Tensor:
        if n != 3:
            raise ValueError(f"an AxialMetric is one of M3 with three length scales, and here are {n}")
        return self.parameters


def as_axial(w: Tensor | Metric) -> AxialMetric:
    """The metric that an argument stands for: a tensor `[..., 3]` is read as the length scales of a diagonal one."""
    metric = as_metric(w)
    if isinstance(metric, AxialMetric):
        return metric
    scales = last_axis("w", metric.diagonal("an estimate on M3", instead="an AxialMetric"), 3)
    zero = torch.zeros_like(scales[..., 0])
    return AxialMetric(scales, zero, zero, checked=False)


def point(name: str, p: Tensor) -> tuple[Tensor, Tensor]:
    """Position and direction of a point `[..., 6]` in float64; ValueError unless the direction has length 1."""
    x, n = last_axis(name, p, 6).double().split(3, dim=-1)
    length = torch.linalg.vector_norm(n, dim=-1)
    if has_values(length):
        wrong = ~((length - 1).abs() < 1e-3)
        if wrong.any():
            raise ValueError(
                f"the direction of {name} must have length 1, got length {length[wrong][0].item():g}"
            )
    # Where two directions agree but for their rounding, what they differ in must be normal to them, and not in length.
    return x, n / length[..., None]


def coordinates(q: Tensor, p: Tensor) -> Tensor:
    r"""The half-angle coordinates $(s_m, s_d, s_u, \beta)$ of p seen from q, all of $q^{-1}p$ that an estimate needs.

    For $\beta = 0$ the lateral part counts as $s_u$; for $\beta = \pi$, where m is undefined, m is the best direction
    normal to n_0. Shapes: `q [..., 6]`, `p [..., 6]`, broadcast -> `[..., 4]`. Voxels and radians.
    Raises: ValueError for a wrong shape or a direction that is no unit vector.
    """
    (x0, n0), (x1, n1) = point("q", q), point("p", p)
    x, total, difference = x1 - x0, n0 + n1, n1 - n0
    sum_size, difference_size = (torch.linalg.vector_norm(v, dim=-1) for v in (total, difference))
    beta = 2 * torch.atan2(difference_size, sum_size)
    straight, opposite = difference_size < DEGENERATE, sum_size < DEGENERATE
    m = total / torch.where(opposite, 1.0, sum_size)[..., None]
    d = difference / torch.where(straight, 1.0, difference_size)[..., None]
    s_m, s_d = (x * m).sum(-1), torch.where(straight, 0.0, (x * d).sum(-1))
    s_u = (x * torch.linalg.cross(*torch.broadcast_tensors(m, d))).sum(-1)
    across = safe_sqrt(((x - s_m[..., None] * m) ** 2).sum(-1))
    s_m = torch.where(opposite, safe_sqrt(((x - s_d[..., None] * d) ** 2).sum(-1)), s_m)
    s_u = torch.where(straight, across, torch.where(opposite, 0.0, s_u))
    return torch.stack(torch.broadcast_tensors(s_m, s_d, s_u, beta), dim=-1).to(torch.result_type(q, p))


def logarithmic(c: Tensor) -> Tensor:
    r"""The coordinates of the logarithm on the section, from the half-angle ones: `[..., 4]` -> `[..., 4]`.

    Those along m and d grow by $(\beta/2)/\sin(\beta/2)$. The part across the plane of bending lies along the axis of
    the rotation and stays.
    """
    r = half_angle_ratio(c[..., 3:])
    return torch.cat([r * c[..., :2], c[..., 2:]], dim=-1)


def three(c: Tensor) -> Tensor:
    """The three coordinates (main, lateral, angle) that a diagonal metric sees: `[..., 4]` -> `[..., 3]`."""
    lateral = safe_sqrt(c[..., 1] ** 2 + c[..., 2] ** 2)
    return torch.stack([c[..., 0], lateral, c[..., 3]], dim=-1)


@dataclass(frozen=True)
class AxialEstimate(Estimate):
    """An estimate for metrics of both kinds: an axial one sees four coordinates of a relative element.

    `whole` leads to them from those that the element has.
    """

    whole: Callable[[Tensor], Tensor] = vector

    def __call__(self, p: Tensor, metric: Metric) -> Tensor:
        if metric.is_diagonal:
            return super().__call__(p, metric)
        return metric.squared(self.whole(p))

    def coded(self, kind: str) -> Coded | None:
        if kind != AxialMetric.kind:
            return super().coded(kind)
        return "Axial", lambda p: torch.cat([self.coordinates(p), self.whole(p)[..., 1:3]], dim=-1)


def combined(c: Tensor, metric: Metric, nu: float = NU, covariant: bool = False) -> Tensor:
    """rho_b_com**2 of coordinates (main, lateral, angle) `[..., 3]`, see `rho_b_com`."""
    w_main, w_lateral, w_angular = metric.diagonal("rho_b_com", instead="rho_c or rho_b").unbind(-1)
    half_angle, sideways = metric.squared(c), sub_riemannian(c, metric, nu, covariant)
    lower = w_main**2 * (c[..., 0] ** 2 + c[..., 1] ** 2) + (w_angular * c[..., 2]) ** 2
    least = torch.maximum(lower, torch.minimum(sideways, half_angle))
    # The axes do not exchange their roles as on M2: there are two lateral ones.
    return torch.where(w_lateral < w_main, half_angle, least)


def _diagonal(w: Tensor | Metric, estimate: str) -> DiagonalMetric:
    scales = as_metric(w).diagonal(estimate, instead="rho_c or rho_b")
    return DiagonalMetric(last_axis("w", scales, 3), checked=False)


def rho_b(q: Tensor, p: Tensor, w: Tensor | Metric) -> Tensor:
    r"""The half-angle estimate $\rho_b^2 = (w_M s_m)^2 + w_L^2 (s_d^2 + s_u^2) + (w_A \beta)^2$.

    Exact where w_lateral = w_main, since M3 is then a product of R^3 and a sphere; globally
    $\zeta^{-1} d \le \rho_b \le \zeta d$ with $\zeta = w_L/w_M \ge 1$. It is invariant under SE(3), point reflection,
    exchange of p and q, and the antipodal map. An `AxialMetric` adds $2\beta\,(a\,s_d - b\,s_u)$ to the square;
    exactness, the bounds, point reflection (b != 0) and the antipodal map (a != 0) are then lost.

    Shapes: `q [..., 6]`, `p [..., 6]`, `w [..., 3]` or a metric, broadcast -> `[...]`. Voxels and radians.
    Raises: ValueError for a wrong shape, a direction that is no unit vector, a non-positive w.
    """
    return safe_sqrt(as_axial(w).squared(coordinates(q, p)))


def rho_c(q: Tensor, p: Tensor, w: Tensor | Metric) -> Tensor:
    r"""The logarithmic estimate on the section, $\|\log(x, R_0(n))\|$ without torsion, an upper bound of the distance.

    With $r = (\beta/2)/\sin(\beta/2)$ its square is $(w_M r s_m)^2 + w_L^2(r^2 s_d^2 + s_u^2) + (w_A\beta)^2$. An
    `AxialMetric` adds $2\beta\,(a\,r s_d - b\,s_u)$, and then it is no bound.
    Shapes, units, invariances and errors as in `rho_b`.
    """
    return safe_sqrt(as_axial(w).squared(logarithmic(coordinates(q, p))))


def rho_b_sr(q: Tensor, p: Tensor, w: Tensor | Metric, nu: float = NU, covariant: bool = False) -> Tensor:
    r"""The sub-Riemannian estimate, the limit of infinite lateral cost; w_lateral does not enter.

    $$\rho_{b,sr}^4 = \big(\nu (w_M + w_A)\big)^4 (s_d^2 + s_u^2) + \big((w_M s_m)^2 + (w_A \beta)^2\big)^2$$

    With `covariant` the product $2\sqrt{w_M w_A}$ stands in the place of the sum.
    Shapes, units and errors as in `rho_b`; diagonal metrics only.
    """
    return safe_sqrt(sub_riemannian(three(coordinates(q, p)), _diagonal(w, "rho_b_sr"), nu, covariant))


def rho_b_com(q: Tensor, p: Tensor, w: Tensor | Metric, nu: float = NU, covariant: bool = False) -> Tensor:
    r"""The combined estimate $\max(l, \min(\rho_{b,sr}, \rho_b))$ with $l^2 = w_M^2|x|^2 + w_A^2\beta^2 \le d^2$.

    Where w_lateral < w_main it is `rho_b`. `covariant` as in `rho_b_sr`.
    Shapes, units and errors as in `rho_b`; diagonal metrics only.
    """
    return safe_sqrt(combined(three(coordinates(q, p)), _diagonal(w, "rho_b_com"), nu, covariant))


def rho_c_min(q: Tensor, p: Tensor, w: Tensor | Metric, *, angles: int = 63) -> Tensor:
    r"""The least logarithmic estimate over the fibre, $\min_\psi \|\log(x, R_0 R_z(\psi))\|$ without its torsion.

    $d \le$ `rho_c_min` $\le$ `rho_c`. A grid of `angles`, then golden section around its best point; 144 logarithms,
    so for study and not for layers. Shapes, units and errors as in `rho_b`; float64 is advised.
    """
    metric = as_axial(w)
    half = coordinates(q, p)
    shape = torch.broadcast_shapes(half.shape[:-1], metric.w.shape[:-1])
    s_m, s_d, s_u, beta = half.expand(*shape, 4).unbind(-1)
    # Everything depends on the four numbers, so one frame will do: n_0 = e_z, n_1 in the plane of x and z.
    c, s = torch.cos(beta / 2), torch.sin(beta / 2)
    place = torch.stack([s * s_m + c * s_d, s_u, c * s_m - s * s_d], dim=-1)
    direction = torch.stack([torch.sin(beta), torch.zeros_like(beta), torch.cos(beta)], dim=-1)
    fibre = section(torch.cat([place, direction], dim=-1))

    def squared(psi: Tensor) -> Tensor:
        zero = torch.zeros_like(psi)
        turn = torch.stack([zero, zero, zero, torch.cos(psi / 2), zero, zero, torch.sin(psi / 2)], dim=-1)
        xi = SE3.log(SE3.product(fibre, turn))
        bending = torch.stack([xi[..., 4], -xi[..., 3]], dim=-1)  # dn/ds = omega x e_z
        w2 = metric.w**2
        lateral = (xi[..., :2] ** 2).sum(-1)
        diagonal = w2[..., 0] * xi[..., 2] ** 2 + w2[..., 1] * lateral + w2[..., 2] * (bending**2).sum(-1)
        along = (xi[..., :2] * bending).sum(-1)
        twisted = xi[..., 0] * bending[..., 1] - xi[..., 1] * bending[..., 0]
        return diagonal + 2 * metric.a * along + 2 * metric.b * twisted

    step = 2 * math.pi / angles
    grid = [beta.new_full(shape, -math.pi + (i + 0.5) * step) for i in range(angles)]
    values = torch.stack([squared(psi) for psi in grid])
    low = torch.stack(grid).gather(0, values.argmin(dim=0)[None])[0] - step
    high, golden = low + 2 * step, (math.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - golden * (high - low), low + golden * (high - low)
        better = squared(left) < squared(right)
        low, high = torch.where(better, low, left), torch.where(better, right, high)
    return safe_sqrt(torch.minimum(squared((low + high) / 2), values.amin(dim=0)))
