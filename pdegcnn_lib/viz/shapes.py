"""The shape of a kernel on M2: its level surfaces, and the association field that it spans on the plane."""

from __future__ import annotations

import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from pdegcnn_lib.viz.style import ORIENTATION_MAP, VALUE_MAP

Distance = Callable[[Tensor], Tensor]


def _grid(x: Tensor, theta: Tensor) -> Tensor:
    return torch.stack(torch.meshgrid(x, x, theta, indexing="xy"), dim=-1)  # [y, x, theta, 3]


def level_surfaces(
    distances: dict[str, Distance], *, level: float = 2.5, reach: float = 3.0, n: int = 61
) -> Figure:
    """The surface of the points of M2 at distance `level` from p0, one panel per distance `p [..., 3]` -> `[...]`.

    Height and colour are theta. A level surface of the distance is one of every kernel that is made from it.
    """
    from skimage.measure import marching_cubes

    x = torch.linspace(-reach, reach, n, dtype=torch.float64)
    theta = torch.linspace(-math.pi, math.pi, n, dtype=torch.float64)
    points = _grid(x, theta)
    figure = plt.figure(figsize=(2.7 * len(distances), 3.0))
    for i, (title, distance) in enumerate(distances.items()):
        vertices, faces, _, _ = marching_cubes(distance(points).numpy(), level)
        y, x_, t = (
            np.interp(v, np.arange(n), axis.numpy())
            for v, axis in zip(vertices.T, (x, x, theta), strict=True)
        )
        ax = figure.add_subplot(1, len(distances), i + 1, projection="3d")
        surface = ax.plot_trisurf(x_, y, t, triangles=faces, cmap=ORIENTATION_MAP, lw=0, antialiased=False)
        surface.set_clim(-math.pi, math.pi)
        ax.set(title=title, xlim=(-reach, reach), ylim=(reach, -reach), zlim=(-math.pi, math.pi))
        ax.set(
            xlabel="$x$",
            ylabel="$y$",
            xticks=[-reach, 0, reach],
            yticks=[-reach, 0, reach],
            zticks=[-math.pi, 0, math.pi],
            zticklabels=[r"$-\pi$", "0", r"$\pi$"],
        )
        ax.view_init(elev=22, azim=-60)
        ax.set_box_aspect((1, 1, 1), zoom=0.92)
    return figure


def association_fields(
    kernels: dict[str, Distance], *, reach: float = 3.0, n: int = 17, clip: float = 1.0
) -> Figure:
    """At each position the orientation that a kernel `p [..., 3]` -> `[...]` holds for the nearest, and how near.

    A segment is drawn where the least value over theta is below `clip`; dark segments belong to p0.
    """
    x = torch.linspace(-reach, reach, n, dtype=torch.float64)
    theta = torch.linspace(-math.pi / 2, math.pi / 2, 181, dtype=torch.float64)[:-1]
    points = _grid(x, theta)
    figure, axes = plt.subplots(1, len(kernels), figsize=(2.7 * len(kernels), 2.9), squeeze=False)
    half = 0.4 * float(x[1] - x[0])
    for ax, (title, kernel) in zip(axes[0], kernels.items(), strict=True):
        value, best = (part.numpy() for part in kernel(points).min(dim=-1))
        angle = theta.numpy()[best]
        column, row = np.meshgrid(x.numpy(), x.numpy())
        step = half * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        middle = np.stack([column, row], axis=-1)
        kept = value < clip
        segments = np.stack([middle - step, middle + step], axis=-2)[kept]
        drawn = LineCollection(list(segments), cmap=VALUE_MAP, lw=1.6, array=value[kept])
        drawn.set_clim(0, clip)
        ax.add_collection(drawn)
        ax.set(
            title=title, xlim=(-reach - 0.3, reach + 0.3), ylim=(reach + 0.3, -reach - 0.3), aspect="equal"
        )
        ax.set(xlabel="$x$", yticks=[-reach, 0, reach], xticks=[-reach, 0, reach])
    axes[0, 0].set_ylabel("$y$")
    figure.colorbar(drawn, ax=axes, shrink=0.8, label="least $k$ over $\\theta$")
    return figure
