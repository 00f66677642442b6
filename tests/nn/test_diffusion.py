"""Diffusion as a layer: the heat equation, its border, its first length scales, its place in a PDE layer."""

import math

import pytest
import torch

from pdegcnn_lib import nn, ops
from pdegcnn_lib.kernels import diffusion_kernel, diffusion_kernel_r2
from pdegcnn_lib.nn.metric import diffusion_scales

REFERENCE = {"backend": "reference"}
SPACES = {"M2": (nn.Diffusion, (2, 3, 8, 7, 9), (3, 5, 5)), "R2": (nn.DiffusionR2, (2, 3, 7, 9), (5, 3))}


def layer_and_input(space: str, **options: object) -> tuple[torch.nn.Module, torch.Tensor]:
    kind, shape, window = SPACES[space]
    layer = kind(3, window=window, **{**REFERENCE, **options}).double()
    return layer, torch.randn(shape, dtype=torch.float64)


@pytest.mark.parametrize("alpha", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("space", SPACES)
def test_a_constant_stays_constant_and_values_stay_in_range(space, alpha):
    """Up to the border, with wide and narrow kernels, on images smaller than the window too."""
    layer, f = layer_and_input(space, alpha=alpha)
    for small in (f, f[..., :2, :1]):
        torch.testing.assert_close(layer(torch.full_like(small, 2.5)), torch.full_like(small, 2.5))
        out = layer(small)
        assert out.shape == small.shape and (out <= small.amax()).all() and (out >= small.amin()).all()
    assert layer(f).var() < f.var()


@pytest.mark.parametrize("space", SPACES)
def test_the_taps_outside_the_image_are_left_out_and_the_others_make_up(space):
    """One pixel at a time, in plain sums."""
    layer, f = layer_and_input(space)
    k, out = layer.kernel().detach(), layer(f)
    if space == "R2":
        k, f, out = k[:, None, None], f[:, :, None], out[:, :, None]
    k_or, k_h, k_w = k.shape[2:]
    _, _, orientations, height, width = f.shape
    for o, y, x in ((0, 0, 0), (orientations - 1, 3, 4), (orientations // 2, height - 1, 1)):
        total, mass = 0.0, 0.0
        for i in range(k_or):
            for j in range(k_h):
                for m in range(k_w):
                    row, column = y + j - k_h // 2, x + m - k_w // 2
                    if 0 <= row < height and 0 <= column < width:
                        weight = k[1, o, i, j, m].item()
                        total += weight * f[0, 1, (o + i - k_or // 2) % orientations, row, column].item()
                        mass += weight
        assert out[0, 1, o, y, x].item() == pytest.approx(total / mass, rel=1e-12)
    inner = (..., slice(2, -2), slice(2, -2))
    plain = ops.linear_convolution(f, k, backend="reference")
    torch.testing.assert_close(out[inner], plain[inner])
    assert not torch.allclose(out, plain)


@pytest.mark.parametrize("metric", ["diagonal", "full"])
def test_the_kernel_is_that_of_the_metric(metric):
    options = {"window": (3, 5, 3), "orientations": 4, "estimate": "rho_b", "alpha": 0.5, "t": 0.3}
    layer = nn.Diffusion(3, metric=metric, **options)
    assert torch.equal(layer.kernel(), ops.diffusion_table(layer.metric(), **options))
    torch.testing.assert_close(layer.kernel(), diffusion_kernel(layer.metric(), **options))
    layer = nn.DiffusionR2(3, metric=metric, window=(5, 3), alpha=1.0, t=2.0)
    assert torch.equal(layer.kernel(), diffusion_kernel_r2(layer.metric(), alpha=1.0, window=(5, 3), t=2.0))
    assert nn.Diffusion(1).alpha == nn.DiffusionR2(1).alpha == 1.0


@pytest.mark.parametrize("t", [0.5, 1.0, 2.0])
def test_on_the_plane_it_solves_the_heat_equation(t):
    """A Gaussian of variance s stays one, of variance s + 2 t/w^2 along each axis."""
    layer = nn.DiffusionR2(1, window=(31, 31), metric="diagonal", t=t, **REFERENCE).double()
    w = torch.tensor([0.6, 1.1], dtype=torch.float64)
    layer.metric.v.data = torch.log(torch.expm1(w))[None]
    r = torch.arange(-25, 26, dtype=torch.float64)

    def gaussian(var_x: float, var_y: float) -> torch.Tensor:
        x, y = (torch.exp(-(r**2) / (2 * v)) / math.sqrt(2 * math.pi * v) for v in (var_x, var_y))
        return (y[:, None] * x)[None, None]

    out = layer(gaussian(4, 4))
    exact = gaussian(*(4 + 2 * t / w**2).tolist())
    # Sampled Gaussians convolve to Gaussians up to exp(-2 pi^2 s^2), which is 2e-7 for the narrowest, s^2 = 0.83;
    # the window cuts the widest, s = 3.3, at 4.5 deviations.
    assert (out - exact).abs().max() < 1e-4 * exact.max()


def test_two_halves_are_the_whole():
    """The semigroup on M2 where the metric is isotropic in space, flat, and the kernel exact up to sampling."""
    f = torch.randn(1, 1, 16, 19, 19, dtype=torch.float64)
    options = {"window": (11, 11, 11), "orientations": 16, "estimate": "rho_b", **REFERENCE}
    one, half = (nn.Diffusion(1, t=t, **options).double() for t in (1.0, 0.5))
    w = torch.tensor([[1.2, 1.2, 3.0]], dtype=torch.float64)
    for layer in (one, half):
        layer.metric.v.data = torch.log(torch.expm1(w))
    inner = (..., slice(6, -6), slice(6, -6))
    whole, twice = one(f)[inner], half(half(f))[inner]
    # Sampled Gaussians alias near the Nyquist frequency, where they pass 1e-3, and the input is noise.
    assert (whole - twice).norm() < 5e-3 * whole.norm()
    assert (whole - one(one(f))[inner]).norm() > 0.1 * whole.norm()


@pytest.mark.parametrize(("window", "orientations"), [((5, 5, 5), 8), ((3, 7, 9), 16), ((1, 3, 3), 4)])
def test_first_length_scales_fit_the_grid_and_the_window(window, orientations):
    w = diffusion_scales(4000, 3, window, orientations=orientations)
    steps = torch.tensor([1.0, 1.0, 2 * math.pi / orientations])
    deviation = math.sqrt(2) / (w * steps)
    for axis, reach in enumerate((min(window[1:]) // 2, min(window[1:]) // 2, window[0] // 2)):
        wide = max(reach, 1) / 2
        assert deviation[:, axis].min() > 0.4 - 1e-6 and deviation[:, axis].max() < wide + 1e-6
        # 4 000 uniform samples: the mean is within 5 standard errors of the middle.
        assert abs(deviation[:, axis].mean() - (0.4 + wide) / 2) < 5 * (wide - 0.4) / math.sqrt(12 * 4000)
    plane = math.sqrt(2) / diffusion_scales(1000, 2, (5, 7))
    assert plane.min() > 0.4 - 1e-6 and plane.max() < 1.0 + 1e-6
    with pytest.raises(ValueError, match="orientations must be given on M2.*got None"):
        diffusion_scales(1, 3, window)


def test_layers_start_with_these_scales_and_draw_them_again():
    layer = nn.Diffusion(500, orientations=16)
    deviation = math.sqrt(2) / (layer.metric.w * torch.tensor([1.0, 1.0, math.pi / 8]))
    assert deviation.min() > 0.399 and deviation.max() < 1.001
    before = layer.metric.w.clone()
    layer.metric.reset_parameters()
    assert not torch.equal(layer.metric.w, before) and layer.metric.w.min() > 1.4
    # Between a touch and an average over the window: the centre keeps a share, and not all.
    centre = layer.kernel().detach()[:, :, 2, 2, 2]
    assert centre.min() > 0.02 and centre.max() < 0.98


@pytest.mark.parametrize("alpha", [0.5, 1.0, "trained"])
@pytest.mark.parametrize("space", SPACES)
def test_gradients(space, alpha):
    layer, f = layer_and_input(space, alpha=alpha)
    layer(f).square().mean().backward()
    for name, parameter in layer.named_parameters():
        assert torch.isfinite(parameter.grad).all() and (parameter.grad != 0).all(), name


def test_diffusion_in_a_pde_layer():
    terms = ("convection", "diffusion", "dilation", "erosion")
    layer = nn.PDELayer(3, 4, terms=terms, metric="full", diffusion_alpha=0.5, steps=2, **REFERENCE).eval()
    assert list(layer.evolution) == list(terms)
    diffusion = layer.evolution["diffusion"]
    assert (diffusion.alpha, diffusion.t, layer.evolution["dilation"].alpha) == (0.5, 0.5, 0.65)
    f = torch.randn(1, 3, 8, 7, 7)
    g = f
    for _ in range(2):
        for term in terms:
            g = layer.evolution[term](g)
    assert torch.equal(layer(f), layer.norm(layer.linear(g)))
    plane = nn.PDELayerR2(3, 4, terms=("diffusion",), **REFERENCE)
    assert plane(torch.randn(2, 3, 6, 6)).shape == (2, 4, 6, 6)


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"alpha": 0.4}, ValueError, r"alpha must lie in \[1/2, 1\], got 0\.4"),
        ({"alpha": "free"}, ValueError, r"number in \[1/2, 1\] or 'trained', got 'free'"),
        ({"t": 0.0}, ValueError, r"t must be positive and finite, got 0\.0"),
        ({"metric": "round"}, ValueError, "diagonal, full, got 'round'"),
        ({"window": (3, 4, 3)}, ValueError, r"odd positive integers, got \(3, 4, 3\)"),
    ],
)
def test_bad_options_are_named(options, kind, says):
    with pytest.raises(kind, match=says):
        nn.Diffusion(2, **options)
