"""A fully convolutional network applied to a picture or volume of any size in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, product
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

CANVAS = {2: 33, 3: 17}  # pixels or voxels along each axis, where the search for the reach begins
LARGEST_CANVAS = {2: 1025, 3: 129}


def period(model: nn.Module) -> int:
    """The n of which multiples are the translations in pixels that a network commutes with.

    It is 1 unless a module says otherwise by an attribute `period`, as one that halves its images does.
    """
    return math.lcm(*(getattr(module, "period", 1) for module in model.modules()))


def _number(model: nn.Module) -> Tensor:
    """The first floating number of a network, whose device and dtype say where and in what it works."""
    found = (x for x in chain(model.parameters(), model.buffers()) if x.is_floating_point())
    return next(found, torch.empty(0))  # a fixed lift has none, nor has a frozen dilation without its kernel


@torch.no_grad()
def reach(model: nn.Module, channels: int, axes: int = 2) -> int:
    """How far an output looks: a distance in pixels, along an axis, beyond which the input cannot change it.

    Measured: one NaN in the middle of an image spreads to all that depends on it, at most so far. For a network with
    a `period` above 1 it is a cube of NaN, a period wide, that spreads: the distances are from its far side, so that
    none is too small, wherever a pixel lies among the periods. An `nn.Sequential` looks as far as its parts together,
    which is too far only where one looks back upon what another looked away from.
    The network must commute with translations by its period, keep the size of the image and be in evaluation mode.
    `axes`: 2 for pictures, 3 for volumes.
    Raises: ValueError when the output has another size, or depends on the whole of a large image.
    """
    image = _number(model).new_zeros(1, channels, *axes * [CANVAS[axes]])
    width = period(model)
    return sum(_reach(part, f, axes, width) for part, f in _parts(model, image, axes))


def _parts(model: nn.Module, image: Tensor, axes: int) -> list[tuple[nn.Module, Tensor]]:
    """The parts of a network with what each is given; the network itself where they are no chain that keeps the size.

    A part is measured on a small canvas, where few are spoiled: compiled kernels are slow where NaN are.
    """
    whole = [(model, image)]
    if type(model).forward is not nn.Sequential.forward:
        return whole
    found, f = [], image
    for part in model.children():
        found.append((part, f))
        f = part(f)
        if not isinstance(f, Tensor) or f.shape[-axes:] != image.shape[-axes:]:
            return whole
    return found


def _reach(part: nn.Module, like: Tensor, axes: int, width: int) -> int:
    """`reach` of a part that is given features such as `like`, whose last axes are those of the image."""
    size = CANVAS[axes]
    while size <= LARGEST_CANVAS[axes]:
        f = like.new_zeros(*like.shape[:-axes], *axes * [size])
        first, last, cube = size // 2, size // 2 + width - 1, f
        for axis in range(-axes, 0):
            cube = cube.narrow(axis, first, width)
        cube.fill_(torch.nan)
        out = part(f)
        if out.shape[-axes:] != f.shape[-axes:]:
            raise ValueError(
                f"the network must keep the size of the image, got {list(f.shape)} -> {list(out.shape)}"
            )
        spoiled = torch.nonzero(out.isnan().flatten(0, -axes - 1).any(dim=0))
        found = int(torch.maximum(spoiled - first, last - spoiled).max()) if len(spoiled) else 0
        if found < size // 2:
            return found
        size = 2 * size - 1
    raise ValueError(f"an output of the network depends on pixels more than {LARGEST_CANVAS[axes] // 2} away")


_MEASURED: WeakKeyDictionary[nn.Module, tuple[list[Tensor], dict[tuple[int, int], int]]] = WeakKeyDictionary()


def _known_reach(model: nn.Module, channels: int, axes: int) -> int:
    """`reach`, measured once for a network whose parameters and buffers stay as they are."""
    state = [x.detach() for x in chain(model.parameters(), model.buffers())]
    before, found = _MEASURED.get(model, ([], {}))
    if len(before) != len(state) or not all(map(_same, before, state)):
        before, found = [x.clone() for x in state], {}
        _MEASURED[model] = before, found
    if (channels, axes) not in found:
        found[channels, axes] = reach(model, channels, axes)
    return found[channels, axes]


def _same(a: Tensor, b: Tensor) -> bool:
    return a.device == b.device and a.dtype == b.dtype and torch.equal(a, b)


def spans(length: int, core: int) -> list[tuple[int, int]]:
    """An axis cut into pieces of at most `core`, nearly equal: their beginnings and ends."""
    count = -(-length // core)
    cuts = [round(i * length / count) for i in range(count + 1)]
    return list(zip(cuts, cuts[1:], strict=False))


Part = tuple[slice, ...]


def _windows(shape: Iterable[int], core: int, halo: int, step: int) -> Iterator[tuple[Part, Part, Part]]:
    """For each tile the pixels it writes, the pixels it reads, and where the former lie among the latter.

    What it reads begins at a multiple of `step`.
    """

    def along(n: int) -> Iterator[tuple[slice, slice, slice]]:
        for a, b in spans(n, core):
            begin = max(0, a - halo) // step * step
            yield slice(a, b), slice(begin, min(n, b + halo)), slice(a - begin, b - begin)

    for tile in product(*map(along, shape)):
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

    A tile writes `core` pixels along each axis and reads `halo` more on every side, by default `reach(model)`, which
    is measured once for a network as it is. So the result is that of the whole picture at once, to rounding, the
    border included, and no larger piece than core + 2 halo + period - 1 along each axis is in work.
    Shapes: `[C, H, W]` -> `[C', H, W]`, or `[C, D, H, W]` -> `[C', D, H, W]`, on the device of `image`.
    `progress`: a callable that wraps the list of tiles, such as tqdm.
    Raises: ValueError for a network that is in training mode, a core below 1, or as `reach`.
    """
    if model.training:
        raise ValueError("the network must be in evaluation mode: call model.eval()")
    if core < 1:
        raise ValueError(f"core must be at least 1, got {core}")
    channels, *shape = image.shape
    device = _number(model).device
    if halo is None:
        halo = _known_reach(model, channels, len(shape)) if max(shape) > core else 0
    windows, every = list(_windows(shape, core, halo, period(model))), slice(None)
    out: Tensor | None = None
    for write, read, keep in progress(windows) if progress else windows:
        tile = model(image[(None, every, *read)].to(device))[(0, every, *keep)].to(image.device)
        if out is None:
            out = tile.new_empty(tile.shape[0], *shape)
        out[(every, *write)] = tile
    assert out is not None
    return out
