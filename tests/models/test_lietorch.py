"""Checkpoints of LieTorch: networks of theirs, written here from what is known of them, and ours from their weights."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pdegcnn_lib import models, nn
from pdegcnn_lib.geometry.splines import quadratic_b_spline
from pdegcnn_lib.kernels import nu_alpha
from pdegcnn_lib.models.lietorch import lietorch_state_dict

CHANNELS = 3


def network(orientations: int = 4, window=(1, 3, 3), size: int = 3, **options) -> torch.nn.Module:
    return torch.nn.Sequential(
        nn.Lift(1, CHANNELS, size=size, orientations=orientations),
        torch.nn.BatchNorm3d(CHANNELS),
        nn.PDELayer(CHANNELS, 2, orientations=orientations, window=window, **options),
        nn.Projection(),
        nn.Linear(2, 1),
    ).eval()


def checkpoint(size: int = 3, metric=(3,)) -> dict[str, Tensor]:
    """A state dict with the names of LieTorch: the lift, one CDE layer, the last map."""

    def norm(prefix: str, channels: int) -> dict[str, Tensor]:
        made = {"weight": torch.rand(channels) + 0.5, "bias": torch.randn(channels)}
        made |= {"running_mean": torch.randn(channels), "running_var": torch.rand(channels) + 0.5}
        return {f"{prefix}.{k}": v for k, v in made.items()} | {
            f"{prefix}.num_batches_tracked": torch.tensor(3)
        }

    return {
        "lift.1._weights": torch.randn(CHANNELS, 1, size**2),
        "lift.1._nodes": torch.zeros(CHANNELS, 1, size**2, 2),
        **norm("lift.2", CHANNELS),
        "pde.0.convection.g0": torch.tensor([[1.0, 2, 1], [0, -1, 3], [2, 0, -1]])
        * torch.tensor([math.pi / 2, 1, 1]),
        "pde.0.dilation.metric_params": torch.rand(CHANNELS, *metric) + 0.1,
        "pde.0.erosion.metric_params": torch.rand(CHANNELS, *metric) + 0.1,
        "pde.0.linear.weight": torch.randn(CHANNELS, 2),
        **norm("pde.0.batch_normalization", 2),
        "final.0.weight": torch.randn(1, 2, 1, 1),
    }


def of_theirs(weights: dict[str, Tensor], f: Tensor) -> Tensor:
    """The network of LieTorch 0.8 with 4 orientations: angles turn +x toward -y, kernels by quarter turns of arrays."""
    c, s = [1, 0, -1, 0], [0, 1, 0, -1]
    axis = torch.arange(-1.0, 2)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    a, out = weights["lift.1._weights"].reshape(CHANNELS, 3, 3), []
    for o in range(4):
        u, v = c[o] * x - s[o] * y, s[o] * x + c[o] * y
        splines = quadratic_b_spline(v[..., None, None] - y) * quadratic_b_spline(u[..., None, None] - x)
        kernel = torch.einsum("ijmn,cmn->cij", splines, a)[:, None]
        out.append(functional.conv2d(functional.pad(f, (1, 1, 1, 1), mode="reflect"), kernel))
    u = normalised(torch.stack(out, 2), weights, "lift.2")
    moved = []
    for channel, (t, up, right) in enumerate(weights["pde.0.convection.g0"].tolist()):
        step = round(t / (math.pi / 2))
        planes = []
        for o in range(4):  # p g0^-1 = (x - R_(o - step) x0, o - step), y upward
            k = (o - step) % 4
            dx, dy = c[k] * right - s[k] * up, s[k] * right + c[k] * up
            planes.append(torch.roll(u[:, channel, k], (round(-dy), round(dx)), (-2, -1)))
        moved.append(torch.stack(planes, 1))
    u = torch.stack(moved, 1)
    for kind, sign in (("dilation", 1), ("erosion", -1)):
        g = weights[f"pde.0.{kind}.metric_params"].relu()
        base = nu_alpha(0.65) * (g[:, :1, None] * x**2 + g[:, 1:2, None] * y**2) ** (0.65 / 0.3)
        stack = torch.stack([torch.rot90(base, -o, (-2, -1)) for o in range(4)], 1)
        padded = functional.pad(sign * u, (1, 1, 1, 1), value=-math.inf)
        taps = padded.unfold(-2, 3, 1).unfold(-2, 3, 1) - stack[None, :, :, None, None]
        u = sign * taps.amax((-2, -1))
    u = torch.einsum("bcoyx,cd->bdoyx", u, weights["pde.0.linear.weight"])
    u = normalised(u, weights, "pde.0.batch_normalization").amax(2)
    return functional.conv2d(u, weights["final.0.weight"])


def normalised(u: Tensor, weights: dict[str, Tensor], at: str) -> Tensor:
    names = ("running_mean", "running_var", "weight", "bias")
    return functional.batch_norm(u, *(weights[f"{at}.{name}"] for name in names))


def test_one_frame_carries_a_network_over():
    """Lift and convection of 0.8 turn one way, and a dilation that sees one orientation at a time follows either."""
    weights = checkpoint()
    model, f = network(), torch.randn(2, 1, 20, 21)
    made = lietorch_state_dict(weights, model, version="0.8.2")
    model.load_state_dict(made.state_dict)
    inner = (..., slice(7, -7), slice(7, -7))  # away from the border, where the convections differ
    expected = of_theirs(weights, f)[inner]
    torch.testing.assert_close(model(f)[inner], expected, rtol=1e-4, atol=1e-4)
    assert not made.dead and "lets zeros flow in" in made.notes[0]
    model.load_state_dict(
        lietorch_state_dict(
            weights | {"pde.0.convection.g0": torch.zeros(3, 3)}, model, version="0.8"
        ).state_dict
    )
    assert not torch.allclose(model(f)[inner], expected, atol=0.1)


def test_dead_channels_are_named_and_stay_what_they_are():
    weights = checkpoint()
    weights["pde.0.dilation.metric_params"][1] = torch.tensor([0.5, -0.3, 0.7])
    model, f = network(), torch.randn(1, 1, 20, 21)
    made = lietorch_state_dict(weights, model, version="0.8.2")
    assert made.dead == {"2.evolution.dilation.metric": [1]}
    model.load_state_dict(made.state_dict)
    inner = (..., slice(7, -7), slice(7, -7))
    torch.testing.assert_close(model(f)[inner], of_theirs(weights, f)[inner], rtol=1e-4, atol=1e-4)


def test_one_orientation_alone_has_no_frame():
    """Whatever turns is at rest: full metrics, and convections of both versions, which see y from two sides."""
    weights = checkpoint(metric=(3, 3))
    weights["pde.0.convection.g0"][:, 0] = 0
    model, f = network(1, metric="full"), torch.randn(1, 1, 12, 12)
    outs = {}
    for version in ("0.7.1", "0.8.2"):
        made = lietorch_state_dict(weights, model, version=version)
        assert torch.equal(
            made.state_dict["2.evolution.dilation.metric.factor"], weights["pde.0.dilation.metric_params"]
        )
        model.load_state_dict(made.state_dict)
        outs[version] = model(f)
    assert not torch.allclose(*outs.values())


def test_a_cnn_is_carried_over_whole():
    model = models.build("vessels-cnn6", 3).eval()
    theirs = {f"conv.{key}": value + 1 for key, value in model.state_dict().items()}
    theirs[next(reversed(theirs))] = theirs[next(reversed(theirs))][
        ..., None, None
    ]  # the last map is a Conv2d there
    made = lietorch_state_dict(theirs, model, version="0.8.2")
    for (key, value), other in zip(made.state_dict.items(), theirs.values(), strict=True):
        assert torch.equal(value, other.reshape(value.shape)), key
    assert len(made.notes) == 4 and "repeats the border" in made.notes[0]


def test_a_linear_group_convolution_has_splines_along_the_circle():
    model = torch.nn.Sequential(nn.GroupConvolution(1, 1, window=(3, 1, 1), orientations=4))
    a = torch.tensor([1.0, 2.0, 4.0])
    made = lietorch_state_dict({"0._weights": a.reshape(1, 1, 3)}, model, version="0.8").state_dict
    expected = torch.stack(
        [0.75 * a[0] + 0.125 * a[1], 0.125 * (a[0] + a[2]) + 0.75 * a[1], 0.75 * a[2] + 0.125 * a[1]]
    )
    torch.testing.assert_close(made["0.coefficients"].flatten(), expected.flip(0))


def without(weights: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {k: v for k, v in weights.items() if not k.startswith(key)}


@pytest.mark.parametrize(
    ("weights", "model", "version", "says"),
    [
        (checkpoint(), network(), "0.9", "version must be .*0.7 or 0.8, got '0.9'"),
        (checkpoint(), network(), "0.7.1", r"pde.0.convection turns .*toward \+y .*lift.1 \+x toward -y"),
        (checkpoint(), network(window=(3, 3, 3)), "0.8.2", r"pde.0.dilation turns \+x toward \+y"),
        (checkpoint(), network(8), "0.8.2", "nearest neighbours.*another one on M2"),
        (checkpoint(5), network(size=5), "0.8.2", "kernel of 5 by 5 pixels.*another function"),
        (without(checkpoint(), "final"), network(), "0.8", "7 layers .*here 8: it is truncated"),
        (without(checkpoint(), "lift.2.bias"), network(), "0.8", "lift.2 should have bias"),
        (
            checkpoint() | {"final.0.bias": torch.ones(1)},
            network(),
            "0.8",
            "final.0 has bias, which 4 has no",
        ),
        (
            checkpoint() | {"pde.0.dilation.epsilon": torch.ones(3)},  # a switch of theirs
            network(),
            "0.8",
            "pde.0.dilation has epsilon, which 2.evolution.dilation has no place",
        ),
        (checkpoint(), models.build("vessels-cnn3-narrow", 1), "0.8", "8 layers.*another network"),
        (
            checkpoint(),
            torch.nn.Sequential(nn.FreeDilation(2)),
            "0.8",
            "0 is a FreeDilation, which LieTorch has no",
        ),
        (
            checkpoint(),
            network(terms=("convection", "diffusion", "erosion")),
            "0.8",
            "pde.0.dilation: diffusion and",
        ),
        ({}, network(), "0.8", "state dict with tensors in it, got dict"),
        ({"epoch": 3}, network(), "0.8", "got 'epoch' in it"),
        ({3: torch.ones(2)}, network(), "0.8", "by their names, got 3 in it"),
        (
            {"a.b": torch.ones(2).to_sparse()},
            network(),
            "0.8",
            "of dense tensors by their names, got 'a.b' in it",
        ),
        (
            checkpoint() | {"lift.2.bias": torch.tensor([1, torch.nan, 2])},
            network(),
            "0.8",
            r"others in lift\.2\.bias: it is damaged",
        ),
    ],
)
def test_what_is_no_network_of_ours_is_refused(weights, model, version, says):
    with pytest.raises(ValueError, match=says):
        lietorch_state_dict(weights, model, version=version)


def test_files(tmp_path):
    whole, cut = tmp_path / "whole.pt", tmp_path / "cut.pt"
    weights = checkpoint()
    torch.save(weights, whole)
    cut.write_bytes(whole.read_bytes()[:2000])
    made = lietorch_state_dict(whole, network(), version="0.8")
    assert torch.equal(made.state_dict["4.weight"], weights["final.0.weight"].flatten(1))
    with pytest.raises(ValueError, match="cut.pt is not a whole checkpoint: "):
        lietorch_state_dict(cut, network(), version="0.8")
    torch.save(network(), tmp_path / "pickled.pt")
    (tmp_path / "text.pt").write_text("hello\n")
    for name in ("pickled", "text"):
        with pytest.raises(
            ValueError, match=rf"{name}.pt is not a whole checkpoint: .* \(\w+Error: [^\n]+\)$"
        ):
            lietorch_state_dict(tmp_path / f"{name}.pt", network(), version="0.8")
    with pytest.raises(FileNotFoundError):
        lietorch_state_dict(tmp_path / "none.pt", network(), version="0.8")


def test_one_term_alone_is_a_network():
    weights, term = torch.rand(CHANNELS, 3) + 0.1, nn.Dilation(CHANNELS, orientations=4)
    converted = lietorch_state_dict({"dilation.metric_params": weights}, term, version="0.8")
    term.load_state_dict(converted.state_dict)
    torch.testing.assert_close(term.metric.w**2, weights)
