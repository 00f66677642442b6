"""The list of networks: what a reader may put on it."""

from dataclasses import replace

import pytest
import torch

from pdegcnn_lib import models


def test_a_network_of_ones_own_is_one_entry():
    mine = models.Entry(
        "mine-net", "mine", "mine", "Plane", 1, 4, "Mine", "a net", lambda c: torch.nn.Conv2d(c, 4, 3)
    )
    models.register(mine)
    models.register(mine)  # the cell of a notebook may run twice
    try:
        assert models.build("mine-net", 2).in_channels == 2 and models.entry("mine-net").family == "mine"
        with pytest.raises(ValueError, match="name must be one that no network has yet, got 'mine-net'"):
            models.register(replace(mine, label="another"))
        with pytest.raises(ValueError, match=r"builder of other must name its options.*got \*\*rest"):
            models.register(replace(mine, name="other", builder=lambda c, **rest: None))
    finally:
        del models.registry._ENTRIES["mine-net"]


def test_a_cell_that_defines_its_network_once_more_replaces_it():
    def cell(kernel):
        def net(channels):
            return torch.nn.Conv2d(channels, 4, kernel)

        net.__module__, net.__qualname__ = "__main__", "net"
        models.register(models.Entry("mine-net", "mine", "mine", "Plane", 1, 4, "Mine", "a net", net))

    try:
        cell(3)
        cell(5)
        assert models.build("mine-net", 2).kernel_size == (5, 5)
    finally:
        del models.registry._ENTRIES["mine-net"]
