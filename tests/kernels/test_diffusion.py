"""The diffusion kernels: end points, the stable mixture against its transform, normalisation and gradients."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from pdegcnn_lib.companion.solvers import SpectralDiffusion
from pdegcnn_lib.geometry import FullMetric, rho_b, rho_c
from pdegcnn_lib.kernels import diffusion_kernel, diffusion_kernel_r2, relative_elements
from pdegcnn_lib.kernels.diffusion import log_profile, stable_mixture

WINDOW, OR = (5, 5, 5), 8


def scales(c: int = 2, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return 0.5 + torch.rand(c, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("alpha", [0.5, 0.55, 0.65, 0.8, 0.95, 0.999])
def test_the_mixture_has_the_moments_of_the_stable_law(alpha: float) -> None:
    r"""$E[S^{-q}] = \Gamma(1 + q/\alpha)/\Gamma(1 + q)$; and the Laplace transform is the definition."""
    log_s, log_weight = stable_mixture(torch.tensor(alpha, dtype=torch.float64))
    weight = torch.exp(log_weight)
    for q in (1.0, 1.5, 2.0):
        moment = math.gamma(1 + q / alpha) / math.gamma(1 + q)
        assert (weight * torch.exp(-q * log_s)).sum().item() == pytest.approx(moment, rel=5e-6)
    for value in (0.1, 1.0, 4.0):
        total = (weight * torch.exp(-value * torch.exp(log_s))).sum().item()
        assert total == pytest.approx(math.exp(-(value**alpha)), rel=5e-6)


def test_the_mixture_meets_both_closed_forms() -> None:
    squared = torch.linspace(0, 30, 61, dtype=torch.float64)
    for t in (0.4, 1.0, 3.0):
        for alpha, tolerance in ((0.5, 1e-5), (1.0, 5e-5)):
            got = log_profile(squared, torch.tensor(alpha, dtype=torch.float64), t, 3)
            want = log_profile(squared, alpha, t, 3)
            near = want - want[0] > -8
            torch.testing.assert_close((got - got[0])[near], (want - want[0])[near], rtol=0, atol=tolerance)


@pytest.mark.parametrize("dim", [2, 3])
def test_the_profile_solves_the_fractional_equation(dim: int) -> None:
    """Against the Hankel integral of exp(-t k^(2 alpha)) by scipy, with the peak as unit."""
    from scipy.integrate import quad
    from scipy.special import j0

    alpha, t = 0.7, 0.8
    rho = torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0], dtype=torch.float64)

    def integrand(k: float, r: float) -> float:
        wave = j0(k * r) if dim == 2 else (math.sin(k * r) / (k * r) if k * r > 0 else 1.0)
        return wave * k ** (dim - 1) * math.exp(-t * k ** (2 * alpha))

    exact = torch.tensor([quad(integrand, 0, 30, args=(r,), limit=400)[0] for r in rho.tolist()])
    got = torch.exp(log_profile(rho**2, alpha, t, dim))
    torch.testing.assert_close(got / got[0], (exact / exact[0]).double(), rtol=0, atol=5e-6)


def test_end_points_on_the_window() -> None:
    w = scales()
    p = relative_elements(WINDOW, OR, dtype=w.dtype)
    for estimate, rho in (("rho_c", rho_c), ("rho_b", rho_b)):
        rho2 = rho(p, w[:, None, None, None, None, :]) ** 2
        for alpha, k in ((1.0, torch.exp(-rho2 / 2)), (0.5, 0.5 / (rho2 + 0.25) ** 2)):
            got = diffusion_kernel(w, alpha=alpha, window=WINDOW, orientations=OR, t=0.5, estimate=estimate)
            torch.testing.assert_close(got, k / k.sum((2, 3, 4), keepdim=True))


@pytest.mark.parametrize("alpha", [0.5, 0.65, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_positive_and_normalised(alpha: float, dtype: torch.dtype) -> None:
    w = scales(dtype=dtype) * torch.tensor([1, 8, 3], dtype=dtype)
    k = diffusion_kernel(w, alpha=alpha, window=WINDOW, orientations=OR, t=0.3)
    assert k.shape == (2, OR, *WINDOW) and k.dtype == dtype
    assert (k >= 0).all()
    torch.testing.assert_close(k.sum((2, 3, 4)), torch.ones(2, OR, dtype=dtype))
    flat = diffusion_kernel_r2(w[:, :2], alpha=alpha, window=(5, 7))
    assert flat.shape == (2, 5, 7)
    torch.testing.assert_close(flat.sum((1, 2)), torch.ones(2, dtype=dtype))


def test_alpha_as_a_tensor_agrees_and_both_arguments_have_gradients() -> None:
    w, alpha = scales().requires_grad_(), torch.tensor([0.65, 0.9], dtype=torch.float64, requires_grad=True)
    window = (1, 3, 3)
    k = diffusion_kernel(w, alpha=alpha, window=window, orientations=2)
    for c in range(2):
        one = diffusion_kernel(w[c : c + 1], alpha=alpha[c].item(), window=window, orientations=2)
        torch.testing.assert_close(k[c : c + 1], one)
    assert torch.autograd.gradcheck(
        lambda w, a: diffusion_kernel(w, alpha=a, window=window, orientations=2)[:, 1], (w, alpha)
    )
    for fixed in (0.5, 1.0):
        call = partial(diffusion_kernel, alpha=fixed, window=window, orientations=2)
        assert torch.autograd.gradcheck(call, w)


def test_a_full_metric_agrees_with_its_diagonal_case() -> None:
    w = scales()
    full = diffusion_kernel(FullMetric(torch.diag_embed(w)), alpha=0.8, window=(3, 3, 3), orientations=OR)
    torch.testing.assert_close(full, diffusion_kernel(w, alpha=0.8, window=(3, 3, 3), orientations=OR))


def test_error_of_the_poisson_form() -> None:
    """L1 errors against the spectral solution for w = (1, 1, 1), t = 0.3, on a box of 20: 0.16 and 0.12."""
    w = torch.ones(3, dtype=torch.float64)
    solver = SpectralDiffusion(w, (32, 96, 96), spacing=20 / 96)
    exact, p = solver.kernel(0.3, 0.5), solver.grid()
    for rho, error in ((rho_c, 0.16), (rho_b, 0.12)):
        k = torch.softmax(log_profile(rho(p, w) ** 2, 0.5, 0.3, 3).flatten(), 0).unflatten(0, exact.shape)
        assert (k - exact * solver.cell).abs().sum().item() == pytest.approx(error, abs=1e-2)


def test_errors() -> None:
    w = scales()
    for alpha in (0.4, 1.1, torch.tensor([0.4, 0.6])):
        with pytest.raises(ValueError, match="alpha"):
            diffusion_kernel(w, alpha=alpha, window=WINDOW, orientations=OR)
    with pytest.raises(ValueError, match="t must"):
        diffusion_kernel(w, alpha=1.0, window=WINDOW, orientations=OR, t=0.0)
    with pytest.raises(ValueError, match="odd"):
        diffusion_kernel(w, alpha=1.0, window=(5, 4, 5), orientations=OR)
    with pytest.raises(ValueError, match="estimate"):
        diffusion_kernel(w, alpha=1.0, window=WINDOW, orientations=OR, estimate="rho")
