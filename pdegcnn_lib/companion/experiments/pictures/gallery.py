"""The segmentations of trained networks on test photographs: where they are best, and where they are worst."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data import Segmentation
from pdegcnn_lib.companion.experiments import experiment, grid, load_model, read_result
from pdegcnn_lib.companion.experiments.pictures.names import label
from pdegcnn_lib.companion.experiments.vessels import chase
from pdegcnn_lib.companion.viz.segmentations import grey, segmentations, verdicts
from pdegcnn_lib.companion.viz.style import save, use_style
from pdegcnn_lib.models.tiling import apply_tiled

WINDOW = 160  # rows and columns around the place that is shown


def worst_place(wrong: np.ndarray, window: int) -> tuple[slice, slice]:
    """The window with the most set pixels, on a grid of half windows."""
    height, width = wrong.shape
    corners = [
        (y, x)
        for y in range(0, height - window + 1, window // 2)
        for x in range(0, width - window + 1, window // 2)
    ]
    counts = [wrong[y : y + window, x : x + window].sum() for y, x in corners]
    y, x = corners[int(np.argmax(counts))]
    return slice(y, y + window), slice(x, x + window)


def examples(
    networks: dict[str, Path], test: Segmentation, scores: dict[str, Any], *, window: int = WINDOW
) -> Figure:
    """The best and the worst test image of the first network, whole and at its worst place, judged for each network.

    `networks` maps a title to a result; `scores` is the `metrics` of the first, with `dice_by_image`.
    """
    order = np.argsort(scores["dice_by_image"])
    models = {title: load_model(path) for title, path in networks.items()}
    rows = []
    for n in (int(order[-1]), int(order[0])):
        image, truth, field = test.images[n], test.truth[n, 0], test.field[n, 0]
        found = {title: (apply_tiled(model, image)[0] > 0) for title, model in models.items()}
        wrong = ((next(iter(found.values())) ^ truth) & field).numpy()
        everywhere = (slice(None), slice(None))
        for part in (everywhere, worst_place(wrong, window)):
            row = {"photograph": grey(image[len(image) // 2], field)[part]}
            rows.append(row | {title: verdicts(mask, truth, field)[part] for title, mask in found.items()})
    return segmentations(rows)


def gallery(models: tuple[str, ...]) -> Path:
    """Draw the examples of the vessel experiment, first seeds, into `results/vessels/examples.png`.

    Raises: OSError when a result is missing, DataError without CHASE_DB1.
    """
    vessels = experiment("vessels")
    networks = {model: grid.committed_path(vessels.unit(model, 0, "full")) for model in models}
    scores = read_result(networks[models[0]])["metrics"]
    use_style()
    figure = examples({label(m): path for m, path in networks.items()}, chase("full").test, scores)
    return save(figure, paths.results() / "vessels" / "examples.png", dpi=130)
