"""Convection on SE(2) by following its characteristics with an ODE solver, to hold the closed form against."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pdegcnn_lib.geometry import SE2
from pdegcnn_lib.geometry.checks import last_axis

if TYPE_CHECKING:
    import numpy as np


def characteristic_foot(p: Tensor, c: Tensor, t: float, *, tolerance: float = 1e-12) -> Tensor:
    r"""The point from which the flow of an invariant vector field brings its value to p, by integration.

    $$\dot\gamma = -\sum_i c^i A_i(\gamma), \quad \gamma(0) = p, \quad \text{foot} = \gamma(t).$$

    The frame is the only geometry used. The closed form is $p\, e^{-tc}$, and $p\, g_0^{-1}$ with $g_0 = e^{tc}$.

    Shapes: `p [..., 3]`, `c [..., 3]`, broadcast -> `[..., 3]`, float64, theta not wrapped. Pixels and radians.
    Raises: ImportError without scipy. Source: the method of characteristics; main paper, section 5.1, for the equation.
    """
    try:
        from scipy.integrate import solve_ivp
    except ImportError as error:
        raise ImportError(
            "characteristics need scipy: pip install 'pdegcnn[notebooks]' or pip install scipy"
        ) from error
    p, c = torch.broadcast_tensors(last_axis("p", p, 3).double(), last_axis("c", c, 3).double())

    def rate(_: float, flat: np.ndarray) -> np.ndarray:
        point = torch.from_numpy(flat).reshape(p.shape)
        return -(SE2.frame(point) @ c[..., None])[..., 0].flatten().numpy()

    start = p.detach().cpu().flatten().numpy()
    solution = solve_ivp(rate, (0.0, float(t)), start, "DOP853", rtol=tolerance, atol=tolerance)
    if not solution.success:
        raise RuntimeError(f"the integrator stopped: {solution.message}")
    return torch.from_numpy(solution.y[:, -1].copy()).reshape(p.shape)


def convection_by_characteristics(u: Callable[[Tensor], Tensor], p: Tensor, c: Tensor, t: float) -> Tensor:
    r"""The solution W(p, t) of $W_t = -\sum_i c^i A_i W$ with W(., 0) = u, a function of points.

    Shapes: `p [..., 3]`, `c [..., 3]` -> what `u` makes of points `[..., 3]`; u must be 2 pi periodic in theta.
    """
    return u(characteristic_foot(p, c, t))
