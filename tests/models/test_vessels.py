"""The segmentation networks: what their own options change."""

import pytest
import torch

from pdegcnn_lib import models


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
