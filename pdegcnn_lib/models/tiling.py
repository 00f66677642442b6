"""A fully convolutional network applied to a picture or volume of any size in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product

import torch
from torch import Tensor, nn

CANVAS = {2: 65, 3: 17}  # pixels or voxels along each axis, where the search for the reach begins
LARGEST_CANVAS = {2: 1025, 3: 129}


@torch.no_grad()
def reach(model: nn.Module, channels: int, axes: int = 2) -> int:
    """How far an output looks: the largest distance in pixels, along an axis, at which the input can change it.

    Measured, not summed up from the layers: one NaN in the middle of an image spreads to all that depends on it.
    The network must commute with translations by whole pixels, keep the size of the image and be in evaluation mode.
    `axes`: 2 for pictures, 3 for volumes.
    Raises: ValueError when the output has another size, or depends on the whole of a large image.
    """
    size = CANVAS[axes]
    device = next(model.parameters()).device
    while size <= LARGEST_CANVAS[axes]:
        image = torch.zeros(1, channels, *axes * [size], device=device)
        middle: tuple[slice | int, ...] = (slice(None), slice(None), *axes * [size // 2])
        image[middle] = torch.nan
        out = model(image)
        if out.shape[2:] != image.shape[2:]:
            raise ValueError(
                f"the network must keep the size of the image, got {list(image.shape)} -> {list(out.shape)}"
            )
        spoiled = torch.nonzero(out.isnan().flatten(0, 1).any(dim=0)) - size // 2
        found = int(spoiled.abs().max()) if len(spoiled) else 0
        if found < size // 2:
            return found
        size = 2 * size - 1
    raise ValueError(f"an output of the network depends on pixels more than {LARGEST_CANVAS[axes] // 2} away")


def spans(length: int, core: int) -> list[tuple[int, int]]:
    """An axis cut into pieces of at most `core`, nearly equal: their beginnings and ends."""
    count = -(-length // core)
    cuts = [round(i * length / count) for i in range(count + 1)]
    return list(zip(cuts, cuts[1:], strict=False))


Part = tuple[slice, ...]


def _windows(shape: Iterable[int], core: int, halo: int) -> Iterator[tuple[Part, Part, Part]]:
    """For each tile the pixels it writes, the pixels it reads, and where the former lie among the latter."""
    along = [
        [
            (
                slice(a, b),
                slice(max(0, a - halo), min(n, b + halo)),
                slice(a - max(0, a - halo), b - max(0, a - halo)),
            )
            for a, b in spans(n, core)
        ]
        for n in shape
    ]
    for tile in product(*along):
        write, read, keep = zip(*tile, strict=True)
        yield write, read, keep


@torch.no_grad()
def apply_tiled(
    model: nn.Module,
    image: Tensor,
    *,
    core: int = 512,
    halo: int | None = None,
    progress: Callable[[list], Iterable] | None = None,
) -> Tensor:
    """The output of a network for one picture or volume, computed tile by tile.

    A tile writes `core` pixels along each axis and reads `halo` more on every side, by default `reach(model)`. So the
    result is that of the whole picture at once, to rounding, the border included, and no larger piece than
    core + 2 halo along each axis is in work. Shapes: `[C, H, W]` -> `[C', H, W]`, or `[C, D, H, W]` ->
    `[C', D, H, W]`, on the device of `image`. `progress`: a callable that wraps the list of tiles, such as tqdm.
    Raises: ValueError for a network that is in training mode, a core below 1, or as `reach`.
    """
    if model.training:
        raise ValueError("the network must be in evaluation mode: call model.eval()")
    if core < 1:
        raise ValueError(f"core must be at least 1, got {core}")
    channels, *shape = image.shape
    device = next(model.parameters()).device
    if halo is None:
        halo = reach(model, channels, len(shape)) if max(shape) > core else 0
    windows, every = list(_windows(shape, core, halo)), slice(None)
    out: Tensor | None = None
    for write, read, keep in progress(windows) if progress else windows:
        tile = model(image[(None, every, *read)].to(device))[(0, every, *keep)].to(image.device)
        if out is None:
            out = tile.new_empty(tile.shape[0], *shape)
        out[(every, *write)] = tile
    assert out is not None
    return out
