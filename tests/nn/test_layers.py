"""The layers: what they compute, their parameters, positivity, equivariance with random coefficients."""

import pytest
import torch
from torch import nn as torch_nn

from pdegcnn_lib import nn, ops
from pdegcnn_lib.geometry import DiagonalMetric, FullMetric
from pdegcnn_lib.kernels import group_kernel, lift_kernel, morphological_kernel, morphological_kernel_r2
from pdegcnn_lib.nn.metric import initial_scales
from pdegcnn_lib.nn.pde import CDDE, DE
from pdegcnn_lib.testing import assert_equivariant, equivariance_error

REFERENCE = {"backend": "reference"}


def shake(layer: torch_nn.Module) -> torch_nn.Module:
    """Random values in every parameter and statistic, so that nothing is equivariant because it is zero."""
    for name, parameter in layer.named_parameters():
        spread = 0.3 if name.endswith(("factor", "v")) else 0.6
        parameter.data += spread * torch.randn_like(parameter)
    for name, statistic in layer.named_buffers():
        if name.endswith("running_mean"):
            statistic.normal_()
        elif name.endswith("running_var"):
            statistic.uniform_(0.5, 2)
    return layer.eval()


def count(layer: torch_nn.Module) -> int:
    return sum(p.numel() for p in layer.parameters())


M2_LAYERS = {
    "lift": lambda: nn.Lift(3, 4, size=5),
    "group convolution": lambda: nn.GroupConvolution(3, 4),
    "cake lift": lambda: nn.CakeLift(8, size=7),
    "convection": lambda: nn.Convection(3, **REFERENCE),
    "convection, half the time": lambda: nn.Convection(3, t=0.5, **REFERENCE),
    "diffusion": lambda: nn.Diffusion(3, **REFERENCE),
    "diffusion, full metric, Poisson": lambda: nn.Diffusion(3, metric="full", alpha=0.5, **REFERENCE),
    "dilation": lambda: nn.Dilation(3, metric="full", **REFERENCE),
    "erosion": lambda: nn.Erosion(3, metric="full", **REFERENCE),
    "dilation, trained alpha": lambda: nn.Dilation(3, alpha="trained", metric="full", **REFERENCE),
    "linear": lambda: nn.Linear(3, 4),
    "projection": nn.Projection,
    "resample": lambda: nn.Resample(4),
    "pde": lambda: nn.PDELayer(3, 4, metric="full", **REFERENCE),
    "pde, two steps, rho_b_com": lambda: nn.PDELayer(3, 4, steps=2, estimate="rho_b_com", **REFERENCE),
    "pde, diffusion, trained alpha": lambda: nn.PDELayer(3, 4, terms=CDDE, alpha="trained", **REFERENCE),
}


@pytest.mark.parametrize("name", M2_LAYERS)
def test_equivariant_under_quarter_turns(name, dtype):
    layer = shake(M2_LAYERS[name]()).to(dtype)
    f = torch.randn(2, 3, 9, 9, dtype=dtype) if "lift" in name else torch.randn(2, 3, 8, 9, 9, dtype=dtype)
    # Bilinear weights of resampling and the normalisation add rounding; the float64 bound is that of the operators.
    assert_equivariant(layer, f)


R2_LAYERS = {
    "convection": lambda: nn.ConvectionR2(3, **REFERENCE),
    "diffusion": lambda: nn.DiffusionR2(3, **REFERENCE),
    "dilation": lambda: nn.DilationR2(3, alpha="trained", **REFERENCE),
    "erosion": lambda: nn.ErosionR2(3, **REFERENCE),
    "pde": lambda: nn.PDELayerR2(3, 4, terms=CDDE, steps=2, **REFERENCE),
}


@pytest.mark.parametrize("name", R2_LAYERS)
def test_layers_of_the_plane_commute_with_translations(name):
    """On an image that is constant but for a patch: what they make of the constant does not depend on the border."""
    layer = shake(R2_LAYERS[name]()).double()
    f = torch.full((1, 3, 36, 36), 0.5, dtype=torch.float64)
    f[..., 15:21, 15:21] = torch.randn(1, 3, 6, 6, dtype=torch.float64)
    moved = torch.roll(f, (2, -3), dims=(-2, -1))
    torch.testing.assert_close(
        layer(moved), torch.roll(layer(f), (2, -3), dims=(-2, -1)), rtol=1e-12, atol=1e-12
    )
    assert not torch.allclose(layer(moved), layer(f))


@pytest.mark.parametrize("layer", [torch_nn.Conv2d(3, 4, 5, padding=2), nn.PDELayerR2(3, 3, **REFERENCE)])
def test_layers_of_the_plane_are_not_equivariant_under_turns(layer):
    """The controls: an ordinary convolution, and a PDE layer on R^2 with a random metric and vector."""
    assert min(equivariance_error(shake(layer), torch.randn(2, 3, 12, 12)).values()) > 0.05


def test_invariant_pool():
    f = torch.randn(2, 3, 8, 6, 6, dtype=torch.float64)
    out = nn.InvariantPool()(f)
    assert out.shape == (2, 6)
    torch.testing.assert_close(out[:, :3], f.mean((2, 3, 4)))
    assert torch.equal(out[:, 3:], f.amax((2, 3, 4)))
    assert_equivariant(nn.InvariantPool(), f)
    rolled = torch.roll(f, (3, 1, 2), dims=(2, 3, 4))
    torch.testing.assert_close(nn.InvariantPool()(rolled), out, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("metric", ["diagonal", "full"])
@pytest.mark.parametrize(("kind", "operator"), [(nn.Dilation, ops.dilation), (nn.Erosion, ops.erosion)])
def test_morphological_layers_are_the_operators_with_the_kernel_of_their_metric(kind, operator, metric):
    options = {"window": (3, 5, 3), "orientations": 4, "alpha": 0.8, "estimate": "rho_b"}
    layer = shake(kind(3, metric=metric, **options, **REFERENCE))
    g = DiagonalMetric(layer.metric.w) if metric == "diagonal" else FullMetric(layer.metric.factor)
    f = torch.randn(2, 3, 4, 6, 7)
    assert torch.equal(layer(f), operator(f, morphological_kernel(g, **options), **REFERENCE))


@pytest.mark.parametrize("metric", ["diagonal", "full"])
@pytest.mark.parametrize(
    ("kind", "operator"), [(nn.DilationR2, ops.dilation_r2), (nn.ErosionR2, ops.erosion_r2)]
)
def test_morphological_layers_on_the_plane(kind, operator, metric):
    layer = shake(kind(3, metric=metric, window=(5, 3), alpha=0.7, **REFERENCE))
    kernel = morphological_kernel_r2(layer.metric(), window=(5, 3), alpha=0.7)
    f = torch.randn(2, 3, 6, 7)
    assert torch.equal(layer(f), operator(f, kernel, **REFERENCE))


def test_other_layers_are_the_operators_with_their_parameters():
    f, image = torch.randn(2, 3, 8, 9, 9), torch.randn(2, 3, 9, 9)
    layer = shake(nn.Convection(3, **REFERENCE))
    assert torch.equal(layer(f), ops.convection(f, layer.g0, **REFERENCE))
    layer = shake(nn.ConvectionR2(3, **REFERENCE))
    assert torch.equal(layer(image), ops.convection_r2(image, layer.g0, **REFERENCE))
    layer = nn.Lift(3, 4, size=5, padding="zeros")
    assert torch.equal(layer(image), ops.lift(image, lift_kernel(layer.coefficients, 8), padding="zeros"))
    layer = nn.GroupConvolution(3, 4, window=(3, 5, 5), padding="valid")
    expected = ops.group_convolution(f, group_kernel(layer.coefficients, 8), padding="valid")
    assert torch.equal(layer(f), expected)
    layer = nn.Linear(3, 4)
    assert torch.equal(layer(f), ops.linear(f, layer.weight))
    assert torch.equal(nn.Projection()(f), f.amax(2))


@pytest.mark.parametrize(
    ("steps", "terms"), [(1, ("convection", "dilation", "erosion")), (2, ("erosion", "dilation"))]
)
def test_pde_layer_is_its_terms_in_order_then_the_mixing_and_the_normalisation(steps, terms):
    layer = shake(nn.PDELayer(3, 4, terms=terms, steps=steps, **REFERENCE))
    f = torch.randn(2, 3, 8, 7, 7)
    expected = f
    for _ in range(steps):
        for term in terms:
            expected = layer.evolution[term](expected)
    expected = layer.norm(layer.linear(expected))
    assert torch.equal(layer(f), expected)
    assert layer(f).shape == (2, 4, 8, 7, 7)


@pytest.mark.parametrize(("c_in", "c_out"), [(6, 12), (16, 16), (1, 1)])
def test_parameters_of_a_pde_layer(c_in, c_out):
    """9 Cin + Cin Cout + 2 Cout; 21 Cin for full metrics, 12 Cin with diffusion, 6 Cin without convection."""
    assert count(nn.PDELayer(c_in, c_out)) == 9 * c_in + c_in * c_out + 2 * c_out
    assert count(nn.PDELayer(c_in, c_out, metric="full")) == 21 * c_in + c_in * c_out + 2 * c_out
    assert count(nn.PDELayer(c_in, c_out, terms=CDDE)) == 12 * c_in + c_in * c_out + 2 * c_out
    assert count(nn.PDELayer(c_in, c_out, terms=DE)) == 6 * c_in + c_in * c_out + 2 * c_out
    assert count(nn.PDELayerR2(c_in, c_out)) == (2 + 4 + 4) * c_in + c_in * c_out + 2 * c_out


def test_every_parameter_of_a_pde_layer_receives_a_gradient():
    layer = nn.PDELayer(3, 4, **REFERENCE)
    layer(torch.randn(2, 3, 8, 7, 7)).square().mean().backward()
    for name, parameter in layer.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    for name in (
        "evolution.convection.g0",
        "evolution.dilation.metric.v",
        "evolution.erosion.metric.v",
        "linear.weight",
    ):
        assert (layer.get_parameter(name).grad != 0).any(), name


def test_metrics_start_in_the_range_of_the_authors_implementation():
    w = initial_scales(2000, 3, (5, 5, 5))
    assert w.square().min() > 1.4 / 5 and w.square().max() < 0.7 * 5
    # 6 000 uniform samples: the mean is within 5 standard errors, 5 * 0.93/sqrt(6000) = 0.06.
    assert abs(w.square().mean().item() - (0.28 + 3.5) / 2) < 0.06
    layer = nn.TrainableDiagonalMetric(2000, 3, (5, 5, 5))
    assert layer.w.square().min() > 0.279 and layer.w.square().max() < 3.501
    assert initial_scales(10, 3, (1, 1, 1)).min() > 0


@pytest.mark.parametrize("v", [-1e4, -200.0, -20.0, 0.0, 30.0])
def test_length_scales_stay_positive(v):
    """Wherever an optimiser takes the parameter; the kernel made from it stays usable."""
    layer = nn.Dilation(2, **REFERENCE)
    layer.metric.v.data.fill_(v)
    assert (layer.metric.w > 0).all() and torch.isfinite(layer.metric.w).all()
    out = layer(torch.randn(1, 2, 8, 5, 5))
    assert torch.isfinite(out).all()
    out.sum().backward()
    assert torch.isfinite(layer.metric.v.grad).all()


@pytest.mark.parametrize("v", [-8.0, -3.0, 0.0, 5.0])
def test_the_slope_of_a_length_scale_never_dies(v):
    layer = nn.TrainableDiagonalMetric(1, 3, (5, 5, 5))
    layer.v.data.fill_(v)
    layer.w.sum().backward()
    expected = torch.sigmoid(torch.full((1, 3), v))
    torch.testing.assert_close(layer.v.grad, expected)
    assert (layer.v.grad > 3e-4).all()


def test_full_metrics_start_well_conditioned():
    layer = nn.TrainableFullMetric(500, 3, (5, 5, 5))
    assert torch.linalg.cond(layer.factor).max() < 30
    assert (torch.linalg.eigvalsh(layer().matrix) > 0).all()
    off_diagonal = layer.factor - torch.diag_embed(torch.diagonal(layer.factor, dim1=1, dim2=2))
    assert off_diagonal.abs().max() > 0.1


def test_convection_starts_at_the_identity_or_spread():
    f = torch.randn(1, 3, 8, 5, 5)
    assert torch.equal(nn.Convection(3, **REFERENCE)(f), f)
    assert 0.4 < nn.Convection(1000, spread=0.5).g0.std() < 0.6
    assert nn.ConvectionR2(1000, spread=0.5).g0.shape == (1000, 2)


@pytest.mark.parametrize(
    ("orientations", "widest"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (8, 5), (16, 5)]
)
def test_the_default_window_fits_the_circle(orientations, widest):
    for layer in (nn.Dilation(1, orientations=orientations), nn.Diffusion(1, orientations=orientations)):
        assert layer.window == (widest, 5, 5)
    assert nn.GroupConvolution(1, 1, orientations=orientations).coefficients.shape == (1, 1, widest, 5, 5)


def test_layers_compute_in_the_precision_of_their_input():
    f = torch.randn(1, 3, 8, 7, 7, dtype=torch.float64)
    for layer in (
        nn.Convection(3, **REFERENCE),
        nn.Dilation(3, **REFERENCE),
        nn.Linear(3, 2),
        nn.GroupConvolution(3, 2),
    ):
        assert layer(f).dtype == torch.float64


def test_layers_say_what_they_are():
    text = repr(nn.PDELayer(3, 4, alpha=0.7, estimate="rho_b"))
    for words in ("alpha=0.7", "estimate=rho_b", "window=(5, 5, 5)", "steps=1", "3 -> 4"):
        assert words in text
    assert "size=5" in repr(nn.Resample(5))
    assert "window=(5, 5)" in repr(nn.DilationR2(2))


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (
            lambda: nn.PDELayer(2, 2, terms=("shock",)),
            ValueError,
            r"convection, diffusion, dilation, erosion.*got \('shock',\)",
        ),
        (lambda: nn.PDELayer(2, 2, terms=()), ValueError, r"terms must be .*got \(\)"),
        (lambda: nn.PDELayer(2, 2, terms=("dilation", "dilation")), ValueError, "each once, got"),
        (lambda: nn.PDELayer(2, 2, steps=1.5), ValueError, r"integer of at least 1, got 1\.5"),
        (lambda: nn.PDELayer(2, 2, t=0.0), ValueError, r"t must be .*got 0\.0"),
        (lambda: nn.PDELayer(2, 2, steps=0), ValueError, "steps must be an integer of at least 1, got 0"),
        (lambda: nn.PDELayer(2, 2, alpha=0.3), ValueError, r"alpha must lie in \[1/2, 1\], got 0\.3"),
        (lambda: nn.PDELayer(2, 2, window=(5, 5, 4)), ValueError, r"odd positive integers, got \(5, 5, 4\)"),
        (
            lambda: nn.PDELayer(2, 2, orientations=4, window=(5, 5, 5)),
            ValueError,
            "circle of 4 orientations, got KOr = 5",
        ),
        (
            lambda: nn.PDELayer(2, 2, metric="round"),
            ValueError,
            "metric must be one of diagonal, full, got 'round'",
        ),
        (lambda: nn.PDELayerR2(2, 2, window=(5, 4)), ValueError, r"odd positive integers, got \(5, 4\)"),
        (lambda: nn.Lift(2, 2, size=4), ValueError, r"odd positive integers, got \(4, 4\)"),
        (
            lambda: nn.GroupConvolution(2, 2, window=(3, 3, 5)),
            ValueError,
            r"square in space.*got \(3, 3, 5\)",
        ),
    ],
)
def test_bad_options_are_named(make, kind, says):
    with pytest.raises(kind, match=says):
        make()


def test_an_unknown_estimate_is_named_when_the_kernel_is_made():
    with pytest.raises(ValueError, match="estimate must be one of .*got 'rho_x'"):
        nn.Dilation(2, estimate="rho_x", **REFERENCE).kernel()


@pytest.mark.parametrize("metric, alpha", [("diagonal", 0.65), ("full", "trained")])
def test_hooks_of_modules_see_tensors(metric, alpha):
    """What tools that print networks, layer by layer, rely on; a warning of torch is an error here."""
    layer, seen = nn.PDELayer(2, 3, window=(3, 3, 3), orientations=4, metric=metric, alpha=alpha), []
    for module in layer.modules():
        module.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
        if not isinstance(
            module, nn.TrainableAlpha
        ):  # of a module without inputs torch says that it has none
            module.register_full_backward_hook(lambda *_: None)
    layer(torch.randn(2, 2, 4, 6, 7, requires_grad=True)).sum().backward()
    assert len(seen) >= 6 and all(isinstance(out, torch.Tensor) for out in seen)
