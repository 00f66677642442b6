"""Layers that somebody derives, replaces or listens to: they are called as they are."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import prune

from pdegcnn_lib import nn

f = torch.randn(2, 2, 8, 7, 7, generator=torch.Generator().manual_seed(0))


class Passing(nn.Dilation):
    """What a derived term looks like that has nothing to say of its options."""

    def __init__(self, channels: int, **options: object) -> None:
        super().__init__(channels, **options)


class Masked(nn.Dilation):
    def forward(self, f: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        grown = super().forward(f)
        return grown if mask is None else torch.where(mask, grown, f)


class Renamed(nn.Erosion):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


class Rectified(torch.nn.BatchNorm3d):
    def forward(self, f: torch.Tensor) -> torch.Tensor:
        return super().forward(f).relu()


def test_a_term_that_passes_its_options_on_gets_those_of_the_layer() -> None:
    options = {
        "t": 0.5,
        "steps": 2,
        "window": (3, 3, 3),
        "alpha": 0.8,
        "estimate": "rho_b",
        "orientations": 4,
    }
    term, known = nn.PDELayer(2, 2, terms=(Passing, "erosion"), **options).evolution.values()  # type: ignore[arg-type]
    for name in ("t", "window", "alpha", "estimate", "space"):
        assert getattr(term, name) == getattr(known, name)
    assert term.t == 0.25 and term.window == (3, 3, 3)


def test_a_derived_layer_may_take_more_and_name_it_otherwise() -> None:
    layer = Masked(2)
    assert torch.equal(layer(f, f > 0), layer(f, mask=f > 0))
    assert torch.equal(layer(f, f < -9), f) and not torch.equal(layer(f), f)
    erosion = Renamed(2)
    assert torch.equal(erosion(x=f), erosion(f))
    traced = torch.fx.symbolic_trace(torch.nn.Sequential(layer))
    assert torch.equal(traced(f), layer(f))


@pytest.mark.parametrize("term", [nn.Dilation, nn.DiffusionShock])
def test_what_is_pruned_of_a_metric_is_made_anew_in_every_call(term: type[torch.nn.Module]) -> None:
    """A metric is not called where its outputs are heard, for they are no tensors; what comes before it is to run."""
    layer = term(2)
    for part in [m for m in layer.modules() if isinstance(m, nn.TrainableDiagonalMetric)]:
        prune.custom_from_mask(part, "v", torch.ones(2, 3))
    before = layer(f)
    before.square().sum().backward()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter -= 0.5
    after = layer(f)
    assert not torch.equal(after, before)
    after.square().sum().backward()  # by a graph of its own


def test_a_layer_in_the_place_of_a_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"or classes, each once, got \(Dilation\("):
        nn.PDELayer(2, 2, terms=(nn.Dilation(2),))


@pytest.mark.parametrize("metric", ["diagonal", "full"])
def test_length_scales_that_are_drawn_must_be_positive(metric: str) -> None:
    with pytest.raises(ValueError, match=r"scales must be positive and finite, got -1 at index \[0, 0\]"):
        nn.Dilation(2, metric=metric, scales=lambda channels, dim, window: -torch.ones(channels, dim))


@pytest.mark.parametrize("training", [True, False])
def test_a_normalisation_of_ones_own_is_called(training: bool) -> None:
    layer = nn.PDELayer(2, 3)
    layer.norm = Rectified(3)
    assert layer.train(training)(f).min() == 0


@pytest.mark.parametrize("training", [True, False])
def test_who_listens_to_a_part_is_told_and_a_forward_of_ones_own_is_called(training: bool) -> None:
    layer, told = nn.PDELayer(2, 3).train(training), []
    dilation = layer.evolution["dilation"]
    plain = layer(f)

    handles = [
        dilation.register_forward_hook(lambda *_: told.append("forward")),
        dilation.register_full_backward_pre_hook(lambda *_: told.append("backward")),
        torch.nn.modules.module.register_module_forward_hook(lambda m, *_: told.append(type(m).__name__)),
    ]
    try:
        heard = layer(f)
        heard.sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    assert {"forward", "backward", "Convection", "Dilation", "Erosion", "Linear", "BatchNorm3d"} <= set(told)
    torch.testing.assert_close(heard, plain)

    alone = dilation.register_full_backward_pre_hook(lambda *_: told.append("alone"))
    layer(f).sum().backward()
    alone.remove()
    assert told[-1] == "alone"
    dilation.forward = lambda f: f * 0  # type: ignore[method-assign]
    other = layer(f)
    assert not torch.allclose(other, plain)
    del dilation.forward
    torch.testing.assert_close(layer(f), plain)
