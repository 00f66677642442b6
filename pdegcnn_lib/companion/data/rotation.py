"""Rotated copies of a set of images, the same for every model."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def random_angles(count: int, seed: int) -> Tensor:
    """`count` angles uniform on [0, 2 pi), in radians, from a generator of their own."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64) * (2 * math.pi)


def rotate_each(images: Tensor, angles: Tensor | float) -> Tensor:
    """Each image turned about its centre by its own angle (radians, +x toward +y), bilinear, zero outside.

    Shapes: `images [N, C, H, W]` with H = W, `angles [N]` or one number -> as images.
    Raises: ValueError for images that are not square.
    """
    if images.shape[-1] != images.shape[-2]:
        raise ValueError(f"images must be square to be turned on themselves, got {list(images.shape)}")
    angles = torch.as_tensor(angles, dtype=torch.float64).expand(len(images))
    c, s, zero = torch.cos(angles), torch.sin(angles), torch.zeros_like(angles)
    # affine_grid asks where to read: out(x) = f(R^-1 x).
    inverse = torch.stack([torch.stack([c, s, zero], -1), torch.stack([-s, c, zero], -1)], dim=1)
    grid = functional.affine_grid(inverse.to(images.dtype), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
