"""The path to a GPU, walked without one: launches as for CuPy, warps of 32 lanes, blocks of 256 threads.

The host's build has blocks of one thread and other words for lanes. Here the words are those of a GPU, on
`simulated_gpu.h`, and the launches those of `ops.compiled.device`; the law is the reference.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pdegcnn_lib import nn, ops
from pdegcnn_lib.geometry import DiagonalMetric
from pdegcnn_lib.kernels import diffusion_kernel, morphological_kernel
from pdegcnn_lib.ops import compiled, reference
from pdegcnn_lib.ops.compiled import convolution, device, host, machines
from pdegcnn_lib.spaces import M2, M3, Volume

pytestmark = pytest.mark.skipif(host.unavailable() is not None, reason=str(host.unavailable()))

# Larger than a tile along x, several groups of orientations, a last row and column that stand alone.
SHAPE = (2, 2, 4, 17, 69)
EPS = {torch.float32: 1e-5, torch.float64: 1e-12, torch.float16: 2e-3, torch.bfloat16: 2e-2}


def problem(window: tuple[int, int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    f, g = torch.randn(2, *SHAPE, dtype=torch.float64).to(dtype)
    return f, torch.rand(*SHAPE[1:3], *window, dtype=torch.float64).to(dtype), g


def both_ways(operator, inputs: tuple[Tensor, Tensor], upstream: Tensor) -> list[Tensor]:
    leaves = [x.detach().requires_grad_() for x in inputs]
    out = operator(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, upstream)]


def assert_close(found: list[Tensor], law: list[Tensor], dtype: torch.dtype) -> None:
    for result, expected in zip(found, law, strict=True):
        assert result.dtype == dtype
        scale = max(1.0, expected.abs().max().item())
        torch.testing.assert_close(result.double(), expected.double(), rtol=0, atol=EPS[dtype] * scale)


def simulated_and_law(semiring: str, f: Tensor, k: Tensor, g: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """A convolution and its gradients, on the simulated GPU and by the reference in double precision."""
    found = both_ways(lambda f, k: compiled.semiring_convolution(f, k, semiring, "cpu"), (f, k), g)
    law = both_ways(
        lambda f, k: reference.semiring_convolution(f, k, semiring), (f.double(), k.double()), g.double()
    )
    return found, law


CASES = [
    *((semiring, (3, 5, 5), dtype) for semiring in reference.SEMIRINGS for dtype in EPS),
    *((semiring, (3, 3, 3), torch.float32) for semiring in reference.SEMIRINGS),
    *(("max_plus", window, torch.float32) for window in ((3, 7, 7), (1, 3, 5), (3, 9, 17))),
    *((semiring, (1, 1, 5), torch.float32) for semiring in ("linear", "log")),
]


@pytest.mark.parametrize(("semiring", "window", "dtype"), CASES)
def test_convolution_and_its_gradients_agree_with_the_reference(gpu, semiring, window, dtype) -> None:
    f, k, g = problem(window, dtype)
    found, law = simulated_and_law(semiring, f, k, g)
    assert_close(found, law, dtype)
    without_gradients = compiled.semiring_convolution(f, k, semiring, "cpu")
    torch.testing.assert_close(without_gradients, found[0], rtol=EPS[dtype], atol=EPS[dtype])
    assert "semiring_convolution" in gpu.launched


# Three volumes of five planes, one more than a block takes, and the two or three that each of them reads, itself never
# in the same slot.
LISTS = [0, 2, -1, 0, 1, 2, 1, -1, 2]


def listed(window: tuple[int, int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    f, g = torch.randn(2, 1, 2, 3, 5, 9, 35, dtype=torch.float64).to(dtype)
    return f, torch.rand(2, 3, 3, *window, dtype=torch.float64).to(dtype), g


@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
@pytest.mark.parametrize("deterministic", [False, True])
def test_lists_of_volumes_agree_with_the_reference(gpu, semiring, deterministic) -> None:
    f, k, g = listed((3, 3, 3), torch.float64)
    torch.use_deterministic_algorithms(deterministic)
    try:
        found = both_ways(lambda f, k: compiled.semiring_convolution(f, k, semiring, "cpu", LISTS), (f, k), g)
    finally:
        torch.use_deterministic_algorithms(False)
    law = both_ways(lambda f, k: reference.semiring_convolution(f, k, semiring, LISTS), (f, k), g)
    assert_close(found, law, torch.float64)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("itemsize", [4, 8])
def test_a_tile_of_any_directions_fits_shared_memory(monkeypatch, size, itemsize) -> None:
    monkeypatch.setattr(device, "multiprocessors", lambda: 132)
    for directions in (6, 13, 14, 18, 26):
        space = M3(directions)
        window = space.default_window(size)
        lists = tuple(space.neighbours(window).flatten().tolist())
        of = convolution.Problem(8 * directions, 8, directions, 32, 32, 32, window, lists)
        assert convolution.plan(of, machines.DEVICE, itemsize).shared_bytes <= machines.DEVICE.fast_bytes


# Five volumes that see each other through a window of 7^3, in float64: the bytes of a tile, and of sums for each tap.
MANY = [*range(5)] * 5
TILE, SUMS = (7 * 14 * 64 + 5 * 343) * 8, 5 * 343 * (8 + 8 * 8)


@pytest.mark.parametrize("gpu", ["forwards"], indirect=True)
@pytest.mark.parametrize(
    ("most", "gradient"),
    [(SUMS, ["tropical_scatter"]), (SUMS - 1, ["tropical_gather_input", "tropical_gather_kernel"])],
)
def test_a_large_window_asks_for_the_memory_that_there_is(gpu, most, gradient) -> None:
    gpu.most_shared_bytes = most
    f, g = torch.randn(2, 1, 1, 5, 5, 7, 9, dtype=torch.float64)
    k = torch.rand(1, 5, 5, 7, 7, 7, dtype=torch.float64)
    found = both_ways(lambda f, k: compiled.semiring_convolution(f, k, "max_plus", "cpu", MANY), (f, k), g)
    law = both_ways(lambda f, k: reference.semiring_convolution(f, k, "max_plus", MANY), (f, k), g)
    assert_close(found, law, torch.float64)
    assert gpu.launched == ["semiring_convolution", *gradient]
    gpu.most_shared_bytes = TILE - 1
    device.most_shared_bytes.cache_clear()
    device._function.cache_clear()
    with pytest.raises(ValueError, match=rf"fit the {TILE - 1} bytes .* needs {TILE}: take a smaller window"):
        compiled.semiring_convolution(f, k, "max_plus", "cpu", MANY)


@pytest.mark.parametrize("gpu", ["forwards"], indirect=True)
def test_a_launch_that_needs_less_memory_takes_none_from_one_that_needs_more(gpu) -> None:
    """As when a network is trained on images of one size and judged on those of another."""
    w, (gain, offset) = torch.randn(3, 16), torch.rand(2, 3)
    for side in (32, 21, 32):
        f = torch.randn(1, 16, side, side)
        found = ops.normalised_linear(f, w, gain, offset, backend="cpu")
        law = ops.normalised_linear(f, w, gain, offset, backend="reference")
        torch.testing.assert_close(found, law, rtol=0, atol=1e-4)
    assert gpu.launched == 3 * ["moments", "mix"]


@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
def test_lists_with_a_value_that_is_not_finite_take_the_careful_path(gpu, semiring) -> None:
    f, k, _ = listed((3, 3, 3), torch.float32)
    f[0, 1, 2, 3, 8, 20], f[0, 0, 1, 0, 0, 0] = float("nan"), float("inf")
    found = compiled.semiring_convolution(f, k, semiring, "cpu", LISTS)
    law = reference.semiring_convolution(f, k, semiring, LISTS)
    torch.testing.assert_close(found, law, rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_block_with_a_value_that_is_not_finite_takes_the_careful_path(gpu, semiring, value) -> None:
    f, k, _ = problem((3, 3, 3), torch.float32)
    f[1, 1, 3, 16, 40] = value
    torch.testing.assert_close(
        compiled.semiring_convolution(f, k, semiring, "cpu"),
        reference.semiring_convolution(f, k, semiring),
        rtol=1e-5,
        atol=1e-5,
        equal_nan=True,
    )


@pytest.mark.parametrize("semiring", ["max_plus", "min_plus"])
def test_the_deterministic_mode_gathers_the_same_sums(gpu, semiring) -> None:
    f, k, g = problem((3, 5, 5), torch.float64)
    torch.use_deterministic_algorithms(True)
    try:
        found, law = simulated_and_law(semiring, f, k, g)
    finally:
        torch.use_deterministic_algorithms(False)
    assert_close(found, law, torch.float64)
    assert gpu.launched == ["semiring_convolution", "tropical_gather_input", "tropical_gather_kernel"]


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("reach", [0.4, 30.0])
@pytest.mark.parametrize("periodic", [True, False])
def test_the_shift_and_its_gradients_agree_with_the_reference(gpu, dtype, reach, periodic) -> None:
    f, g = torch.randn(2, *SHAPE, dtype=torch.float64).to(dtype)
    by = (torch.randn(*SHAPE[1:3], 3, dtype=torch.float64) * reach).to(dtype)
    found = both_ways(lambda f, by: compiled.shift(f, by, "cpu", periodic), (f, by), g)
    law = both_ways(lambda f, by: reference.shift(f, by, periodic), (f.double(), by.double()), g.double())
    assert_close(found[:2], law[:2], dtype)
    # A gradient of the displacement is a sum over all pixels of products of order one.
    torch.testing.assert_close(found[2].double(), law[2], rtol=0, atol=30 * EPS[dtype] * law[2].abs().max())
    assert gpu.launched == ["shift", "shift_gradient_input", "shift_gradient_displacement"]


def test_an_evolution_is_the_three_operators_one_after_the_other(gpu) -> None:
    f, k = torch.randn(SHAPE), torch.rand(*SHAPE[1:3], 3, 5, 5)
    results = []
    for backend in ("cpu", "reference"):
        leaves = [x.clone().requires_grad_() for x in (f, torch.full((SHAPE[1], 3), 0.4), k, k.flip(2))]
        out = ops.evolution(*leaves, backend=backend)
        weight = torch.linspace(-1, 1, out.numel()).reshape(out.shape)
        results.append([out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)])
    for found, law in zip(*results, strict=True):
        torch.testing.assert_close(
            found, law, rtol=0, atol=100 * EPS[torch.float32] * max(1.0, law.abs().max().item())
        )
    assert gpu.launched == [
        "shift",
        *["semiring_convolution"] * 2,
        *["tropical_scatter"] * 2,
        *["shift_gradient_input", "shift_gradient_displacement"],
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixing_normalising_and_projection_agree_with_the_reference(gpu, dtype) -> None:
    f, w = torch.randn(2, 5, 4, 17, 69, dtype=dtype) + 1, torch.randn(18, 5, dtype=dtype)
    gain, offset = torch.rand(2, 18, dtype=dtype)
    results = []
    for backend in ("cpu", "reference"):
        leaves = [x.clone().requires_grad_() for x in (f, w, gain, offset)]
        out = ops.projection(ops.normalised_linear(*leaves, backend=backend), backend=backend)
        weight = torch.linspace(-1, 1, out.numel(), dtype=dtype).reshape(out.shape)
        results.append([out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)])
    for found, law in zip(*results, strict=True):
        torch.testing.assert_close(
            found, law, rtol=0, atol=10 * EPS[dtype] * max(1.0, law.abs().max().item())
        )
    assert gpu.launched == ["moments", "mix", "projection_gradient", "moments", "mix"]


@pytest.mark.parametrize(
    "estimate", ["rho_c", "rho_b", "rho_b_sr", "rho_b_com", "rho_b_sr_covariant", "rho_b_com_covariant"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_kernel_table_and_its_gradient_agree_with_the_law(gpu, dtype, estimate) -> None:
    w = torch.tensor([[1.0, 2, 1], [2, 1, 0.5], [0.3, 8, 2]], dtype=dtype, requires_grad=True)
    k = compiled.kernel_table(w, "morphological", 0.65, (3, 5, 7), M2(8), 1.0, estimate, "diagonal", "cpu")
    law = morphological_kernel(
        DiagonalMetric(w.double()), alpha=0.65, window=(3, 5, 7), orientations=8, estimate=estimate
    )
    torch.testing.assert_close(k.double(), law, rtol=1e3 * EPS[dtype], atol=1e-9)
    upstream = torch.rand_like(k) / law.detach().to(dtype).clamp(min=1)
    (found,), (expected,) = (torch.autograd.grad(x, w, upstream.to(x.dtype)) for x in (k, law))
    torch.testing.assert_close(found, expected, rtol=1e3 * EPS[dtype], atol=1e3 * EPS[dtype])
    assert gpu.launched == ["kernel_table", "kernel_table_backward"]


@pytest.mark.parametrize(("space", "window"), [(M3(8), (5, 3, 3, 3)), (Volume(), (3, 5, 7))])
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_the_table_of_another_space_agrees_with_the_law(gpu, space, window, alpha) -> None:
    w = torch.rand(3, space.lengths).add(0.4).requires_grad_()
    k = compiled.kernel_table(w, "diffusion", alpha, window, space, 1.0, "rho_c", "diagonal", "cpu")
    law = diffusion_kernel(w.double(), alpha=alpha, window=window, space=space, estimate="rho_c")
    torch.testing.assert_close(k.double(), law, rtol=1e3 * EPS[w.dtype], atol=EPS[w.dtype])
    upstream = torch.rand_like(k)
    (found,), (expected,) = (torch.autograd.grad(x, w, upstream.to(x.dtype)) for x in (k, law))
    torch.testing.assert_close(found, expected, rtol=1e3 * EPS[w.dtype], atol=1e2 * EPS[w.dtype])
    assert gpu.launched == ["kernel_table", "kernel_table_backward"]


def test_a_training_step_of_a_layer_is_that_of_the_reference(gpu) -> None:
    layer = nn.PDELayer(3, 2, window=(3, 5, 5), orientations=4, backend="reference")
    other = nn.PDELayer(3, 2, window=(3, 5, 5), orientations=4, backend="cpu")
    torch.nn.init.normal_(layer.evolution.convection.g0)  # whole displacements are kinks of the interpolation
    other.load_state_dict(layer.state_dict())
    f, g = torch.randn(2, 3, 4, 9, 33), torch.randn(2, 2, 4, 9, 33)
    for one in (layer, other):
        one(f).backward(g)
    assert {"shift", "semiring_convolution", "tropical_scatter", "kernel_table"} <= set(gpu.launched)
    for result, law in zip(other.parameters(), layer.parameters(), strict=True):
        scale = max(1.0, law.grad.abs().max().item())
        torch.testing.assert_close(result.grad, law.grad, rtol=0, atol=1e-4 * scale)


def convolve(semiring: str) -> None:
    """A convolution without gradients, with an assertion of its values."""
    f, k, _ = problem((3, 5, 5), torch.float32)
    found = compiled.semiring_convolution(f, k, semiring, "cpu")
    assert_close([found], [reference.semiring_convolution(f, k, semiring)], torch.float32)


def convolve_back(semiring: str) -> None:
    """The gradient to the kernel, with an assertion of its values."""
    f, k, g = problem((3, 5, 5), torch.float32)
    found, law = simulated_and_law(semiring, f, k, g)
    assert_close(found[2:], law[2:], torch.float32)


# A fault in a copy of the source: the sound text, the faulty one, who meets it in which semiring. None of them makes an
# address, so that the process lives on.
FAULTS = {
    "no barrier behind the tile": (
        *("return __syncthreads_or(flag);", "return flag;"),
        *(convolve, "max_plus"),
    ),
    "no barrier before the sums of a tap are read": (
        *("__syncthreads();\n\n    const long long first_sum", "const long long first_sum"),
        *(convolve_back, "max_plus"),
    ),
    "a sum over half a warp": (
        *("step = 16; step > 0; step /= 2) value +=", "step = 8; step > 0; step /= 2) value +="),
        *(convolve_back, "linear"),
    ),
    "lanes that write where others do": (
        *("(row + threadIdx.x % 32)[x] = values;", "(row + threadIdx.x % 16)[x] = values;"),
        *(convolve, "linear"),
    ),
}


@pytest.mark.parametrize("gpu", ["forwards"], indirect=True)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(gpu, fault) -> None:
    sound, faulty, run, semiring = FAULTS[fault]
    gpu.edits.append((sound, faulty))
    with pytest.raises(AssertionError, match="not close"):
        run(semiring)


@pytest.mark.parametrize("gpu", ["forwards"], indirect=True)
def test_a_barrier_that_some_threads_do_not_reach_is_found(gpu) -> None:
    gpu.edits.append(("return __syncthreads_or(flag);", "return threadIdx.x < 64 && __syncthreads_or(flag);"))
    with pytest.raises(RuntimeError, match="wait for others that do not come"):
        convolve("max_plus")


@pytest.mark.parametrize("gpu", ["forwards"], indirect=True)
def test_too_little_shared_memory_is_found(gpu, monkeypatch) -> None:
    plan = convolution.plan
    monkeypatch.setattr(
        convolution,
        "plan",
        lambda *given: replace(plan(*given), shared_bytes=plan(*given).shared_bytes - 4),
    )
    with pytest.raises(RuntimeError, match="a write behind the end of shared memory"):
        convolve("max_plus")
