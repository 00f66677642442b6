"""Pictures of kernels and of the metrics they come from."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from pdegcnn_lib.companion.viz.style import ANGULAR, LATERAL, MAIN, VALUE_MAP


def kernel_montage(kernel: Tensor, *, clip: float = 1.0) -> Figure:
    """A kernel on M2 at every orientation: `[Or, KOr, KH, KW]`, columns are orientations, rows are orientation steps.

    Small values (near p0) are dark; values above `clip` are drawn as `clip`.
    """
    orientations, steps = kernel.shape[:2]
    figure, axes = plt.subplots(
        steps, orientations, figsize=(0.85 * orientations, 0.92 * steps), squeeze=False
    )
    for o in range(orientations):
        for i in range(steps):
            ax = axes[i, o]
            drawn = ax.imshow(kernel[o, i].clamp(max=clip).numpy(), cmap=VALUE_MAP, vmin=0, vmax=clip)
            ax.set(xticks=[], yticks=[])
            for spine in ax.spines.values():
                spine.set_visible(False)
        axes[0, o].set_title(rf"${360 * o / orientations:g}°$", fontsize=9)
    for i in range(steps):
        axes[i, 0].set_ylabel(
            f"{i - steps // 2:+d}" if i != steps // 2 else "0", rotation=0, va="center", labelpad=10
        )
    figure.supylabel("orientation step of the neighbour", fontsize=9)
    figure.colorbar(drawn, ax=axes, shrink=0.7, label="$k$")
    return figure


def learned_metrics(layers: dict[str, list[list[float]]]) -> Figure:
    """The length scales of every channel, one panel per layer: points (w_main, w_lateral), shaded by w_angular.

    `layers` maps a name to rows (w_main, w_lateral, w_angular). On the diagonal the metric is isotropic in space.
    """
    columns = min(4, len(layers))
    rows = -(-len(layers) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.3 * columns, 2.3 * rows), squeeze=False, sharex=True, sharey=True
    )
    every = np.concatenate([np.asarray(w) for w in layers.values()])
    top = float(every[:, :2].max()) * 1.08
    for ax, (name, w) in zip(axes.flat, layers.items(), strict=False):
        values = np.asarray(w)
        ax.plot([0, top], [0, top], color="0.75", lw=1, zorder=0)
        drawn = ax.scatter(
            values[:, 0],
            values[:, 1],
            c=values[:, 2],
            cmap=VALUE_MAP,
            vmin=0,
            vmax=every[:, 2].max(),
            s=28,
            ec="0.2",
            lw=0.4,
        )
        ax.set(title=name, xlim=(0, top), ylim=(0, top), aspect="equal")
    for ax in axes.flat[len(layers) :]:
        ax.set_axis_off()
    figure.supxlabel("$w_M$ per pixel", color=MAIN, fontsize=10)
    figure.supylabel("$w_L$ per pixel", color=LATERAL, fontsize=10)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8)
    bar.set_label("$w_A$ per radian", color=ANGULAR)
    return figure
