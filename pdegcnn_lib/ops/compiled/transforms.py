"""The compiled operators under the transformations of torch: forward mode, higher derivatives, `torch.func`.

An operator of `torch.library` has one reverse derivative and knows nothing of the rest: a tangent that meets it is
dropped without a word, and `torch.func.grad` refuses it. So each is entered here with its law (see `laws`), and
`apply` chooses: the law where there is a tangent, an `autograd.Function` with a rule for vmap under `torch.func`, the
operator itself otherwise. A derivative of a gradient is that of the gradient's law.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from pdegcnn_lib.geometry.checks import transformed
from pdegcnn_lib.geometry.constant import taken_as_found

Law = Callable[..., Any]


class _Entered(NamedTuple):
    law: Law
    function: type[torch.autograd.Function]


_OPERATORS: dict[Any, _Entered] = {}


# It does not change within a trace of torch.compile, whose guards watch it; nor does `transformed`.
@taken_as_found
def forward_mode() -> bool:
    """Whether dual numbers may be about: `torch.func.jvp`, `jacfwd`, `forward_ad.dual_level`."""
    return forward_ad._current_level >= 0


def by_law() -> bool:
    """Whether `apply` gives what the law of an operator says, which may be less than all that the operator returns."""
    return forward_mode() or (transformed() and torch.compiler.is_compiling())


def apply(operator: Any, *arguments: Any) -> Any:
    """The result of an entered operator, in the form that the transformations about can differentiate and batch."""
    if by_law():
        return _OPERATORS[operator].law(*arguments)
    return _OPERATORS[operator].function.apply(*arguments) if transformed() else operator(*arguments)


def enter(
    operator: Any,
    law: Law,
    tensors: str,
    results: str,
    backward: Callable[..., Any] | None = None,
    keep: Callable[..., None] | None = None,
) -> None:
    """Enter an operator: its law, its derivative, and what its leading arguments and its results are.

    `tensors` and `results` have a letter for each: `f` has features `[B, C, ...]`, `k` one thing for each channel
    `[C, ...]`. `backward` and `keep` are those of `torch.library.register_autograd`; by default autograd of the law.
    """
    if backward is None or keep is None:
        backward, keep = autograd_of(law, len(tensors))
    rule = _batching(operator, tensors, results)
    operator.register_autograd(backward, setup_context=keep)
    operator.register_vmap(rule)
    members = {"forward": operator, "setup_context": keep, "backward": backward, "vmap": rule}
    function = type(
        law.__name__, (torch.autograd.Function,), {n: staticmethod(m) for n, m in members.items()}
    )
    _OPERATORS[operator] = _Entered(law, function)


def autograd_of(law: Law, count: int) -> tuple[Callable[..., Any], Callable[..., None]]:
    """The derivative of a law to those of its `count` leading tensors that need one, as `backward` and `keep`."""

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001  # its name is torch's
        ctx.save_for_backward(*inputs[:count])
        ctx.rest = inputs[count:]

    def backward(ctx: Any, *g: Tensor) -> tuple[Tensor | None, ...]:
        tensors, rest = ctx.saved_tensors, ctx.rest
        needed = [i for i in range(count) if ctx.needs_input_grad[i]]

        def of_needed(*chosen: Tensor) -> Any:
            given = dict(zip(needed, chosen, strict=True))
            return law(*(given.get(i, x) for i, x in enumerate(tensors)), *rest)

        pull = torch.func.vjp(of_needed, *(tensors[i] for i in needed))[1]
        found = dict(zip(needed, pull(g if len(g) > 1 else g[0]), strict=True))
        return tuple(found.get(i) for i in range(count + len(rest)))

    return backward, keep


def _batching(operator: Any, tensors: str, results: str) -> Callable[..., Any]:
    """The rule of vmap: what is mapped over joins the batch, or the channels where every one has its own kernel."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        size, count = info.batch_size, len(tensors)
        own_kernels = "k" in results or any(
            kind == "k" and d is not None for kind, d in zip(tensors, in_dims, strict=False)
        )

        def joined(x: Tensor, d: int | None, kind: str) -> Tensor:
            if kind == "k" and not own_kernels:
                return x
            at = 1 if kind == "f" and own_kernels else 0
            x = (
                x.movedim(d, at)
                if d is not None
                else x.unsqueeze(at).expand(*x.shape[:at], size, *x.shape[at:])
            )
            return x.flatten(at, at + 1)

        merged = [joined(*of) for of in zip(arguments, in_dims, tensors, strict=False)]
        out = apply(operator, *merged, *arguments[count:])
        places = [1 if kind == "f" and own_kernels else 0 for kind in results]
        if len(results) == 1:
            return out.unflatten(places[0], (size, -1)), places[0]
        return tuple(x.unflatten(at, (size, -1)) for x, at in zip(out, places, strict=True)), tuple(places)

    return rule
