"""A trained exponent: its range, its gradient, what it does to the kernels, and that it can be found."""

import pytest
import torch

from pdegcnn_lib import nn, ops
from pdegcnn_lib.kernels import morphological_kernel, morphological_kernel_r2
from pdegcnn_lib.spaces import Plane

REFERENCE = {"backend": "reference"}
KINDS = {
    "Dilation": (nn.Dilation, (2, 3, 8, 5, 6)),
    "Erosion": (nn.Erosion, (2, 3, 8, 5, 6)),
    "DilationR2": (nn.DilationR2, (2, 3, 5, 6)),
    "ErosionR2": (nn.ErosionR2, (2, 3, 5, 6)),
}


def test_starts_at_the_fixed_value():
    alpha = nn.TrainableAlpha(5)()
    torch.testing.assert_close(alpha, torch.full((5,), 0.65))
    for kind, shape in KINDS.values():
        torch.manual_seed(0)
        fixed = kind(3, **REFERENCE)
        torch.manual_seed(0)
        trained = kind(3, alpha="trained", **REFERENCE)
        f = torch.randn(shape)
        torch.testing.assert_close(trained(f), fixed(f), rtol=1e-4, atol=1e-5)


def test_parameterisation():
    """2 alpha/(2 alpha - 1) = 2 + softplus(v), with a slope wherever an optimiser may come."""
    layer = nn.TrainableAlpha(4).double()
    layer.v.data = torch.tensor([-6.0, -1.0, 2.0, 20.0], dtype=torch.float64)
    alpha = layer()
    beta = 2 * alpha / (2 * alpha - 1)
    torch.testing.assert_close(beta, 2 + torch.nn.functional.softplus(layer.v))
    assert (alpha.diff() < 0).all()
    (slope,) = torch.autograd.grad(beta.sum(), layer.v)
    torch.testing.assert_close(slope, torch.sigmoid(layer.v))


@pytest.mark.parametrize("v", [-1e4, -30.0, -5.0, 0.0, 5.0, 100.0, 1e4, 1e9])
@pytest.mark.parametrize("kind", KINDS)
def test_never_leaves_its_range(kind, v, dtype):
    """Wherever an optimiser takes the parameter, outputs and gradients are finite."""
    make, shape = KINDS[kind]
    layer = make(3, alpha="trained", **REFERENCE).to(dtype)
    layer.alpha.v.data.fill_(v)
    alpha = layer.exponent()
    assert alpha.dtype == dtype and (alpha > 0.5).all() and (alpha <= 1).all()
    out = layer(torch.randn(shape, dtype=dtype))
    assert torch.isfinite(out).all()
    out.square().sum().backward()
    for parameter in layer.parameters():
        assert torch.isfinite(parameter.grad).all()


def test_every_channel_has_its_own():
    alphas = torch.tensor([0.55, 0.65, 0.95])
    beta = 2 * alphas / (2 * alphas - 1)
    for layer in (nn.Erosion(3, alpha="trained"), nn.ErosionR2(3, alpha="trained", metric="diagonal")):
        layer.alpha.v.data = torch.log(torch.expm1(beta - 2))
        for c, alpha in enumerate(alphas.tolist()):
            w = layer.metric.w[c : c + 1]
            if layer.space != Plane():
                one = morphological_kernel(w, alpha=alpha, window=(5, 5, 5), orientations=8)
            else:
                one = morphological_kernel_r2(w, alpha=alpha, window=(5, 5))
            # The exponent, 11 at alpha = 0.55, enlarges the rounding of alpha.
            torch.testing.assert_close(layer.kernel()[c : c + 1], one, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("term", ["dilation", "erosion", "diffusion"])
def test_one_parameter_for_every_channel_and_term(term):
    def count(**options: object) -> int:
        layer = nn.PDELayer(4, 3, terms=("convection", term), **options)
        return sum(p.numel() for p in layer.parameters())

    option = "diffusion_alpha" if term == "diffusion" else "alpha"
    assert count(**{option: "trained"}) == count() + 4


def test_state():
    layer = nn.PDELayer(3, 2, alpha="trained", **REFERENCE)
    keys = list(layer.state_dict())
    assert "evolution.dilation.alpha.v" in keys and "evolution.erosion.alpha.v" in keys
    layer(torch.randn(1, 3, 8, 5, 5))
    assert list(layer.eval().state_dict()) == keys
    for parameter in layer.parameters():
        parameter.data += 0.1
    copy = nn.PDELayer(3, 2, alpha="trained", **REFERENCE).eval()
    copy.load_state_dict(layer.state_dict())
    f = torch.randn(1, 3, 8, 5, 5)
    assert torch.equal(copy(f), layer(f))


def test_the_compiled_operators_take_its_kernel(backend):
    layer = nn.Dilation(3, alpha="trained", backend=backend)
    f = torch.randn(1, 3, 8, 5, 5)
    torch.testing.assert_close(
        layer(f), ops.dilation(f, layer.kernel(), backend="reference"), rtol=1e-6, atol=1e-6
    )
    layer(f).sum().backward()
    assert (layer.alpha.v.grad != 0).any()


@pytest.mark.parametrize("target", [0.55, 0.9])
def test_training_finds_it(target):
    """From erosions of the same images with another alpha, the metric known."""
    layer = nn.ErosionR2(2, alpha="trained", metric="diagonal", **REFERENCE).double()
    w = torch.tensor([[0.8, 0.8], [0.6, 0.6]], dtype=torch.float64)
    layer.metric.v.data = torch.log(torch.expm1(w))
    f = 2 * torch.randn(8, 2, 12, 12, dtype=torch.float64)
    wanted = ops.erosion_r2(f, morphological_kernel_r2(w, alpha=target, window=(5, 5)), backend="reference")
    optimiser = torch.optim.Adam([layer.alpha.v], lr=0.2)
    for _ in range(150):
        optimiser.zero_grad()
        (layer(f) - wanted).square().mean().backward()
        optimiser.step()
    torch.testing.assert_close(
        layer.exponent(), torch.full((2,), target, dtype=torch.float64), rtol=0, atol=0.01
    )


@pytest.mark.parametrize("kind", [nn.Dilation, nn.ErosionR2, nn.Diffusion])
def test_bad_values_are_named(kind):
    with pytest.raises(ValueError, match=r"a number in \[1/2, 1\] or 'trained', got 'learned'"):
        kind(2, alpha="learned")
    with pytest.raises(ValueError, match=r"alpha must lie in \[1/2, 1\], got 0\.45"):
        kind(2, alpha=0.45)
