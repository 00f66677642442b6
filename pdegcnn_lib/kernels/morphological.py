r"""The kernels that solve dilation and erosion.

$$k_t^\alpha = \nu_\alpha\, t^{-1/(2\alpha-1)}\, \rho^{2\alpha/(2\alpha-1)}$$
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from pdegcnn_lib.geometry import Metric, as_metric, squared_estimate
from pdegcnn_lib.geometry.autocast import outside_autocast
from pdegcnn_lib.geometry.checks import has_values
from pdegcnn_lib.geometry.constant import as_found
from pdegcnn_lib.geometry.estimates import Squared
from pdegcnn_lib.spaces import Plane, Space, chosen


def nu_alpha(alpha: float | Tensor) -> float | Tensor:
    r"""The constant $\nu_\alpha = (2\alpha - 1)\,(2\alpha)^{-2\alpha/(2\alpha-1)}$ of the morphological kernel.

    It is the Legendre transform of $p \mapsto p^{2\alpha}$ at 1: $\sup_p (p - p^{2\alpha})$. For alpha in (1/2, 1];
    nu_1 = 1/4. Source: main paper, Theorem 5.21.
    """
    return (2 * alpha - 1) * (2 * alpha) ** (-2 * alpha / (2 * alpha - 1))


def check_alpha(alpha: float | Tensor) -> float | Tensor:
    """Return alpha if it lies in [1/2, 1] (a tensor: in (1/2, 1]); raise otherwise."""
    if isinstance(alpha, Tensor):
        if has_values(alpha) and not ((alpha > 0.5) & (alpha <= 1)).all():
            raise ValueError(f"alpha must lie in (1/2, 1] when it is a tensor, got {alpha.detach().tolist()}")
        return alpha
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool):
        raise TypeError(f"alpha must be a float or a tensor, got {alpha!r}")
    if not 0.5 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [1/2, 1], got {alpha}")
    return as_found(float(alpha))


def check_time(t: float) -> float:
    """Return the time t if it is positive and finite; raise otherwise."""
    if not isinstance(t, (int, float)) or isinstance(t, bool):
        raise TypeError(f"t must be a float, got {t!r}")
    if not 0 < t < math.inf:  # comparisons, which torch.compile can trace for a free t, too
        raise ValueError(f"t must be positive and finite, got {t}")
    return as_found(float(t))


def power_law(squared: Tensor, alpha: float | Tensor, t: float = 1.0) -> Tensor:
    r"""The kernel as a function of the squared distance, $\nu_\alpha t^{-1/(2\alpha-1)} (\rho^2)^{\alpha/(2\alpha-1)}$.

    At alpha = 1/2 it is the flat structuring element of the ball: 0 where rho <= t, +inf outside. A value beyond the
    range of the dtype is +inf with gradient 0, so that a far tap can never win nor spoil a gradient.

    Shapes: `squared [...]`; `alpha` a float or a tensor that broadcasts against it -> `[...]`.
    """
    if not isinstance(alpha, Tensor) and alpha == 0.5:
        outside = squared > t**2
        return torch.where(outside, torch.full_like(squared, torch.inf), torch.zeros_like(squared))
    exponent = alpha / (2 * alpha - 1)
    # nu t^(-1/(2 alpha - 1)) rho^b = nu t (rho/t)^b with b = 2 alpha/(2 alpha - 1): in range as alpha -> 1/2.
    scale, squared = nu_alpha(alpha) * t, squared / t**2
    with torch.no_grad():
        log_value = exponent * torch.log(squared) + (
            torch.log(scale) if isinstance(scale, Tensor) else math.log(scale)
        )
        # The derivative with respect to alpha is the value times a moderate factor: leave it three digits of room.
        overflow = log_value > math.log(torch.finfo(squared.dtype).max) - 7
        # Where rho = 0 the powers of higher derivatives are infinite and meet a factor 0. A parabola has none.
        at_rest = (squared == 0) & (torch.zeros_like(squared) + exponent > 1)
    safe = torch.where(overflow | at_rest, torch.ones_like(squared), squared)
    value = torch.where(at_rest, torch.zeros_like(squared), scale * safe**exponent)
    return torch.where(overflow, torch.full_like(squared, torch.inf), value)


def squared_distances(
    metric: Metric, space: Space, window: tuple[int, ...], estimate: str | Squared | None
) -> Tensor:
    r"""$\rho(q^{-1} p)^2$ for a point over the origin and every neighbour in its window, by the metric of each channel.

    Shapes: a metric over C channels -> `[C, *kernels, *window]`, see `spaces.Space`.
    """
    rho2 = squared_estimate(next(iter(space.estimates)) if estimate is None else estimate, space.estimates)
    reference = metric.over_channels(space.lengths)
    if metric.kind not in space.metrics:
        raise ValueError(
            f"a kernel on {type(space).__name__} is defined for {' and '.join(space.metrics)} metrics only, "
            f"got {metric.in_words}"
        )
    p = space.relative_elements(window, dtype=reference.dtype, device=reference.device)
    return rho2(p, metric.window_axes(p.ndim - 1))


def by_channel(alpha: float | Tensor, like: Tensor) -> float | Tensor:
    """alpha, and where it is one for every channel `[C]`, with axes to broadcast against `like [C, ...]`.

    Raises: ValueError for a tensor that is neither one number nor one for every channel.
    """
    if not isinstance(alpha, Tensor):
        return alpha
    if alpha.numel() not in (1, len(like)):
        raise ValueError(f"alpha must be a number or of shape [C] = [{len(like)}], got {list(alpha.shape)}")
    return alpha.reshape(-1, *(1,) * (like.ndim - 1))


@outside_autocast
def morphological_kernel(
    w: Tensor | Metric,
    *,
    alpha: float | Tensor,
    window: tuple[int, ...],
    space: Space | None = None,
    orientations: int | None = None,
    t: float = 1.0,
    estimate: str | Squared | None = None,
) -> Tensor:
    r"""The approximate morphological kernel of a space, sampled analytically at every point of its fibre.

    $$k[c, o, i, j, l] = \nu_\alpha\, t^{-1/(2\alpha-1)}\, \rho\big(q^{-1} p\big)^{2\alpha/(2\alpha-1)}$$

    On M2, which `orientations=Or` is short for, $p = (0, 0, \theta_o)$ and q is the neighbour at column offset
    l - KW//2, row offset j - KH//2 and orientation step i - KOr//2; on R^2 the distance is exact. Dilation subtracts
    the kernel, erosion adds it. `estimate` is a name or a function (p, metric) -> rho**2; None is the first name of
    the space, rho_c on M2.

    Shapes: `w [C, 3]` or a metric over C channels; `alpha` a float or `[C]` -> `[C, Or, KOr, KH, KW]` on M2,
    `w [C, 2]` -> `[C, KH, KW]` on R^2.
    Units: offsets in pixels and radians, w_main and w_lateral per pixel, w_angular per radian.
    Raises: ValueError for an alpha outside [1/2, 1] or for another number of channels, a non-positive w or t, an even
    window, a window wider than the circle, an unknown estimate.
    Source: main paper, Definition 5.25; estimates: main and Analysis papers.
    """
    metric, alpha, t, space = as_metric(w), check_alpha(alpha), check_time(t), chosen(space, orientations)
    squared = squared_distances(metric, space, window, estimate)
    k = power_law(squared, by_channel(alpha, squared), t)
    absent = space.absent(window)
    return k if absent is None else k.masked_fill(absent.to(k.device), torch.inf)


morphological_kernel_r2 = partial(morphological_kernel, space=Plane())  # `w [C, 2]` -> `[C, KH, KW]`
