"""An estimate of one's own: the length of the way that turns, drives straight and turns again.

Chapter 41 reads this file with its reader.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.geometry import ESTIMATES, SE2, Metric


def squared_turn_drive_turn(p: Tensor, metric: Metric) -> Tensor:
    r"""The square of $\rho_{tdt}(p) = w_M\sqrt{x^2 + y^2} + w_A \max(2|\beta|, |\theta|)$.

    beta in [-pi/2, pi/2] is the direction of p, or the opposite one, in the frame at half the final angle: turn from
    -theta/2 to beta, drive forwards or backwards, turn to theta/2. It is the length of a curve from p0 to p.
    Shapes: `p [..., 3]`, a diagonal metric -> `[...]`.
    """
    b1, b2, theta = SE2.half_angle(p).unbind(-1)
    w_main, _, w_angular = metric.diagonal("turn, drive, turn").unbind(-1)
    direction = torch.atan2(b2.abs(), b1.abs())
    return (w_main * torch.hypot(b1, b2) + w_angular * torch.maximum(2 * direction, theta.abs())) ** 2


def squared_shorter(p: Tensor, metric: Metric) -> Tensor:
    """The square of min(rho_c, rho_tdt): of two upper bounds of the distance the better one."""
    return torch.minimum(ESTIMATES["rho_c"](p, metric), squared_turn_drive_turn(p, metric))
