"""What a segmentation experiment learns from: images, and what is to be found in them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pdegcnn_lib.companion.data.preparation import Preparation


@dataclass(frozen=True)
class Labels:
    """The true mask, the field of view and, where there is one, a second observer's mask: `[N, 1, H, W]` of bool.

    Raises: ValueError for others, and for a field without a pixel, where any mask would be right.
    """

    truth: Tensor
    field: Tensor
    observer: Tensor | None = None

    def __post_init__(self) -> None:
        shape = len(self.truth), 1, *self.truth.shape[-2:]
        for name in ("truth", "field", "observer"):
            mask = getattr(self, name)
            if mask is not None and (mask.shape != shape or mask.dtype != torch.bool):
                raise ValueError(f"{name} must be bool {list(shape)}, got {mask.dtype} {list(mask.shape)}")
        if not self.field.flatten(1).any(dim=1).all():
            raise ValueError("field must hold at least one pixel of every image, got an empty one")

    def take(self, chosen: slice) -> Labels:
        """Those of some of the images."""
        observer = None if self.observer is None else self.observer[chosen]
        return Labels(self.truth[chosen], self.field[chosen], observer)


@dataclass(frozen=True)
class Segmentation:
    """Images `[N, C, H, W]` with the true mask, the field of view and, where there is one, a second observer's mask.

    The masks are `[N, 1, H, W]` of bool. Outside the field of view nothing is counted, and where a patch of training
    reaches there its target is 0, whatever the mask says. Of images that were made smaller, `coverage` is the part of
    each pixel that the true mask covers, `[N, 1, H, W]` in [0, 1], and `original` are the masks as they were drawn.
    `preparation` says how a picture becomes an image of the kind, where it is known: without it a network that learned
    from them is not applied to a reader's pictures.
    """

    names: tuple[str, ...]
    images: Tensor
    truth: Tensor
    field: Tensor
    observer: Tensor | None = None
    coverage: Tensor | None = None
    original: Labels | None = None
    preparation: Preparation | None = None

    def __post_init__(self) -> None:
        count, _, height, width = self.images.shape
        if self.truth.shape != (shape := (count, 1, height, width)):
            raise ValueError(
                f"truth must be bool {list(shape)}, got {self.truth.dtype} {list(self.truth.shape)}"
            )
        Labels(self.truth, self.field, self.observer)  # which raises for what they are not
        if len(self.names) != count:
            raise ValueError(f"names must name {count} images, got {len(self.names)}")

    def __len__(self) -> int:
        return len(self.names)

    def take(self, chosen: slice) -> Segmentation:
        """Some of the images."""
        masks = Labels(self.truth, self.field, self.observer).take(chosen)
        return Segmentation(
            self.names[chosen],
            self.images[chosen],
            masks.truth,
            masks.field,
            masks.observer,
            None if self.coverage is None else self.coverage[chosen],
            None if self.original is None else self.original.take(chosen),
            self.preparation,
        )

    @property
    def labels(self) -> Labels:
        """The masks that a network is judged by: the original ones where the images were made smaller."""
        return self.original or Labels(self.truth, self.field, self.observer)


def smaller(x: Tensor, factor: int) -> Tensor:
    """Means over factor x factor pixels, of a mask whether at least half are set. `[C, H, W]` or `[N, C, H, W]`."""
    mean = functional.avg_pool2d(x.float(), factor)
    return mean >= 0.5 if x.dtype == torch.bool else mean
