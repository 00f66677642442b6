"""Pictures of the distance on M2 and of its estimates: error maps, wavefronts, geodesic fans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from pdegcnn_lib.companion.viz.style import ESTIMATE_LABELS, ESTIMATE_STYLES, MAIN, VALUE_MAP, arrow
from pdegcnn_lib.geometry import SE2, Geodesic

ERROR_LEVELS = (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)  # an error is read by its order of magnitude
BANDS = ("0.55", "0.72", "0.88")  # near is dark


def error_maps(errors: Mapping[str, Mapping[str, Tensor]], *, extent: float) -> Figure:
    """Relative errors over the square of positions: a row per estimate, a column per metric, the mean in each panel.

    `errors[estimate][title]` is a tensor `[H, W]` over [-extent, extent]^2, y downward as everywhere.
    """
    columns = list(next(iter(errors.values())))
    figure, axes = plt.subplots(
        len(errors), len(columns), figsize=(1.7 * len(columns), 1.42 * len(errors)), squeeze=False
    )
    norm = BoundaryNorm(ERROR_LEVELS, plt.get_cmap(VALUE_MAP).N)
    for row, (estimate, maps) in zip(axes, errors.items(), strict=True):
        for ax, title in zip(row, columns, strict=True):
            values = maps[title].numpy()
            drawn = ax.imshow(
                values, cmap=VALUE_MAP, norm=norm, extent=(-extent, extent, extent, -extent), aspect="equal"
            )
            ax.text(
                0.5,
                0.88,
                f"{float(values.mean()):.2f}",
                transform=ax.transAxes,
                ha="center",
                va="center",
                fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
            )
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(ESTIMATE_LABELS[estimate], rotation=0, ha="right", va="center", fontsize=12)
    for ax, title in zip(axes[0], columns, strict=True):
        ax.set_title(title)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, ticks=ERROR_LEVELS, spacing="uniform")
    bar.set_label("relative error")
    bar.ax.set_yticklabels([f"{level:g}" for level in ERROR_LEVELS])
    return figure


def wavefronts(
    axis: Tensor,
    distances: Mapping[str, Tensor],
    estimates: Mapping[str, Mapping[str, Tensor]],
    levels: Sequence[float],
) -> Figure:
    """The sets {d <= level} as grey bands under the borders of {estimate <= level}, at one to three growing levels.

    A row per metric, a column per estimate: `distances[title]` and `estimates[name][title]` are tensors `[n, n]` over
    axis x axis. A border inside its band belongs to an estimate that is too large there.
    Raises: ValueError for another number of levels, or levels that do not grow from above 0.
    """
    if not 1 <= len(levels) <= len(BANDS) or any(a >= b for a, b in zip([0, *levels], levels, strict=False)):
        raise ValueError(f"levels must be 1 to {len(BANDS)} growing positive numbers, got {list(levels)}")
    shape = (len(distances), len(estimates))
    figure, axes = plt.subplots(
        *shape, figsize=(1.75 * shape[1], 1.75 * shape[0]), squeeze=False, sharex=True, sharey=True
    )
    for row, (title, d) in zip(axes, distances.items(), strict=True):
        for ax, (name, values) in zip(row, estimates.items(), strict=True):
            ax.contourf(axis, axis, d, levels=[0, *levels], colors=BANDS[-len(levels) :])
            colour = ESTIMATE_STYLES[name]["colors"]
            border = ax.contour(axis, axis, values[title], levels=levels, colors=colour, linewidths=1.6)
            border.set_path_effects([withStroke(linewidth=3, foreground="white")])  # seen on every grey
            ax.set(aspect="equal", xticks=[], yticks=[])
        row[0].set_ylabel(title, rotation=0, ha="right", va="center")
    for ax, name in zip(axes[0], estimates, strict=True):
        ax.set_title(ESTIMATE_LABELS[name], fontsize=12)
    axes[0, 0].invert_yaxis()
    return figure


def estimate_handles(names: list[str]) -> list[plt.Line2D]:
    """The entries of a legend for `wavefront`."""
    handles = []
    for name in names:
        style = ESTIMATE_STYLES[name]
        handles.append(
            plt.Line2D(
                [],
                [],
                color=style["colors"],
                ls=style["linestyles"],
                lw=style["linewidths"],
                label=ESTIMATE_LABELS[name],
            )
        )
    return handles


def geodesic_fans(fans: Mapping[str, Geodesic], *, reach: float, lengths: tuple[float, float]) -> Figure:
    """The spatial curves of families of geodesics `[n, samples, 3]` from p0, two panels in a row, y downward.

    The colour is the length, from `lengths[0]` (dark) to `lengths[1]`; a grey arrow is the heading at the end, the
    vermillion one that at p0, and an open dot marks a cusp.
    """
    rows = -(-len(fans) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(7.0, 3.1 * rows), squeeze=False, sharex=True, sharey=True)
    colours = ScalarMappable(Normalize(*lengths), VALUE_MAP)
    for ax, (title, fan) in zip(axes.flat, fans.items(), strict=False):
        for points, reverses, length in zip(fan.points, fan.cusps(), fan.time[:, -1], strict=True):
            ax.plot(points[:, 0], points[:, 1], color=colours.to_rgba(length.numpy()), lw=1.6)
            at = points[1:][reverses]
            ax.plot(at[:, 0], at[:, 1], "o", ms=4, mfc="white", mec="black", mew=1.1, zorder=4)
            arrow(ax, points[-1], SE2.frame(points[-1])[:2, 0] * (0.13 * reach), colour="0.2")
        arrow(ax, points[0], SE2.frame(points[0])[:2, 0] * (0.3 * reach), colour=MAIN, width=0.014)
        ax.set(aspect="equal", title=title, xlim=(-reach, reach), ylim=(reach, -reach))
        ax.set(xlabel="$x$", ylabel="$y$")
        ax.label_outer()
    for ax in axes.flat[len(fans) :]:
        ax.set_axis_off()
    figure.colorbar(colours, ax=axes, shrink=0.6, label="length")
    return figure
