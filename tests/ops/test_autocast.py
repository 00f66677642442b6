"""Autocast: scores in 16 bits beside kernels in 32, on every backend of the CPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pdegcnn_lib import nn, ops
from pdegcnn_lib.geometry import FullMetric, rho_c
from pdegcnn_lib.kernels import lift_kernel
from pdegcnn_lib.ops import compiled
from pdegcnn_lib.ops.compiled import library

STORAGE = torch.bfloat16
KERNELS = {
    "dilation": ops.dilation,
    "erosion": ops.erosion,
    "linear": ops.linear_convolution,
    "log": ops.log_convolution,
}
PLANAR = {"dilation": ops.dilation_r2, "erosion": ops.erosion_r2, "linear": ops.linear_convolution_r2}


def under_autocast(
    operator: Callable[..., Tensor], f: Tensor, k: Tensor, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    """The output and both gradients, with the forward under autocast to STORAGE."""
    f, k = f.detach().requires_grad_(), k.detach().requires_grad_()
    with torch.autocast("cpu", STORAGE):
        out = operator(f, k, backend=backend)
    return out.detach(), *torch.autograd.grad(
        out, (f, k), torch.linspace(-1, 1, out.numel()).view_as(out).to(out)
    )


def in_single(operator: Callable[..., Tensor], f: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same in float32 from the same 16-bit scores, and from an upstream gradient rounded as there."""
    f, k = f.detach().float().requires_grad_(), k.detach().requires_grad_()
    out = operator(f, k, backend="reference")
    g = torch.linspace(-1, 1, out.numel()).view_as(out).to(STORAGE).float()
    return out.detach(), *torch.autograd.grad(out, (f, k), g)


def assert_rounded_once(
    found: tuple[Tensor, Tensor, Tensor], expected: tuple[Tensor, Tensor, Tensor], *, exact: bool = False
) -> None:
    for result, law, dtype in zip(found, expected, (STORAGE, STORAGE, torch.float32), strict=True):
        assert result.dtype == dtype
        # One rounding to the storage type; before it, sums of up to 500 terms of order one in float32.
        torch.testing.assert_close(result.float(), law, rtol=torch.finfo(dtype).eps / 2, atol=1e-3)
    if exact:
        assert torch.equal(found[0], expected[0].to(STORAGE))


@pytest.mark.parametrize("name", ["dilation", "erosion", "linear"])
def test_a_kernel_in_single_precision_is_not_rounded(name: str, backend: str) -> None:
    f, k = torch.randn(2, 3, 4, 9, 17).to(STORAGE), torch.rand(3, 4, 3, 5, 3)
    assert not torch.equal(k.to(STORAGE).float(), k)
    found, expected = under_autocast(KERNELS[name], f, k, backend), in_single(KERNELS[name], f, k)
    assert_rounded_once(found, expected, exact=name != "linear")


def test_the_logarithmic_gradient_reads_the_rounded_output(backend: str) -> None:
    f, k = torch.randn(2, 3, 4, 9, 17).to(STORAGE), torch.rand(3, 4, 3, 5, 3)
    found = under_autocast(ops.log_convolution, f, k, backend)
    expected = in_single(ops.log_convolution, f, k)
    # Every weight e^(f - k - out) errs by as much as out was rounded: half a unit in the last place, out being below 8.
    assert expected[0].abs().max() < 8
    for result, law in zip(found, expected, strict=True):
        torch.testing.assert_close(result.float(), law, rtol=4 * torch.finfo(STORAGE).eps, atol=1e-2)


@pytest.mark.parametrize("name", PLANAR)
def test_the_same_on_the_plane(name: str, backend: str) -> None:
    f, k = torch.randn(2, 3, 9, 17).to(STORAGE), torch.rand(3, 5, 3)
    found, expected = under_autocast(PLANAR[name], f, k, backend), in_single(PLANAR[name], f, k)
    assert_rounded_once(found, expected, exact=name != "linear")


@pytest.mark.parametrize(
    ("operator", "shape", "columns"),
    [(ops.convection, (2, 3, 4, 9, 17), 3), (ops.convection_r2, (2, 3, 9, 17), 2)],
)
def test_a_displacement_in_single_precision_is_not_rounded(
    operator: Callable[..., Tensor], shape: tuple[int, ...], columns: int, backend: str
) -> None:
    f, g0 = torch.randn(shape).to(STORAGE), torch.randn(3, columns)
    found, expected = under_autocast(operator, f, g0, backend), in_single(operator, f, g0)
    assert_rounded_once(found, expected)


@pytest.mark.parametrize("name", KERNELS)
def test_single_precision_stays_beside_a_kernel_in_16_bits(name: str, backend: str) -> None:
    f, k = torch.randn(1, 2, 4, 5, 6), torch.rand(2, 4, 3, 3, 3).to(STORAGE)
    out, grad_f, grad_k = under_autocast(KERNELS[name], f, k, backend)
    assert (out.dtype, grad_f.dtype, grad_k.dtype) == (torch.float32, torch.float32, STORAGE)
    expected = KERNELS[name](f, k.float(), backend=backend)
    torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)


def test_what_is_a_convolution_of_torch_runs_in_the_dtype_of_autocast() -> None:
    image, f = torch.randn(1, 2, 9, 9), torch.randn(1, 2, 4, 9, 9)
    with torch.autocast("cpu", STORAGE):
        for scores, kernel, operator in [
            (image, torch.randn(3, 2, 4, 3, 3), ops.lift),
            (f, torch.randn(3, 2, 4, 3, 3, 3), ops.group_convolution),
            (f, torch.randn(3, 2), ops.linear),
        ]:
            for out in (operator(scores, kernel), operator(scores.to(STORAGE), kernel)):
                assert out.dtype == STORAGE


@pytest.mark.parametrize("operator", [*KERNELS.values(), ops.convection])
def test_without_autocast_two_dtypes_are_a_mistake(operator: Callable[..., Tensor], backend: str) -> None:
    f = torch.randn(1, 2, 4, 5, 6).to(STORAGE)
    other = torch.zeros(2, 3) if operator is ops.convection else torch.zeros(2, 4, 3, 3, 3)
    with (
        torch.autocast("cpu", STORAGE, enabled=False),
        pytest.raises(TypeError, match="dtype of f, torch.bfloat16, got torch.float32"),
    ):
        operator(f, other, backend=backend)


compiles = pytest.mark.skipif(
    compiled.availability()["cpu"] is not None, reason=str(compiled.availability()["cpu"])
)


@compiles
def test_torch_compile_takes_a_call_under_autocast_whole() -> None:
    def layer(f: Tensor, k: Tensor, g0: Tensor) -> Tensor:
        with torch.autocast("cpu", STORAGE):
            return ops.erosion(ops.dilation(ops.convection(f, g0), k), k)

    torch._dynamo.reset()
    f, k = torch.randn(1, 2, 4, 5, 6).to(STORAGE), torch.rand(2, 4, 3, 3, 3, requires_grad=True)
    g0 = torch.randn(2, 3, requires_grad=True)
    whole = torch.compile(layer, fullgraph=True, backend="aot_eager")
    out, expected = whole(f, k, g0), layer(f, k, g0)
    assert torch.equal(out, expected)
    g = torch.randn_like(out)
    for result, law in zip(
        torch.autograd.grad(out, (k, g0), g), torch.autograd.grad(expected, (k, g0), g), strict=True
    ):
        assert result.dtype == torch.float32 and torch.equal(result, law)


@compiles
def test_opcheck_with_two_dtypes() -> None:
    f = torch.randn(2, 3, 4, 9, 17).to(STORAGE).requires_grad_()
    k, by = torch.rand(3, 4, 3, 5, 5, requires_grad=True), torch.randn(3, 4, 3, requires_grad=True)
    for operator, arguments in [
        (library.tropical_convolution, (f, k, "max_plus")),
        (library.semiring_convolution, (f, k, "linear")),
        (library.semiring_convolution, (f, k, "log")),
        (library.shift, (f, by)),
    ]:
        torch.library.opcheck(operator, arguments)


def test_kernels_of_full_metrics_and_lifts_are_not_rounded() -> None:
    layers = [nn.DilationR2(3), nn.DiffusionR2(3), nn.Dilation(2, metric="full"), nn.Diffusion(2, alpha=0.5)]
    coefficients, points = torch.randn(2, 1, 5, 5), torch.randn(7, 3)
    metric = FullMetric(torch.randn(3, 3))

    def everything() -> list[Tensor]:
        return [
            *(x.kernel() for x in layers),
            lift_kernel(coefficients, 8),
            rho_c(points, metric),
            metric.matrix,
        ]

    expected = everything()
    with torch.autocast("cpu", STORAGE):
        found = everything()
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", [nn.Dilation, nn.Erosion, nn.Diffusion, nn.Convection])
def test_a_layer_hands_its_kernel_on_in_single_precision(kind: type[torch.nn.Module]) -> None:
    layer = kind(2)
    with torch.no_grad():
        next(layer.parameters()).add_(0.3)
    f = torch.randn(1, 2, 8, 9, 9).to(STORAGE)
    with torch.autocast("cpu", STORAGE):
        out = layer(f)
    assert out.dtype == STORAGE
    # The result is rounded, that of diffusion once more when it is divided: half a unit in the last place each.
    torch.testing.assert_close(out.float(), layer(f.float()), rtol=torch.finfo(STORAGE).eps, atol=1e-4)
