"""The pictures of the landing page and the README: `python -m pdegcnn_lib.companion.viz.overview FILE [found]`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    """A photograph that `segment`'s network has not seen; in the right half, the vessels that it finds there."""
    from skimage import data as photographs

    rgb = torch.from_numpy(photographs.retina()[::2, ::2].copy()).permute(2, 0, 1).float() / 255
    model, record = segment.load(trained.resolve(segment.DEFAULT_MODEL))
    picture = rgb.permute(1, 2, 0).clone()
    middle = picture.shape[1] // 2
    vessel = segment.probability(model, record, rgb) >= segment.threshold(record)
    vessel[:, :middle] = False
    picture[vessel] = torch.tensor(segment.OVERLAY) / 255
    figure = plt.figure(figsize=(3, 3), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture.numpy())
    axes.axvline(middle, color="white", lw=0.8)
    axes.set_axis_off()
    return figure


PICTURES: dict[str, tuple[Callable[[], Figure], dict[str, Any]]] = {
    "overview": (overview, {"dpi": 150}),
    "found": (found, {"dpi": 180, "pad_inches": 0}),
}


def draw(path: Path, picture: str = "overview") -> Path:
    """Write one of the pictures of this module, a photograph as .jpg, a drawing as .png in few colours: either weighs
    a third then, and the first page is light.
    """
    if picture not in PICTURES:
        raise ValueError(f"picture must be one of {', '.join(PICTURES)}, got {picture!r}")
    make, how = PICTURES[picture]
    use_style()
    save(make(), path, metadata={"Software": None}, **how)
    drawn = Image.open(path).convert("RGB")
    if path.suffix == ".jpg":
        drawn.save(path, quality=85, subsampling=0, optimize=True)
    else:
        drawn.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


if __name__ == "__main__":
    print(draw(Path(sys.argv[1]), *sys.argv[2:]))
