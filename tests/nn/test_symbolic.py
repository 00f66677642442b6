"""Tools that read a network without running it: torch.fx, torch.export, the meta device."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib import models, nn
from pdegcnn_lib.spaces import M3

NAMES = ["digits-pdegcnn", "digits-gcnn-invariant", "vessels-pdegcnn3", "vessels-pdegcnn6-fixed-lift"]

# What its exporter says of a graph of its own.
OF_TORCH_2_6 = "ignore:.*(get_attr|does not reference an nn.Module):UserWarning"


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


@pytest.mark.filterwarnings(OF_TORCH_2_6)
def test_an_export_has_free_sizes_and_operators_of_torch_alone() -> None:
    body = [nn.Lift(1, 2, size=5, orientations=4), nn.PDELayer(2, 2, window=(3, 3, 3), orientations=4)]
    net = torch.nn.Sequential(*body, nn.Projection()).eval()
    free = {
        0: torch.export.Dim("batch"),
        2: torch.export.Dim("height", min=8),
        3: torch.export.Dim("width", min=8),
    }
    program = torch.export.export(net, (torch.rand(2, 1, 9, 10),), dynamic_shapes=(free,), strict=False)
    assert not any("pdegcnn" in str(node.target) for node in program.graph.nodes)
    for shape in ((2, 1, 9, 10), (1, 1, 16, 11)):
        x = torch.rand(shape)
        # The reference and compiled code, sums of a few terms of order one.
        torch.testing.assert_close(program.module()(x), net(x), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning", OF_TORCH_2_6)
def test_layers_in_space_are_traced_and_exported() -> None:
    """Their lists of neighbours are no matter of a trace, whose sizes are tensors, nor of an export."""
    torch.manual_seed(4)
    x = torch.rand(2, 2, 6, 3, 4, 5)
    space = M3(6)
    net = torch.nn.Sequential(nn.GroupConvolutionM3(2, 2, space=space), nn.Dilation(2, space=space)).eval()
    traced = torch.jit.trace(net, (x,), check_trace=False)
    torch.testing.assert_close(traced(x), net(x), rtol=1e-5, atol=1e-5)
    free = nn.FreeDilation(2, space=space).eval()
    program = torch.export.export(free, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False)
    torch.testing.assert_close(program.module()(x[:1]), free(x[:1]), rtol=1e-5, atol=1e-5)


def test_a_layer_alone_is_no_network_to_trace() -> None:
    with pytest.raises(TypeError, match=r"records Projection whole: trace nn.Sequential\(layer\)"):
        torch.fx.symbolic_trace(nn.Projection())
