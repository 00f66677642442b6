"""A fully convolutional network applied to a picture of any size in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

LARGEST_CANVAS = 1025


@torch.no_grad()
def reach(model: nn.Module, channels: int) -> int:
    """How far an output looks: the largest distance in pixels at which the input can change it.

    Measured, not summed up from the layers: one NaN in the middle of an image spreads to all that depends on it.
    The network must commute with translations by whole pixels, keep the size of the image and be in evaluation mode.
    Raises: ValueError when the output has another size, or depends on the whole of a large image.
    """
    size = 65
    device = next(model.parameters()).device
    while size <= LARGEST_CANVAS:
        image = torch.zeros(1, channels, size, size, device=device)
        image[..., size // 2, size // 2] = torch.nan
        out = model(image)
        if out.shape[-2:] != image.shape[-2:]:
            raise ValueError(
                f"the network must keep the size of the image, got {list(image.shape)} -> {list(out.shape)}"
            )
        spoiled = torch.nonzero(out.isnan().flatten(0, -3).any(dim=0)) - size // 2
        found = int(spoiled.abs().max()) if len(spoiled) else 0
        if found < size // 2:
            return found
        size = 2 * size - 1
    raise ValueError(f"an output of the network depends on pixels more than {LARGEST_CANVAS // 2} away")


def spans(length: int, core: int) -> list[tuple[int, int]]:
    """An axis cut into pieces of at most `core`, nearly equal: their beginnings and ends."""
    count = -(-length // core)
    cuts = [round(i * length / count) for i in range(count + 1)]
    return list(zip(cuts, cuts[1:], strict=False))


def _windows(height: int, width: int, core: int, halo: int) -> Iterator[tuple[slice, ...]]:
    """For each tile the pixels it writes, the pixels it reads, and where the former lie among the latter."""
    for top, bottom in spans(height, core):
        for left, right in spans(width, core):
            y, x = max(0, top - halo), max(0, left - halo)
            yield (
                slice(top, bottom),
                slice(left, right),
                slice(y, min(height, bottom + halo)),
                slice(x, min(width, right + halo)),
                slice(top - y, bottom - y),
                slice(left - x, right - x),
            )


@torch.no_grad()
def apply_tiled(
    model: nn.Module,
    image: Tensor,
    *,
    core: int = 512,
    halo: int | None = None,
    progress: Callable[[list], Iterable] | None = None,
) -> Tensor:
    """The output of a network for one picture, computed tile by tile.

    A tile writes core x core pixels and reads `halo` more on every side, by default `reach(model)`. So the result is
    that of the whole picture at once, to rounding, the border included, and no larger piece than
    (core + 2 halo)^2 pixels is in work. Shapes: `[C, H, W]` -> `[C', H, W]`, on the device of `image`.
    `progress`: a callable that wraps the list of tiles, such as tqdm.
    Raises: ValueError for a network that is in training mode, a core below 1, or as `reach`.
    """
    if model.training:
        raise ValueError("the network must be in evaluation mode: call model.eval()")
    if core < 1:
        raise ValueError(f"core must be at least 1, got {core}")
    channels, height, width = image.shape
    device = next(model.parameters()).device
    if halo is None:
        halo = reach(model, channels) if max(height, width) > core else 0
    windows = list(_windows(height, width, core, halo))
    out: Tensor | None = None
    for write_y, write_x, read_y, read_x, keep_y, keep_x in progress(windows) if progress else windows:
        tile = model(image[None, :, read_y, read_x].to(device))[0, :, keep_y, keep_x].to(image.device)
        if out is None:
            out = tile.new_empty(tile.shape[0], height, width)
        out[:, write_y, write_x] = tile
    assert out is not None
    return out
