"""Pictures of images and orientation scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from torch import Tensor

from pdegcnn_lib.companion.viz.style import ORIENTATION_MAP, SIGNED_MAP, VALUE_MAP


def orientation_montage(image: Tensor, score: Tensor, *, signed: bool = True) -> Figure:
    """An image `[H, W]` and its orientation score `[Or, H, W]`, one slice per orientation, with a common scale."""
    orientations = len(score)
    columns = 1 + math.ceil(orientations / 2)
    figure, axes = plt.subplots(2, columns, figsize=(1.5 * columns, 3.2))
    axes[0, 0].imshow(image.numpy(), cmap="gray")
    axes[0, 0].set_title("image")
    bound = float(score.abs().max())
    style = {"cmap": SIGNED_MAP, "vmin": -bound, "vmax": bound} if signed else {"cmap": VALUE_MAP}
    for i, ax in zip(range(orientations), axes[:, 1:].flat, strict=False):
        ax.imshow(score[i].numpy(), **style)
        theta = 2 * math.pi * i / orientations
        ax.set_title(rf"$\theta = {360 * i / orientations:g}°$")
        # The direction of the slice, drawn in the corner; rows grow downward, as theta does.
        ax.annotate(
            "",
            xy=(0.12 + 0.1 * math.cos(theta), 0.12 - 0.1 * math.sin(theta)),
            xytext=(0.12 - 0.1 * math.cos(theta), 0.12 + 0.1 * math.sin(theta)),
            xycoords="axes fraction",
            arrowprops={"arrowstyle": "->", "lw": 1.4},
        )
    for ax in axes.flat:
        ax.set_axis_off()
    return figure


def image_rows(rows: Sequence[Tensor], *, size: float = 0.75) -> Figure:
    """Rows of grey images, each row a tensor `[N, H, W]`; `size` is the width of one in inches."""
    figure, axes = plt.subplots(
        len(rows), len(rows[0]), figsize=(size * len(rows[0]), (size + 0.05) * len(rows)), squeeze=False
    )
    for row, images in zip(axes, rows, strict=True):
        for ax, image in zip(row, images, strict=True):
            ax.imshow(image.numpy(), cmap="gray")
            ax.set_axis_off()
    return figure


def ridges(score: Tensor, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The maxima over theta of a score `[Or, H, W]` above a fraction of the largest: column, row, theta, strength.

    theta is in degrees and refined by a parabola through the three samples around each maximum.
    """
    before, after = score.roll(1, 0), score.roll(-1, 0)
    at = (score > before) & (score >= after) & (score > threshold * score.max())
    o, row, column = (index.numpy() for index in at.nonzero(as_tuple=True))
    low, middle, high = (part[at].numpy() for part in (before, score, after))
    offset = (low - high) / (2 * (low - 2 * middle + high))
    return column, row, (o + offset) * (360 / len(score)), middle / float(score.max())


def draw_score(
    ax: Axes3D,
    image: Tensor,
    score: Tensor,
    *,
    threshold: float,
    start: float,
    top: float,
    pole: tuple | None,
    zoom: float = 0.95,
) -> None:
    """Draw what `score_in_space` shows into given three-dimensional axes."""
    height, width = image.shape
    floor = start - 0.25 * (top - start)
    x, y = np.meshgrid(np.arange(width + 1) - 0.5, np.arange(height + 1) - 0.5)
    grey = plt.cm.gray_r(np.asarray(image / image.max()) * 0.85)
    ax.computed_zorder = False
    ax.plot_surface(
        x, y, np.full_like(x, floor), facecolors=grey, rstride=1, cstride=1, shade=False, zorder=0
    )
    column, row, theta, strength = ridges(score, threshold)
    theta = (theta - start) % 360 + start
    kept = theta < top
    colours = {"c": theta[kept], "cmap": ORIENTATION_MAP, "vmin": start, "vmax": top}
    ax.scatter(
        *(part[kept] for part in (column, row, theta)),
        s=4 + 14 * strength[kept],
        lw=0,
        alpha=0.95,
        depthshade=False,
        zorder=1,
        **colours,
    )
    if pole is not None:
        ax.plot([pole[0]] * 2, [pole[1]] * 2, [floor, pole[2]], "k:", lw=1.3, zorder=2)
    ax.set(xlabel="$x$ in pixels", ylabel="$y$ in pixels", zlabel=r"$\theta$ in degrees")
    ax.set(xticks=range(0, width, 20), yticks=range(0, height, 20))
    ax.set(zlim=(floor, top), zticks=np.arange(math.ceil(start / 30) * 30, top + 1, 30))
    ax.invert_yaxis()
    ax.view_init(elev=17, azim=-62)
    ax.set_box_aspect((1.15, 1.15, 1), zoom=zoom)


def score_in_space(
    image: Tensor,
    score: Tensor,
    *,
    threshold: float = 0.3,
    start: float = -45.0,
    top: float = 75.0,
    pole: tuple[float, float, float] | None = None,
) -> Figure:
    """The crests of an orientation score as points of M2, above the image `[H, W]` that they come from.

    `score [Or, H, W]` on the full circle. A point is drawn where the score has a maximum over theta that exceeds
    `threshold` times the largest, for theta from `start` to `top` degrees: a line has two of opposite direction, so
    half of the circle shows everything. `pole` = (x, y, theta) draws a dotted line from that pixel up to that height.
    Raises: ValueError where image and score do not fit, or for a range of more than half a circle.
    """
    if score.ndim != 3 or score.shape[1:] != image.shape:
        raise ValueError(f"score must be [Or, {', '.join(map(str, image.shape))}], got {list(score.shape)}")
    if not 0 < top - start <= 180:
        raise ValueError(f"top must lie at most half a circle above start, got {start} to {top} degrees")
    figure = plt.figure(figsize=(6.4, 4.9))
    ax = figure.add_subplot(projection="3d")
    draw_score(ax, image, score, threshold=threshold, start=start, top=top, pole=pole)
    return figure
