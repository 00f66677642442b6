"""Lines: dashes that continue each other along smooth curves, among dashes that do not.

A task of the kind that the Analysis paper trains on; its own generator is not published, this one is ours. Every dash
looks like every other: which of them form a line can only be told from how they are aligned, as in the association
field of the visual system (Field, Hayes and Hess, Vision Research 33, 1993).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdegcnn_lib.companion.data.preparation import Preparation
from pdegcnn_lib.companion.data.segmentation import Segmentation

LENGTH, WIDTH, PITCH = 5.0, 1.5, 9.0  # of a dash, and from one dash of a line to the next, in pixels
LINES, CLUTTER = 2, 80  # lines, and other dashes that are tried for
CLEARANCE = 5.0  # least distance between the centres of two dashes
LARGEST_CURVATURE = 1 / 25  # per pixel
NOISE = 0.1  # standard deviation of the grey values
TRAIN, TEST = 512, 128
SEEDS = {True: 2210, False: 935}


def curve(size: int, generator: torch.Generator) -> Tensor:
    """Dashes along an arc of a circle through the middle part of the image: `[n, 3]` as (x, y, theta)."""
    draw = torch.rand(5, generator=generator, dtype=torch.float64)
    centre = size * (0.25 + 0.5 * draw[:2])
    angle, curvature = 2 * math.pi * draw[2], LARGEST_CURVATURE * (2 * draw[3] - 1)
    # A full turn at most, so that an arc does not run over itself.
    reach = min(size, math.pi / max(abs(float(curvature)), 1e-9))
    s = torch.arange(-reach, reach, PITCH, dtype=torch.float64) + PITCH * draw[4]
    # The arc with curvature k through the origin: (sin(ks)/k, (1 - cos(ks))/k), its tangent turned by ks.
    forward = s * torch.sinc(curvature * s / math.pi)
    sideways = curvature * s**2 / 2 * torch.sinc(curvature * s / (2 * math.pi)) ** 2
    c, n = torch.cos(angle), torch.sin(angle)
    x, y = centre[0] + c * forward - n * sideways, centre[1] + n * forward + c * sideways
    dashes = torch.stack([x, y, angle + curvature * s], dim=-1)
    return dashes[((dashes[:, :2] > 1) & (dashes[:, :2] < size - 2)).all(dim=-1)]


def clear(dashes: Tensor, others: Tensor) -> Tensor:
    """Which dashes keep their distance from which others: `[n, 3]`, `[m, 3]` -> bool `[n, m]`."""
    # The default way of cdist, by matrix products, rounds differently on different machines.
    distance = torch.cdist(dashes[:, :2], others[:, :2], compute_mode="donot_use_mm_for_euclid_dist")
    return distance >= CLEARANCE


def arrangement(size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The dashes of one image, those of the lines and the clutter: `[n, 3]` and `[m, 3]` as (x, y, theta)."""
    lines = torch.empty(0, 3, dtype=torch.float64)
    for _ in range(LINES):
        candidate = curve(size, generator)
        while len(candidate) < 4 or not clear(candidate, lines).all():
            candidate = curve(size, generator)
        lines = torch.cat([lines, candidate])
    draw = torch.rand(CLUTTER, 3, generator=generator, dtype=torch.float64)
    tried = draw * torch.tensor([size - 3, size - 3, 2 * math.pi]) + torch.tensor([1.0, 1.0, 0.0])
    apart = clear(tried, tried)
    kept: list[int] = []
    for i in clear(tried, lines).all(dim=1).nonzero()[:, 0].tolist():  # the first come are kept
        if apart[i, kept].all():
            kept.append(i)
    clutter = tried[kept]
    return lines, clutter


def drawn(dashes: Tensor, size: int) -> Tensor:
    """Dashes as anti-aliased strokes on a black image: `[n, 3]` -> `[size, size]` in [0, 1]."""
    y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    dx, dy = x - dashes[:, 0, None, None], y - dashes[:, 1, None, None]
    c, s = torch.cos(dashes[:, 2, None, None]), torch.sin(dashes[:, 2, None, None])
    along = (c * dx + s * dy).abs().sub(LENGTH / 2).clamp(min=0)
    distance = torch.hypot(along, c * dy - s * dx)
    return (WIDTH / 2 + 0.5 - distance).clamp(0, 1).amax(dim=0) if len(dashes) else torch.zeros_like(x)


def draw(count: int, seed: int, size: int = 64) -> Segmentation:
    """`count` images `[1, size, size]` with the strokes of the lines as the truth; the same for the same seed.

    Raises: ValueError for a count below 1 or a size below 32.
    """
    if count < 1 or size < 32:
        raise ValueError(f"count must be at least 1 and size at least 32, got {count} and {size}")
    generator = torch.Generator().manual_seed(seed)
    images, strokes = [], []
    for _ in range(count):
        lines, clutter = arrangement(size, generator)
        stroke = drawn(lines, size)
        picture = torch.maximum(stroke, drawn(clutter, size))
        images.append(picture + NOISE * torch.randn(size, size, generator=generator, dtype=torch.float64))
        strokes.append(stroke)
    coverage = torch.stack(strokes)[:, None]
    truth = coverage >= 0.5
    names = tuple(f"lines-{seed}-{i:04}" for i in range(count))
    pictures, everywhere = torch.stack(images)[:, None].float(), torch.ones_like(truth)
    prepared = Preparation("lines", "grey")
    return Segmentation(names, pictures, truth, everywhere, coverage=coverage.float(), preparation=prepared)


def load(train: bool) -> Segmentation:
    """The set of the experiment: 512 images of 64 x 64 for training, 128 for test."""
    return draw(TRAIN if train else TEST, SEEDS[train])
