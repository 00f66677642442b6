"""Pictures of space: surfaces in a volume, the kernel of a metric on M3, and directions on the sphere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from torch import Tensor

from pdegcnn_lib.companion.viz.shapes import LIGHT
from pdegcnn_lib.companion.viz.style import COLORS, MAIN, VALUE_MAP
from pdegcnn_lib.companion.viz.turning import Mesh, turning
from pdegcnn_lib.geometry import m3, octahedral

if TYPE_CHECKING:
    from IPython.display import HTML


def _shaded(ax: Any, volume: np.ndarray, level: float, colours: Callable[[np.ndarray], np.ndarray]) -> None:
    """The surface {volume = level} on an axis, lit from one side; indices z, y, x, drawn with z upward."""
    from skimage.measure import marching_cubes

    padded = np.pad(volume, 1, constant_values=volume.min())
    vertices, faces, normals, _ = marching_cubes(padded, level)
    points = (vertices - 1)[:, ::-1]  # (x, y, z)
    light = (normals[:, ::-1][faces].mean(axis=1)) @ LIGHT
    shade = (0.55 + 0.45 * np.abs(light))[:, None]
    triangles = points[faces]
    rgb = np.asarray(colours(triangles.mean(axis=1)))[..., :3] * shade
    ax.add_collection3d(Poly3DCollection(triangles, facecolors=rgb, edgecolors=rgb, linewidths=0.1))


def _frame(ax: Any, size: tuple[int, ...], title: str) -> None:
    ax.set(title=title, xlim=(0, size[2]), ylim=(0, size[1]), zlim=(0, size[0]))
    ax.set(xticks=[], yticks=[], zticks=[])
    ax.set_box_aspect(size[::-1], zoom=1.1)
    ax.view_init(elev=24, azim=-55)


def surfaces(volumes: Mapping[str, Tensor], *, level: float = 0.5, columns: int = 3) -> Figure:
    """The surface {f = level} of every volume `[D, H, W]`, as masks or probabilities have one, seen from one side.

    Raises: ValueError for a volume that the level does not cross.
    """
    rows = -(-len(volumes) // columns)
    figure = plt.figure(figsize=(2.6 * columns, 2.7 * rows))
    colour = plt.matplotlib.colors.to_rgb(COLORS["sky"])
    for i, (title, volume) in enumerate(volumes.items()):
        f = volume.double().numpy()
        if not f.min() < level < f.max():
            raise ValueError(
                f"level must lie between {f.min():.3g} and {f.max():.3g} in {title!r}, got {level}"
            )
        ax = figure.add_subplot(rows, columns, i + 1, projection="3d")
        _shaded(ax, f, level, lambda at: np.broadcast_to(colour, at.shape))
        _frame(ax, f.shape, title)
    return figure


Scales = Mapping[str, Tensor]


def _least(w: Tensor, level: float, reach: float, n: int, title: str) -> tuple[np.ndarray, np.ndarray]:
    """The least rho_b from (0, e_z) to any direction at positions on a grid, and the angle of that direction to e_z."""
    at = torch.linspace(-reach, reach, n, dtype=torch.float64)
    z, y, x = torch.meshgrid(at, at, at, indexing="ij")
    place = torch.stack([x, y, z], dim=-1)
    index = torch.arange(400, dtype=torch.float64) + 0.5
    height, turn = 1 - index / 200, index * (np.pi * (3 - 5**0.5))
    ring = (1 - height**2).sqrt()
    n_all = torch.stack([ring * torch.cos(turn), ring * torch.sin(turn), height], dim=-1)
    origin = torch.tensor([0, 0, 0, 0, 0, 1], dtype=torch.float64)
    least, best = torch.full_like(x, torch.inf), torch.zeros_like(x)
    for direction in n_all:
        p = torch.cat([place, direction.expand_as(place)], dim=-1)
        rho = m3.rho_b(origin, p, w)
        best = torch.where(rho < least, direction[2].clamp(-1, 1).abs().arccos(), best)
        least = torch.minimum(least, rho)
    if not least.min() < level < least.max():
        raise ValueError(f"level must be below {float(least.max()):.3g} in {title!r}, got {level}")
    return least.numpy(), best.numpy()


def reach_on_m3(scales: Scales, *, level: float = 1.5, reach: float = 2.0, n: int = 25) -> Figure:
    r"""For each metric w the positions that some direction reaches within `level` of p0 = (0, e_z).

    That is the surface $\min_n \rho_b(p_0, (x, n)) = level$; its colour is the angle between the best n and e_z, from 0
    (dark) to a right angle. Raises: ValueError for a level that is not crossed.
    """
    figure = plt.figure(figsize=(2.7 * len(scales), 3.0))
    for i, (title, w) in enumerate(scales.items()):
        least, angles = _least(w, level, reach, n, title)
        ax = figure.add_subplot(1, len(scales), i + 1, projection="3d")

        def colours(points: np.ndarray, angles: np.ndarray = angles) -> np.ndarray:
            nearest = points.round().astype(int).clip(0, n - 1)[:, ::-1].T
            return plt.get_cmap(VALUE_MAP)(angles[tuple(nearest)] / (np.pi / 2))

        _shaded(ax, -least, -level, colours)
        _frame(ax, (n - 1,) * 3, title)
        ax.quiver(*[(n - 1) / 2] * 3, 0, 0, (n - 1) / 2, color=MAIN, linewidth=2)
    return figure


def turning_reach_on_m3(scales: Scales, *, level: float = 1.5, reach: float = 2.0, n: int = 19) -> HTML:
    """The surfaces of `reach_on_m3`, one at a time, for the reader to turn."""
    from skimage.measure import marching_cubes

    meshes = {}
    for title, w in scales.items():
        least, angles = _least(w, level, reach, n, title)
        padded = np.pad(-least, 1, constant_values=-least.max())
        vertices, faces, _, _ = marching_cubes(padded, -level)
        nearest = (vertices - 1).round().astype(int).clip(0, n - 1).T
        points = ((vertices - 1)[:, ::-1] * 2 / (n - 1) - 1).clip(-1, 1)
        meshes[title] = Mesh(points, faces, angles[tuple(nearest)] / (np.pi / 2))
    return turning(meshes, "the positions that some direction reaches, around an arrow")


def direction_sets(counts: tuple[int, ...] = (6, 14, 18, 26)) -> Figure:
    """Sets of directions on the sphere, from one side; a segment joins each to its neighbours in the usual window."""
    from pdegcnn_lib.spaces import M3

    figure = plt.figure(figsize=(2.1 * len(counts), 2.4))
    for i, count in enumerate(counts):
        ax = figure.add_subplot(1, len(counts), i + 1, projection="3d")
        n = octahedral.directions(count).numpy()
        lists = M3(count).neighbours(M3(count).default_window())
        for a, b in (lists >= 0).nonzero().tolist():
            ends = n[[a, int(lists[a, b])]]
            ax.plot(*ends.T, color="0.7", lw=0.7)
        depth = n @ np.array([0.5, -0.7, 0.5])
        ax.scatter(*n.T, c=depth, cmap=VALUE_MAP, s=24, depthshade=False)
        ax.set(title=f"{count} directions", xticks=[], yticks=[], zticks=[])
        ax.set_box_aspect((1, 1, 1), zoom=1.2)
        ax.view_init(elev=20, azim=-60)
    return figure


def screw_lines(ax: Any, curves: Tensor, lengths: Tensor, *, section: int) -> None:
    """Curves of points of M3 `[n, samples, 6]` with common ends, on a 3-d axis, coloured by `lengths [n]`.

    Dark is short; the shortest is thick, number `section` dashed. Arrows show the directions at the two ends.
    """
    low, high = float(lengths.min()), float(lengths.max())
    order = lengths.argsort(descending=True).tolist()  # the shortest is drawn last
    for i in order:
        shade = plt.get_cmap(VALUE_MAP)(0.95 * (float(lengths[i]) - low) / (high - low))
        if i == order[-1]:
            ax.plot(*curves[i, :, :3].T, color=COLORS["green"], lw=3.5)
        else:
            ax.plot(*curves[i, :, :3].T, color=shade, lw=1)
    ax.plot(*curves[section, :, :3].T, "--", color="black", lw=1.8)
    for end in (curves[0, 0], curves[0, -1]):
        ax.quiver(*end[:3].tolist(), *end[3:].tolist(), length=0.5, color=COLORS["black"], linewidth=2)
    ax.set_aspect("equal")
    ax.set_box_aspect(None, zoom=1.2)
    ax.view_init(elev=-8, azim=8)
    ax.set_axis_off()
