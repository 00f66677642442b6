"""Convection, dilation and erosion one after the other: what a layer with these terms does to every channel."""

from __future__ import annotations

from torch import Tensor

from pdegcnn_lib.ops import _check
from pdegcnn_lib.ops.backends import implementation
from pdegcnn_lib.ops.semiring import convolve
from pdegcnn_lib.ops.transport import displaced
from pdegcnn_lib.spaces import Space


def evolution(
    f: Tensor,
    g0: Tensor,
    dilating: Tensor,
    eroding: Tensor,
    *,
    space: Space | None = None,
    backend: str | None = None,
) -> Tensor:
    r"""Convection by g0, then dilation by one kernel, then erosion by another, with a kernel for each channel.

    $$out = \Phi^E\, \Phi^D\, \Phi^C f$$

    Where gradients are wanted, compiled code on M2 does it in one pass, in which a volume `[Or, H, W]` stays in the
    processor's cache, and keeps only the winning taps. Value and gradients are those of the three operators, bit for
    bit on the CPU.
    Shapes and errors as in `convection` and `dilation`.
    """
    space = _check.convected(f, g0, space)
    for k in (dilating, eroding):
        _check.channelwise(f, k, space)
    by = space.displacement(g0)
    if space.kernels and not space.lists and space.periodic[-3]:
        found = implementation(backend, f).evolution(f, by, dilating, eroding)
        if found is not None:
            return found
    f = displaced(f, by, space, backend)
    f = convolve(f, dilating, "max_plus", space, backend)
    return convolve(f, eroding, "min_plus", space, backend)
