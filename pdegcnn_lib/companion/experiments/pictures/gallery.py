"""The segmentations of trained networks on test photographs: where they are best, and where they are worst."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pdegcnn_lib.companion import paths
from pdegcnn_lib.companion.data import Segmentation
from pdegcnn_lib.companion.experiments import experiment, grid, load_model, read_result
from pdegcnn_lib.companion.experiments.own_resolution import enlarged
from pdegcnn_lib.companion.experiments.pictures.names import label
from pdegcnn_lib.companion.experiments.vessels import chase
from pdegcnn_lib.companion.viz.segmentations import grey, segmentations, verdicts
from pdegcnn_lib.companion.viz.style import save, use_style
from pdegcnn_lib.models.tiling import apply_tiled

WINDOW = 320  # rows and columns around the place that is shown


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


def examples(networks: Mapping[str, Path], test: Segmentation, *, window: int = WINDOW) -> Figure:
    """The best and the worst test image of the first network, whole and at its worst place, judged for each network.

    `networks` maps a title to a result of `OwnResolution`, whose `threshold` cuts the probabilities. Beside them stands
    the second observer, where there is one. All at the resolution of the original masks.
    """
    scores = {title: read_result(path)["metrics"] for title, path in networks.items()}
    order = np.argsort(next(iter(scores.values()))["dice_by_image"])
    models = {title: load_model(path) for title, path in networks.items()}
    rows = []
    for n in (int(order[-1]), int(order[0])):
        image, truth, field = test.images[n], test.labels.truth[n, 0], test.labels.field[n, 0]
        found = {
            title: enlarged(apply_tiled(model, image).sigmoid(), *truth.shape)[0]
            >= scores[title]["threshold"]
            for title, model in models.items()
        }
        wrong = ((next(iter(found.values())) ^ truth) & field).numpy()
        if test.labels.observer is not None:
            found["second observer"] = test.labels.observer[n, 0]
        photograph = grey(enlarged(image, *truth.shape)[len(image) // 2], field)
        everywhere = (slice(None), slice(None))
        for part in (everywhere, worst_place(wrong, window)):
            judged = {title: verdicts(mask, truth, field)[part] for title, mask in found.items()}
            rows.append({"photograph": photograph[part], **judged})
    return segmentations(rows)


def gallery(models: tuple[str, ...]) -> Path:
    """Draw examples of the networks trained for long, of their first seeds, into `results/vessels/examples.png`.

    Raises: OSError when a result is missing, DataError without CHASE_DB1.
    """
    vessels = experiment("vessels")
    networks = {model: grid.committed_path(vessels.unit(model, 0, "long")) for model in models}
    use_style()
    figure = examples({label(m): path for m, path in networks.items()}, chase("long").test)
    return save(figure, paths.results() / "vessels" / "examples.png", dpi=130)
