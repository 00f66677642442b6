"""The spectral diffusion solver: its equation, its semigroup, and the errors of the approximate kernels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pdegcnn_lib.companion.solvers import SpectralDiffusion
from pdegcnn_lib.geometry import FullMetric, rho_b, rho_c


def scales(*w: float) -> Tensor:
    return torch.tensor(w, dtype=torch.float64)


def smooth(shape: tuple[int, int, int]) -> Tensor:
    """A band-limited function: the solver and the FFT derivatives below are exact on it."""
    theta, y, x = torch.meshgrid(
        *(torch.arange(n).double() * (2 * math.pi / n) for n in shape), indexing="ij"
    )
    return (
        0.3
        + torch.sin(2 * x - y + theta)
        + torch.cos(x + 3 * y - 2 * theta) * torch.sin(y)
        + torch.cos(theta)
    )


@pytest.mark.parametrize("shape", [(16, 20, 20), (15, 14, 21)])
def test_the_generator_is_the_laplacian_of_the_frame(shape: tuple[int, int, int]) -> None:
    w, spacing = scales(1, 2, 0.7), 2 * math.pi / shape[2]
    f = smooth(shape)
    length = (2 * math.pi, shape[1] * spacing, shape[2] * spacing)

    def derivative(f: Tensor, axis: int) -> Tensor:
        k = 2 * math.pi * torch.fft.fftfreq(shape[axis], length[axis] / shape[axis], dtype=torch.float64)
        k = torch.where(k.abs() * length[axis] > math.pi * (shape[axis] - 0.5), 0.0, k)
        view = [1, 1, 1]
        view[axis] = -1
        return torch.fft.ifft(1j * k.reshape(view) * torch.fft.fft(f, dim=axis), dim=axis).real

    theta = (torch.arange(shape[0]).double() * (2 * math.pi / shape[0]))[:, None, None]
    c, s = torch.cos(theta), torch.sin(theta)

    def main(f: Tensor) -> Tensor:
        return c * derivative(f, 2) + s * derivative(f, 1)

    def lateral(f: Tensor) -> Tensor:
        return c * derivative(f, 1) - s * derivative(f, 2)

    laplacian = main(main(f)) + lateral(lateral(f)) / 4 + derivative(derivative(f, 0), 0) / 0.49
    solver, t = SpectralDiffusion(w, shape, spacing=spacing), 1e-4
    centred = (solver.apply(f, t) - 2 * solver.apply(f, t / 2) + f) / (t / 2) ** 2  # W_tt = Laplacian^2
    first = (solver.apply(f, t) - f) / t - t / 2 * centred
    # Third order terms are (t Laplacian)^2 times the Laplacian, with eigenvalues up to about 60.
    assert (first - laplacian).abs().max() < 2e-5 * laplacian.abs().max()


@pytest.mark.parametrize("alpha", [0.5, 0.65, 1.0])
def test_semigroup_mass_and_symmetry(alpha: float) -> None:
    solver = SpectralDiffusion(scales(1, 2, 1), (16, 31, 31), spacing=0.3)
    f = torch.randn(2, 16, 31, 31, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(solver.apply(f, 0.0, alpha), f)
    torch.testing.assert_close(
        solver.apply(solver.apply(f, 0.2, alpha), 0.5, alpha), solver.apply(f, 0.7, alpha)
    )
    assert abs(solver.kernel(0.4, alpha).sum().item() * solver.cell - 1) < 1e-12
    # A quarter turn of the plane with a roll of the orientations by Or/4 is an exact symmetry of the grid: the value
    # at (x, y) moves to (-y, x).
    turned = torch.rot90(f, -1, dims=(-2, -1)).roll(4, dims=-3)
    expected = torch.rot90(solver.apply(f, 0.7, alpha), -1, dims=(-2, -1)).roll(4, dims=-3)
    torch.testing.assert_close(solver.apply(turned, 0.7, alpha), expected)


def test_the_handedness_is_the_frame_of_the_library() -> None:
    """At theta_i the kernel spreads along (cos theta_i, sin theta_i), x to the right and y down the rows."""
    solver = SpectralDiffusion(scales(1, 6, 50), (16, 48, 48), spacing=0.2)
    delta = torch.zeros(16, 48, 48, dtype=torch.float64)
    delta[2, 24, 24] = 1
    spread = solver.apply(delta, 0.3)[2]
    assert spread[24 + 4, 24 + 4] > 20 * spread[24 - 4, 24 + 4].abs()


def test_subordination_of_one_half() -> None:
    r"""$K_t^{1/2} = \int q_{t,1/2}(\tau) K_\tau d\tau$; with tau = (t/2z)^2 the Levy density becomes a Gaussian."""
    from scipy.special import roots_hermite

    solver, t = SpectralDiffusion(scales(1, 2, 1), (8, 11, 11), spacing=0.5), 0.8
    f = torch.randn(8, 11, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    f = solver.apply(f, 0.3)
    z, weight = roots_hermite(200)
    total = sum(
        2 / math.sqrt(math.pi) * h * solver.apply(f, (t / (2 * x)) ** 2)
        for x, h in zip(z, weight, strict=True)
        if x > 0
    )
    torch.testing.assert_close(total, solver.apply(f, t, 0.5), rtol=0, atol=1e-4)


ERRORS = {
    (1, 0.1): (0.019, 0.0),
    (1, 0.3): (0.057, 0.0001),
    (1, 1.0): (0.185, 0.041),
    (2, 0.1): (0.072, 0.064),
    (2, 0.3): (0.177, 0.156),
    (2, 1.0): (0.397, 0.330),
    (4, 0.1): (0.243, 0.238),
    (4, 0.3): (0.484, 0.466),
    (4, 1.0): (0.81, 0.76),
}


@pytest.mark.parametrize(("zeta", "t"), ERRORS)
def test_errors_of_the_approximate_heat_kernels(zeta: float, t: float) -> None:
    w, box = scales(1, zeta, 1), {0.1: 2.6, 0.3: 4.4, 1.0: 7.5}[t]
    solver = SpectralDiffusion(w, (40, 72, 72), spacing=2 * box / 72)
    exact, p = solver.kernel(t), solver.grid()
    assert exact.min() > -1e-6 * exact.max()
    for rho, error, mass in zip((rho_c, rho_b), ERRORS[zeta, t], MASSES[t], strict=True):
        gauss = torch.exp(-(rho(p, w) ** 2) / (4 * t))
        assert gauss.sum().item() * solver.cell * zeta * (4 * math.pi * t) ** -1.5 == pytest.approx(
            mass, abs=1e-3
        )
        gauss = gauss / (gauss.sum() * solver.cell)
        assert (gauss - exact).abs().sum().item() * solver.cell == pytest.approx(error, abs=5e-3)


MASSES = {0.1: (0.984, 1.0), 0.3: (0.953, 1.0), 1.0: (0.854, 0.974)}


def test_errors() -> None:
    with pytest.raises(ValueError, match="diagonal"):
        SpectralDiffusion(FullMetric(torch.eye(3)), (8, 8, 8))
    with pytest.raises(ValueError, match="Or >= 4"):
        SpectralDiffusion(scales(1, 1, 1), (3, 8, 8))
    with pytest.raises(ValueError, match="spacing"):
        SpectralDiffusion(scales(1, 1, 1), (8, 8, 8), spacing=0.0)
    solver = SpectralDiffusion(scales(1, 1, 1), (8, 8, 8))
    with pytest.raises(ValueError, match="alpha"):
        solver.kernel(1.0, 1.5)
    with pytest.raises(ValueError, match="axes"):
        solver.apply(torch.zeros(8, 8, 9), 1.0)
    with pytest.raises(ValueError, match="t must"):
        solver.kernel(-1.0)
