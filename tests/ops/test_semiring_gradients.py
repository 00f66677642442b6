"""Gradients of dilation, erosion, linear and logarithmic convolution; what NaN and infinities do."""

import itertools

import pytest
import torch

from pdegcnn_lib import ops

TROPICAL = (ops.dilation, ops.erosion)
EVERY = (*TROPICAL, ops.linear_convolution, ops.log_convolution)


@pytest.mark.parametrize("op", TROPICAL)
def test_first_tap_takes_the_gradient_of_a_tie(op, backend):
    """All taps equal: the winner is the first inside the image in the order (i, j, l)."""
    f = torch.zeros(1, 1, 3, 3, 4, requires_grad=True)
    k = torch.zeros(1, 3, 3, 3, 3, requires_grad=True)
    op(f, k, backend=backend).sum().backward()
    expected_f, expected_k = torch.zeros_like(f), torch.zeros_like(k)
    sign = -1 if op is ops.dilation else 1
    for o, y, x in itertools.product(range(3), range(3), range(4)):
        j, m = max(0, 1 - y), max(0, 1 - x)
        expected_f[0, 0, (o - 1) % 3, y + j - 1, x + m - 1] += 1
        expected_k[0, o, 0, j, m] += sign
    assert torch.equal(f.grad, expected_f)
    assert torch.equal(k.grad, expected_k)


@pytest.mark.parametrize("op", EVERY)
def test_gradcheck(op, backend):
    """Random values have unique winners with gaps far above the step of the finite difference."""
    f = torch.randn(2, 2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    k = torch.randn(2, 3, 3, 1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, k: op(f, k, backend=backend), (f, k))


@pytest.mark.parametrize("op", [ops.dilation_r2, ops.erosion_r2, ops.linear_convolution_r2])
def test_gradcheck_on_the_plane(op, backend):
    f = torch.randn(2, 2, 4, 2, dtype=torch.float64, requires_grad=True)
    k = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, k: op(f, k, backend=backend), (f, k))


@pytest.mark.parametrize("op", TROPICAL)
def test_gradients_pass_infinite_taps_by(op, backend):
    """Saturated kernel values (+inf) never win and receive no gradient."""
    f = torch.randn(1, 2, 4, 5, 5, requires_grad=True)
    k = torch.rand(2, 4, 3, 3, 3)
    k[..., ::2, :, 0] = torch.inf
    k.requires_grad_()
    out = op(f, k, backend=backend)
    out.square().sum().backward()
    assert torch.isfinite(out).all() and torch.isfinite(f.grad).all() and torch.isfinite(k.grad).all()
    assert (k.grad[k.isinf()] == 0).all()


@pytest.mark.parametrize("op", [*TROPICAL, ops.linear_convolution])
def test_nan_spreads_to_the_points_that_see_it_and_no_further(op, backend):
    f, k = torch.randn(1, 1, 4, 7, 8), torch.rand(1, 4, 3, 3, 5)
    f[0, 0, 0, 3, 4] = torch.nan
    out = op(f, k, backend=backend)
    expected = torch.zeros(4, 7, 8, dtype=torch.bool)
    expected[[3, 0, 1], 2:5, 2:7] = True
    assert torch.equal(out[0, 0].isnan(), expected)


def test_infinite_values_are_ordinary_values(backend):
    f, k = torch.randn(1, 1, 1, 5, 6), torch.rand(1, 1, 1, 3, 3)
    f[..., 2, 3] = torch.inf
    dilated = ops.dilation(f, k, backend=backend)
    expected = torch.zeros(5, 6, dtype=torch.bool)
    expected[1:4, 2:5] = True
    assert torch.equal(dilated[0, 0, 0] == torch.inf, expected) and not dilated.isnan().any()
    assert torch.isfinite(ops.erosion(f, k, backend=backend)).all()
    empty = torch.full_like(f, -torch.inf)
    assert (ops.dilation(empty, k, backend=backend) == -torch.inf).all()
