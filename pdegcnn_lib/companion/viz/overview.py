"""The pictures of the landing page and the README: `python -m pdegcnn_lib.companion.viz.overview FILE [found]`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from PIL import Image

from pdegcnn_lib import ops
from pdegcnn_lib.companion import data, segment
from pdegcnn_lib.companion.experiments import trained
from pdegcnn_lib.companion.viz.fields import draw_score
from pdegcnn_lib.companion.viz.style import save, use_style
from pdegcnn_lib.kernels import cake_wavelets


def overview() -> Figure:
    """A crossing, and its lift."""
    crossing = data.retina.crossing(65)
    score = ops.lift(crossing[None, None], cake_wavelets(orientations=36, size=63)[None, None])[0, 0]
    figure = plt.figure(figsize=(6.4, 2.6))
    left, right = (figure.add_subplot(1, 2, i + 1, projection="3d" if i else None) for i in range(2))
    left.imshow(crossing, cmap="gray")
    left.set_title("Two vessels cross in the plane ...")
    left.set_axis_off()
    draw_score(right, crossing, score, threshold=0.3, start=-45.0, top=75.0, pole=(33, 34, 48), zoom=0.85)
    right.set_title("... and pass each other in M2")
    return figure


def found() -> Figure:
    """A photograph that the network of six layers has not seen; in the right half, the vessels that it finds there."""
    from skimage import data as photographs

    rgb = torch.from_numpy(photographs.retina()[::2, ::2].copy()).permute(2, 0, 1).float() / 255
    probability = segment.probability(*segment.load(trained.resolve("vessels/vessels-pdegcnn6")), rgb)
    picture = rgb.permute(1, 2, 0).clone()
    middle = picture.shape[1] // 2
    vessel = probability >= 0.5
    vessel[:, :middle] = False
    picture[vessel] = torch.tensor(segment.OVERLAY) / 255
    figure, axes = plt.subplots(figsize=(3, 3))
    axes.imshow(picture)
    axes.axvline(middle, color="white", lw=0.8)
    axes.set_axis_off()
    return figure


if __name__ == "__main__":
    use_style()
    make, dpi = (found, 180) if sys.argv[2:] == ["found"] else (overview, 150)
    path = save(make(), Path(sys.argv[1]), dpi=dpi, metadata={"Software": None})
    # A photograph in few colours weighs a third, and the first page has to be light.
    Image.open(path).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path)
