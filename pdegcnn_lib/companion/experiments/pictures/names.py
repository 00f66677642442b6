"""What networks are called and how they are drawn, the same in every table and picture of results."""

from __future__ import annotations

import re
from typing import Any

from pdegcnn_lib import models
from pdegcnn_lib.companion.experiments.registry import title
from pdegcnn_lib.companion.viz.style import COLORS
from pdegcnn_lib.companion.viz.tables import thousands

FAMILY_LABELS = {"cnn": "CNN", "gcnn": "G-CNN", "pdegcnn": "PDE-G-CNN", "lenet": "LeNet-5", "unet": "U-Net"}
# By family and space: among vessels a family is one colour.
STYLES: dict[tuple[str, str], dict[str, Any]] = {
    ("cnn", "Plane"): {"color": COLORS["orange"], "marker": "s"},
    ("lenet", "Plane"): {"color": COLORS["orange"], "marker": "s"},
    ("gcnn", "M2"): {"color": COLORS["sky"], "marker": "^"},
    ("pdegcnn", "M2"): {"color": COLORS["green"], "marker": "o"},
    ("unet", "Plane"): {"color": COLORS["vermillion"], "marker": "v"},
    ("cnn", "Volume"): {"color": COLORS["orange"], "marker": "s"},
    ("gcnn", "M3"): {"color": COLORS["sky"], "marker": "^"},
    ("pdegcnn", "M3"): {"color": COLORS["green"], "marker": "o"},
    ("pdegcnn", "Plane"): {"color": COLORS["purple"], "marker": "D"},
}
# Among digits a figure shows several networks of one family.
DIGIT_STYLES: dict[str, dict[str, Any]] = {
    "digits-gcnn": {"color": COLORS["sky"], "marker": "v"},
    "digits-gcnn-invariant": {"color": COLORS["blue"], "marker": "^"},
    "digits-pdegcnn": {"color": COLORS["purple"], "marker": "D"},
    "digits-pdegcnn-invariant": {"color": COLORS["green"], "marker": "o"},
    "digits-pdegcnn-de": {"color": COLORS["vermillion"], "marker": "P"},
    "digits-pdecnn-de": {"color": COLORS["black"], "marker": "X"},
}
UNKNOWN: dict[str, Any] = {"color": "0.5", "marker": "p"}


def label(variant: str) -> str:
    """What a reader calls a network or a variant of one: `vessels-pdegcnn6-rho_b` is `PDE-G-CNN, 6 layers, rho_b`."""
    return re.sub(r"\d{4,}(?= steps)", lambda steps: thousands(int(steps[0])), title(variant))


def short_label(variant: str) -> str:
    """The label without the word layers, to stand beside a point of a figure."""
    return label(variant).replace(" layers", "")


def change_label(variant: str, base: str) -> str:
    """What the label of a variant says beyond that of the base; the whole label where it is not one of the base."""
    return "none" if variant == base else label(variant).removeprefix(f"{label(base)}, ")


def model_style(model: str) -> dict[str, Any]:
    """Colour and marker of a network: its own among digits, else that of its family on its space; grey if unknown."""
    if model in DIGIT_STYLES:
        return DIGIT_STYLES[model]
    if model not in models.names():
        return UNKNOWN
    entry = models.entry(model)
    return STYLES.get((entry.family, entry.space), UNKNOWN)
