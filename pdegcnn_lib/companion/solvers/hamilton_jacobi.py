r"""An upwind solver of the Hamilton-Jacobi equations of dilation and erosion, on SE(2) and on R^2.

$$W_t = \pm \|\nabla_{\mathcal{G}} W\|^{2\alpha}, \qquad
  \|\nabla_{\mathcal{G}} W\|^2 = \sum_i (A_i W)^2 / w_i^2.$$

Neither a kernel nor a distance enters. For dilation the scheme replaces each derivative by the steeper ascent of the
two that leave the point along its axis,

$$|A_i W|(p) \approx \frac{1}{h_i}\max\big(0,\; W(p\, e^{h_i A_i}) - W(p),\; W(p\, e^{-h_i A_i}) - W(p)\big),$$

where a neighbour off the grid is read by bilinear interpolation, whose weights are positive. With a forward Euler step
the new value is then non-decreasing in every old one (a monotone scheme) as long as

$$\Delta t\; 2\alpha\, \|\nabla W\|_{\max}^{2\alpha - 1} \Big(\sum_i (w_i h_i)^{-2}\Big)^{1/2} \le 1 ,$$

which the code chooses by itself, step by step. Monotone and consistent schemes converge to the viscosity solution
(Barles and Souganidis 1991); the order in the spacing is at most one, and the tests measure it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pdegcnn_lib.geometry import Metric, as_metric
from pdegcnn_lib.kernels.window import orientation_angles


def _neighbour_weights(directions: Tensor) -> Tensor:
    """Bilinear weights that read a function at `directions [n, 2]`, |.| <= 1 cell, as 3x3 filters `[n, 1, 3, 3]`."""
    cells = torch.arange(-1, 2, dtype=directions.dtype)
    hat = (1 - (directions[..., None] - cells).abs()).clamp(min=0)
    return (hat[:, 1, :, None] * hat[:, 0, None, :])[:, None]


def _ascents(f: Tensor, filters: Tensor, spacing: float) -> list[Tensor]:
    """The upwind |A_i f| for dilation, `[B, Or, H, W]` each; the third for more than one orientation."""
    batch, orientations, height, width = f.shape
    padded = F.pad(f, (1, 1, 1, 1), mode="replicate")
    around = F.conv2d(padded, filters, groups=orientations).reshape(batch, orientations, 2, 2, height, width)
    steepest = ((around - f[:, :, None, None]).amax(3) / spacing).clamp(min=0)
    found = [steepest[:, :, 0], steepest[:, :, 1]]
    if orientations > 1:
        turned = torch.maximum(f.roll(1, 1), f.roll(-1, 1)) - f
        found.append((turned * (orientations / (2 * math.pi))).clamp(min=0))
    return found


def _check_finite(f: Tensor) -> None:
    """Raise ValueError for a function with a value between which and its neighbours there is no slope."""
    if len(wrong := (~torch.isfinite(f)).nonzero()):
        index = wrong[0].tolist()
        raise ValueError(f"f must be finite, got {f[tuple(index)].item()} at {index}")


def hamilton_jacobi(
    f: Tensor,
    w: Tensor | Metric,
    *,
    alpha: float,
    t: float,
    spacing: float = 1.0,
    sign: int = 1,
    cfl: float = 0.9,
) -> Tensor:
    r"""The solution at time t of $W_t = \pm\|\nabla_{\mathcal{G}} W\|^{2\alpha}$ from W = f.

    Shapes: on SE(2) `f [..., Or, H, W]` with `w [3]`; on R^2 `f [..., H, W]` with `w [2]`; -> the same, float64.
    `spacing` is the distance of two pixels in the unit of w. The orientation axis is periodic; across the border the
    function is continued by its edge value, so nothing flows in.
    Convention: sign = +1 is dilation, -1 is erosion, the dilation of -f with its sign turned back.
    Raises: ValueError for a metric that is not diagonal, an alpha outside [1/2, 1], a negative t, a cfl outside (0, 1],
    and for an f that is not finite, of which no step is monotone.
    Source: the equations of the main paper, section 5.3; the scheme is the monotone upwind scheme of Rouy and Tourin
    along the axes of the frame.
    """
    metric = as_metric(w)
    if not metric.is_diagonal or metric.parameters.shape not in ((2,), (3,)):
        raise ValueError(f"w must be the 2 or 3 length scales of a diagonal metric, got {w!r}")
    if not 0.5 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [1/2, 1], got {alpha}")
    if not (math.isfinite(t) and t >= 0):
        raise ValueError(f"t must be non-negative and finite, got {t}")
    if not (math.isfinite(spacing) and spacing > 0):
        raise ValueError(f"spacing must be positive and finite, got {spacing}")
    if sign not in (1, -1):
        raise ValueError(f"sign must be 1 (dilation) or -1 (erosion), got {sign}")
    if not 0 < cfl <= 1:
        raise ValueError(f"cfl must lie in (0, 1], got {cfl}")
    scales = metric.parameters.detach().double().cpu()
    on_plane = len(scales) == 2
    if f.ndim < len(scales):
        raise ValueError(f"f must have at least {len(scales)} axes, got {list(f.shape)}")
    if not on_plane and f.shape[-3] < 3:
        raise ValueError(f"f must have at least 3 orientations, got {f.shape[-3]}")
    _check_finite(f)
    orientations = 1 if on_plane else f.shape[-3]
    u = sign * f.detach().double().cpu().reshape(-1, orientations, *f.shape[-2:])

    theta = orientation_angles(orientations)
    main = torch.stack([torch.cos(theta), torch.sin(theta)], -1)
    lateral = torch.stack([-torch.sin(theta), torch.cos(theta)], -1)
    filters = _neighbour_weights(torch.stack([main, -main, lateral, -lateral], 1).flatten(0, 1))
    steps = (
        scales
        * torch.tensor([spacing, spacing, 2 * math.pi / orientations], dtype=torch.float64)[: len(scales)]
    )
    stiffness = 2 * alpha * (steps**-2).sum().sqrt().item()

    elapsed = 0.0
    while elapsed < t:
        squared = sum(
            (a / s) ** 2 for a, s in zip(_ascents(u, filters, spacing), scales.tolist(), strict=True)
        )
        steepest = squared.max().sqrt().item()
        if steepest == 0:
            break
        step = min(t - elapsed, cfl / (stiffness * steepest ** (2 * alpha - 1)))
        u = u + step * squared**alpha
        elapsed += step
    return (sign * u).reshape(f.shape)
