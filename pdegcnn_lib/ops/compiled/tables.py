"""Launches of the kernel tables: from a diagonal metric to the kernel sampled on the window, and back."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from pdegcnn_lib.geometry.estimates import ESTIMATES, NU
from pdegcnn_lib.kernels.morphological import nu_alpha
from pdegcnn_lib.kernels.window import relative_elements
from pdegcnn_lib.ops.compiled.machines import machine_of, scalar
from pdegcnn_lib.ops.compiled.sources import Unit


def formula(law: str, alpha: float) -> str | None:
    """The source's name of the kernel of a law, `morphological` or `diffusion`; None where it has no closed form."""
    if law == "morphological":
        return "Power" if alpha > 0.5 else None
    return {0.5: "Poisson", 1.0: "Gaussian"}.get(alpha)


@cache
def _coordinates(
    window: tuple[int, int, int], orientations: int, estimate: str, dtype: torch.dtype, device: torch.device
) -> Tensor:
    elements = relative_elements(window, orientations, dtype=torch.float64, device="cpu")
    return ESTIMATES[estimate].coordinates(elements).to(device, dtype).contiguous()


@cache
def _constants(law: str, alpha: float, t: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    if law == "morphological":
        # nu_alpha t (S / t^2)^exponent: the exponent, the factor of S^exponent, and where
        # `kernels.morphological.power_law` takes a value for infinite.
        exponent = alpha / (2 * alpha - 1)
        largest = torch.finfo(dtype).max * math.exp(-7)
        values = [exponent, float(nu_alpha(alpha)) * t ** (1 - 2 * exponent), largest]
    else:
        values = [1 / (4 * t) if alpha == 1 else 1 / t**2]
    return torch.tensor([NU, *values], dtype=dtype, device=device)


def _launch(
    kernel: str, tensors: list[Tensor], k: Tensor, w: Tensor, law: str, alpha: float, t: float, estimate: str
) -> None:
    _, orientations, planes, rows, columns = k.shape
    name = formula(law, alpha)
    assert name is not None
    macros = (("SCALAR", scalar(w.dtype)), ("ESTIMATE", str(ESTIMATES[estimate].word)), ("LAW", name))
    b = _coordinates((planes, rows, columns), orientations, estimate, w.dtype, w.device)
    constants = _constants(law, alpha, t, w.dtype, w.device)
    machine = machine_of(w)
    machine.launch(
        Unit("tables", macros),
        kernel,
        [*tensors, b, w, constants, orientations, planes * rows * columns],
        blocks=len(w),
        shared_bytes=machine.warps * w.element_size(),
    )


def sample(
    w: Tensor, law: str, window: list[int], orientations: int, alpha: float, t: float, estimate: str
) -> Tensor:
    """`w [C, 3]` to the kernel `[C, Or, KOr, KH, KW]`."""
    w = w.contiguous()
    k = w.new_empty((len(w), orientations, *window))
    _launch("kernel_table", [k], k, w, law, alpha, t, estimate)
    return k


def gradient(g: Tensor, k: Tensor, w: Tensor, law: str, alpha: float, t: float, estimate: str) -> Tensor:
    """The gradient to w from the upstream gradient g of the kernel k."""
    g, k, w = g.contiguous(), k.contiguous(), w.contiguous()
    grad_w = w.new_empty(w.shape)
    _launch("kernel_table_backward", [g, k, grad_w], k, w, law, alpha, t, estimate)
    return grad_w
