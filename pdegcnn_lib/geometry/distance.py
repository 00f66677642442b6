r"""The exact Riemannian distance on SE(2): every geodesic in closed form, the shortest one by one scalar equation.

Derivation. In units where (w_main, w_lateral, w_angular) = (1, zeta, 1), zeta >= 1, a unit-speed geodesic keeps its
spatial momentum $P = r(\cos\beta, \sin\beta)$ (translations commute), so its heading obeys a pendulum equation,

$$\dot\theta^2 = 1 - r^2 g(\theta - \beta), \qquad g(\psi) = \cos^2\psi + \zeta^{-2}\sin^2\psi = 1 - \kappa\sin^2\psi,$$

and its displacement along and across P is $X = \int (1 - \dot\theta^2)/r\, dt$, $Y = (\dot\theta_1 - \dot\theta_0)/r$.
X is an elliptic integral and Y is algebraic. In the frame at half the final heading the target sits at
$b = |b|(\cos\beta_b, \sin\beta_b)$, the headings are -h and h, and the eight symmetries put all of it in one octant.
For a direction $\beta = \beta_b + u$ of P, the equations $Y = -|b|\sin u$ and $\dot\theta_i^2 = 1 - r^2 g(\psi_i)$
give r and both end velocities in closed form. What is left is one equation, X(u) = |b| cos u.

Why the solution is the shortest. Proved: if the equation has one simple root for every target of the open octant, the
length of its geodesic is a continuous function on M2 whose gradient, the momentum at the end, has unit norm; so it is
at most d, and being the length of a curve it is at least d. No other geodesic has to be looked at. Measured, not
proved: X(u) - |b| cos u increases in u, so there is one root; the tests scan it. Proved without that: the geodesic is
the shortest wherever P points forward and the heading does not first turn away, because its heading then has the least
action for its own P, and that gives a lower bound of d (`pdegcnn_lib.companion.solvers.momentum_bound`, chapter 11).

The length is evaluated as $P\cdot b + \int\dot\theta^2 dt$, the value of a stationary principle in P, which turns an
error of the root into an error of second order.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pdegcnn_lib.geometry.checks import last_axis
from pdegcnn_lib.geometry.groups import SE2
from pdegcnn_lib.geometry.metrics import Metric, as_metric

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray

# Below this scaled radius rho_c is the distance to a relative 1e-11 (its excess is zeta^2 d^2/96).
NEAR = 1e-5
ISOTROPIC = 1e-11  # below this kappa rho_b is the distance to a relative kappa/2


class Extremal(NamedTuple):
    """A geodesic of the octant: |P|, its direction beta, the end velocities of theta, its length and the miss in X."""

    r: Array
    beta: Array
    start: Array
    end: Array
    length: Array
    miss: Array


def _scipy() -> tuple[ModuleType, ModuleType]:
    try:
        from scipy import special
        from scipy.optimize import elementwise
    except ImportError as error:
        raise ImportError(
            "the exact distance needs scipy >= 1.15: pip install 'pdegcnn[notebooks]' or pip install scipy"
        ) from error
    return special, elementwise


def _primitives(sin: Array, cos2: Array, velocity2: Array, peak2: Array) -> tuple[Array, Array]:
    r"""$\int_0^\chi d\chi/\dot\theta$ and $\int_0^\chi \sin^2\chi\, d\chi/\dot\theta$ for |chi| <= pi/2.

    chi = psi - pi/2 is the heading relative to the rest point of the pendulum, where the velocity has its peak. In
    Carlson's symmetric form one expression covers swings and full turns.
    """
    special, _ = _scipy()
    first = sin * special.elliprf(peak2 * cos2, velocity2, peak2)
    return first, sin**3 / 3 * peak2 * special.elliprd(peak2 * cos2, velocity2, peak2)


def _extremal(u: Array, size: Array, direction: tuple[Array, Array], h: Array, kappa: Array) -> Extremal:
    """The geodesic with momentum direction beta_b + u and the displacement -|b| sin u across it."""
    import numpy as np

    cos_b, sin_b = direction
    cu, su = np.cos(u), np.sin(u)
    cos_beta, sin_beta = cos_b * cu - sin_b * su, sin_b * cu + cos_b * su
    ch, sh = np.cos(h), np.sin(h)
    sin0, cos0 = sin_beta * ch + cos_beta * sh, cos_beta * ch - sin_beta * sh
    sin1, cos1 = sin_beta * ch - cos_beta * sh, cos_beta * ch + sin_beta * sh
    along, across = size * cu, -size * su
    ratio = 4 * kappa * sh * ch * sin_beta * cos_beta / across
    r2 = 1 / (1 - kappa * sin1**2 + (across - ratio) ** 2 / 4)
    r = np.sqrt(r2)
    end, start = r * (across - ratio) / 2, -r * (across + ratio) / 2
    stiffness = kappa * r2
    # The squared velocity where P and the heading agree; negative: swings.
    least2 = end**2 - stiffness * sin1**2
    peak2 = end**2 + stiffness * cos1**2
    swings = least2 < 0
    turn_cos2 = np.where(swings, np.minimum(-least2 / stiffness, 1), 0)
    # Not from 1 - cos2, which has no digits of a small swing.
    turn_sin = np.where(swings, np.sqrt(np.minimum(peak2 / stiffness, 1)), 1)
    primitive0 = _primitives(cos0, sin0**2, start**2, peak2)
    primitive1 = _primitives(cos1, sin1**2, end**2, peak2)
    quarter = _primitives(turn_sin, turn_cos2, np.maximum(np.where(swings, 0, least2), 0), peak2)

    def passage(at0: Array, at1: Array, at_turn: Array) -> Array:
        begin = np.where(start >= 0, at0, -2 * at_turn - at0)
        # Told by the signs: whether a very long geodesic swings or turns on is lost in rounding.
        beyond = (end < 0) | (sin1 < 0)
        return np.where(beyond, 2 * at_turn - at1, at1) - begin

    time, sine2 = (passage(*parts) for parts in zip(primitive0, primitive1, quarter, strict=True))
    miss = r * ((1 - kappa) * time + kappa * sine2) - along
    impossible = ~swings & ((start < 0) | (end < 0))
    length = r * along + peak2 * time - stiffness * sine2
    return Extremal(r, np.arctan2(sin_beta, cos_beta), start, end, length, np.where(impossible, np.inf, miss))


def _bracket(b1: Array, b2: Array, h: Array, kappa: Array) -> Array:
    """The largest u: there the geodesic would be infinitely long, aligned with P at its end or at its start."""
    import numpy as np

    root = 2 * np.sqrt(kappa)
    upper = np.arctan2(b2, b1 - root * np.cos(h))
    room = root * np.sin(h) - b2
    return np.where(room > 0, np.minimum(upper, np.arctan2(room, -b1)), upper) - np.arctan2(b2, b1)


def _solve(b: Array, kappa: Array) -> Extremal:
    """The shortest geodesic to targets `b [n, 3]` of the octant with |(b1, b2)| > 0, in scaled units."""
    import numpy as np

    _, elementwise = _scipy()
    b1, b2, theta = b.T
    size = np.hypot(b1, b2)
    # On a face of the octant the root sits on the end of its bracket. The distance is Lipschitz, so a step off is free.
    b1, b2 = np.maximum(b1, 1e-12 * size), np.maximum(b2, 1e-12 * size)
    size = np.hypot(b1, b2)
    direction = (b1 / size, b2 / size)
    h = np.minimum(theta / 2, math.pi / 2 - 1e-12)
    upper = _bracket(b1, b2, h, kappa)

    def balance(u: Array, size: Array, c: Array, s: Array, h: Array, kappa: Array, upper: Array) -> Array:
        with np.errstate(all="ignore"):
            miss, along = _extremal(u, size, (c, s), h, kappa).miss, size * np.cos(u)
            value = np.where(np.isfinite(miss), miss / (miss + 2 * np.abs(along) + 1), 1.0)
        return np.where(u <= 0, -1.0, np.where(u >= upper, 1.0, value))

    arguments = (size, *direction, h, kappa, upper)
    result = elementwise.find_root(balance, (np.zeros_like(upper), upper), args=arguments)
    with np.errstate(all="ignore"):
        return _extremal(result.x, size, direction, h, kappa)


class _Scaled(NamedTuple):
    """A query in the octant and in scaled units, with what is needed to go back."""

    b: Array  # [n, 3], b1, b2, theta >= 0
    kappa: Array
    unit: Array  # w_angular
    space: Array  # the cheaper of w_main, w_lateral
    swap: Array
    sign: Array  # [n, 3]
    shape: torch.Size


def _scale(p: Tensor, w: Tensor | Metric, lateral_limit: bool) -> _Scaled:
    import numpy as np

    metric = as_metric(w)
    scales = metric.diagonal("the exact distance")
    b = SE2.half_angle(last_axis("p", p, 3).detach().double().cpu())
    b, scales = torch.broadcast_tensors(b, last_axis("w", scales, 3).detach().double().cpu())
    if not torch.isfinite(b).all():
        raise ValueError("p must be finite")
    shape, b = b.shape[:-1], b.reshape(-1, 3).numpy()
    main, lateral, angular = scales.reshape(-1, 3).numpy().T
    swap = (lateral < main) & (not lateral_limit)
    space = np.where(swap, lateral, main)
    kappa = np.ones_like(main) if lateral_limit else 1 - (space / np.where(swap, main, lateral)) ** 2
    # A quarter turn of the frame exchanges the two axes: (A1, A2) -> (A2, -A1).
    b = np.where(swap[:, None], b[:, [1, 0, 2]] * np.array([1.0, -1.0, 1.0]), b)
    sign = np.where(b < 0, -1.0, 1.0)
    b = np.abs(b) * np.stack([space / angular, space / angular, np.ones_like(angular)], -1)
    return _Scaled(b, kappa, angular, space, swap, sign, shape)


def _lengths(query: _Scaled) -> Array:
    import numpy as np

    b, kappa = query.b, query.kappa
    still = np.hypot(b[:, 0], b[:, 1]) == 0
    isotropic = kappa < ISOTROPIC
    stretched = b[:, 1] / np.sqrt(np.where(kappa < 1, 1 - kappa, 1))
    ratio = np.sinc(b[:, 2] / (2 * math.pi))
    logarithmic = np.sqrt((b[:, 0] / ratio) ** 2 + (stretched / ratio) ** 2 + b[:, 2] ** 2)
    near = (kappa < 1) & (logarithmic < NEAR * np.sqrt(np.maximum(1 - kappa, 0)))
    length = np.where(near, logarithmic, np.sqrt((b**2).sum(-1)))
    hard = ~(still | isotropic | near)
    if hard.any():
        length[hard] = _solve(b[hard], kappa[hard]).length
    return length * query.unit


def distance(p: Tensor, w: Tensor | Metric) -> Tensor:
    r"""The exact Riemannian distance $d(p_0, p)$ from the origin of SE(2), for a diagonal metric.

    $$d(p_0, p) = \min_\gamma \int \|\dot\gamma\|_{\mathcal{G}}\, dt, \qquad
      d(p, q) = d(p_0, p^{-1} q)$$

    Accurate to a relative 1e-9 for w_lateral/w_main between 1/100 and 100 and within +-3 pixels, held by the tests.
    It is even in each half-angle coordinate, is at most `rho_c`, and equals `rho_b` where w_lateral = w_main.

    Shapes: `p [..., 3]`, `w [..., 3]` or a diagonal metric, broadcast -> `[...]`. Pixels and radians. Any floating
    dtype is read; the work and the result are float64 on the CPU, without gradient.
    Raises: ValueError for a wrong shape, a non-positive w, a metric that is not diagonal or a p that is not finite;
    ImportError without scipy >= 1.15. Source: our derivation, in the docstring of this module.
    """
    query = _scale(p, w, lateral_limit=False)
    return torch.from_numpy(_lengths(query)).reshape(query.shape)


def sub_riemannian_distance(p: Tensor, w: Tensor | Metric) -> Tensor:
    r"""The sub-Riemannian distance, the limit of `distance` as w_lateral grows; w_lateral itself is ignored.

    The same equations with $\kappa = 1$. Near p0 along the lateral axis it is $\sqrt{4\pi\, w_M w_A |y|}$.
    Shapes, units and errors as in `distance`.
    """
    query = _scale(p, w, lateral_limit=True)
    return torch.from_numpy(_lengths(query)).reshape(query.shape)


def minimising_momentum(
    p: Tensor, w: Tensor | Metric, *, sub_riemannian: bool = False
) -> tuple[Tensor, Tensor]:
    r"""The initial momentum of a shortest geodesic from p0 to p, and its length.

    The momentum has frame components $\lambda_i = w_i^2 u_i$ and unit dual norm, $\sum_i \lambda_i^2/w_i^2 = 1$, so
    that `geodesic(momentum, w, length)` ends at p. On the cut locus the shortest geodesic is not unique: one is given.

    Shapes: as in `distance`, -> `[..., 3]` and `[...]`. At p = p0 the momentum is that of
    the cheaper of the main and the lateral axis.
    """
    import numpy as np

    query = _scale(p, w, lateral_limit=sub_riemannian)
    b, kappa, sign = query.b, query.kappa, query.sign
    size = np.hypot(b[:, 0], b[:, 1])
    length = np.sqrt((b**2).sum(-1))
    safe = np.where(length > 0, length, 1)
    r, beta = np.where(length > 0, size / safe, 1.0), np.arctan2(b[:, 1], b[:, 0])
    start = end = b[:, 2] / safe
    hard = (kappa >= ISOTROPIC) & (size > 0)
    if hard.any():
        found, start, end = _solve(b[hard], kappa[hard]), start.copy(), end.copy()
        r[hard], beta[hard], length[hard] = found.r, found.beta, found.length
        start[hard], end[hard] = found.start, found.end
    # Two flips at a time are automorphisms. An odd number adds the inversion, which runs the geodesic backwards.
    velocity = np.where(sign.prod(-1) > 0, start, end) * sign[:, 2]
    half = b[:, 2] / 2 * sign[:, 2]
    p1, p2 = r * np.cos(beta) * sign[:, 0], r * np.sin(beta) * sign[:, 1]
    first, second = np.cos(half) * p1 - np.sin(half) * p2, np.sin(half) * p1 + np.cos(half) * p2
    first, second = np.where(query.swap, -second, first), np.where(query.swap, first, second)
    momentum = np.stack([query.space * first, query.space * second, query.unit * velocity], -1)
    return (
        torch.from_numpy(momentum).reshape(*query.shape, 3),
        torch.from_numpy(length * query.unit).reshape(query.shape),
    )
