"""Segmentation judged at the resolution of the photographs, as published numbers are."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.companion.data.segmentation import Labels, Segmentation
from pdegcnn_lib.companion.experiments.augmentation import relit, turned
from pdegcnn_lib.companion.experiments.metrics import (
    area_under_curve,
    best_threshold,
    centreline_dice,
    confusion,
    coverage_loss,
    dice,
)
from pdegcnn_lib.companion.experiments.segmentation import SegmentationTask
from pdegcnn_lib.models.tiling import apply_tiled


def enlarged(x: Tensor, height: int, width: int) -> Tensor:
    """A picture that was made smaller by means over n x n pixels, brought back: `[C, h, w]` -> `[C, height, width]`.

    Linear between the centres of the small pixels; rows and columns that the means left out repeat the last one.
    Raises: ValueError for a size that no factor leads to.
    """
    factor = height // x.shape[-2]
    down, right = height - factor * x.shape[-2], width - factor * x.shape[-1]
    if factor < 1 or not (0 <= down < factor and 0 <= right < factor):
        raise ValueError(f"size must be a multiple of {list(x.shape[-2:])}, got {height} x {width}")
    up = x[None]
    if factor > 1:
        up = functional.interpolate(up, scale_factor=factor, mode="bilinear", align_corners=False)
    return functional.pad(up, (0, right, 0, down), mode="replicate")[0]


class OwnResolution(SegmentationTask):
    """Segmentation that learns what part of a pixel a vessel covers, and is judged by the masks as they were drawn.

    The loss is `coverage_loss`; the contrast and brightness of every patch vary, for all networks alike, and with
    `augment` it is turned and mirrored too. For evaluation the probabilities are brought to the resolution of the
    original masks and cut at the threshold that is best on the training images (`dice` and what stands beside it) and
    at 1/2 (`at_one_half`); `half_resolution` is what a mask at 1/2 has against the masks made smaller. An observer is
    judged as a network is.
    """

    def __init__(
        self, train: Segmentation, test: Segmentation, *, patch: int = 64, augment: bool = False
    ) -> None:
        super().__init__(train, test, patch=patch, augment=augment)
        coverage = train.truth.float() if train.coverage is None else train.coverage
        self._targets = coverage * train.field

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        images, coverage, field = self._drawn(
            size, generator, self.train.images, self._targets, self.train.field
        )
        images = relit(images, generator) * field  # outside the field an image is 0
        if self.augment:
            images, coverage = turned([images, coverage], generator, flips=True)
        return images, coverage

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return coverage_loss(output, target)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, object]:
        known, labels = self.train.labels, self.test.labels
        seen = (self._brought_up(p, known) for p in self.probabilities(model, self.train))
        threshold = best_threshold(seen, known.truth, known.field)
        small = list(self.probabilities(model, self.test))
        found = torch.stack([self._brought_up(p, labels) for p in small])
        result = {
            **judged(found >= threshold, labels),
            "auc": area_under_curve(found, labels.truth, labels.field),
            "threshold": threshold,
            "at_one_half": judged(found >= 0.5, labels),
            "half_resolution": self._judged(torch.stack(small) >= 0.5),
        }
        if labels.observer is not None:
            result["observer"] = judged(labels.observer, labels)
        return result

    def probabilities(self, model: nn.Module, images: Segmentation) -> Iterator[Tensor]:
        """The probability of a vessel in each image at the resolution of the network, `[1, H, W]`."""
        return (torch.sigmoid(apply_tiled(model, image)) for image in images.images)

    @staticmethod
    def _brought_up(p: Tensor, labels: Labels) -> Tensor:
        return enlarged(p, *labels.truth.shape[-2:])


def judged(predicted: Tensor, labels: Labels) -> dict[str, object]:
    """The figures of merit of masks `[N, 1, H, W]` inside the field of view: Dice and centreline Dice by image."""
    triples = list(zip(predicted, labels.truth, labels.field, strict=True))
    by_image, centreline = ([score(*one) for one in triples] for score in (dice, centreline_dice))
    return {
        "dice": mean(by_image),
        "dice_by_image": [round(value, 5) for value in by_image],
        "cldice": mean(centreline),
        "cldice_by_image": [round(value, 5) for value in centreline],
        **confusion(predicted, labels.truth, labels.field),
    }
