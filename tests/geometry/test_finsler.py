"""Finsler metrics of the plane, and the dilations and erosions that they make."""

import math

import pytest
import torch
from torch import Tensor

from pdegcnn_lib import nn, ops
from pdegcnn_lib.geometry import DiagonalMetric, FinslerMetric
from pdegcnn_lib.kernels import diffusion_kernel, morphological_kernel
from pdegcnn_lib.spaces import M2, Plane

CALM = [-1.2, 0.2, -0.1, 0.05, 0.04]  # convex, and longer one way than the other
WILD = [-1.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.6, 0.0]  # four dents


def metric(coefficients: list[float]) -> FinslerMetric:
    return FinslerMetric(torch.tensor([coefficients], dtype=torch.float64))


def kernel(coefficients: list[float], size: int, alpha: float = 1.0, t: float = 1.0) -> Tensor:
    return morphological_kernel(metric(coefficients), alpha=alpha, window=(size, size), space=Plane(), t=t)


def length(coefficients: list[float], x: float, y: float) -> float:
    psi = math.atan2(y, x)
    log = coefficients[0]
    for k in range(1, len(coefficients) // 2 + 1):
        log += coefficients[2 * k - 1] * math.cos(k * psi) + coefficients[2 * k] * math.sin(k * psi)
    return math.hypot(x, y) * math.exp(log)


def test_the_length_is_its_definition():
    v = torch.randn(50, 2).double()
    for coefficients in (CALM, WILD, [0.3]):
        expected = torch.tensor([length(coefficients, *u) ** 2 for u in v.tolist()]).double()
        torch.testing.assert_close(metric(coefficients).squared(v), expected)
    torch.testing.assert_close(metric(CALM).squared(3 * v), 9 * metric(CALM).squared(v))
    assert metric(CALM).squared(torch.zeros(2).double()) == 0


def test_a_constant_alone_is_the_round_metric():
    w = torch.full((1, 2), math.exp(0.3), dtype=torch.float64)
    round_one = morphological_kernel(DiagonalMetric(w), alpha=0.65, window=(7, 7), space=Plane())
    torch.testing.assert_close(kernel([0.3], 7, alpha=0.65), round_one)


def test_a_turn_is_a_phase():
    """The coefficients of a metric that is turned by a quarter: k psi becomes k psi - k pi/2."""
    turned = [CALM[0]]
    for k in (1, 2):
        a, b = CALM[2 * k - 1], CALM[2 * k]
        c, s = math.cos(k * math.pi / 2), math.sin(k * math.pi / 2)
        turned += [a * c - b * s, a * s + b * c]
    torch.testing.assert_close(kernel(turned, 7), torch.rot90(kernel(CALM, 7), -1, (-2, -1)))


def test_convex_where_the_triangle_inequality_holds():
    v, w = torch.randn(2, 20000, 2).double()
    for coefficients in (CALM, WILD):
        of = metric(coefficients)
        excess = (of.squared(v + w).sqrt() - of.squared(v).sqrt() - of.squared(w).sqrt()).max()
        assert bool(of.convex()) == (excess <= 1e-12)
    assert metric(CALM).convex() and not metric(WILD).convex()


@pytest.mark.parametrize("alpha", [0.65, 1.0])
@pytest.mark.parametrize("t", [0.5, 1.0])
def test_it_solves_the_equation_of_its_dual(alpha, t):
    r"""A wave <a, x> grows by $t F^*(-a)^{2\alpha}$ under dilation and falls by $t F^*(a)^{2\alpha}$ under erosion.

    Values travel along p - q, so F is the price of going from q to p. The best tap is a pixel off at most, where the
    sum is flat: the error is that of the grid, k'' h^2/8 along each axis, most where the kernel is narrow.
    """
    k = kernel(CALM, 41, alpha, t)
    y, x = torch.meshgrid(*2 * [torch.arange(-25, 26).double()], indexing="ij")
    psi = torch.linspace(0, 2 * math.pi, 20001).double()
    unit = torch.stack([psi.cos(), psi.sin()], dim=-1)
    gauge = metric(CALM).squared(unit).sqrt()
    for a in ([0.12, 0.05], [-0.1, 0.1], [0.0, -0.13]):
        wave = (a[0] * x + a[1] * y)[None, None]
        covector = torch.tensor(a).double()
        up = ((unit @ -covector) / gauge).max() ** (2 * alpha) * t
        down = ((unit @ covector) / gauge).max() ** (2 * alpha) * t
        grown = (ops.dilation(wave, k, space=Plane()) - wave)[0, 0, 25, 25]
        fallen = (wave - ops.erosion(wave, k, space=Plane()))[0, 0, 25, 25]
        for found, expected in ((grown, up), (fallen, down)):
            assert expected - 0.04 < found <= expected + 1e-9
        assert abs(up - down) > 0.15 * up  # the two differ: F is not symmetric


def test_two_halves_are_the_whole_where_it_is_convex():
    f = torch.zeros(1, 1, 41, 41).double()
    f[..., 20, 20] = 1
    gaps = {}
    for name, coefficients in (("calm", CALM), ("wild", WILD)):
        whole = ops.dilation(f, kernel(coefficients, 31), space=Plane())
        half = kernel(coefficients, 31, t=0.5)
        twice = ops.dilation(ops.dilation(f, half, space=Plane()), half, space=Plane())
        gaps[name] = (twice - whole).max()
    # No way over the grid is cheaper than the direct one, unless the ball has dents.
    assert gaps["calm"] < 1e-12 and gaps["wild"] > 0.05


def test_gradients():
    coefficients = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)

    def table(c: Tensor) -> Tensor:
        return ops.morphological_table(FinslerMetric(c), alpha=0.8, window=(5, 3), space=Plane())

    assert torch.autograd.gradcheck(table, (coefficients,))
    v = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c, v: FinslerMetric(c[:, None]).squared(v), (coefficients, v))


def test_layers_have_it_by_name():
    layer = nn.PDELayer(3, 4, space=Plane(), metric="finsler")
    dilation = layer.evolution["dilation"]
    assert dilation.metric.coefficients.shape == (3, 5) and dilation.metric().convex().all()
    assert dilation.metric().is_riemannian is False
    layer(torch.randn(2, 3, 8, 9)).square().mean().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())
    assert (dilation.metric.coefficients.grad != 0).any() and "harmonics=2" in repr(layer)
    before = dilation.metric.coefficients.clone()
    dilation.metric.reset_parameters()
    assert not torch.equal(dilation.metric.coefficients, before)


def test_it_answers_for_itself():
    of = FinslerMetric(torch.randn(4, 5).double())
    v = torch.randn(4, 2).double()
    assert of.dim == 2 and of.over_channels(2) is of.coefficients and not of.is_diagonal
    torch.testing.assert_close(of[1].squared(v[1]), of.squared(v)[1])
    assert of.to(torch.float32).squared(v.float()).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: FinslerMetric(torch.zeros(2, 4)), ValueError, r"\[\.\.\., 2n \+ 1\], got \[2, 4\]"),
        (lambda: FinslerMetric(torch.zeros(5).long()), TypeError, "must be a floating point tensor"),
        (lambda: FinslerMetric(torch.tensor([math.nan])), ValueError, "positive and finite, got nan"),
        (lambda: metric(CALM).matrix, ValueError, "no scalar product"),
        (lambda: metric(CALM).over_channels(3), ValueError, "plane, and here are 3 vector fields"),
        (lambda: metric(CALM)[0].over_channels(2), ValueError, r"shape \[C, 5\], got \[5\]"),
        (
            lambda: morphological_kernel(metric(CALM), alpha=0.65, window=(3, 3, 3), space=M2(8)),
            ValueError,
            "plane, and here are 3 vector fields",
        ),
        (
            lambda: diffusion_kernel(metric(CALM), alpha=1.0, window=(3, 3), space=Plane()),
            ValueError,
            "Riemannian metrics only, got a FinslerMetric",
        ),
        (lambda: nn.Dilation(2, metric="finsler"), ValueError, "one of diagonal, full, got 'finsler'"),
    ],
)
def test_what_it_is_not_is_said(make, kind, says):
    with pytest.raises(kind, match=says):
        make()
