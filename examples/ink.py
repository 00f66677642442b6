"""A data set of one's own: find the ink on a badly lit page. Chapter 42 reads this file with its reader."""

from __future__ import annotations

from importlib import resources

import numpy as np
import torch
from PIL import Image
from skimage import filters
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.companion.experiments import Experiment, Task, Training, Variant

NOISE, TEST_SEED, SIZE = 0.15, 7, 24


def page() -> tuple[Tensor, Tensor]:
    """A scanned page in [0, 1] and its ink, darker than the paper around it: `[1, 1, H, W]` each."""
    with (resources.files("skimage") / "data" / "page.png").open("rb") as file:
        image = np.asarray(Image.open(file)) / 255
    ink = image < filters.threshold_local(image, 51, offset=0.06)
    scan, mask = (torch.as_tensor(a, dtype=torch.float32)[None, None] for a in (image, ink))
    return scan, mask


class Ink(Task):
    """Pixels of ink under noise. The left half of the page is for training, the right half for the test."""

    in_channels = 1

    def __init__(self, profile: str) -> None:
        image, ink = page()
        half = image.shape[-1] // 2
        self.image, self.ink = image[..., :half], ink[..., :half]
        noise = torch.randn(image[..., half:].shape, generator=torch.Generator().manual_seed(TEST_SEED))
        self.test_image, self.test_ink = image[..., half:] + NOISE * noise, ink[..., half:]

    def batch(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random patches, each with noise of its own; the generator is the only source of chance."""
        rows = torch.randint(self.image.shape[-2] - SIZE + 1, (size,), generator=generator).tolist()
        columns = torch.randint(self.image.shape[-1] - SIZE + 1, (size,), generator=generator).tolist()
        places = [(..., slice(y, y + SIZE), slice(x, x + SIZE)) for y, x in zip(rows, columns, strict=True)]
        images, targets = (torch.cat([a[place] for place in places]) for a in (self.image, self.ink))
        return images + NOISE * torch.randn(images.shape, generator=generator), targets

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(output.float(), target)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, object]:
        found = model(self.test_image.to(device)).cpu() > 0
        return {"dice": dice(found, self.test_ink)}


def dice(found: Tensor, true: Tensor) -> float:
    """The overlap of two masks, 2 |A n B| / (|A| + |B|)."""
    both = (found.bool() & true.bool()).sum()
    return float(2 * both / (found.bool().sum() + true.bool().sum()))


EXPERIMENT = Experiment(
    name="ink",
    summary="the ink of a badly lit page, under noise",
    task=Ink,
    variants=(Variant("vessels-pdegcnn3"), Variant("vessels-cnn3-narrow")),
    seeds={"fast": 1, "full": 5},
    training={"fast": Training(steps=60, batch_size=2), "full": Training(steps=2000, batch_size=16)},
    settings={"pdegcnn": {"learning_rate": 2e-2}, "cnn": {"learning_rate": 1e-2}},
    score="dice",
)
