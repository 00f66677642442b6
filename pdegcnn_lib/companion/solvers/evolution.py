r"""The equation of a layer, all terms at once, on SE(2): what operator splitting is held against.

$$W_t = -\mathbf{c}W + \Delta_{\mathcal{G}_1}W + \|\nabla_{\mathcal{G}_2}W\|^{2\alpha}
  - \|\nabla_{\mathcal{G}_3}W\|^{2\alpha}.$$

Convection, dilation and erosion are discretised by upwind differences along the frame, as in `hamilton_jacobi`;
diffusion, of order 1, by central differences in x, y and theta. Time steps are the three stages of Shu and Osher,
convex combinations of Euler steps, each within the bound under which an Euler step of the upwind terms is monotone.
With some terms left out the same discretisation solves one term of a splitting, so that the difference of a split and
an unsplit solution is the error of the splitting, and of nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pdegcnn_lib.companion.solvers.hamilton_jacobi import _ascents, _check_finite, _neighbour_weights
from pdegcnn_lib.geometry import SE2, as_metric
from pdegcnn_lib.kernels.window import orientation_angles


def _scales(name: str, w: Tensor | None) -> list[float] | None:
    """The three length scales of a diagonal metric, or None for a term that is left out."""
    if w is None:
        return None
    if not isinstance(w, Tensor) or w.shape != (3,):
        raise ValueError(f"{name} must be the three length scales of a diagonal metric, got {w!r}")
    return as_metric(w).matrix.diagonal().double().sqrt().tolist()


@dataclass(frozen=True)
class Evolution:
    r"""The equation of a layer on a grid: `Evolution(convection=c, dilation=w, alpha=0.65)(f, t)`.

    Each term is a tensor [3] or None, which leaves it out: `convection` the components of $\mathbf{c}$ in the frame,
    the others the length scales of a diagonal metric. `alpha` is that of dilation and erosion, `spacing` the distance
    of two pixels. Time steps are `cfl` times the largest that is monotone.
    Shapes: `f [..., Or, H, W]` -> the same, float64. Orientations are periodic, edge values continue the function.
    Raises: ValueError for a term that is not [3], an alpha outside [1/2, 1], fewer than 3 orientations, a negative t,
    and for an f that is not finite.
    """

    convection: Tensor | None = None
    diffusion: Tensor | None = None
    dilation: Tensor | None = None
    erosion: Tensor | None = None
    alpha: float = 1.0
    spacing: float = 1.0
    cfl: float = 0.5

    def __post_init__(self) -> None:
        for name in ("diffusion", "dilation", "erosion"):
            _scales(name, getattr(self, name))
        if self.convection is not None and self.convection.shape != (3,):
            raise ValueError(
                f"convection must have the shape [3] of frame components, got {list(self.convection.shape)}"
            )
        if not 0.5 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie in [1/2, 1], got {self.alpha}")
        if not (math.isfinite(self.spacing) and self.spacing > 0):
            raise ValueError(f"spacing must be positive and finite, got {self.spacing}")
        if not 0 < self.cfl <= 1:
            raise ValueError(f"cfl must lie in (0, 1], got {self.cfl}")

    def __call__(self, f: Tensor, t: float) -> Tensor:
        if f.ndim < 3 or f.shape[-3] < 3:
            raise ValueError(f"f must be [..., Or, H, W] with at least 3 orientations, got {list(f.shape)}")
        if not (math.isfinite(t) and t >= 0):
            raise ValueError(f"t must be non-negative and finite, got {t}")
        _check_finite(f)
        u = f.detach().double().cpu().reshape(-1, *f.shape[-3:])
        steps = torch.tensor([self.spacing, self.spacing, 2 * math.pi / u.shape[1]], dtype=torch.float64)
        filters = self._filters(u.shape[1])
        elapsed = 0.0
        while elapsed < t:
            first, speed = self._rate(u, filters, steps)
            if speed == 0:
                break
            dt = min(t - elapsed, self.cfl / speed)
            one = u + dt * first
            two = (3 * u + one + dt * self._rate(one, filters, steps)[0]) / 4
            u = (u + 2 * two + 2 * dt * self._rate(two, filters, steps)[0]) / 3
            elapsed += dt
        return u.reshape(f.shape)

    def _filters(self, orientations: int) -> tuple[Tensor, Tensor | None]:
        """The four neighbours in the plane of each orientation, and the spatial part of the Laplacian."""
        theta = orientation_angles(orientations)
        points = torch.stack([0 * theta, 0 * theta, theta], -1)
        main, lateral = SE2.frame(points)[:, :2, 0], SE2.frame(points)[:, :2, 1]
        around = _neighbour_weights(torch.stack([main, -main, lateral, -lateral], 1).flatten(0, 1))
        w = _scales("diffusion", self.diffusion)
        if w is None:
            return around, None
        a = main[:, :, None] * main[:, None] / w[0] ** 2 + lateral[:, :, None] * lateral[:, None] / w[1] ** 2
        second = torch.tensor([[0.0, 0, 0], [1, -2, 1], [0, 0, 0]], dtype=torch.float64)
        mixed = torch.tensor([[1.0, 0, -1], [0, 0, 0], [-1, 0, 1]], dtype=torch.float64) / 2
        stencils = a[:, 0, 0, None, None] * second + a[:, 1, 1, None, None] * second.T
        return around, (stencils + a[:, 0, 1, None, None] * mixed)[:, None] / self.spacing**2

    def _rate(self, u: Tensor, filters: tuple[Tensor, Tensor | None], steps: Tensor) -> tuple[Tensor, float]:
        """The right side of the equation, and the speed whose inverse bounds a monotone step."""
        around, laplacian = filters
        rate, speed, n = torch.zeros_like(u), 0.0, u.shape[1]
        padded = F.pad(u, (1, 1, 1, 1), mode="replicate")
        if self.convection is not None:
            read = F.conv2d(padded, around, groups=n).reshape(len(u), n, 2, 2, *u.shape[-2:])
            turned = (u.roll(-1, 1), u.roll(1, 1))
            for i, c in enumerate(self.convection.double().tolist()):
                side = 1 if c > 0 else 0  # the wind comes from behind
                upwind = read[:, :, i, side] if i < 2 else turned[side]
                rate = rate + abs(c) / steps[i] * (upwind - u)
                speed += abs(c) / float(steps[i])
        w = _scales("diffusion", self.diffusion)
        if w is not None and laplacian is not None:
            angular = (u.roll(1, 1) + u.roll(-1, 1) - 2 * u) / (w[2] * steps[2]) ** 2
            rate = rate + F.conv2d(padded, laplacian, groups=n) + angular
            speed += 2 * float(((torch.tensor(w) * steps) ** -2).sum())
        for sign, name in ((1, "dilation"), (-1, "erosion")):
            w = _scales(name, getattr(self, name))
            if w is None:
                continue
            squared = torch.zeros_like(u)
            for ascent, scale in zip(_ascents(sign * u, around, self.spacing), w, strict=True):
                squared = squared + (ascent / scale) ** 2
            steepest = float(squared.max()) ** 0.5
            rate = rate + sign * squared**self.alpha
            stiffness = 2 * self.alpha * float(((torch.tensor(w) * steps) ** -2).sum().sqrt())
            speed += stiffness * steepest ** (2 * self.alpha - 1) if steepest > 0 else 0.0
        return rate, speed
