"""Rows of images, curves, convergence, tables, kernels: the data in the artists and their names."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pdegcnn_lib.companion import viz
from pdegcnn_lib.companion.viz import statements, style


def test_titled_images_grey_and_signed() -> None:
    pictures = {"a": torch.rand(4, 5), "b": torch.randn(4, 5)}
    a, b = viz.titled_images(pictures, signed=("b",)).axes
    assert (a.get_title(), b.get_title()) == ("a", "b")
    for ax, picture in zip((a, b), pictures.values(), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), picture)
    assert a.images[0].cmap.name == "gray" and a.images[0].get_clim()[0] == 0
    assert b.images[0].cmap.name == style.SIGNED_MAP
    top = float(pictures["b"].abs().max())
    assert b.images[0].get_clim() == (-top, top)


def test_titled_images_share_a_bound_and_fit_the_page() -> None:
    figure = viz.titled_images({str(i): torch.rand(3, 3) for i in range(6)}, signed=("5",), bound=2.0)
    assert [ax.images[0].get_clim() for ax in figure.axes] == [(0, 2)] * 5 + [(-2, 2)]
    assert figure.get_size_inches()[0] <= 7.2
    (flat,) = viz.titled_images({"zero": torch.zeros(3, 3)}, signed=("zero",)).axes
    assert flat.images[0].get_clim() == (-1, 1)  # no range of width 0


def test_convergence_draws_the_errors_and_the_slope() -> None:
    _, ax = plt.subplots()
    sizes = [0.4, 0.2, 0.1]
    viz.convergence(ax, sizes, {"first": [4.0, 2.0, 1.0], "second": [4.0, 1.0, 0.25]}, order=2)
    first, second, slope = ax.lines
    assert first.get_ydata().tolist() == [4, 2, 1] and first.get_label() == "first"
    assert first.get_xdata().tolist() == sizes and ax.get_xscale() == ax.get_yscale() == "log"
    assert first.get_color() != second.get_color() and first.get_marker() != second.get_marker()
    (x0, x1), (y0, y1) = slope.get_xdata(), slope.get_ydata()
    assert np.isclose(np.log(y1 / y0) / np.log(x1 / x0), 2) and y1 > 4
    assert [t.get_text() for t in ax.texts] == ["slope 2"]


def test_curves_are_told_apart_by_line_style() -> None:
    _, ax = plt.subplots()
    x = torch.linspace(0, 1, 5)
    viz.labelled_curves(ax, x, {"f": x, "a": x**2, "b": x**3, "c": x**4})
    reference, *others = ax.lines
    assert mpl.colors.same_color(reference.get_color(), "0.6") and reference.get_linewidth() == 3
    assert [line.get_label() for line in others] == ["a", "b", "c"]
    assert len({line.get_linestyle() for line in others}) == 3
    np.testing.assert_array_equal(others[1].get_ydata(), x**3)
    assert {line.get_color() for line in others} <= set(statements.SERIES)


def test_a_table() -> None:
    table = viz.markdown_table(["a", "b"], [["1", "2"], ["3", "4"]])
    assert table.splitlines() == ["| a | b |", "| --- | --: |", "| 1 | 2 |", "| 3 | 4 |"]
    with pytest.raises(ValueError, match=r"2 cells.*\['1'\]"):
        viz.markdown_table(["a", "b"], [["1"]])


def test_the_kernel_montage_has_a_column_per_orientation_and_a_row_per_step() -> None:
    kernel = 2 * torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    figure = viz.kernel_montage(kernel, clip=1.0)
    panels = np.array(figure.axes[:12]).reshape(3, 4)
    for o in range(4):
        for i in range(3):
            (image,) = panels[i, o].images
            np.testing.assert_array_equal(image.get_array(), kernel[o, i].clamp(max=1))
            assert image.get_clim() == (0, 1) and image.cmap.name == style.VALUE_MAP
    assert [ax.get_title() for ax in panels[0]] == ["$0°$", "$90°$", "$180°$", "$270°$"]
    assert [ax.get_ylabel() for ax in panels[:, 0]] == ["-1", "0", "+1"]
    assert figure.axes[-1].get_ylabel() == "$k$"
