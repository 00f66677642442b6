"""Tools that read a network without running it: torch.fx, the meta device."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib import models, nn

NAMES = ["digits-pdegcnn", "digits-gcnn-invariant", "vessels-pdegcnn3", "vessels-pdegcnn6-fixed-lift"]


@pytest.mark.parametrize("name", NAMES)
def test_a_symbolic_trace_is_the_network(name: str) -> None:
    net = models.build(name).eval()
    x = torch.rand(2, 1, 28, 28)
    traced = torch.fx.symbolic_trace(net)
    assert torch.equal(traced(x), net(x))
    assert any(isinstance(m, nn.Lift | nn.CakeLift) for m in traced.modules()), "layers are recorded whole"


@pytest.mark.parametrize("name", NAMES)
def test_a_network_built_on_meta_gets_its_weights_later(name: str) -> None:
    source = models.build(name).eval()
    with torch.device("meta"):
        net = models.build(name).eval()
        assert net(torch.rand(1, 1, 28, 28)).is_meta
    net.to_empty(device="cpu").load_state_dict(source.state_dict())
    x = torch.rand(1, 1, 28, 28)
    assert torch.equal(net(x), source(x))
