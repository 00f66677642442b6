"""The operators as an export writes them down, held against the reference."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib import nn, ops
from pdegcnn_lib.ops import exported, reference

WINDOWS = [(8, (5, 5, 5)), (4, (3, 1, 5)), (1, (1, 3, 3)), (5, (5, 3, 3)), (6, (1, 7, 1))]


@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
@pytest.mark.parametrize("orientations, window", WINDOWS)
def test_a_convolution_is_that_of_the_reference(semiring, orientations, window):
    f = torch.randn(2, 3, orientations, 6, 9, dtype=torch.float64)
    k = torch.randn(3, orientations, *window, dtype=torch.float64)
    found = exported.semiring_convolution(f, k, semiring)
    # The same terms in another order: sums of up to 125 of order one.
    torch.testing.assert_close(found, reference.semiring_convolution(f, k, semiring), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("periodic", [False, True])
def test_a_shift_is_that_of_the_reference(whole, periodic):
    f, by = torch.randn(2, 3, 5, 6, 9, dtype=torch.float64), 4 * torch.randn(3, 5, 3, dtype=torch.float64)
    by = by.round() if whole else by
    found, known = exported.shift(f, by, periodic), reference.shift(f, by, periodic)
    torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12)


def test_a_program_has_few_nodes_whatever_the_window():
    def nodes(window: tuple[int, int, int]) -> int:
        term = nn.frozen(nn.Dilation(2, window=window))
        return len(torch.export.export(term, (torch.rand(1, 2, 8, 9, 9),)).graph.nodes)

    # A loop over the taps would have thousands of them.
    assert nodes((5, 7, 7)) == nodes((5, 3, 3)) < 60


@pytest.mark.parametrize("make", [nn.Dilation, nn.Diffusion, nn.PDELayer, nn.Convection])
def test_a_frozen_layer_is_the_layer(make):
    layer = (make(2, 3) if make is nn.PDELayer else make(2)).eval()
    f = torch.randn(1, 2, 8, 6, 7)
    kept = nn.frozen(layer)
    assert torch.equal(kept(f), layer(f))
    assert not any(p.requires_grad for p in kept.parameters())
    assert all(p.requires_grad for p in layer.parameters()), "the layer itself stays"
    assert not any("metric" in name for name in kept.state_dict())


def test_an_export_differentiates_as_the_reference_where_no_taps_tie():
    f = torch.randn(1, 2, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    k = torch.rand(2, 4, 3, 3, 3, dtype=torch.float64)
    found, known = (
        torch.autograd.grad(run(f, k).sin().sum(), f)[0]
        for run in (lambda f, k: exported.semiring_convolution(f, k, "max_plus"), ops.dilation)
    )
    torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12)
