"""The unsplit solver of the whole equation: each term against its closed form, all of them against their laws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pdegcnn_lib.companion.solvers import Evolution, SpectralDiffusion, hamilton_jacobi
from pdegcnn_lib.geometry import SE2
from pdegcnn_lib.testing import quarter_turn


def tensor(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def grid(n: int, orientations: int) -> tuple[Tensor, float]:
    axis = torch.linspace(-3, 3, n, dtype=torch.float64)
    theta = torch.arange(orientations, dtype=torch.float64) * (2 * math.pi / orientations)
    t, y, x = torch.meshgrid(theta, axis, axis, indexing="ij")
    return torch.stack([x, y, t], -1), 6 / (n - 1)


def bump(p: Tensor) -> Tensor:
    x, y, t = p.unbind(-1)
    return torch.exp(-2 * ((x - 0.1) ** 2 + (y + 0.2) ** 2)) * (1 + 0.4 * torch.cos(t))


C, W1, W2 = tensor(0.8, -0.4, 0.5), tensor(1, 2, 1), tensor(1.5, 1, 0.7)


def test_convection_tends_to_its_closed_form_with_order_one() -> None:
    errors = []
    for n in (25, 49):
        p, h = grid(n, n - 1)
        exact = bump(SE2.product(p, SE2.exp(-0.3 * C)))
        errors.append((Evolution(convection=C, spacing=h)(bump(p), 0.3) - exact).abs().mean().item())
    assert 0.8 < math.log2(errors[0] / errors[1]) < 1.2


@pytest.mark.parametrize("w", [W1, W2])
def test_diffusion_is_that_of_the_spectral_solver_with_order_two(w: Tensor) -> None:
    errors = []
    for n in (25, 49):
        p, h = grid(n, n - 1)
        exact = SpectralDiffusion(w, p.shape[:3], spacing=h).apply(bump(p), 0.05)
        errors.append((Evolution(diffusion=w, spacing=h)(bump(p), 0.05) - exact).abs().mean().item())
    assert 1.7 < math.log2(errors[0] / errors[1]) < 2.3


@pytest.mark.parametrize("alpha", [0.65, 1.0])
@pytest.mark.parametrize(("term", "sign"), [("dilation", 1), ("erosion", -1)])
def test_dilation_and_erosion_are_those_of_the_other_upwind_solver(
    term: str, sign: int, alpha: float
) -> None:
    """One discretisation of space, two of time: both are fine, so what is left is the error of Euler's steps."""
    p, h = grid(25, 12)
    f = bump(p)
    ours = Evolution(**{term: W1}, alpha=alpha, spacing=h)(f, 0.2)
    theirs = hamilton_jacobi(f, W1, alpha=alpha, t=0.2, spacing=h, sign=sign, cfl=0.02)
    assert (ours - theirs).abs().max() < 0.005 * (theirs - f).abs().max()


ALL = {"convection": C, "diffusion": W2, "dilation": W1, "erosion": W2}


@pytest.mark.parametrize("terms", [("convection", "dilation", "erosion"), tuple(ALL)])
def test_quarter_turns_and_constants(terms: tuple[str, ...]) -> None:
    solver = Evolution(**{name: ALL[name] for name in terms}, alpha=0.65)
    f = torch.rand(1, 2, 8, 9, 9, dtype=torch.float64)
    out = solver(f, 0.1)
    torch.testing.assert_close(solver(quarter_turn(f), 0.1), quarter_turn(out), rtol=0, atol=1e-12)
    torch.testing.assert_close(solver(f + 3, 0.1), out + 3, rtol=0, atol=1e-12)


def test_without_diffusion_the_scheme_is_monotone_and_does_not_expand() -> None:
    solver = Evolution(convection=C, dilation=W1, erosion=W2, alpha=0.65)
    f = torch.rand(8, 9, 9, dtype=torch.float64)
    above = f + 0.1 * torch.rand_like(f)
    # Both runs choose their own time steps, hence an error of theirs between the two.
    gap = solver(above, 0.2) - solver(f, 0.2)
    assert gap.min() > -1e-4 and gap.max() < (above - f).max() + 1e-4


def test_equal_metrics_stand_still() -> None:
    """Dilation and erosion cancel up to the difference of the two upwind directions, a viscosity of first order."""
    moved = []
    for n in (25, 49):
        p, h = grid(n, n - 1)
        f = bump(p)
        moved.append((Evolution(dilation=W1, erosion=W1, spacing=h)(f, 0.2) - f).abs().mean().item())
    assert moved[1] < 0.7 * moved[0]  # of order one in the limit; the coarse grid is not there yet


@pytest.mark.parametrize(
    ("options", "t", "says"),
    [
        ({"dilation": torch.ones(2)}, 1.0, "dilation must be the three length scales"),
        ({"convection": torch.ones(2)}, 1.0, r"convection must have the shape \[3\] of frame"),
        ({"alpha": 0.4}, 1.0, r"alpha must lie in \[1/2, 1\], got 0.4"),
        ({"spacing": 0.0}, 1.0, "spacing must be positive and finite, got 0"),
        ({"cfl": 2.0}, 1.0, r"cfl must lie in \(0, 1\], got 2"),
        ({}, -1.0, "t must be non-negative and finite, got -1"),
    ],
)
def test_errors(options: dict, t: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Evolution(**options)(torch.zeros(4, 5, 5), t)


def test_a_plane_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 orientations, got"):
        Evolution(dilation=torch.ones(3))(torch.zeros(5, 5), 1.0)
