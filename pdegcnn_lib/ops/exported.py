"""The operators as an export writes them down: equal to the reference, in few nodes.

A loop is unrolled where a program is recorded, and a window of 125 taps would be some 700 nodes. Here an axis of taps
stands in the place of the loop, at the price of memory: every plane of a window is one term and one reduction, which
hold as many copies of the features as the plane has taps. Gradients are another's task: equal taps share theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

# The zero of each semiring, its product and its sum over axes.
SEMIRINGS: dict[str, tuple[float, Callable[[Tensor, Tensor], Tensor], Callable[..., Tensor]]] = {
    "max_plus": (-math.inf, torch.sub, torch.amax),
    "min_plus": (math.inf, torch.add, torch.amin),
    "linear": (0.0, torch.mul, torch.sum),
    "log": (-math.inf, torch.sub, torch.logsumexp),
}


def semiring_convolution(f: Tensor, k: Tensor, semiring: str, lists: list[int] | None = None) -> Tensor:
    """As `reference.semiring_convolution`."""
    if lists is not None:
        return _over_lists(f, k, semiring, lists)
    zero, product, total = SEMIRINGS[semiring]
    planes, k_h, k_w = k.shape[2:]
    padded = torch.nn.functional.pad(f, (k_w // 2, k_w // 2, k_h // 2, k_h // 2), value=zero)
    seen = padded.unfold(3, k_h, 1).unfold(4, k_w, 1)  # [B, C, Or, H, W, KH, KW]
    # Plane o + i - KOr//2 is seen through tap i by o: terms are summed where they are seen, and go to o together.
    count = k.shape[1]
    plane, tap = torch.arange(count, device=f.device)[:, None], torch.arange(planes, device=f.device)
    owner = (plane - tap + planes // 2) % count
    weights = k[:, owner, tap][:, :, :, None, None]  # [C, Or, KOr, 1, 1, KH, KW]
    sums = torch.stack([total(product(seen, weights[:, :, i]), (5, 6)) for i in range(planes)], dim=2)
    source = (plane + tap - planes // 2) % count + count * tap
    return total(sums.flatten(2, 3).index_select(2, source.flatten()).unflatten(2, (count, planes)), (3,))


def _over_lists(f: Tensor, k: Tensor, semiring: str, lists: list[int]) -> Tensor:
    zero, product, total = SEMIRINGS[semiring]
    slots, *sizes = k.shape[2:]
    padded = torch.nn.functional.pad(f, [n // 2 for n in reversed(sizes) for _ in range(2)], value=zero)
    sums = []
    for slot in range(slots):
        sources = torch.tensor(lists[slot::slots], device=f.device)
        seen = padded.index_select(2, sources.clamp(min=0))
        if min(lists[slot::slots]) < 0:
            seen = seen.masked_fill((sources < 0)[:, None, None, None], zero)
        for axis, size in enumerate(sizes, start=3):
            seen = seen.unfold(axis, size, 1)  # in the end [B, C, O, Z, H, W, KZ, KH, KW]
        sums.append(total(product(seen, k[:, :, slot, None, None, None]), (6, 7, 8)))
    return total(torch.stack(sums), (0,))


def shift(f: Tensor, displacement: Tensor, periodic: bool = True) -> Tensor:
    """As `reference.shift`, without its care for gradients at whole displacements."""
    dx, dy, dz = displacement[..., None, None].unbind(2)  # [C, Z, 1, 1]
    return _along(_along(_along(f, 2, dz, periodic), 3, dy), 4, dx)


def _along(f: Tensor, axis: int, by: Tensor, periodic: bool = False) -> Tensor:
    size = f.shape[axis]
    index = torch.arange(size, dtype=by.dtype, device=by.device)
    place = index.reshape([-1 if n == axis else 1 for n in range(1, 5)]) - by
    place = place if periodic else place.clamp(0, size - 1)
    low = place.floor()

    def seen(n: Tensor) -> Tensor:
        n = n.long() % size if periodic else n.long().clamp(0, size - 1)
        return torch.gather(f, axis, n[None].expand(f.shape))

    return torch.lerp(seen(low), seen(low + 1), place - low)
