"""Rotated digits: trained upright or rotated, tested at every angle; against the number of training images."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.companion.data import digits, mnist, random_angles, rotate_each
from pdegcnn_lib.companion.experiments.augmentation import relit
from pdegcnn_lib.companion.experiments.config import Training
from pdegcnn_lib.companion.experiments.registry import Experiment, Variant, enter
from pdegcnn_lib.companion.experiments.searches import doubled, last, search_of
from pdegcnn_lib.companion.experiments.task import Task
from pdegcnn_lib.companion.experiments.tuned import CANDIDATES, FOUND, TUNED, label

ANGLES = tuple(range(0, 360, 30))  # degrees
# The angles of the sets are part of the data, not of a run: the same for every model and seed.
TRAIN_ANGLES_SEED, TEST_ANGLES_SEED = 2001, 9046


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, device: torch.device, size: int = 256) -> Tensor:
    """The predicted classes `[N]` of images `[N, C, 28, 28]`, in batches of `size`."""
    return torch.cat([model(part.to(device)).argmax(-1).cpu() for part in images.split(size)])


class RotatedDigits(Task):
    """Ten digits, in the profile `fast` scikit-learn's 1 797, in `full` MNIST's 70 000.

    With `rotated`, every training image is turned once by a random angle; the test set is always turned by random
    angles (`accuracy`), and looked at upright too (`accuracy_upright`). `train_size` keeps the first images only.
    `protocol` is that of `data.mnist.load`. With `validation` the last sixth of the training images takes the place of
    the test set, which stays untouched. In the profile `long` the contrast and brightness of training images vary.
    """

    def __init__(
        self,
        profile: str,
        *,
        rotated: bool,
        train_size: int | None = None,
        validation: bool = False,
        protocol: str = "60000/10000",
    ) -> None:
        self.relit = profile == "long"
        load = digits.load if profile == "fast" else partial(mnist.load, protocol=protocol)
        self.images, self.labels = load(train=True)
        if validation:
            held = len(self.images) // 6
            self.test_images, self.test_labels = self.images[-held:], self.labels[-held:]
            self.images, self.labels = self.images[:-held], self.labels[:-held]
        else:
            self.test_images, self.test_labels = load(train=False)
        self.images, self.labels = self.images[:train_size], self.labels[:train_size]
        if rotated:
            self.images = rotate_each(self.images, random_angles(len(self.images), TRAIN_ANGLES_SEED))
        self.turned = rotate_each(self.test_images, random_angles(len(self.test_images), TEST_ANGLES_SEED))

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(self.images), (size,), generator=generator)
        images = self.images[chosen]
        return relit(images, generator) if self.relit else images, self.labels[chosen]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output.float(), target)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, object]:
        def accuracy(images: Tensor, labels: Tensor) -> float:
            return float((predict(model, images, device) == labels).double().mean())

        read = predict(model, self.turned, device) == self.test_labels
        # A thousand images fix an accuracy to a percent, enough for a curve over the angles.
        some, labels = self.test_images[:1000], self.test_labels[:1000]
        return {
            "accuracy": float(read.double().mean()),
            # Networks are compared digit by digit. In one string, as a list would fill a thousand lines of the record.
            "misread": " ".join(map(str, torch.nonzero(~read).flatten().tolist())),
            "accuracy_upright": accuracy(self.test_images, self.test_labels),
            "angles": list(ANGLES),
            "accuracy_by_angle": [accuracy(rotate_each(some, math.radians(a)), labels) for a in ANGLES],
        }


# ---- the grid ----------------------------------------------------------------------------------------------------

INVARIANT = "digits-pdegcnn-invariant"
MODELS = (
    "digits-lenet5",
    "digits-gcnn",
    "digits-gcnn-invariant",
    "digits-pdegcnn",
    INVARIANT,
    "digits-pdegcnn-de",
    "digits-pdecnn-de",
)
SIZES = (100, 300, 1000, 3000, 10000)  # of training sets; all 60 000 are in the main experiment
AVERAGE = 0.999  # how much of the mean of the networks along the way is kept at a step: it reaches back 1000 of them
STEPS = {
    "fast": Training(steps=400, batch_size=32),
    "full": Training(steps=500, batch_size=64),
    "long": Training(steps=3000, batch_size=64, average=AVERAGE),
}
# The invariant network with more layers at half the resolution, or more channels, and what it is called then.
LARGER: dict[str, tuple[int, ...]] = {
    "as-it-is": (12, 16, 32),
    "deep": (12, 16, 16, 16, 32),
    "wide": (16, 32, 64),
}
# The two of the last networks that ask what the group and the convection are for get fewer seeds.
LONG = tuple(Variant(model, long_seeds=3 if n > 4 else None) for n, model in enumerate(MODELS))


def _larger(name: str, **given: Any) -> Variant:
    return Variant(INVARIANT, f"{INVARIANT}-{name}", options={"channels": list(LARGER[name])}, **given)


def _experiment(name: str, summary: str, *, rotated: bool = True, **given: Any) -> Experiment:
    usual: dict[str, Any] = {
        "variants": LONG,
        "seeds": {"fast": 1, "full": 5, "long": 3},
        "training": STEPS,
        "settings": TUNED["digits"],
        "found": FOUND["digits"],
    }
    task = partial(RotatedDigits, rotated=rotated)
    return Experiment(name, summary, task, score="accuracy", **{**usual, **given})


enter(
    _experiment("digits-upright", "trained on upright digits, tested on rotated ones", rotated=False),
    _experiment(
        "digits-rotated",
        "trained and tested on rotated digits",
        variants=(*LONG, _larger("deep", profiles=("long",), long_seeds=1)),
        seeds={"fast": 1, "full": 5, "long": 5},
    ),
    _experiment(
        "digits-rotated-12k",
        "rotated digits, 12 000 for training and 50 000 for test",
        variants=tuple(replace(v, data={"protocol": "12000/50000"}) for v in LONG),
        seeds={"fast": 0, "full": 1, "long": 5},
        keep_weights=False,
    ),
    _experiment(
        "digits-steps",
        "rotated digits, 12 000 steps at the rate that a search begins with",
        variants=tuple(doubled("digits", m, 12_000) for m in ("digits-lenet5", INVARIANT)),
        seeds={"long": 1},
    ),
    _experiment(
        "digits-size",
        "rotated digits, against the number of training images",
        variants=tuple(
            Variant(model, f"{model}-{size}", data={"train_size": size})
            for size, model in product(SIZES, MODELS[:5])
        ),
        seeds={"fast": 0, "full": 1, "long": 3},
        keep_weights=False,
    ),
    _experiment(
        "digits-tuning",
        "rotated digits, to choose the settings of training on a part of the training set",
        variants=tuple(
            Variant(model, label(model, settings), data={"validation": True}, training=settings)
            for model, settings in product(("digits-lenet5", "digits-gcnn", "digits-pdegcnn"), CANDIDATES)
        ),
        seeds={"fast": 0, "full": 1},
        training={**STEPS, "full": Training(steps=300, batch_size=64)},
        keep_weights=False,
    ),
    _experiment(
        "digits-capacity",
        "rotated digits, what more layers and more channels buy on a part of the training set",
        variants=tuple(_larger(name, data={"validation": True}, training={"steps": 1500}) for name in LARGER),
        seeds={"long": 1},
        keep_weights=False,
    ),
    _experiment(
        "digits-last",
        "rotated digits, the last network against the mean of those along the way, on a part of the training set",
        variants=tuple(last("digits", model) for model in ("digits-lenet5", "digits-pdegcnn")),
        seeds={"long": 1},
        keep_weights=False,
    ),
    search_of(
        "digits",
        "rotated digits, to find how long to train, and at what rate",
        ("digits-lenet5", "digits-gcnn", "digits-pdegcnn"),
        partial(RotatedDigits, rotated=True),
        STEPS,
        score="accuracy",
    ),
)
