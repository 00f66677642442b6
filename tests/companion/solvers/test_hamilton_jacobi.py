"""The upwind solver: order of convergence to the solutions with the exact distance, and its discrete laws."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from pdegcnn_lib.companion.solvers import Evolution, hamilton_jacobi
from pdegcnn_lib.geometry import FullMetric, distance
from pdegcnn_lib.kernels.morphological import power_law


def scales(*w: float) -> Tensor:
    return torch.tensor(w, dtype=torch.float64)


def grid(n: int, orientations: int, half_width: float) -> tuple[Tensor, float]:
    axis = torch.linspace(-half_width, half_width, n, dtype=torch.float64)
    theta = torch.arange(orientations, dtype=torch.float64) * (2 * math.pi / orientations)
    t, y, x = torch.meshgrid(theta, axis, axis, indexing="ij")
    return torch.stack([x, y, t], -1), 2 * half_width / (n - 1)


def relative_error(p: Tensor, spacing: float, w: Tensor, alpha: float, sign: int) -> float:
    """The semigroup gives exact solutions: the erosion of k_s is k_{s+t}, the dilation of -k_s is -k_{s+t}."""
    rho2 = distance(p, w) ** 2 if len(w) == 3 else ((w * p[..., :2]) ** 2).sum(-1)
    exact = -sign * power_law(rho2, alpha, 1.5)
    got = hamilton_jacobi(
        -sign * power_law(rho2, alpha, 1.0), w, alpha=alpha, t=0.5, spacing=spacing, sign=sign
    )
    inside = rho2 < 1.2**2
    return ((got - exact).abs()[inside].mean() / exact[inside].abs().mean()).item()


@pytest.mark.parametrize(("zeta", "alpha", "sign"), [(1, 1.0, -1), (2, 1.0, 1), (2, 0.65, -1), (4, 0.8, -1)])
def test_first_order_convergence_on_se2(zeta: float, alpha: float, sign: int) -> None:
    """The kernel with the exact distance is the viscosity solution, kinks on its cut locus included."""
    w = scales(1, zeta, 1)
    coarse, fine = (relative_error(*grid(n, n - 1, 1.4), w, alpha, sign) for n in (11, 21))
    assert 0.7 < math.log2(coarse / fine) < 1.3
    assert fine < 0.75


@pytest.mark.parametrize("alpha", [0.65, 1.0])
def test_first_order_convergence_on_the_plane(alpha: float) -> None:
    errors = [
        relative_error(p[0], h, scales(1, 2), alpha, -1) for p, h in (grid(n, 1, 1.5) for n in (21, 41, 81))
    ]
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert 0.8 < math.log2(coarse / fine) < 1.2


def test_alpha_one_half_moves_fronts_at_unit_speed() -> None:
    p, h = grid(41, 1, 2.0)
    rho = p[0, ..., :2].norm(dim=-1)
    got = hamilton_jacobi(rho, scales(1, 1), alpha=0.5, t=0.7, spacing=h, sign=-1)
    assert (got - (rho - 0.7).clamp(min=0)).abs().max() < 0.15


def test_discrete_laws() -> None:
    generator = torch.Generator().manual_seed(0)
    f = torch.rand(2, 8, 9, 9, generator=generator, dtype=torch.float64)
    w, options = scales(1, 2, 0.8), {"alpha": 0.7, "t": 0.3, "cfl": 0.5}
    up = hamilton_jacobi(f, w, **options)
    down = hamilton_jacobi(f, w, sign=-1, **options)
    assert (up >= f).all() and (down <= f).all()
    # The maximum principle, and the shift: exact up to the rounding of the sums.
    assert up.amax() <= f.amax() + 1e-12 and down.amin() >= f.amin() - 1e-12
    torch.testing.assert_close(hamilton_jacobi(f + 3.5, w, **options), up + 3.5)
    torch.testing.assert_close(hamilton_jacobi(-f, w, **options), -down)
    turned = torch.rot90(f, -1, dims=(-2, -1)).roll(2, dims=-3)
    expected = torch.rot90(up, -1, dims=(-2, -1)).roll(2, dims=-3)
    torch.testing.assert_close(hamilton_jacobi(turned, w, **options), expected)
    torch.testing.assert_close(hamilton_jacobi(f, w, alpha=0.7, t=0.0), f)
    constant = torch.full((4, 5, 5), 2.0, dtype=torch.float64)
    torch.testing.assert_close(hamilton_jacobi(constant, w, alpha=0.7, t=1.0), constant)


def test_the_scheme_is_monotone() -> None:
    """f <= g stays so; both are stepped together so that they share the step sizes."""
    generator = torch.Generator().manual_seed(1)
    f = torch.rand(8, 9, 9, generator=generator, dtype=torch.float64)
    g = f + 0.3 * torch.rand(8, 9, 9, generator=generator, dtype=torch.float64) ** 4
    low, high = hamilton_jacobi(torch.stack([f, g]), scales(1, 3, 1), alpha=0.8, t=0.5, cfl=1.0)
    assert (low <= high + 1e-14).all()


def test_errors() -> None:
    f, w = torch.zeros(8, 9, 9), scales(1, 1, 1)
    for arguments, message in (
        ({"alpha": 0.4, "t": 1.0}, "alpha"),
        ({"alpha": 1.0, "t": -1.0}, "t must"),
        ({"alpha": 1.0, "t": 1.0, "sign": 2}, "sign"),
        ({"alpha": 1.0, "t": 1.0, "cfl": 2.0}, "cfl"),
        ({"alpha": 1.0, "t": 1.0, "spacing": 0.0}, "spacing"),
    ):
        with pytest.raises(ValueError, match=message):
            hamilton_jacobi(f, w, **arguments)
    with pytest.raises(ValueError, match="diagonal"):
        hamilton_jacobi(f, FullMetric(torch.eye(3)), alpha=1.0, t=1.0)
    with pytest.raises(ValueError, match="axes"):
        hamilton_jacobi(f[0], w, alpha=1.0, t=1.0)
    with pytest.raises(ValueError, match="orientations"):
        hamilton_jacobi(f[:2], w, alpha=1.0, t=1.0)
    f[0, 0, 0] = -torch.inf
    for solve in (Evolution(dilation=w), partial(hamilton_jacobi, w=w, alpha=1.0)):
        with pytest.raises(ValueError, match=r"f must be finite, got -inf at \[0, 0, 0\]"):
            solve(f, t=1.0)
