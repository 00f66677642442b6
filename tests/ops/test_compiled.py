"""The compiled operators against the reference: every semiring, dtype, stride and window, and the gradients."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pdegcnn_lib.ops import compiled, reference
from pdegcnn_lib.ops.compiled import convolution
from pdegcnn_lib.ops.compiled.machines import HOST

# `make gpu` runs this file with the operators on the GPU; the reference stays on the CPU.
DEVICE = os.environ.get("PDEGCNN_TEST_DEVICE", "cpu")
TROPICAL = ("max_plus", "min_plus")

pytestmark = pytest.mark.skipif(
    compiled.availability()[DEVICE] is not None, reason=str(compiled.availability()[DEVICE])
)

# Both sides of a vector's width and of a tile's, odd sizes, H != W; the unrolled windows and others.
SIZES = st.sampled_from([1, 2, 3, 5, 8, 13, 15, 16, 17, 31, 33, 64, 65, 70])
WINDOWS = st.sampled_from([(3, 3), (5, 5), (7, 7), (1, 1), (3, 5), (5, 1), (1, 9)])


@dataclass
class Problem:
    f: Tensor
    k: Tensor
    g: Tensor


def draw(draw_from: st.DataObject, dtype: torch.dtype = torch.float64) -> Problem:
    pick = draw_from.draw
    b, c, orientations = (
        pick(st.integers(0, 2)),
        pick(st.integers(1, 3)),
        pick(st.sampled_from([1, 2, 3, 5, 8])),
    )
    height, width, (rows, columns) = pick(SIZES), pick(SIZES), pick(WINDOWS)
    planes = pick(st.sampled_from([n for n in (1, 3, 5) if n <= orientations]))
    generator = torch.Generator().manual_seed(pick(st.integers(0, 10**6)))

    def tensor(*shape: int) -> Tensor:
        layout = pick(st.sampled_from(["contiguous", "sliced", "permuted"]))
        if layout == "sliced":
            return torch.randn(*shape[:-1], 2 * shape[-1], dtype=torch.float64, generator=generator)[
                ..., ::2
            ].to(dtype)
        x = torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)
        return x.transpose(-1, -2).contiguous().transpose(-1, -2) if layout == "permuted" else x

    shape = (b, c, orientations, height, width)
    return Problem(tensor(*shape), tensor(c, orientations, planes, rows, columns), tensor(*shape))


def gradients(operator: object, problem: Problem, semiring: str) -> tuple[Tensor, Tensor, Tensor]:
    f, k = problem.f.detach().requires_grad_(), problem.k.detach().requires_grad_()
    out = operator(f, k, semiring)
    return out.detach(), *torch.autograd.grad(out, (f, k), problem.g)


def fast(f: Tensor, k: Tensor, semiring: str) -> Tensor:
    return compiled.semiring_convolution(f.to(DEVICE), k.to(DEVICE), semiring, DEVICE).cpu()


@pytest.mark.parametrize("semiring", TROPICAL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(data=st.data())
def test_tropical_convolution_is_the_reference_to_the_last_bit(
    semiring: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    problem = draw(data, dtype)
    expected, expected_f, expected_k = gradients(reference.semiring_convolution, problem, semiring)
    out, grad_f, grad_k = gradients(fast, problem, semiring)
    assert torch.equal(out, expected)
    with torch.no_grad():
        assert torch.equal(fast(problem.f, problem.k, semiring), expected), "without taps"
    # The sums of the gradient have another order: taps-many terms for f, pixels-many for k.
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(grad_f, expected_f, rtol=0, atol=200 * eps * largest(problem.g))
    pixels = problem.f.shape[0] * problem.f.shape[-1] * problem.f.shape[-2]
    torch.testing.assert_close(grad_k, expected_k, rtol=0, atol=4 * pixels * eps * largest(problem.g))


def largest(x: Tensor) -> float:
    return max(1.0, x.abs().max().item()) if x.numel() else 1.0


@pytest.mark.parametrize("semiring", ["linear", "log"])
@given(data=st.data())
def test_smooth_convolution_and_its_gradients_agree_with_the_reference(
    semiring: str, data: st.DataObject
) -> None:
    problem = draw(data)
    for result, expected in zip(
        gradients(fast, problem, semiring),
        gradients(reference.semiring_convolution, problem, semiring),
        strict=True,
    ):
        # Sums of up to 70 * 70 * 2 terms of order one in float64.
        torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-11)


@given(data=st.data())
def test_linear_convolution_in_float32_errs_within_the_bound_of_its_sum(data: st.DataObject) -> None:
    problem = draw(data, torch.float32)
    f, k = problem.f.double(), problem.k.double()
    error = (fast(problem.f, problem.k, "linear") - reference.semiring_convolution(f, k, "linear")).abs()
    terms = math.prod(k.shape[2:])
    bound = (
        reference.semiring_convolution(f.abs(), k.abs(), "linear") * terms * torch.finfo(torch.float32).eps
    )
    assert (error <= bound + 1e-30).all()


@given(data=st.data())
def test_logarithmic_convolution_in_float32_errs_by_few_units(data: st.DataObject) -> None:
    problem = draw(data, torch.float32)
    expected = reference.semiring_convolution(problem.f.double(), problem.k.double(), "log")
    error = (fast(problem.f, problem.k, "log") - expected).abs()
    # Each exponential errs by a few units, the sum by one for each term; the logarithm makes relative error absolute.
    allowed = (math.prod(problem.k.shape[2:]) + 16) * torch.finfo(torch.float32).eps
    assert (error <= allowed * (1 + expected.abs())).all()


# Exponentials are taken out of the sums where f and k are within 28 of a level (320 in float64): well inside, at the
# edge, beyond, far beyond; the same of k; and far from zero.
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("range_f", [0.1, 0.95, 1.05, 20.0])
@pytest.mark.parametrize("range_k", [0.01, 0.9, 30.0])
@pytest.mark.parametrize("level", [0.0, -500.0])
def test_logarithmic_convolution_at_every_range(
    range_f: float, range_k: float, level: float, dtype: torch.dtype
) -> None:
    reach = 28 if dtype == torch.float32 else 320
    f = (torch.rand(2, 2, 4, 19, 37, dtype=torch.float64) * 2 - 1) * reach * range_f + level
    k = torch.rand(2, 4, 3, 5, 5, dtype=torch.float64) * reach * range_k
    k[:, :, 0, 0] = math.inf
    k[0] -= k[0, :, 1:2, 2:3, 2:3]  # the least of all in the middle, as a kernel of dilation has it
    problem = Problem(f.to(dtype), k.to(dtype), torch.randn(f.shape, dtype=dtype))
    exact = Problem(problem.f.double(), problem.k.double(), problem.g.double())
    expected = gradients(reference.semiring_convolution, exact, "log")
    found = gradients(fast, problem, "log")
    # Terms and output are rounded at their own size, which is an absolute error of the exponent: the relative error of
    # a weight. To it come 75 terms; the gradient to k sums 2 * 19 * 37 pixels.
    size = max(x[x.isfinite()].abs().max().item() for x in (exact.f, exact.k, expected[0]))
    error = torch.finfo(dtype).eps * (4 * size + 100)
    torch.testing.assert_close(found[0].double(), expected[0], rtol=0, atol=error)
    weight = gradients(reference.semiring_convolution, Problem(exact.f, exact.k, exact.g.abs()), "log")
    for result, law, terms in zip(found[1:], expected[1:], weight[1:], strict=True):
        assert ((result.double() - law).abs() <= error * terms.abs() + 1e-30).all()


@pytest.mark.parametrize("storage", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("semiring", TROPICAL)
@given(data=st.data())
def test_half_types_are_stored_in_16_bits_and_computed_in_32(
    storage: torch.dtype, semiring: str, data: st.DataObject
) -> None:
    problem = draw(data, storage)
    in_single = Problem(problem.f.float(), problem.k.float(), problem.g.float())
    expected, expected_f, expected_k = gradients(reference.semiring_convolution, in_single, semiring)
    out, grad_f, grad_k = gradients(fast, problem, semiring)
    assert out.dtype == grad_f.dtype == grad_k.dtype == storage
    assert torch.equal(out, expected.to(storage))
    eps = torch.finfo(storage).eps
    torch.testing.assert_close(grad_f.float(), expected_f, rtol=eps, atol=1e-4)
    torch.testing.assert_close(grad_k.float(), expected_k, rtol=eps, atol=2e-2)


def test_rounding_to_16_bits_is_that_of_torch() -> None:
    special = [
        0.0,
        -0.0,
        math.inf,
        -math.inf,
        65504.0,
        65519.9,
        65520.0,
        2**-14,
        2**-24,
        2**-25,
        3 * 2**-26,
        1e-30,
    ]
    x = torch.cat([torch.tensor(special), torch.randn(4096) * torch.logspace(-9, 6, 4096)])
    k = torch.zeros(1, 1, 1, 1, 1)
    for storage in (torch.float16, torch.bfloat16):
        # A window of one tap with k = 0 copies, so storing and loading is all that happens.
        f = x.to(storage)
        assert torch.equal(fast(f.view(1, 1, 1, 1, -1), k.to(storage), "max_plus").flatten(), f)
        # The linear kernel multiplies by 1.001 in float32 and rounds once.
        scale = torch.full_like(k, 1.0009765625).to(storage)
        rounded = (f.float() * scale.float().item()).to(storage)
        assert torch.equal(fast(f.view(1, 1, 1, 1, -1), scale, "linear").flatten(), rounded)


@pytest.mark.parametrize("semiring", TROPICAL)
@given(data=st.data())
def test_the_first_of_equal_taps_takes_the_gradient(semiring: str, data: st.DataObject) -> None:
    problem = draw(data, torch.float32)
    # Few distinct values: nearly every window has ties.
    tied = Problem((problem.f > 0).float(), (problem.k > 0).float(), problem.g.round())
    expected = gradients(reference.semiring_convolution, tied, semiring)
    for result, law in zip(gradients(fast, tied, semiring), expected, strict=True):
        assert torch.equal(result, law)


# Taps that cannot win are left out. Few distinct values, so that many come within nothing of winning; of the taps some
# can never win, others would tie with the one in the middle if f were at its extremes there, or are infinite.
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("semiring", TROPICAL)
@given(data=st.data())
def test_taps_that_cannot_win_are_left_out_without_a_trace(
    semiring: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    problem = draw(data, torch.float32)
    reach = data.draw(st.sampled_from([1, 2, 5]))
    f = problem.f.round().clamp(-reach, reach)
    k = (problem.k * 3 * reach).round().abs()
    k[problem.k > 1.5] = math.inf
    middle = [n // 2 for n in k.shape[2:]]
    k[:, :, middle[0], middle[1], middle[2]] = data.draw(st.sampled_from([0.0, 1.0, -3.0]))
    steep = Problem(f.to(dtype), k.to(dtype), problem.g.round().to(dtype))
    law = Problem(steep.f.float(), steep.k.float(), steep.g.float())
    expected = gradients(reference.semiring_convolution, law, semiring)
    found = gradients(fast, steep, semiring)
    # Sums of whole numbers, of which all but the gradient to k are exact in 16 bits too.
    for result, exact in zip(found[:2] if dtype == torch.bfloat16 else found, expected, strict=False):
        assert torch.equal(result.float(), exact)
    with torch.no_grad():
        assert torch.equal(fast(steep.f, steep.k, semiring).float(), expected[0]), "without taps"


@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
@given(data=st.data())
def test_a_nan_spreads_and_infinities_stay(semiring: str, data: st.DataObject) -> None:
    problem = draw(data, torch.float32)
    values = st.sampled_from([math.nan, math.inf, -math.inf, 3e38])
    for x in (problem.f, problem.k):
        if x.numel():
            at = tuple(data.draw(st.integers(0, n - 1)) for n in x.shape)
            x[at] = data.draw(values)
    expected = reference.semiring_convolution(problem.f, problem.k, semiring)
    for grad in (False, True):
        out = fast(problem.f.detach().requires_grad_(grad), problem.k, semiring).detach()
        # Where the reference pads with the zero of the semiring, 0 * inf and inf - inf are its own NaN: taps outside
        # the image are left out here, so a finite value may stand against a NaN there, never the other way round.
        spread = nan_taps(problem.f, problem.k, semiring)
        assert torch.equal(out.isnan(), spread)
        agree = ~expected.isnan()
        torch.testing.assert_close(out[agree], expected[agree], rtol=1e-4, atol=1e-4)


def nan_taps(f: Tensor, k: Tensor, semiring: str) -> Tensor:
    """Where a tap inside the image is a NaN, by counting; for the linear semiring also inf - inf in the sum."""
    inside = torch.ones_like(f)
    ones = torch.zeros(f.shape, dtype=torch.bool)
    plus, minus = ones.clone(), ones.clone()
    sign = -1 if semiring == "min_plus" else 1
    weights = k.movedim((2, 3, 4), (0, 1, 2))[..., None, None]
    seen_inside = dict(reference.taps(inside, k.shape[2:], 0.0))
    for tap, seen in reference.taps(sign * f, k.shape[2:], 0.0):
        term = seen * weights[tap] if semiring == "linear" else seen - weights[tap]
        there = seen_inside[tap] > 0
        ones |= there & term.isnan()
        plus |= there & (term == math.inf)
        minus |= there & (term == -math.inf)
    return ones | (plus & minus) if semiring == "linear" else ones


@pytest.mark.parametrize("semiring", TROPICAL)
def test_a_window_of_equal_infinities_gives_its_gradient_to_a_tap_inside_the_image(semiring: str) -> None:
    f = torch.full((1, 1, 3, 6, 7), -math.inf if semiring == "max_plus" else math.inf, requires_grad=True)
    k = torch.zeros(1, 3, 3, 5, 5, requires_grad=True)
    grad_f, _ = torch.autograd.grad(fast(f, k, semiring).sum(), (f, k))
    assert grad_f.sum() == f.numel()


@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
@pytest.mark.parametrize("window", [(3, 3, 3), (1, 3, 5)])
def test_gradcheck(semiring: str, window: tuple[int, int, int]) -> None:
    f = torch.randn(2, 1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    k = torch.randn(1, 3, *window, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, k: fast(f, k, semiring), (f, k))


def test_more_than_256_taps_use_codes_of_16_bits() -> None:
    f = torch.randn(1, 2, 7, 20, 19, dtype=torch.float64)
    problem = Problem(f, torch.rand(2, 7, 7, 7, 7, dtype=torch.float64), torch.randn_like(f))
    for result, expected in zip(
        gradients(fast, problem, "max_plus"),
        gradients(reference.semiring_convolution, problem, "max_plus"),
        strict=True,
    ):
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


def test_wrong_calls_say_what_is_allowed() -> None:
    f, k = torch.randn(1, 1, 1, 4, 4), torch.randn(1, 1, 1, 3, 3)
    with pytest.raises(ValueError, match="max_plus.*got 'max'"):
        fast(f, k, "max")
    other = "cpu" if DEVICE == "cuda" else "cuda"
    with pytest.raises(ValueError, match=f"'{other}' needs tensors on that device"):
        compiled.semiring_convolution(f.to(DEVICE), k.to(DEVICE), "max_plus", other)
    with pytest.raises(TypeError, match="float32.*got torch.int32"):
        fast(f.int(), k.int(), "max_plus")


@pytest.mark.parametrize("fast_bytes", [512 * 1024, 64 * 1024, 16 * 1024, 1])
def test_a_plan_fits_the_fast_memory_or_is_as_small_as_can_be(fast_bytes: int) -> None:
    for orientations, height, width, window in (
        (8, 64, 64, (5, 5, 5)),
        (8, 300, 130, (7, 7, 7)),
        (1, 5, 3, (1, 9, 9)),
    ):
        problem = convolution.Problem(6, 3, 1, orientations, height, width, (1, *window), None)
        how = convolution.plan(problem, replace(HOST, fast_bytes=fast_bytes), 4)
        assert how.rows % 8 == 0 and how.columns % HOST.lanes == 0 and 1 <= how.planes <= orientations
        assert how.blocks * how.planes * how.rows * how.columns >= 6 * orientations * height * width
        smallest = (how.planes, how.rows, how.columns) == (1, 8, HOST.lanes)
        assert how.shared_bytes <= fast_bytes or smallest
