"""The lower bound of the distance from a momentum: never above it, and equal to it where the theory says so."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pdegcnn_lib.companion.solvers import momentum_bound
from pdegcnn_lib.geometry import SE2, FullMetric, distance, minimising_momentum, rho_b

pytest.importorskip("scipy")
# Between two shots the action is interpolated: a relative error of (velocity step)^2, about 1e-4 for 2001 shots.
INTERPOLATION = 1e-3


def points(n: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    half = torch.tensor([3, 3, math.pi], dtype=torch.float64)
    return (2 * torch.rand(n, 3, generator=generator, dtype=torch.float64) - 1) * half


def certified(p: Tensor, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the shortest geodesic provably is one, its momentum in unit time, and its length."""
    momentum, length = minimising_momentum(p, w)
    half = torch.stack([0 * length, 0 * length, -p[:, 2] / 2], -1)
    signs = torch.where(SE2.half_angle(p) < 0, -1.0, 1.0)
    forward = SE2.act(half, momentum[:, :2])[:, 0] * signs[:, 0] >= 0
    # An odd number of flips runs the geodesic backwards: those points are left out rather than turned.
    even = signs.prod(-1) > 0
    return forward & (momentum[:, 2] * signs[:, 2] >= 0) & even, momentum[:, :2] * length[:, None], length


@pytest.mark.parametrize("w", [(1, 2, 1), (1, 6, 1), (1.4, 2.2, 0.7)])
def test_it_is_the_distance_where_the_certificate_holds(w: tuple[float, float, float]) -> None:
    scales, p = torch.tensor(w, dtype=torch.float64), points(40, seed=0)
    holds, momentum, length = certified(p, scales)
    assert 10 < holds.sum() < 40
    bound = momentum_bound(momentum[holds], p[holds], scales)
    assert (bound / length[holds] ** 2 - 1).abs().max() < INTERPOLATION


def test_no_momentum_gives_more_than_the_distance() -> None:
    w, p = torch.tensor([1.0, 3.0, 1.0], dtype=torch.float64), points(12, seed=1)
    generator = torch.Generator().manual_seed(2)
    d2 = distance(p, w) ** 2
    for size in (0.3, 1.0, 3.0):
        momentum = size * torch.randn(12, 2, generator=generator, dtype=torch.float64)
        assert (momentum_bound(momentum, p, w) <= d2 * (1 + INTERPOLATION)).all()


def test_straight_at_the_side_there_is_a_gap() -> None:
    """Two ways of parking are equally good there, and the momentum between them is no certificate."""
    w, p = torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64), torch.tensor([[0.05, 2.0, 0.0]]).double()
    momentum, length = minimising_momentum(p, w)
    assert momentum_bound(momentum[:, :2] * length[:, None], p, w) < 0.9 * length**2


def test_in_the_isotropic_case_it_is_pythagoras() -> None:
    """With w_main = w_lateral the heading does not feel the momentum: 2 P.x - |P|^2/w^2, plus the cost of the turn."""
    w, p = torch.tensor([1.3, 1.3, 0.8], dtype=torch.float64), points(12, seed=3)
    best = 1.3**2 * p[:, :2]
    expected = rho_b(p, w) ** 2
    torch.testing.assert_close(momentum_bound(best, p, w), expected, rtol=INTERPOLATION, atol=INTERPOLATION)


def test_errors() -> None:
    w, p = torch.ones(3), points(2, seed=4)
    with pytest.raises(ValueError, match="diagonal"):
        momentum_bound(p[:, :2], p, FullMetric(torch.eye(3)))
    with pytest.raises(ValueError, match="three length scales"):
        momentum_bound(p[:, :2], p, torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"\[n, 2\]"):
        momentum_bound(p[:1, :2], p, w)
    with pytest.raises(ValueError, match="momentum"):
        momentum_bound(p, p, w)
