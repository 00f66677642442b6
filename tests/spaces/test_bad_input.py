"""What a space has not: on each of them a sentence with the value and what is allowed, from layers and functions."""

from __future__ import annotations

import pytest
import torch

from examples.groups_between import GroupsBetween
from pdegcnn_lib import kernels, nn, ops
from pdegcnn_lib.geometry import FullMetric
from pdegcnn_lib.geometry.m3 import AxialMetric
from pdegcnn_lib.spaces import M2, M3, Plane, Sampled, Volume

BETWEEN = Sampled(GroupsBetween(0.3), [-1.0, -0.5, 0.0, 0.5, 1.0])
SPACES = {"plane": Plane(), "volume": Volume(), "M2": M2(8), "M3": M3(6), "lines": M3(13), "between": BETWEEN}
EVERY = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
OVER_A_FIBRE = pytest.mark.parametrize(
    ("space", "fibre"),
    [
        (M2(8), "circle of 8 orientations, got KOr = 9"),
        (M2(3), "circle of 3 orientations, got KOr = 5"),
        (M3(6), "sphere of 6 directions, got KN = 7"),
        (BETWEEN, "fibre of 5 points, got KT = 7"),
    ],
)
TERMS = (nn.Dilation, nn.Erosion, nn.Diffusion)


def says(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@OVER_A_FIBRE
@pytest.mark.parametrize("layer", TERMS)
def test_a_window_wider_than_its_fibre(space, fibre, layer):
    wide = (space.fibre + 1 + space.fibre % 2, *(3,) * space.positions)
    says(lambda: layer(2, space=space, window=wide), f"must not be wider than the {fibre}")
    metric = torch.ones(2, space.lengths)
    says(lambda: kernels.morphological_kernel(metric, alpha=0.65, window=wide, space=space), fibre)
    f, k = torch.zeros(1, 2, space.fibre, *(5,) * space.positions), torch.zeros(2, space.fibre, *wide)
    says(lambda: ops.dilation(f, k, space=space), rf"{wide[0]}$")


@EVERY
@pytest.mark.parametrize("layer", TERMS)
def test_an_even_window(space, layer):
    names = ", ".join(f"K{name}" for name in space.axes)
    even = space.default_window(3)[:-1] + (4,)
    message = rf"window must be \({names}\) of odd positive integers, got \({', '.join(map(str, even))}\)"
    says(lambda: layer(2, space=space, window=even), message)
    says(lambda: layer(2, space=space, window=even[1:]), rf"window must be \({names}\), got \(")


@EVERY
@pytest.mark.parametrize("kernel", [kernels.morphological_kernel, kernels.diffusion_kernel])
def test_a_metric_of_the_wrong_size(space, kernel):
    n, options = space.lengths, {"alpha": 1.0, "window": space.default_window(3), "space": space}
    says(lambda: kernel(torch.ones(2, n + 1), **options), rf"\[\.\.\., {n}\], got \[2, {n + 1}\]")
    says(lambda: kernel(torch.ones(n), **options), rf"must have shape \[C, {n}\], got \[{n}\]")
    full = FullMetric(torch.eye(n)[None])
    if "full" in space.metrics:
        assert kernel(full, **options).shape[0] == 1
        wrong = FullMetric(torch.eye(n + 1)[None])
        says(lambda: kernel(wrong, **options), rf"\[\.\.\., {n}\], got \[1, {n + 1}, {n + 1}\]")
    else:
        # Lines have no sense, which the other kind of metric needs.
        kinds = "diagonal" if space == M3(13) else "diagonal and axial"
        says(lambda: kernel(full, **options), f"on M3 is defined for {kinds} metrics only, got a FullMetric")
        allowed = "diagonal on M3" if space == M3(13) else "one of diagonal, axial"
        says(lambda: nn.Dilation(2, space=space, metric="full"), f"must be {allowed}, got 'full'")
    scales = torch.ones(1, 3)
    axial = AxialMetric(scales, 0 * scales[:, 0], 0 * scales[:, 0])
    if "axial" in space.metrics:
        assert kernel(axial, **options).shape[0] == 1
    else:
        says(lambda: kernel(axial, **options), r"one of M3 with three|metrics only, got an AxialMetric")


@pytest.mark.parametrize("count", [0, 1, 5, 7, 20, 24])
def test_directions_that_the_turns_of_a_cube_do_not_keep(count):
    says(lambda: M3(count), rf"one of 6, 8, 12, 14, 18, 26, .*closed under the 24 turns.*got {count}$")


@EVERY
@pytest.mark.parametrize("make", [nn.Convection, *TERMS, lambda c, space: nn.PDELayer(c, c, space=space)])
def test_features_whose_axes_do_not_fit(space, make):
    if space == M3(13):  # lines have no forward direction
        make = nn.Dilation
    layer = make(2, space=space)
    shape = rf"\[B, C, {', '.join(space.axes)}\]"
    f = torch.zeros(1, 2, *space.kernels, *(5,) * space.positions)
    says(lambda: layer(f[0]), rf"f must have shape {shape}, got \[2, ")
    says(lambda: layer(f[..., None]), rf"f must have shape {shape}, got \[1, 2, ")
    if space.kernels:
        short = f[:, :, 1:]
        says(
            lambda: layer(short),
            rf"must have {space.axes[0]} = {space.fibre} on .*got \[1, 2, {space.fibre - 1}",
        )
    says(lambda: layer(torch.cat([f, f], dim=1)), r"\[2|C = 4|\[C, ")


@pytest.mark.parametrize(
    ("layer", "size", "message"),
    [
        (nn.GroupConvolution(2, 2), (6, 9, 9), r"f must have Or = 8 on M2.*got \[1, 2, 6, 9, 9\]"),
        (nn.GroupConvolutionM3(2, 2, space=M3(6)), (8, 5, 5, 5), r"f must have N = 6 on M3.*got \[1, 2, 8, "),
        (nn.Projection(space=M3(6)), (26, 5, 5, 5), r"f must have N = 6 on M3.*got \[1, 2, 26, 5, 5, 5\]"),
        (
            nn.Lift(2, 2, size=3, space=M3(6)),
            (5, 5),
            r"f must have shape \[B, Cin, D, H, W\], got \[1, 2, 5, 5\]",
        ),
    ],
)
def test_features_of_the_wrong_fibre(layer, size, message):
    says(lambda: layer(torch.zeros(1, 2, *size)), message)


@pytest.mark.parametrize("space", [s for s in SPACES.values() if not isinstance(s, M3)], ids=str)
@pytest.mark.parametrize("layer", [nn.LineLift, lambda space: nn.GroupConvolutionM3(2, 2, space=space)])
def test_a_layer_of_directions_elsewhere(layer, space):
    says(lambda: layer(space=space), rf"space must be M3 for .*, got {type(space).__name__}\(")


def test_a_group_convolution_with_more_neighbours_than_directions():
    f, k = torch.zeros(1, 2, 6, 3, 3, 3), torch.zeros(2, 2, 6, 7, 3, 3, 3)
    says(lambda: ops.group_convolution(f, k, space=M3(6)), "sphere of 6 directions, got KN = 7")


@pytest.mark.parametrize("size", [2.0, True, (4, 4)])
def test_a_size_to_resample_to(size):
    with pytest.raises(TypeError, match=r"size must be an int, got "):
        nn.Resample(size)


def test_features_that_have_no_positions_to_pool_over():
    says(lambda: nn.InvariantPool()(torch.zeros(1, 2, 7)), r"shape \[B, C, Or, H, W\] .*got \[1, 2, 7\]")
