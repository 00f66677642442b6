"""Pictures of orientation scores: crests where the score has them, slices in order."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pdegcnn_lib.companion import viz
from pdegcnn_lib.companion.viz import style
from pdegcnn_lib.companion.viz.fields import ridges

ORIENTATIONS = 36


def score_with_crests(*degrees: float, height: float = 1.0) -> torch.Tensor:
    """A score [36, 5, 7] that has a smooth crest at the given angles of one pixel, (x, y) = (4, 2)."""
    theta = torch.arange(ORIENTATIONS) * (360 / ORIENTATIONS)
    score = torch.zeros(ORIENTATIONS, 5, 7)
    for angle in degrees:
        apart = torch.remainder(theta - angle + 180, 360) - 180
        score[:, 2, 4] += height * (1 - (apart / 40) ** 2).clamp(min=0)
    return score


@pytest.mark.parametrize("angle", [0.0, 13.0, 97.0, 358.0])
def test_a_crest_is_found_between_samples(angle: float) -> None:
    column, row, theta, strength = ridges(score_with_crests(angle), threshold=0.3)
    assert column.tolist() == [4] and row.tolist() == [2]
    # The crest is a parabola, so three samples give its top exactly.
    assert math.isclose(theta[0] % 360, angle, abs_tol=1e-3) and 0.9 < strength[0] <= 1


def test_weak_crests_are_left_out() -> None:
    score = score_with_crests(50.0) + score_with_crests(200.0, height=0.2)
    assert len(ridges(score, threshold=0.3)[0]) == 1
    assert len(ridges(score, threshold=0.1)[0]) == 2


def test_the_score_is_drawn_at_its_height() -> None:
    image = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    score = score_with_crests(340.0, 60.0, 190.0)  # the last is outside of the half circle that is shown
    figure = viz.score_in_space(image, score, pole=(4, 2, 60.0))
    (ax,) = figure.axes
    floor, dots = ax.collections
    x, y, theta = dots._offsets3d
    assert np.asarray(x).tolist() == [4, 4] and np.asarray(y).tolist() == [2, 2]
    np.testing.assert_allclose(np.sort(theta), [-20, 60], atol=1e-3)
    assert dots.cmap.name == style.ORIENTATION_MAP and dots.get_clim() == (-45, 75)
    (pole,) = ax.lines
    assert [line.tolist() if hasattr(line, "tolist") else list(line) for line in pole.get_data_3d()] == [
        [4, 4],
        [2, 2],
        [-75, 60],
    ]
    assert ax.get_zlim() == (-75, 75) and ax.yaxis_inverted()
    assert ax.get_zlabel() == r"$\theta$ in degrees"
    assert floor.get_facecolor().shape[0] == 5 * 7  # a facet per pixel


def test_the_floor_is_dark_where_the_image_is_bright() -> None:
    image = torch.zeros(5, 7)
    image[2, 4] = 1.0
    figure = viz.score_in_space(image, score_with_crests(10.0))
    facets = figure.axes[0].collections[0].get_facecolor()[:, 0]  # in the order of depth
    assert len(facets) == 5 * 7 and (facets < 0.3).sum() == 1 and (facets > 0.9).sum() == 34


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"\[Or, 5, 7\], got \[36, 5, 6\]"):
        viz.score_in_space(torch.ones(5, 7), torch.ones(36, 5, 6))
    with pytest.raises(ValueError, match="half a circle above start, got 0 to 200"):
        viz.score_in_space(torch.ones(5, 7), score_with_crests(0), start=0, top=200)


@pytest.mark.parametrize("signed", [True, False])
def test_the_montage_shows_every_slice_under_its_angle(signed: bool) -> None:
    image, score = torch.rand(6, 6), torch.randn(8, 6, 6)
    figure = viz.orientation_montage(image, score, signed=signed)
    shown = [ax for ax in figure.axes if ax.images]
    np.testing.assert_array_equal(shown[0].images[0].get_array(), image)
    slices = shown[1:]
    assert [ax.get_title() for ax in slices] == [rf"$\theta = {45 * i}°$" for i in range(8)]
    for ax, values in zip(slices, score, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), values)
        assert ax.images[0].cmap.name == (style.SIGNED_MAP if signed else style.VALUE_MAP)
    low, high = slices[0].images[0].get_clim()
    if signed:
        assert high == -low == float(score.abs().max())
    # The arrow of the slice at 90 degrees points down, as rows grow.
    (arrow,) = slices[2].texts
    assert arrow.xy[1] < arrow.xyann[1] and math.isclose(arrow.xy[0], arrow.xyann[0])
