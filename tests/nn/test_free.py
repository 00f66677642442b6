"""Trained kernels without a metric: one smooth function for all orientations, where a turned array fails."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from examples.groups_between import GroupsBetween
from pdegcnn_lib import nn, ops
from pdegcnn_lib.geometry import SE2
from pdegcnn_lib.geometry.splines import quadratic_b_spline
from pdegcnn_lib.kernels import free_kernel, free_lift_kernel, lift_kernel
from pdegcnn_lib.kernels.free import free_numbers
from pdegcnn_lib.spaces import M2, M3, Plane, Sampled, Volume
from pdegcnn_lib.testing import equivariance_error

TERMS = (nn.FreeDilation, nn.FreeErosion, nn.FreeConvolution)
HEISENBERG = Sampled(GroupsBetween(0.0), range(-3, 4))
EVERY = pytest.mark.parametrize("term", TERMS, ids=lambda term: term.__name__)


def test_the_kernel_is_one_function_tap_by_tap():
    """The sum of the definition in loops; infinite outside of the ball."""
    space, window = M2(8), (3, 5, 5)
    a = torch.rand(2, *free_numbers(space, window)).double()
    k = free_kernel(a, window=window, space=space, outside=math.inf)
    assert k.shape == (2, 8, 3, 5, 5) and free_numbers(space, window) == (5, 5, 3)
    elements, seen = space.relative_elements(window), 0
    for tap in torch.cartesian_prod(*(torch.arange(n) for n in k.shape[1:])).tolist():
        main, lateral, turn = SE2.log(elements[tuple(tap)]).tolist()
        if main**2 + lateral**2 > 2.5**2:
            assert k[(1, *tap)] == math.inf
            continue
        splines = [
            quadratic_b_spline(x - torch.arange(n).double() + n // 2)
            for x, n in zip((main, lateral, turn / (math.pi / 4)), (5, 5, 3), strict=True)
        ]
        torch.testing.assert_close(k[(1, *tap)], torch.einsum("ijk,i,j,k", a[1], *splines))
        seen += 1
    assert 0.7 * k[0].numel() < seen < k[0].numel()


@EVERY
@pytest.mark.parametrize("space", [M2(4), M2(8), M2(12)], ids=str)
def test_quarter_turns_are_exact(term, space):
    """Up to the rounding of cosines."""
    layer = term(2, space=space, window=(3, 5, 5)).double()
    errors = equivariance_error(layer, torch.randn(1, 2, space.fibre, 8, 9).double())
    assert max(errors.values()) < 1e-13


@EVERY
def test_shears_of_the_heisenberg_group_are_exact(term):
    layer = term(1, space=HEISENBERG, window=(3, 13, 3)).double()
    sign = -1 if term is nn.FreeErosion else 1
    f = torch.zeros(1, 1, 7, 61, 31).double()
    f[:, :, 3:4, 22:39, 10:21] = 3 * sign * torch.rand(1, 1, 1, 17, 11)
    if term is nn.FreeDilation or term is nn.FreeErosion:
        layer.coefficients.data[...] = 0.5  # no tap wins outside of what both grids hold
    move, out = HEISENBERG.symmetries()[1], layer(f)
    assert not torch.equal(out, f)
    torch.testing.assert_close(layer(move(f)), move(out), rtol=0, atol=1e-12)


@EVERY
def test_on_the_plane_it_commutes_with_translations_and_with_no_turn(term):
    layer = term(2, space=Plane()).double()
    f = torch.randn(1, 2, 13, 14).double()
    inner = (..., slice(4, -4), slice(4, -4))
    moved = layer(torch.roll(f, (1, -2), (-2, -1)))
    torch.testing.assert_close(moved[inner], torch.roll(layer(f), (1, -2), (-2, -1))[inner])
    assert min(equivariance_error(layer, f).values()) > 0.1


def waves(angle: float, size: int = 25) -> Tensor:
    """Smooth functions on M2(8) turned by an angle, `[6, 4, 8, size, size]`: wave lengths above 8 pixels."""
    draw = torch.Generator().manual_seed(3)
    axis = torch.arange(size).double() - size // 2
    theta, y, x = torch.meshgrid(M2(8).points()[:, 0], axis, axis, indexing="ij")
    c, s = math.cos(angle), math.sin(angle)
    x, y, theta, out = c * x + s * y, c * y - s * x, theta - angle, []
    for kx, ky, a, b in (torch.rand(6, 4, generator=draw).double() - 0.5).tolist():
        side = torch.cos(theta + 7 * b) * torch.sin(ky * x - kx * y + 7 * a)
        out.append(torch.sin(kx * x + ky * y + 7 * a) + side)
    return torch.stack(out)[:, None].expand(6, 4, 8, size, size)


def turned_by_neighbours(k: Tensor, outside: float) -> Tensor:
    """The kernel of orientation 0, turned as an array to the others: to the nearest entry, or lost."""
    half = k.shape[-1] // 2
    y, x = torch.meshgrid(*2 * [torch.arange(-half, half + 1).double()], indexing="ij")
    stack = []
    for theta in M2(8).points()[:, 0]:
        c, s = torch.cos(theta), torch.sin(theta)
        column, row = ((v.round().long() + half) for v in (c * x + s * y, c * y - s * x))
        there = (column >= 0) & (column <= 2 * half) & (row >= 0) & (row <= 2 * half)
        values = k[:, 0][..., row.clamp(0, 2 * half), column.clamp(0, 2 * half)]
        stack.append(torch.where(there, values, outside))
    return torch.stack(stack, dim=1)


def test_an_eighth_turn_where_a_turned_array_fails():
    """At the centre, where both grids have a point. What is left is the sum over a grid in the place of an integral."""
    torch.manual_seed(0)
    k = nn.FreeConvolution(4).double().kernel().detach()

    def error(k: Tensor) -> float:
        out, turned = (ops.linear_convolution(waves(a), k)[..., 12, 12] for a in (0.0, math.pi / 4))
        return float((turned - out.roll(1, -1)).norm() / (out - out.mean()).norm())

    assert error(k) < 0.1 and error(turned_by_neighbours(k, 0.0)) > 4 * error(k)


def test_a_turned_array_is_another_kernel():
    """As a kernel of a dilation: at an eighth turn it is off by half of what the kernel varies."""
    torch.manual_seed(0)
    layer = nn.FreeDilation(8).double()
    k, other = layer.kernel().detach(), turned_by_neighbours(layer.kernel().detach(), math.inf)
    torch.testing.assert_close(other[:, ::2], k[:, ::2])  # quarter turns of an array are exact
    both = k[:, 1].isfinite() & other[:, 1].isfinite()
    assert (k - other)[:, 1][both].std() > 0.4 * k[:, 1][both].std()


@EVERY
@pytest.mark.parametrize(
    ("space", "size"),
    [
        (Plane(), (5, 6)),
        (Volume(), (3, 4, 5)),
        (M2(4), (4, 5, 5)),
        (HEISENBERG, (7, 5, 5)),
        (M3(6), (6, 3, 3, 4)),
    ],
    ids=str,
)
def test_gradients_on_every_space(term, space, size):
    window = (5, 3, 3, 3) if isinstance(space, M3) else space.default_window(3)
    layer = term(1, space=space, window=window).double()
    f = torch.randn(1, 1, *size, dtype=torch.float64, requires_grad=True)

    def out(coefficients: Tensor, f: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"coefficients": coefficients}, (f,))

    assert out(layer.coefficients, f).isfinite().all()
    # Along one random direction each: entry by entry it takes minutes.
    assert torch.autograd.gradcheck(out, (layer.coefficients, f), fast_mode=True)


def test_terms_of_a_layer():
    layer = nn.PDELayer(
        2, 3, terms=("convection", partial(nn.FreeDilation, window=(3, 3, 3)), nn.FreeConvolution)
    )
    assert list(layer.evolution) == ["convection", "freedilation", "freeconvolution"]
    assert layer.evolution["freedilation"].window == (3, 3, 3)
    f = torch.randn(1, 2, 8, 6, 7)
    layer(f).square().mean().backward()
    assert all(p.grad.isfinite().all() for p in layer.parameters())
    assert "space=M2(orientations=8), window=(3, 3, 3)" in repr(layer)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"coefficients must be \[C, 5, 5, 3\] on M2.*got \[2, 5, 5\]"):
        free_kernel(torch.zeros(2, 5, 5), window=(3, 5, 5))
    with pytest.raises(ValueError, match=r"odd positive integers, got \(3, 4, 5\)"):
        nn.FreeDilation(2, window=(3, 4, 5))


# ---- lifts -----------------------------------------------------------------------------------------------------


def test_splines_on_the_grid_are_the_lift():
    axis = torch.arange(-2.0, 3).double()
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    a = torch.randn(2, 3, 25).double()
    nodes = torch.stack([x, y], dim=-1).reshape(25, 2).expand(2, 3, 25, 2)
    free = free_lift_kernel(a, nodes, torch.ones_like(a), size=5)
    torch.testing.assert_close(free, lift_kernel(a.reshape(2, 3, 5, 5), 8))


def test_a_free_lift_turns_with_its_orientation():
    """Exactly by quarter turns, and by an eighth as a function: a spline along x is one along the diagonal."""
    layer = nn.FreeLift(2, 3, size=7).double()
    assert max(equivariance_error(layer, torch.randn(1, 2, 12, 13).double()).values()) < 1e-13
    one = [torch.ones(1, 1, 1).double(), torch.tensor([[[[2.0, 0.0]]]]).double()]
    k = free_lift_kernel(*one, torch.full((1, 1, 1), 1.3).double(), size=9)[0, 0]
    axis = torch.arange(-4.0, 5).double()
    for o in range(8):
        centre = torch.stack([(k[o].sum(0) * axis).sum(), (k[o].sum(1) * axis).sum()]) / k[o].sum()
        angle = 2 * math.pi * o / 8
        expected = 2 * torch.tensor([math.cos(angle), math.sin(angle)]).double()
        torch.testing.assert_close(centre, expected, rtol=0, atol=0.02)  # the spline is sampled on pixels


def test_gradients_reach_positions_and_widths():
    a, nodes = torch.randn(1, 2, 3).double(), torch.randn(1, 2, 3, 2).double()
    scales = 0.5 + torch.rand(1, 2, 3).double()
    leaves = [x.requires_grad_() for x in (a, nodes, scales)]
    assert torch.autograd.gradcheck(partial(free_lift_kernel, size=5, orientations=4), leaves)
    layer = nn.FreeLift(1, 2, size=5)
    layer(torch.randn(1, 1, 9, 9)).square().mean().backward()
    assert all((p.grad != 0).any() and p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.FreeLift(1, 2, size=4), r"odd positive integers, got \(4, 4\)"),
        (lambda: nn.FreeLift(1, 2, size=5, splines=0), "one spline or more, got .* and 0"),
        (lambda: nn.FreeLift(1, 2, size=5, space=Plane()), r"to M2 .*got Plane\(\) and 9"),
        (
            lambda: free_lift_kernel(
                torch.ones(1, 1, 2), torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3), size=5
            ),
            r"must agree, got \[1, 1, 2\], \[1, 1, 2, 2\] and \[1, 1, 3\]",
        ),
    ],
)
def test_bad_lifts_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()
