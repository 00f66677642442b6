"""Launches of the shift, forward and backward, on either machine."""

from __future__ import annotations

from torch import Tensor

from pdegcnn_lib.ops.compiled.machines import arithmetic, machine_of, scalar
from pdegcnn_lib.ops.compiled.sources import CONTRACT, Unit


def _launch(
    kernel: str,
    f: Tensor,
    tensors: list[Tensor],
    displacement: Tensor,
    out: Tensor,
    periodic: bool,
    rows: int,
) -> None:
    images, channels, depth, height, width = f.shape
    if f.numel() == 0:
        return
    machine = machine_of(f)
    padded = -(-width // machine.lanes) * machine.lanes
    machine.launch(
        Unit("shift", (("SCALAR", scalar(f.dtype)),)),
        kernel,
        [*tensors, displacement, out, channels, depth, height, width, int(periodic)],
        blocks=images * channels * depth,
        shared_bytes=machine.warps * rows * padded * displacement.element_size()
        + depth * CONTRACT["STENCIL_BYTES"],
    )


def shift(f: Tensor, displacement: Tensor, periodic: bool = True) -> Tensor:
    """`f [B, C, Z, H, W]` displaced by `displacement [C, Z, 3]`."""
    f = f.contiguous()
    out = f.new_empty(f.shape)
    _launch("shift", f, [f], _table(f, displacement), out, periodic, 1)
    return out


def gradient_input(g: Tensor, displacement: Tensor, periodic: bool = True) -> Tensor:
    """The gradient to f from the upstream gradient g."""
    g = g.contiguous()
    grad_f = g.new_empty(g.shape)
    _launch("shift_gradient_input", g, [g], _table(g, displacement), grad_f, periodic, 2)
    return grad_f


def gradient_displacement(g: Tensor, f: Tensor, displacement: Tensor, periodic: bool = True) -> Tensor:
    """The gradient to the displacement from the upstream gradient g."""
    return gradients_displacement(g, f, displacement, periodic).sum(0).to(displacement.dtype)


def gradients_displacement(g: Tensor, f: Tensor, displacement: Tensor, periodic: bool = True) -> Tensor:
    """The same by each image, `[B, C, Or, 3]`."""
    g, f = g.contiguous(), f.contiguous()
    table = _table(f, displacement)
    partial = table.new_zeros((f.shape[0], *displacement.shape))
    _launch("shift_gradient_displacement", f, [g, f], table, partial, periodic, 3)
    return partial


def _table(f: Tensor, displacement: Tensor) -> Tensor:
    return displacement.to(arithmetic(f.dtype)).contiguous()
