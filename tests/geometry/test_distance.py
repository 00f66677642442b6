"""The exact distance, held against what it must satisfy and against methods that share no code with it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pdegcnn_lib.geometry import (
    SE2,
    FullMetric,
    distance,
    minimising_momentum,
    rho_b,
    rho_b_com,
    rho_b_sr,
    rho_c,
    sub_riemannian_distance,
    wrap_angle,
)
from pdegcnn_lib.geometry.geodesics import geodesic

pytest.importorskip("scipy")
ZETAS = (1.2, 2.0, 4.0, 8.0)


def scales(*w: float) -> Tensor:
    return torch.tensor(w, dtype=torch.float64)


def points(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(n, 3, generator=generator, dtype=torch.float64)
    return unit * scales(6, 6, 2 * math.pi) - scales(3, 3, math.pi)


def from_half_angle(b: Tensor) -> Tensor:
    c, s = torch.cos(b[..., 2] / 2), torch.sin(b[..., 2] / 2)
    return torch.stack([c * b[..., 0] - s * b[..., 1], s * b[..., 0] + c * b[..., 1], b[..., 2]], -1)


def test_the_isotropic_distance_is_the_half_angle_norm() -> None:
    p = points(500)
    torch.testing.assert_close(
        distance(p, scales(1.3, 1.3, 0.7)), rho_b(p, scales(1.3, 1.3, 0.7)), rtol=1e-14, atol=0
    )
    # The general solution approaches it: the metrics differ by at most a factor zeta.
    for excess in (1e-10, 1e-7, 1e-4):
        d = distance(p, scales(1, 1 + excess, 1))
        assert ((d / rho_b(p, scales(1, 1, 1)) - 1).abs() <= excess + 1e-11).all()


@pytest.mark.parametrize("w", [(1, 1.2, 1), (1, 2, 1), (1, 8, 1), (1, 0.3, 1), (2, 0.5, 1.7), (0.5, 3, 2.2)])
def test_the_momentum_shoots_to_the_point(w: tuple[float, float, float]) -> None:
    """The integrator knows nothing of elliptic functions; its tolerance is 1e-11 per step."""
    p = points(200, seed=1)
    momentum, length = minimising_momentum(p, scales(*w))
    torch.testing.assert_close(length, distance(p, scales(*w)), rtol=1e-12, atol=0)
    torch.testing.assert_close(((momentum / scales(*w)) ** 2).sum(-1), torch.ones(200, dtype=torch.float64))
    miss = geodesic(momentum, scales(*w), length, samples=2).points[:, -1] - p
    miss[:, 2] = wrap_angle(miss[:, 2])
    assert miss.abs().max() < 1e-8


@pytest.mark.parametrize("zeta", ZETAS)
def test_no_geodesic_is_missed(zeta: float) -> None:
    r"""A continuous function with |D(p) - D(q)| <= d(p, q) and D(p0) = 0 is at most d, and D is the length of a curve.

    The step is measured with rho_c, an upper bound of d. A wrong branch anywhere shows as a jump on the segments that
    cross its border; segments also cross the cut at theta = pi, the faces of the octant and the cut locus b_1 = 0.
    """
    start = points(400, seed=2)
    step = SE2.exp(
        0.03 * torch.randn(400, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    )
    line = [start]
    for _ in range(60):
        line.append(SE2.product(line[-1], step))
    line = torch.stack(line)
    w = scales(1, zeta, 1)
    d = distance(line, w)
    allowed = rho_c(step, w)
    assert (d.diff(dim=0).abs() <= allowed * (1 + 1e-9)).all()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Thousands of operations on small tensors: handing each to two threads costs more than it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("zeta", [2.0, 8.0])
def test_no_path_is_shorter(zeta: float) -> None:
    """Discretised paths from random starts, shortened by L-BFGS with the angle free to wind, never win."""
    p, n, tries = points(4, seed=4), 24, 16
    w, generator = scales(1, zeta, 1), torch.Generator().manual_seed(5)
    turns = torch.randint(-1, 2, (tries, 4), generator=generator).double() * 2 * math.pi
    end = torch.stack([p[:, 0].expand(tries, 4), p[:, 1].expand(tries, 4), p[:, 2] + turns], -1)
    s = torch.linspace(0, 1, n + 1, dtype=torch.float64)[1:-1, None, None, None]
    waves = torch.randn(3, tries, 4, 3, generator=generator, dtype=torch.float64)
    inner = (s * end + sum(waves[k] * torch.sin((k + 1) * math.pi * s) for k in range(3))).requires_grad_(
        True
    )

    def squared_steps() -> Tensor:
        path = torch.cat([torch.zeros_like(end)[None], inner, end[None]])
        dx, dy, dt = path.diff(dim=0).unbind(-1)
        middle = (path[1:, ..., 2] + path[:-1, ..., 2]) / 2
        c, t = torch.cos(middle), torch.sin(middle)
        return (c * dx + t * dy) ** 2 + (zeta * (c * dy - t * dx)) ** 2 + dt**2

    solver = torch.optim.LBFGS([inner], max_iter=300, history_size=30, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        energy = n * squared_steps().sum()
        energy.backward()
        return energy

    solver.step(closure)
    best = squared_steps().detach().clamp(min=0).sqrt().sum(0).amin(0)
    d = distance(p, w)
    # The midpoint rule on 24 steps is accurate to about (length/24)^2. The search must come close, or it is no test.
    assert (best >= d * (1 - 1e-2)).all()
    assert (best <= d * 1.02).all()


@pytest.mark.parametrize(
    ("zetas", "sizes"), [((1.001, 3), (0.05, 10)), ((3, 1e3), (0.05, 10)), ((1.001, 1e3), (1e-3, 100))]
)
def test_the_scalar_equation_has_one_root(zetas: tuple[float, float], sizes: tuple[float, float]) -> None:
    """Dense scans over the direction of P for targets all over the octant: the miss is negative at first and increases.

    It tends to infinity at the end of the bracket, where the geodesic becomes infinitely long.
    """
    import numpy as np

    from pdegcnn_lib.geometry.distance import _bracket, _extremal

    generator, n = np.random.default_rng(6), 800
    kappa = 1 - np.exp(generator.uniform(*np.log(zetas), n)) ** -2
    size = np.exp(generator.uniform(*np.log(sizes), n))
    angle, h = generator.uniform(0, math.pi / 2, (2, n))
    direction = (np.cos(angle), np.sin(angle))
    upper = _bracket(*(size * part for part in direction), h, kappa)
    fraction = np.concatenate([[1e-9], np.linspace(0, 1, 403)[1:-1]])[:, None]
    with np.errstate(all="ignore"):
        miss = _extremal(fraction * upper, size, direction, h, kappa).miss
    assert np.isfinite(miss).all()
    assert (np.diff(miss, axis=0) > 0).all()
    assert (miss[0] < 0).all()


def test_the_eight_symmetries_by_shooting() -> None:
    """The flipped points are reached by geodesics of the same length; the integrator does not know the symmetries."""
    b, w = SE2.half_angle(points(40, seed=7)), scales(1, 3, 1)
    for k in range(8):
        q = from_half_angle(b * scales(*(1 - 2 * (k >> i & 1) for i in range(3))))
        momentum, length = minimising_momentum(q, w)
        torch.testing.assert_close(length, distance(from_half_angle(b), w), rtol=1e-9, atol=0)
        miss = geodesic(momentum, w, length, samples=2).points[:, -1] - q
        assert torch.stack([miss[:, 0], miss[:, 1], wrap_angle(miss[:, 2])]).abs().max() < 1e-8


@pytest.mark.parametrize("zeta", [1.0, *ZETAS])
def test_metric_axioms_and_bounds(zeta: float) -> None:
    p, q, w = points(1000, seed=8), points(1000, seed=9), scales(1, zeta, 1)
    d_p, d_q = distance(p, w), distance(q, w)
    between = distance(SE2.product(SE2.inverse(p), q), w)
    assert (d_q <= (d_p + between) * (1 + 1e-12)).all()
    torch.testing.assert_close(distance(SE2.inverse(p), w), d_p, rtol=1e-12, atol=0)
    assert (d_p <= rho_c(p, w) * (1 + 1e-12)).all()
    assert (rho_b(p, w) <= zeta * d_p * (1 + 1e-12)).all() and (d_p <= zeta * rho_b(p, w) * (1 + 1e-12)).all()
    lower = (p[:, 0] ** 2 + p[:, 1] ** 2 + p[:, 2] ** 2).sqrt()
    assert (d_p >= lower * (1 - 1e-12)).all()


def test_units_and_the_exchange_of_the_axes() -> None:
    p = points(300, seed=10)
    d = distance(p, scales(1, 3, 1))
    torch.testing.assert_close(distance(p, scales(2, 6, 2)), 2 * d)
    torch.testing.assert_close(distance(p * scales(2, 2, 1), scales(0.5, 1.5, 1)), d)
    turned = torch.stack([p[:, 1], -p[:, 0], p[:, 2]], -1)
    torch.testing.assert_close(distance(turned, scales(3, 1, 1)), d)


def test_local_constants_of_the_estimates() -> None:
    r"""sup (rho_c^2 - d^2)/d^4 -> zeta^2/(48 w_A^2) and sup (rho_b^2 - d^2)/d^4 -> (zeta^2 - 1)/(48 w_A^2)."""
    directions = torch.randn(20000, 3, generator=torch.Generator().manual_seed(11), dtype=torch.float64)
    for zeta in (2.0, 4.0):
        w = scales(1, zeta, 1)
        unit = directions / w / directions.norm(dim=-1, keepdim=True)
        p = SE2.exp(0.03 * unit)
        d = distance(p, w)
        for rho, constant in ((rho_c, zeta**2 / 48), (rho_b, (zeta**2 - 1) / 48)):
            assert ((rho(p, w) ** 2 - d**2) / d**4).max().item() == pytest.approx(constant, rel=0.02)


def test_mean_errors_of_the_estimates() -> None:
    """Means over 2000 points scatter by up to 0.03 at zeta = 8; 20000 points make +-0.02 far more than noise."""
    p = points(20000, seed=12)
    expected = {1: (0.085, 0, 0.44, 0), 2: (0.27, 0.153, 0.20, 0.118), 4: (0.955, 0.725, 0.134, 0.129)}
    for zeta, means in expected.items():
        w = scales(1, zeta, 1)
        d = distance(p, w)
        for rho, mean in zip((rho_c, rho_b, rho_b_sr, rho_b_com), means, strict=True):
            assert (rho(p, w) / d - 1).abs().mean().item() == pytest.approx(mean, abs=0.02)


def test_the_sub_riemannian_limit() -> None:
    p, w = points(500, seed=13), scales(1.2, 5, 0.8)
    limit = sub_riemannian_distance(p, w)
    torch.testing.assert_close(limit, distance(p, scales(1.2, 1e7, 0.8)), rtol=1e-6, atol=0)
    assert (distance(p, w) <= limit * (1 + 1e-12)).all()
    momentum, length = minimising_momentum(p, w, sub_riemannian=True)
    miss = geodesic(momentum, w, length, samples=2, sub_riemannian=True).points[:, -1] - p
    assert torch.stack([miss[:, 0], miss[:, 1], wrap_angle(miss[:, 2])]).abs().max() < 1e-8
    y = 1e-4
    heisenberg = math.sqrt(4 * math.pi * 1.2 * 0.8 * y)
    assert sub_riemannian_distance(scales(0, y, 0), w).item() == pytest.approx(heisenberg, rel=1e-4)


def test_faces_far_points_and_small_points() -> None:
    w = scales(1, 8, 1)
    pi = math.pi
    assert distance(scales(0, 0, 0), w) == 0
    straight = torch.stack([scales(x, 0, 0) for x in (1e-9, 1e-3, 1, 60, 1e4)])
    torch.testing.assert_close(distance(straight, w), straight[:, 0], rtol=1e-10, atol=0)
    turn = torch.stack([scales(0, 0, a) for a in (1e-9, 0.5, -pi)])
    torch.testing.assert_close(distance(turn, w), turn[:, 2].abs(), rtol=1e-14, atol=0)
    corners = torch.stack([scales(x, y, a) for x in (0, 1, -3) for y in (0, 1, -3) for a in (0, 1, -pi)])
    off = corners + 1e-9
    assert (distance(corners, w) - distance(off, w)).abs().max() < 1e-7
    momentum, length = minimising_momentum(corners[1:], w)
    miss = geodesic(momentum, w, length, samples=2).points[:, -1] - corners[1:]
    assert torch.stack([miss[:, 0], miss[:, 1], wrap_angle(miss[:, 2])]).abs().max() < 1e-7


@pytest.mark.parametrize("zeta", [3.0, 100.0])
def test_far_points(zeta: float) -> None:
    """The shortest geodesic turns to its way, goes straight for longer than float64 knows from forever, turns back."""
    w, p = scales(1, zeta, 1), points(400) * scales(20, 20, 1)
    p = p[torch.linalg.vector_norm(p[:, :2], dim=-1) > 20]
    d, straight = distance(p, w), torch.linalg.vector_norm(p[:, :2], dim=-1)
    torch.testing.assert_close(distance(SE2.inverse(p), w), d, rtol=1e-9, atol=0)
    assert (d >= straight).all() and (d <= rho_c(p, w)).all()
    # On a way without end theta' = sqrt(kappa) |sin psi|, and the length is stationary in the direction of P.
    b = SE2.half_angle(p).abs()
    beta, half = torch.atan2(b[:, 1], b[:, 0]), b[:, 2] / 2
    turns = math.sqrt(1 - zeta**-2) * (2 - torch.cos(beta + half) - torch.cos(beta - half))
    torch.testing.assert_close(d, straight + turns, rtol=1e-2, atol=0)


@pytest.mark.parametrize("zeta", [1 + 1e-6, 1.2, 1.5, 2.0, 4.0])
def test_straight_at_the_side_one_slides(zeta: float) -> None:
    """The pendulum swings by next to nothing there: 1 - cos^2 of its turn has no digits left."""
    y = torch.linspace(1e-3, 2 / zeta**2, 40, dtype=torch.float64)
    for p, w in (([0 * y, y, 0 * y], scales(1, zeta, 1)), ([y, 0 * y, 0 * y], scales(zeta, 1, 1))):
        momentum, length = minimising_momentum(torch.stack(p, -1), w)
        torch.testing.assert_close(length, zeta * y, rtol=1e-12, atol=0)
        torch.testing.assert_close(momentum, zeta * torch.stack(p, -1) / y[:, None], rtol=0, atol=1e-9)


def test_shapes_dtypes_and_errors() -> None:
    p = points(6).reshape(2, 3, 1, 3)
    w = torch.stack([scales(1, 2, 1), scales(1, 4, 2)])
    d = distance(p.float(), w.float())
    assert d.shape == (2, 3, 2) and d.dtype == torch.float64
    torch.testing.assert_close(d[..., 1], distance(p[..., 0, :], w[1]), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="shape"):
        distance(torch.zeros(2), w[0])
    with pytest.raises(ValueError, match="positive"):
        distance(p, scales(1, -1, 1))
    with pytest.raises(ValueError, match="finite"):
        distance(scales(1, math.nan, 1), w[0])
    with pytest.raises(ValueError, match="FullMetric"):
        distance(p, FullMetric(torch.eye(3)))
