"""Tubes in space: Dice against parameters, training volumes, directions, parts, and the angle of the test volumes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from statistics import mean

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.companion import data
from pdegcnn_lib.companion.data.preparation import Preparation
from pdegcnn_lib.companion.data.tubes import Volumes
from pdegcnn_lib.companion.experiments.config import Training
from pdegcnn_lib.companion.experiments.metrics import area_under_curve, confusion, dice, dice_loss
from pdegcnn_lib.companion.experiments.registry import Experiment, Variant, enter
from pdegcnn_lib.companion.experiments.searches import search_of
from pdegcnn_lib.companion.experiments.task import Task
from pdegcnn_lib.companion.experiments.tuned import FOUND
from pdegcnn_lib.geometry.octahedral import turn_volume

STEPS = {
    "fast": Training(steps=40, batch_size=2),
    "full": Training(steps=600, batch_size=2),
    "long": Training(steps=600, batch_size=2),
}
SETTINGS = {
    "cnn": {"learning_rate": 1e-2},
    "gcnn": {"learning_rate": 2e-2},
    "pdegcnn": {"learning_rate": 2e-2},
}
FAST_SIZE = 16
# By how many degrees the tubes of test volumes lean where those of training stand upright.
ANGLES = (0, 15, 30, 45, 60, 90)


class TubesTask(Task):
    """Masks of tubes from whole volumes, by Dice loss and cross-entropy; with `augment` each is turned like a cube.

    `leaning` are further test volumes, by the angle of their tubes.
    """

    def __init__(
        self,
        train: Volumes,
        test: Volumes,
        *,
        augment: bool = False,
        leaning: Mapping[int, Volumes] | None = None,
    ) -> None:
        self.train, self.test, self.augment, self.leaning = train, test, augment, leaning or {}
        self.in_channels = train.images.shape[1]
        deviation, level = torch.std_mean(train.images.double())
        self.preparation = Preparation("tubes", "volume", levels=(float(level), float(deviation)))

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(self.train), (size,), generator=generator)
        images, truths = self.train.images[chosen], self.train.truth[chosen]
        if self.augment:
            turns = torch.randint(24, (size,), generator=generator).tolist()
            images, truths = (
                torch.stack([turn_volume(f, turn) for f, turn in zip(part, turns, strict=True)])
                for part in (images, truths)
            )
        return images, truths.float()

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return dice_loss(output, target) + functional.binary_cross_entropy_with_logits(output.float(), target)

    @torch.no_grad()
    def scores(self, model: nn.Module, device: torch.device, volumes: Volumes | None = None) -> Tensor:
        """The logits of volumes, `[n, 1, D, H, W]`: of the test unless told otherwise."""
        images = (volumes or self.test).images
        return torch.cat([model(image[None].to(device)).cpu() for image in images])

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, object]:
        scores, truth = self.scores(model, device), self.test.truth
        everywhere, by_volume = torch.ones_like(truth), _by_volume(scores, truth)
        by_angle = {
            str(angle): mean(
                # Among the angles may be the test itself.
                by_volume
                if volumes is self.test
                else _by_volume(self.scores(model, device, volumes), volumes.truth)
            )
            for angle, volumes in self.leaning.items()
        }
        return {
            "dice": mean(by_volume),
            **({"dice_by_angle": by_angle} if by_angle else {}),
            "dice_by_image": [round(value, 5) for value in by_volume],
            "auc": area_under_curve(scores, truth, everywhere),
            **confusion(scores > 0, truth, everywhere),
        }


def _by_volume(scores: Tensor, truth: Tensor) -> list[float]:
    everywhere = torch.ones_like(truth)
    return [dice(s > 0, t, f) for s, t, f in zip(scores, truth, everywhere, strict=True)]


def task(
    profile: str,
    *,
    volumes: int | None = None,
    upright: bool = False,
    augment: bool = False,
    validation: bool = False,
) -> TubesTask:
    """Tubes of any orientation; `volumes` keeps the first training volumes only, `fast` draws smaller and fewer ones.

    With `validation` other volumes, drawn for this alone, take the place of the test, which stays untouched.
    With `upright` tubes start along z, in training and in the test, and further test volumes have them lean from there
    toward x by each of `ANGLES`: one training for all of them.
    """
    tubes = data.tubes
    if upright and validation:
        raise ValueError(
            "upright must be False with validation: tubes that lean are there for the test alone"
        )
    fast = profile == "fast"
    size, share = (FAST_SIZE, 4) if fast else (tubes.SIZE, 1)
    train_count, test_count = tubes.TRAIN // share, tubes.TEST // share

    def leaning(angle: float) -> Volumes:
        along = (math.sin(math.radians(angle)), 0.0, math.cos(math.radians(angle)))
        return tubes.draw(test_count, tubes.SEEDS[False], size, along=along)

    if upright:
        train = tubes.draw(train_count, tubes.SEEDS[True], size, along=(0.0, 0.0, 1.0))
        tests = {angle: leaning(angle) for angle in ANGLES}
        return TubesTask(train.take(slice(0, volumes)), tests[0], augment=augment, leaning=tests)
    held = tubes.VALIDATION_SEED if validation else tubes.SEEDS[False]
    train, test = (tubes.draw(n, s, size) for n, s in ((train_count, tubes.SEEDS[True]), (test_count, held)))
    return TubesTask(train.take(slice(0, volumes)), test, augment=augment)


def pdegcnn(
    channels: int = 8, layers: int = 2, directions: int = 6, what: str = "", **options: object
) -> Variant:
    """A PDE-G-CNN by its width, depth and directions, with other options changed."""
    name = f"tubes-pdegcnn-{channels}x{layers}-{directions}" + (f"-{what}" if what else "")
    sizes = {"channels": channels, "layers": layers, "directions": directions}
    return Variant("tubes-pdegcnn", name, options={**sizes, **options})


def cnn(channels: int, layers: int) -> Variant:
    """A CNN by its width and depth."""
    return Variant(
        "tubes-cnn", f"tubes-cnn-{channels}x{layers}", options={"channels": channels, "layers": layers}
    )


def gcnn(channels: int) -> Variant:
    """A G-CNN of two layers and six directions, by its width."""
    return Variant("tubes-gcnn", f"tubes-gcnn-{channels}x2-6", options={"channels": channels})


def on(
    variant: Variant, suffix: str, training: Mapping[str, object] | None = None, **of_data: object
) -> Variant:
    """The same network on other data."""
    return Variant(
        variant.model,
        f"{variant.name}-{suffix}",
        options=variant.options,
        data=of_data,
        training=training or {},
    )


# A step of the CNN takes a small part of the time: it is given more of them.
LONGER = {"steps": 1500}
PDEGCNNS = (pdegcnn(), pdegcnn(8, 3), pdegcnn(16, 3), pdegcnn(16, 4))
CNNS = (cnn(2, 3), cnn(8, 3), cnn(16, 4))
SOME = (pdegcnn(), gcnn(8), cnn(8, 3))
SEARCHED = (pdegcnn(), gcnn(8), on(cnn(16, 4), "augmented", augment=True), pdegcnn(16, 4))


def _experiment(name: str, summary: str, variants: tuple[Variant, ...], fast: int = 0) -> Experiment:
    return Experiment(
        name=name,
        summary=summary,
        task=task,
        variants=variants,
        seeds={"fast": fast, "full": 3},
        training=STEPS,
        settings=SETTINGS,
        score="dice",
    )


enter(
    _experiment(
        "tubes",
        "tubes among sheets and balls in volumes",
        (
            *PDEGCNNS,
            *CNNS,
            gcnn(4),
            gcnn(8),
            *(on(network, "longer", LONGER) for network in CNNS),
            *(on(network, "augmented", LONGER, augment=True) for network in CNNS),
        ),
    ),
    _experiment(
        "tubes-size",
        "tubes, against the number of training volumes",
        tuple(on(network, str(n), volumes=n) for n, network in product((4, 16), SOME)),
    ),
    _experiment(
        "tubes-turned",
        "tubes that stand upright in training and lean in the test",
        tuple(on(network, "upright", upright=True) for network in SOME),
    ),
    _experiment(
        "tubes-parts",
        "tubes, with one part of the PDE-G-CNN changed at a time",
        (
            pdegcnn(directions=14),
            pdegcnn(directions=26),
            pdegcnn(directions=13, what="de", terms=("dilation", "erosion")),
            pdegcnn(what="de", terms=("dilation", "erosion")),
            pdegcnn(what="no-dilation", terms=("convection", "erosion")),
            pdegcnn(what="no-erosion", terms=("convection", "dilation")),
            pdegcnn(what="convection-only", terms=("convection",)),
            pdegcnn(what="diffusion", terms=("convection", "diffusion", "dilation", "erosion")),
            pdegcnn(what="rho_c", estimate="rho_c"),
            pdegcnn(what="rho_b_com", estimate="rho_b_com"),
        ),
    ),
    search_of("tubes", "tubes, to find how long to train, and at what rate", SEARCHED, task, STEPS),
    Experiment(
        name="tubes-found",
        summary="tubes, with as many steps and the rate that the search found",
        task=task,
        variants=tuple(replace(network, profiles=("long",)) for network in SEARCHED),
        seeds={"long": 1},
        training=STEPS,
        settings={},
        found=FOUND["tubes"],
        score="dice",
    ),
)
