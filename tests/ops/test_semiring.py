"""Dilation, erosion, linear and logarithmic convolution: oracles and algebraic laws.

Values that are small multiples of 1/8 add without rounding, so the tropical laws are tested as equalities of floats.
"""

import itertools
import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pdegcnn_lib import ops

TROPICAL = {"dilation": ops.dilation, "erosion": ops.erosion}
EVERY = {**TROPICAL, "linear": ops.linear_convolution, "log": ops.log_convolution}


def eighths(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randint(-64, 65, shape).to(dtype) / 8


def by_loops(f: Tensor, k: Tensor, name: str) -> Tensor:
    """The definition in the interface, one tap at a time."""
    batch, channels, orientations, height, width = f.shape
    k_or, k_h, k_w = k.shape[2:]
    out = torch.empty_like(f)
    for b, c, o, y, x in itertools.product(*map(range, (batch, channels, orientations, height, width))):
        terms = []
        for i, j, m in itertools.product(range(k_or), range(k_h), range(k_w)):
            v, u = y + j - k_h // 2, x + m - k_w // 2
            if 0 <= v < height and 0 <= u < width:
                value = f[b, c, (o + i - k_or // 2) % orientations, v, u].item()
                weight = k[c, o, i, j, m].item()
                terms.append(
                    {"dilation": value - weight, "erosion": value + weight, "linear": value * weight}.get(
                        name, math.exp(value - weight)
                    )
                )
        reduce = {"dilation": max, "erosion": min, "linear": sum, "log": lambda t: math.log(sum(t))}[name]
        out[b, c, o, y, x] = reduce(terms)
    return out


@st.composite
def shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of f and a window, which may be larger than the image and as wide as the circle."""
    f = tuple(draw(st.integers(1, n)) for n in (2, 2, 5, 5, 5))
    k_or = draw(st.sampled_from([n for n in (1, 3, 5) if n <= f[2]]))
    return f, (k_or, draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([1, 3, 7])))


@pytest.mark.parametrize("storage", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", EVERY)
def test_sums_of_16_bits_are_taken_in_32(name, storage, backend):
    """189 terms, each of which would be rounded on its own: the result alone is."""
    f, k = torch.rand(1, 2, 4, 9, 11).to(storage), torch.rand(2, 4, 3, 7, 9).to(storage)
    found, known = (EVERY[name](*of, backend=backend) for of in ((f, k), (f.double(), k.double())))
    torch.testing.assert_close(found.double(), known, rtol=torch.finfo(storage).eps / 1.9, atol=0)


@pytest.mark.parametrize("name", EVERY)
@given(shape=shapes(), seed=st.integers(0, 2**31))
def test_definition(name, backend, shape, seed):
    torch.manual_seed(seed)
    f, k = eighths(*shape[0], dtype=torch.float64), eighths(*shape[0][1:3], *shape[1], dtype=torch.float64)
    found, expected = EVERY[name](f, k, backend=backend), by_loops(f, k, name)
    if name == "log":
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-12)
    else:
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("window", "size"), [((3, 5), (9, 12)), ((5, 5), (6, 6)), ((7, 3), (4, 11)), ((1, 1), (3, 3))]
)
def test_scipy_on_the_plane(window, size, backend, dtype):
    """scipy mirrors the structure of a dilation and adds it; the structuring functions here have no symmetry."""
    f, k = eighths(2, 3, *size, dtype=dtype), eighths(3, *window, dtype=dtype)
    dilated, eroded = (op(f, k, backend=backend).numpy() for op in (ops.dilation_r2, ops.erosion_r2))
    for b, c in itertools.product(range(2), range(3)):
        image, structure = f[b, c].numpy(), -k[c].numpy()
        options = {"mode": "constant"}
        np.testing.assert_array_equal(
            dilated[b, c],
            scipy.ndimage.grey_dilation(image, structure=structure[::-1, ::-1], cval=-np.inf, **options),
        )
        np.testing.assert_array_equal(
            eroded[b, c], scipy.ndimage.grey_erosion(image, structure=structure, cval=np.inf, **options)
        )


@pytest.mark.parametrize("op", [ops.dilation, ops.erosion, ops.linear_convolution])
def test_plane_is_one_orientation(op, backend):
    f, k = torch.randn(2, 3, 6, 7), torch.randn(3, 3, 5)
    plane = {
        ops.dilation: ops.dilation_r2,
        ops.erosion: ops.erosion_r2,
        ops.linear_convolution: ops.linear_convolution_r2,
    }[op]
    assert torch.equal(
        plane(f, k, backend=backend), op(f[:, :, None], k[:, None, None], backend=backend)[:, :, 0]
    )


def test_linear_convolution_is_conv3d(backend, dtype):
    """For each output orientation an ordinary correlation with its own kernel, circular in the orientations."""
    f, k = torch.randn(2, 3, 8, 6, 9, dtype=dtype), torch.randn(3, 8, 5, 3, 5, dtype=dtype)
    wrapped = torch.cat([f[:, :, -2:], f, f[:, :, :2]], dim=2)
    expected = torch.stack(
        [
            torch.nn.functional.conv3d(wrapped, k[:, o, None], padding=(0, 1, 2), groups=3)[:, :, o]
            for o in range(8)
        ],
        dim=2,
    )
    # 75 products of size 1 summed in another order.
    tolerance = 75 * torch.finfo(dtype).eps * 4
    torch.testing.assert_close(
        ops.linear_convolution(f, k, backend=backend), expected, rtol=tolerance, atol=tolerance
    )


def test_duality(backend, dtype):
    f, k = torch.randn(2, 3, 4, 6, 7, dtype=dtype), torch.rand(3, 4, 3, 5, 3, dtype=dtype)
    assert torch.equal(ops.dilation(f, k, backend=backend), -ops.erosion(-f, k, backend=backend))


@pytest.mark.parametrize("op", TROPICAL.values(), ids=TROPICAL)
def test_monotone(op, backend):
    f, k = torch.randn(2, 3, 4, 6, 7), torch.rand(3, 4, 3, 5, 3)
    g = f + torch.rand_like(f)
    assert (op(f, k, backend=backend) <= op(g, k, backend=backend)).all()


@pytest.mark.parametrize("op", TROPICAL.values(), ids=TROPICAL)
def test_semiring_linear(op, backend):
    """Dilation is (max, +) linear, erosion (min, +) linear."""
    f, g, k = eighths(2, 3, 4, 6, 7), eighths(2, 3, 4, 6, 7), eighths(3, 4, 3, 5, 3)
    join = torch.maximum if op is ops.dilation else torch.minimum
    together = op(join(f, g), k, backend=backend)
    assert torch.equal(together, join(op(f, k, backend=backend), op(g, k, backend=backend)))
    assert torch.equal(op(f + 2.5, k, backend=backend), op(f, k, backend=backend) + 2.5)


@pytest.mark.parametrize("op", TROPICAL.values(), ids=TROPICAL)
def test_non_expansive(op, backend):
    f, g, k = eighths(2, 3, 4, 6, 7), eighths(2, 3, 4, 6, 7), eighths(3, 4, 3, 5, 3)
    apart = (op(f, k, backend=backend) - op(g, k, backend=backend)).abs().max()
    assert 0 < apart <= (f - g).abs().max()


def test_order_around_the_identity(backend):
    """A kernel >= 0 that vanishes at its centre: erosion <= f <= dilation; opening <= f <= closing."""
    f, k = eighths(2, 3, 4, 6, 7), eighths(3, 4, 3, 5, 3).abs()
    k[:, :, 1, 2, 1] = 0
    dilated, eroded = ops.dilation(f, k, backend=backend), ops.erosion(f, k, backend=backend)
    assert (eroded <= f).all() and (f <= dilated).all()
    assert (eroded < f).any() and (f < dilated).any()


def test_opening_and_closing_on_the_plane(backend):
    """Erosion followed by dilation with the mirrored kernel stays below f, and touches it where f is reached again."""
    f, k = eighths(2, 3, 9, 8), eighths(3, 3, 5)
    mirrored = k.flip(-1, -2)
    opened = ops.dilation_r2(ops.erosion_r2(f, k, backend=backend), mirrored, backend=backend)
    closed = ops.erosion_r2(ops.dilation_r2(f, k, backend=backend), mirrored, backend=backend)
    assert (opened <= f).all() and (f <= closed).all()
    again = ops.dilation_r2(ops.erosion_r2(opened, k, backend=backend), mirrored, backend=backend)
    assert torch.equal(again, opened)


def test_delta_kernels_are_the_identity(backend, dtype):
    f = torch.randn(2, 3, 4, 6, 7, dtype=dtype)
    k = torch.full((3, 4, 3, 5, 3), torch.inf, dtype=dtype)
    k[:, :, 1, 2, 1] = 0
    assert torch.equal(ops.dilation(f, k, backend=backend), f)
    assert torch.equal(ops.erosion(f, k, backend=backend), f)
    assert torch.equal(ops.linear_convolution(f, (k == 0).to(dtype), backend=backend), f)
    torch.testing.assert_close(ops.log_convolution(f, k, backend=backend), f)


def test_flat_dilation_is_max_pooling(backend, dtype):
    """Corollary 6.2 of the main paper."""
    f = torch.randn(2, 3, 8, 9, dtype=dtype)
    pooled = torch.nn.functional.max_pool2d(f, (3, 5), stride=1, padding=(1, 2))
    assert torch.equal(ops.dilation_r2(f, torch.zeros(3, 3, 5, dtype=dtype), backend=backend), pooled)


def test_relu_is_a_dilation(backend):
    """Proposition 6.3 of the main paper: k = 0 at the centre, sup f elsewhere, where another point attains sup f."""
    f = eighths(1, 1, 5, 6)
    f[0, 0, 0, 0] = f[0, 0, 4, 5] = 9.0
    k = torch.full((1, 9, 11), 9.0)
    k[0, 4, 5] = 0
    assert (f < 0).any()
    assert torch.equal(ops.dilation_r2(f, k, backend=backend), f.relu())


@pytest.mark.parametrize("mu", [0.5, 4.0, 64.0])
def test_logarithmic_convolution_tends_to_dilation(mu, backend):
    """0 <= log_convolution - dilation <= log(taps)/mu."""
    f, k = torch.randn(2, 3, 4, 6, 7, dtype=torch.float64), torch.rand(3, 4, 3, 5, 3, dtype=torch.float64)
    excess = ops.log_convolution(f, k, mu=mu, backend=backend) - ops.dilation(f, k, backend=backend)
    assert excess.min() > -1e-13
    assert 0.01 / mu < excess.max() <= math.log(45) / mu


@pytest.mark.parametrize("storage", [torch.float16, torch.bfloat16])
def test_a_large_mu_leaves_the_range_of_16_bits_alone(storage, backend):
    """mu f is beyond that of float16, the result is not."""
    f, k = 700 * torch.rand(1, 2, 4, 5, 6).to(storage), torch.rand(2, 4, 3, 3, 3).to(storage)
    found, known = (
        ops.log_convolution(*of, mu=100.0, backend=backend) for of in ((f, k), (f.double(), k.double()))
    )
    assert found.dtype == storage
    torch.testing.assert_close(found.double(), known, rtol=torch.finfo(storage).eps, atol=0)
