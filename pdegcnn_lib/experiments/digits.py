"""Rotated digits: trained upright or rotated, tested at every angle."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.data import digits, mnist, random_angles, rotate_each
from pdegcnn_lib.experiments.task import Task

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
    """

    def __init__(self, profile: str, *, rotated: bool, train_size: int | None = None) -> None:
        source = digits if profile == "fast" else mnist
        self.images, self.labels = (part[:train_size] for part in source.load(train=True))
        self.test_images, self.test_labels = source.load(train=False)
        if rotated:
            self.images = rotate_each(self.images, random_angles(len(self.images), TRAIN_ANGLES_SEED))
        self.turned = rotate_each(self.test_images, random_angles(len(self.test_images), TEST_ANGLES_SEED))

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(self.images), (size,), generator=generator)
        return self.images[chosen], self.labels[chosen]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output.float(), target)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, object]:
        def accuracy(images: Tensor, labels: Tensor) -> float:
            return float((predict(model, images, device) == labels).double().mean())

        # A thousand images fix an accuracy to a percent, enough for a curve over the angles.
        some, labels = self.test_images[:1000], self.test_labels[:1000]
        return {
            "accuracy": accuracy(self.turned, self.test_labels),
            "accuracy_upright": accuracy(self.test_images, self.test_labels),
            "angles": list(ANGLES),
            "accuracy_by_angle": [accuracy(rotate_each(some, math.radians(a)), labels) for a in ANGLES],
        }
