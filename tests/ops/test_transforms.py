"""The operators under the transformations of torch: tangents, higher derivatives, vmap, held against the reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, stack_module_state, vmap

from pdegcnn_lib import nn, ops
from pdegcnn_lib.ops import compiled

pytestmark = [
    pytest.mark.skipif(
        compiled.availability()["cpu"] is not None, reason=str(compiled.availability()["cpu"])
    ),
    # torch itself scripts a part of its forward mode, and deprecates that.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
    # vmap would say so if an operator had no rule and ran in a loop.
    pytest.mark.filterwarnings("error:.*batching rule.*"),
]

SHAPES = {"f": (2, 2, 4, 3, 4), "k": (2, 4, 3, 3, 1), "g0": (2, 3), "w": (2, 3)}
TABLE: dict[str, Any] = {"window": (3, 3, 3), "orientations": 4}
CASES: dict[str, tuple[Callable[..., Tensor], str]] = {
    "dilation": (ops.dilation, "f k"),
    "erosion": (ops.erosion, "f k"),
    "linear": (ops.linear_convolution, "f k"),
    "log": (ops.log_convolution, "f k"),
    "convection": (ops.convection, "f g0"),
    "morphological": (partial(ops.morphological_table, alpha=0.65, **TABLE), "w"),
    "parabola": (partial(ops.morphological_table, alpha=1.0, **TABLE), "w"),
    "steep": (partial(ops.morphological_table, alpha=0.9, estimate="rho_b_com", **TABLE), "w"),
    "diffusion": (partial(ops.diffusion_table, alpha=1.0, **TABLE), "w"),
}


def drawn(names: str) -> tuple[Tensor, ...]:
    """Values in general position: no two taps tie, length scales are positive."""
    made = [torch.randn(SHAPES[name], dtype=torch.float64) for name in names.split()]
    return tuple(x.abs() + 0.4 if name in "kw" else x for x, name in zip(made, names.split(), strict=True))


def hold_against_the_reference(name: str, result: Callable[..., Any]) -> None:
    """`result(function, inputs, directions)` with the compiled operator and with the reference."""
    operator, names = CASES[name]
    inputs, directions = drawn(names), drawn(names)
    found, law = (
        result(partial(operator, backend=backend), inputs, directions) for backend in ("cpu", "reference")
    )
    # Both compute in float64; sums of up to 400 terms of order one.
    torch.testing.assert_close(found, law, rtol=1e-9, atol=1e-10)
    assert any(x.abs().max() > 1e-3 for x in torch.utils._pytree.tree_leaves(law)), "nothing was compared"


def energy(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *inputs: function(*inputs).square().sum()


def every(inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
    return tuple(range(len(inputs)))


each = pytest.mark.parametrize("name", CASES)


@each
def test_a_tangent_is_carried(name: str) -> None:
    hold_against_the_reference(name, jvp)


@each
def test_a_dual_number_is_carried(name: str) -> None:
    def tangent(function: Callable[..., Tensor], inputs: Any, directions: Any) -> Tensor:
        with forward_ad.dual_level():
            out = function(*map(forward_ad.make_dual, inputs, directions))
            return forward_ad.unpack_dual(out).tangent

    hold_against_the_reference(name, tangent)


@each
def test_a_tangent_of_the_upstream_gradient_is_carried(name: str) -> None:
    """The forward was done before there were dual numbers."""

    def tangent(function: Callable[..., Tensor], inputs: Any, _: Any) -> Any:
        inputs = [x.requires_grad_() for x in inputs]
        out = function(*inputs)
        u = torch.arange(out.numel(), dtype=out.dtype).sin().view_as(out)
        with forward_ad.dual_level():
            found = torch.autograd.grad(out, inputs, forward_ad.make_dual(u, (3 * u).cos()))
            return [forward_ad.unpack_dual(x).tangent for x in found]

    hold_against_the_reference(name, tangent)


@each
def test_gradients_of_functions(name: str) -> None:
    hold_against_the_reference(name, lambda function, x, _: grad(energy(function), every(x))(*x))
    hold_against_the_reference(
        name, lambda function, x, v: jvp(grad(energy(function), every(x)), x, v)
    )  # a Hessian times a vector


@each
def test_jacobians_of_either_mode_agree(name: str) -> None:
    operator, names = CASES[name]
    inputs = drawn(names)
    rows = lambda *x: operator(*x, backend="cpu").sum((-1, -2))  # noqa: E731
    torch.testing.assert_close(
        jacfwd(rows, len(inputs) - 1)(*inputs), jacrev(rows, len(inputs) - 1)(*inputs), rtol=1e-9, atol=1e-10
    )


@each
@pytest.mark.parametrize("mapped", ["first", "last", "every"])
def test_vmap_has_a_rule(name: str, mapped: str) -> None:
    def batched(function: Callable[..., Tensor], inputs: Any, directions: Any) -> Any:
        chosen = {"first": {0}, "last": {len(inputs) - 1}, "every": set(every(inputs))}[mapped]
        in_dims = tuple(1 if i in chosen else None for i in every(inputs))
        stacked = [
            torch.stack([x, v], 1) if i in chosen else x
            for i, (x, v) in enumerate(zip(inputs, directions, strict=True))
        ]
        out = vmap(function, in_dims, out_dims=1)(*stacked)
        for n in range(2):  # and is the loop
            alone = [x.select(1, n) if i in chosen else x for i, x in enumerate(stacked)]
            torch.testing.assert_close(out.select(1, n), function(*alone), rtol=1e-9, atol=1e-10)
        return out, vmap(grad(energy(function), every(inputs)), in_dims)(*stacked)

    hold_against_the_reference(name, batched)


@each
def test_gradient_of_a_vmap(name: str) -> None:
    def summed(function: Callable[..., Tensor], inputs: Any, directions: Any) -> Any:
        in_dims = (0, *(None,) * (len(inputs) - 1))
        moved = lambda x, *rest: vmap(function, in_dims)(torch.stack([x, x + directions[0]]), *rest)  # noqa: E731
        return grad(energy(moved), every(inputs))(*inputs)

    hold_against_the_reference(name, summed)


@each
def test_derivatives_of_the_second_and_third_order(name: str) -> None:
    def orders(function: Callable[..., Tensor], inputs: Any, _: Any) -> Any:
        inputs = [x.requires_grad_() for x in inputs]
        first = torch.autograd.grad(energy(function)(*inputs), inputs, create_graph=True)
        second = torch.autograd.grad(sum(x.square().sum() for x in first), inputs, create_graph=True)
        assert all(x.isfinite().all() for x in second)
        return first, second

    hold_against_the_reference(name, orders)
    operator, names = CASES[name]
    if name not in ("steep",):  # the estimate changes its formula where the finite difference steps
        inputs = tuple(x.requires_grad_() for x in drawn(names))
        assert torch.autograd.gradgradcheck(lambda *x: operator(*x, backend="cpu").sum((-1, -2)), inputs)


def test_gradients_of_single_pictures_and_an_ensemble() -> None:
    """torch's recipes for per-sample gradients and for several networks at once, through a whole layer."""
    layers = [nn.PDELayer(2, 2, window=(3, 3, 3), orientations=4).eval().double() for _ in range(2)]
    f = torch.randn(3, 2, 4, 4, 5, dtype=torch.float64)
    for layer in layers:
        layer.evolution["convection"].g0.data.normal_()
    parameters, buffers = dict(layers[0].named_parameters()), dict(layers[0].named_buffers())

    def loss(parameters: dict[str, Tensor], f: Tensor) -> Tensor:
        return functional_call(layers[0], (parameters, buffers), (f[None],)).square().sum()

    found = vmap(grad(loss), (None, 0))(parameters, f)
    for n, picture in enumerate(f):
        expected = torch.autograd.grad(loss(parameters, picture), list(parameters.values()))
        for name, g in zip(parameters, expected, strict=True):
            torch.testing.assert_close(found[name][n], g, rtol=1e-9, atol=1e-10)

    stacked = stack_module_state(layers)
    out = vmap(lambda *state: functional_call(layers[0], state, (f,)))(*stacked)
    torch.testing.assert_close(out, torch.stack([layer(f) for layer in layers]), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["dilation", "convection", "morphological"])
def test_torch_compile_keeps_a_tangent(name: str) -> None:
    operator, names = CASES[name]
    inputs, directions = drawn(names), drawn(names)
    torch._dynamo.reset()
    whole = torch.compile(lambda x, v: jvp(partial(operator, backend="cpu"), x, v), backend="aot_eager")
    torch.testing.assert_close(
        whole(inputs, directions), jvp(partial(operator, backend="cpu"), inputs, directions)
    )


@each
def test_torch_compile_keeps_gradients_and_batches_of_functions(name: str) -> None:
    operator, names = CASES[name]
    inputs, function = drawn(names), partial(operator, backend="cpu")
    stacked = [torch.stack([x, y]) for x, y in zip(inputs, drawn(names), strict=True)]
    for transformed, given in ((grad(energy(function), every(inputs)), inputs), (vmap(function), stacked)):
        torch._dynamo.reset()
        whole = torch.compile(transformed, backend="aot_eager")
        torch.testing.assert_close(whole(*given), transformed(*given), rtol=1e-9, atol=1e-10)
