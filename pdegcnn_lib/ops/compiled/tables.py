"""Launches of the kernel tables: from a diagonal metric to the sampled morphological kernel, and back."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from pdegcnn_lib.geometry.estimates import NU
from pdegcnn_lib.geometry.groups import SE2
from pdegcnn_lib.kernels.morphological import nu_alpha
from pdegcnn_lib.kernels.window import relative_elements
from pdegcnn_lib.ops.compiled.machines import Machine, machine_of, scalar
from pdegcnn_lib.ops.compiled.sources import Unit

# Formula of the source and the coordinates that it takes.
ESTIMATES = {
    "rho_c": ("Diagonal", SE2.log),
    "rho_b": ("Diagonal", SE2.half_angle),
    "rho_b_sr": ("SubRiemannian", SE2.half_angle),
    "rho_b_com": ("Combined", SE2.half_angle),
}


@cache
def _coordinates(
    window: tuple[int, int, int], orientations: int, estimate: str, dtype: torch.dtype, device: torch.device
) -> Tensor:
    elements = relative_elements(window, orientations, dtype=torch.float64)
    return ESTIMATES[estimate][1](elements).to(device, dtype).contiguous()


@cache
def _constants(alpha: float, t: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    # The law is nu_alpha t (S / t^2)^exponent: the exponent, the factor of S^exponent, the constant of the
    # sub-Riemannian estimate, and where `kernels.morphological.power_law` takes a value for infinite.
    exponent = alpha / (2 * alpha - 1)
    values = [
        exponent,
        float(nu_alpha(alpha)) * t ** (1 - 2 * exponent),
        NU,
        torch.finfo(dtype).max * math.exp(-7),
    ]
    return torch.tensor(values, dtype=dtype, device=device)


def _unit(w: Tensor, estimate: str) -> Unit:
    return Unit("tables", (("SCALAR", scalar(w.dtype)), ("ESTIMATE", ESTIMATES[estimate][0])))


def _launch(
    kernel: str, w: Tensor, tensors: list[Tensor], entries: int, estimate: str, sums_for_each_thread: int
) -> None:
    machine: Machine = machine_of(w)
    threads = 1 if machine.owns_channels else 32 * machine.warps
    machine.launch(
        _unit(w, estimate),
        kernel,
        [*tensors, entries],
        blocks=len(w),
        shared_bytes=sums_for_each_thread * threads * w.element_size(),
    )


def forward(
    w: Tensor, window: tuple[int, int, int], orientations: int, alpha: float, t: float, estimate: str
) -> Tensor:
    """`w [C, 3]` to the kernel `[C, Or, KOr, KH, KW]`."""
    w = w.contiguous()
    k = w.new_empty((len(w), orientations, *window))
    b = _coordinates(window, orientations, estimate, w.dtype, w.device)
    constants = _constants(alpha, t, w.dtype, w.device)
    _launch("morphological_table", w, [b, w, k, constants], b.numel() // 3, estimate, 0)
    return k


def backward(g: Tensor, k: Tensor, w: Tensor, alpha: float, t: float, estimate: str) -> Tensor:
    """The gradient to w from the upstream gradient g of the kernel k."""
    g, k, w = g.contiguous(), k.contiguous(), w.contiguous()
    grad_w = w.new_empty(w.shape)
    _, orientations, planes, rows, columns = k.shape
    b = _coordinates((planes, rows, columns), orientations, estimate, w.dtype, w.device)
    constants = _constants(alpha, t, w.dtype, w.device)
    _launch("morphological_table_backward", w, [g, k, b, w, grad_w, constants], b.numel() // 3, estimate, 3)
    return grad_w
