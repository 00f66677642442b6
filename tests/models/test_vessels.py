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
    with pytest.raises(ValueError, match="between 0 and 1, but got 1.5"):
        models.build(name, 1, dropout=1.5)
