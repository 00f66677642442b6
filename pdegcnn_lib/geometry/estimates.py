r"""Closed-form estimates of the Riemannian distance $d(p_0, p)$ on M2.

Each estimate is even in every half-angle coordinate, as the exact distance is, and is written here by its square,
which is what the kernels raise to a power: the square is differentiable at p0, its root is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pdegcnn_lib.geometry.checks import last_axis
from pdegcnn_lib.geometry.groups import SE2
from pdegcnn_lib.geometry.metrics import Metric, as_metric

Squared = Callable[[Tensor, Metric], Tensor]  # the square of an estimate: (p [..., n], metric) -> [...]
Coded = tuple[str, Callable[[Tensor], Tensor]]
NU = 1.6  # the constant of the sub-Riemannian estimate chosen in the Analysis paper


def safe_sqrt(x: Tensor) -> Tensor:
    """sqrt(x) for x >= 0 whose derivative at 0 is 0 instead of infinity."""
    zero = x == 0
    return torch.where(zero, torch.zeros_like(x), torch.sqrt(torch.where(zero, torch.ones_like(x), x)))


def _diagonal(metric: Metric, estimate: str) -> tuple[Tensor, Tensor, Tensor]:
    w = metric.diagonal(estimate, instead="rho_c or rho_b")
    w_main, w_lateral, w_angular = last_axis("w", w, 3).unbind(-1)
    return w_main, w_lateral, w_angular


@dataclass(frozen=True)
class Estimate:
    """An estimate of the distance: the square of its value is `formula(coordinates(p), metric)`, a call gives it.

    `coordinates` takes the relative elements q^-1 p of a space, `[..., n]`, and the formula is even in what it returns.
    `label` is how figures write it. `word` is the formula's name in `kernels_cu/estimates.cuh`, for diagonal metrics,
    and `nu` the constant that it takes there; None where it has none, kernels are then composed of torch's own
    operators.
    """

    name: str
    label: str
    coordinates: Callable[[Tensor], Tensor]
    formula: Squared
    word: str | None = None
    nu: float = NU

    def __call__(self, p: Tensor, metric: Metric) -> Tensor:
        """The square of the estimate: `p [..., n]` and a metric, broadcast, -> `[...]`."""
        return self.formula(self.coordinates(p), metric)

    def coded(self, kind: str) -> Coded | None:
        """The name in the sources for metrics of a kind, and the coordinates that are taken there; None without one."""
        return (self.word, self.coordinates) if self.word and kind == "diagonal" else None


def diagonal(b: Tensor, metric: Metric) -> Tensor:
    """The squared length of the coordinates as a vector at p0; metrics of every kind have one."""
    metric.on(b.shape[-1])
    return metric.squared(b)


def _sideways(w_main: Tensor, w_angular: Tensor, covariant: bool) -> Tensor:
    """The scale of a sideways move made by turning and driving; the two means are equal where the weights are."""
    return 2 * torch.sqrt(w_main * w_angular) if covariant else w_main + w_angular


def sub_riemannian(b: Tensor, metric: Metric, nu: float = NU, covariant: bool = False) -> Tensor:
    """rho_b_sr**2 of half-angle coordinates, see `rho_b_sr`."""
    w_main, _, w_angular = _diagonal(metric, "rho_b_sr")
    b1, b2, b3 = b.unbind(-1)
    along = (w_main * b1) ** 2 + (w_angular * b3) ** 2
    return safe_sqrt((nu * _sideways(w_main, w_angular, covariant)) ** 4 * b2**2 + along**2)


def combined(b: Tensor, metric: Metric, nu: float = NU, covariant: bool = False) -> Tensor:
    """rho_b_com**2 of half-angle coordinates, see `rho_b_com`."""
    w_main, w_lateral, w_angular = _diagonal(metric, "rho_b_com")
    # A quarter turn of the frame exchanges the main and the lateral axis, so zeta < 1 is the case 1/zeta > 1.
    swap = w_lateral < w_main
    b1, b2 = torch.where(swap, b[..., 1], b[..., 0]), torch.where(swap, b[..., 0], b[..., 1])
    ordered = torch.stack(
        [torch.minimum(w_main, w_lateral), torch.maximum(w_main, w_lateral), w_angular.expand_as(w_main)],
        dim=-1,
    )
    low, b3 = ordered[..., 0], b[..., 2]
    lower = (low**2) * (b1**2 + b2**2) + (w_angular * b3) ** 2
    along = (low * b1) ** 2 + (w_angular * b3) ** 2
    sideways = safe_sqrt((nu * _sideways(low, w_angular, covariant)) ** 4 * b2**2 + along**2)
    half_angle = along + (ordered[..., 1] * b2) ** 2
    return torch.maximum(lower, torch.minimum(sideways, half_angle))


ESTIMATES = {
    estimate.name: estimate
    for estimate in (
        Estimate("rho_c", r"$\rho_c$", SE2.log, diagonal, "Diagonal"),
        Estimate("rho_b", r"$\rho_b$", SE2.half_angle, diagonal, "Diagonal"),
        Estimate("rho_b_sr", r"$\rho_{b,sr}$", SE2.half_angle, sub_riemannian, "SubRiemannian"),
        Estimate("rho_b_com", r"$\rho_{b,com}$", SE2.half_angle, combined, "Combined"),
        Estimate(
            "rho_b_sr_covariant",
            r"$\rho_{b,sr}$, covariant",
            SE2.half_angle,
            partial(sub_riemannian, covariant=True),
            "SubRiemannianCovariant",
        ),
        Estimate(
            "rho_b_com_covariant",
            r"$\rho_{b,com}$, covariant",
            SE2.half_angle,
            partial(combined, covariant=True),
            "CombinedCovariant",
        ),
    )
}
SQUARED_ESTIMATES = ESTIMATES  # a call of a record gives the square


def vector(x: Tensor) -> Tensor:
    """The logarithm on R^n, the vector itself. By a name: layers are pickled with the estimate that they were given."""
    return x


NORM = Estimate("rho_c", r"$\|\cdot\|$", vector, diagonal, "Diagonal")  # on R^n it is the distance


def squared_estimate(estimate: str | Squared, named: Mapping[str, Estimate] | None = None) -> Squared:
    """The square of an estimate as a function (p, metric) -> `[...]`: of a named one, or the given function itself.

    Names are those of `named`, by default the estimates on SE(2). Raises: ValueError for an unknown name.
    """
    if callable(estimate):
        return estimate
    known = ESTIMATES if named is None else named
    if estimate not in known:
        raise ValueError(f"estimate must be one of {', '.join(known)}, got {estimate!r}")
    return known[estimate]


def rho_c(p: Tensor, w: Tensor | Metric) -> Tensor:
    r"""The logarithmic estimate $\rho_c(p) = \|\log p\|_{\mathcal{G}}$, an upper bound of the distance.

    Shapes: `p [..., 3]`, `w [..., 3]` or a metric, broadcast, -> `[...]`. Pixels and radians.
    Gradients are finite everywhere; at p0 the subgradient 0 is taken.
    Raises: ValueError for a wrong shape or a non-positive w.
    Source: main paper, section 5.2 (logarithmic metric estimate).
    """
    return safe_sqrt(ESTIMATES["rho_c"](p, as_metric(w)))


def rho_b(p: Tensor, w: Tensor | Metric) -> Tensor:
    r"""The half-angle estimate $\rho_b(p) = \|(w_i b^i)_i\|$, exact when w_lateral = w_main.

    Globally $\zeta^{-1} d \le \rho_b \le \zeta d$ with $\zeta = w_L/w_M \ge 1$.
    Shapes, units, gradients and errors as in `rho_c`. Source: Analysis paper (half-angle coordinates).
    """
    return safe_sqrt(ESTIMATES["rho_b"](p, as_metric(w)))


def rho_b_sr(p: Tensor, w: Tensor | Metric, nu: float = NU, covariant: bool = False) -> Tensor:
    r"""The sub-Riemannian estimate, the limit of infinite lateral cost; w_lateral does not enter.

    $$\rho_{b,sr}(p)^4 = (\nu s)^4 (b^2)^2 + \big((w_M b^1)^2 + (w_A b^3)^2\big)^2, \qquad s = w_M + w_A$$

    With `covariant` $s = 2\sqrt{w_M w_A}$, equal to the sum where the weights are: then, as for the distance, another
    unit of length, (x, y) -> (l x, l y) and w_M -> w_M / l, changes nothing.
    Shapes, units, gradients and errors as in `rho_c`; diagonal metrics only.
    Source: Analysis paper; the covariant scale is this project's.
    """
    return safe_sqrt(sub_riemannian(SE2.half_angle(p), as_metric(w), nu, covariant))


def rho_b_com(p: Tensor, w: Tensor | Metric, nu: float = NU, covariant: bool = False) -> Tensor:
    r"""The combined estimate $\rho_{b,com} = \max(l, \min(\rho_{b,sr}, \rho_b))$, good for every anisotropy.

    $l = \sqrt{w_M^2(x^2+y^2) + w_A^2\theta^2}$ is a lower bound of the distance when w_lateral >= w_main. For
    w_lateral < w_main the two axes exchange their roles, which is the same metric seen after a quarter turn.
    `covariant` chooses the scale in $\rho_{b,sr}$, see `rho_b_sr`: without it the error grows once w_A/w_M, in units of
    length, is far from 1. Shapes, units, gradients and errors as in `rho_c`; diagonal metrics only.
    Source: Analysis paper; the covariant scale is this project's.
    """
    return safe_sqrt(combined(SE2.half_angle(p), as_metric(w), nu, covariant))
