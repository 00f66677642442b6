"""Colours, names and sizes that every figure of the book shares."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl

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
}
ESTIMATE_STYLES: dict[str, dict[str, Any]] = {
    "d": {"colors": COLORS["black"], "linestyles": "solid", "linewidths": 2.4},
    "rho_c": {"colors": COLORS["orange"], "linestyles": "dashed", "linewidths": 1.8},
    "rho_b": {"colors": COLORS["sky"], "linestyles": "dashdot", "linewidths": 1.8},
    "rho_b_sr": {"colors": COLORS["purple"], "linestyles": "dotted", "linewidths": 2.2},
    "rho_b_com": {"colors": COLORS["green"], "linestyles": "solid", "linewidths": 1.8},
}

MODEL_COLORS = {
    "digits-lenet5": COLORS["orange"],
    "digits-gcnn": COLORS["sky"],
    "digits-gcnn-invariant": COLORS["blue"],
    "digits-pdegcnn": COLORS["purple"],
    "digits-pdegcnn-invariant": COLORS["green"],
}
MODEL_LABELS = {
    "digits-lenet5": "LeNet-5",
    "digits-gcnn": "G-CNN, flat head",
    "digits-gcnn-invariant": "G-CNN, invariant head",
    "digits-pdegcnn": "PDE-G-CNN, flat head",
    "digits-pdegcnn-invariant": "PDE-G-CNN, invariant head",
}
MODEL_MARKERS = {
    "digits-lenet5": "s",
    "digits-gcnn": "v",
    "digits-gcnn-invariant": "^",
    "digits-pdegcnn": "D",
    "digits-pdegcnn-invariant": "o",
}


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
