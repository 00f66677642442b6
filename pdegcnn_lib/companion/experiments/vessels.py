"""Vessels in the retina: CNN, G-CNN and PDE-G-CNN on CHASE_DB1, against the amount of data, and part by part."""

from __future__ import annotations

from itertools import product
from typing import Any

from pdegcnn_lib.companion import data
from pdegcnn_lib.companion.experiments.config import Training
from pdegcnn_lib.companion.experiments.own_resolution import OwnResolution
from pdegcnn_lib.companion.experiments.registry import Experiment, Variant, enter
from pdegcnn_lib.companion.experiments.searches import beginning, doubled, last, search_of
from pdegcnn_lib.companion.experiments.segmentation import SegmentationTask
from pdegcnn_lib.companion.experiments.tuned import CANDIDATES, FOUND, TUNED, label

SIX = ("vessels-cnn6-narrow", "vessels-gcnn6-narrow", "vessels-pdegcnn6")
UNET = "vessels-unet"
TWELVE = ("vessels-cnn12-narrow", "vessels-gcnn12-narrow", "vessels-pdegcnn12")
AS_WIDE = 16  # channels of the PDE-G-CNN of six layers; that of twelve has 10
VALIDATION_IMAGES = 4  # the last of the training images, while settings are chosen
AVERAGE = (
    0.995  # how much of the mean of the networks along the way is kept at a step: it reaches back 200 of them
)
STEPS = {
    "fast": Training(steps=100, batch_size=4),
    "full": Training(steps=600, batch_size=8),
    "long": Training(steps=1500, batch_size=8, average=AVERAGE),
}


def chase(
    profile: str,
    *,
    images: int | None = None,
    validation: bool = False,
    mode: str = "green",
    augment: bool = False,
) -> SegmentationTask:
    """CHASE_DB1 at half resolution; `images` keeps the first training images only, `augment` turns the patches.

    In the profile `long` networks are judged at the resolution of the photographs (`OwnResolution`). With `validation`
    the last training images take the place of the test set, which stays untouched.
    """
    train = data.chase.load(True, mode=mode)
    task = OwnResolution if profile == "long" else SegmentationTask
    if validation:
        held, train = train.take(slice(-VALIDATION_IMAGES, None)), train.take(slice(0, -VALIDATION_IMAGES))
    else:
        held = data.chase.load(False, mode=mode)
    return task(train.take(slice(0, images)), held, augment=augment)


def drive(profile: str, *, mode: str = "green") -> SegmentationTask:
    """DRIVE, for readers who have registered for it."""
    task = OwnResolution if profile == "long" else SegmentationTask
    return task(data.drive.load(True, mode=mode), data.drive.load(False, mode=mode))


def _experiment(name: str, summary: str, variants: tuple[Variant, ...], **given: Any) -> Experiment:
    usual: dict[str, Any] = {
        "task": chase,
        "seeds": {"fast": 0, "full": 1, "long": 3},
        "training": STEPS,
        "settings": TUNED["vessels"],
        "found": FOUND["vessels"],
        "together": 2,  # both eyes of a child
    }
    return Experiment(name, summary, variants=variants, score="dice", **{**usual, **given})


def changed(what: str, **options: object) -> Variant:
    """The PDE-G-CNN of six layers with some options changed."""
    return Variant("vessels-pdegcnn6", f"vessels-pdegcnn6-{what}", options=options)


def turned(model: str) -> Variant:
    """A network whose training patches are turned by random multiples of 90 degrees and mirrored every other time."""
    return Variant(model, f"{model}-augmented", data={"augment": True}, profiles=("long",))


def covariant(model: str, seeds: int) -> Variant:
    """A PDE-G-CNN with the estimate whose sideways scale does not depend on the unit of length."""
    estimate = {"estimate": "rho_b_com_covariant"}
    return Variant(model, f"{model}-covariant", estimate, profiles=("long",), long_seeds=seeds)


def deeper(what: str, steps: int | None = None, average: float = AVERAGE, **options: object) -> Variant:
    """The PDE-G-CNN of twelve layers with some options changed, judged on a part of the training images.

    It takes the rate that its search begins with, and as many steps unless others are asked for.
    """
    begins = beginning("vessels", TWELVE[2], steps or STEPS["long"].steps)
    return Variant(
        TWELVE[2],
        f"{TWELVE[2]}-{what}" + ("" if steps is None else f"-{steps}"),
        options=options,
        data={"validation": True},
        training={**begins, "average": average},
        profiles=("long",),
    )


CHANGES = (
    Variant("vessels-pdegcnn6-de"),
    changed("no-dilation", terms=("convection", "erosion")),
    changed("no-erosion", terms=("convection", "dilation")),
    changed("convection-only", terms=("convection",)),
    Variant("vessels-pdegcnn6-cdde"),
    Variant("vessels-pdegcnn6-fixed-lift"),
    Variant("vessels-pdegcnn6-full"),
    Variant("vessels-pdecnn6"),
    *(changed(f"alpha-{alpha}", alpha=alpha) for alpha in (0.55, 0.8, 1.0, "trained")),
    *(changed(f"orientations-{n}", orientations=n) for n in (4, 16)),
    *(changed(f"window-{n}", window=(n, n, n)) for n in (3, 7)),
    changed("steps-2", steps=2),
    *(changed(estimate, estimate=estimate) for estimate in ("rho_b", "rho_b_sr", "rho_b_com")),
)

enter(
    _experiment(
        "vessels",
        "vessels of the retina, CHASE_DB1",
        (
            *map(Variant, SIX),
            *(Variant(model, seeds=3) for model in TWELVE),
            *(covariant(model, seeds) for model, seeds in ((SIX[2], 5), (TWELVE[2], 3))),
            # What helped most on the validation images.
            Variant(TWELVE[2], f"{TWELVE[2]}-wide", {"channels": AS_WIDE}, profiles=("long",), long_seeds=3),
            Variant(UNET, profiles=("long",)),
        ),
        seeds={"fast": 0, "full": 5, "long": 5},
    ),
    _experiment(
        "vessels-size",
        "vessels, against the number of training images",
        tuple(Variant(m, f"{m}-{n}", data={"images": n}) for n, m in product((1, 2, 5, 10), SIX)),
        keep_weights=False,
    ),
    _experiment(
        "vessels-steps",
        "vessels, after a set number of steps, what `vessels-depth` found to help on the validation images",
        (
            doubled("vessels", TWELVE[2], 6000),
            doubled("vessels", TWELVE[2], 6000, "-residual", residual=True),
            doubled("vessels", TWELVE[2], 6000, "-wide", channels=AS_WIDE),
        ),
        seeds={"long": 1},
    ),
    _experiment(
        "vessels-depth",
        "vessels, what helps a PDE-G-CNN of twelve layers, on a part of the training images",
        # The one as it stands is a run of the search.
        (
            deeper("residual", residual=True),
            deeper("half-time", t=0.5),
            deeper("double-time", t=2.0),
            deeper("no-dropout", dropout=0.0),
            deeper("residual-half-time", residual=True, t=0.5),
            deeper("covariant", estimate="rho_b_com_covariant"),
            deeper("wide", channels=AS_WIDE),
            deeper("no-norm", norm=False),
            *(deeper(f"scales-{factor}", first_scales=factor) for factor in (0.6, 1.7)),
            deeper("last", average=0.0),
            deeper("residual", 6000, residual=True),
            deeper("wide", 6000, channels=AS_WIDE),
        ),
        seeds={"long": 1},
        keep_weights=False,
    ),
    _experiment(
        "vessels-last",
        "vessels, the last network against the mean of those along the way, on a part of the training images",
        tuple(last("vessels", model) for model in (UNET, SIX[2], SIX[0])),
        seeds={"long": 1},
        keep_weights=False,
    ),
    _experiment(
        "vessels-augmented",
        "vessels, with training patches that are turned by random multiples of 90 degrees and mirrored",
        # The others have these turns built in.
        (turned(SIX[0]), turned(UNET)),
        seeds={"long": 3},
        keep_weights=False,
    ),
    _experiment("vessels-parts", "vessels, with one part of the PDE-G-CNN changed at a time", CHANGES),
    _experiment(
        "vessels-tuning",
        "vessels, to choose the settings of training on a part of the training images",
        tuple(
            Variant(model, label(model, settings), data={"validation": True}, training=settings)
            for model, settings in product(SIX, CANDIDATES)
        ),
        seeds={"fast": 0, "full": 1},
        training={**STEPS, "full": Training(steps=200, batch_size=8)},
        settings={},
        keep_weights=False,
    ),
    search_of(
        "vessels", "vessels, to find how long to train, and at what rate", (*SIX, *TWELVE, UNET), chase, STEPS
    ),
    _experiment(
        "vessels-rgb",
        "vessels from all three colours, with the networks of the main paper",
        tuple(Variant(f"vessels-{kind}6", data={"mode": "rgb"}) for kind in ("cnn", "gcnn", "pdegcnn")),
    ),
    _experiment(
        "vessels-drive",
        "vessels, DRIVE, with the networks of the main paper; needs the reader's own copy of the data",
        tuple(Variant(f"vessels-{kind}6", data={"mode": "rgb"}) for kind in ("cnn", "gcnn", "pdegcnn")),
        task=drive,
        together=1,
    ),
)
