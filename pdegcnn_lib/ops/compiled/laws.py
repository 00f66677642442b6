"""What every compiled operator computes, in plain torch: the reference, and for a gradient autograd of the reference.

A law takes the arguments of its operator. Derivatives for which there is no compiled code are those of the law.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pdegcnn_lib.geometry import DiagonalMetric, Metric
from pdegcnn_lib.geometry.constant import of_name
from pdegcnn_lib.geometry.m3 import AxialMetric
from pdegcnn_lib.kernels import diffusion_kernel, morphological_kernel
from pdegcnn_lib.ops import reference

LAWS = {"morphological": morphological_kernel, "diffusion": diffusion_kernel}  # of tables, by name
METRICS: dict[str, type[Metric]] = {of.kind: of for of in (DiagonalMetric, AxialMetric)}  # that have tables


def pullback(law: Callable[..., Any], g: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The upstream gradient g pulled back to each of the tensors; itself differentiable to any order."""
    return torch.func.vjp(law, *tensors)[1](g)


Lists = list[int] | None


def semiring_convolution(f: Tensor, k: Tensor, semiring: str, lists: Lists = None) -> Tensor:
    return reference.semiring_convolution(*reference.widened(f, k), semiring, lists).to(f.dtype)


def winners(f: Tensor, k: Tensor, taps: Tensor, semiring: str, lists: Lists = None) -> Tensor:
    """f - k (max-plus) or f + k (min-plus) at the tap that each code names: its winners given."""
    codes = taps.long() & (0xFF if taps.dtype == torch.uint8 else 0xFFFF)  # int16 is read as unsigned
    f, k = reference.widened(f, -k if semiring == "min_plus" else k)
    weights = reference.by_tap(k)
    out = torch.zeros_like(f)
    for code, (tap, seen) in enumerate(reference.taps(f, k.shape[2:], 0.0, lists)):
        out = torch.where(codes == code, seen - weights[tap], out)
    return out


def tropical_convolution_backward(
    g: Tensor, taps: Tensor, k: Tensor, semiring: str, lists: Lists = None
) -> tuple[Tensor, Tensor]:
    """`winners` is linear in f and k, so its gradient is the same at every one of them."""

    def at(f: Tensor, k: Tensor) -> Tensor:
        return winners(f, k, taps, semiring, lists).to(g.dtype)

    grad_f, grad_k = pullback(at, g, torch.zeros_like(g), torch.zeros_like(k))
    return grad_f, grad_k


def smooth_gradient_input(
    g: Tensor, f: Tensor, k: Tensor, _out: Tensor, semiring: str, lists: Lists = None
) -> Tensor:
    return pullback(lambda f: semiring_convolution(f, k, semiring, lists), g, f)[0]


def smooth_gradient_kernel(
    g: Tensor, f: Tensor, k: Tensor, _out: Tensor, semiring: str, lists: Lists = None
) -> Tensor:
    return pullback(lambda k: semiring_convolution(f, k, semiring, lists), g, k)[0]


def shift(f: Tensor, displacement: Tensor, periodic: bool = True) -> Tensor:
    return reference.shift(*reference.widened(f, displacement), periodic).to(f.dtype)


def shift_gradient_input(g: Tensor, displacement: Tensor, periodic: bool = True) -> Tensor:
    """The shift is linear in f, so its gradient is the same at every f."""
    return pullback(lambda f: shift(f, displacement, periodic), g, torch.zeros_like(g))[0]


def shift_gradient_displacement(g: Tensor, f: Tensor, displacement: Tensor, periodic: bool = True) -> Tensor:
    return pullback(lambda displacement: shift(f, displacement, periodic), g, displacement)[0]


def evolution_backward(
    g: Tensor,
    f: Tensor,
    displacement: Tensor,
    dilating: Tensor,
    eroding: Tensor,
    of_dilation: Tensor,
    of_erosion: Tensor,
) -> tuple[Tensor, ...]:
    """The two kernels have their winners given, as in `tropical_convolution_backward`."""

    def at(f: Tensor, displacement: Tensor, dilating: Tensor, eroding: Tensor) -> Tensor:
        dilated = winners(shift(f, displacement), dilating, of_dilation, "max_plus").to(f.dtype)
        return winners(dilated, eroding, of_erosion, "min_plus").to(f.dtype)

    return pullback(at, g, f, displacement, dilating, eroding)


def projection_gradient(g: Tensor, f: Tensor, _out: Tensor) -> Tensor:
    return pullback(reference.projection, g, f)[0]


def normalised_linear(f: Tensor, w: Tensor, gain: Tensor, offset: Tensor, eps: float) -> Tensor:
    mixed = torch.einsum("ac,bc...->ba...", w, f)
    return torch.nn.functional.batch_norm(mixed, None, None, gain, offset, training=True, eps=eps)


def normalised_linear_backward(
    g: Tensor, f: Tensor, w: Tensor, gain: Tensor, _mean: Tensor, _covariance: Tensor, eps: float
) -> tuple[Tensor, ...]:
    def at(f: Tensor, w: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
        return normalised_linear(f, w, gain, offset, eps)

    return pullback(at, g, f, w, gain, torch.zeros_like(gain))


def kernel_table(
    w: Tensor, law: str, space: str, window: list[int], alpha: float, t: float, estimate: str, metric: str
) -> Tensor:
    of = METRICS[metric].with_parameters(w)
    return LAWS[law](of, alpha=alpha, window=tuple(window), space=of_name(space), t=t, estimate=estimate)


def kernel_table_backward(
    g: Tensor, k: Tensor, w: Tensor, law: str, space: str, alpha: float, t: float, estimate: str, metric: str
) -> Tensor:
    window = list(k.shape[1 + len(of_name(space).kernels) :])
    return pullback(lambda w: kernel_table(w, law, space, window, alpha, t, estimate, metric), g, w)[0]
