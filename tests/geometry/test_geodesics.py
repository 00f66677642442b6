"""Geodesic curves: conserved quantities, the isotropic closed form, cusps and the exponential curve."""

from __future__ import annotations

import math

import pytest
import torch

from pdegcnn_lib.geometry import SE2, DiagonalMetric, FullMetric, minimising_momentum, rho_c
from pdegcnn_lib.geometry.geodesics import Geodesic, exponential_curve, geodesic

pytest.importorskip("scipy")


def scales(*w: float) -> torch.Tensor:
    return torch.tensor(w, dtype=torch.float64)


def test_length_is_time_and_the_spatial_momentum_is_kept() -> None:
    w = scales(1, 3, 0.8)
    momentum = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    curve = geodesic(momentum, w, 4.0)
    assert curve.points.shape == (20, 101, 3) and curve.time.shape == (20, 101)
    speed = DiagonalMetric(w).squared(curve.velocity).sqrt()
    torch.testing.assert_close(speed, torch.ones_like(speed), rtol=1e-8, atol=0)
    spatial = (SE2.frame(curve.points)[..., :2, :2] @ (w**2 * curve.velocity)[..., :2, None])[..., 0]
    torch.testing.assert_close(spatial, spatial[:, :1].expand_as(spatial), rtol=0, atol=1e-8)


def test_isotropic_geodesics_turn_evenly_on_straight_lines() -> None:
    curve = geodesic(scales(0.6, 0.3, -0.5), scales(1, 1, 1), 2.0, samples=9)
    end = curve.points[-1]
    torch.testing.assert_close(
        curve.points, end * torch.linspace(0, 1, 9).double()[:, None], rtol=0, atol=1e-9
    )


def test_a_full_metric_agrees_with_its_diagonal_case() -> None:
    momentum = scales(0.4, -1.0, 0.7)
    diagonal = geodesic(momentum, scales(1, 2, 1), 2.0)
    full = geodesic(momentum, FullMetric(torch.diag(scales(1, 2, 1))), 2.0)
    torch.testing.assert_close(diagonal.points, full.points)
    several = geodesic(momentum.expand(4, 3), DiagonalMetric(scales(1, 2, 1).expand(4, 3)), 2.0)
    torch.testing.assert_close(several.points[2], diagonal.points)


def test_cusps_appear_where_the_main_velocity_changes_sign() -> None:
    w = scales(1, 1, 1)
    sideways = scales(-0.2, 1.2, 0.9)
    curve = geodesic(sideways, w, 6.0, samples=401, sub_riemannian=True)
    assert curve.cusps().any()
    speed = curve.points.diff(dim=0)[:, :2].norm(dim=-1)
    at = curve.cusps().nonzero()[0, 0]
    assert speed[at] < 0.05 * speed.max()
    assert not geodesic(scales(1, 0, 0), w, 6.0, sub_riemannian=True).cusps().any()


def test_a_curve_that_moves_sideways_only_has_no_cusps() -> None:
    """Its forward velocity is rounding, whose sign means nothing."""
    velocity = torch.tensor([[1e-17, 1.0, 0.0], [-1e-17, 1.0, 0.0]], dtype=torch.float64)
    assert not Geodesic(torch.zeros(2), velocity, velocity).cusps().any()
    velocity[:, 0] *= 1e12
    assert Geodesic(torch.zeros(2), velocity, velocity).cusps().all()


@pytest.mark.parametrize("samples", [100, 101])
def test_a_cusp_counts_once_whether_it_falls_on_a_sample_or_between_two(samples: int) -> None:
    """Seen from half its turn the end lies sideways, so that the shortest way reverses in its middle."""
    p, w = scales(-math.sin(1.0), math.cos(1.0), 2.0), scales(1, 4, 1)
    momentum, length = minimising_momentum(p, w)
    cusps = geodesic(momentum.expand(2, 3), w, length, samples=samples).cusps()
    assert cusps.sum(-1).tolist() == [1, 1]
    assert 49 <= int(cusps[0].nonzero()) <= 50


def test_the_exponential_curve_ends_at_the_point_and_has_length_rho_c() -> None:
    p, w = scales(1.3, -0.4, 2.1), scales(1, 3, 0.9)
    curve = exponential_curve(SE2.log(p), samples=2001)
    torch.testing.assert_close(curve[-1], p)
    middle = (curve[1:, 2] + curve[:-1, 2]) / 2
    dx, dy, dt = curve.diff(dim=0).unbind(-1)
    u = torch.stack(
        [
            torch.cos(middle) * dx + torch.sin(middle) * dy,
            torch.cos(middle) * dy - torch.sin(middle) * dx,
            dt,
        ],
        -1,
    )
    assert DiagonalMetric(w).squared(u).sqrt().sum().item() == pytest.approx(rho_c(p, w).item(), rel=1e-6)


def test_errors() -> None:
    with pytest.raises(ValueError, match="dual norm"):
        geodesic(torch.zeros(3), scales(1, 1, 1), 1.0)
    with pytest.raises(ValueError, match="diagonal"):
        geodesic(scales(1, 0, 0), FullMetric(torch.eye(3)), 1.0, sub_riemannian=True)
    assert math.isfinite(geodesic(scales(1, 0, 0), FullMetric(torch.eye(3)), 1.0).points.sum())
