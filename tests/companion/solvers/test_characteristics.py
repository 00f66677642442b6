"""Convection by characteristics: the closed form, the equation itself and the group property."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdegcnn_lib.companion.solvers import convection_by_characteristics
from pdegcnn_lib.companion.solvers.characteristics import characteristic_foot
from pdegcnn_lib.geometry import SE2


def points(n: int, seed: int) -> Tensor:
    return 2 * torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bump(p: Tensor) -> Tensor:
    return torch.exp(-(p[..., 0] ** 2) - 0.5 * (p[..., 1] - 0.3) ** 2 + torch.cos(p[..., 2] - 0.4))


def test_the_closed_form_is_the_flow() -> None:
    p, c, t = points(200, 0), points(200, 1), 1.7
    torch.testing.assert_close(
        bump(SE2.product(p, SE2.exp(-t * c))),
        convection_by_characteristics(bump, p, c, t),
        rtol=0,
        atol=1e-10,
    )
    foot = characteristic_foot(p, c, t)
    back = SE2.product(SE2.inverse(SE2.product(p, SE2.exp(-t * c))), foot)
    assert SE2.log(back).abs().max() < 1e-10


def test_it_solves_the_convection_equation() -> None:
    p, c = points(50, 2), points(1, 3)[0]
    h = 1e-4

    def solution(p: Tensor, t: float) -> Tensor:
        return convection_by_characteristics(bump, p, c, t)

    along = SE2.frame(p) @ c
    in_time = (solution(p, 0.8 + h) - solution(p, 0.8 - h)) / (2 * h)
    in_space = (solution(p + h * along, 0.8) - solution(p - h * along, 0.8)) / (2 * h)
    # Central differences: h^2/6 times third derivatives of up to about 100, and 1e-11/h from the integrator.
    assert (in_time + in_space).abs().max() < 1e-5
    assert in_time.abs().max() > 0.1


def test_the_group_property() -> None:
    p, c = points(100, 4), points(100, 5)
    twice = characteristic_foot(characteristic_foot(p, c, 0.6), c, 0.9)
    torch.testing.assert_close(twice, characteristic_foot(p, c, 1.5), rtol=0, atol=1e-10)
    turns = torch.tensor([0.0, 0.0, 2 * math.pi], dtype=torch.float64)
    torch.testing.assert_close(characteristic_foot(p, turns, 1.0), p - turns, rtol=0, atol=1e-10)
