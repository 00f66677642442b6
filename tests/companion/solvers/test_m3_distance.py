"""The exact distance on M3, and how far the estimates are from it: in a box, and on the taps of a layer."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib import geometry
from pdegcnn_lib.companion.solvers.m3_distance import both_ways, distance, dual_norm, shoot
from pdegcnn_lib.geometry import m3
from pdegcnn_lib.geometry.octahedral import directions, neighbours
from tests.geometry.test_m3 import EXAMPLE, P0, D, points


@pytest.mark.parametrize(("zeta", "expected"), [(1, 1.4549396), (2, 1.8196273)])
def test_the_worked_example(zeta: float, expected: float) -> None:
    w = torch.tensor([1, zeta, 0.5], dtype=D)
    assert distance(P0, EXAMPLE, w).item() == pytest.approx(expected, rel=1e-6)


def test_geodesics_keep_their_energy_and_their_torsion() -> None:
    """lambda . (n x n') is conserved; a curve of unit speed has the length of its time."""
    w = torch.tensor([1.0, 3.0, 0.8], dtype=D)
    momentum = torch.randn(20, 5, generator=torch.Generator().manual_seed(0), dtype=D)
    path = shoot(momentum, w, 2000, whole=True)
    x, n = path.split(3, dim=-1)
    dx, dn = (x[2:] - x[:-2]) * 1000, (n[2:] - n[:-2]) * 1000
    middle = n[1:-1]
    main = (dx * middle).sum(-1)
    lateral2 = (dx**2).sum(-1) - main**2
    speed2 = w[0] ** 2 * main**2 + w[1] ** 2 * lateral2 + w[2] ** 2 * (dn**2).sum(-1)
    torsion = (momentum[:, :3] * torch.linalg.cross(middle, dn)).sum(-1)
    # Central differences of step 1/2000 have errors of their square.
    assert (speed2.sqrt() / dual_norm(momentum, w) - 1).abs().max() < 1e-4
    assert (torsion - torsion[0]).abs().max() < 1e-4 * (1 + torsion.abs().max())


@pytest.mark.parametrize("zeta", [2.0, 4.0])
def test_the_plane_of_m2_is_totally_geodesic(zeta: float) -> None:
    """The distance of M2 has a closed form up to one scalar equation: another derivation altogether."""
    generator = torch.Generator().manual_seed(8)
    flat = torch.randn(12, 3, generator=generator, dtype=D).clamp(-2, 2)
    zero, theta, w = torch.zeros(12, dtype=D), flat[:, 2], torch.tensor([1, zeta, 1], dtype=D)
    p = torch.stack([flat[:, 1], zero, flat[:, 0], torch.sin(theta), zero, torch.cos(theta)], dim=-1)
    found, expected = distance(P0, p, w), geometry.distance(flat, w)
    agreed = ~found.isnan()
    assert agreed.sum() >= 10
    assert (found[agreed] / expected[agreed] - 1).abs().max() < 1e-5


# Mean of |rho/d - 1| over x in [-3, 3]^3 and n on the sphere. The tolerance is 0.02 for the mean over 1000 points, and
# for 60 of them 2.5 standard errors besides.
BOX = {
    1: {"rho_c": 0.063, "rho_c_min": 0.046, "rho_b": 0.0, "rho_b_sr": 0.48, "rho_b_com": 0.0},
    2: {"rho_c": 0.308, "rho_c_min": 0.293, "rho_b": 0.224, "rho_b_sr": 0.176, "rho_b_com": 0.136},
    4: {"rho_c": 1.20, "rho_c_min": 1.06, "rho_b": 1.05, "rho_b_sr": 0.114, "rho_b_com": 0.114},
}
PAPERS = {"rho_b_sr": {"nu": 1.6}, "rho_b_com": {"nu": 1.6}}


@pytest.mark.parametrize("zeta", BOX)
def test_errors_in_a_box(zeta: int) -> None:
    p, w = points(60, 9), torch.tensor([1, zeta, 1], dtype=D)
    d = both_ways(P0, p, w).amin(-1)
    lower = torch.sqrt((p[:, :3] ** 2).sum(-1) + m3.coordinates(P0, p)[:, 3] ** 2)
    assert (d >= lower * (1 - 1e-6)).all() and (d <= m3.rho_c_min(P0, p, w) * (1 + 1e-6)).all()
    for name, expected in BOX[zeta].items():
        error = (getattr(m3, name)(P0, p, w, **PAPERS.get(name, {})) / d - 1).abs()
        allowed = 0.02 + 2.5 * error.std().item() / len(error) ** 0.5
        assert error.mean().item() == pytest.approx(expected, abs=allowed), name


def test_with_equal_lengths_the_space_is_a_product() -> None:
    p, w = points(40, 10), torch.tensor([0.7, 0.7, 1.2], dtype=D)
    assert (distance(P0, p, w) / m3.rho_b(P0, p, w) - 1).abs().max() < 1e-6


def test_one_metric_at_a_time() -> None:
    with pytest.raises(ValueError, match=r"w must be one diagonal metric \[3\], got \[2, 3\]"):
        distance(P0, EXAMPLE, torch.ones(2, 3))


# Mean error of the distance over the taps of 26 directions, 9 neighbours, 3^3 voxels; the point itself does not count.
TAPS = {
    1: {"rho_c": 0.013, "rho_c_min": 0.011, "rho_b": 0.0, "1.6": 0.0, "1.3": 0.0, "1.4": 0.0},
    2: {"rho_c": 0.085, "rho_c_min": 0.083, "rho_b": 0.070, "1.6": 0.070, "1.3": 0.065, "1.4": 0.070},
    4: {"rho_c": 0.606, "rho_c_min": 0.590, "rho_b": 0.584, "1.6": 0.183, "1.3": 0.057, "1.4": 0.072},
    8: {"rho_c": 1.94, "rho_c_min": 1.88, "rho_b": 1.89, "1.6": 0.140, "1.3": 0.073, "1.4": 0.056},
}
# The same of the kernel of dilation at alpha = 0.65, a power of the distance, to the two or three digits printed.
KERNEL_POWER = 1.3 / 0.3
KERNELS = {
    1: {"rho_c": 0.06, "rho_c_min": 0.05, "rho_b": 0.0, "1.6": 0.0, "1.3": 0.0, "1.4": 0.0},
    2: {"rho_c": 0.44, "rho_c_min": 0.44, "rho_b": 0.35, "1.6": 0.35, "1.3": 0.33, "1.4": 0.35},
    4: {"rho_c": 7.8, "rho_c_min": 7.6, "rho_b": 7.3, "1.6": 1.14, "1.3": 0.23, "1.4": 0.35},
    8: {"rho_c": 133, "rho_c_min": 128, "rho_b": 124, "1.6": 0.82, "1.3": 0.27, "1.4": 0.25},
}


def tap_classes() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pairs (q, p) of a layer's taps, one for each class of equal distances, and how many taps are in it."""
    n, lists = directions(26), neighbours(26, 9)
    offsets = torch.cartesian_prod(*[torch.tensor([-1.0, 0, 1], dtype=D)] * 3)
    pairs = [(o, j) for o in range(26) for j in lists[o].tolist() if j >= 0]
    q = torch.stack([torch.cat([x, n[j]]) for o, j in pairs for x in offsets])
    p = torch.stack([torch.cat([0 * x, n[o]]) for o, j in pairs for x in offsets])
    classes, inverse, taps = torch.unique(
        m3.coordinates(q, p).abs().mul(1e6).round(), dim=0, return_inverse=True, return_counts=True
    )
    first = torch.stack([(inverse == i).nonzero()[0, 0] for i in range(len(classes))])
    moved = classes.sum(-1) > 0
    assert moved.sum() == 54
    return q[first[moved]], p[first[moved]], taps[moved]


@pytest.mark.parametrize("zeta", TAPS)
def test_errors_on_the_taps_of_a_layer(zeta: int) -> None:
    q, p, taps = tap_classes()
    w = torch.tensor([1, zeta, 1], dtype=D)
    d = both_ways(q, p, w).amin(-1)
    for name, expected in TAPS[zeta].items():
        rho = m3.rho_b_com(q, p, w, float(name)) if name[0] == "1" else getattr(m3, name)(q, p, w)
        error, of_kernel = (
            ((ratio - 1).abs() * taps).sum().item() / taps.sum().item()
            for ratio in (rho / d, (rho / d) ** KERNEL_POWER)
        )
        assert error == pytest.approx(expected, abs=0.02), name
        assert of_kernel == pytest.approx(KERNELS[zeta][name], abs=0.02, rel=0.008), name
