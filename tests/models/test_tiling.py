"""Tiles make no difference: the measured reach, and the result of tiles against that of the whole picture."""

import pytest
import torch
from torch import nn

from pdegcnn_lib import models
from pdegcnn_lib.models import tiling
from pdegcnn_lib.models.tiling import apply_tiled, period, reach, spans
from pdegcnn_lib.nn import CakeLift, Convection, Dilation, frozen
from pdegcnn_lib.spaces import Plane


def moved(model: nn.Module) -> nn.Module:
    """The network with convections that move something, in evaluation mode."""
    for module in model.modules():
        if isinstance(module, Convection):
            nn.init.normal_(module.g0, std=1.5)
    return model.eval()


@pytest.mark.parametrize("n", [1, 3, 5])
def test_the_reach_of_convolutions_is_that_of_their_windows(n):
    layers = [nn.Conv2d(1, 1, 5, padding=2) for _ in range(n)]
    assert reach(nn.Sequential(*layers).eval(), 1) == 2 * n


def test_the_reach_counts_how_far_convection_moves():
    still = models.build("vessels-pdegcnn6").eval()
    assert reach(still, 1) == 3 + 4 * (2 + 2 + 1)  # lift; dilation, erosion and the corners of interpolation
    assert reach(moved(still), 1) > reach(models.build("vessels-pdegcnn6").eval(), 1)


@pytest.mark.parametrize(
    "name", ["vessels-cnn6-narrow", "vessels-gcnn3-narrow", "vessels-pdegcnn6", "vessels-unet"]
)
@pytest.mark.parametrize("size", [(70, 61), (33, 97), (20, 20)])
def test_tiles_make_no_difference(name, size):
    model = moved(models.build(name, 2))
    picture = torch.randn(2, *size)
    with torch.no_grad():
        whole = model(picture[None])[0]
    tiled = apply_tiled(model, picture, core=24)
    torch.testing.assert_close(tiled, whole, atol=1e-5 * float(whole.abs().max()), rtol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_tiles_of_a_network_in_another_dtype(dtype):
    model, picture = models.build("vessels-pdegcnn3").to(dtype).eval(), torch.randn(1, 40, 30).to(dtype)
    tiled = apply_tiled(model, picture, core=16)
    assert tiled.dtype == dtype
    with torch.no_grad():
        torch.testing.assert_close(tiled, model(picture[None])[0], atol=0.05, rtol=0.05)


@pytest.mark.parametrize("model", [CakeLift(4, size=5), frozen(Dilation(1, space=Plane()))], ids=repr)
def test_tiles_of_a_network_without_parameters(model):
    model, picture = nn.Sequential(model, nn.Flatten(1, -3)).eval(), torch.randn(1, 40, 30)
    torch.testing.assert_close(apply_tiled(model, picture, core=16), model(picture[None])[0])


def test_the_reach_allows_for_every_place_in_a_period():
    class Halved(nn.Conv2d):
        period = 2

        def forward(self, x):
            return torch.nn.functional.interpolate(super().forward(x[..., 1::2, 1::2]), x.shape[2:])

    model = Halved(1, 1, 3, padding=1).eval()
    assert period(model) == period(nn.Sequential(model)) == 2 and period(nn.Identity()) == 1
    with torch.no_grad():
        for place in (32, 33):
            image = torch.zeros(1, 1, 66, 66)
            image[..., place, place] = torch.nan
            spoiled = torch.nonzero(model(image).isnan()[0, 0]) - place
            assert spoiled.numel() == 0 or 3 == spoiled.abs().max() <= reach(model, 1) <= 3 + 1


def test_the_reach_of_a_chain_is_that_of_its_parts():
    class Whole(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network(x)

    model = moved(models.build("vessels-pdegcnn3"))
    assert reach(Whole(model).eval(), 1) <= reach(model, 1) <= reach(Whole(model).eval(), 1) + 2
    assert reach(nn.Sequential(nn.Conv2d(1, 1, 3), nn.ZeroPad2d(1)).eval(), 1) == 1, "no part keeps the size"


@torch.no_grad()
def test_the_reach_is_measured_once_for_a_network_as_it_is(monkeypatch):
    measured = []
    monkeypatch.setattr(tiling, "reach", lambda *given: measured.append(reach(*given)) or measured[-1])
    model, picture = nn.Conv2d(1, 1, 5, padding=2).eval(), torch.randn(1, 30, 20)
    for _ in range(3):
        apply_tiled(model, picture, core=16)
    assert measured == [2]
    model.weight.data.zero_()
    torch.testing.assert_close(apply_tiled(model, picture, core=16), model(picture))
    assert len(measured) == 2, "other weights may look farther"


def test_a_halo_that_is_too_small_shows():
    """The control: the equality above is not for free."""
    model = moved(models.build("vessels-pdegcnn6"))
    picture = torch.randn(1, 64, 64)
    exact, cut = apply_tiled(model, picture, core=64), apply_tiled(model, picture, core=32, halo=4)
    assert (exact - cut).abs().max() > 1e-3 * exact.abs().max()


def test_no_tile_is_larger_than_it_may_be():
    seen = []
    model = nn.Conv2d(1, 1, 3, padding=1).eval()
    model.register_forward_hook(lambda module, inputs, out: seen.append(tuple(inputs[0].shape[-2:])))
    counted = []
    apply_tiled(
        model, torch.rand(1, 100, 250), core=40, halo=1, progress=lambda tiles: counted.extend(tiles) or tiles
    )
    assert len(counted) == len(seen) == 3 * 7
    assert max(max(size) for size in seen) <= 42


def test_spans_cover_an_axis_once():
    for length in (1, 7, 40, 41, 99):
        pieces = spans(length, 10)
        assert pieces[0][0] == 0 and pieces[-1][1] == length
        assert all(a[1] == b[0] for a, b in zip(pieces, pieces[1:], strict=False))
        assert all(1 <= end - begin <= 10 for begin, end in pieces)


def test_what_cannot_be_tiled_is_refused():
    with pytest.raises(ValueError, match="evaluation mode"):
        apply_tiled(nn.Conv2d(1, 1, 3), torch.rand(1, 8, 8))
    with pytest.raises(ValueError, match="core must be at least 1, got 0"):
        apply_tiled(nn.Conv2d(1, 1, 3, padding=1).eval(), torch.rand(1, 8, 8), core=0)
    with pytest.raises(
        ValueError, match=r"must keep the size of the image, got \[1, 1, 33, 33\] -> \[1, 1, 31, 31\]"
    ):
        reach(nn.Conv2d(1, 1, 3).eval(), 1)

    class Mean(nn.Conv2d):
        def forward(self, x):
            return super().forward(x - x.mean())

    with pytest.raises(ValueError, match="depends on pixels more than 512 away"):
        reach(Mean(1, 1, 1).eval(), 1)
