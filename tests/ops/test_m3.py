"""The operators on M3 against a loop over all taps, their laws, their gradients, and what they say to bad input."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdegcnn_lib import ops
from pdegcnn_lib.ops.exported import SEMIRINGS
from pdegcnn_lib.spaces import M3

D = torch.float64
COUNTS = pytest.mark.parametrize("count", [6, 13, 14, 26])


def on_m3(operator: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """An operator on M3 with as many directions as the features have."""
    return lambda f, *given, **options: operator(f, *given, space=M3(f.shape[2]), **options)


dilation, erosion, linear_convolution, convection, group_convolution = map(
    on_m3, (ops.dilation, ops.erosion, ops.linear_convolution, ops.convection, ops.group_convolution)
)


def features(
    count: int, size: tuple[int, int, int] = (4, 5, 3), channels: int = 2, seed: int = 0
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, count, *size, generator=generator, dtype=D)


def kernel(count: int, channels: int = 2, k: int = 3, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    slots = M3(count).default_window()[0]
    return torch.rand(channels, count, slots, k, k, k, generator=generator, dtype=D)


def by_loops(f: torch.Tensor, k: torch.Tensor, semiring: str) -> torch.Tensor:
    """The definition, tap by tap."""
    lists, reach = M3(f.shape[2]).neighbours(tuple(k.shape[2:])), k.shape[-1] // 2
    fill = SEMIRINGS[semiring][0]
    padded = torch.nn.functional.pad(f, (reach,) * 6, value=fill)
    out = torch.full_like(f, fill)
    depth, height, width = f.shape[3:]
    for o in range(f.shape[2]):
        for s, n in enumerate(lists[o].tolist()):
            if n < 0:
                continue
            for i, j, m in torch.cartesian_prod(*[torch.arange(k.shape[-1])] * 3).tolist():
                seen = padded[:, :, n, i : i + depth, j : j + height, m : m + width]
                weight = k[:, o, s, i, j, m, None, None, None]
                if semiring == "linear":
                    out[:, :, o] += seen * weight
                elif semiring == "max_plus":
                    out[:, :, o] = torch.maximum(out[:, :, o], seen - weight)
                else:
                    out[:, :, o] = torch.minimum(out[:, :, o], seen + weight)
    return out


@COUNTS
@pytest.mark.parametrize("backend", ["reference", None])
@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_they_are_the_loop_over_taps(count: int, backend: str | None, dtype: torch.dtype) -> None:
    """Dilation and erosion bit for bit; a sum over up to 243 taps to their rounding."""
    f, k = features(count).to(dtype), kernel(count).to(dtype)
    assert torch.equal(dilation(f, k, backend=backend), by_loops(f, k, "max_plus"))
    assert torch.equal(erosion(f, k, backend=backend), by_loops(f, k, "min_plus"))
    found, expected = linear_convolution(f, k, backend=backend), by_loops(f, k, "linear")
    assert (found - expected).abs().max() < 300 * torch.finfo(dtype).eps * 10


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 4, 2), (2, 3, 5)])
def test_thin_volumes_do_not_wrap(size: tuple[int, int, int]) -> None:
    f, k = features(6, size), kernel(6, k=5)
    assert torch.equal(dilation(f, k), by_loops(f, k, "max_plus"))


def test_gradients_agree_with_finite_differences() -> None:
    f, k = features(6, (2, 2, 3), 1).requires_grad_(), kernel(6, 1).requires_grad_()
    for operator in (dilation, erosion, linear_convolution):
        assert torch.autograd.gradcheck(operator, (f[:1], k), fast_mode=True)
    g0 = torch.tensor([[0.37]], dtype=D, requires_grad=True)
    assert torch.autograd.gradcheck(convection, (f[:1], g0))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([6, 13]), st.floats(-3, 3), st.integers(0, 1000))
def test_laws_of_morphology(count: int, c: float, seed: int) -> None:
    f, g, k = features(count, seed=seed), features(count, seed=seed + 1), kernel(count, seed=seed + 2)
    k[:, :, 0, 1, 1, 1] = 0  # a kernel of a distance is 0 at the point itself
    dilated = dilation(f, k)
    assert torch.equal(dilation(torch.maximum(f, g), k), torch.maximum(dilated, dilation(g, k)))
    assert (dilation(f + c, k) - dilated - c).abs().max() < 1e-14
    assert torch.equal(erosion(f, k), -dilation(-f, k))
    assert (erosion(f, k) <= f).all() and (f <= dilated).all()
    assert (dilated - dilation(g, k)).abs().max() <= (f - g).abs().max() + 1e-14


def test_nan_spreads_and_infinities_are_values() -> None:
    f, k = features(6), kernel(6)
    f[0, 0, 0, 1, 1, 1], f[1, 1] = torch.nan, -torch.inf
    out = dilation(f, k)
    assert out[0, 0, 0, 0:3, 0:3, 0:3].isnan().all() and not out[0, 1].isnan().any()
    assert (out[1, 1] == -torch.inf).all()


@pytest.mark.parametrize("count", [6, 14, 26])
def test_a_point_moves_forward_along_its_direction(count: int) -> None:
    """The sign that no test of equivariance sees: +c n for every n, by the centre of mass of what arrives."""
    space, f = M3(count), torch.zeros(1, 1, count, 9, 9, 9, dtype=D)
    f[..., 4, 4, 4] = 1
    moved = convection(f, torch.tensor([[1.6]], dtype=D))[0, 0]
    assert (moved.sum((1, 2, 3)) - 1).abs().max() < 1e-14
    at = torch.arange(9, dtype=D) - 4
    centre = torch.stack([(moved.sum(axes) * at).sum(-1) for axes in ((1, 2), (1, 3), (2, 3))], dim=-1)
    assert (centre - 1.6 * space.points()).abs().max() < 1e-14


def test_two_steps_along_an_axis_are_one_of_their_sum() -> None:
    f, one = features(6, (6, 6, 6)), torch.ones(2, 1, dtype=D)
    assert torch.equal(convection(convection(f, one), one), convection(f, 2 * one))


def test_the_gradient_at_rest_is_that_of_both_sides() -> None:
    f, g0 = features(6, (5, 5, 5)), torch.zeros(2, 1, dtype=D, requires_grad=True)
    (slope,) = torch.autograd.grad((convection(f, g0) ** 2).sum(), g0)
    step = 1e-6
    ahead, behind = ((convection(f, g0 * 0 + s) ** 2).sum((0, 2, 3, 4, 5)) for s in (step, -step))
    assert torch.allclose(slope[:, 0], (ahead - behind) / (2 * step), rtol=1e-4)


def test_a_delta_is_the_identity_of_the_group_convolution() -> None:
    f, k = features(14), torch.zeros(2, 2, 14, 7, 3, 3, 3, dtype=D)
    k[0, 0, :, 0, 1, 1, 1] = k[1, 1, :, 0, 1, 1, 1] = 1
    assert torch.equal(group_convolution(f, k), f)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ops.dilation(features(6)[:, 0], kernel(6), space=M3(6)),
            r"f must have shape \[B, C, N, D, H, W\]",
        ),
        (lambda: dilation(features(6), kernel(14)), r"k must start with \[C, N\] = \[2, 6\]"),
        (lambda: erosion(features(6), kernel(6)[..., :2]), "odd positive integers"),
        (lambda: dilation(features(6)[:, :, :5], kernel(6)[:, :5]), "closed under the 24 turns.*got 5"),
        (lambda: convection(features(6), torch.zeros(3, 1, dtype=D)), r"g0 must have shape \[C, 1\]"),
        (lambda: convection(features(13), torch.zeros(2, 1, dtype=D)), "no forward direction"),
        (
            lambda: ops.lift(torch.zeros(1, 1, 2, 9, 9), torch.zeros(1, 1, 6, 5, 5, 5)),
            "larger than 2 x 2 x 2, got 2 x 9 x 9",
        ),
        (
            lambda: ops.projection(torch.zeros(1, 1, 3, 3, 3), space=M3(6)),
            r"f must have shape \[B, C, N, D, H, W\]",
        ),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
