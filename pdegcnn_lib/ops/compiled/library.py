"""The compiled operators as torch operators: schema, shape inference, gradients.

Each forward and each backward is a functional operator of its own, so that torch.compile traces past it. How they are
differentiated again, mapped and given tangents is said in `transforms`.

Under autocast the operators need no rule: they compute in the arithmetic type whatever dtypes they are given. The
rules of `torch.library.register_autocast` cast every tensor of a call to one dtype, which would round the kernel to 16
bits or store the scores in 32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pdegcnn_lib.ops import reference
from pdegcnn_lib.ops.compiled import convolution, laws, mixing, smooth, tables, transport
from pdegcnn_lib.ops.compiled.transforms import apply, autograd_of, enter, transformed


@torch.library.custom_op("pdegcnn::semiring_convolution", mutates_args=())
def semiring_convolution(f: Tensor, k: Tensor, semiring: str) -> Tensor:
    """The convolution of `f [B, C, Or, H, W]` with `k [C, Or, KOr, KH, KW]`."""
    return convolution.forward(f, k, semiring, False)[0]


@semiring_convolution.register_fake
def _(f: Tensor, k: Tensor, semiring: str) -> Tensor:
    return f.new_empty(f.shape)


@torch.library.custom_op("pdegcnn::tropical_convolution", mutates_args=())
def tropical_convolution(f: Tensor, k: Tensor, semiring: str) -> tuple[Tensor, Tensor]:
    """The same over a tropical semiring, with the codes of the winning taps for the gradient."""
    out, taps = convolution.forward(f, k, semiring, True)
    assert taps is not None
    return out, taps


@tropical_convolution.register_fake
def _(f: Tensor, k: Tensor, semiring: str) -> tuple[Tensor, Tensor]:
    taps = k.shape[2] * k.shape[3] * k.shape[4]
    return f.new_empty(f.shape), f.new_empty(f.shape, dtype=convolution.code_dtype(taps))


@torch.library.custom_op("pdegcnn::tropical_convolution_backward", mutates_args=())
def tropical_convolution_backward(g: Tensor, taps: Tensor, k: Tensor, semiring: str) -> tuple[Tensor, Tensor]:
    """The gradients to f and k; of k only its shape and type are used."""
    return convolution.tropical_backward(g, taps, k, semiring)


@tropical_convolution_backward.register_fake
def _(g: Tensor, taps: Tensor, k: Tensor, semiring: str) -> tuple[Tensor, Tensor]:
    return g.new_empty(g.shape), k.new_empty(k.shape)


def _keep_taps(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, k, ctx.semiring = inputs
    ctx.save_for_backward(output[1], k)


def _tropical_gradient(ctx: Any, g: Tensor, _: Any) -> tuple[Tensor, Tensor, None]:
    taps, k = ctx.saved_tensors
    return *apply(tropical_convolution_backward, g, taps, k, ctx.semiring), None


enter(tropical_convolution_backward, laws.tropical_convolution_backward, "ffk", "fk")
enter(tropical_convolution, laws.semiring_convolution, "fk", "ff", _tropical_gradient, _keep_taps)


@torch.library.custom_op("pdegcnn::smooth_gradient_input", mutates_args=())
def smooth_gradient_input(g: Tensor, f: Tensor, k: Tensor, out: Tensor, semiring: str) -> Tensor:
    """The gradient of a linear or logarithmic convolution to f."""
    return smooth.gradient_input(g, f, k, out, semiring)


@smooth_gradient_input.register_fake
def _(g: Tensor, f: Tensor, k: Tensor, out: Tensor, semiring: str) -> Tensor:
    return f.new_empty(f.shape)


@torch.library.custom_op("pdegcnn::smooth_gradient_kernel", mutates_args=())
def smooth_gradient_kernel(g: Tensor, f: Tensor, k: Tensor, out: Tensor, semiring: str) -> Tensor:
    """The gradient of a linear or logarithmic convolution to k."""
    return smooth.gradient_kernel(g, f, k, out, semiring)


@smooth_gradient_kernel.register_fake
def _(g: Tensor, f: Tensor, k: Tensor, out: Tensor, semiring: str) -> Tensor:
    return k.new_empty(k.shape)


def _keep_convolution(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    f, k, ctx.semiring = inputs
    # The linear gradient does not read the output: f stands in for it, so that it need not be kept.
    ctx.save_for_backward(f, k, output if ctx.semiring == "log" else f)


def _smooth_gradient(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    f, k, out = ctx.saved_tensors
    need_f, need_k, _ = ctx.needs_input_grad
    grad_f = apply(smooth_gradient_input, g, f, k, out, ctx.semiring) if need_f else None
    grad_k = apply(smooth_gradient_kernel, g, f, k, out, ctx.semiring) if need_k else None
    return grad_f, grad_k, None


enter(smooth_gradient_input, laws.smooth_gradient_input, "ffkf", "f")
enter(smooth_gradient_kernel, laws.smooth_gradient_kernel, "ffkf", "k")
enter(semiring_convolution, laws.semiring_convolution, "fk", "f", _smooth_gradient, _keep_convolution)


@torch.library.custom_op("pdegcnn::shift", mutates_args=())
def shift(f: Tensor, displacement: Tensor) -> Tensor:
    """`f [B, C, Or, H, W]` displaced by `displacement [C, Or, 3]`."""
    return transport.forward(f, displacement)


@shift.register_fake
def _(f: Tensor, displacement: Tensor) -> Tensor:
    return f.new_empty(f.shape)


@torch.library.custom_op("pdegcnn::shift_gradient_input", mutates_args=())
def shift_gradient_input(g: Tensor, displacement: Tensor) -> Tensor:
    """The gradient of the shift to f."""
    return transport.gradient_input(g, displacement)


@shift_gradient_input.register_fake
def _(g: Tensor, displacement: Tensor) -> Tensor:
    return g.new_empty(g.shape)


@torch.library.custom_op("pdegcnn::shift_gradient_displacement", mutates_args=())
def shift_gradient_displacement(g: Tensor, f: Tensor, displacement: Tensor) -> Tensor:
    """The gradient of the shift to the displacement."""
    return transport.gradient_displacement(g, f, displacement)


@shift_gradient_displacement.register_fake
def _(g: Tensor, f: Tensor, displacement: Tensor) -> Tensor:
    return displacement.new_empty(displacement.shape)


def _keep_shift(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    f, displacement = inputs
    need_displacement = ctx.needs_input_grad[1]
    ctx.save_for_backward(displacement, f if need_displacement else None)


def _shift_gradient(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None]:
    displacement, f = ctx.saved_tensors
    need_f, need_displacement = ctx.needs_input_grad
    grad_f = apply(shift_gradient_input, g, displacement) if need_f else None
    grad_displacement = apply(shift_gradient_displacement, g, f, displacement) if need_displacement else None
    return grad_f, grad_displacement


enter(shift_gradient_input, laws.shift_gradient_input, "fk", "f")
enter(shift_gradient_displacement, laws.shift_gradient_displacement, "ffk", "k")
enter(shift, laws.shift, "fk", "f", _shift_gradient, _keep_shift)


@torch.library.custom_op("pdegcnn::kernel_table", mutates_args=())
def kernel_table(
    w: Tensor, law: str, window: list[int], orientations: int, alpha: float, t: float, estimate: str
) -> Tensor:
    """The kernel `[C, Or, KOr, KH, KW]` of the diagonal metrics `w [C, 3]`."""
    return tables.forward(w, law, tuple(window), orientations, alpha, t, estimate)


@kernel_table.register_fake
def _(
    w: Tensor, law: str, window: list[int], orientations: int, alpha: float, t: float, estimate: str
) -> Tensor:
    return w.new_empty((w.shape[0], orientations, *window))


@torch.library.custom_op("pdegcnn::kernel_table_backward", mutates_args=())
def kernel_table_backward(
    g: Tensor, k: Tensor, w: Tensor, law: str, alpha: float, t: float, estimate: str
) -> Tensor:
    """The gradient of the table to w."""
    return tables.backward(g, k, w, law, alpha, t, estimate)


@kernel_table_backward.register_fake
def _(g: Tensor, k: Tensor, w: Tensor, law: str, alpha: float, t: float, estimate: str) -> Tensor:
    return w.new_empty(w.shape)


def _keep_table(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    w, ctx.law, _, _, *ctx.parameters = inputs
    ctx.save_for_backward(output, w)


def _table_gradient(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    k, w = ctx.saved_tensors
    return apply(kernel_table_backward, g, k, w, ctx.law, *ctx.parameters), *(None,) * 6


enter(kernel_table_backward, laws.kernel_table_backward, "kkk", "k")
enter(kernel_table, laws.kernel_table, "k", "k", _table_gradient, _keep_table)


@torch.library.custom_op("pdegcnn::projection", mutates_args=())
def projection(f: Tensor) -> Tensor:
    """The maximum of `f [B, C, N, ...]` over its third axis."""
    return reference.projection(f)


@projection.register_fake
def _(f: Tensor) -> Tensor:
    return f.new_empty((*f.shape[:2], *f.shape[3:]))


@torch.library.custom_op("pdegcnn::projection_gradient", mutates_args=())
def projection_gradient(g: Tensor, f: Tensor, out: Tensor) -> Tensor:
    """Its gradient, for the maximum `out`."""
    return mixing.projection_gradient(g, f, out)


@projection_gradient.register_fake
def _(g: Tensor, f: Tensor, out: Tensor) -> Tensor:
    return f.new_empty(f.shape)


def _keep_maximum(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], output)


def _projection_gradient(ctx: Any, g: Tensor) -> Tensor:
    return apply(projection_gradient, g, *ctx.saved_tensors)


enter(projection_gradient, laws.projection_gradient, "fff", "f")
enter(projection, reference.projection, "f", "f", _projection_gradient, _keep_maximum)


@torch.library.custom_op("pdegcnn::normalised_linear", mutates_args=())
def normalised_linear(
    f: Tensor, w: Tensor, gain: Tensor, offset: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The batch normalisation of w f, with the mean and the covariance of the channels of f."""
    return mixing.normalised_linear(f, w, gain, offset, eps)


@normalised_linear.register_fake
def _(f: Tensor, w: Tensor, gain: Tensor, offset: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    mean = f.new_empty(f.shape[1], dtype=torch.float64)
    return f.new_empty((len(f), len(w), *f.shape[2:])), mean, mean.new_empty((len(mean), len(mean)))


@torch.library.custom_op("pdegcnn::normalised_linear_backward", mutates_args=())
def normalised_linear_backward(
    g: Tensor, f: Tensor, w: Tensor, gain: Tensor, mean: Tensor, covariance: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients to f, w, gain and offset."""
    return mixing.normalised_linear_backward(g, f, w, gain, mean, covariance, eps)


@normalised_linear_backward.register_fake
def _(
    g: Tensor, f: Tensor, w: Tensor, gain: Tensor, mean: Tensor, covariance: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return f.new_empty(f.shape), w.new_empty(w.shape), gain.new_empty(gain.shape), gain.new_empty(gain.shape)


def _keep_statistics(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    f, w, gain, _, ctx.eps = inputs
    ctx.save_for_backward(f, w, gain, *output[1:])


def _normalised_gradient(ctx: Any, g: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    # Statistics are of the whole batch, which vmap must not lengthen: there the law takes over.
    backward: Any = laws.normalised_linear_backward if transformed() else normalised_linear_backward
    return *backward(g, *ctx.saved_tensors, ctx.eps), None


_backward, _keep = autograd_of(laws.normalised_linear_backward, 4)
normalised_linear_backward.register_autograd(_backward, setup_context=_keep)
normalised_linear.register_autograd(_normalised_gradient, setup_context=_keep_statistics)
