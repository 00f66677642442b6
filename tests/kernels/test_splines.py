"""Spline kernels: turned analytically, on a disc."""

import math

import pytest
import torch

from pdegcnn_lib.geometry.splines import quadratic_b_spline
from pdegcnn_lib.kernels import group_kernel, lift_kernel
from pdegcnn_lib.spaces import M2
from pdegcnn_lib.testing import quarter_turn


def beta(x: float) -> float:
    a = abs(x)
    return 0.75 - a * a if a <= 0.5 else (0.5 * (1.5 - a) ** 2 if a <= 1.5 else 0.0)


def test_b_spline_is_a_smooth_partition_of_unity():
    x = torch.linspace(-0.5, 0.5, 101, dtype=torch.float64)
    total = sum(quadratic_b_spline(x + n) for n in range(-2, 3))
    torch.testing.assert_close(total, torch.ones_like(x), rtol=0, atol=1e-15)
    knots = torch.tensor([0.5, 1.5], dtype=torch.float64)
    for side in (-1e-9, 1e-9):  # value and slope agree on both sides of a knot
        torch.testing.assert_close(
            quadratic_b_spline(knots + side), torch.tensor([0.5, 0.0]).double(), atol=1e-8, rtol=0
        )
    # It is the box of width 1 convolved with itself twice: mean 0, variance 3/12.
    grid = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    assert (quadratic_b_spline(grid) * grid**2).sum().item() * 1e-3 == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(("size", "orientations"), [(3, 4), (5, 8), (5, 3)])
def test_lift_kernel_one_by_one(size, orientations):
    """psi(R^-1 x) with psi = sum_m a_m beta(. - x_m), in plain floats; zero outside the disc of radius size/2."""
    coefficients = torch.randn(2, 3, size, size, dtype=torch.float64)
    kernel = lift_kernel(coefficients, orientations)
    assert kernel.shape == (2, 3, orientations, size, size)
    h = size // 2
    a = coefficients[1, 2].tolist()
    for o in range(orientations):
        c, s = math.cos(2 * math.pi * o / orientations), math.sin(2 * math.pi * o / orientations)
        for j in range(size):
            for m in range(size):
                x, y = m - h, j - h
                u, v = c * x + s * y, -s * x + c * y
                psi = sum(
                    a[n][p] * beta(u - (p - h)) * beta(v - (n - h)) for n in range(size) for p in range(size)
                )
                expected = psi if x * x + y * y <= (size / 2) ** 2 else 0.0
                assert kernel[1, 2, o, j, m].item() == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("orientations", [4, 8, 12])
def test_covariant_under_quarter_turns(orientations, dtype):
    kernel = lift_kernel(torch.randn(2, 3, 5, 5, dtype=dtype), orientations)
    turned = torch.roll(
        quarter_turn(kernel.flatten(0, 1).flatten(0, 1)[:, None]).reshape_as(kernel), orientations // 4, 2
    )
    torch.testing.assert_close(turned, kernel, rtol=1e-5, atol=1e-6 if dtype == torch.float32 else 1e-13)


def test_group_kernel_turns_every_orientation_step_alike():
    coefficients = torch.randn(2, 3, 5, 3, 3, dtype=torch.float64)
    kernel = group_kernel(coefficients, 8)
    assert kernel.shape == (2, 3, 8, 5, 3, 3)
    for i in range(5):
        torch.testing.assert_close(kernel[:, :, :, i], lift_kernel(coefficients[:, :, i], 8))


def test_table_is_kept_and_exact_at_orientation_zero():
    assert torch.equal(M2(8).lift_basis(5), M2(8).lift_basis(5))
    upright = M2(4).lift_basis(3)[0]
    assert upright[4].reshape(3, 3).tolist() == [
        [1 / 64, 6 / 64, 1 / 64],
        [6 / 64, 36 / 64, 6 / 64],
        [1 / 64, 6 / 64, 1 / 64],
    ]


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match=r"odd positive integers, got \(4, 4\)"):
        lift_kernel(torch.zeros(1, 1, 4, 4), 8)
    with pytest.raises(ValueError, match="wider than the circle of 4 orientations, got KOr = 5"):
        group_kernel(torch.zeros(1, 1, 5, 3, 3), 4)
