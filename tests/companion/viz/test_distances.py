"""Pictures of distances: what they draw is what they were given."""

from __future__ import annotations

import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pdegcnn_lib.companion import viz
from pdegcnn_lib.companion.viz import style
from pdegcnn_lib.geometry import geodesic, minimising_momentum

AXIS = torch.linspace(-3, 3, 61, dtype=torch.float64)
Y, X = torch.meshgrid(AXIS, AXIS, indexing="ij")
ROUND, FLAT = (X**2 + Y**2).sqrt(), (X**2 + 4 * Y**2).sqrt()


def border(panel: plt.Axes) -> mpl.contour.ContourSet:
    """The contour lines of a panel, which come after its filled bands."""
    return panel.collections[1]


def test_wavefronts_put_borders_over_bands() -> None:
    figure = viz.wavefronts(AXIS, {"round": ROUND}, {"rho_b": {"round": FLAT}}, levels=(1, 2))
    (panel,) = figure.axes
    bands, lines = panel.collections
    assert [mpl.colors.to_hex(c) for c in bands.get_facecolor()] == [
        mpl.colors.to_hex(c) for c in ("0.72", "0.88")
    ]
    assert bands.levels.tolist() == [0, 1, 2] and lines.levels.tolist() == [1, 2]
    assert mpl.colors.same_color(lines.get_edgecolor()[0], style.ESTIMATE_STYLES["rho_b"]["colors"])
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        x, y = path.vertices.T
        # A chord of the grid misses an ellipse by at most the square of a spacing of 0.1, times its curvature.
        assert np.abs(np.sqrt(x**2 + 4 * y**2) - level).max() < 0.03
    assert panel.yaxis_inverted() and panel.get_aspect() == 1
    assert panel.get_title() == style.ESTIMATE_LABELS["rho_b"] and panel.get_ylabel() == "round"


def test_wavefronts_have_a_row_per_metric_and_a_column_per_estimate() -> None:
    truth = {"one": ROUND, "two": FLAT}
    estimates = {name: {"one": FLAT, "two": ROUND} for name in ("rho_c", "rho_b", "rho_b_com")}
    figure = viz.wavefronts(AXIS, truth, estimates, levels=(1.5,))
    assert len(figure.axes) == 6
    assert [ax.get_ylabel() for ax in figure.axes] == ["one", "", "", "two", "", ""]
    x, y = border(figure.axes[0]).get_paths()[0].vertices.T
    assert np.abs(np.sqrt(x**2 + 4 * y**2) - 1.5).max() < 0.03  # the estimate, not the truth


@pytest.mark.parametrize("levels", [(), (2, 1), (0, 1), (1, 1), (1, 2, 3, 4)])
def test_wavefronts_refuse_other_levels(levels: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="growing positive numbers"):
        viz.wavefronts(AXIS, {"a": ROUND}, {"rho_c": {"a": ROUND}}, levels=levels)


def test_error_maps_show_values_and_means() -> None:
    errors = {"rho_c": {"a": torch.full((4, 4), 0.3), "b": torch.full((4, 4), 0.07)}}
    figure = viz.error_maps(errors, extent=3)
    panels = figure.axes[:2]
    for panel, values in zip(panels, errors["rho_c"].values(), strict=True):
        (image,) = panel.images
        assert np.array_equal(image.get_array(), values) and image.get_extent() == [-3, 3, 3, -3]
        assert image.cmap.name == style.VALUE_MAP
    assert [t.get_text() for panel in panels for t in panel.texts] == ["0.30", "0.07"]
    assert [panel.get_title() for panel in panels] == ["a", "b"]
    assert panels[0].get_ylabel() == style.ESTIMATE_LABELS["rho_c"]
    image = panels[0].images[0]
    assert len({tuple(image.cmap(image.norm(v))) for v in (0.01, 0.07, 0.3, 3.0)}) == 4


def test_handles_have_the_styles_of_the_lines() -> None:
    handles = viz.estimate_handles(["d", "rho_b_sr"])
    assert [h.get_label() for h in handles] == [style.ESTIMATE_LABELS[n] for n in ("d", "rho_b_sr")]
    assert handles[1].get_linestyle() == ":" and handles[1].get_color() == style.COLORS["purple"]
    with pytest.raises(KeyError):
        viz.estimate_handles(["rho_x"])


def test_fans_draw_curves_headings_lengths_and_cusps() -> None:
    pytest.importorskip("scipy")
    w = torch.ones(3, dtype=torch.float64)
    ends = torch.tensor(
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64
    )  # ahead; at the side, by parking
    momentum, length = minimising_momentum(ends, w, sub_riemannian=True)
    fan = geodesic(momentum, w, length, samples=201, sub_riemannian=True)
    figure = viz.geodesic_fans({"a": fan, "b": fan, "c": fan}, reach=1.5, lengths=(0.5, 4.0))
    panel = figure.axes[0]
    curves, cusps = panel.lines[::2], panel.lines[1::2]
    for curve, points, value in zip(curves, fan.points, length, strict=True):
        np.testing.assert_array_equal(curve.get_xydata(), points[:, :2])
        shade = plt.get_cmap(style.VALUE_MAP)((float(value) - 0.5) / 3.5)
        assert mpl.colors.same_color(curve.get_color(), shade)
    assert len(cusps[0].get_xdata()) == 0  # straight ahead nothing reverses
    marks = cusps[1].get_xydata()
    assert len(marks) == int(fan.cusps()[1].sum()) > 0
    np.testing.assert_array_equal(marks, fan.points[1, 1:][fan.cusps()[1]][:, :2])
    headings = panel.collections
    assert [q.get_offsets()[0].tolist() for q in headings[:2]] == fan.points[:, -1, :2].tolist()
    assert mpl.colors.same_color(headings[2].get_facecolor()[0], style.MAIN)
    assert panel.get_ylim() == (1.5, -1.5) and panel.get_title() == "a"
    assert math.isclose(headings[0].U[0], 0.13 * 1.5, rel_tol=1e-6)
    assert not figure.axes[3].axison  # the fourth panel of three
