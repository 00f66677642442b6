"""Cake wavelets: a fixed lift that divides the Fourier plane into as many slices as there are orientations."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdegcnn_lib.geometry import wrap_angle
from pdegcnn_lib.kernels.window import check_window, offsets, orientation_angles

OVERSAMPLING = 5  # odd, so that the fine grid has a centre of its own


def cubic_b_spline(x: Tensor) -> Tensor:
    """The centred cubic B-spline, whose integer translates sum to 1; 0 for |x| >= 2."""
    a = x.abs()
    inner = 2 / 3 - a**2 + a**3 / 2
    return torch.where(a < 1, inner, (2 - a).clamp(min=0) ** 3 / 6)


def radial_window(rho: Tensor, inflection: float = 0.8, order: int = 8) -> Tensor:
    r"""The low-pass window $M_N(\rho) = e^{-s} \sum_{k \le N} s^k / k!$, $s = \rho^2 (2N + 1) / (2\gamma^2)$.

    Flat at 0 to order 2N, with its inflection at the fraction gamma of the Nyquist frequency. `rho` in units of it.
    """
    s = rho**2 * (2 * order + 1) / (2 * inflection**2)
    terms = torch.stack([s**k / math.factorial(k) for k in range(order + 1)])
    return torch.exp(-s) * terms.sum(0)


def cake_wavelets(
    orientations: int,
    size: int = 21,
    *,
    inflection: float = 0.8,
    order: int = 8,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    r"""The real cake wavelets $\psi_\theta$ for lines along theta, sampled in space.

    In the Fourier domain,
    $\hat\psi_\theta(\omega) = B\big((\angle\omega - \theta - \pi/2)\,Or/2\pi\big)\, M_N(|\omega|)$ with the cubic
    B-spline B; in space the real part is taken and faded out toward the rim of the window. At the origin, where the
    direction is undefined, every orientation has the equal share 1/Or of the mean: $\sum_x \psi_\theta(x) = 1/Or$. The
    slices sum to the radial window: the lift of an image summed over theta is the image, up to the frequencies that
    the window removes, and a constant image exactly.

    Shapes: -> `[Or, size, size]`; use as `ops.lift(f, psi[None, None])`. theta turns +x toward +y.
    Raises: ValueError for an even size or no orientations. Source: main paper, section 4.1 (fixed lift); the fading
    and the equal share of the mean are our choice.
    """
    check_window((size, size))
    theta = orientation_angles(orientations, dtype=dtype)
    # A spectrum on the frequencies of the window itself would resolve a slice by few, badly turned points.
    fine = OVERSAMPLING * size
    frequency = torch.fft.fftfreq(fine, d=0.5, dtype=dtype)  # 1 is the Nyquist frequency
    y, x = torch.meshgrid(frequency, frequency, indexing="ij")
    distance = wrap_angle(torch.atan2(y, x) - theta[:, None, None] - math.pi / 2) * (
        orientations / (2 * math.pi)
    )
    # On a circle shorter than the spline its translates by whole turns count too.
    turns = range(-2, 3) if orientations < 4 else (0,)
    angular = torch.stack([cubic_b_spline(distance + n * orientations) for n in turns]).sum(dim=0)
    angular[:, 0, 0] = 1 / orientations
    spectrum = angular * radial_window(torch.hypot(x, y), inflection, order)
    psi = torch.fft.fftshift(torch.fft.ifft2(spectrum).real, dim=(-2, -1))
    start = fine // 2 - size // 2
    r = offsets(size, dtype=dtype) / (size / 2)
    fade = radial_window(torch.hypot(r[:, None], r))
    psi = psi[:, start : start + size, start : start + size] * fade
    # Fading blurs the spectrum, which spreads the mean over its neighbours. Those are few and their directions uneven,
    # so that what comes back differs between orientations by up to a tenth (Or = 16): the lowest frequencies make up.
    return psi + (1 / orientations - psi.sum((-2, -1), keepdim=True)) * (fade / fade.sum())
