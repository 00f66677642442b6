"""Tubes in space: smooth curves with a radius, among patches of curved sheets and balls, in noise.

The distractors are as bright and as thick as the tubes, and touch and cross them: line, plane or ball is the question,
at any orientation. The generator is ours; the same volumes for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TUBES, SHEETS, BALLS = 3, 3, 5
LARGEST_CURVATURE = 0.09  # per voxel
RADIUS = (0.9, 1.8)  # of a tube, and half the thickness of a sheet
BRIGHTNESS = (0.6, 1.0)
NOISE = 0.35  # standard deviation of the grey values
TRAIN, TEST, SIZE = 64, 24, 24
SEEDS = {True: 3014, False: 1414}
VALIDATION_SEED = 2236  # of the volumes that settings are chosen on


@dataclass(frozen=True)
class Volumes:
    """Volumes `[n, 1, D, H, W]` and the true masks `[n, 1, D, H, W]` of bool."""

    images: Tensor
    truth: Tensor

    def __post_init__(self) -> None:
        if self.truth.shape != self.images.shape or self.truth.dtype != torch.bool:
            raise ValueError(
                f"truth must be bool {list(self.images.shape)}, got {self.truth.dtype} {list(self.truth.shape)}"
            )
        if not torch.isfinite(self.images).all():
            index = (~torch.isfinite(self.images)).nonzero()[0].tolist()
            raise ValueError(f"images must be finite, got {self.images[tuple(index)].item():g} at {index}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: slice) -> Volumes:
        """Some of the volumes."""
        return Volumes(self.images[chosen], self.truth[chosen])


def _unit(v: Tensor) -> Tensor:
    return v / torch.linalg.vector_norm(v, dim=-1, keepdim=True)


def curve(size: int, generator: torch.Generator, along: Tensor | None = None) -> Tensor:
    """Points half a voxel apart on a smooth curve through the middle half of the volume: `[n, 3]` as (x, y, z).

    Its direction turns by a curvature vector that wanders, of at most `LARGEST_CURVATURE`. `along` is the direction
    that it starts near, within 20 degrees; by default any.
    """
    draw = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    start = size * (0.25 + 0.5 * torch.rand(3, generator=generator, dtype=torch.float64))
    direction = _unit(draw[0]) if along is None else _unit(along + 0.2 * draw[0])
    halves = []
    for sign in (1.0, -1.0):
        place, n, bend, points = start, sign * direction, 0.5 * LARGEST_CURVATURE * draw[1], []
        for noise in torch.randn(4 * size, 3, generator=generator, dtype=torch.float64):
            points.append(place)
            place = place + 0.5 * n
            bend = 0.95 * bend + 0.02 * noise
            across = bend - (bend @ n) * n
            across = across * min(
                1.0, LARGEST_CURVATURE / max(float(torch.linalg.vector_norm(across)), 1e-12)
            )
            n = _unit(n + 0.5 * across)
            if ((place < -2) | (place > size + 1)).any():
                break
        halves.append(torch.stack(points))
    return torch.cat([halves[1].flip(0)[:-1], halves[0]])


def _grid(size: int) -> Tensor:
    z, y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 3, indexing="ij")
    return torch.stack([x, y, z], dim=-1)


def _between(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def _tube(size: int, generator: torch.Generator, along: Tensor | None) -> tuple[Tensor, float]:
    """The distance of every voxel to a curve, less its radius; and the brightness."""
    points = curve(size, generator, along)
    # The default way of cdist, by matrix products, rounds differently on different machines.
    apart = torch.cdist(_grid(size).reshape(-1, 3), points, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.amin(-1).reshape((size,) * 3) - _between(generator, *RADIUS), _between(
        generator, *BRIGHTNESS
    )


def _sheet(size: int, generator: torch.Generator) -> tuple[Tensor, float]:
    """A patch of a sphere of radius 12 to 60, with a reach of 5 to 11 voxels."""
    normal = _unit(torch.randn(3, generator=generator, dtype=torch.float64))
    middle = size * torch.rand(3, generator=generator, dtype=torch.float64)
    radius, reach = _between(generator, 12, 60), _between(generator, 5, 11)
    grid = _grid(size)
    shell = (torch.linalg.vector_norm(grid - (middle - radius * normal), dim=-1) - radius).abs()
    rim = torch.linalg.vector_norm(grid - middle, dim=-1) - reach
    return torch.maximum(shell - _between(generator, *RADIUS), rim), _between(generator, *BRIGHTNESS)


def _ball(size: int, generator: torch.Generator) -> tuple[Tensor, float]:
    middle = size * torch.rand(3, generator=generator, dtype=torch.float64)
    apart = torch.linalg.vector_norm(_grid(size) - middle, dim=-1)
    return apart - _between(generator, 1.2, 3), _between(generator, *BRIGHTNESS)


def draw(
    count: int,
    seed: int,
    size: int = SIZE,
    *,
    along: tuple[float, float, float] | None = None,
    noise: float = NOISE,
) -> Volumes:
    """`count` volumes of size^3 with the masks of their tubes; the same for the same seed.

    With `along` every tube starts near that direction, otherwise in any.
    Raises: ValueError for a count below 1, a size below 12, a direction of length 0 or negative noise.
    """
    if count < 1 or size < 12 or noise < 0:
        raise ValueError(
            f"count must be at least 1, size at least 12 and noise at least 0, got {count}, {size} and {noise:g}"
        )
    axis = None if along is None else torch.tensor(along, dtype=torch.float64)
    if axis is not None and not float(torch.linalg.vector_norm(axis)) > 0:
        raise ValueError(f"along must be a direction of positive length, got {along}")
    axis = None if axis is None else _unit(axis)
    generator = torch.Generator().manual_seed(seed)
    images, truths = [], []
    shapes: list[Callable[..., tuple[Tensor, float]]] = [_sheet] * SHEETS + [_ball] * BALLS
    for _ in range(count):
        tubes = [_tube(size, generator, axis) for _ in range(TUBES)]
        others = [shape(size, generator) for shape in shapes]
        drawn = torch.stack([b * (0.5 - away).clamp(0, 1) for away, b in [*tubes, *others]]).amax(dim=0)
        images.append(drawn + noise * torch.randn((size,) * 3, generator=generator, dtype=torch.float64))
        truths.append(torch.stack([away for away, _ in tubes]).amin(dim=0) <= 0)
    return Volumes(torch.stack(images)[:, None].float(), torch.stack(truths)[:, None])


def load(train: bool, size: int = SIZE) -> Volumes:
    """The set of the experiment: 64 volumes for training, 24 for test."""
    return draw(TRAIN if train else TEST, SEEDS[train], size)
