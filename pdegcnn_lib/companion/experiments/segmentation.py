"""Segmentation: from patches to masks of whole images, of vessels in the retina or of lines among clutter."""

from __future__ import annotations

from statistics import mean

import torch
from torch import Tensor, nn

from pdegcnn_lib.companion.data import Segmentation
from pdegcnn_lib.companion.experiments.augmentation import turned
from pdegcnn_lib.companion.experiments.metrics import (
    area_under_curve,
    check_classes,
    confusion,
    dice,
    dice_loss,
)
from pdegcnn_lib.companion.experiments.task import Task
from pdegcnn_lib.models.tiling import apply_tiled


class SegmentationTask(Task):
    """Masks from images, by the Dice loss on patches; whole images are segmented at the threshold 1/2.

    A patch is drawn from a random image around a random pixel of its field of view, as far as the border allows.
    `patch` is its side, or 0 for whole images. With `augment` each is turned by a random multiple of 90 degrees; by
    default nothing is augmented: equivariance replaces it. Where the test images have a second observer, he is judged
    as a network is. Raises: ValueError for a patch larger than the images, to turn whole ones that are not square, and,
    before anything is trained, for test images of one class.
    """

    def __init__(
        self, train: Segmentation, test: Segmentation, *, patch: int = 64, augment: bool = False
    ) -> None:
        height, width = train.images.shape[-2:]
        if patch and not 8 <= patch <= min(height, width):
            raise ValueError(f"patch must be 0 or from 8 to {min(height, width)}, got {patch}")
        if augment and not patch and height != width:
            raise ValueError(
                f"augment must be False for whole images that are not square, got {height} x {width}"
            )
        check_classes(test.truth, test.field)
        self.train, self.test, self.patch, self.augment = train, test, patch, augment
        self.in_channels, self.preparation = train.images.shape[1], train.preparation
        self._inside = [field[0].nonzero() for field in train.field]
        self._targets = train.truth & train.field

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images, truths = self._drawn(size, generator, self.train.images, self._targets)
        if self.augment:
            images, truths = turned([images, truths], generator, flips=False)
        return images, truths.float()

    def _drawn(self, size: int, generator: torch.Generator, *sources: Tensor) -> list[Tensor]:
        """Patches of each of `sources`, `[N, C, H, W]`, from the same places."""
        chosen = torch.randint(len(self.train), (size,), generator=generator)
        if not self.patch:
            return [source[chosen] for source in sources]
        windows = []
        for n, u in zip(chosen.tolist(), torch.rand(size, generator=generator).tolist(), strict=True):
            inside = self._inside[n]
            y, x = self._corner(inside[int(u * len(inside))])
            windows.append((n, slice(None), slice(y, y + self.patch), slice(x, x + self.patch)))
        return [torch.stack([source[window] for window in windows]) for source in sources]

    def _corner(self, centre: Tensor) -> tuple[int, int]:
        height, width = self.train.images.shape[-2:]
        y, x = (int(c) - self.patch // 2 for c in centre)
        return min(max(y, 0), height - self.patch), min(max(x, 0), width - self.patch)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return dice_loss(output, target)

    def scores(self, model: nn.Module) -> Tensor:
        """The logits of the test images, `[N, 1, H, W]`."""
        return torch.stack([apply_tiled(model, image) for image in self.test.images])

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, object]:
        scores = self.scores(model)
        found = {
            **self._judged(scores > 0),
            "auc": area_under_curve(scores, self.test.truth, self.test.field),
        }
        if self.test.observer is not None:
            found["observer"] = self._judged(self.test.observer)
        return found

    def _judged(self, predicted: Tensor) -> dict[str, object]:
        truth, field = self.test.truth, self.test.field
        by_image = [dice(p, t, f) for p, t, f in zip(predicted, truth, field, strict=True)]
        return {
            "dice": mean(by_image),
            "dice_by_image": [round(value, 5) for value in by_image],
            **confusion(predicted, truth, field),
        }
