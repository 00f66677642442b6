"""Pictures of segmentations: what was found, what was missed, what was made up, and what belongs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from pdegcnn_lib.companion.viz.style import COLORS

TREES = ("orange", "sky", "green", "yellow", "vermillion", "purple", "blue")
VERDICTS = {"found": "#FFFFFF", "missed": COLORS["orange"], "made up": COLORS["blue"]}


def verdicts(predicted: Tensor, truth: Tensor, field: Tensor) -> np.ndarray:
    """A mask judged pixel by pixel, as an RGB picture `[H, W, 3]`; black is what is rightly left out."""
    p, t = ((mask & field).numpy() for mask in (predicted, truth))
    picture = np.zeros((*p.shape, 3))
    for where, name in ((p & t, "found"), (~p & t, "missed"), (p & ~t, "made up")):
        picture[where] = to_rgb(VERDICTS[name])
    return picture


def grey(image: Tensor, field: Tensor) -> np.ndarray:
    """An image between its first and last percentile inside the field, black outside: `[H, W]` in [0, 1]."""
    inside = image[field].numpy()
    low, high = np.percentile(inside, [1, 99])
    scaled = np.clip((image.numpy() - low) / max(high - low, 1e-9), 0, 1)
    return np.where(field.numpy(), scaled, 0.0)


def components(mask: Tensor, labels: Tensor, *, least: int = 20) -> np.ndarray:
    """A mask in the colours of the components that pass over its pixels, as an RGB picture `[H, W, 3]`.

    `labels [N, H, W]` are 0 where nothing is; the largest component has the first colour, a pixel under several their
    mean, and what has fewer than `least` points is grey.
    """
    numbers, points = labels[labels > 0].unique(return_counts=True)
    largest = points.argsort(descending=True, stable=True)
    picture, passing = np.zeros((*mask.shape, 3)), np.zeros(mask.shape, dtype=int)
    for number, colour in zip(numbers[largest[points[largest] >= least]], cycle(TREES), strict=False):
        place = (labels == number).any(0).numpy()
        picture[place] += to_rgb(COLORS[colour])
        passing += place
    picture /= np.maximum(passing, 1)[..., None]
    picture[mask.numpy() & (passing == 0)] = 0.3
    return picture


def segmentations(rows: Sequence[Mapping[str, np.ndarray]], *, width: float = 2.5) -> Figure:
    """A row per image, a column per kind of picture; the mappings name the columns. Below, the verdicts' colours."""
    titles = list(rows[0])
    height = next(iter(rows[0].values())).shape[0] / next(iter(rows[0].values())).shape[1]
    figure, axes = plt.subplots(
        len(rows), len(titles), figsize=(width * len(titles), width * height * len(rows) + 0.3), squeeze=False
    )
    for line, row in zip(axes, rows, strict=True):
        for ax, picture in zip(line, row.values(), strict=True):
            ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
            ax.set_axis_off()
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=9)
    handles = [Patch(facecolor=c, edgecolor="0.4", label=name) for name, c in VERDICTS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9)
    return figure
