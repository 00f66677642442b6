r"""Geodesics of SE(2) as curves to draw, from the Lie-Poisson equations, for any invariant metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pdegcnn_lib.geometry.checks import last_axis
from pdegcnn_lib.geometry.groups import SE2
from pdegcnn_lib.geometry.metrics import Metric, as_metric

if TYPE_CHECKING:
    import numpy as np


class Geodesic(NamedTuple):
    """A sampled geodesic: `time [..., n]`, `points [..., n, 3]` and frame components `velocity [..., n, 3]`."""

    time: Tensor
    points: Tensor
    velocity: Tensor

    def cusps(self) -> Tensor:
        """Marks `[..., n-1]` of the steps in which the main velocity changes sign: the spatial curve reverses.

        A velocity below 1e-9 counts as 0: a curve that moves sideways only has no cusps, whatever its rounding does.
        A cusp that falls on a sample belongs to the step after it.
        """
        main = self.velocity[..., 0]
        sign = torch.where(main.abs() < 1e-9, 0.0, main.sign())
        # Where the velocity is 0 it has the sign of the last one before that is not.
        last = torch.where(sign != 0, torch.arange(main.shape[-1], device=main.device), 0).cummax(-1).values
        sign = sign.gather(-1, last)
        return sign[..., 1:] * sign[..., :-1] < 0


def _cometric(w: Tensor | Metric, sub_riemannian: bool) -> Tensor:
    metric = as_metric(w)
    if sub_riemannian:
        inverse = last_axis("w", metric.diagonal("a sub-Riemannian geodesic"), 3).double() ** -2
        return torch.diag_embed(inverse * torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))
    return torch.linalg.inv(metric.matrix.double())


def geodesic(
    momentum: Tensor,
    w: Tensor | Metric,
    length: float | Tensor,
    *,
    samples: int = 101,
    sub_riemannian: bool = False,
    tolerance: float = 1e-11,
) -> Geodesic:
    r"""The geodesic from p0 with a given initial momentum, by numerical integration.

    With frame velocity $u = \mathcal{G}^{-1}\lambda$ the point moves by $\dot\gamma = \sum_i u_i A_i$ and the
    momentum by the Lie-Poisson equations of SE(2),

    $$\dot\lambda_1 = u_3\lambda_2, \quad \dot\lambda_2 = -u_3\lambda_1, \quad
      \dot\lambda_3 = u_2\lambda_1 - u_1\lambda_2.$$

    The momentum is scaled to unit dual norm, so that time is arc length. The sub-Riemannian limit sets u_2 = 0.

    Shapes: `momentum [..., 3]`, `length` a float or `[...]` -> see `Geodesic`; float64. theta is not wrapped.
    Raises: ValueError for a zero momentum; ImportError without scipy. Source: Hamilton's equations on a Lie group.
    """
    try:
        from scipy.integrate import solve_ivp
    except ImportError as error:
        raise ImportError(
            "geodesics need scipy: pip install 'pdegcnn[notebooks]' or pip install scipy"
        ) from error
    start = last_axis("momentum", momentum, 3).detach().double()
    cometric = _cometric(w, sub_riemannian)
    norm = torch.einsum("...i,...ij,...j->...", start, cometric, start).sqrt()
    if not (norm > 0).all():
        raise ValueError(f"momentum must have a positive dual norm, got {norm.min().item():g}")
    start = start / norm[..., None]
    shape = start.shape[:-1]
    span = torch.as_tensor(length, dtype=torch.float64).expand(shape)
    state0 = torch.cat([torch.zeros_like(start), start], -1)

    def velocity(momentum: Tensor) -> Tensor:
        return (cometric @ momentum[..., None])[..., 0]

    def rate(_: float, flat: np.ndarray) -> np.ndarray:
        state = torch.from_numpy(flat).reshape(*shape, 6)
        point, l1, l2 = state[..., :3], state[..., 3], state[..., 4]
        u = velocity(state[..., 3:])
        moved = (SE2.frame(point) @ u[..., None])[..., 0]
        turned = torch.stack([u[..., 2] * l2, -u[..., 2] * l1, u[..., 1] * l1 - u[..., 0] * l2], -1)
        return (torch.cat([moved, turned], -1) * span[..., None]).flatten().numpy()

    fraction = torch.linspace(0, 1, samples, dtype=torch.float64)
    solution = solve_ivp(
        rate, (0.0, 1.0), state0.flatten().numpy(), "DOP853", fraction.numpy(), rtol=tolerance, atol=tolerance
    )
    if not solution.success:
        raise RuntimeError(f"the integrator stopped: {solution.message}")
    states = torch.from_numpy(solution.y.T.copy()).reshape(samples, *shape, 6).movedim(0, -2)
    if shape:
        cometric = cometric.unsqueeze(-3) if cometric.ndim > 2 else cometric
    return Geodesic(span[..., None] * fraction, states[..., :3], velocity(states[..., 3:]))


def exponential_curve(xi: Tensor, *, samples: int = 101) -> Tensor:
    r"""The exponential curve $s \mapsto \exp(s\,\xi)$, $s \in [0, 1]$: `xi [..., 3]` -> `[..., samples, 3]`.

    Its length is $\|\xi\|_{\mathcal{G}}$, so the best one to p has the length `rho_c`; it is a geodesic only in special
    cases. theta is not wrapped.
    """
    s = torch.linspace(0, 1, samples, dtype=xi.dtype, device=xi.device)
    scaled = s[:, None] * last_axis("xi", xi, 3)[..., None, :]
    return torch.cat([SE2.exp(scaled)[..., :2], scaled[..., 2:]], -1)
