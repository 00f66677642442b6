"""One style for all figures: told apart in colour, by the colour-blind, and in grey."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pdegcnn_lib.companion.viz import style


def lightness(colour: str) -> float:
    """The luma of a colour, which is what a grey printer shows: 0 is black."""
    return float(np.dot(mpl.colors.to_rgb(colour), [0.299, 0.587, 0.114]))


@pytest.mark.parametrize("pair", list(combinations(style.ESTIMATE_STYLES, 2)))
def test_estimates_are_told_apart_without_colour(pair: tuple[str, str]) -> None:
    a, b = (style.ESTIMATE_STYLES[name] for name in pair)
    assert a["linestyles"] != b["linestyles"] or abs(lightness(a["colors"]) - lightness(b["colors"])) > 0.2
    assert a["colors"] != b["colors"]


def test_every_estimate_has_a_label_and_a_colour_of_the_palette() -> None:
    assert set(style.ESTIMATE_LABELS) == set(style.ESTIMATE_STYLES)
    assert {s["colors"] for s in style.ESTIMATE_STYLES.values()} <= set(style.COLORS.values())
    assert len({style.MAIN, style.LATERAL, style.ANGULAR}) == 3


@pytest.mark.parametrize("name", [style.VALUE_MAP, style.ORIENTATION_MAP])
def test_sequential_maps_grow_lighter(name: str) -> None:
    values = [lightness(mpl.colors.to_hex(c)) for c in plt.get_cmap(name)(np.linspace(0, 1, 64))]
    assert (np.diff(values) > -0.01).all() and values[-1] - values[0] > 0.5


def test_an_arrow_is_in_data_units() -> None:
    _, ax = plt.subplots()
    style.arrow(ax, torch.tensor([1.0, 2.0, 9.0]), torch.tensor([0.5, -0.25, 9.0]), colour="0.2")
    (quiver,) = ax.collections
    assert quiver.get_offsets().tolist() == [[1, 2]] and quiver.U.tolist() == [0.5]
    assert quiver.V.tolist() == [-0.25] and quiver.scale == 1 and quiver.angles == "xy"
    assert mpl.colors.same_color(quiver.get_facecolor()[0], "0.2")
