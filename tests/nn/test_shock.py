"""Diffusion-shock filtering: its range, the sign of its increment, its symmetry, and versions that lack them."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from examples.groups_between import GroupsBetween
from pdegcnn_lib import nn
from pdegcnn_lib.nn.pde import CDS, DS
from pdegcnn_lib.nn.shock import differences
from pdegcnn_lib.spaces import M2, Plane, Sampled
from pdegcnn_lib.testing import equivariance_error, relative_error

BOTH = pytest.mark.parametrize(("space", "size"), [(M2(8), (8, 11, 12)), (Plane(), (11, 12))], ids=str)


def test_differences_of_a_polynomial():
    y, x = torch.meshgrid(torch.arange(7).double(), torch.arange(8).double(), indexing="ij")
    u = 2 * x + 3 * y + 0.5 * x**2 - x * y + 2 * y**2
    inner = (..., slice(1, -1), slice(1, -1))
    first, second = differences(u[None, None])
    expected = (2 + x - y, 3 - x + 4 * y)
    for found, value in zip(first, expected, strict=True):
        torch.testing.assert_close(found[0, 0][inner], value[inner])
    for found, number in zip(second, (1.0, -1.0, 4.0), strict=True):
        torch.testing.assert_close(found[inner], torch.full_like(found[inner], number))


@BOTH
def test_values_stay_in_the_range_and_constants_stay(space, size):
    layer = nn.DiffusionShock(2, space=space).double()
    f = torch.randn(2, 2, *size).double()
    g, sign = layer.switches(f)
    assert (g > 0).all() and (g <= 1).all() and (sign.abs() < 1).all()
    out = layer(f)
    assert (out <= f.amax()).all() and (out >= f.amin()).all() and not torch.allclose(out, f)
    torch.testing.assert_close(layer(torch.full_like(f, 2.5)), torch.full_like(f, 2.5))
    torch.testing.assert_close(layer(-f), -out)  # what is done to valleys is done to ridges


@BOTH
def test_the_step_is_its_definition(space, size):
    layer = nn.DiffusionShock(2, space=space, t=0.5).double()
    f = torch.randn(1, 2, *size).double()
    g, sign = layer.switches(f)
    erosion = nn.Erosion(2, space=space, t=0.5).double()
    erosion.metric = layer.shock.metric
    shock = torch.where(sign < 0, -sign * (layer.shock(f) - f), sign * (erosion(f) - f))
    torch.testing.assert_close(layer(f), f + g * (layer.diffusion(f) - f) + (1 - g) * shock)
    assert layer.diffusion.t == layer.shock.t == 0.5 and layer.smoothing.t == 1


@BOTH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_flat_images_in_16_bits(space, size, dtype):
    """The square of a slope, and the fourth power of the contrast, are 0 in float16: 0 / 0 where nothing is seen."""
    layer, f = nn.DiffusionShock(2, space=space), torch.zeros(1, 2, *size)
    f[..., 4, :] = 1
    out = layer.to(dtype)(f.to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), layer.float()(f), atol=0.02, rtol=0)


def test_ridges_grow_and_valleys_deepen():
    """The increment has the sign of the curvature across, with its sign turned: a blurred line is sharpened."""
    y = torch.arange(21).double() - 10
    ridge = torch.exp(-(y**2) / 18)[:, None].expand(21, 21)[None, None]
    layer = nn.DiffusionShock(1, space=Plane(), window=(5, 5)).double()
    layer.logs.data.copy_(torch.tensor([[1e-4, 1e-3]]).log())  # edges everywhere, a hard sign
    layer.shock.metric.factor.data.mul_(0.2)  # far enough to meet larger values
    out = layer(ridge)
    assert (out[:, :, [8, 12]] > ridge[:, :, [8, 12]]).all()
    assert (out[:, :, [5, 15]] < ridge[:, :, [5, 15]]).all()
    torch.testing.assert_close(layer(-ridge), -out)


@pytest.mark.parametrize("orientations", [4, 8, 12])
def test_quarter_turns_are_exact_to_rounding(orientations):
    layer = nn.DiffusionShock(2, orientations=orientations, window=(3, 5, 5)).double()
    f = torch.randn(1, 2, orientations, 9, 10).double()
    assert max(equivariance_error(layer, f).values()) < 1e-13
    for n in (0, 1):
        assert max(equivariance_error(lambda f, n=n: layer.switches(f)[n], f).values()) < 1e-12


def lateral_switch(u: Tensor, *, periodic: bool, mixed: float) -> Tensor:
    """The curvature across on M2(8), per pixel and radian; right where periodic and of the mixed sign -1."""
    (_, _), (xx, xy, yy) = differences(u)
    angle = M2(8).points()[:, :1, None]
    c, s = torch.cos(angle), torch.sin(angle)
    padded = torch.cat([u[:, :, -1:], u, u[:, :, :1]] if periodic else [u[:, :, :1], u, u[:, :, -1:]], dim=2)
    turn = (padded[:, :, 2:] - 2 * u + padded[:, :, :-2]) / (math.pi / 4) ** 2
    return s**2 * xx + mixed * 2 * s * c * xy + c**2 * yy + turn


def test_ends_of_the_circle_and_a_mixed_term_with_the_wrong_sign_are_seen():
    """What LieTorch 0.8.2 does: theta ends at both sides, and the mixed derivative is added."""
    f = torch.randn(1, 1, 8, 12, 12).double()

    def error(**how) -> float:
        return max(equivariance_error(lambda u: lateral_switch(u, **how), f).values())

    assert error(periodic=True, mixed=-1) < 1e-13
    assert error(periodic=False, mixed=-1) > 0.1 and error(periodic=True, mixed=1) < 1e-13
    # Quarter turns do not see the mixed term. A line along the orientation at 45 degrees does: it has no curvature
    # along itself, and much across.
    y, x = torch.meshgrid(*2 * [torch.arange(12).double()], indexing="ij")
    line = torch.exp(-((x - y) ** 2) / 8).expand(1, 1, 8, 12, 12)
    right, wrong = (lateral_switch(line, periodic=True, mixed=sign)[0, 0, 1, 5, 5] for sign in (-1, 1))
    assert right < -0.2 and abs(wrong) < 0.2 * abs(right)


def test_with_the_switches_off_it_is_the_identity_and_theirs_is_its_opposite():
    """Where nothing is to be done, nothing is done. LieTorch subtracts the evolved image, not its increment."""
    layer = nn.DiffusionShock(2, window=(1, 3, 3)).double()
    f = torch.randn(1, 2, 8, 9, 9).double()
    layer.logs.data.copy_(torch.tensor([[1e-6, 1e6]]).log())  # g = 0 and S = 0
    assert relative_error(layer(f).detach(), f) < 1e-5
    g, sign = layer.switches(f)
    dilated = f + functional.relu(-sign) * (layer.shock(f) - f)
    theirs = g * layer.diffusion(f) - (1 - g) * dilated
    assert torch.corrcoef(torch.stack([theirs.flatten(), f.flatten()]))[0, 1] < -0.999


@BOTH
def test_gradients(space, size):
    layer = nn.DiffusionShock(1, space=space, window=(3,) * len(size)).double()
    f = torch.randn(1, 1, *(min(n, 5) if i or len(size) == 2 else n for i, n in enumerate(size))).double()
    f.requires_grad_()
    parameters = dict(layer.named_parameters())

    def out(f: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(parameters, values, strict=True)), (f,))

    assert torch.autograd.gradcheck(out, (f, *parameters.values()), fast_mode=True)
    layer(f).square().sum().backward()
    assert all((p.grad != 0).any() and p.grad.isfinite().all() for p in layer.parameters())
    flat = torch.zeros_like(f).requires_grad_()
    layer(flat).sum().backward()
    assert flat.grad.isfinite().all()


@BOTH
def test_a_frozen_layer_does_the_same(space, size):
    """One that is frozen again too, and one whose state was saved before there was anything to keep."""
    layer = nn.DiffusionShock(2, space=space).eval()
    f = torch.randn(1, 2, *size)
    once = nn.frozen(layer)
    assert torch.equal(once(f), layer(f)) and torch.equal(nn.frozen(once)(f), layer(f))
    assert once.smoothing.kept is not None and not any("kept" in name for name in layer.state_dict())


def test_terms_of_a_layer():
    layer = nn.PDELayer(2, 3, terms=CDS, steps=2, alpha=0.8, diffusion_alpha=0.5)
    assert list(layer.evolution) == ["convection", "diffusionshock"]
    term = layer.evolution["diffusionshock"]
    assert (term.shock.alpha, term.diffusion.alpha, term.shock.t) == (0.8, 0.5, 0.5)
    assert layer(torch.randn(1, 2, 8, 7, 7)).shape == (1, 3, 8, 7, 7)
    assert nn.PDELayer(2, 3, space=Plane(), terms=DS)(torch.randn(2, 2, 7, 7)).shape == (2, 3, 7, 7)
    with pytest.raises(ValueError, match="on M2 and on R\\^2, and none on Sampled"):
        nn.DiffusionShock(2, space=Sampled(GroupsBetween(0.0), range(-3, 4)))
