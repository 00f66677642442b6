"""The compiled kernel tables against the laws in plain torch."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from pdegcnn_lib import ops
from pdegcnn_lib.geometry import DiagonalMetric
from pdegcnn_lib.kernels import diffusion_kernel, morphological_kernel
from pdegcnn_lib.ops import compiled
from pdegcnn_lib.ops.compiled import library

DEVICE = os.environ.get("PDEGCNN_TEST_DEVICE", "cpu")
ESTIMATES = ("rho_c", "rho_b", "rho_b_sr", "rho_b_com", "rho_b_sr_covariant", "rho_b_com_covariant")
LAWS = {"morphological": morphological_kernel, "diffusion": diffusion_kernel}
# Law, order, time.
CASES = [
    ("morphological", 0.65, 1.0),
    ("morphological", 0.55, 0.5),
    ("morphological", 1.0, 2.0),
    ("diffusion", 1.0, 1.0),
    ("diffusion", 1.0, 0.3),
    ("diffusion", 0.5, 1.0),
    ("diffusion", 0.5, 2.5),
]

pytestmark = pytest.mark.skipif(
    compiled.availability()[DEVICE] is not None, reason=str(compiled.availability()[DEVICE])
)


def table(w: Tensor, law: str, alpha: float, t: float, estimate: str) -> Tensor:
    k = compiled.kernel_table(w.to(DEVICE), law, alpha, (3, 5, 7), 8, t, estimate, DEVICE)
    assert k is not None
    return k.cpu()


def metrics(dtype: torch.dtype) -> Tensor:
    # Both orders of the spatial weights, near and far apart; equal ones are a kink of rho_b_com.
    w = torch.tensor([[1.0, 2, 1], [2, 1, 0.5], [1, 1.3, 1], [0.3, 8, 2], [3.5, 0.3, 0.7]])
    return w.to(dtype).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize(("law", "alpha", "t"), CASES)
def test_table_and_gradient_are_those_of_the_law(
    law: str, alpha: float, t: float, estimate: str, dtype: torch.dtype
) -> None:
    def in_double(w: Tensor) -> Tensor:
        # The law itself loses digits of the coordinates in float32, the tables do not.
        return LAWS[law](w.double(), alpha=alpha, window=(3, 5, 7), orientations=8, t=t, estimate=estimate)

    w = metrics(dtype)
    result, expected = table(w, law, alpha, t, estimate), in_double(w)
    # Rounded coordinates and weights, whose relative error the power multiplies by its exponent, 5.5 at alpha = 0.55.
    # Of a Gaussian e^-x with x up to 200 the relative error is multiplied by x, which leaves x e^-x < 1.
    tolerance = 100 * torch.finfo(dtype).eps
    torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=tolerance)
    g = torch.randn_like(result)
    (grad,), (of_law,) = torch.autograd.grad(result, w, g), torch.autograd.grad(expected, w, g.double())
    (terms,) = torch.autograd.grad(in_double(w), w, g.double().abs())  # every term of the sum with one sign
    # Normalised tables subtract two sums; each is at most the largest |g| times the derivative of the profile.
    sums = terms.abs() + (g.abs().max() * 100 if law == "diffusion" else 0)
    assert ((grad - of_law).abs() <= tolerance * (1 + sums)).all()


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_diffusion_table_has_mass_one(alpha: float, estimate: str) -> None:
    w = metrics(torch.float32)
    k = table(w, "diffusion", alpha, 1.0, estimate)
    assert (k >= 0).all()
    torch.testing.assert_close(k.sum((2, 3, 4)), torch.ones(5, 8), rtol=0, atol=1e-6)
    # So that a constant upstream gradient moves nothing.
    (grad,) = torch.autograd.grad(k.sum(), w)
    torch.testing.assert_close(grad, torch.zeros_like(grad), rtol=0, atol=1e-5)


def test_a_value_beyond_the_range_is_infinite_with_gradient_zero() -> None:
    w = torch.tensor([[1e12, 1.0, 1.0], [1.0, 1.0, 1.0]], requires_grad=True)
    result = table(w, "morphological", 0.65, 1.0, "rho_c")
    assert result[0].isinf().any() and result[1].isfinite().all()
    (grad,) = torch.autograd.grad(result[result.isfinite()].sum(), w)
    assert grad.isfinite().all()


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_a_metric_that_lets_nothing_through_leaves_the_identity(alpha: float) -> None:
    w = torch.full((1, 3), 1e12, requires_grad=True)
    k = table(w, "diffusion", alpha, 1.0, "rho_c")
    delta = torch.zeros_like(k)
    delta[:, :, 1, 2, 3] = 1
    torch.testing.assert_close(k, delta, rtol=0, atol=1e-20)
    (grad,) = torch.autograd.grad((k * torch.randn_like(k)).sum(), w)
    assert grad.isfinite().all()


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize(("law", "alpha"), [("morphological", 0.65), ("diffusion", 1.0), ("diffusion", 0.5)])
def test_gradcheck_and_opcheck(law: str, alpha: float, estimate: str) -> None:
    w = torch.rand(2, 3, dtype=torch.float64, device=DEVICE).add(0.4).requires_grad_()
    arguments = (w, law, [3, 3, 3], 4, alpha, 1.0, estimate)
    assert torch.autograd.gradcheck(lambda w: library.kernel_table(w, *arguments[1:]), (w,))
    torch.library.opcheck(library.kernel_table, arguments)
    k = library.kernel_table(*arguments).detach()
    torch.library.opcheck(
        library.kernel_table_backward, (torch.randn_like(k), k, w.detach(), law, *arguments[4:])
    )


@pytest.mark.parametrize(("operator", "alpha"), [(ops.morphological_table, 0.65), (ops.diffusion_table, 1.0)])
def test_torch_compile_takes_a_table_whole(operator, alpha: float) -> None:
    def kernel(w: Tensor) -> Tensor:
        return operator(DiagonalMetric(w), alpha=alpha, window=(3, 5, 5), orientations=8, backend=DEVICE) * 2

    torch._dynamo.reset()
    w = metrics(torch.float64).detach().to(DEVICE).requires_grad_()
    out, expected = torch.compile(kernel, fullgraph=True, backend="aot_eager")(w), kernel(w)
    assert torch.equal(out, expected)
    g = torch.randn_like(out)
    assert torch.equal(*(torch.autograd.grad(x, w, g)[0] for x in (out, expected)))


def test_a_table_has_code_where_the_law_is_closed() -> None:
    w = torch.ones(1, 3, device=DEVICE)
    for law, alpha, closed in [
        ("morphological", 0.5, False),
        ("morphological", 0.51, True),
        ("diffusion", 0.5, True),
        ("diffusion", 0.75, False),
    ]:
        found = compiled.kernel_table(w, law, alpha, (1, 3, 3), 4, 1.0, "rho_c", DEVICE)
        assert (found is not None) == closed
