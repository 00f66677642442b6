"""Changes of training images that every network is shown alike."""

from __future__ import annotations

import torch
from torch import Tensor

CONTRAST, BRIGHTNESS = 0.2, 0.1


def relit(images: Tensor, generator: torch.Generator) -> Tensor:
    r"""Each image with a contrast and a brightness of its own, $(1 + c) f + b$.

    c and b are uniform in [-0.2, 0.2] and [-0.1, 0.1], in units of the values of the images. `[N, C, H, W]` -> alike.
    """
    c, b = (2 * torch.rand(2, len(images), 1, 1, 1, generator=generator) - 1).unbind()
    return (1 + CONTRAST * c) * images + BRIGHTNESS * b


def turned(groups: list[Tensor], generator: torch.Generator, *, flips: bool) -> list[Tensor]:
    """Each square image turned by a random multiple of 90 degrees and, with `flips`, mirrored every other time.

    `groups` holds tensors `[N, C, H, W]` that belong together, images and masks: what happens to one happens to all.
    """
    count = len(groups[0])
    turns = torch.randint(4, (count,), generator=generator).tolist()
    mirrored = torch.randint(2, (count,), generator=generator).tolist() if flips else [0] * count

    def moved(image: Tensor, k: int, mirror: int) -> Tensor:
        image = image.rot90(k, (-2, -1))
        return image.flip(-1) if mirror else image

    return [
        torch.stack([moved(*one) for one in zip(group, turns, mirrored, strict=True)]) for group in groups
    ]
