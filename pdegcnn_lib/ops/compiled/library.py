"""The compiled operators as torch operators: schema, shape inference, gradients.

Each forward and each backward is a functional operator of its own, so that torch.compile traces past it. How they are
differentiated again, mapped and given tangents is said in `transforms`.

Under autocast the operators need no rule: they compute in the arithmetic type whatever dtypes they are given. The
rules of `torch.library.register_autocast` cast every tensor of a call to one dtype, which would round the kernel to 16
bits or store the scores in 32.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, get_type_hints

import torch
from torch import Tensor

from pdegcnn_lib.geometry.checks import transformed
from pdegcnn_lib.geometry.constant import of_name
from pdegcnn_lib.ops import reference
from pdegcnn_lib.ops.compiled import convolution, evolution, laws, mixing, smooth, tables, transport
from pdegcnn_lib.ops.compiled.transforms import apply, autograd_of, enter

WORDS: dict[Any, str] = {
    Tensor: "Tensor",
    int: "SymInt",
    bool: "bool",
    float: "float",
    str: "str",
    list[int]: "SymInt[]",
    list[int] | None: "SymInt[]?",
}


def schema(launch: Callable[..., Any]) -> str:
    """The signature of a launch in torch's language. The translation that comes with torch 2.6 fails at `list[int]`."""
    hints = get_type_hints(launch)
    results = getattr(hints["return"], "__args__", (hints["return"],))
    given = [
        f"{WORDS[hints[name]]} {name}"
        + ("" if argument.default is argument.empty else f"={argument.default}")
        for name, argument in inspect.signature(launch).parameters.items()
    ]
    said = ", ".join(WORDS[result] for result in results)
    return f"({', '.join(given)}) -> {said if len(results) == 1 else f'({said})'}"


def _operator(
    name: str, launch: Callable[..., Any], *like: int, shapes: Callable[..., Any] | None = None
) -> Any:
    """A launch as an operator of torch; its results are shaped like the arguments of these numbers, or as `shapes`."""

    def empty(*arguments: Any) -> Any:
        results = tuple(arguments[i].new_empty(arguments[i].shape) for i in like)
        return results if len(results) > 1 else results[0]

    operator = torch.library.custom_op(f"pdegcnn::{name}", launch, mutates_args=(), schema=schema(launch))
    operator.register_fake(shapes or empty)
    return operator


def _plain(f: Tensor, k: Tensor, semiring: str, lists: list[int] | None = None) -> Tensor:
    return convolution.convolve(f, k, semiring, False, lists)[0]


def _with_taps(f: Tensor, k: Tensor, semiring: str, lists: list[int] | None = None) -> tuple[Tensor, Tensor]:
    """The same over a tropical semiring, with the codes of the winning taps for the gradient."""
    out, taps = convolution.convolve(f, k, semiring, True, lists)
    assert taps is not None
    return out, taps


def _codes_too(f: Tensor, k: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return f.new_empty(f.shape), f.new_empty(f.shape, dtype=convolution.code_dtype(math.prod(k.shape[2:])))


semiring_convolution = _operator("semiring_convolution", _plain, 0)
tropical_convolution = _operator("tropical_convolution", _with_taps, shapes=_codes_too)
tropical_convolution_backward = _operator(
    "tropical_convolution_backward", convolution.tropical_backward, 0, 2
)
smooth_gradient_input = _operator("smooth_gradient_input", smooth.gradient_input, 1)
smooth_gradient_kernel = _operator("smooth_gradient_kernel", smooth.gradient_kernel, 2)


def _keep_taps(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, k, *ctx.options = inputs
    ctx.save_for_backward(output[1], k)


def _tropical_gradient(ctx: Any, g: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    taps, k = ctx.saved_tensors
    return *apply(tropical_convolution_backward, g, taps, k, *ctx.options), None, None


def _keep_convolution(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    f, k, *ctx.options = inputs
    # The linear gradient does not read the output: f stands in for it, so that it need not be kept.
    ctx.save_for_backward(f, k, output if ctx.options[0] == "log" else f)


def _smooth_gradient(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    f, k, out = ctx.saved_tensors
    need_f, need_k, *_ = ctx.needs_input_grad
    grad_f = apply(smooth_gradient_input, g, f, k, out, *ctx.options) if need_f else None
    grad_k = apply(smooth_gradient_kernel, g, f, k, out, *ctx.options) if need_k else None
    return grad_f, grad_k, None, None


enter(tropical_convolution_backward, laws.tropical_convolution_backward, "ffk", "fk")
enter(tropical_convolution, laws.semiring_convolution, "fk", "ff", _tropical_gradient, _keep_taps)
enter(smooth_gradient_input, laws.smooth_gradient_input, "ffkf", "f")
enter(smooth_gradient_kernel, laws.smooth_gradient_kernel, "ffkf", "k")
enter(semiring_convolution, laws.semiring_convolution, "fk", "f", _smooth_gradient, _keep_convolution)

shift = _operator("shift", transport.shift, 0)
shift_gradient_input = _operator("shift_gradient_input", transport.gradient_input, 0)
shift_gradient_displacement = _operator("shift_gradient_displacement", transport.gradient_displacement, 2)


def _keep_shift(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001  # its name is torch's
    f, displacement, *ctx.options = inputs
    need_displacement = ctx.needs_input_grad[1]
    ctx.save_for_backward(displacement, f if need_displacement else None)


def _shift_gradient(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    displacement, f = ctx.saved_tensors
    need_f, need_displacement, *_ = ctx.needs_input_grad
    by = (displacement, *ctx.options)
    grad_f = apply(shift_gradient_input, g, *by) if need_f else None
    grad_displacement = apply(shift_gradient_displacement, g, f, *by) if need_displacement else None
    return grad_f, grad_displacement, None


enter(shift_gradient_input, laws.shift_gradient_input, "fk", "f")
enter(shift_gradient_displacement, laws.shift_gradient_displacement, "ffk", "k")
enter(shift, laws.shift, "fk", "f", _shift_gradient, _keep_shift)


def _table_shape(w: Tensor, _law: str, space: str, window: list[int], *_: Any) -> Tensor:
    return w.new_empty((w.shape[0], *of_name(space).kernels, *window))


kernel_table = _operator("kernel_table", tables.sample, shapes=_table_shape)
kernel_table_backward = _operator("kernel_table_backward", tables.gradient, 2)


def _keep_table(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    w, ctx.law, ctx.space, _, *ctx.parameters = inputs
    ctx.save_for_backward(output, w)


def _table_gradient(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    k, w = ctx.saved_tensors
    return apply(kernel_table_backward, g, k, w, ctx.law, ctx.space, *ctx.parameters), *(None,) * 7


enter(kernel_table_backward, laws.kernel_table_backward, "kkk", "k")
enter(kernel_table, laws.kernel_table, "k", "k", _table_gradient, _keep_table)


def _over_the_third(f: Tensor) -> Tensor:
    return f.new_empty((*f.shape[:2], *f.shape[3:]))


projection = _operator("projection", reference.projection, shapes=_over_the_third)
projection_gradient = _operator("projection_gradient", mixing.projection_gradient, 1)


def _keep_maximum(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], output)


def _projection_gradient(ctx: Any, g: Tensor) -> Tensor:
    return apply(projection_gradient, g, *ctx.saved_tensors)


enter(projection_gradient, laws.projection_gradient, "fff", "f")
enter(projection, reference.projection, "f", "f", _projection_gradient, _keep_maximum)


def _with_statistics(f: Tensor, w: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    mean = f.new_empty(f.shape[1], dtype=torch.float64)
    out = f.new_empty((f.shape[0], w.shape[0], *f.shape[2:]))  # len() would fix a size that is free
    return out, mean, mean.new_empty((f.shape[1], f.shape[1]))


normalised_linear = _operator("normalised_linear", mixing.normalised_linear, shapes=_with_statistics)
normalised_linear_backward = _operator(
    "normalised_linear_backward", mixing.normalised_linear_backward, 1, 2, 3, 3
)


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


def _evolved(f: Tensor, _: Tensor, dilating: Tensor, eroding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    out, of_dilation = _codes_too(f, dilating)
    return out, of_dilation, _codes_too(f, eroding)[1]


evolve = _operator("evolution", evolution.evolve, shapes=_evolved)
evolve_backward = _operator("evolution_backward", evolution.gradients, 0, 2, 3, 4)


def _keep_evolution(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output[1:])


def _evolution_gradient(ctx: Any, g: Tensor, *_: Any) -> tuple[Tensor, ...]:
    backward: Any = laws.evolution_backward if transformed() else evolve_backward
    return backward(g, *ctx.saved_tensors)


_backward, _keep = autograd_of(laws.evolution_backward, 7)
evolve_backward.register_autograd(_backward, setup_context=_keep)
evolve.register_autograd(_evolution_gradient, setup_context=_keep_evolution)
