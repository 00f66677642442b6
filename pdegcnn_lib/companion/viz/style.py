"""Colours, names and sizes that every figure of the book shares."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pdegcnn_lib.companion import paths
from pdegcnn_lib.geometry import ESTIMATES

# Okabe and Ito's palette: told apart by the colour-blind; the order of lightness survives in grey.
COLORS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
MAIN, LATERAL, ANGULAR = COLORS["vermillion"], COLORS["blue"], COLORS["green"]
ORIENTATION_MAP = "plasma"  # angles of a half circle, beside an axis that shows them
VALUE_MAP = "cividis"
SIGNED_MAP = "PuOr"

# The distance and its estimates: told apart by the line style where colour is lost.
ESTIMATE_LABELS = {"d": "$d$", **{name: estimate.label for name, estimate in ESTIMATES.items()}}
ESTIMATE_STYLES: dict[str, dict[str, Any]] = {
    "d": {"colors": COLORS["black"], "linestyles": "solid", "linewidths": 2.4},
    "rho_c": {"colors": COLORS["orange"], "linestyles": "dashed", "linewidths": 1.8},
    "rho_b": {"colors": COLORS["sky"], "linestyles": "dashdot", "linewidths": 1.8},
    "rho_b_sr": {"colors": COLORS["purple"], "linestyles": "dotted", "linewidths": 2.2},
    "rho_b_com": {"colors": COLORS["green"], "linestyles": "solid", "linewidths": 1.8},
    "rho_b_sr_covariant": {"colors": COLORS["yellow"], "linestyles": "dotted", "linewidths": 2.2},
    "rho_b_com_covariant": {"colors": COLORS["blue"], "linestyles": "dashed", "linewidths": 1.8},
}


def arrow(ax: Axes, start: Tensor, step: Tensor, *, colour: str, width: float = 0.009) -> None:
    """An arrow in data units from `start` along `step`: a heading. Only the first two components are read."""
    ax.quiver(
        *start[:2].tolist(),
        *step[:2].tolist(),
        angles="xy",
        scale_units="xy",
        scale=1,
        width=width,
        color=colour,
        zorder=5,
    )


def _png(figure: Figure, **options: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", **options)
    plt.close(figure)
    return buffer


def save(figure: Figure, path: Path, **options: Any) -> Path:
    """Write a figure as PNG, atomically, and close it; `options` are those of matplotlib's `savefig`."""
    return paths.write_atomically(path, _png(figure, **options).getvalue())


def pixels(figure: Figure) -> np.ndarray:
    """A figure as pixels `[H, W, 3]` of 8 bits; it is closed."""
    from PIL import Image

    return np.asarray(Image.open(_png(figure)).convert("RGB"))


def use_style() -> None:
    """Set matplotlib's defaults for the book: vector output, quiet axes, readable at phone width."""
    mpl.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 110,
            "savefig.facecolor": "white",
            "savefig.bbox": "tight",
            "figure.constrained_layout.use": True,
            "figure.figsize": (7.0, 3.2),
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 10,
            "axes.grid": False,
            "legend.frameon": False,
            "image.cmap": VALUE_MAP,
            "image.interpolation": "nearest",
            "lines.linewidth": 1.8,
            "svg.fonttype": "none",
        }
    )
