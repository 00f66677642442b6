"""Pictures of the distance on M2 and of its estimates: error maps, wavefronts, geodesic fans."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from torch import Tensor

from pdegcnn_lib.geometry import Geodesic
from pdegcnn_lib.viz.style import ANGULAR, ESTIMATE_LABELS, ESTIMATE_STYLES, MAIN, VALUE_MAP

ERROR_LEVELS = (0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)  # an error is read by its order of magnitude


def error_maps(errors: dict[str, dict[str, Tensor]], *, extent: float) -> Figure:
    """Relative errors over the square of positions: a row per estimate, a column per metric, the mean in each panel.

    `errors[estimate][title]` is a tensor `[H, W]` over [-extent, extent]^2, y downward as everywhere.
    """
    columns = list(next(iter(errors.values())))
    figure, axes = plt.subplots(
        len(errors), len(columns), figsize=(1.75 * len(columns), 1.42 * len(errors)), squeeze=False
    )
    norm = BoundaryNorm(ERROR_LEVELS, plt.get_cmap(VALUE_MAP).N)
    for row, (estimate, maps) in zip(axes, errors.items(), strict=True):
        for ax, title in zip(row, columns, strict=True):
            values = maps[title]
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


def wavefront(ax: Axes, x: Tensor, y: Tensor, values: dict[str, Tensor], level: float) -> None:
    """The sets {d <= level} and {estimate <= level} in a plane: the first filled, each border a line of its own style.

    `values` maps the name of an estimate, or "d", to a tensor `[len(y), len(x)]`.
    """
    if "d" in values:
        ax.contourf(x, y, values["d"], levels=[0, level], colors=["0.87"])
    for name, field in values.items():
        ax.contour(x, y, field, levels=[level], **ESTIMATE_STYLES[name])
    ax.set(aspect="equal", xlabel="$x$", ylabel="$y$")
    if not ax.yaxis_inverted():
        ax.invert_yaxis()


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


def geodesic_fan(ax: Axes, fan: Geodesic) -> None:
    """The spatial curves of a family of geodesics `[n, samples, 3]` from p0; a dot marks a reversal."""
    for points, reverses in zip(fan.points, fan.cusps(), strict=True):
        ax.plot(points[:, 0], points[:, 1], color="0.35", lw=0.9, zorder=1)
        at = points[1:][reverses]
        ax.plot(at[:, 0], at[:, 1], "o", color=ANGULAR, ms=3.2, zorder=2)
    ax.annotate(
        "", xy=(0.45, 0), xytext=(0, 0), arrowprops={"arrowstyle": "->", "lw": 2, "color": MAIN}, zorder=3
    )
    ax.set(aspect="equal", xlabel="$x$")
    if not ax.yaxis_inverted():
        ax.invert_yaxis()
