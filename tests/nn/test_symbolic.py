"""Tools that read a network without running it: torch.fx, torch.export, the meta device."""

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


def test_an_export_has_free_sizes_and_operators_of_torch_alone() -> None:
    body = [nn.Lift(1, 2, size=5, orientations=4), nn.PDELayer(2, 2, window=(3, 3, 3), orientations=4)]
    net = torch.nn.Sequential(*body, nn.Projection()).eval()
    free = {
        0: torch.export.Dim("batch"),
        2: torch.export.Dim("height", min=8),
        3: torch.export.Dim("width", min=8),
    }
    program = torch.export.export(net, (torch.rand(2, 1, 9, 10),), dynamic_shapes=(free,))
    assert not any("pdegcnn" in str(node.target) for node in program.graph.nodes)
    for shape in ((2, 1, 9, 10), (1, 1, 16, 11)):
        x = torch.rand(shape)
        # The reference and compiled code, sums of a few terms of order one.
        torch.testing.assert_close(program.module()(x), net(x), rtol=1e-5, atol=1e-5)
