"""Convection: an independent interpolation, the group law, direction of motion, border, gradients, equivariance."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor

from pdegcnn_lib import nn, ops
from pdegcnn_lib.geometry import SE2
from pdegcnn_lib.ops.backends import EXPORTED
from pdegcnn_lib.spaces import M2, Plane
from pdegcnn_lib.testing import assert_equivariant


def by_scipy(f: Tensor, g0: Tensor) -> np.ndarray:
    """f(p g0^-1) by scipy's linear interpolation: three copies of the circle, the nearest pixel beyond the border."""
    batch, channels, orientations, height, width = f.shape
    o, y, x = np.meshgrid(np.arange(orientations), np.arange(height), np.arange(width), indexing="ij")
    out = np.empty(f.shape)
    for c in range(channels):
        a, b, phi = g0[c].tolist()
        theta = 2 * math.pi * o / orientations - phi
        at_x = x - (np.cos(theta) * a - np.sin(theta) * b)
        at_y = y - (np.sin(theta) * a + np.cos(theta) * b)
        at_o = theta * orientations / (2 * math.pi)
        for n in range(batch):
            circle = np.concatenate([f[n, c].numpy()] * 3)
            out[n, c] = scipy.ndimage.map_coordinates(
                circle, [at_o + orientations, at_y, at_x], order=1, mode="nearest"
            )
    return out


@pytest.mark.parametrize("size", [(7, 7), (5, 11), (8, 3), (1, 4)])
@pytest.mark.parametrize("orientations", [1, 5, 8])
def test_trilinear_interpolation_of_scipy(size, orientations, backend, dtype):
    f = torch.randn(2, 3, orientations, *size, dtype=dtype)
    g0 = torch.tensor([[1.3, -0.6, 0.4], [-2.7, 3.1, -2.9], [9.0, 0.2, 3.0]], dtype=dtype)
    found = ops.convection(f, g0, backend=backend)
    # A position is off by its rounding (|x| <= 20 pixels), times slopes of size 4 in three axes.
    tolerance = 20 * 12 * torch.finfo(dtype).eps
    np.testing.assert_allclose(found.numpy(), by_scipy(f, g0), rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", [(6, 9), (2, 2), (1, 1)])
def test_bilinear_interpolation_of_scipy(size, backend, dtype):
    f, shift = torch.randn(2, 2, *size, dtype=dtype), torch.tensor([[0.7, -1.2], [-4.4, 0.1]], dtype=dtype)
    found = ops.convection_r2(f, shift, backend=backend)
    y, x = np.meshgrid(*map(np.arange, size), indexing="ij")
    for c in range(2):
        at = [y - shift[c, 1].item(), x - shift[c, 0].item()]
        for n in range(2):
            expected = scipy.ndimage.map_coordinates(
                f[n, c].numpy().astype(float), at, order=1, mode="nearest"
            )
            np.testing.assert_allclose(found[n, c].numpy(), expected, atol=100 * torch.finfo(dtype).eps)


def test_identity_element_changes_nothing(backend, dtype):
    f = torch.randn(2, 3, 8, 5, 7, dtype=dtype)
    assert torch.equal(ops.convection(f, torch.zeros(3, 3, dtype=dtype), backend=backend), f)
    assert torch.equal(
        ops.convection_r2(f[:, :, 0], torch.zeros(3, 2, dtype=dtype), backend=backend), f[:, :, 0]
    )


def test_whole_pixels_are_exact(backend, dtype):
    """out(x) = f(x - c) on R^2, and at orientation 0 on M2, to the last bit; the border is repeated."""
    f = torch.randn(1, 2, 6, 7, dtype=dtype)
    shift = torch.tensor([[2.0, 0.0], [0.0, -1.0]], dtype=dtype)
    moved = ops.convection_r2(f, shift, backend=backend)
    assert torch.equal(moved[0, 0, :, 2:], f[0, 0, :, :-2])
    assert torch.equal(moved[0, 0, :, :2], f[0, 0, :, :1].expand(-1, 2))
    assert torch.equal(moved[0, 1, :-1], f[0, 1, 1:])
    assert torch.equal(moved[0, 1, -1], f[0, 1, -1])
    g0 = torch.cat([shift, shift.new_zeros(2, 1)], dim=1)
    on_m2 = ops.convection(f[:, :, None].expand(-1, -1, 4, -1, -1).contiguous(), g0, backend=backend)
    assert torch.equal(on_m2[:, :, 0], moved)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own, of forward mode
@pytest.mark.parametrize("storage", [torch.float16, torch.bfloat16])
def test_16_bits_lose_no_places_in_a_wide_image(storage, backend):
    """They count pixels to 256 or 2048, and fractions of the last ones in halves: places are computed in 32."""
    f, by = torch.randn(1, 2, 3, 2500).to(storage), torch.tensor([[0.3, 0.7], [-1.4, 2.0]]).to(storage)
    known = ops.convection_r2(f.float(), by.float(), backend="reference")
    exact = {"rtol": torch.finfo(storage).eps, "atol": 1e-5}
    torch.testing.assert_close(ops.convection_r2(f, by, backend=backend).float(), known, **exact)
    moved = torch.func.jvp(lambda f: ops.convection_r2(f, by, backend=backend), (f,), (f,))[1]
    torch.testing.assert_close(moved.float(), known, **exact)  # it is linear
    layer = nn.Convection(2, space=Plane()).to(storage).requires_grad_(False)
    layer.g0.copy_(by)
    written = torch.export.export(layer, (f,)).module()
    torch.testing.assert_close(written(f).float(), known, **exact)


def test_whole_orientation_steps_roll(backend):
    f = torch.randn(1, 1, 8, 4, 5, dtype=torch.float64)
    g0 = torch.tensor([[0.0, 0.0, 3 * math.pi / 4]], dtype=torch.float64)
    torch.testing.assert_close(
        ops.convection(f, g0, backend=backend), torch.roll(f, 3, dims=2), rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("g0", [(math.nan, 0.0, 0.0), (0.0, math.inf, 0.0), (0.0, 0.0, math.nan)])
def test_a_displacement_that_is_not_finite_spreads(g0, backend):
    """What a training that diverges meets; from an index there is no such word."""
    f, g = torch.randn(1, 1, 6, 3, 4), torch.tensor([g0])
    found, written = ops.convection(f, g, backend=backend), EXPORTED.shift(f, M2(6).displacement(g))
    assert found.isnan().any() and torch.equal(found.isnan(), written.isnan())


@pytest.mark.parametrize(("index", "step"), [(0, (2, 0)), (1, (0, 2)), (2, (-2, 0)), (3, (0, -2))])
def test_a_feature_moves_forward_in_its_own_frame(index, step, backend):
    """g0 = (2, 0, 0) moves a point with theta = 0 toward +x, with theta = 90 degrees toward +y."""
    f = torch.zeros(1, 1, 4, 9, 9, dtype=torch.float64)
    f[..., 4, 4] = 1.0
    moved = ops.convection(f, f.new_tensor([[2.0, 0.0, 0.0]]), backend=backend)[0, 0, index]
    assert moved[4 + step[1], 4 + step[0]] == pytest.approx(1.0, abs=1e-14)
    assert moved.sum() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize(("g0", "direction"), [((2.0, 0.0), 45), ((0.0, 2.0), 135), ((-1.5, 0.0), 225)])
def test_main_axis_of_convection_at_45_degrees(g0, direction, backend):
    """At index 1 of 8 the main axis points where x and y both grow; the centre of mass moves along it."""
    f = torch.zeros(1, 1, 8, 11, 11, dtype=torch.float64)
    f[..., 5, 5] = 1.0
    moved = ops.convection(f, f.new_tensor([[*g0, 0.0]]), backend=backend)[0, 0, 1]
    offsets = torch.arange(11.0, dtype=torch.float64) - 5
    x, y = (moved.sum(0) * offsets).sum().item(), (moved.sum(1) * offsets).sum().item()
    assert math.hypot(x, y) == pytest.approx(math.hypot(*g0), rel=1e-12)
    assert math.degrees(math.atan2(y, x)) % 360 == pytest.approx(direction, abs=1e-9)


def test_successive_convections_compose_as_the_group_does(backend):
    """f -> f(. g^-1) -> f(. h^-1 g^-1) = f(. (g h)^-1), for elements that map the grid to itself, inside the image."""
    f = torch.randn(2, 1, 4, 13, 15, dtype=torch.float64)
    g = torch.tensor([[1.0, -2.0, math.pi / 2]], dtype=torch.float64)
    h = torch.tensor([[2.0, 1.0, -math.pi]], dtype=torch.float64)
    twice = ops.convection(ops.convection(f, g, backend=backend), h, backend=backend)
    once = ops.convection(f, SE2.product(g, h), backend=backend)
    swapped = ops.convection(f, SE2.product(h, g), backend=backend)
    inside = (..., slice(5, -5), slice(5, -5))
    torch.testing.assert_close(twice[inside], once[inside], rtol=0, atol=1e-13)
    assert (twice[inside] - swapped[inside]).abs().max() > 0.1
    back = ops.convection(ops.convection(f, g, backend=backend), SE2.inverse(g), backend=backend)
    torch.testing.assert_close(back[inside], f[inside], rtol=0, atol=1e-13)


def test_solves_the_transport_equation(backend):
    """W(p, t) = f(p exp(-t c)): for a smooth f, convection with exp(c) ends where small steps along c end.

    f is a Gaussian 3 pixels wide and a cosine over 32 orientations: trilinear interpolation errs by at most h^2/8 f''
    per axis, 1/72 in x and y each and 0.005 in angle.
    """
    orientations, size, c = 32, 27, torch.tensor([2.0, -1.0, 0.6], dtype=torch.float64)

    def smooth(p: Tensor) -> Tensor:
        return torch.exp(-((p[..., 0] - 12) ** 2 + (p[..., 1] - 14) ** 2) / 18) * torch.cos(p[..., 2])

    theta = torch.arange(orientations, dtype=torch.float64) * 2 * math.pi / orientations
    grid = torch.arange(size, dtype=torch.float64)
    o, y, x = torch.meshgrid(theta, grid, grid, indexing="ij")
    p = torch.stack([x, y, o], dim=-1)
    found = ops.convection(smooth(p)[None, None], SE2.exp(c)[None], backend=backend)[0, 0]
    q, steps = p.clone(), 40
    for _ in range(steps):  # the midpoint rule along -c in the moving frame
        middle = q - 0.5 / steps * (SE2.frame(q) @ c)
        q = q - 1 / steps * (SE2.frame(middle) @ c)
    assert (found - smooth(q)).abs().max() < 0.033


def test_gradcheck(backend):
    """At positions off the pixel grid, where trilinear interpolation is smooth."""
    f = torch.randn(2, 2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    g0 = torch.tensor([[0.37, -0.61, 0.43], [-1.31, 0.83, -1.17]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, g: ops.convection(f, g, backend=backend), (f, g0))
    shift = g0.detach()[:, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda f, s: ops.convection_r2(f, s, backend=backend), (f[:, :, 0], shift)
    )


@pytest.mark.parametrize("orientations", [1, 2, 4])
@pytest.mark.parametrize("size", [(4, 3), (1, 2)])
def test_gradient_at_whole_steps_is_the_mean_of_its_two_sides(size, orientations, backend):
    """Where trilinear interpolation has a kink, and at the border, a central difference is the mean of both sides.

    It errs by the step times the mixed second derivatives. The identity, whole pixels in every direction and beyond the
    image, and quarter turns, whose displacements are whole up to rounding.
    """
    f = torch.randn(1, 6, orientations, *size, dtype=torch.float64)
    g0 = [[0, 0, 0], [1, 0, 0], [2, -1, 0], [-1, 1, 1], [1, 1, -1], [-9, 7, 2]]
    g0 = torch.tensor(g0, dtype=f.dtype) * torch.tensor([1, 1, math.pi / 2], dtype=f.dtype)
    assert torch.autograd.gradcheck(
        lambda g: ops.convection(f, g, backend=backend), g0.requires_grad_(), eps=1e-6, atol=1e-4
    )
    shift = g0.detach()[:, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: ops.convection_r2(f[:, :, 0], s, backend=backend), shift, eps=1e-6, atol=1e-4
    )


@pytest.mark.parametrize("orientations", [4, 8, 12])
def test_equivariant_under_quarter_turns(orientations, backend, dtype):
    """Random elements with all three components, on an image that is not square."""
    g0 = torch.randn(3, 3, dtype=dtype)
    f = torch.randn(2, 3, orientations, 9, 12, dtype=dtype)
    assert_equivariant(lambda f: ops.convection(f, g0, backend=backend), f)


F, G = torch.zeros(2, 3, 8, 6, 7), torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("f", "g0", "kind", "says"),
    [
        (F[0], G, ValueError, r"f must have shape \[B, C, Or, H, W\], got \[3, 8, 6, 7\]"),
        (F.int(), G, TypeError, "f must be a floating point tensor, got dtype torch.int32"),
        (F, [0.0, 0.0, 0.0], TypeError, "g0 must be a torch.Tensor, got list"),
        (F, G[0], ValueError, r"g0 must have shape \[C, 3\], got \[3\]"),
        (F, G[:2], ValueError, r"g0 must have shape \[C, 3\] = \[3, 3\], got \[2, 3\]"),
        (F, G.double(), TypeError, "g0 must have the dtype of f, torch.float32, got torch.float64"),
        (F, G.to("meta"), ValueError, "g0 must be on the device of f, cpu, got meta"),
    ],
)
def test_bad_arguments_are_named(f, g0, kind, says):
    with pytest.raises(kind, match=says):
        ops.convection(f, g0)


def test_bad_arguments_on_the_plane_are_named():
    with pytest.raises(ValueError, match=r"shift must have shape \[C, 2\] = \[3, 2\], got \[3, 3\]"):
        ops.convection_r2(F[:, :, 0], G)
    with pytest.raises(ValueError, match=r"f must have shape \[B, C, H, W\], got \[2, 3, 8, 6, 7\]"):
        ops.convection_r2(F, G)
