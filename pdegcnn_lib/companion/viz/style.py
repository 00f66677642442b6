"""Colours, names and sizes that every figure of the book shares."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from pdegcnn_lib.companion import paths

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
ESTIMATE_LABELS = {
    "d": "$d$",
    "rho_c": r"$\rho_c$",
    "rho_b": r"$\rho_b$",
    "rho_b_sr": r"$\rho_{b,sr}$",
    "rho_b_com": r"$\rho_{b,com}$",
    "rho_b_sr_covariant": r"$\rho_{b,sr}$, covariant",
    "rho_b_com_covariant": r"$\rho_{b,com}$, covariant",
}
ESTIMATE_STYLES: dict[str, dict[str, Any]] = {
    "d": {"colors": COLORS["black"], "linestyles": "solid", "linewidths": 2.4},
    "rho_c": {"colors": COLORS["orange"], "linestyles": "dashed", "linewidths": 1.8},
    "rho_b": {"colors": COLORS["sky"], "linestyles": "dashdot", "linewidths": 1.8},
    "rho_b_sr": {"colors": COLORS["purple"], "linestyles": "dotted", "linewidths": 2.2},
    "rho_b_com": {"colors": COLORS["green"], "linestyles": "solid", "linewidths": 1.8},
    "rho_b_sr_covariant": {"colors": COLORS["yellow"], "linestyles": "dotted", "linewidths": 2.2},
    "rho_b_com_covariant": {"colors": COLORS["blue"], "linestyles": "dashed", "linewidths": 1.8},
}

DIGIT_LABELS = {
    "digits-lenet5": "LeNet-5",
    "digits-gcnn": "G-CNN, flat head",
    "digits-gcnn-invariant": "G-CNN, invariant head",
    "digits-pdegcnn": "PDE-G-CNN, flat head",
    "digits-pdegcnn-invariant": "PDE-G-CNN, invariant head",
    "digits-pdegcnn-de": "PDE-G-CNN, no convection",
    "digits-pdecnn-de": "PDE-CNN on R², no convection",
}
DIGIT_STYLES: dict[str, dict[str, Any]] = {
    "digits-lenet5": {"color": COLORS["orange"], "marker": "s"},
    "digits-gcnn": {"color": COLORS["sky"], "marker": "v"},
    "digits-gcnn-invariant": {"color": COLORS["blue"], "marker": "^"},
    "digits-pdegcnn": {"color": COLORS["purple"], "marker": "D"},
    "digits-pdegcnn-invariant": {"color": COLORS["green"], "marker": "o"},
    "digits-pdegcnn-de": {"color": COLORS["vermillion"], "marker": "P"},
    "digits-pdecnn-de": {"color": COLORS["black"], "marker": "X"},
}
FAMILY_LABELS = {
    "cnn": "CNN",
    "gcnn": "G-CNN",
    "pdegcnn": "PDE-G-CNN",
    "pdecnn": "PDE-CNN",
    "lenet": "LeNet-5",
    "unet": "U-Net",
}
FAMILY_STYLES: dict[str, dict[str, Any]] = {
    "cnn": {"color": COLORS["orange"], "marker": "s"},
    "gcnn": {"color": COLORS["sky"], "marker": "^"},
    "pdegcnn": {"color": COLORS["green"], "marker": "o"},
    "pdecnn": {"color": COLORS["purple"], "marker": "D"},
    "unet": {"color": COLORS["vermillion"], "marker": "v"},
}
_VESSELS = re.compile(r"vessels-(pdegcnn|pdecnn|gcnn|cnn|unet)(\d+)?(?:-narrow)?(?:-(.+))?")


def label(variant: str) -> str:
    """What a reader calls a network or a variant of one: `vessels-pdegcnn6-rho_b` is `PDE-G-CNN, 6 layers, rho_b`."""
    if variant in DIGIT_LABELS:
        return DIGIT_LABELS[variant]
    found = _VESSELS.fullmatch(variant)
    if found is None:
        return variant
    changed = f", {found[3].replace('-', ' ')}" if found[3] else ""
    layers = f", {found[2]} layers" if found[2] else ""
    return f"{FAMILY_LABELS[found[1]]}{layers}{changed}"


def short_label(variant: str) -> str:
    """The label without the word layers, to stand beside a point of a figure."""
    return label(variant).replace(" layers", "")


def model_style(model: str) -> dict[str, Any]:
    """Colour and marker of a network: its own among digits, that of its family among vessels, grey otherwise."""
    if model in DIGIT_STYLES:
        return DIGIT_STYLES[model]
    found = _VESSELS.fullmatch(model)
    return FAMILY_STYLES.get(found[1] if found else "", {"color": "0.5", "marker": "x"})


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


def save(figure: Figure, path: Path, **options: Any) -> Path:
    """Write a figure as PNG, atomically, and close it; `options` are those of matplotlib's `savefig`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", **options)
    plt.close(figure)
    return paths.write_atomically(path, buffer.getvalue())


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
