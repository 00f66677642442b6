"""The networks: exact sizes, state, speed of building, equivariance of the whole."""

import time

import pytest
import torch
from torch import nn as torch_nn

from pdegcnn_lib import models, ops
from pdegcnn_lib.models import registry
from pdegcnn_lib.nn import PDELayer, Projection
from pdegcnn_lib.testing import assert_equivariant, equivariance_error, quarter_turn, relative_error

# (gray, RGB); the digit networks are given for gray images only.
COUNTS = {
    "digits-lenet5": (44426, None),
    "digits-gcnn": (12700, None),
    "digits-pdegcnn": (2542, None),
    "digits-pdegcnn-de": (2488, None),
    "digits-pdecnn-de": (2524, None),
    "vessels-cnn6": (45000, 47352),
    "vessels-gcnn6": (97216, 98784),
    "vessels-pdegcnn6": (2560, 4128),
    "vessels-cnn12": (127080, 129432),
    "vessels-gcnn12": (113398, 114378),
    "vessels-pdegcnn12": (2698, 3678),
    "vessels-cnn3-narrow": (2814, None),
    "vessels-gcnn3-narrow": (2058, None),
    "vessels-pdegcnn3": (1264, None),
    "vessels-cnn6-narrow": (25662, None),
    "vessels-gcnn6-narrow": (24632, None),
    "vessels-cnn12-narrow": (73614, None),
    "vessels-gcnn12-narrow": (72728, None),
    "vessels-pdegcnn6-full": (3328, 4896),
    "vessels-pdegcnn6-de": (2368, 3936),
    "vessels-pdegcnn6-cdde": (2752, 4320),
    "vessels-pdegcnn6-fixed-lift": (2624, 2704),
    "vessels-gcnn6-fixed-lift": (97280, 97360),
    "vessels-pdecnn6": (2624, 4192),
    "vessels-pdecnn12": (2798, 3778),
    "vessels-unet": (33857, 34017),
    "tubes-pdegcnn": (417, 657),
    "tubes-cnn": (6257, 8257),
    "tubes-gcnn": (1241, 1361),
}
EQUIVARIANT = [name for name in models.names() if name.startswith("vessels") and "gcnn" in name]
PDE = [name for name in models.names() if "-pde" in name and not name.startswith("tubes")]
SIZES = {"digits": (28, 28), "vessels": (11, 13), "tubes": (7, 7, 7)}


# The compiled operators where a compiler is, else the reference, without the warning that None gives.
FASTEST = "cpu" if ops.availability()["cpu"] is None else "reference"


def options_of(name: str, **more: object) -> dict[str, object]:
    return {"backend": FASTEST, **more} if "backend" in models.entry(name).options else {}


def randomised(name: str, **options: object) -> torch_nn.Module:
    """The network in evaluation mode with random convection vectors, perturbed metrics and the statistics of a batch.

    With its initial statistics a deep network maps everything to nearly the same number, and a relative error is noise.
    """
    model = models.build(name, **options_of(name, **options))
    for key, parameter in model.named_parameters():
        if key.endswith("g0"):
            parameter.data.normal_()
        elif key.endswith(("metric.v", "metric.factor", "alpha.v")):
            parameter.data += 0.2 * torch.randn_like(parameter)
    for module in model.modules():
        if isinstance(module, torch_nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(4, 1, *SIZES[models.entry(name).task]))
    return model.eval()


@pytest.mark.parametrize("name", COUNTS)
def test_exact_parameter_counts(name):
    for channels, expected in zip((1, 3), COUNTS[name], strict=True):
        if expected is not None:
            assert models.parameter_count(models.build(name, channels)) == expected


def test_every_network_is_in_the_list():
    assert set(COUNTS) <= set(models.names())
    assert set(models.names()) - set(COUNTS) == {"digits-gcnn-invariant", "digits-pdegcnn-invariant"}


@pytest.mark.parametrize("name", models.names())
def test_builds_quickly_and_computes(name):
    """A second is generous: building takes milliseconds, as no kernel is computed for it."""
    begin = time.process_time()
    model = models.build(name, 3, **options_of(name))
    assert time.process_time() - begin < 1
    task = models.entry(name).task
    out = model(torch.rand(2, 3, *SIZES[task]))
    assert out.shape == ((2, 10) if task == "digits" else (2, 1, *SIZES[task]))
    assert torch.isfinite(out).all()
    out.square().mean().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", models.names())
def test_state_is_the_same_in_training_and_evaluation(name):
    model = models.build(name, **options_of(name)).train()
    keys = list(model.state_dict())
    x = torch.rand(2, 1, *SIZES[models.entry(name).task])
    with torch.no_grad():
        model(x)
    assert list(model.state_dict()) == keys
    model.eval()
    assert list(model.state_dict()) == keys
    copy = models.build(name, **options_of(name)).eval()
    assert not torch.equal(copy(x), model(x))
    copy.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(copy(x), model(x))


@pytest.mark.parametrize("name", EQUIVARIANT)
def test_whole_segmentation_nets_are_equivariant(name):
    """With random vectors and metrics, in float64, where no rounding hides a wrong sign."""
    model = randomised(name).double()
    assert_equivariant(model, torch.rand(1, 1, 11, 13, dtype=torch.float64), tolerance=1e-11)


def test_a_residual_network_adds_what_its_layers_make_where_channels_agree():
    model = randomised("vessels-pdegcnn12", residual=True).double()
    assert models.parameter_count(model) == COUNTS["vessels-pdegcnn12"][0]
    wrapped = [layer for layer in model if hasattr(layer, "layer")]
    assert len(wrapped) == 9 and sum(isinstance(layer, PDELayer) for layer in model) == 1  # the last has 16
    f = torch.randn(1, 10, 8, 9, 9, dtype=torch.float64)
    assert torch.equal(wrapped[0](f), f + wrapped[0].layer(f))
    assert_equivariant(model, torch.rand(1, 1, 11, 13, dtype=torch.float64), tolerance=1e-11)


@pytest.mark.parametrize("name", [name for name in EQUIVARIANT if name in PDE])
def test_gradient_is_that_of_turned_images_from_the_first_step_on(name, backend):
    """At the initial weights too, where every convection is the identity and its interpolation has a kink.

    For the layers after the lift, on random scores: in the corner of an image that is reflected beyond its border the
    scores of opposite orientations are equal, and of equal taps the first takes the gradient, which is not equivariant.
    """
    model = models.build(name, backend=backend).double().eval()
    first = next(n for n, layer in enumerate(model) if isinstance(layer, PDELayer))
    layers, scores = model[first:], torch.randn(1, 16, 8, 9, 12, dtype=torch.float64)
    scores = scores[:, : layers[0].linear.weight.shape[1]]
    weight = torch.rand(1, 1, 9, 12, dtype=torch.float64)

    def gradient(turns):
        loss = (layers(quarter_turn(scores, turns)) * quarter_turn(weight, turns)).sum()
        return torch.autograd.grad(loss, list(layers.parameters()))

    upright = gradient(0)
    for turns in (1, 2, 3):
        for found, expected in zip(gradient(turns), upright, strict=True):
            assert (found - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize("estimate", ["rho_b", "rho_b_com"])
def test_equivariant_with_full_metrics_and_other_estimates(estimate):
    image = torch.rand(1, 1, 11, 13)
    # Float32 rounding through four layers, each of which normalises by a random deviation.
    if estimate == "rho_b":
        assert_equivariant(
            randomised("vessels-pdegcnn6", metric="full", estimate=estimate), image, tolerance=2e-5
        )
    assert_equivariant(randomised("vessels-pdegcnn6", estimate=estimate), image, tolerance=2e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vessels-pdegcnn6-fixed-lift", {"orientations": 16, "alpha": "trained", "metric": "full"}),
        ("vessels-pdegcnn6-cdde", {"orientations": 4, "diffusion_alpha": 0.5, "steps": 2, "metric": "full"}),
        ("vessels-pdegcnn6-de", {"orientations": 12, "estimate": "rho_b_sr", "window": (3, 3, 3)}),
        ("vessels-gcnn6-fixed-lift", {"orientations": 4}),
    ],
)
def test_equivariant_with_options(name, options):
    model = randomised(name, **options).double()
    assert_equivariant(model, torch.rand(1, 1, 11, 13, dtype=torch.float64), tolerance=1e-11)


@pytest.mark.parametrize(("name", "size"), [("vessels-pdecnn6", 120), ("vessels-pdecnn12", 240)])
def test_nets_on_the_plane_commute_with_translations_and_not_with_turns(name, size):
    """With a patch on a constant image, so far from the border that it does not matter."""
    model = randomised(name, alpha="trained", terms=("convection", "diffusion", "dilation", "erosion"))
    model = model.double()
    f = torch.full((1, 1, size, size), 0.3, dtype=torch.float64)
    patch = slice(size // 2 - 5, size // 2 + 5)
    f[..., patch, patch] = torch.rand(10, 10, dtype=torch.float64)
    with torch.no_grad():
        out, moved = model(f), model(torch.roll(f, (3, -2), dims=(-2, -1)))
    assert relative_error(moved, torch.roll(out, (3, -2), dims=(-2, -1))) < 1e-11
    assert relative_error(moved, out) > 0.1
    assert min(equivariance_error(model, f).values()) > 0.05


def test_the_digit_net_on_the_plane_commutes_with_translations_up_to_resampling():
    model = randomised("digits-pdecnn-de").double()[:4]
    f = torch.full((1, 1, 40, 40), 0.3, dtype=torch.float64)
    f[..., 16:24, 16:24] = torch.rand(8, 8, dtype=torch.float64)
    with torch.no_grad():
        out, moved = model(f), model(torch.roll(f, (3, -2), dims=(-2, -1)))
    assert relative_error(moved, torch.roll(out, (3, -2), dims=(-2, -1))) < 1e-11


@pytest.mark.parametrize("name", ["digits-gcnn", "digits-pdegcnn", "digits-pdegcnn-de"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_digit_nets_are_equivariant_up_to_the_flat_head(name, dtype):
    model = randomised(name, metric="full") if "pde" in name else randomised(name)
    last = next(i for i, layer in enumerate(model) if isinstance(layer, Projection))
    image = torch.rand(2, 1, 28, 28, dtype=dtype)
    assert_equivariant(model[: last + 1].to(dtype), image, 2e-5 if dtype == torch.float32 else 1e-11)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("digits-gcnn-invariant", {}),
        ("digits-pdegcnn-invariant", {"metric": "full"}),
        ("digits-pdegcnn-invariant", {"channels": [12, 16, 16, 16, 32]}),
    ],
    ids=str,
)
def test_digit_nets_with_the_pooled_head_are_invariant(name, options):
    assert_equivariant(
        randomised(name, **options).double(), torch.rand(3, 1, 28, 28, dtype=torch.float64), 1e-11
    )


@pytest.mark.parametrize(
    "name",
    ["digits-lenet5", "digits-gcnn", "digits-pdegcnn", "digits-pdecnn-de", "vessels-cnn6", "vessels-pdecnn6"],
)
def test_controls_are_not(name):
    """LeNet-5 and the flat heads are not invariant, the segmentation networks of the plane are not equivariant."""
    size = SIZES[models.entry(name).task]
    assert min(equivariance_error(randomised(name), torch.rand(4, 1, *size)).values()) > 0.05


def test_the_same_seed_builds_the_same_network():
    first, second, other = [], [], []
    for seed, into in ((1, first), (1, second), (2, other)):
        torch.manual_seed(seed)
        into.extend(models.build("digits-pdegcnn").parameters())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", PDE)
def test_the_options_of_every_pde_network(name):
    """Each builds, keeps its state in evaluation, and gives every parameter a gradient."""
    chosen = models.entry(name)
    on_m2 = "orientations" in chosen.options
    assert {"steps", "window", "alpha", "diffusion_alpha", "backend"} <= set(chosen.options)
    assert ("estimate" in chosen.options) == on_m2
    assert ("metric" in chosen.options) == ("metric" not in chosen.fixed)
    assert ("terms" in chosen.options) == ("terms" not in chosen.fixed)
    # The sub-Riemannian estimates are for diagonal metrics.
    sr, com = ("rho_b", "rho_c") if chosen.fixed.get("metric") == "full" else ("rho_b_sr", "rho_b_com")
    sets: list[dict[str, object]] = [
        {"alpha": "trained", "steps": 2, "estimate": "rho_b"},
        {"metric": "full", "orientations": 16, "estimate": "rho_c"},
        {"metric": "diagonal", "orientations": 4, "estimate": sr, "alpha": 0.9},
        {"window": (3, 3, 3) if on_m2 else (3, 3), "estimate": com},
    ]
    for options in sets:
        options = {key: value for key, value in options.items() if key in chosen.options}
        model = models.build(name, **options_of(name, **options))
        count = models.parameter_count(models.build(name, **options_of(name)))
        if "alpha" in options and options["alpha"] == "trained":
            channels = sum(len(p) for key, p in model.named_parameters() if key.endswith("alpha.v"))
            assert channels > 0 and models.parameter_count(model) == count + channels
        keys = list(model.state_dict())
        out = model(torch.rand(2, 1, *SIZES[chosen.task]))
        out.square().mean().backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key
        assert list(model.eval().state_dict()) == keys


def test_the_fixed_lift_is_an_option_of_every_segmentation_network_on_m2():
    assert models.parameter_count(models.build("vessels-pdegcnn6", lift="fixed")) == 2624
    with pytest.raises(ValueError, match="lift must be trained or fixed, got 'cake'"):
        models.build("vessels-gcnn6", lift="cake")
    assert "lift" not in models.entry("vessels-gcnn6-fixed-lift").options
    assert "lift" not in models.entry("vessels-pdecnn6").options


def test_options_reach_the_layers():
    model = models.build(
        "digits-pdegcnn", orientations=12, alpha=0.8, estimate="rho_b", metric="full", steps=2
    )
    layer = model[3]
    assert layer.steps == 2 and layer.evolution["dilation"].alpha == 0.8
    assert layer.evolution["erosion"].estimate == "rho_b" and layer.evolution["erosion"].orientations == 12
    assert models.build("vessels-gcnn6", orientations=4)(torch.rand(1, 1, 9, 9)).shape == (1, 1, 9, 9)
    assert "orientations" in models.entry("digits-gcnn").options
    assert models.entry("digits-lenet5").options == []
    assert "metric" not in models.entry("vessels-pdegcnn6-full").options


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("resnet", {}, "model must be one of digits-lenet5, .*got 'resnet'"),
        ("digits-lenet5", {"alpha": 1.0}, r"digits-lenet5 takes the options \(none\), got \['alpha'\]"),
        ("digits-pdegcnn", {"beta": 1}, r"takes the options orientations, .*alpha.*, got \['beta'\]"),
        ("digits-pdegcnn", {"in_channels": 0}, "in_channels must be a positive integer, got 0"),
        ("digits-pdegcnn", {"in_channels": 1.0}, r"in_channels must be a positive integer, got 1\.0"),
        ("digits-pdegcnn", {"alpha": 2.0}, r"alpha must lie in \[1/2, 1\], got 2\.0"),
    ],
)
def test_bad_names_and_options_are_quoted(name, options, says):
    with pytest.raises(ValueError, match=says):
        models.build(name, **options)


def test_entries_are_described():
    for name in models.names():
        entry = models.entry(name)
        assert entry.name == name and entry.task in ("digits", "tubes", "vessels") and entry.summary
    assert registry.names() == models.names()


def test_networks_of_different_size_carry_different_labels():
    """A table that names two networks alike would be read as one that names one network twice."""
    sizes: dict[str, set[int]] = {}
    for name in models.names():
        entry = models.entry(name)
        sizes.setdefault(f"{entry.task} {entry.label}", set()).add(models.parameter_count(models.build(name)))
    assert all(len(found) == 1 for found in sizes.values()), sizes
