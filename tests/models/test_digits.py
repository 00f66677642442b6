"""The invariant network on digits with channels of one's own."""

import re

import pytest

from pdegcnn_lib import models

NAME = "digits-pdegcnn-invariant"


@pytest.mark.parametrize(
    ("channels", "parameters"),
    [((12, 16, 32), 2014), ([12, 16, 16, 16, 32], 2878), ((16, 32, 64), 4818)],
    ids=str,
)
def test_each_layer_has_the_channels_that_are_given(channels, parameters):
    assert models.parameter_count(models.build(NAME, channels=channels)) == parameters


@pytest.mark.parametrize("channels", [(), (12, 0), (12, -1), (12, 1.5), (12, True), "ab", 12, None], ids=repr)
def test_channels_that_are_none_are_named(channels):
    with pytest.raises(ValueError, match=f"channels must be positive.* got {re.escape(repr(channels))}"):
        models.build(NAME, channels=channels)
