"""The operators in plain torch: the readable oracle that every faster backend is held against.

One loop over the taps of the window serves every semiring; autograd differentiates it. Nothing is validated here,
that is the task of the public functions in `pdegcnn_lib.ops`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

SEMIRINGS = ("max_plus", "min_plus", "linear", "log")


def widened(f: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in the dtype that computes: one that holds the values of both, and places in an image."""
    dtype = torch.promote_types(torch.promote_types(f.dtype, k.dtype), torch.float32)
    return f.to(dtype), k.to(dtype)


def taps(
    f: Tensor, window: Sequence[int], fill: float, lists: list[int] | None = None
) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Every tap (i, j, l) of the window with the input seen through it, `[B, C, Or, H, W]`.

    The orientation axis is periodic; outside the image the input reads `fill`, the semiring's zero. With lists every
    tap (s, i, j, l) with the input `[B, C, O, Z, H, W]`, of which nothing is periodic.
    """
    if lists is not None:
        yield from _taps_of_lists(f, window, fill, lists)
        return
    k_or, k_h, k_w = window
    height, width = f.shape[-2:]
    padded = torch.nn.functional.pad(f, (k_w // 2, k_w // 2, k_h // 2, k_h // 2), value=fill)
    for i in range(k_or):
        rolled = torch.roll(padded, k_or // 2 - i, dims=2)
        for j in range(k_h):
            for m in range(k_w):
                yield (i, j, m), rolled[..., j : j + height, m : m + width]


def _taps_of_lists(
    f: Tensor, window: Sequence[int], fill: float, lists: list[int]
) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    slots, *sizes = window
    depth, height, width = f.shape[-3:]
    padded = torch.nn.functional.pad(f, [n // 2 for n in reversed(sizes) for _ in range(2)], value=fill)
    for s in range(slots):
        sources = lists[s::slots]
        seen = padded[:, :, torch.tensor([max(n, 0) for n in sources], device=f.device)]
        if min(sources) < 0:
            absent = torch.tensor([n < 0 for n in sources], device=f.device)
            seen = seen.masked_fill(absent[:, None, None, None], fill)
        for i in range(sizes[0]):
            for j in range(sizes[1]):
                for m in range(sizes[2]):
                    yield (s, i, j, m), seen[..., i : i + depth, j : j + height, m : m + width]


def by_tap(k: Tensor) -> Tensor:
    """A kernel `[C, O, *window]` with the taps in front, `[*window, C, O, 1, ...]`, to go with what they see."""
    axes = tuple(range(2, k.ndim))
    return k.movedim(axes, tuple(n - 2 for n in axes)).reshape(
        *k.shape[2:], *k.shape[:2], *[1] * (len(axes) - 1)
    )


def semiring_convolution(f: Tensor, k: Tensor, semiring: str, lists: list[int] | None = None) -> Tensor:
    r"""The group convolution of f with the sampled kernel k over a semiring.

    $$out[b,c,o,y,x] = \bigoplus_{i,j,l} f[b, c, (o+i-KOr/2) \bmod Or, y+j-KH/2, x+l-KW/2] \otimes k[c,o,i,j,l]$$

    with (oplus, otimes) = (max, -) for `max_plus`, (min, +) for `min_plus`, (sum, x) for `linear` and
    (logsumexp, -) for `log`. The first tap wins a tie and takes the whole gradient. A NaN under a tap spreads.

    With lists the planes are those of O volumes, no axis is periodic, and `lists` names the S volumes that each of them
    reads, one after the other, -1 where there are fewer: `f [B, C, O, Z, H, W]`, `k [C, O, S, KZ, KH, KW]`,

    $$out[b,c,o,z,y,x] = \bigoplus_{s,i,j,l} f[b, c, lists[o,s], z+i-KZ/2, y+j-KH/2, x+l-KW/2] \otimes k[c,o,s,i,j,l]$$
    """
    if semiring in ("max_plus", "min_plus"):
        return _extremum(f if semiring == "max_plus" else -f, k, lists) * (
            1 if semiring == "max_plus" else -1
        )
    weights = by_tap(k)
    if semiring == "linear":
        terms = (seen * weights[tap] for tap, seen in taps(f, k.shape[2:], 0.0, lists))
        return sum(terms, start=torch.zeros_like(f))
    if semiring == "log":
        seen_by_tap = [seen - weights[tap] for tap, seen in taps(f, k.shape[2:], -math.inf, lists)]
        return torch.logsumexp(torch.stack(seen_by_tap), dim=0)
    raise ValueError(f"semiring must be one of {', '.join(SEMIRINGS)}, got {semiring!r}")


def _extremum(f: Tensor, k: Tensor, lists: list[int] | None) -> Tensor:
    weights = by_tap(k)
    best: Tensor | None = None
    for tap, seen in taps(f, k.shape[2:], -math.inf, lists):
        value = seen - weights[tap]
        # A strict comparison keeps the first of equal taps; a NaN wins and then stays.
        best = (
            value
            if best is None
            else torch.where((value > best) | (value.isnan() & ~best.isnan()), value, best)
        )
    assert best is not None  # a window has at least one tap
    return best


def shift(f: Tensor, displacement: Tensor, periodic: bool = True) -> Tensor:
    r"""The input displaced by a constant vector per channel and plane, trilinearly interpolated.

    $$out[b,c,z,y,x] = f[b, c, z - dz, y - dy, x - dx], \qquad (dx, dy, dz) = displacement[c, z]$$

    Planes come round where `periodic`, as orientations do; other coordinates beyond the grid are clamped to its border.
    At a whole displacement the interpolation has a kink, and its gradient is the mean of the derivatives on the two
    sides.

    Shapes: `f [B, C, Z, H, W]`, `displacement [C, Z, 3]` in pixels, pixels and planes -> as f.
    """
    dx, dy, dz = displacement[..., None, None].unbind(2)  # [C, Z, 1, 1]
    return shift_along(shift_along(shift_along(f, 2, dz, periodic), 3, dy), 4, dx)


def shift_along(f: Tensor, axis: int, by: Tensor, periodic: bool = False) -> Tensor:
    """The input displaced along one axis; `by [C, Z, 1, 1]`."""
    size = f.shape[axis]
    index = torch.arange(size, dtype=by.dtype, device=by.device)
    place = index.reshape([size if n == axis else 1 for n in range(1, 5)]) - by
    if not periodic:
        place = place.clamp(-1, size)
    at = place.detach()
    # A displacement is whole up to the rounding of the cosines that it was made of.
    whole = (at - at.round()).abs() <= 64 * torch.finfo(at.dtype).eps
    low = torch.where(whole, at.round(), at.floor())
    fraction = place - low
    after = torch.where(whole, fraction / 2, fraction)
    before = torch.where(whole, -fraction / 2, 0)

    def seen(n: Tensor) -> Tensor:
        n = n.long() % size if periodic else n.long().clamp(0, size - 1)  # in this order for NaN, too
        # take_along_dim would do the same and fix every size in an export.
        return torch.gather(f, axis, n[None].expand(f.shape))

    return seen(low) * (1 - after - before) + seen(low + 1) * after + seen(low - 1) * before


def projection(f: Tensor) -> Tensor:
    """The maximum over the fibre, the third axis; equal maxima share the gradient."""
    return f.amax(dim=2)
