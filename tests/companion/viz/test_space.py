"""Pictures of space: what is drawn, and what is told where nothing can be."""

from __future__ import annotations

import base64
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pdegcnn_lib.companion import viz
from pdegcnn_lib.companion.viz.turning import Mesh


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def ball(size: int = 9) -> torch.Tensor:
    at = torch.arange(size) - size // 2
    z, y, x = torch.meshgrid(at, at, at, indexing="ij")
    return (x**2 + y**2 + z**2 <= 9).float()


def test_a_surface_lies_where_its_volume_crosses_the_level() -> None:
    f = ball()
    f[:, :, :4] = 0  # the half with the larger x
    figure = viz.surfaces({"half a ball": f})
    [surface] = figure.axes[0].collections
    corners = np.concatenate(surface._faces)
    assert corners[:, 0].min() > 3 and corners[:, 0].max() < 8, "x is the last axis of the volume"
    assert corners[:, 2].min() < 2 and corners[:, 2].max() > 6, "z is the first"


def test_no_level_no_surface() -> None:
    with pytest.raises(ValueError, match="level must lie between 0 and 0 in 'nothing', got 0.5"):
        viz.surfaces({"nothing": torch.zeros(4, 4, 4)})
    w = torch.tensor([9.0, 9, 9], dtype=torch.float64)
    with pytest.raises(ValueError, match="level must be below"):
        viz.reach_on_m3({"far": 0.01 * w}, level=5.0, n=5)


def test_a_dear_sideways_motion_makes_a_needle() -> None:
    scales = {"ball": (1.0, 1.0, 1.0), "needle": (1.0, 3.0, 3.0)}
    metrics = {title: torch.tensor(w, dtype=torch.float64) for title, w in scales.items()}
    figure = viz.reach_on_m3(metrics, n=13)
    extents = [np.concatenate(ax.collections[0]._faces) for ax in figure.axes]
    ball_size, needle = (e.max(0) - e.min(0) for e in extents)
    assert abs(ball_size[0] - ball_size[2]) < 0.5
    assert needle[2] > 2 * needle[0]


def test_direction_sets_draw_every_direction() -> None:
    figure = viz.direction_sets((6, 14))
    assert [len(ax.collections[0]._offsets3d[0]) for ax in figure.axes] == [6, 14]


def test_a_surface_to_turn_is_the_one_that_is_drawn():
    """With equal lengths what is reached is a ball of radius 1.5 of 2, in the numbers that the viewer reads."""
    metric = torch.ones(3, dtype=torch.float64)
    shown = viz.turning_reach_on_m3({"w": metric}, n=15).data
    packed = json.loads(re.search(r"\), (\{.*?\}\}), \[\[", shown)[1])["w"]
    points = np.frombuffer(base64.b64decode(packed["points"]), "<u2").reshape(-1, 3) / 32767.5 - 1
    faces = np.frombuffer(base64.b64decode(packed["faces"]), "<u2").reshape(-1, 3)
    values = np.frombuffer(base64.b64decode(packed["values"]), "u1")
    # A grid of 15 points has steps of 2/7 of a voxel; linear interpolation of rho errs by less than a tenth of that.
    assert np.abs(np.linalg.norm(points, axis=1) * 2 - 1.5).max() < 0.03
    assert faces.max() < len(points) == len(values)
    # the direction need not change; of 400 directions the nearest to e_z is 4 degrees away, 11.5 of 255
    assert values.max() <= 12
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all(), "the surface is closed"


@pytest.mark.parametrize(
    ("points", "faces", "values", "message"),
    [
        ([[2, 0, 0]], [[0, 0, 0]], [0], r"points must lie in \[-1, 1\], got 2"),
        ([[1, 0, 0]], [[0, 0, 1]], [0], "triangles must be of 1 points, got point 1"),
        ([[1, 0, 0]], [[0, 0, 0]], [0, 1], "a value for each"),
        ([[1, 0, 0]], [[0, 0, 0]], [1.5], r"values must lie in \[0, 1\]"),
    ],
)
def test_a_mesh_that_is_none(points, faces, values, message):
    with pytest.raises(ValueError, match=message):
        Mesh(np.array(points, float), np.array(faces), np.array(values, float))


def test_the_shortest_screw_line_is_thick_and_the_section_dashed() -> None:
    ax = plt.figure().add_subplot(projection="3d")
    curves = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))
    viz.screw_lines(ax, curves, torch.tensor([2.0, 1.0, 3.0]), section=0)
    thick = max(ax.lines, key=lambda line: line.get_linewidth())
    [dashed] = [line for line in ax.lines if line.get_linestyle() == "--"]
    for line, i in ((thick, 1), (dashed, 0)):
        assert np.allclose(np.stack(line.get_data_3d()), curves[i, :, :3].T)
    assert len(ax.lines) == 4
