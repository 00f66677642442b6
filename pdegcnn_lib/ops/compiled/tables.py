"""Launches of the kernel tables: from a diagonal metric to the kernel sampled on the window, and back."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from pdegcnn_lib.geometry.constant import of_name
from pdegcnn_lib.kernels.morphological import nu_alpha
from pdegcnn_lib.ops.compiled.machines import machine_of, scalar
from pdegcnn_lib.ops.compiled.sources import Unit


def formula(law: str, alpha: float, dim: int, t: float, dtype: torch.dtype) -> str | None:
    """The source's name of the kernel of a law, `morphological` or `diffusion`; None where it has no closed form.

    Nor has it one where a power of the time alone, t^(-1/(2 alpha - 1)), goes far through the range of the type.
    """
    if law == "morphological":
        return "Power" if abs(math.log(t)) < (alpha - 0.5) * math.log(torch.finfo(dtype).max) / 2 else None
    return {0.5: f"Poisson<{dim}>", 1.0: "Gaussian"}.get(alpha)


@cache
def _constants(
    law: str, alpha: float, t: float, nu: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    if law == "morphological":
        # nu_alpha t (S / t^2)^exponent: the exponent, the factor of S^exponent, and where
        # `kernels.morphological.power_law` takes a value for infinite.
        exponent = alpha / (2 * alpha - 1)
        largest = torch.finfo(dtype).max * math.exp(-7)
        values = [exponent, float(nu_alpha(alpha)) * t ** (1 - 2 * exponent), largest]
    else:
        values = [1 / (4 * t) if alpha == 1 else 1 / t**2]
    return torch.tensor([nu, *values], dtype=dtype, device=device)


class _Problem(NamedTuple):
    """A table but for its metrics: what a launch is given and what is the same in every call."""

    unit: Unit
    b: Tensor
    shares: Tensor | None
    constants: Tensor
    kernels: tuple[int, ...]
    rows: int
    taps: int


@cache
def _window(
    name: str, window: tuple[int, ...], estimate: str, metric: str, dtype: torch.dtype, device: torch.device
) -> tuple[str, Tensor, Tensor | None]:
    """The estimate's word, the coordinates of every tap, and their shares where they differ: alike for all channels."""
    space = of_name(name)
    word, coordinates = space.estimates[estimate].coded(metric)
    b = coordinates(space.relative_elements(window, dtype=torch.float64, device="cpu"))
    shares = space.shares(window)
    return word, *(None if x is None else x.to(device, dtype).contiguous() for x in (b, shares))


@cache
def _problem(
    w: tuple[int, torch.dtype, torch.device],
    law: str,
    name: str,
    window: tuple[int, ...],
    alpha: float,
    t: float,
    estimate: str,
    metric: str,
) -> _Problem:
    (numbers, dtype, device), space = w, of_name(name)
    word, b, shares = _window(name, window, estimate, metric, dtype, device)
    if b.shape[-1] != numbers:
        raise ValueError(
            f"{estimate} needs {numbers} coordinates on {space} to be compiled, one for each number of a metric, "
            f"got {b.shape[-1]}"
        )
    macros = {
        "SCALAR": scalar(dtype),
        "LENGTHS": numbers,
        "SHARES": int(shares is not None),
        "ESTIMATE": word,
        "LAW": formula(law, alpha, space.dim, t, dtype),
    }
    return _Problem(
        Unit("tables", tuple((macro, str(value)) for macro, value in macros.items())),
        b,
        shares,
        _constants(law, alpha, t, space.estimates[estimate].nu, dtype, device),
        space.kernels,
        space.fibre,
        math.prod(window),
    )


def sample(
    w: Tensor, law: str, space: str, window: list[int], alpha: float, t: float, estimate: str, metric: str
) -> Tensor:
    """`w [C, numbers]`, metrics of a kind, to the kernel `[C, *kernels, *window]` of the space of this name."""
    w = w.contiguous()
    of = _problem(_alike(w), law, space, tuple(window), alpha, t, estimate, metric)
    k = w.new_empty((len(w), *of.kernels, *window))
    _launch("kernel_table", of, w, [k, of.b, of.shares])
    return k


def gradient(
    g: Tensor, k: Tensor, w: Tensor, law: str, space: str, alpha: float, t: float, estimate: str, metric: str
) -> Tensor:
    """The gradient to w from the upstream gradient g of the kernel k."""
    g, k, w = g.contiguous(), k.contiguous(), w.contiguous()
    window = tuple(k.shape[1 + len(of_name(space).kernels) :])
    of = _problem(_alike(w), law, space, window, alpha, t, estimate, metric)
    grad_w = w.new_empty(w.shape)
    _launch("kernel_table_backward", of, w, [g, k, grad_w, of.b])
    return grad_w


def _alike(w: Tensor) -> tuple[int, torch.dtype, torch.device]:
    return w.shape[1], w.dtype, w.device


def _launch(kernel: str, of: _Problem, w: Tensor, tensors: list[Tensor | None]) -> None:
    machine = machine_of(w)
    machine.launch(
        of.unit,
        kernel,
        [*tensors, w, of.constants, of.rows, of.taps],
        blocks=len(w),
        shared_bytes=machine.warps * w.element_size(),
    )
