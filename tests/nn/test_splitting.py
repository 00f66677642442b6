"""The time of a layer and its division among the steps of the splitting: the same equation, solved in more steps."""

import functools

import pytest
import torch
from torch import Tensor

from pdegcnn_lib import nn
from pdegcnn_lib.geometry import SE2, DiagonalMetric
from pdegcnn_lib.kernels import morphological_kernel

REFERENCE = {"backend": "reference"}


def set_scales(layer: torch.nn.Module, w: list[float]) -> torch.nn.Module:
    layer = layer.double()
    layer.metric.v.data = torch.log(torch.expm1(torch.tensor([w], dtype=torch.float64)))
    return layer


def repeated(layer: torch.nn.Module, f: Tensor, times: int) -> Tensor:
    for _ in range(times):
        f = layer(f)
    return f


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_fractions_of_a_convection_multiply_to_the_whole(steps):
    layer = nn.Convection(50, t=1 / steps, spread=2.0).double()
    layer.g0.data[:3, 2] = torch.tensor([0.0, 3.1, -3.1])
    fraction = layer.element()
    whole = functools.reduce(SE2.product, [fraction] * steps)
    error = SE2.product(SE2.inverse(layer.g0), whole)
    torch.testing.assert_close(error, torch.zeros_like(error), rtol=0, atol=1e-13)
    if steps == 1:
        assert layer.element() is layer.g0
    plane = nn.ConvectionR2(5, t=1 / steps, spread=2.0).double()
    torch.testing.assert_close(steps * plane.element(), plane.g0)


@pytest.mark.parametrize(("steps", "move"), [(2, (4.0, -2.0, 0.0)), (4, (4.0, 8.0, 0.0))])
def test_whole_pixels_move_by_the_same_in_many_steps(steps, move):
    """On four orientations, where the pixels are met exactly and nothing is interpolated."""
    f = torch.randn(1, 1, 4, 12, 12, dtype=torch.float64)
    one, many = (nn.Convection(1, t=t, **REFERENCE).double() for t in (1.0, 1 / steps))
    for layer in (one, many):
        layer.g0.data = torch.tensor([move], dtype=torch.float64)
    f = torch.nn.functional.pad(f, (20,) * 4)
    torch.testing.assert_close(repeated(many, f, steps), one(f), rtol=0, atol=1e-12)
    assert not torch.allclose(repeated(one, f, steps), one(f))


def peaks(*shape: int) -> Tensor:
    """Zero but for a few points of height 1, which dilation spreads as far as it can."""
    f = torch.zeros(shape, dtype=torch.float64)
    f.view(-1)[torch.randperm(f.numel())[:5]] = 1
    return f


@pytest.mark.parametrize("kind", [nn.DilationR2, nn.ErosionR2])
@pytest.mark.parametrize("steps", [2, 4])
def test_steps_of_dilation_and_erosion_on_the_plane(kind, steps):
    """At alpha = 1 the kernel is c |x|^2/t, c = w^2/4: along an axis N steps of n_i pixels cost N c sum n_i^2.

    The best whole n_i with the sum n = q N + r cost r (N - r) c more than n^2 c, which is at most c N^2/4.
    """
    w, sign = 0.2, 1 if kind is nn.DilationR2 else -1
    f, options = sign * peaks(1, 1, 40, 40), {"window": (21, 21), "alpha": 1.0, "metric": "diagonal"}
    one, many = (set_scales(kind(1, t=t, **options, **REFERENCE), [w, w]) for t in (1.0, 1 / steps))
    whole, split = sign * one(f), sign * repeated(many, f, steps)
    assert (split <= whole + 1e-12).all() and (whole - split).max() <= 2 * w**2 / 4 * steps**2 / 4 + 1e-12
    # As many steps of unit time solve another equation: they go on where the first has stopped.
    assert (sign * repeated(one, f, steps) - whole).mean() > 4 * (whole - split).mean()


@pytest.mark.parametrize("kind", [nn.Dilation, nn.Erosion])
def test_two_halves_on_m2_are_the_whole(kind):
    """With w_main = w_lateral, where rho_b is the distance: k_1/2 after k_1/2 is k_1, up to the grid as above."""
    w, sign = [0.3, 0.3, 1.0], 1 if kind is nn.Dilation else -1
    f = sign * peaks(1, 1, 16, 18, 18)
    options = {"window": (11, 15, 15), "orientations": 16, "alpha": 1.0, "estimate": "rho_b"}
    one, half = (set_scales(kind(1, t=t, **options, **REFERENCE), w) for t in (1.0, 0.5))
    whole, twice = sign * one(f), sign * repeated(half, f, 2)
    worst = (0.3**2 + 0.3**2 + (2 * torch.pi / 16) ** 2) / 4
    # By the triangle inequality no detour over the grid is cheaper than the whole way.
    assert (twice <= whole + 1e-12).all() and (whole - twice).max() <= worst + 1e-12
    assert (sign * repeated(one, f, 2) - whole).mean() > 4 * (whole - twice).mean()


@pytest.mark.parametrize("alpha", [0.6, 0.65, 1.0])
@pytest.mark.parametrize(
    "estimate", ["rho_c", "rho_b", "rho_b_sr", "rho_b_com", "rho_b_sr_covariant", "rho_b_com_covariant"]
)
def test_time_scales_the_metric(alpha, estimate):
    """k_t of w is k_1 of t^(-1/(2 alpha)) w: a layer's unit time is no restriction."""
    layer = nn.Dilation(3, alpha=alpha, t=0.25, estimate=estimate).double()
    w = 0.25 ** (-1 / (2 * alpha)) * layer.metric.w
    expected = morphological_kernel(
        DiagonalMetric(w), alpha=alpha, window=(5, 5, 5), orientations=8, estimate=estimate
    )
    torch.testing.assert_close(layer.kernel(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("layer", [nn.PDELayer, nn.PDELayerR2])
def test_a_layer_divides_its_time_and_keeps_its_parameters(layer):
    terms = ("convection", "diffusion", "dilation", "erosion")
    one, four = layer(2, 3, terms=terms), layer(2, 3, terms=terms, steps=4)
    assert {term.t for term in one.evolution.values()} == {1.0}
    assert {term.t for term in four.evolution.values()} == {0.25}
    four.load_state_dict(one.state_dict(), strict=True)
    assert "steps=4" in repr(four) and "t=0.25" in repr(four)


def test_a_layer_of_half_the_time_is_one_of_two_steps_taken_once():
    torch.manual_seed(0)
    whole, half = nn.PDELayer(3, 3, steps=2), nn.PDELayer(3, 3, t=0.5)
    half.load_state_dict(whole.state_dict())
    f = torch.randn(1, 3, 8, 9, 9)

    def evolved(layer: nn.PDELayer, f: torch.Tensor) -> torch.Tensor:
        for term in layer.evolution.values():
            f = term(f)
        return f

    assert torch.equal(evolved(whole, evolved(whole, f)), evolved(half, evolved(half, f)))
    assert not torch.equal(evolved(half, f), evolved(nn.PDELayer(3, 3), f))


def test_more_steps_change_the_solution_little_and_the_equation_not():
    """A smooth image, moved and diffused on R^2, where these commute: steps only add their interpolation."""
    y, x = torch.meshgrid(torch.arange(40.0) - 20, torch.arange(40.0) - 20, indexing="ij")
    f = torch.exp(-(x**2 + y**2) / 60).double()[None, None]
    solved = {}
    for steps in (1, 4):
        layer = nn.PDELayerR2(
            1, 1, terms=("convection", "diffusion"), steps=steps, window=(11, 11), **REFERENCE
        )
        layer.evolution["convection"].g0.data = torch.tensor([[4.0, -6.0]])
        layer.evolution["diffusion"].metric.factor.data = torch.tensor([[[1.0, 0.2], [0.0, 0.8]]])
        layer.linear.weight.data.fill_(1.0)
        solved[steps] = layer.double().eval()(f)
    change = (solved[1] - f / (1 + 1e-5) ** 0.5).norm()
    # Four bilinear shifts by (1, -1.5) blur by the variance 1/4 each, next to that of the Gaussian, 30.
    assert (solved[4] - solved[1]).norm() < 0.04 * change
