"""The pictures of the landing page and the README: `python -m pdegcnn_lib.companion.viz.overview FILE [found]`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from PIL import Image

from pdegcnn_lib import models, ops
from pdegcnn_lib.companion import data, segment
from pdegcnn_lib.companion.experiments import trained
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


def found() -> Figure:
    """A photograph that the network of six layers has not seen, and the vessels that it finds there."""
    from skimage import data as photographs

    rgb = torch.from_numpy(photographs.retina()[::2, ::2].copy()).permute(2, 0, 1).float() / 255
    probability = segment.probability(*segment.load(trained.resolve("vessels/vessels-pdegcnn6")), rgb)
    picture = rgb.permute(1, 2, 0)
    overlay = picture.clone()
    overlay[probability >= 0.5] = torch.tensor(segment.OVERLAY) / 255
    rows = slice(200, 480)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 2.0), gridspec_kw={"wspace": 0.02})
    for axes, shown in ((left, picture), (right, overlay)):
        axes.imshow(shown[rows])
        axes.set_axis_off()
    return figure


if __name__ == "__main__":
    use_style()
    make, dpi = (found, 90) if sys.argv[2:] == ["found"] else (overview, 120)
    path = save(make(), Path(sys.argv[1]), dpi=dpi, metadata={"Software": None})
    # A photograph in few colours weighs a third, and the first page has to be light.
    Image.open(path).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path)
