"""Level surfaces and association fields: geometry that is known, drawn where it should be."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch import Tensor

from pdegcnn_lib.companion import viz
from pdegcnn_lib.companion.viz import shapes, style
from pdegcnn_lib.geometry import rho_b, rho_c

pytest.importorskip("skimage")


def sphere(p: Tensor) -> Tensor:
    return (p**2).sum(-1).sqrt()


def twisted(p: Tensor) -> Tensor:
    return rho_c(p, torch.tensor([1.0, 4.0, 1.0], dtype=torch.float64))


def test_a_sphere_is_a_sphere() -> None:
    triangles, light = shapes._surface(sphere, 2.0, 3.0, 31)
    # Linear interpolation on a grid of spacing 0.2 misses a sphere of radius 2 by at most 0.2^2/8/2.
    assert np.abs(np.linalg.norm(triangles, axis=-1) - 2).max() < 0.003
    normal = triangles.mean(axis=1) / np.linalg.norm(triangles.mean(axis=1), axis=-1, keepdims=True)
    np.testing.assert_allclose(np.abs(light), np.abs(normal @ shapes.LIGHT), atol=0.05)


def test_the_lower_half_is_that_of_the_distance() -> None:
    """It is made by symmetry; here it is compared with the distance itself, which has no other symmetry."""
    triangles, _ = shapes._surface(twisted, 2.0, 3.0, 61)
    points = torch.from_numpy(triangles.reshape(-1, 3))
    assert (points[:, 2] < -1).any() and (points[:, 2] > 1).any()
    off = (twisted(points) / 2 - 1).abs()
    # The thin edge is only a few cells wide, so a few vertices are off by more.
    assert off.mean() < 0.01 and off.quantile(0.98) < 0.1
    mirrored = points * torch.tensor([1.0, -1.0, 1.0])  # no symmetry: the surface is twisted
    assert (twisted(mirrored) / 2 - 1).abs().mean() > 0.2


def test_the_surface_is_coloured_by_orientation_and_shaded() -> None:
    figure = viz.level_surfaces({"a": sphere, "b": twisted, "c": sphere}, level=2.0, n=21)
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c"]
    ax = figure.axes[1]
    assert ax.get_ylim() == (3, -3) and ax.get_zlim() == (-math.pi, math.pi)
    shadow, surface = ax.collections
    triangles, light = shapes._surface(twisted, 2.0, 3.0, 21)
    expected = mpl.colormaps[style.ORIENTATION_MAP](triangles[:, :, 2].mean(axis=1) / (2 * math.pi) + 0.5)
    expected[:, :3] *= (0.55 + 0.45 * np.abs(light))[:, None]
    drawn = surface.get_facecolor()  # in the order of depth
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0), atol=1e-6)
    assert 0.4 < np.abs(light).mean() < 0.9 and np.ptp(np.abs(light)) > 0.8  # it is a body, not a disc
    assert mpl.colors.same_color(shadow.get_facecolor()[0], "0.8")


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="odd.*got 20"):
        viz.level_surfaces({"a": sphere}, n=20)
    with pytest.raises(ValueError, match="between .* and 5.* got 9"):
        viz.level_surfaces({"a": sphere}, n=21, level=9)


def segments(figure: mpl.figure.Figure, i: int = 0) -> np.ndarray:
    return np.array(figure.axes[i].collections[0].get_segments())


def test_isotropic_elements_keep_the_heading() -> None:
    isotropic = torch.tensor([0.6, 0.6, 0.6], dtype=torch.float64)
    drawn = segments(viz.association_fields({"a": lambda p: rho_b(p, isotropic) ** 2}, n=9))
    assert len(drawn) > 10 and np.abs(drawn[:, 0, 1] - drawn[:, 1, 1]).max() < 1e-12
    middle = drawn.mean(axis=1)
    assert (0.36 * (middle**2).sum(axis=1) < 1).all()  # only where the least value is below the clip


def test_elements_lie_on_circles_where_the_kernel_says_so() -> None:
    """A kernel that is least at the heading of the circle through p0, theta = 2 atan(y/x)."""

    def on_circles(p: Tensor) -> Tensor:
        x, y, theta = p.unbind(-1)
        return torch.sin(theta - 2 * torch.atan2(y, x)) ** 2 + 0.02 * (x**2 + y**2)

    figure = viz.association_fields({"a": on_circles, "b": on_circles, "c": on_circles}, n=9)
    drawn = segments(figure)
    middle, step = drawn.mean(axis=1), drawn[:, 1] - drawn[:, 0]
    off = np.arctan2(step[:, 1], step[:, 0]) - 2 * np.arctan2(middle[:, 1], middle[:, 0])
    away = (middle**2).sum(axis=1) > 0.01
    assert np.abs(np.sin(off[away])).max() < math.radians(1)  # theta is sampled in steps of one degree
    collection = figure.axes[0].collections[0]
    widths, values = np.array(collection.get_linewidths()), collection.get_array()
    assert (np.diff(widths[np.argsort(values)]) <= 1e-12).all() and collection.cmap.name == style.VALUE_MAP
    assert figure.axes[0].yaxis_inverted() and not figure.axes[3].axison
    arrow = figure.axes[0].collections[1]
    assert mpl.colors.same_color(arrow.get_facecolor()[0], style.MAIN)
    for line in figure.axes[0].lines:  # the grey circles leave p0 along its direction
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert x[0] == y[0] == 0 and abs(y[1]) < 0.1 * abs(x[1])
