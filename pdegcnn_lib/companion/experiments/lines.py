"""Lines among clutter: networks of 3, 6 and 12 layers, and the four estimates of the distance."""

from __future__ import annotations

from itertools import product

from pdegcnn_lib import models
from pdegcnn_lib.companion import data
from pdegcnn_lib.companion.experiments.config import PROFILES, Training
from pdegcnn_lib.companion.experiments.own_resolution import OwnResolution
from pdegcnn_lib.companion.experiments.registry import Experiment, Variant, enter
from pdegcnn_lib.companion.experiments.searches import search_of
from pdegcnn_lib.companion.experiments.segmentation import SegmentationTask
from pdegcnn_lib.companion.experiments.tuned import CANDIDATES, FOUND, TUNED, label
from pdegcnn_lib.companion.experiments.vessels import AVERAGE

ESTIMATES = ("rho_c", "rho_b", "rho_b_sr", "rho_b_com")
LAYERS = (3, 6, 12)
STEPS = {
    "fast": Training(steps=200, batch_size=8),
    "full": Training(steps=600, batch_size=8),
    "long": Training(steps=1500, batch_size=8, average=AVERAGE),
}


def task(profile: str, *, validation: bool = False) -> SegmentationTask:
    """The dashes that form lines, in whole images of 64 x 64; the profile `fast` draws a quarter of the images.

    With `validation` another set of images takes the place of the test set.
    """
    share = 4 if profile == "fast" else 1
    seeds = data.lines.SEEDS
    train = data.lines.draw(data.lines.TRAIN // share, seeds[True])
    test = data.lines.draw(data.lines.TEST // share, seeds[False] + validation)
    return (OwnResolution if profile == "long" else SegmentationTask)(train, test, patch=0)


def with_estimate(model: str, estimate: str) -> Variant:
    """A PDE-G-CNN whose kernels use the named estimate; in the profile `long` that of 6 layers alone tries them all."""
    tried = estimate == "rho_c" or models.entry(model).fixed["layers"] == 6
    profiles = PROFILES if tried else ("fast", "full")
    return Variant(model, f"{model}-{estimate}", options={"estimate": estimate}, profiles=profiles)


enter(
    Experiment(
        name="lines",
        summary="dashes that form lines among dashes that do not",
        task=task,
        variants=(
            *(Variant(f"vessels-{kind}{n}-narrow") for n, kind in product(LAYERS, ("cnn", "gcnn"))),
            *(with_estimate(f"vessels-pdegcnn{n}", estimate) for n, estimate in product(LAYERS, ESTIMATES)),
        ),
        seeds={"fast": 1, "full": 3, "long": 3},
        training=STEPS,
        settings=TUNED["lines"],
        found=FOUND["lines"],
        score="dice",
    ),
    Experiment(
        name="lines-tuning",
        summary="lines, to choose the settings of training on images of their own",
        task=task,
        variants=tuple(
            Variant(model, label(model, settings), data={"validation": True}, training=settings)
            for model, settings in product(
                ("vessels-cnn6-narrow", "vessels-gcnn6-narrow", "vessels-pdegcnn6"), CANDIDATES
            )
        ),
        seeds={"fast": 0, "full": 1},
        training={**STEPS, "full": Training(steps=200, batch_size=8)},
        settings={},
        score="dice",
        keep_weights=False,
    ),
    search_of(
        "lines",
        "lines, to find how long to train, and at what rate",
        (
            *(f"vessels-{kind}{n}-narrow" for n, kind in product(LAYERS, ("cnn", "gcnn"))),
            *(f"vessels-pdegcnn{n}" for n in LAYERS),
        ),
        task,
        STEPS,
    ),
)
