"""Pictures of the chapters that check statements: rows of titled images, curves with a reference slope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from pdegcnn_lib.companion.viz.style import COLORS, SIGNED_MAP

MARKERS = ("o", "s", "^", "D", "v")
SERIES = tuple(COLORS[name] for name in ("blue", "vermillion", "green", "purple", "orange"))


def titled_images(
    pictures: Mapping[str, Tensor], *, signed: Sequence[str] = (), bound: float | None = None
) -> Figure:
    """Images `[H, W]` in a row under their names; those named in `signed` with a diverging map around 0.

    `bound` fixes the scale of every picture (grey from 0, signed from -bound); without it each has its own.
    """
    width = min(1.75 * len(pictures), 7.2)
    figure, axes = plt.subplots(
        1, len(pictures), figsize=(width, width / len(pictures) + 0.35), squeeze=False
    )
    for ax, (name, picture) in zip(axes.flat, pictures.items(), strict=True):
        if name in signed:
            top = bound or float(picture.abs().max()) or 1.0
            ax.imshow(picture.numpy(), cmap=SIGNED_MAP, vmin=-top, vmax=top)
        else:
            ax.imshow(picture.numpy(), cmap="gray", vmin=0, vmax=bound)
        ax.set_title(name)
        ax.set_axis_off()
    return figure


def convergence(
    ax: Axes, sizes: Sequence[float], errors: Mapping[str, Sequence[float]], *, order: float | None = None
) -> None:
    """Errors against steps or spacings on logarithmic axes, a marked line per name, with a line of a given slope."""
    for (name, values), colour, marker in zip(errors.items(), SERIES, MARKERS, strict=False):
        ax.loglog(sizes, values, marker=marker, ms=4, color=colour, label=name)
    if order is not None:
        top = max(max(values) for values in errors.values())
        ends = (min(sizes), max(sizes))
        ax.loglog(ends, [1.6 * top * (s / ends[1]) ** order for s in ends], "--", lw=1, color="0.5")
        ax.annotate(
            f"slope {order:g}", (ends[1], 1.6 * top), color="0.35", fontsize=9, ha="right", va="bottom"
        )
    ax.set_xticks(sizes, [f"{size:.2g}" for size in sizes])  # last: `loglog` sets ticks of its own
    ax.xaxis.set_minor_locator(NullLocator())


def labelled_curves(ax: Axes, x: Tensor, curves: Mapping[str, Tensor]) -> None:
    """Curves over a common axis, told apart by colour and by line style; the first is thick and grey."""
    for i, (name, y) in enumerate(curves.items()):
        if i == 0:
            ax.plot(x, y, color="0.6", lw=3, label=name)
        else:
            style = ("-", "--", "-.", ":")[(i - 1) % 4]
            ax.plot(x, y, ls=style, color=SERIES[(i - 1) % len(SERIES)], label=name)
