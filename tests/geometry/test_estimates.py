"""The distance estimates against their formulas, recomputed in plain Python, and their symmetries."""

import itertools
import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdegcnn_lib.geometry import (
    SE2,
    SQUARED_ESTIMATES,
    DiagonalMetric,
    FullMetric,
    rho_b,
    rho_b_com,
    rho_b_sr,
    rho_c,
    squared_estimate,
)

COVARIANT = {
    "rho_b_sr_covariant": partial(rho_b_sr, covariant=True),
    "rho_b_com_covariant": partial(rho_b_com, covariant=True),
}
ESTIMATES = {"rho_c": rho_c, "rho_b": rho_b, "rho_b_sr": rho_b_sr, "rho_b_com": rho_b_com, **COVARIANT}
EVERY = pytest.mark.parametrize("rho", ESTIMATES.values(), ids=ESTIMATES)

position = st.floats(-6, 6)
angle = st.floats(-3.14, 3.14)
point = st.tuples(position, position, angle)
scale = st.floats(0.1, 8)
scales = st.tuples(scale, scale, scale)


def tensor(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def by_hand(name: str, p, w, nu: float = 1.6) -> float:
    """The definitions of the papers, one number at a time."""
    (x, y, t), (w_m, w_l, w_a) = p, w
    b1 = x * math.cos(t / 2) + y * math.sin(t / 2)
    b2 = -x * math.sin(t / 2) + y * math.cos(t / 2)
    if name == "rho_b":
        return math.sqrt((w_m * b1) ** 2 + (w_l * b2) ** 2 + (w_a * t) ** 2)
    if name == "rho_c":
        sinc = math.sin(t / 2) / (t / 2) if t else 1.0
        return math.sqrt((w_m * b1 / sinc) ** 2 + (w_l * b2 / sinc) ** 2 + (w_a * t) ** 2)
    mean = (lambda a, b: 2 * math.sqrt(a * b)) if name.endswith("covariant") else (lambda a, b: a + b)
    if name.startswith("rho_b_sr"):
        return ((nu * mean(w_m, w_a)) ** 4 * b2**2 + ((w_m * b1) ** 2 + (w_a * t) ** 2) ** 2) ** 0.25
    if w_l < w_m:  # the same metric in the frame turned by a quarter
        b1, b2, w_m, w_l = b2, b1, w_l, w_m
    lower = math.sqrt(w_m**2 * (b1**2 + b2**2) + (w_a * t) ** 2)
    sr = ((nu * mean(w_m, w_a)) ** 4 * b2**2 + ((w_m * b1) ** 2 + (w_a * t) ** 2) ** 2) ** 0.25
    upper = math.sqrt((w_m * b1) ** 2 + (w_l * b2) ** 2 + (w_a * t) ** 2)
    return max(lower, min(sr, upper))


@pytest.mark.parametrize("name", ESTIMATES)
@given(p=point, w=scales)
def test_closed_formulas(name, p, w):
    expected = by_hand(name, p, w)
    # Near p0 the angle cancels in no formula, so the relative error stays at rounding.
    assert ESTIMATES[name](tensor(p), tensor(w)).item() == pytest.approx(expected, rel=1e-12, abs=1e-150)
    squared = squared_estimate(name)(tensor(p), DiagonalMetric(tensor(w)))
    assert squared.item() == pytest.approx(expected**2, rel=1e-12, abs=1e-300)


@given(p=point, nu=st.floats(0.5, 3))
def test_nu_enters_as_stated(p, nu):
    w = (1.0, 3.0, 0.7)
    for name in ("rho_b_sr", "rho_b_com", *COVARIANT):
        found = ESTIMATES[name](tensor(p), tensor(w), nu=nu).item()
        assert found == pytest.approx(by_hand(name, p, w, nu), rel=1e-12, abs=1e-150)


@given(p=point, w=scale, w_angular=scale)
def test_exact_when_isotropic(p, w, w_angular):
    """w_lateral = w_main: the distance is that of the product of plane and circle; rho_b and rho_b_com have it."""
    x, y, t = p
    exact = math.sqrt(w**2 * (x**2 + y**2) + (w_angular * t) ** 2)
    for rho in (rho_b, rho_b_com):
        assert rho(tensor(p), tensor((w, w, w_angular))).item() == pytest.approx(exact, rel=1e-12, abs=1e-150)


@given(p=point, w=scales)
def test_order_of_the_estimates(p, w):
    """l <= rho_b <= rho_c, l <= rho_b_com <= rho_b, and rho_b <= zeta l."""
    x, y, t = p
    low, high, slack = min(w[:2]), max(w[:2]), 1 + 1e-12
    lower = math.sqrt(low**2 * (x**2 + y**2) + (w[2] * t) ** 2)
    p, w = tensor(p), tensor(w)
    assert lower <= rho_b(p, w) * slack
    assert rho_b(p, w) <= rho_c(p, w) * slack
    assert lower <= rho_b_com(p, w) * slack
    assert rho_b_com(p, w) <= rho_b(p, w) * slack
    assert lower <= rho_b_com(p, w, covariant=True) * slack
    assert rho_b_com(p, w, covariant=True) <= rho_b(p, w) * slack
    assert rho_b(p, w) <= high / low * lower * slack


@pytest.mark.parametrize("name", ["rho_c", "rho_b", *COVARIANT])
@given(p=point, w=scales, unit=st.floats(0.05, 20))
def test_another_unit_of_length_changes_nothing(name, p, w, unit):
    """(x, y) -> (l x, l y) with w_main, w_lateral -> 1/l of them, an isometry: true of d, so wanted of an estimate."""
    (x, y, t), (w_m, w_l, w_a) = p, w
    scaled = ESTIMATES[name](tensor((unit * x, unit * y, t)), tensor((w_m / unit, w_l / unit, w_a)))
    assert scaled.item() == pytest.approx(ESTIMATES[name](tensor(p), tensor(w)).item(), rel=1e-12, abs=1e-12)


def test_the_sum_of_the_papers_depends_on_the_unit_of_length():
    """w_A/w_M = 25: the sum is 26, the product 10, and a sideways move is read 2.6 times too long, or more."""
    p, w = tensor((0.0, 0.5, 0.0)), tensor((1.0, 1e3, 25.0))
    for rho in (rho_b_sr, rho_b_com):
        assert (rho(p, w) / rho(p, w, covariant=True)).item() == pytest.approx(2.6, rel=1e-12)
        scaled = rho(tensor((0.0, 12.5, 0.0)), tensor((1 / 25, 40.0, 25.0)))
        assert scaled.item() > 1.5 * rho(p, w).item()


@given(p=point, w=scale, w_lateral=scale)
def test_the_covariant_estimates_are_the_papers_at_equal_weights(p, w, w_lateral):
    scales = tensor(
        (w, max(w, w_lateral), w)
    )  # the smaller spatial weight enters, so it has to be the equal one
    for rho in (rho_b_sr, rho_b_com):
        assert rho(tensor(p), scales, covariant=True).item() == pytest.approx(
            rho(tensor(p), scales).item(), rel=1e-12, abs=1e-150
        )


@EVERY
@given(p=point, w=scales)
def test_eight_reflections(rho, p, w):
    """Every estimate is even in each half-angle coordinate, as the distance is."""
    b, w = SE2.half_angle(tensor(p)), tensor(w)
    expected = rho(tensor(p), w).item()
    for signs in itertools.product((1.0, -1.0), repeat=3):
        b1, b2, t = (b * tensor(signs)).tolist()
        c, s = math.cos(t / 2), math.sin(t / 2)
        image = tensor((c * b1 - s * b2, s * b1 + c * b2, t))
        assert rho(image, w).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    inverse = rho(SE2.inverse(tensor(p)), w)
    assert inverse.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("rho", [rho_c, rho_b, rho_b_com, COVARIANT["rho_b_com_covariant"]])
@given(p=point, w=scales)
def test_quarter_turn_of_the_frame_exchanges_the_axes(rho, p, w):
    """(b1, b2) -> (-b2, b1) and w_main <-> w_lateral is the same metric seen after a quarter turn."""
    x, y, t = p
    turned = rho(tensor((-y, x, t)), tensor((w[1], w[0], w[2])))
    assert turned.item() == pytest.approx(rho(tensor(p), tensor(w)).item(), rel=1e-12, abs=1e-12)


@given(p=point, w=scales, wide=scale)
def test_sub_riemannian_estimate_ignores_the_lateral_scale(p, w, wide):
    for rho in (rho_b_sr, COVARIANT["rho_b_sr_covariant"]):
        assert rho(tensor(p), tensor(w)) == rho(tensor(p), tensor((w[0], wide, w[2])))


@pytest.mark.parametrize("rho", [rho_c, rho_b])
def test_full_metric_generalises_the_diagonal_one(rho, dtype):
    p, w = torch.randn(50, 3, dtype=dtype), torch.rand(3, dtype=dtype) + 0.2
    torch.testing.assert_close(rho(p, FullMetric(torch.diag(w))), rho(p, w))
    orthogonal = torch.linalg.qr(torch.randn(3, 3, dtype=dtype)).Q
    torch.testing.assert_close(
        rho(p, FullMetric(orthogonal @ torch.diag(w))), rho(p, w), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("rho", [rho_c, rho_b])
@given(p=point, phi=st.floats(-3.0, 3.0))
def test_rotation_of_a_full_metric(rho, p, phi):
    """Turning the position by phi and the spatial frame of the metric with it changes nothing."""
    c, s = math.cos(phi), math.sin(phi)
    turn = tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    factor = tensor([[1.0, 0.3, -0.2], [0.1, 2.0, 0.4], [-0.5, 0.2, 1.5]])
    p = tensor(p)
    turned = rho(turn @ p, FullMetric(factor @ turn.T))
    assert turned.item() == pytest.approx(rho(p, FullMetric(factor)).item(), rel=1e-11, abs=1e-11)


@EVERY
def test_gradients_are_finite_everywhere(rho, dtype):
    """At p0, at tiny elements, at theta = pi and where the branches of rho_b_com meet; in p and in w."""
    points = [(0.0, 0.0, 0.0), (0.0, 0.0, math.pi), (1.0, -2.0, -math.pi), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
    points += [(a, a, a) for a in (1e-30, 1e-12, 1e-8, 1e-4, 0.1)] + [
        (0.0, 0.0, a) for a in (1e-8, 1e-3, 0.1)
    ]
    for w in ((1.0, 1.0, 1.0), (1.0, 4.0, 0.5), (4.0, 1.0, 2.0)):
        p = torch.tensor(points, dtype=dtype, requires_grad=True)
        scales = torch.tensor(w, dtype=dtype, requires_grad=True)
        value = rho(p, scales)
        assert torch.isfinite(value).all() and (value >= 0).all()
        for gradient in torch.autograd.grad(value.sum(), (p, scales)):
            assert torch.isfinite(gradient).all()


@EVERY
def test_zero_at_the_origin_with_zero_gradient(rho, dtype):
    p = torch.zeros(3, dtype=dtype, requires_grad=True)
    value = rho(p, torch.tensor([1.0, 2.0, 3.0], dtype=dtype))
    assert value == 0
    assert (torch.autograd.grad(value, p)[0] == 0).all()


@EVERY
def test_gradcheck(rho):
    p = tensor([[0.8, -1.3, 0.7], [-2.0, 0.4, -2.5], [0.01, 0.02, 0.05]]).requires_grad_()
    w = tensor([1.0, 3.0, 0.6]).requires_grad_()
    assert torch.autograd.gradcheck(rho, (p, w))


def test_shapes_broadcast():
    p, w = torch.randn(6, 1, 3), torch.rand(4, 3) + 0.5
    for rho in ESTIMATES.values():
        assert rho(p, w).shape == (6, 4)
        torch.testing.assert_close(rho(p, w)[2, 3], rho(p[2, 0], w[3]))


P = torch.zeros(3)


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (
            lambda rho: rho(torch.zeros(2), torch.ones(3)),
            ValueError,
            r"g must have shape \[\.\.\., 3\], got \[2\]",
        ),
        (lambda rho: rho(P, torch.ones(2)), ValueError, r"w must have shape \[\.\.\., 3\], got \[2\]"),
        (lambda rho: rho(P, torch.ones(1)), ValueError, r"w must have shape \[\.\.\., 3\], got \[1\]"),
        (lambda rho: rho(P, torch.tensor([1.0, -1, 1])), ValueError, "w must be positive and finite, got -1"),
        (lambda rho: rho(P, [1.0, 1.0, 1.0]), TypeError, "w must be a tensor"),
        (lambda rho: rho(P.long(), torch.ones(3)), TypeError, "floating point tensor, got dtype torch.int64"),
    ],
)
@EVERY
def test_bad_arguments_are_named(rho, call, kind, says):
    with pytest.raises(kind, match=says):
        call(rho)


def test_estimates_of_diagonal_metrics_refuse_full_ones():
    for rho in (rho_b_sr, rho_b_com):
        with pytest.raises(
            ValueError, match=f"{rho.__name__} is defined for diagonal metrics only, got a FullMetric"
        ):
            rho(P, FullMetric(torch.eye(3)))
    with pytest.raises(ValueError, match=r"w must have shape \[\.\.\., 3\]"):
        rho_c(P, FullMetric(torch.eye(2)))


def test_estimates_by_name():
    assert list(SQUARED_ESTIMATES) == list(ESTIMATES)
    with pytest.raises(
        ValueError,
        match="estimate must be one of rho_c, rho_b, rho_b_sr, rho_b_com, rho_b_sr_covariant, .*, got 'rho'",
    ):
        squared_estimate("rho")


def test_a_function_stands_for_itself():
    def squared(p, metric):
        return metric.squared(p)

    assert squared_estimate(squared) is squared
