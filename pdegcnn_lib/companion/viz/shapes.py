"""The shape of a kernel on M2: its level surfaces, and the association field that it spans on the plane."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from torch import Tensor

from pdegcnn_lib.companion.viz.style import MAIN, ORIENTATION_MAP, VALUE_MAP, arrow
from pdegcnn_lib.geometry import exponential_curve

Distance = Callable[[Tensor], Tensor]
LIGHT = np.array([-0.45, 0.6, 0.65]) / np.linalg.norm([-0.45, 0.6, 0.65])
CURVATURES = (0.0, 0.3, -0.3, 0.6, -0.6, 1.0, -1.0, 1.5, -1.5)


def _grid(x: Tensor, theta: Tensor) -> Tensor:
    return torch.stack(torch.meshgrid(x, x, theta, indexing="xy"), dim=-1)  # [y, x, theta, 3]


def _surface(distance: Distance, level: float, reach: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles `[m, 3, 3]` of {distance = level}, as (x, y, theta), and the cosines of their normals to the light.

    Every distance here is even in y and theta together, so half of the volume is computed.
    """
    from skimage.measure import marching_cubes

    x = torch.linspace(-reach, reach, n, dtype=torch.float64)
    theta = torch.linspace(0, math.pi, (n + 1) // 2, dtype=torch.float64)
    upper = distance(_grid(x, theta)).numpy()
    volume = np.concatenate([upper[::-1, :, :0:-1], upper], axis=2)
    if not volume.min() < level < volume.max():
        raise ValueError(
            f"level must lie between {volume.min():.3g} and {volume.max():.3g}, the values on the grid, got {level}"
        )
    vertices, faces, normals, _ = marching_cubes(volume, level)
    step = np.array([2 * reach, 2 * reach, 2 * math.pi]) / (n - 1)
    points = (vertices * step - [reach, reach, math.pi])[:, [1, 0, 2]]
    normals = (normals / step)[:, [1, 0, 2]]
    normals = normals[faces].mean(axis=1)
    return points[faces], normals @ LIGHT / np.linalg.norm(normals, axis=1)


def level_surfaces(
    distances: Mapping[str, Distance], *, level: float = 2.5, reach: float = 3.0, n: int = 49
) -> Figure:
    """The surface of the points of M2 at distance `level` from p0, with its shadow on the plane, two in a row.

    `distances` maps a title to a distance `p [..., 3]` -> `[...]` that is even in (y, theta). Height and colour are
    theta. A level surface of the distance is one of every kernel that is made from it.
    Raises: ValueError for an even n or for a level that the distance does not cross.
    """
    if n % 2 == 0:
        raise ValueError(f"n must be odd, so that the grid has a slice at theta = 0, got {n}")
    rows = -(-len(distances) // 2)
    figure = plt.figure(figsize=(7.0, 3.4 * rows))
    for i, (title, distance) in enumerate(distances.items()):
        triangles, light = _surface(distance, level, reach, n)
        colours = plt.get_cmap(ORIENTATION_MAP)(triangles[:, :, 2].mean(axis=1) / (2 * math.pi) + 0.5)
        colours[:, :3] *= (0.55 + 0.45 * np.abs(light))[:, None]
        ax = figure.add_subplot(rows, 2, i + 1, projection="3d")
        ax.computed_zorder = False
        shadow = triangles * [1, 1, 0] - [0, 0, math.pi]
        for part, colour, order in ((shadow, "0.8", 0), (triangles, colours, 1)):
            ax.add_collection3d(
                Poly3DCollection(part, facecolors=colour, edgecolors=colour, linewidths=0.2, zorder=order)
            )
        ax.set(title=title, xlim=(-reach, reach), ylim=(reach, -reach), zlim=(-math.pi, math.pi))
        ax.set(xlabel="$x$", ylabel="$y$", xticks=[-reach, 0, reach], yticks=[-reach, 0, reach])
        ax.set(zticks=[-math.pi, 0, math.pi], zticklabels=[r"$-\pi$", r"$\theta = 0$", r"$\pi$"])
        ax.view_init(elev=24, azim=-38)
        ax.set_box_aspect((1, 1, 1), zoom=0.9)
    return figure


def association_fields(
    kernels: Mapping[str, Distance], *, reach: float = 3.0, n: int = 19, clip: float = 1.0
) -> Figure:
    """At each position the orientation that a kernel `p [..., 3]` -> `[...]` holds for the nearest, and how near.

    A segment is drawn where the least value over theta is below `clip`; thick and dark segments belong to p0 (arrow).
    Grey curves are circles through p0 along its direction. Two panels in a row.
    """
    x = torch.linspace(-reach, reach, n, dtype=torch.float64)
    theta = torch.linspace(-math.pi / 2, math.pi / 2, 181, dtype=torch.float64)[:-1]
    points = _grid(x, theta)
    rows = -(-len(kernels) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(7.2, 2.9 * rows), squeeze=False, sharex=True, sharey=True)
    half = 0.42 * float(x[1] - x[0])
    for ax, (title, kernel) in zip(axes.flat, kernels.items(), strict=False):
        value, best = (part.numpy() for part in kernel(points).min(dim=-1))
        angle = theta.numpy()[best]
        step = half * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        middle = np.stack(np.meshgrid(x.numpy(), x.numpy()), axis=-1)
        kept = value < clip
        segments = np.stack([middle - step, middle + step], axis=-2)[kept]
        widths = 0.9 + 2.6 * (1 - value[kept] / clip)
        drawn = LineCollection(list(segments), cmap=VALUE_MAP, lw=widths, array=value[kept], capstyle="round")
        drawn.set_clim(0, clip)
        ax.add_collection(drawn)
        for curvature in CURVATURES:
            for way in (1.5 * reach, -1.5 * reach):
                length = way if abs(curvature * way) < 2.4 else math.copysign(2.4 / curvature, way)
                circle = exponential_curve(torch.tensor([length, 0.0, curvature * length]))
                ax.plot(circle[:, 0], circle[:, 1], color="0.8", lw=0.8, zorder=0)
        arrow(
            ax,
            torch.tensor([-0.12 * reach, 0.0]),
            torch.tensor([0.24 * reach, 0.0]),
            colour=MAIN,
            width=0.012,
        )
        ax.set(title=title, xlim=(-reach - 0.2, reach + 0.2), ylim=(0.87 * reach, -0.87 * reach))
        ax.set(aspect="equal", xlabel="$x$", ylabel="$y$")
        ax.label_outer()
    for ax in axes.flat[len(kernels) :]:
        ax.set_axis_off()
    figure.colorbar(drawn, ax=axes, shrink=0.7, label="least $k$ over $\\theta$")
    return figure
