"""The estimates on M3: their definitions by the group, their invariances, M2 inside M3, and their constants near p0."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdegcnn_lib import geometry
from pdegcnn_lib.companion.solvers.m3_distance import dual_norm, shoot
from pdegcnn_lib.geometry import m3
from pdegcnn_lib.geometry.rigid import SE3, section

D = torch.float64
P0 = torch.tensor([0, 0, 0, 0, 0, 1], dtype=D)
EXAMPLE = torch.tensor([0.3, -0.8, 1.1, 2 / 3, 1 / 3, 2 / 3], dtype=D)
ALL = {"rho_b": m3.rho_b, "rho_c": m3.rho_c, "rho_b_sr": m3.rho_b_sr, "rho_b_com": m3.rho_b_com}


def points(count: int, seed: int, box: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = box * (2 * torch.rand(count, 3, generator=generator, dtype=D) - 1)
    n = torch.randn(count, 3, generator=generator, dtype=D)
    return torch.cat([x, torch.nn.functional.normalize(n, dim=-1)], dim=-1)


@pytest.mark.parametrize(
    ("zeta", "half", "log", "least", "sub_riemannian"),
    [
        (1, 1.454939561, 1.480291373, 1.467642706, 2.424240133),
        (2, 2.264475464, 2.292136039, 2.282666230, 2.424240133),
    ],
)
def test_the_worked_example(
    zeta: float, half: float, log: float, least: float, sub_riemannian: float
) -> None:
    """Values computed once with matrices of SE(3), to all nine digits printed."""
    w = torch.tensor([1, zeta, 0.5], dtype=D)
    found = [f(P0, EXAMPLE, w) for f in (m3.rho_b, m3.rho_c, m3.rho_c_min)] + [
        m3.rho_b_sr(P0, EXAMPLE, w, 1.6)
    ]
    expected = torch.tensor([half, log, least, sub_riemannian], dtype=D)
    assert (torch.stack(found) - expected).abs().max() < 1e-8


def test_rho_c_is_the_norm_of_the_logarithm_on_the_section() -> None:
    p, w = points(200, 1), torch.tensor([1.0, 2.5, 0.7], dtype=D)
    xi = SE3.log(section(p))
    length = torch.linalg.vector_norm(xi[:, :5] * w[[1, 1, 0, 2, 2]], dim=-1)
    assert (m3.rho_c(P0, p, w) / length - 1).abs().max() < 1e-12


@pytest.mark.parametrize("name", ALL)
def test_estimates_are_invariant(name: str) -> None:
    rho, w = ALL[name], torch.tensor([0.8, 2.0, 1.3], dtype=D)
    q, p = points(100, 2), points(100, 3)
    turn = SE3.exp(torch.randn(100, 6, dtype=D, generator=torch.Generator().manual_seed(4)))
    value = rho(q, p, w)
    flip, antipode = p.new_tensor([-1.0] * 6), p.new_tensor([1.0] * 3 + [-1.0] * 3)
    for other in (
        rho(SE3.act_m3(turn, q), SE3.act_m3(turn, p), w),
        rho(flip * q, flip * p, w),
        rho(p, q, w),
        rho(antipode * q, antipode * p, w),
    ):
        assert (other / value - 1).abs().max() < 1e-12


@pytest.mark.parametrize("zeta", [1.0, 2.0, 4.0])
def test_m2_lies_inside_m3(zeta: float) -> None:
    """Where x, n_0 and n are in one plane; the estimates of M2 are another code with another derivation."""
    generator = torch.Generator().manual_seed(5)
    flat = torch.randn(200, 3, generator=generator, dtype=D)
    theta = flat[:, 2].clamp(-3, 3)
    zero, w = torch.zeros_like(theta), torch.tensor([1, zeta, 0.7], dtype=D)
    # The plane of M2 is that of z (forward) and x (sideways).
    p = torch.stack([flat[:, 1], zero, flat[:, 0], torch.sin(theta), zero, torch.cos(theta)], dim=-1)
    flat = torch.stack([flat[:, 0], flat[:, 1], theta], dim=-1)
    for name, rho in ALL.items():
        nu = {} if name in ("rho_b", "rho_c") else {"nu": 1.4}
        expected = getattr(geometry, name)(flat, w, **nu)
        assert (rho(P0, p, w, **nu) / expected - 1).abs().max() < 1e-12, name


@given(st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 10_000))
def test_the_least_over_the_fibre_is_below_the_section_and_the_five_numbers_count(a, b, seed) -> None:
    p, w = points(1, seed), torch.tensor([0.9, 1.6, 1.1], dtype=D)
    room = 0.99 * 1.6 * 1.1 / math.sqrt(2)
    metric = m3.AxialMetric(w, torch.tensor(a * room, dtype=D), torch.tensor(b * room, dtype=D))
    assert m3.rho_c_min(P0, p, metric) <= m3.rho_c(P0, p, metric) * (1 + 1e-12)
    xi = SE3.log(section(p))[0]
    velocity, bend = xi[:3], torch.stack([xi[4], -xi[3], torch.zeros((), dtype=D)])
    extra = 2 * a * room * (velocity * bend).sum() + 2 * b * room * torch.linalg.cross(velocity, bend)[2]
    assert torch.isclose(
        m3.rho_c(P0, p, metric) ** 2, m3.rho_c(P0, p, w) ** 2 + extra, rtol=1e-10, atol=1e-12
    )


def test_covariant_estimates_do_not_depend_on_the_unit_of_length() -> None:
    p, w = points(50, 6), torch.tensor([0.4, 5.0, 2.0], dtype=D)
    larger = torch.cat([3 * p[:, :3], p[:, 3:]], dim=-1)
    finer = w / torch.tensor([3.0, 3.0, 1.0], dtype=D)
    for rho in (m3.rho_b_sr, m3.rho_b_com):
        value = rho(P0, p, w, covariant=True)
        assert (rho(P0, larger, finer, covariant=True) / value - 1).abs().max() < 1e-12
        assert (rho(P0, larger, finer) / rho(P0, p, w) - 1).abs().max() > 1e-2
    equal = torch.tensor([1.0, 5.0, 1.0], dtype=D)
    assert torch.allclose(m3.rho_b_sr(P0, p, equal), m3.rho_b_sr(P0, p, equal, covariant=True), rtol=1e-14)


@pytest.mark.parametrize("zeta", [1.0, 2.0, 4.0])
def test_constants_near_the_origin(zeta: float) -> None:
    """Short geodesics are shortest, so their length is the distance: no search is needed for the fourth order.

    Suprema of (rho^2 - d^2)/d^4 over directions, from below by 20 000 random ones: these and the next order in d leave
    less than one in a thousand.
    """
    d, w = 0.05, torch.tensor([1, zeta, 1], dtype=D)
    momentum = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(7), dtype=D)
    # Most of a sphere in five dimensions lies off the extremes, which have two of the components only.
    pairs = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 1, 1, 0], [1, 0, 1, 0, 0]], dtype=D)
    momentum = torch.cat([momentum, *(momentum[:3000] * pair for pair in pairs)])
    scaled = momentum * w[[1, 1, 0, 2, 2]]
    p = shoot(d * scaled / dual_norm(scaled, w)[:, None], w, 12)

    def excess(rho) -> torch.Tensor:
        return (rho(P0, p, w) ** 2 - d**2) / d**4

    log, half = excess(m3.rho_c), excess(m3.rho_b)
    assert log.max().item() == pytest.approx(zeta**2 / 48, rel=1e-3)
    assert log.min() > -1e-6
    assert half.max().item() == pytest.approx((zeta**2 - 1) / 48, rel=1e-3, abs=1e-7)
    assert half.min().item() == pytest.approx(-(1 - zeta**-2) / 48, rel=1e-3, abs=1e-7)


def test_where_directions_agree_or_oppose() -> None:
    w = torch.tensor([1.0, 2.0, 0.5], dtype=D)
    ahead = torch.tensor([0.6, 0.8, 2.0, 0, 0, 1], dtype=D)
    assert m3.rho_b(P0, ahead, w).item() == pytest.approx(math.sqrt(4 + 4), rel=1e-14)
    behind = torch.tensor([0.6, 0.8, 2.0, 0, 0, -1], dtype=D)
    # m is the best direction normal to n_0: all of (0.6, 0.8) counts as main, the 2 along n_0 as lateral.
    assert m3.rho_b(P0, behind, w).item() == pytest.approx(
        math.sqrt(1 + 16 + (0.5 * math.pi) ** 2), rel=1e-14
    )


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_finite_where_directions_agree(name: str) -> None:
    p = torch.stack([P0, torch.tensor([0, 0, 1, 0, 0, 1], dtype=D), EXAMPLE]).requires_grad_()
    w = torch.tensor([1.0, 2.0, 0.5], dtype=D, requires_grad=True)
    ALL[name](P0, p, w).sum().backward()
    assert torch.isfinite(p.grad).all() and torch.isfinite(w.grad).all()


@pytest.mark.parametrize("name", ALL)
def test_directions_that_agree_but_for_rounding(name: str) -> None:
    """What they differ in may lie along them: a vector counted as forward counted as sideways too."""
    w, p = torch.tensor([1.0, 4.0, 1.0], dtype=D), points(200, seed=5)
    q = torch.cat([torch.zeros_like(p[:, :3]), p[:, 3:]], dim=-1)
    exact = ALL[name](q, p, w)
    rounded = torch.cat([p[:, :3], p[:, 3:] * (1 + 5e-4)], dim=-1)
    torch.testing.assert_close(ALL[name](q, rounded, w), exact, rtol=1e-12, atol=0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    there_and_back = torch.cat([p[:, :3].float(), p[:, 3:].float() @ turn @ turn.T], dim=-1)
    found = ALL[name](q.float(), there_and_back, w.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=0)


def test_estimates_are_mapped_over_points() -> None:
    p, w = points(7, seed=6), torch.tensor([1.0, 2.0, 0.5], dtype=D)
    mapped = torch.vmap(lambda p: m3.rho_b(P0, p, w))(p)
    torch.testing.assert_close(mapped, m3.rho_b(P0, p, w))


def test_bad_input() -> None:
    w = torch.tensor([1.0, 2.0, 0.5], dtype=D)
    with pytest.raises(ValueError, match="must have length 1, got length 2"):
        m3.rho_b(P0, torch.tensor([0, 0, 0, 0, 0, 2], dtype=D), w)
    with pytest.raises(ValueError, match=r"p must have shape \[..., 6\], got \[3\]"):
        m3.rho_c(P0, w, w)
    with pytest.raises(ValueError, match="w must be positive and finite, got -1"):
        m3.rho_b(P0, EXAMPLE, -w)
    with pytest.raises(ValueError, match=r"a\^2 \+ b\^2 must be below"):
        m3.AxialMetric(w, torch.tensor(2.0), torch.tensor(0.0))
    with pytest.raises(ValueError, match="for diagonal metrics only, got an AxialMetric"):
        m3.rho_b_com(P0, EXAMPLE, m3.AxialMetric(w, torch.tensor(0.1), torch.tensor(0.0)))
