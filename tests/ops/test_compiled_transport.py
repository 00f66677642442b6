"""The compiled shift, which convection is made of, against the reference."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pdegcnn_lib.ops import compiled, reference

# `make gpu` runs this file with the operators on the GPU; the reference stays on the CPU.
DEVICE = os.environ.get("PDEGCNN_TEST_DEVICE", "cpu")

pytestmark = pytest.mark.skipif(
    compiled.availability()[DEVICE] is not None, reason=str(compiled.availability()[DEVICE])
)

# Both sides of a vector's width, odd sizes, H != W.
SIZES = st.sampled_from([1, 2, 3, 5, 8, 13, 15, 16, 17, 31, 33, 64, 65, 70])


def fast_shift(f: Tensor, by: Tensor, periodic: bool = True) -> Tensor:
    return compiled.shift(f.to(DEVICE), by.to(DEVICE), DEVICE, periodic).cpu()


@given(
    shape=st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from([1, 2, 3, 5, 8]), SIZES, SIZES),
    reach=st.sampled_from([0.3, 3.0, 200.0]),
    seed=st.integers(0, 10**6),
    permuted=st.booleans(),
    periodic=st.booleans(),
)
def test_shift_and_its_gradients_agree_with_the_reference(
    shape: tuple[int, ...], reach: float, seed: int, permuted: bool, periodic: bool
) -> None:
    torch.manual_seed(seed)
    f, g = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)
    if permuted:
        f, g = (x.transpose(-1, -2).contiguous().transpose(-1, -2) for x in (f, g))
    f = f.requires_grad_()
    by = (torch.randn(*shape[1:3], 3, dtype=f.dtype) * reach).requires_grad_()
    out, expected = fast_shift(f, by, periodic), reference.shift(f, by, periodic)
    torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-11)
    for result, law in zip(
        torch.autograd.grad(out, (f, by), g), torch.autograd.grad(expected, (f, by), g), strict=True
    ):
        # The fractions lose digits to the size of the displacement; sums run over up to 2 * 70 * 70 terms.
        torch.testing.assert_close(result, law, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("storage", [torch.float16, torch.bfloat16])
def test_shift_stores_16_bits_and_computes_in_32(storage: torch.dtype) -> None:
    f = torch.randn(2, 3, 4, 9, 33).to(storage)
    by = torch.randn(3, 4, 3).to(storage)
    expected = reference.shift(f.float(), by.float())
    torch.testing.assert_close(fast_shift(f, by).float(), expected, rtol=torch.finfo(storage).eps, atol=1e-5)


def test_shift_by_whole_steps_moves_values_unchanged() -> None:
    f = torch.randn(1, 1, 4, 20, 40)
    by = torch.tensor([3.0, -2.0, 1.0]).expand(1, 4, 3)
    expected = f.roll(1, 2)[..., (torch.arange(20) + 2).clamp(max=19), :][
        ..., (torch.arange(40) - 3).clamp(min=0)
    ]
    assert torch.equal(fast_shift(f, by), expected)


@pytest.mark.parametrize("periodic", [True, False])
def test_shift_gradcheck(periodic: bool) -> None:
    f = torch.randn(2, 1, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    by = (torch.randn(1, 3, 3, dtype=torch.float64) * 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda f, by: fast_shift(f, by, periodic), (f, by))
