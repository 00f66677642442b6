"""The segmentation networks: what their own options change."""

import math

import pytest
import torch

from pdegcnn_lib import models
from pdegcnn_lib.nn import PDELayer
from pdegcnn_lib.testing import assert_equivariant


@pytest.mark.parametrize(
    "name", ["vessels-cnn12-narrow", "vessels-gcnn12-narrow", "vessels-pdegcnn12", "vessels-pdecnn6"]
)
def test_as_many_channels_are_left_out_in_training_as_are_asked_for(name):
    usual, without = models.build(name, 1), models.build(name, 1, dropout=0.0)
    for model, rate in ((usual, 0.1), (without, 0.0)):
        rates = [m.p for m in model.modules() if isinstance(m, (torch.nn.Dropout2d, torch.nn.Dropout3d))]
        assert rates and set(rates) == {rate}
    assert without.state_dict().keys() == usual.state_dict().keys()
    with pytest.raises(ValueError, match="a number from 0 to 1, got 1.5"):
        models.build(name, 1, dropout=1.5)
    with pytest.raises(ValueError, match="a number from 0 to 1, got 'x'"):
        models.build(name, 1, dropout="x")


def test_networks_without_dropout_do_not_take_it_for_an_option():
    for name in ("vessels-cnn3-narrow", "vessels-gcnn3-narrow"):
        with pytest.raises(ValueError, match=r"takes the options .*channels.*got \['dropout'\]"):
            models.build(name, 1, dropout=0.1)
    assert "dropout" in models.entry("vessels-pdegcnn3").options


@pytest.mark.parametrize(
    "builder", [models.vessels.cnn, models.vessels.gcnn, models.vessels.pdegcnn, models.vessels.pdecnn]
)
@pytest.mark.parametrize("layers", [0, 5, 7, 6.5])
def test_only_the_depths_of_the_papers_are_built(builder, layers):
    with pytest.raises(ValueError, match=f"layers must be 3, 6 or 12, got {layers}"):
        builder(1, layers=layers, channels=4)


@pytest.mark.parametrize("layers", [6, 12])
def test_a_pdegcnn_of_c_channels_has_the_parameters_of_its_layers(layers):
    """A lift of 7 x 7 and its normalisation, 9 C + C^2 + 2 C for a layer, 16 channels at the end, one map."""
    c, inner = 5, {6: 3, 12: 9}[layers]
    expected = 49 * c + 2 * c + inner * (9 * c + c**2 + 2 * c) + (9 * c + 16 * c + 2 * 16) + 16
    assert models.parameter_count(models.build(f"vessels-pdegcnn{layers}", channels=c)) == expected


@pytest.mark.parametrize("family", ["cnn6", "gcnn6", "pdegcnn12", "pdecnn6"])
def test_a_network_has_its_usual_channels_unless_others_are_asked_for(family):
    name = f"vessels-{family}"
    width = models.entry(name).width
    sizes = [
        {k: v.shape for k, v in models.build(name, 1, **options).state_dict().items()}
        for options in ({}, {"channels": width}, {"channels": width + 1})
    ]
    assert sizes[0] == sizes[1] != sizes[2]
    for wrong in (0, True, 2.0):
        with pytest.raises(ValueError, match=f"channels must be a positive integer, got {wrong!r}"):
            models.build(name, 1, channels=wrong)


def _pde_layers(name, **options):
    torch.manual_seed(0)
    return [layer for layer in models.build(name, 1, **options) if isinstance(layer, PDELayer)]


def test_without_norm_a_layer_mixes_and_no_more():
    model = models.build("vessels-pdegcnn12", 1, norm=False).double()
    usual = models.parameter_count(models.build("vessels-pdegcnn12", 1))
    assert models.parameter_count(model) == usual - 2 * (9 * 10 + 16)
    layer, f = model[2], torch.randn(2, 10, 8, 9, 9, dtype=torch.float64)
    assert torch.equal(layer(f), layer.linear(torch.nn.Sequential(*layer.evolution.values())(f)))
    assert_equivariant(model.eval(), torch.rand(1, 1, 11, 13, dtype=torch.float64), tolerance=1e-11)


@pytest.mark.parametrize("factor", [0.6, 1.7])
def test_metrics_begin_with_scales_so_many_times_as_large(factor):
    layers = zip(*(_pde_layers("vessels-pdegcnn6", first_scales=s) for s in (1.0, factor)), strict=True)
    for usual, other in layers:
        for term in ("dilation", "erosion"):
            begins = [layer.evolution[term].metric.w for layer in (usual, other)]
            torch.testing.assert_close(begins[1], factor * begins[0])


@pytest.mark.parametrize("wrong", [0, -1.0, math.nan, math.inf, True, "1"])
def test_first_scales_are_a_positive_number(wrong):
    with pytest.raises(ValueError, match=f"first_scales must be a positive number, got {wrong!r}"):
        models.build("vessels-pdegcnn6", 1, first_scales=wrong)


def test_first_scales_leave_what_diffusion_draws_alone():
    with pytest.raises(ValueError, match=r"first_scales must be 1 .* got 0.6 with .*diffusion"):
        models.build("vessels-pdegcnn6-cdde", 1, first_scales=0.6)


@pytest.mark.parametrize("option", ["norm", "residual"])
def test_a_switch_is_true_or_false(option):
    with pytest.raises(TypeError, match=f"{option} must be True or False, got 'no'"):
        models.build("vessels-pdegcnn6", 1, **{option: "no"})
