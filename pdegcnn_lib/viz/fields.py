"""Pictures of images and orientation scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from torch import Tensor

from pdegcnn_lib.viz.style import ORIENTATION_MAP, SIGNED_MAP, VALUE_MAP


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


def draw_score(ax: Axes3D, image: Tensor, score: Tensor, *, threshold: float, start: float) -> None:
    """Draw what `score_in_space` shows into given three-dimensional axes."""
    orientations, height, width = score.shape
    x, y = np.meshgrid(np.arange(width + 1) - 0.5, np.arange(height + 1) - 0.5)
    grey = plt.cm.gray_r(np.asarray(image / image.max()) * 0.8)
    floor = np.full_like(x, start - 20)
    ax.computed_zorder = False
    ax.plot_surface(x, y, floor, facecolors=grey, rstride=1, cstride=1, shade=False, zorder=0)
    o, row, column = np.nonzero(np.asarray(score > threshold * score.max()))
    theta = (360 * o / orientations - start) % 360 + start
    kept = theta < start + 180
    ax.scatter(
        column[kept],
        row[kept],
        theta[kept],
        c=theta[kept],
        cmap=ORIENTATION_MAP,
        s=7,
        lw=0,
        alpha=0.9,
        zorder=1,
    )
    ax.set(xlabel="$x$ in pixels", ylabel="$y$ in pixels", zlabel=r"$\theta$ in degrees")
    ax.set(zlim=(start - 20, start + 150), zticks=np.arange(start, start + 151, 30))
    ax.invert_yaxis()
    ax.view_init(elev=20, azim=-52)
    ax.set_box_aspect((1, 1, 0.95), zoom=0.82)


def score_in_space(image: Tensor, score: Tensor, *, threshold: float = 0.3, start: float = -60.0) -> Figure:
    """The strong responses of an orientation score as points of M2, above the image they come from.

    `score [Or, H, W]` on the full circle. Points above `threshold` times the maximum are drawn for the half circle
    of angles from `start` degrees; a line has two of opposite direction, the other half shows the same.
    """
    figure = plt.figure(figsize=(5.6, 4.6))
    ax = figure.add_subplot(projection="3d")
    draw_score(ax, image, score, threshold=threshold, start=start)
    return figure
