"""Dilation, erosion, linear and logarithmic convolution commute with roto-translations, and reach where they should."""

import math

import pytest
import torch
from torch import Tensor

from pdegcnn_lib import ops
from pdegcnn_lib.geometry import FullMetric
from pdegcnn_lib.kernels import morphological_kernel
from pdegcnn_lib.testing import assert_equivariant, equivariance_error

EVERY = (ops.dilation, ops.erosion, ops.linear_convolution, ops.log_convolution)


def random_kernel(
    channels: int, window: tuple[int, int, int], orientations: int, dtype: torch.dtype
) -> Tensor:
    """The morphological kernel of random full metrics: no symmetry but the one under inversion."""
    factor = torch.diag(torch.tensor([0.4, 0.9, 0.6])).to(dtype) + 0.2 * torch.randn(
        channels, 3, 3, dtype=dtype
    )
    return morphological_kernel(FullMetric(factor), alpha=0.65, window=window, orientations=orientations)


@pytest.mark.parametrize("op", EVERY)
def test_commutes_with_translations(op, backend):
    f, k = torch.randn(1, 2, 4, 12, 14, dtype=torch.float64), torch.randn(2, 4, 3, 3, 5, dtype=torch.float64)
    moved = torch.roll(f, (2, -3), dims=(-2, -1))
    inside = (..., slice(3, -3), slice(5, -5))
    expected = torch.roll(op(f, k, backend=backend), (2, -3), dims=(-2, -1))
    torch.testing.assert_close(
        op(moved, k, backend=backend)[inside], expected[inside], rtol=1e-14, atol=1e-14
    )


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize("orientations", [4, 8])
def test_equivariant_under_quarter_turns(op, orientations, backend, dtype):
    """Random full metrics on an image that is not square."""
    k = random_kernel(3, (3, 5, 5), orientations, dtype)
    if op is ops.linear_convolution:
        k = torch.exp(-k)
    f = torch.randn(2, 3, orientations, 9, 12, dtype=dtype)
    assert_equivariant(lambda f: op(f, k, backend=backend), f)


def test_a_kernel_that_does_not_turn_is_not_equivariant(backend):
    """The control of the test above: the kernel of one orientation used at all of them."""
    k = random_kernel(3, (3, 5, 5), 8, torch.float32)[:, :1].expand(-1, 8, -1, -1, -1).contiguous()
    errors = equivariance_error(lambda f: ops.dilation(f, k, backend=backend), torch.randn(1, 3, 8, 9, 9))
    assert errors[1] > 0.05 and errors[3] > 0.05


@pytest.mark.parametrize(("index", "degrees"), [(0, 0), (1, 45), (2, 90), (3, 135)])
def test_main_axis_of_a_dilated_point(index, degrees, backend):
    """The dilated point reaches furthest along its orientation: +x at index 0, toward +y from there."""
    f = torch.zeros(1, 1, 8, 15, 15)
    f[..., 7, 7] = 1.0
    k = morphological_kernel(torch.tensor([[0.3, 2.0, 5.0]]), alpha=1.0, window=(1, 13, 13), orientations=8)
    out = ops.dilation(f, k, backend=backend)[0, 0, index]
    y, x = torch.meshgrid(torch.arange(15.0) - 7, torch.arange(15.0) - 7, indexing="ij")
    # Twice the angle of the principal axis of the second moments.
    twice = torch.atan2(2 * (out * x * y).sum(), (out * (x**2 - y**2)).sum())
    error = (math.degrees(twice) - 2 * degrees + 180) % 360 - 180
    assert abs(error) < 0.01
