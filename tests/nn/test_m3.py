"""The layers on M3: their numbers of parameters, whole networks under all turns, and what a term of the PDE does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pdegcnn_lib.nn import (
    Diffusion,
    Dilation,
    DirectionalNorm,
    FreeConvolution,
    FreeDilation,
    FreeErosion,
    GroupConvolutionM3,
    Lift,
    Linear,
    LineLift,
    PDELayer,
    Projection,
)
from pdegcnn_lib.spaces import M3
from pdegcnn_lib.testing import equivariance_error

D = torch.float64
CDDE = ("convection", "diffusion", "dilation", "erosion")


def network(space: M3, **options) -> nn.Module:
    """Every layer there is, with random weights, random convection and statistics of a norm that has seen data."""
    torch.manual_seed(0)
    terms = CDDE[1:] if space.undirected else CDDE
    body = nn.Sequential(
        Lift(1, 2, size=5, space=space),
        DirectionalNorm(2),
        PDELayer(2, 3, space=space, terms=terms, **options),
        GroupConvolutionM3(3, 2, space=space),
        PDELayer(2, 2, space=space, terms=terms, **options),
        Projection(space=space),
        Linear(2, 1),
    ).to(D)
    for name, parameter in body.named_parameters():
        if name.endswith(("g0", "mixed")):  # of convections, and of axial metrics
            nn.init.normal_(parameter)
    body(torch.randn(2, 1, 6, 6, 6, dtype=D))
    return body.eval()


@pytest.mark.parametrize("count", [6, 13, 14, 26])
def test_networks_commute_with_all_turns(count: int) -> None:
    f = torch.randn(1, 1, 6, 6, 6, dtype=D, generator=torch.Generator().manual_seed(1))
    errors = equivariance_error(network(M3(count)), f)
    assert len(errors) == 23 and max(errors.values()) < 1e-12


@pytest.mark.parametrize("options", [{"estimate": "rho_b_com"}, {"estimate": "rho_c", "steps": 2}])
def test_so_they_do_with_other_estimates_and_more_steps(options: dict) -> None:
    f = torch.randn(1, 1, 6, 6, 6, dtype=D)
    assert max(equivariance_error(network(M3(6), **options), f).values()) < 1e-12


@pytest.mark.parametrize("term", [FreeDilation, FreeErosion, FreeConvolution])
@pytest.mark.parametrize("count", [6, 13])
def test_terms_with_a_trained_kernel_do_too(count: int, term: type[nn.Module]) -> None:
    """On lines as well: a kernel without symmetry must not see by which end a line is given."""
    f = torch.randn(1, 2, count, 5, 5, 5, dtype=D)
    assert max(equivariance_error(term(2, space=M3(count)).to(D), f).values()) < 1e-12


def test_a_cnn_does_not() -> None:
    """The control: the measure sees what is not equivariant."""
    torch.manual_seed(0)
    cnn = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 1, 3, padding=1)).to(D)
    f, space = torch.randn(1, 1, 6, 6, 6, dtype=D), M3(6)
    with torch.no_grad():
        out = cnn(f)
        errors = [
            ((cnn(turn(f)) - turn(out)).norm() / out.norm()).item() for turn in space.symmetries().values()
        ]
    assert min(errors) > 0.01


@pytest.mark.parametrize(("c_in", "c_out"), [(8, 8), (16, 4)])
def test_the_number_of_parameters(c_in: int, c_out: int) -> None:
    def count(layer: nn.Module) -> int:
        return sum(p.numel() for p in layer.parameters())

    space = M3(6)
    assert count(PDELayer(c_in, c_out, space=space)) == 7 * c_in + c_in * c_out + 2 * c_out
    assert count(PDELayer(c_in, c_out, space=space, terms=CDDE)) == 10 * c_in + c_in * c_out + 2 * c_out
    undirected = PDELayer(c_in, c_out, space=M3(13), terms=CDDE[2:])
    assert count(undirected) == 6 * c_in + c_in * c_out + 2 * c_out
    assert count(Lift(c_in, c_out, size=5, space=space)) == 15 * c_in * c_out
    assert count(Lift(c_in, c_out, size=7, space=space)) == 28 * c_in * c_out
    assert count(GroupConvolutionM3(c_in, c_out, space=space)) == 36 * c_in * c_out


@pytest.mark.parametrize("metric", ["diagonal", "axial"])
def test_gradcheck_of_a_whole_layer(metric: str) -> None:
    torch.manual_seed(2)
    layer = PDELayer(1, 1, space=M3(6), terms=CDDE, metric=metric).to(D).eval()
    nn.init.normal_(layer.evolution["convection"].g0, std=0.4)
    f = torch.randn(1, 1, 6, 3, 3, 3, dtype=D, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def forward(f: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (f,))

    assert torch.autograd.gradcheck(forward, (f, *layer.parameters()), fast_mode=True)


@pytest.mark.parametrize("count", [6, 26])
def test_diffusion_keeps_constants_and_averages(count: int) -> None:
    layer = Diffusion(2, space=M3(count)).to(D)
    f = torch.randn(1, 2, count, 4, 5, 3, dtype=D)
    out = layer(f)
    assert (layer(torch.ones_like(f)) - 1).abs().max() < 1e-14
    assert out.max() <= f.max() and out.min() >= f.min()


def test_the_fixed_lift_gives_the_volume_back() -> None:
    """A smooth volume, away from the border that the lift mirrors."""
    space = M3(26)
    at = torch.arange(24, dtype=D) - 11.5
    f = (
        torch.exp(-(at**2) / 18)[:, None, None]
        * torch.exp(-((at - 2) ** 2) / 8)[:, None]
        * torch.exp(-(at**2) / 32)
    )
    out = LineLift(space=space)(f[None, None])
    back = (out * space.weights()[:, None, None, None]).sum(2)
    assert (back - f).abs().max() < 0.02 * f.max()
    assert (out - out[:, :, torch.tensor([25 - i for i in range(26)])]).shape == out.shape
    opposite = (space.points() @ space.points().T).argmin(-1)
    assert (out[:, :, opposite] - out).abs().max() < 1e-12


def test_a_layer_compiles() -> None:
    """In one graph, which the lists of neighbours do not interrupt."""
    torch.manual_seed(3)
    layer = PDELayer(2, 2, space=M3(6), terms=CDDE[:1] + CDDE[2:3]).eval()  # erosion is the dilation of -f
    f = torch.randn(1, 2, 6, 4, 4, 4)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(f), layer(f), atol=1e-6)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="metric must be one of diagonal, axial, got 'full'"):
        Dilation(2, metric="full", space=M3())
    with pytest.raises(ValueError, match="metric must be diagonal on M3, got 'axial'"):
        Dilation(2, metric="axial", space=M3(13))
    with pytest.raises(ValueError, match="no forward direction"):
        PDELayer(2, 2, space=M3(13))
    with pytest.raises(ValueError, match="closed under the 24 turns.*got 20"):
        Dilation(2, space=M3(20))
    with pytest.raises(ValueError, match="terms must be one or more of"):
        PDELayer(2, 2, terms=("advection",), space=M3())


def test_the_fixed_lift_holds_no_tensor_of_the_device_it_was_made_under() -> None:
    """A network that is made on the meta device to be loaded later has wavelets when it is called."""
    usual = LineLift(size=5, space=M3(6))
    with torch.device("meta"):
        late = LineLift(size=5, sharpness=0.31, space=M3(6))
    f = torch.randn(1, 1, 6, 6, 6)
    assert late(f).device.type == "cpu" and late(f).shape == usual(f).shape
    with pytest.raises(ValueError, match="size must be odd"):
        LineLift(size=4)
