"""The fixed lift as a layer, and that trained convections of it can stand for a trained lift."""

import pytest
import torch

from pdegcnn_lib import nn, ops
from pdegcnn_lib.kernels import cake_wavelets

REFERENCE = {"backend": "reference"}


@pytest.mark.parametrize("orientations", [1, 5, 8])
def test_every_channel_is_lifted_alike(orientations, dtype):
    layer, f = nn.CakeLift(orientations, size=9), torch.randn(2, 3, 11, 14, dtype=dtype)
    out = layer(f)
    assert out.shape == (2, 3, orientations, 11, 14) and out.dtype == dtype
    psi = cake_wavelets(orientations, 9).to(dtype)[None, None]
    for c in range(3):
        torch.testing.assert_close(out[:, c : c + 1], ops.lift(f[:, c : c + 1], psi))
    torch.testing.assert_close(nn.CakeLift(orientations, size=9, gain=3.0)(f), 3 * out)
    assert not list(layer.parameters()) and not layer.state_dict()
    assert "size=9" in repr(layer)


def test_the_sum_over_orientations_is_a_smooth_image_and_its_mean():
    y, x = torch.meshgrid(torch.arange(30.0), torch.arange(41.0), indexing="ij")
    f = (torch.sin(0.5 * x + 0.3 * y) + 0.7).double()[None, None]
    out = nn.CakeLift(8)(f)
    torch.testing.assert_close(out.sum(2)[..., 10:-10, 10:-10], f[..., 10:-10, 10:-10], rtol=0, atol=1e-3)
    torch.testing.assert_close(
        nn.CakeLift(8)(torch.full_like(f, 3.0)), torch.full((1, 1, 8, 30, 41), 3 / 8, dtype=torch.float64)
    )


def test_convected_wavelets_are_the_lift_of_a_sum_of_displaced_wavelets():
    """sum_i a_i (W_phi f)(p g_i^-1) = (W_psi f)(p) with psi(z) = sum_i a_i phi(g_i . z), on four orientations.

    There whole pixels and quarter turns meet the grid, and nothing is interpolated.
    """
    phi, reach = cake_wavelets(4, 7)[0], 6
    displaced = [(2, -1, 0), (0, 3, 1), (-1, 1, 2), (1, 2, 3)]  # pixels, quarter turns
    a = torch.randn(len(displaced), dtype=torch.float64)
    size = 2 * reach + 1
    turn = ((1, 0), (0, 1), (-1, 0), (0, -1))
    psi = torch.zeros(4, size, size, dtype=torch.float64)
    for o in range(4):
        for j in range(size):
            for m in range(size):
                c, s = turn[o]
                x, y = m - reach, j - reach
                x, y = c * x + s * y, -s * x + c * y  # R_theta^-1 of the offset
                for weight, (dx, dy, n) in zip(a, displaced, strict=True):
                    c, s = turn[n]
                    u, v = dx + c * x - s * y, dy + s * x + c * y
                    if max(abs(u), abs(v)) <= 3:
                        psi[o, j, m] += weight * phi[v + 3, u + 3]
    f = torch.nn.functional.pad(torch.randn(1, 1, 9, 9, dtype=torch.float64), (12,) * 4)
    convection, combination = nn.Convection(4, **REFERENCE).double(), nn.Linear(4, 1).double()
    g0 = torch.tensor(displaced, dtype=torch.float64)
    convection.g0.data = torch.cat([g0[:, :2], g0[:, 2:] * torch.pi / 2], dim=1)
    combination.weight.data = a[None]
    score = nn.CakeLift(4, size=7)(f).expand(1, 4, 4, 33, 33)
    torch.testing.assert_close(
        combination(convection(score)),
        ops.lift(f, psi[None, None], padding="zeros"),
        rtol=0,
        atol=1e-12,
    )


def test_more_convections_of_the_fixed_lift_come_closer_to_a_trained_one():
    """Least squares for random 7 x 7 kernels. Convections that start at the identity are one feature only."""
    f = torch.zeros(1, 1, 33, 33, dtype=torch.float64)
    f[..., 16, 16] = 1
    score = nn.CakeLift(8)(f)
    target = nn.Lift(1, 30, size=7).double()(f)[0].flatten(1).detach().T
    left = {}
    for copies, spread in ((40, 0.0), (10, 1.0), (40, 1.0), (160, 1.0)):
        convection = nn.Convection(copies, spread=spread, **REFERENCE).double()
        features = convection(score.expand(1, copies, 8, 33, 33))[0].flatten(1).detach().T
        if spread == 0:
            features = features[:, :1]
        fitted = features @ torch.linalg.lstsq(features, target).solution
        left[copies, spread] = ((fitted - target).norm() / target.norm()).item()
    assert left[40, 0.0] > 0.95
    assert left[160, 1.0] < 0.4 < left[40, 1.0] < 0.65 < left[10, 1.0] < 0.95


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"odd positive integers, got \(8, 8\)"):
        nn.CakeLift(8, size=8)
    with pytest.raises(ValueError, match="orientations must be at least 1, got 0"):
        nn.CakeLift(0)
    with pytest.raises(ValueError, match=r"f must have shape \[B, C, H, W\], got \[2, 1, 8, 9, 9\]"):
        nn.CakeLift(8)(torch.zeros(2, 1, 8, 9, 9))
