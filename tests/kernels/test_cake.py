"""Cake wavelets: equal shares of the mean, the image from its slices, lines along theta, exact quarter turns."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pdegcnn_lib import ops
from pdegcnn_lib.kernels import cake_wavelets
from pdegcnn_lib.kernels.cake import cubic_b_spline, radial_window
from pdegcnn_lib.testing import quarter_turn


def lifted(f: Tensor, psi: Tensor) -> Tensor:
    """The lift of a periodic image `[H, W]`: `[Or, H, W]`."""
    r = psi.shape[-1] // 2
    return ops.lift(
        functional.pad(f[None, None], (r, r, r, r), mode="circular"), psi[None, None], padding="valid"
    )[0, 0]


def test_the_angular_window_is_a_partition_of_unity():
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    total = sum(cubic_b_spline(x + n) for n in range(-2, 3))
    torch.testing.assert_close(total, torch.ones_like(x), rtol=0, atol=1e-15)


def test_the_radial_window_is_flat_at_zero_and_turns_at_its_inflection():
    rho = torch.linspace(0, 1.5, 3001, dtype=torch.float64)
    m = radial_window(rho, inflection=0.8, order=8)
    # 1 - M = s^9/9! + ... with s = 13.28 rho^2.
    assert (1 - m[rho <= 0.2]).max() < 1e-8 and (m.diff() < 1e-15).all()
    steepest = rho[m.diff().abs().argmax()].item()
    assert steepest == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("size", [5, 7, 21])
@pytest.mark.parametrize("orientations", [1, 2, 3, 4, 7, 8, 16, 36])
def test_every_orientation_has_the_same_share_of_the_mean(orientations, size):
    share = cake_wavelets(orientations, size).sum((-2, -1))
    torch.testing.assert_close(share, torch.full_like(share, 1 / orientations), rtol=0, atol=1e-14)


@pytest.mark.parametrize("orientations", [1, 3, 4, 7, 8, 16])
@pytest.mark.parametrize(("height", "width"), [(48, 48), (33, 47), (64, 31)])
def test_the_slices_of_a_band_limited_image_sum_to_the_image(height, width, orientations):
    """Up to what the radial window takes from the highest frequency of the image, 1e-3 at 0.4, and the fading."""
    y, x = (torch.fft.fftfreq(n, d=0.5, dtype=torch.float64) for n in (height, width))
    low = torch.hypot(y[:, None], x) <= 0.4
    f = torch.fft.ifft2(torch.fft.fft2(torch.randn(height, width, dtype=torch.float64)) * low).real
    taken = 1 - radial_window(torch.tensor(0.4, dtype=torch.float64)).item()
    assert taken < 1.1e-3
    total = lifted(f, cake_wavelets(orientations, 21)).sum(0)
    # By Parseval the relative error is at most that of the worst frequency; 3e-4 is the fading at size 21.
    assert (total - f).norm() / f.norm() < taken + 3e-4
    ones = torch.ones(height, width, dtype=torch.float64)
    torch.testing.assert_close(lifted(ones, cake_wavelets(orientations, 21)).sum(0), ones, rtol=0, atol=1e-13)


@pytest.mark.parametrize("orientations", [4, 8, 12, 16])
@pytest.mark.parametrize("size", [5, 9, 21])
def test_quarter_turns_are_exact(orientations, size):
    psi = cake_wavelets(orientations, size)
    # The wavelet of theta + pi/2 is that of theta, turned.
    turned = torch.rot90(psi, -1, dims=(-2, -1))
    torch.testing.assert_close(turned.roll(orientations // 4, 0), psi, rtol=0, atol=1e-15)
    torch.testing.assert_close(psi.roll(orientations // 2, 0), psi, rtol=0, atol=1e-15)
    f = torch.randn(20, 31, dtype=torch.float64)
    error = lifted(torch.rot90(f, -1), psi) - quarter_turn(lifted(f, psi)[None, None])[0, 0]
    assert error.abs().max() < 1e-13


@pytest.mark.parametrize("orientations", [5, 8, 16])
def test_a_line_answers_at_its_own_orientation(orientations):
    """On an image that is not square, where wavelets made on the image would be stretched."""
    psi, centre = cake_wavelets(orientations, 21), (20, 30)
    y, x = torch.meshgrid(torch.arange(41.0) - 20, torch.arange(61.0) - 30, indexing="ij")
    for i in range(orientations):
        theta = 2 * math.pi * i / orientations
        line = torch.exp(-((y * math.cos(theta) - x * math.sin(theta)) ** 2) / 2).double()
        answer = ops.lift(line[None, None], psi[None, None])[0, 0][:, centre[0], centre[1]]
        opposite = (i + orientations // 2) % orientations
        allowed = {i, opposite} if orientations % 2 == 0 else {i}
        assert int(answer.argmax()) in allowed
    bump = torch.exp(-(x**2 + y**2) / 8).double()
    answer = ops.lift(bump[None, None], psi[None, None])[0, 0][:, centre[0], centre[1]]
    # A round bump looks the same at every orientation. The pixels have four of them; elsewhere sampling shows.
    assert (answer.max() - answer.min()) / answer.mean() < 0.02


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match=r"odd positive integers, got \(20, 20\)"):
        cake_wavelets(8, 20)
    with pytest.raises(ValueError, match="orientations must be at least 1, got 0"):
        cake_wavelets(0)
