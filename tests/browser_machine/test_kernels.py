"""The kernels on the browser's machine against the reference and the CPU backend, through the same launches."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pdegcnn_lib import ops
from pdegcnn_lib.geometry import ESTIMATES, SE2
from pdegcnn_lib.kernels.window import relative_elements
from pdegcnn_lib.ops import compiled, reference
from pdegcnn_lib.ops.compiled import machines

pytestmark = pytest.mark.skipif(compiled.availability()["cpu"] is not None, reason="no C++ compiler")

EPS = torch.finfo(torch.float32).eps
TROPICAL = ("max_plus", "min_plus")
PER_EXAMPLE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@st.composite
def problems(draw) -> tuple[Tensor, Tensor]:
    """f and k on both sides of a vector's width and of a tile's, with the window of the networks and with others."""
    orientations = draw(st.sampled_from([1, 3, 8, 16]))
    planes = draw(st.sampled_from([n for n in (1, 3, 5) if n <= orientations]))
    rows, columns = draw(st.sampled_from([(5, 5), (5, 5), (3, 3), (1, 1), (3, 5), (7, 7)]))
    height, width = (draw(st.sampled_from([1, 3, 4, 5, 15, 17, 33, 65])) for _ in range(2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    f = torch.randn(draw(st.integers(1, 2)), 2, orientations, height, width, generator=generator)
    k = torch.randn(2, orientations, planes, rows, columns, generator=generator)
    if draw(st.booleans()):  # a bowl, most of whose taps cannot win: the list of taps
        k = 20 * (k - k[:, :, planes // 2, rows // 2, columns // 2, None, None, None]).abs()
    return f, k


def convolve(f: Tensor, k: Tensor, semiring: str) -> Tensor:
    return compiled.semiring_convolution(f, k, semiring, "cpu")


@pytest.mark.parametrize("semiring", TROPICAL)
@PER_EXAMPLE
@given(problem=problems())
def test_dilation_and_erosion_are_the_reference_to_the_last_bit(node, through, semiring, problem) -> None:
    expected, on_host = reference.semiring_convolution(*problem, semiring), convolve(*problem, semiring)
    assert torch.equal(on_host, expected)
    through(node)
    assert torch.equal(convolve(*problem, semiring), expected)


@pytest.mark.parametrize("semiring", TROPICAL)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["f", "k"])
def test_the_careful_path_is_that_of_the_host(node, through, semiring, value, where) -> None:
    f, k = torch.randn(1, 2, 8, 19, 21), torch.rand(2, 8, 5, 5, 5)
    spoiled = f if where == "f" else k
    spoiled.view(-1)[:: spoiled.numel() // 7] = value
    expected = convolve(f, k, semiring)
    through(node)
    assert torch.equal(convolve(f, k, semiring).nan_to_num(7, 8, 9), expected.nan_to_num(7, 8, 9))


@PER_EXAMPLE
@given(problem=problems())
def test_the_linear_convolution_errs_within_the_bound_of_its_sum(node, through, problem) -> None:
    f, k = (x.double() for x in problem)
    expected = reference.semiring_convolution(f, k, "linear")
    bound = reference.semiring_convolution(f.abs(), k.abs(), "linear") * math.prod(k.shape[2:]) * EPS
    through(node)
    assert ((convolve(*problem, "linear") - expected).abs() <= bound + 1e-30).all()


@PER_EXAMPLE
@given(seed=st.integers(0, 10**6), size=st.sampled_from([(1, 1), (4, 5), (17, 33)]), far=st.booleans())
def test_the_shift_errs_by_few_units(node, through, seed, size, far) -> None:
    generator = torch.Generator().manual_seed(seed)
    f = torch.randn(2, 3, 8, *size, generator=generator)
    by = (100 if far else 2) * torch.randn(3, 8, 3, generator=generator)
    expected = reference.shift(f.double(), by.double())
    through(node)
    # The fraction of a displacement keeps an error of one unit of the displacement.
    allowed = 16 * EPS * (1 + by.abs().max()) * f.abs().max()
    assert ((compiled.shift(f, by, "cpu") - expected).abs() <= allowed).all()


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize(
    ("table", "alpha"),
    [(ops.morphological_table, 0.65), (ops.morphological_table, 1.0), (ops.diffusion_table, 0.5)]
    + [(ops.diffusion_table, 1.0)],
)
def test_tables_are_those_of_the_library(node, through, estimate, table, alpha) -> None:
    w = torch.tensor([[1.0, 2.0, 0.7], [0.3, 0.2, 3.0]])
    how = {"alpha": alpha, "window": (5, 5, 5), "orientations": 8, "t": 0.8, "estimate": estimate}
    expected = table(w.double(), backend="reference", **how)
    through(node)
    # A power of b = 2 alpha / (2 alpha - 1) = 4.3 multiplies relative errors, and a square root takes half the digits.
    torch.testing.assert_close(table(w, backend="cpu", **how).double(), expected, rtol=64 * EPS, atol=EPS)


@pytest.mark.parametrize(("logarithmic", "expected"), [(True, SE2.log), (False, SE2.half_angle)])
def test_coordinates_are_those_of_the_library(node, logarithmic, expected) -> None:
    window, orientations = (5, 5, 7), 8
    i, j, m = torch.meshgrid(torch.arange(5) - 2, torch.arange(5) - 2, torch.arange(7) - 3, indexing="ij")
    q = torch.stack([m.float(), j.float(), i * (2 * math.pi / orientations)], dim=-1).contiguous()
    count = q.numel() // 3
    p, b = torch.empty(orientations, count, 3), torch.empty(orientations, count, 3)
    node.call("coordinates_relative", [q, p, orientations, count], blocks=orientations)
    elements = relative_elements(window, orientations, dtype=torch.float64).reshape(p.shape)
    torch.testing.assert_close(p.double(), elements, rtol=0, atol=8 * EPS)
    kernel = "coordinates_logarithmic" if logarithmic else "coordinates_half_angle"
    node.call(kernel, [p, b, orientations * count], blocks=1)
    torch.testing.assert_close(b.double(), expected(elements), rtol=0, atol=16 * EPS)


@pytest.mark.parametrize(("outputs", "width"), [(1, 3), (4, 8), (6, 21), (16, 64)])
def test_a_combination_mixes_channels_and_lifts(node, outputs, width) -> None:
    f, k, bias = torch.randn(3, 9, width + 2), torch.randn(outputs, 3, 3, 3), torch.randn(outputs)
    padded = -(-outputs // 4) * 4
    w, b = torch.zeros(27, padded), torch.zeros(padded)
    w[:, :outputs], b[:outputs] = k.flatten(1).T, bias
    offsets = torch.arange(f.numel()).view(f.shape)[:, :3, :3].reshape(-1).int()
    out = torch.empty(outputs, 7, width)
    sizes = [27, outputs, 7, width, width + 2]
    node.call("dense_combination", [f, w, b, offsets, out, *sizes], blocks=7)
    expected = torch.nn.functional.conv2d(f.double()[None], k.double(), bias.double())[0]
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=28 * EPS * 10)


def test_the_projection_is_the_maximum_and_keeps_a_nan(node) -> None:
    f = torch.randn(3, 8, 6, 7)
    f[1, 2, 3, 4], f[0, 7, 0, 0], f[2, 0, 5, 6] = math.nan, math.nan, math.inf
    out = torch.empty(3, 6, 7)
    node.call("dense_projection", [f, out, 8, 42], blocks=3)
    assert torch.equal(out.nan_to_num(99), f.amax(dim=1).nan_to_num(99))


PLANTED = {
    "tropical5": ("block.cuh", "4 * counts[t] <= 3 *", "4 * (counts[t] -= 1) <= 3 *"),
    "linear": ("semiring.cuh", "sum += *f * *k;", "sum += *f * *k * (A)1.001;"),
    "transport": ("shift.cu", "(1 - wy) + rows.load(0, 1", "wy + rows.load(0, 1"),
}


@pytest.mark.parametrize("unit", PLANTED)
def test_a_planted_error_is_caught(builder, start, through, tmp_path: Path, unit: str) -> None:
    file, right, wrong = PLANTED[unit]
    shutil.copytree(builder.SOURCES, tmp_path / "sources")
    text = (tmp_path / "sources" / file).read_text()
    assert right in text
    (tmp_path / "sources" / file).write_text(text.replace(right, wrong))
    f, k = torch.rand(1, 2, 8, 33, 21), 20 * torch.rand(2, 8, 5, 5, 5)
    k[:, :, 2, 2, 2] = 0
    if unit == "linear":
        k = k[..., :3, :3].contiguous()
    by = torch.full((2, 8, 3), 0.3)

    def compute() -> Tensor:
        if unit == "transport":
            return compiled.shift(f, by, "cpu")
        return convolve(f, k, "max_plus" if unit == "tropical5" else "linear")

    expected = compute()
    through(start(tmp_path / "kernels.wasm", tmp_path / "sources", {unit: builder.UNITS[unit]}))
    assert (compute() - expected).abs().max() > 1e-3
    assert machines.HOST.run.__self__.units.keys() == {unit}
