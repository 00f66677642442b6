"""Convection, dilation and erosion as one launch: on the host one pass, in which a volume stays in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from pdegcnn_lib.ops.compiled import convolution, transport
from pdegcnn_lib.ops.compiled.machines import arithmetic, machine_of
from pdegcnn_lib.ops.compiled.passes import one_pass


@contextmanager
def _passing(f: Tensor) -> Iterator[list[Tensor]]:
    """A pass over the volumes of f where they are small and many enough, else one launch after the other."""
    machine, volumes = machine_of(f), f.shape[0] * f.shape[1]
    # 16-bit gradients are rounded between the launches; a graphics processor has no cache for a pass.
    passes = machine.owns_channels and f.dtype == arithmetic(f.dtype) and volumes >= machine.enough_blocks()
    if passes and f.nbytes <= volumes * machine.fast_bytes // 2:
        with one_pass(volumes) as handed:
            yield handed
    else:
        yield []


def evolve(
    f: Tensor, displacement: Tensor, dilating: Tensor, eroding: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """f `[B, C, Or, H, W]` shifted, dilated and eroded, with the codes of the winning taps of both kernels."""
    with _passing(f) as handed:
        moved = transport.shift(f, displacement)
        dilated, of_dilation = convolution.convolve(moved, dilating, "max_plus", True, None)
        out, of_erosion = convolution.convolve(dilated, eroding, "min_plus", True, None)
        handed += [moved, dilated]
    assert of_dilation is not None and of_erosion is not None
    return out, of_dilation, of_erosion


def gradients(
    g: Tensor,
    f: Tensor,
    displacement: Tensor,
    dilating: Tensor,
    eroding: Tensor,
    of_dilation: Tensor,
    of_erosion: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients to f, the displacement and both kernels, of which only shapes and types are read."""
    with _passing(g) as handed:
        to_dilated, to_eroding = convolution.tropical_gradients(g, of_erosion, eroding, "min_plus", None)
        to_dilated = to_dilated.to(g.dtype)
        to_moved, to_dilating = convolution.tropical_gradients(
            to_dilated, of_dilation, dilating, "max_plus", None
        )
        to_moved = to_moved.to(g.dtype)
        grad_f = transport.gradient_input(to_moved, displacement)
        to_displacement = transport.gradients_displacement(to_moved, f, displacement)
        handed += [to_dilated, to_moved]
    return (
        grad_f,
        to_displacement.sum(0).to(displacement.dtype),
        to_dilating.sum(0).to(dilating.dtype),
        to_eroding.sum(0).to(eroding.dtype),
    )
