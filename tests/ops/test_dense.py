"""Lift, linear group convolution, pointwise map, projection: loops, padding, equivariance, main axis."""

import itertools

import pytest
import torch

from pdegcnn_lib import ops
from pdegcnn_lib.geometry import SE2
from pdegcnn_lib.kernels import group_kernel, lift_kernel
from pdegcnn_lib.spaces import Sampled
from pdegcnn_lib.testing import assert_equivariant, equivariance_error

PADDINGS = ("valid", "zeros", "reflect")


def read(f, y, x, padding):
    """The pixel at (y, x), which may lie outside."""
    height, width = f.shape[-2:]
    if padding == "zeros" and not (0 <= y < height and 0 <= x < width):
        return torch.zeros(f.shape[:-2], dtype=f.dtype)
    mirror = [-i if i < 0 else (2 * n - 2 - i if i >= n else i) for i, n in ((y, height), (x, width))]
    return f[..., mirror[0], mirror[1]]


@pytest.mark.parametrize("padding", PADDINGS)
def test_lift_by_loops(padding):
    f, k = torch.randn(2, 2, 5, 6, dtype=torch.float64), torch.randn(3, 2, 4, 3, 5, dtype=torch.float64)
    found = ops.lift(f, k, padding=padding)
    crop_y, crop_x = (1, 2) if padding == "valid" else (0, 0)
    assert found.shape == (2, 3, 4, 5 - 2 * crop_y, 6 - 2 * crop_x)
    for y, x in itertools.product(range(found.shape[-2]), range(found.shape[-1])):
        expected = torch.zeros(2, 3, 4, dtype=torch.float64)
        for j, m in itertools.product(range(3), range(5)):
            seen = read(f, y + crop_y + j - 1, x + crop_x + m - 2, padding)
            expected += torch.einsum("bc,aco->bao", seen, k[..., j, m])
        torch.testing.assert_close(found[..., y, x], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padding", PADDINGS)
def test_group_convolution_by_loops(padding):
    f, k = torch.randn(2, 2, 4, 4, 5, dtype=torch.float64), torch.randn(3, 2, 4, 3, 3, 3, dtype=torch.float64)
    found = ops.group_convolution(f, k, padding=padding)
    crop = 1 if padding == "valid" else 0
    assert found.shape == (2, 3, 4, 4 - 2 * crop, 5 - 2 * crop)
    for o, y, x in itertools.product(range(4), range(found.shape[-2]), range(found.shape[-1])):
        expected = torch.zeros(2, 3, dtype=torch.float64)
        for i, j, m in itertools.product(range(3), repeat=3):
            seen = read(f[:, :, (o + i - 1) % 4], y + crop + j - 1, x + crop + m - 1, padding)
            expected += seen @ k[:, :, o, i, j, m].T
        torch.testing.assert_close(found[:, :, o, y, x], expected, rtol=1e-12, atol=1e-12)


def test_group_convolution_generalises_the_channelwise_one():
    """A kernel that keeps channels apart is `linear_convolution`."""
    f, k = torch.randn(2, 3, 8, 6, 7), torch.randn(3, 8, 5, 3, 3)
    apart = torch.zeros(3, 3, 8, 5, 3, 3)
    apart[range(3), range(3)] = k
    found = ops.group_convolution(f, apart, padding="zeros")
    torch.testing.assert_close(found, ops.linear_convolution(f, k, backend="reference"), rtol=1e-4, atol=1e-5)


def test_group_convolution_on_slices_that_end_leaves_out_what_is_beyond():
    """There a tap has no slice to read, and the last one is not the neighbour of the first."""
    space = Sampled(SE2, [0.0, 0.3, 0.6, 0.9])
    f, k = torch.randn(2, 3, 4, 6, 7, dtype=torch.float64), torch.randn(3, 4, 3, 3, 3, dtype=torch.float64)
    apart = torch.zeros(3, 3, 4, 3, 3, 3, dtype=torch.float64)
    apart[range(3), range(3)] = k
    found = ops.group_convolution(f, apart, padding="zeros", space=space)
    torch.testing.assert_close(found, ops.linear_convolution(f, k, space=space, backend="reference"))


def test_group_convolution_compiles_for_free_sizes_with_a_kernel_that_is_given():
    f, k = torch.randn(2, 3, 8, 6, 7), torch.randn(3, 3, 8, 5, 3, 3)
    torch._dynamo.reset()
    run = torch.compile(ops.group_convolution, fullgraph=True, dynamic=True, backend="eager")
    torch.testing.assert_close(run(f, k), ops.group_convolution(f, k))
    wider = torch.cat([f, f], dim=-1)
    with torch.compiler.set_stance("fail_on_recompile"):
        torch.testing.assert_close(run(wider, k), ops.group_convolution(wider, k))


@pytest.mark.parametrize(("index", "dx", "dy"), [(0, 1, 0), (1, 1, 1), (2, 0, 1), (3, -1, 1)])
def test_main_axis_of_the_lift(index, dx, dy):
    """A psi elongated along x answers most to a line along theta at orientation theta: at 45 degrees to y = x."""
    image = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    for n in range(-10, 11):
        image[0, 0, 10 + n * dy, 10 + n * dx] = 1.0
    psi = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    psi[..., 4, :] = 1.0
    response = ops.lift(image, lift_kernel(psi, 8))[0, 0, :, 10, 10]
    assert response.argmax() % 4 == index
    others = [o for o in range(8) if o % 4 != index]
    assert response[index] > 1.2 * response[others].max()


@pytest.mark.parametrize(("index", "dx", "dy"), [(1, 1, 1), (3, -1, 1), (5, -1, -1), (7, 1, -1)])
def test_the_lift_tells_opposite_directions_apart(index, dx, dy):
    """The half line that leaves the centre toward (dx, dy), seen by a psi that looks toward +x only."""
    image = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    for n in range(1, 11):
        image[0, 0, 10 + n * dy, 10 + n * dx] = 1.0
    psi = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    psi[..., 4, 5:] = 1.0
    response = ops.lift(image, lift_kernel(psi, 8))[0, 0, :, 10, 10]
    assert response.argmax() == index


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("orientations", [4, 8])
def test_lift_is_equivariant_under_quarter_turns(padding, orientations, dtype):
    k = lift_kernel(torch.randn(3, 2, 5, 5, dtype=dtype), orientations)
    f = torch.randn(2, 2, 9, 12, dtype=dtype)
    assert_equivariant(lambda f: ops.lift(f, k, padding=padding), f)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("orientations", [4, 8])
def test_group_convolution_is_equivariant_under_quarter_turns(padding, orientations, dtype):
    k = group_kernel(torch.randn(2, 3, 3, 5, 5, dtype=dtype), orientations)
    f = torch.randn(2, 3, orientations, 9, 12, dtype=dtype)
    assert_equivariant(lambda f: ops.group_convolution(f, k, padding=padding), f)


def test_pointwise_operators_are_equivariant(dtype):
    f, w = torch.randn(2, 3, 8, 5, 6, dtype=dtype), torch.randn(4, 3, dtype=dtype)
    assert_equivariant(lambda f: ops.linear(f, w), f)
    assert_equivariant(ops.projection, f)


def test_an_ordinary_convolution_is_not_equivariant():
    """The control."""
    k = torch.randn(4, 2, 5, 5)
    errors = equivariance_error(
        lambda f: torch.nn.functional.conv2d(f, k, padding=2), torch.randn(1, 2, 12, 12)
    )
    assert min(errors.values()) > 0.5


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5), (2, 3, 4, 5, 6)])
def test_linear_mixes_channels_at_every_point(shape):
    f, w = torch.randn(shape, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    out = ops.linear(f, w)
    assert out.shape == (2, 4, *shape[2:])
    torch.testing.assert_close(
        out, sum(w[:, c].reshape(4, *[1] * (f.ndim - 2)) * f[:, c, None] for c in range(3))
    )


def test_projection_is_the_maximum_over_orientations():
    f = torch.randn(2, 3, 8, 5, 6)
    out = ops.projection(f)
    assert out.shape == (2, 3, 5, 6)
    for o in range(8):
        assert (out >= f[:, :, o]).all()
    assert (out[:, :, None] == f).any(2).all()


def test_equal_maxima_share_the_gradient():
    f = torch.zeros(1, 1, 4, 1, 1, requires_grad=True)
    ops.projection(f).sum().backward()
    assert (f.grad == 0.25).all()


def test_gradcheck():
    f = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    k = torch.randn(2, 2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ops.lift, (f, k))
    f = torch.randn(1, 2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    k = torch.randn(1, 2, 4, 3, 1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ops.group_convolution, (f, k))
    assert torch.autograd.gradcheck(ops.projection, (f,))
    assert torch.autograd.gradcheck(
        ops.linear, (f, torch.randn(3, 2, dtype=torch.float64, requires_grad=True))
    )


IMAGE, M, L, G = (
    torch.zeros(2, 3, 6, 7),
    torch.zeros(2, 3, 8, 6, 7),
    torch.zeros(4, 3, 8, 5, 5),
    torch.zeros(4, 3, 8, 3, 5, 5),
)


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: ops.lift(M, L), ValueError, r"f must have shape \[B, Cin, H, W\], got \[2, 3, 8, 6, 7\]"),
        (
            lambda: ops.lift(IMAGE.long(), L),
            TypeError,
            "f must be a floating point tensor, got dtype torch.int64",
        ),
        (
            lambda: ops.lift(IMAGE, L[0]),
            ValueError,
            r"k must have shape \[Cout, Cin, Or, KH, KW\], got \[3, 8, 5, 5\]",
        ),
        (
            lambda: ops.lift(IMAGE, L[:, :2]),
            ValueError,
            r"k must have Cin = 3 in its second axis, got \[4, 2, 8, 5, 5\]",
        ),
        (lambda: ops.lift(IMAGE, L[..., :4]), ValueError, r"odd in every axis, got \[5, 4\]"),
        (
            lambda: ops.lift(IMAGE, L.double()),
            TypeError,
            "k must have the dtype of f, torch.float32, got torch.float64",
        ),
        (
            lambda: ops.lift(IMAGE, L, padding="same"),
            ValueError,
            "padding must be one of valid, zeros, reflect, got 'same'",
        ),
        (lambda: ops.lift(IMAGE[..., :4], L, padding="valid"), ValueError, "at least 5 x 5, got 6 x 4"),
        (lambda: ops.lift(IMAGE[..., :2], L), ValueError, "larger than 2 x 2, got 6 x 2"),
        (lambda: ops.group_convolution(IMAGE, G), ValueError, r"f must have shape \[B, Cin, Or, H, W\], got"),
        (
            lambda: ops.group_convolution(M, L),
            ValueError,
            r"k must have shape \[Cout, Cin, Or, KOr, KH, KW\], got",
        ),
        (
            lambda: ops.group_convolution(M, G[:, :, :4]),
            ValueError,
            r"\[Cin, Or\] = \[3, 8\] in axes 1 and 2, got",
        ),
        (lambda: ops.group_convolution(M, G[:, :, :, :2]), ValueError, r"odd in every axis, got \[2, 5, 5\]"),
        (
            lambda: ops.group_convolution(M[:, :, :1], G[:, :, :1]),
            ValueError,
            "at most Or = 1 orientations, got KOr = 3",
        ),
        (lambda: ops.linear(M, torch.zeros(4)), ValueError, r"w must have shape \[Cout, Cin\], got \[4\]"),
        (lambda: ops.linear(M, torch.zeros(4, 2)), ValueError, r"w must have Cin = 3 .* got \[4, 2\]"),
        (lambda: ops.linear(M.long(), torch.zeros(4, 3)), TypeError, "f must be a floating point tensor"),
        (
            lambda: ops.linear(M[0, 0, 0, 0], torch.zeros(4, 3)),
            ValueError,
            r"f must have shape \[B, Cin, \.\.\.\]",
        ),
        (lambda: ops.linear([1.0], torch.zeros(4, 3)), TypeError, "f must be a torch.Tensor, got list"),
        (
            lambda: ops.projection(IMAGE),
            ValueError,
            r"f must have shape \[B, C, Or, H, W\], got \[2, 3, 6, 7\]",
        ),
    ],
)
def test_bad_arguments_are_named(call, kind, says):
    with pytest.raises(kind, match=says):
        call()


def test_the_gradient_of_a_projection_that_is_not_a_number_is_none_either(backend, dtype):
    """Zero would hide it from who looks at gradients for infinities, as the scaling of a loss does."""
    f = torch.randn(2, 3, 4, 3, 7, dtype=dtype)
    f[0, 1, 2, 0, 5], f[1, 0, :, 2, 6], f[1, 2, 3, 1, 0] = torch.nan, -torch.inf, torch.inf
    (found,) = torch.autograd.grad(ops.projection(f.requires_grad_(), backend=backend).sum(), f)
    (known,) = torch.autograd.grad(f.amax(2).sum(), f)
    torch.testing.assert_close(found, known, equal_nan=True)


def test_equal_maxima_share_the_gradient_of_the_projection(backend, dtype):
    """Of every width: a vector and more, a row that none divides; as many equal maxima as there are orientations."""
    f = torch.randint(0, 3, (2, 3, 5, 7, 11), dtype=dtype).requires_grad_()
    out = ops.projection(f, backend=backend)
    law = f.amax(dim=2)
    assert torch.equal(out, law)
    g = torch.randn_like(out)
    # A share is a quotient, which torch rounds after its own mask.
    found, expected = (torch.autograd.grad(x, f, g)[0] for x in (out, law))
    torch.testing.assert_close(found, expected, rtol=4 * torch.finfo(dtype).eps, atol=0)
    smooth = torch.randn(1, 2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f: ops.projection(f, backend=backend), smooth, check_batched_grad=True
    )
    assert torch.autograd.gradgradcheck(lambda f: ops.projection(f, backend=backend), smooth)
