"""The picture of the landing page and the README: `python -m pdegcnn_lib.companion.viz.overview FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from pdegcnn_lib import models, ops
from pdegcnn_lib.companion import data
from pdegcnn_lib.companion.viz.fields import draw_score
from pdegcnn_lib.companion.viz.style import COLORS, save, use_style
from pdegcnn_lib.kernels import cake_wavelets

NETWORKS = {
    "PDE-G-CNN": ("vessels-pdegcnn6", COLORS["green"]),
    "G-CNN": ("vessels-gcnn6-narrow", COLORS["sky"]),
    "CNN": ("vessels-cnn6-narrow", COLORS["orange"]),
}


def overview() -> Figure:
    """A crossing, its lift, and the parameters of three networks of six layers for the same task."""
    crossing = data.retina.crossing(65)
    score = ops.lift(crossing[None, None], cake_wavelets(orientations=36, size=63)[None, None])[0, 0]
    figure = plt.figure(figsize=(9.6, 3.3))
    left, middle, right = (
        figure.add_subplot(1, 3, i + 1, projection="3d" if i == 1 else None) for i in range(3)
    )
    left.imshow(crossing, cmap="gray")
    left.set_title("Two vessels cross in the plane ...")
    left.set_axis_off()
    draw_score(middle, crossing, score, threshold=0.3, start=-45.0, top=75.0, pole=(33, 34, 48), zoom=0.82)
    middle.set_title("... and pass each other in M2")
    counts = {label: models.parameter_count(models.build(name)) for label, (name, _) in NETWORKS.items()}
    bars = right.bar(
        list(counts), list(counts.values()), color=[colour for _, colour in NETWORKS.values()], width=0.6
    )
    right.bar_label(bars, labels=[f"{n:,}".replace(",", " ") for n in counts.values()], padding=3)
    right.set_title("parameters of a 6-layer network")
    right.set(yticks=[], ylim=(0, 1.12 * max(counts.values())))
    right.spines["left"].set_visible(False)
    return figure


if __name__ == "__main__":
    use_style()
    print(save(overview(), Path(sys.argv[1]), dpi=120, metadata={"Software": None}))
