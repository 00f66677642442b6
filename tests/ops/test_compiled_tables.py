"""The compiled kernel tables against the law in plain torch."""

from __future__ import annotations

import os

import pytest
import torch

from pdegcnn_lib.kernels import morphological_kernel
from pdegcnn_lib.ops import compiled
from pdegcnn_lib.ops.compiled import library

DEVICE = os.environ.get("PDEGCNN_TEST_DEVICE", "cpu")
ESTIMATES = ("rho_c", "rho_b", "rho_b_sr", "rho_b_com")

pytestmark = pytest.mark.skipif(
    compiled.availability()[DEVICE] is not None, reason=str(compiled.availability()[DEVICE])
)


def table(w: torch.Tensor, alpha: float, t: float, estimate: str) -> torch.Tensor:
    return compiled.morphological_table(w.to(DEVICE), alpha, (3, 5, 7), 8, t, estimate, DEVICE).cpu()


def metrics(dtype: torch.dtype) -> torch.Tensor:
    # Both orders of the spatial weights, near and far apart; equal ones are a kink of rho_b_com.
    w = torch.tensor([[1.0, 2, 1], [2, 1, 0.5], [1, 1.3, 1], [0.3, 8, 2], [3.5, 0.3, 0.7]])
    return w.to(dtype).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize(("alpha", "t"), [(0.65, 1.0), (0.55, 0.5), (1.0, 2.0)])
def test_table_and_gradient_are_those_of_the_law(
    estimate: str, alpha: float, t: float, dtype: torch.dtype
) -> None:
    def law(w: torch.Tensor) -> torch.Tensor:
        # In float64: the law itself loses digits of the coordinates in float32, the tables do not.
        return morphological_kernel(
            w.double(), alpha=alpha, window=(3, 5, 7), orientations=8, t=t, estimate=estimate
        )

    w = metrics(dtype)
    result, expected = table(w, alpha, t, estimate), law(w)
    # Rounded coordinates and weights, whose relative error the power multiplies by its exponent, 5.5 at alpha = 0.55.
    tolerance = 100 * torch.finfo(dtype).eps
    torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=tolerance)
    g = torch.randn_like(result)
    (grad,), (of_law,) = torch.autograd.grad(result, w, g), torch.autograd.grad(expected, w, g.double())
    (terms,) = torch.autograd.grad(law(w), w, g.double().abs())  # every term of the sum with one sign
    assert ((grad - of_law).abs() <= tolerance * (1 + terms.abs())).all()


def test_a_value_beyond_the_range_is_infinite_with_gradient_zero() -> None:
    w = torch.tensor([[1e12, 1.0, 1.0], [1.0, 1.0, 1.0]], requires_grad=True)
    result = table(w, 0.65, 1.0, "rho_c")
    assert result[0].isinf().any() and result[1].isfinite().all()
    (grad,) = torch.autograd.grad(result[result.isfinite()].sum(), w)
    assert grad.isfinite().all()


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_gradcheck_and_opcheck(estimate: str) -> None:
    w = torch.rand(2, 3, dtype=torch.float64, device=DEVICE).add(0.4).requires_grad_()
    arguments = (w, [3, 3, 3], 4, 0.65, 1.0, estimate)
    assert torch.autograd.gradcheck(lambda w: library.morphological_table(w, *arguments[1:]), (w,))
    torch.library.opcheck(library.morphological_table, arguments)


def test_wrong_calls_say_what_is_allowed() -> None:
    w = torch.ones(1, 3)
    with pytest.raises(ValueError, match="rho_c.*got 'rho'"):
        table(w, 0.65, 1.0, "rho")
    with pytest.raises(ValueError, match=r"\(1/2, 1\].*got 0.5"):
        table(w, 0.5, 1.0, "rho_c")
    with pytest.raises(ValueError, match="positive and finite, got 0"):
        table(w, 0.65, 0.0, "rho_c")
    with pytest.raises(TypeError, match="float16"):
        table(w.half(), 0.65, 1.0, "rho_c")
