"""The laws of the groups, in both precisions.

Tolerances: a product of a few numbers of size <= 10 loses some tens of units in the last place, so 1e-5 in float32 and
1e-13 in float64, both relative to the size of the entries.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pdegcnn_lib.geometry import R2, SE2, LieGroup, wrap_angle
from pdegcnn_lib.geometry.groups import half_angle_ratio, half_angle_sinc

GROUPS = [pytest.param(R2, id="R2"), pytest.param(SE2, id="SE2")]
DTYPES = {torch.float32: 2e-5, torch.float64: 2e-13}
TINY = [0.0, 1e-8, 1e-6, 1e-4, 1e-2, 0.0999, 0.1001, 0.4999, 0.5001]

length = st.floats(-8, 8)
angle = st.floats(-math.pi, math.pi)
precision = st.sampled_from(list(DTYPES))


def element(group: LieGroup, numbers: tuple[float, float, float], dtype: torch.dtype) -> Tensor:
    return torch.tensor(numbers[: group.dim], dtype=dtype)


def assert_same(group: LieGroup, g: Tensor, h: Tensor, tolerance: float) -> None:
    """g = h as group elements: angles are compared on the circle."""
    difference = g - h
    if group.dim == 3:
        difference = torch.cat([difference[..., :2], wrap_angle(difference[..., 2:])], dim=-1)
    assert difference.abs().max() <= tolerance * 10, (g, h)


triple = st.tuples(length, length, angle)


@pytest.mark.parametrize("group", GROUPS)
@given(g=triple, h=triple, k=triple, dtype=precision)
def test_group_axioms(group, g, h, k, dtype):
    g, h, k = (element(group, v, dtype) for v in (g, h, k))
    tolerance, e = DTYPES[dtype], group.identity(g)
    assert e.dtype == dtype
    assert_same(
        group, group.product(group.product(g, h), k), group.product(g, group.product(h, k)), tolerance
    )
    assert_same(group, group.product(g, e), g, tolerance)
    assert_same(group, group.product(e, g), g, tolerance)
    assert_same(group, group.product(g, group.inverse(g)), e, tolerance)
    assert_same(group, group.product(group.inverse(g), g), e, tolerance)


@pytest.mark.parametrize("group", GROUPS)
@given(g=triple, h=triple, x=st.tuples(length, length), dtype=precision)
def test_action_is_a_homomorphism(group, g, h, x, dtype):
    g, h, x = element(group, g, dtype), element(group, h, dtype), torch.tensor(x, dtype=dtype)
    together = group.act(group.product(g, h), x)
    one_by_one = group.act(g, group.act(h, x))
    assert (together - one_by_one).abs().max() <= 10 * DTYPES[dtype]
    assert torch.equal(group.act(group.identity(x), x), x)


@pytest.mark.parametrize("group", GROUPS)
@given(xi=st.tuples(length, length, st.floats(-3.1, 3.1)), dtype=precision)
def test_log_inverts_exp(group, xi, dtype):
    xi = element(group, xi, dtype)
    # At |angle| = 3.1 the coordinates are at most 25, by the factor 1/sinc(1.55) = 1.55.
    assert (group.log(group.exp(xi)) - xi).abs().max() <= 20 * DTYPES[dtype]


@pytest.mark.parametrize("group", GROUPS)
@given(g=triple, dtype=precision)
def test_exp_inverts_log(group, g, dtype):
    g = element(group, g, dtype)
    assert_same(group, group.exp(group.log(g)), g, 2 * DTYPES[dtype])


@pytest.mark.parametrize("group", GROUPS)
@given(
    xi=st.tuples(length, length, st.floats(-6, 6)), s=st.floats(-2, 2), t=st.floats(-2, 2), dtype=precision
)
def test_exp_of_a_line_is_a_one_parameter_subgroup(group, xi, s, t, dtype):
    xi = element(group, xi, dtype)
    product = group.product(group.exp(s * xi), group.exp(t * xi))
    assert_same(group, product, group.exp((s + t) * xi), 10 * DTYPES[dtype])


@pytest.mark.parametrize("group", GROUPS)
def test_frame_is_the_derivative_of_right_multiplication(group):
    for numbers in ([0.0, 0.0, 0.0], [1.5, -2.0, 0.8], [-3.0, 0.5, -2.9]):
        g = torch.tensor(numbers[: group.dim], dtype=torch.float64)
        zero = torch.zeros(group.dim, dtype=torch.float64)
        derivative = torch.autograd.functional.jacobian(lambda xi, g=g: group.product(g, group.exp(xi)), zero)
        torch.testing.assert_close(derivative, group.frame(g), rtol=0, atol=1e-14)


def test_frame_is_left_invariant():
    g, h = torch.tensor([[1.0, -2.0, 0.7], [0.4, 3.0, -1.9]], dtype=torch.float64)
    push_forward = torch.autograd.functional.jacobian(lambda p: SE2.product(g, p), h)
    torch.testing.assert_close(push_forward @ SE2.frame(h), SE2.frame(SE2.product(g, h)), rtol=0, atol=1e-14)


def test_brackets_of_the_frame():
    """[A1, A2] = 0, [A3, A1] = A2, [A3, A2] = -A1, with [X, Y] = DY X - DX Y."""
    p = torch.tensor([0.3, -1.2, 0.9], dtype=torch.float64)
    fields = [lambda q, i=i: SE2.frame(q)[:, i] for i in range(3)]

    def bracket(i: int, j: int) -> Tensor:
        d_i, d_j = (torch.autograd.functional.jacobian(fields[n], p) for n in (i, j))
        return d_j @ fields[i](p) - d_i @ fields[j](p)

    a1, a2 = fields[0](p), fields[1](p)
    for found, expected in ((bracket(0, 1), 0 * a1), (bracket(2, 0), a2), (bracket(2, 1), -a1)):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_known_values():
    """Positive theta turns +x toward +y; exp of (pi/2, 0, pi/2) is a quarter of a circle of radius 1."""
    quarter = torch.tensor([0.0, 0.0, math.pi / 2], dtype=torch.float64)
    x = torch.tensor([1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(SE2.act(quarter, x), x.new_tensor([0.0, 1.0]))
    arc = SE2.exp(x.new_tensor([math.pi / 2, 0.0, math.pi / 2]))
    torch.testing.assert_close(arc, x.new_tensor([1.0, 1.0, math.pi / 2]))


def test_log_is_that_of_the_matrix_group(dtype):
    """Against the cotangent formula, written out."""
    g = torch.tensor([[1.3, -0.7, 2.2], [-2.0, 0.4, -0.6], [0.5, 0.6, 3.0]], dtype=dtype)
    x, y, t = g.unbind(-1)
    cot = 1 / torch.tan(t / 2)
    expected = torch.stack([t / 2 * (y + x * cot), t / 2 * (-x + y * cot), t], -1)
    torch.testing.assert_close(SE2.log(g), expected)


@given(b=st.tuples(length, length, st.floats(-3.14, 3.14)))
def test_half_angle_coordinates_are_sinc_times_logarithmic(b):
    """b = c sinc(theta/2) to 1e-12, with sinc from the standard library."""
    g = torch.tensor(b, dtype=torch.float64)
    half = b[2] / 2
    sinc = math.sin(half) / half if half else 1.0
    expected = SE2.log(g)[:2] * sinc
    assert (SE2.half_angle(g)[:2] - expected).abs().max() <= 1e-12


@pytest.mark.parametrize("theta", [*TINY, 1.0, 3.0, math.pi])
def test_sinc_factors_and_their_derivatives(theta, dtype):
    """Against float64 closed forms, or the first terms of the series where those cancel.

    The derivative of the quotient loses digits like eps/theta, hence the factor 10 at the smallest angle it serves.
    """
    eps = torch.finfo(dtype).eps
    x = torch.tensor(theta, dtype=dtype, requires_grad=True)
    h = x.item() / 2
    if h < 0.02:
        sinc, slope = 1 - h**2 / 6 + h**4 / 120, (-h / 3 + h**3 / 30) / 2
    else:
        sinc, slope = math.sin(h) / h, (math.cos(h) - math.sin(h) / h) / h / 2
    for value, expected, derivative in (
        (half_angle_sinc(x), sinc, slope),
        (half_angle_ratio(x), 1 / sinc, -slope / sinc**2),
    ):
        (gradient,) = torch.autograd.grad(value, x)
        assert value.item() == pytest.approx(expected, rel=4 * eps)
        assert gradient.item() == pytest.approx(derivative, rel=200 * eps, abs=50 * eps)


@pytest.mark.parametrize("function", [SE2.log, SE2.exp, SE2.half_angle, SE2.inverse])
@pytest.mark.parametrize("position", [(0.0, 0.0), (1.0, -2.0)])
def test_derivatives_are_finite_everywhere(function, position, dtype):
    for theta in (*TINY, math.pi, -math.pi):
        for sign in (1, -1):
            g = torch.tensor([*position, sign * theta], dtype=dtype)
            assert torch.isfinite(torch.autograd.functional.jacobian(function, g)).all(), (theta, sign)


def test_derivative_of_log_is_inverse_to_that_of_exp():
    for theta in (*TINY, 2.0, -3.0):
        xi = torch.tensor([1.0, -2.0, theta], dtype=torch.float64)
        forward = torch.autograd.functional.jacobian(SE2.exp, xi)
        backward = torch.autograd.functional.jacobian(SE2.log, SE2.exp(xi))
        torch.testing.assert_close(backward @ forward, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-12)


@given(theta=st.floats(-100, 100), dtype=precision)
def test_wrap_angle(theta, dtype):
    theta = torch.tensor(theta, dtype=dtype)
    wrapped = wrap_angle(theta)
    # The cut at pi is only as sharp as the rounding of theta itself.
    slack = 40 * torch.finfo(dtype).eps * max(1.0, abs(theta.item()))
    assert -math.pi - slack <= wrapped.item() < math.pi + slack
    turns = (theta - wrapped).item() / (2 * math.pi)
    assert abs(turns - round(turns)) <= slack


@pytest.mark.parametrize("theta", [0.0, 1e-30, -1e-8, 1e-3, 3.0, -3.14])
def test_wrap_angle_leaves_angles_in_range_alone(theta, dtype):
    """To the last bit: adding and subtracting pi would lose small angles."""
    theta = torch.tensor(theta, dtype=dtype, requires_grad=True)
    wrapped = wrap_angle(theta)
    assert wrapped.item() == theta.item()
    assert torch.autograd.grad(wrapped, theta)[0] == 1


def test_elements_broadcast_over_batches():
    g, h = torch.randn(4, 1, 3), torch.randn(5, 3)
    table = SE2.product(g, h)
    assert table.shape == (4, 5, 3)
    torch.testing.assert_close(table[2, 3], SE2.product(g[2, 0], h[3]))
    assert SE2.act(g, torch.randn(5, 2)).shape == (4, 5, 2)
    assert SE2.frame(g).shape == (4, 1, 3, 3)
    assert R2.frame(torch.randn(6, 2)).shape == (6, 2, 2)


def test_both_groups_keep_the_protocol():
    assert isinstance(R2, LieGroup) and isinstance(SE2, LieGroup)
    assert not isinstance(object(), LieGroup)
    assert (R2.identity() == 0).all() and R2.identity().shape == (2,)
    assert (SE2.identity() == 0).all() and SE2.identity().shape == (3,)


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda: SE2.log([0.0, 0.0, 0.0]), TypeError, "g must be a torch.Tensor, got list"),
        (lambda: SE2.log(torch.zeros(3, dtype=torch.int64)), TypeError, "floating point.*int64"),
        (lambda: SE2.exp(torch.zeros(4, 2)), ValueError, r"xi must have shape \[\.\.\., 3\], got \[4, 2\]"),
        (
            lambda: SE2.product(torch.zeros(3), torch.zeros(2)),
            ValueError,
            r"h must have shape \[\.\.\., 3\], got",
        ),
        (
            lambda: SE2.act(torch.zeros(3), torch.zeros(3)),
            ValueError,
            r"x must have shape \[\.\.\., 2\], got",
        ),
        (lambda: R2.exp(torch.tensor(1.0)), ValueError, r"xi must have shape \[\.\.\., 2\], got \[\]"),
    ],
)
def test_bad_elements_are_named(call, kind, says):
    with pytest.raises(kind, match=says):
        call()
