"""The morphological kernel against its definition, entry by entry, and its laws."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdegcnn_lib.geometry import SQUARED_ESTIMATES, DiagonalMetric, FullMetric
from pdegcnn_lib.kernels import morphological_kernel, morphological_kernel_r2, nu_alpha
from pdegcnn_lib.kernels.morphological import power_law
from pdegcnn_lib.testing import quarter_turn

W = torch.tensor([[1.0, 2.0, 0.7], [0.4, 0.9, 1.3]], dtype=torch.float64)
ESTIMATES = ("rho_c", "rho_b", "rho_b_sr", "rho_b_com", "rho_b_sr_covariant", "rho_b_com_covariant")
ALPHAS = (0.55, 0.65, 0.8, 1.0)


# The values of Theorem 5.21's constant, from (2 alpha - 1)/(2 alpha)^(2 alpha/(2 alpha - 1)) with 40 digits.
@pytest.mark.parametrize(
    ("alpha", "value"),
    [(1.0, 0.25), (0.8, 0.1713291643484101), (0.65, 0.0962424628417260), (0.55, 0.0350493899481392)],
)
def test_nu_alpha(alpha, value):
    assert nu_alpha(alpha) == pytest.approx(value, rel=1e-13)
    assert nu_alpha(torch.tensor(alpha, dtype=torch.float64)).item() == pytest.approx(
        nu_alpha(alpha), rel=1e-14
    )


@pytest.mark.parametrize("alpha", ALPHAS)
def test_nu_alpha_is_the_legendre_transform_of_the_hamiltonian(alpha):
    """sup_p (p q - p^(2 alpha)) = nu_alpha q^(2 alpha/(2 alpha - 1)), on a grid of p with step 1e-5.

    At its maximum the parabola of curvature c is missed by at most c (1e-5)^2 / 8 < 1e-9.
    """
    p = torch.arange(0, 4, 1e-5, dtype=torch.float64)
    for q in (0.8, 1.0, 1.2):
        supremum = (p * q - p ** (2 * alpha)).max().item()
        assert supremum == pytest.approx(nu_alpha(alpha) * q ** (2 * alpha / (2 * alpha - 1)), abs=1e-9)


def rho_by_hand(name, p, w, nu=1.6):
    (x, y, t), (w_m, w_l, w_a) = p, w
    b1, b2 = x * math.cos(t / 2) + y * math.sin(t / 2), y * math.cos(t / 2) - x * math.sin(t / 2)
    if name == "rho_c":
        sinc = math.sin(t / 2) / (t / 2) if t else 1.0
        b1, b2 = b1 / sinc, b2 / sinc
    full = math.sqrt((w_m * b1) ** 2 + (w_l * b2) ** 2 + (w_a * t) ** 2)
    if name in ("rho_c", "rho_b"):
        return full
    sideways = 2 * math.sqrt(w_m * w_a) if name.endswith("covariant") else w_m + w_a
    sr = ((nu * sideways) ** 4 * b2**2 + ((w_m * b1) ** 2 + (w_a * t) ** 2) ** 2) ** 0.25
    if name.startswith("rho_b_sr"):
        return sr
    assert w_l >= w_m
    return max(math.sqrt(w_m**2 * (x**2 + y**2) + (w_a * t) ** 2), min(sr, full))


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize(("alpha", "t"), [(0.65, 1.0), (1.0, 0.7), (0.55, 2.0)])
def test_every_entry_by_hand(estimate, alpha, t):
    """The interface: nu t^(-1/(2a-1)) rho(q^-1 p)^(2a/(2a-1)), q^-1 p from the product of SE(2), in plain floats."""
    window, orientations = (3, 3, 5), 4
    kernel = morphological_kernel(
        W, alpha=alpha, window=window, orientations=orientations, t=t, estimate=estimate
    )
    assert kernel.shape == (2, orientations, *window)
    factor = (2 * alpha - 1) / (2 * alpha) ** (2 * alpha / (2 * alpha - 1)) * t ** (-1 / (2 * alpha - 1))
    for c in range(2):
        for o in range(orientations):
            for i in range(3):
                for j in range(3):
                    for m in range(5):
                        x_q, y_q, turn = m - 2, j - 1, (i - 1) * 2 * math.pi / orientations
                        theta_q = o * 2 * math.pi / orientations + turn
                        cos, sin = math.cos(theta_q), math.sin(theta_q)
                        p = (-cos * x_q - sin * y_q, sin * x_q - cos * y_q, -turn)
                        expected = factor * rho_by_hand(estimate, p, W[c].tolist()) ** (
                            2 * alpha / (2 * alpha - 1)
                        )
                        # The exponent is at most 11; it multiplies the relative error of rho.
                        assert kernel[c, o, i, j, m].item() == pytest.approx(expected, rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_float32_follows_float64(estimate):
    options = {"alpha": 0.65, "window": (5, 5, 5), "orientations": 8, "estimate": estimate}
    exact = morphological_kernel(W, **options)
    single = morphological_kernel(W.float(), **options)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=2e-5, atol=1e-6)


def test_an_estimate_may_be_a_function():
    options = {"alpha": 0.65, "window": (5, 5, 5), "orientations": 8}
    named = morphological_kernel(W, estimate="rho_b", **options)
    assert torch.equal(morphological_kernel(W, estimate=SQUARED_ESTIMATES["rho_b"], **options), named)
    doubled = morphological_kernel(W, estimate=lambda p, m: 4 * SQUARED_ESTIMATES["rho_b"](p, m), **options)
    torch.testing.assert_close(doubled, named * 2 ** (2 * 0.65 / 0.3))


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_symmetric_under_inversion(estimate):
    """rho(g^-1) = rho(g): the neighbour q seen from p costs as much as p seen from q."""
    orientations, (k_or, k_h, k_w) = 8, (5, 3, 5)
    options = {"alpha": 0.65, "orientations": orientations, "estimate": estimate}
    k = morphological_kernel(W, window=(k_or, k_h, k_w), **options)
    for o in range(orientations):
        for i in range(k_or):
            seen_from = (o + i - k_or // 2) % orientations
            back = k[:, seen_from, k_or - 1 - i].flip(-1, -2)
            torch.testing.assert_close(k[:, o, i], back, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize("orientations", [4, 8, 12])
def test_covariant_under_quarter_turns(estimate, orientations):
    """The kernel at orientation o + Or/4 is the kernel at o turned by a quarter."""
    k = morphological_kernel(W, alpha=0.65, window=(3, 5, 5), orientations=orientations, estimate=estimate)
    images = k.flatten(0, 1).flatten(1, 2).reshape(2, orientations, 3, 5, 5)
    turned = quarter_turn(images.flatten(0, 1)).reshape_as(images)
    torch.testing.assert_close(torch.roll(turned, orientations // 4, dims=1), k, rtol=1e-11, atol=1e-12)


def test_orientation_is_the_main_axis():
    """At theta = 90 degrees the cheap direction is +-y, at 45 degrees the diagonal along which x and y grow."""
    w = torch.tensor([[0.5, 3.0, 1.0]])
    k = morphological_kernel(w, alpha=1.0, window=(1, 3, 3), orientations=8)[0, :, 0]
    assert k[0, 1, 2] < k[0, 2, 1]
    assert k[2, 2, 1] < k[2, 1, 2]
    assert k[1, 2, 2] < k[1, 0, 2] and k[1, 0, 0] < k[1, 2, 0]
    assert k[3, 2, 0] < k[3, 2, 2]


def test_flat_at_one_half(dtype):
    """The limit alpha -> 1/2 is the indicator of the ball of radius t, the boundary included."""
    w = torch.tensor([[1.0, 1.0, 1.0]], dtype=dtype)
    k = morphological_kernel(w, alpha=0.5, window=(1, 5, 5), orientations=4, t=2.0)[0, 0, 0]
    x, y = torch.meshgrid(torch.arange(-2, 3), torch.arange(-2, 3), indexing="ij")
    inside = x**2 + y**2 <= 4
    # Only points off the sphere: on it the ball's boundary is at the mercy of rounding.
    off = x**2 + y**2 != 4
    assert torch.equal(k[off], torch.where(inside, 0.0, torch.inf)[off].to(dtype))
    rho = torch.tensor([0.0, 1.9, 2.0, 2.1], dtype=dtype)
    assert power_law(rho**2, 0.5, 2.0).tolist() == [0, 0, 0, math.inf]


def test_the_flat_kernel_is_the_limit():
    """nu_alpha -> 0 inside the ball and the power diverges outside."""
    rho2 = torch.tensor([0.0, 0.5, 0.98, 1.02, 2.0], dtype=torch.float64)
    values = power_law(rho2, 0.5001)
    assert (values[:3] < 1e-3).all() and (values[3:] > 1e3).all()


@given(alpha=st.sampled_from(ALPHAS), t=st.floats(0.05, 20))
def test_time_scales_the_metric(alpha, t):
    """k_t with length scales w is k_1 with w t^(-1/(2 alpha)), since the exponent of rho is 2 alpha/(2 alpha - 1)."""
    options = {"alpha": alpha, "window": (3, 3, 3), "orientations": 8}
    later = morphological_kernel(W, t=t, **options)
    rescaled = morphological_kernel(W * t ** (-1 / (2 * alpha)), **options)
    torch.testing.assert_close(later, rescaled, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("t", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("alpha", [0.5001, 0.501, 0.51])
def test_no_overflow_near_one_half(alpha, t, dtype):
    """Every alpha of the interval works at every time: values in [0, inf], finite gradients."""
    w = (W / 3).to(dtype).requires_grad_()
    k = morphological_kernel(w, alpha=alpha, window=(3, 5, 5), orientations=8, t=t)
    assert not k.isnan().any() and (k >= 0).all()
    assert (k[:, :, 1, 2, 2] == 0).all()
    (gradient,) = torch.autograd.grad(k[torch.isfinite(k)].sum(), w)
    assert not gradient.isnan().any()


def test_saturates_to_infinity_with_zero_gradient():
    w = torch.tensor([[1.0, 1e20, 1.0]], requires_grad=True)
    k = morphological_kernel(w, alpha=0.55, window=(1, 3, 3), orientations=4)
    # Orientation 0 (main axis along x): every tap off the row y = 0 is out of range.
    assert (k[0, 0, 0, 0] == torch.inf).all() and (k[0, 0, 0, 2] == torch.inf).all()
    assert torch.isfinite(k[0, 0, 0, 1]).all()
    weights = torch.arange(1.0, 10).reshape(3, 3)
    (gradient,) = torch.autograd.grad((k[0, 0, 0] * weights).sum(), w)
    assert torch.isfinite(gradient).all() and gradient[0, 1] == 0 and gradient[0, 0] != 0


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize("alpha", [0.65, 1.0])
def test_gradcheck(estimate, alpha):
    w = torch.tensor([[1.0, 2.3, 0.7]], dtype=torch.float64, requires_grad=True)
    options = {"window": (3, 3, 3), "orientations": 4, "estimate": estimate}
    assert torch.autograd.gradcheck(lambda w: morphological_kernel(w, alpha=alpha, **options), w)


def test_gradcheck_in_alpha_and_a_full_factor():
    factor = (
        torch.eye(3, dtype=torch.float64) + 0.2 * torch.randn(2, 3, 3, dtype=torch.float64)
    ).requires_grad_()
    alpha = torch.tensor([0.7, 0.9], dtype=torch.float64, requires_grad=True)

    def kernel(factor, alpha):
        return morphological_kernel(FullMetric(factor), alpha=alpha, window=(3, 3, 3), orientations=4, t=1.3)

    assert torch.autograd.gradcheck(kernel, (factor, alpha))


def test_alpha_per_channel():
    alpha = torch.tensor([0.65, 1.0], dtype=torch.float64)
    options = {"window": (3, 3, 3), "orientations": 8}
    both = morphological_kernel(W, alpha=alpha, **options)
    for c in range(2):
        one = morphological_kernel(W[c : c + 1], alpha=alpha[c].item(), **options)
        torch.testing.assert_close(both[c : c + 1], one, rtol=1e-12, atol=0)


def test_full_metric_with_a_diagonal_factor():
    options = {"alpha": 0.65, "window": (3, 5, 5), "orientations": 8}
    full = morphological_kernel(FullMetric(torch.diag_embed(W)), **options)
    torch.testing.assert_close(full, morphological_kernel(DiagonalMetric(W), **options))


@pytest.mark.parametrize(("alpha", "t"), [(0.65, 1.0), (1.0, 2.0)])
def test_plane_kernel_by_hand(alpha, t):
    factor = torch.tensor([[[1.0, 0.5], [-0.2, 2.0]]], dtype=torch.float64)
    kernel = morphological_kernel_r2(FullMetric(factor), alpha=alpha, window=(3, 5), t=t)
    exponent = 2 * alpha / (2 * alpha - 1)
    for j in range(3):
        for m in range(5):
            x, y = m - 2, j - 1
            rho = math.hypot(x + 0.5 * y, -0.2 * x + 2 * y)
            expected = nu_alpha(alpha) * t ** (1 - exponent) * rho**exponent
            assert kernel[0, j, m].item() == pytest.approx(expected, rel=1e-12)


def test_plane_kernel_of_a_diagonal_metric():
    w = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    kernel = morphological_kernel_r2(w, alpha=1.0, window=(3, 3))
    assert kernel[0].tolist() == [[2.5, 2.25, 2.5], [0.25, 0, 0.25], [2.5, 2.25, 2.5]]
    flat = morphological_kernel_r2(w, alpha=0.5, window=(3, 3), t=1.5)
    assert flat[0, 1].tolist() == [0, 0, 0] and (flat[0, 0] == torch.inf).all()


GOOD = {"alpha": 0.65, "window": (3, 3, 3), "orientations": 8}


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"alpha": 0.49}, ValueError, r"alpha must lie in \[1/2, 1\], got 0\.49"),
        ({"alpha": 1.01}, ValueError, r"alpha must lie in \[1/2, 1\], got 1\.01"),
        ({"alpha": math.nan}, ValueError, "alpha must lie in .* got nan"),
        ({"alpha": "0.65"}, TypeError, "alpha must be a float or a tensor, got '0.65'"),
        (
            {"alpha": torch.tensor([0.5, 1.0])},
            ValueError,
            r"alpha must lie in \(1/2, 1\].*got \[0\.5, 1\.0\]",
        ),
        ({"t": 0.0}, ValueError, "t must be positive and finite, got 0"),
        ({"t": -1.0}, ValueError, "t must be positive and finite, got -1"),
        ({"t": math.inf}, ValueError, "t must be positive and finite, got inf"),
        ({"t": "1"}, TypeError, "t must be a float, got '1'"),
        ({"window": (4, 3, 3)}, ValueError, r"odd positive integers, got \(4, 3, 3\)"),
        ({"window": (9, 3, 3)}, ValueError, "wider than the circle of 8 orientations, got KOr = 9"),
        ({"orientations": 0}, ValueError, "orientations must be at least 1, got 0"),
        ({"estimate": "rho_d"}, ValueError, "estimate must be one of .*got 'rho_d'"),
        ({"w": torch.tensor([[1.0, -2.0, 1.0]])}, ValueError, "w must be positive and finite, got -2"),
        ({"w": torch.ones(3)}, ValueError, r"the metric must have shape \[C, 3\], got \[3\]"),
        ({"w": torch.ones(2, 2)}, ValueError, r"w must have shape \[\.\.\., 3\], got \[2, 2\]"),
        ({"w": torch.ones(2, 3, dtype=torch.int64)}, TypeError, "w must be a floating point tensor"),
        ({"w": [[1.0, 1, 1]]}, TypeError, "w must be a tensor"),
        ({"w": FullMetric(torch.eye(3))}, ValueError, r"must have shape \[C, 3, 3\], got \[3, 3\]"),
    ],
)
def test_bad_arguments_are_named(change, kind, says):
    arguments = {"w": W, **GOOD, **change}
    with pytest.raises(kind, match=says):
        morphological_kernel(arguments.pop("w"), **arguments)


def test_bad_arguments_of_the_plane_kernel():
    with pytest.raises(ValueError, match=r"w must have shape \[\.\.\., 2\], got \[2, 3\]"):
        morphological_kernel_r2(W, alpha=0.65, window=(3, 3))
    with pytest.raises(ValueError, match=r"window must be \(KH, KW\), got \(3, 3, 3\)"):
        morphological_kernel_r2(torch.ones(1, 2), alpha=0.65, window=(3, 3, 3))
