r"""A lower bound of the distance on SE(2) from any momentum, by exhausting the headings: no elliptic integral enters.

For a curve $(x, \theta)(t)$ in unit time let $\dot x^\top M(\theta)\,\dot x + w_A^2\dot\theta^2$ be its squared speed.
Completing a square, $\dot x^\top M \dot x \ge 2P\cdot\dot x - P^\top M^{-1} P$ for every P in the plane. Integrated,

$$d(p_0, p)^2 \;\ge\; 2P\cdot x(1) + \min_\theta \int_0^1 w_A^2\dot\theta^2 - P^\top M(\theta)^{-1} P\; dt ,$$

where $\theta$ runs from 0 to $\theta_p$, up to full turns. The minimum over headings is a problem in one dimension, and
its minimiser obeys a pendulum equation. All pendulums are shot, so none is missed but between two of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdegcnn_lib.geometry import Metric, as_metric
from pdegcnn_lib.geometry.checks import last_axis

TURNS = range(-3, 4)  # full turns more than the shortest way to theta; each costs more than the last


def momentum_bound(
    momentum: Tensor, p: Tensor, w: Tensor | Metric, *, shots: int = 2001, steps: int = 160
) -> Tensor:
    r"""The lower bound of $d(p_0, p)^2$ that belongs to a momentum P, see above; with the best P it can be equality.

    Shots are equally spaced in the initial velocity $\dot\theta$, up to the largest that a minimiser can have,
    $\dot\theta(0)^2 \le \pi^2 + 2\max P^\top M^{-1}P / w_A^2$; the value between two of them is interpolated, which
    leaves a relative error of about 1e-4. Integrated with the Runge-Kutta method of order 4.

    Shapes: `momentum [n, 2]`, in the frame at p0; `p [n, 3]`; one diagonal metric `w [3]` -> `[n]`, float64.
    Raises: ValueError for other shapes or a metric that is not diagonal. Source: our derivation; weak duality.
    """
    metric = as_metric(w)
    if not metric.is_diagonal or metric.parameters.shape != (3,):
        raise ValueError(f"w must be the three length scales of one diagonal metric, got {w!r}")
    momentum, p = last_axis("momentum", momentum, 2).double(), last_axis("p", p, 3).double()
    if momentum.ndim != 2 or p.shape[:1] != momentum.shape[:1]:
        raise ValueError(
            f"momentum must be [n, 2] and p [n, 3], got {list(momentum.shape)} and {list(p.shape)}"
        )
    main, lateral, angular = metric.parameters.double().tolist()
    px, py = momentum[:, :1], momentum[:, 1:]

    def rate(theta: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cos, sin = torch.cos(theta), torch.sin(theta)
        along, across = (cos * px + sin * py), (cos * py - sin * px)
        force = -along * across * (main**-2 - lateral**-2) / angular**2
        return velocity, force, (angular * velocity) ** 2 - (along / main) ** 2 - (across / lateral) ** 2

    largest = (momentum**2).sum(-1) / min(main, lateral) ** 2
    fastest = (math.pi**2 + 2 * largest / angular**2).sqrt()
    velocity = fastest[:, None] * torch.linspace(-1, 1, shots, dtype=torch.float64)
    theta, action, dt = torch.zeros_like(velocity), torch.zeros_like(velocity), 1 / steps
    for _ in range(steps):
        a = rate(theta, velocity)
        b = rate(theta + dt / 2 * a[0], velocity + dt / 2 * a[1])
        c = rate(theta + dt / 2 * b[0], velocity + dt / 2 * b[1])
        d = rate(theta + dt * c[0], velocity + dt * c[1])
        step = [dt / 6 * (i + 2 * j + 2 * k + m) for i, j, k, m in zip(a, b, c, d, strict=True)]
        theta, velocity, action = theta + step[0], velocity + step[1], action + step[2]

    least = torch.full_like(largest, math.inf)
    for turns in TURNS:
        miss = theta - p[:, 2:] - 2 * math.pi * turns
        part = miss[:, :-1] / (miss[:, :-1] - miss[:, 1:])
        between = torch.lerp(action[:, :-1], action[:, 1:], part)
        hit = miss[:, :-1] * miss[:, 1:] <= 0
        least = torch.minimum(least, torch.where(hit, between, math.inf).amin(-1))
    return 2 * (momentum * p[:, :2]).sum(-1) + least
