"""What only a GPU can show: streams, graphs, devices, the deterministic mode. Run by `make gpu`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pdegcnn_lib import ops
from pdegcnn_lib.ops import compiled, reference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        compiled.availability()["cuda"] is not None, reason=str(compiled.availability()["cuda"])
    ),
]


def small(semiring: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    f = torch.randn(1, 2, 4, 9, 37, dtype=dtype, device="cuda", requires_grad=True)
    k = torch.rand(2, 4, 3, 5, 5, dtype=dtype, device="cuda", requires_grad=True)
    return f, k, torch.randn_like(f), compiled.semiring_convolution(f, k, semiring, "cuda")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
def test_small_problems_under_a_memory_checker(semiring: str, dtype: torch.dtype) -> None:
    f, k, g, out = small(semiring, dtype)
    grad_f, grad_k = torch.autograd.grad(out, (f, k), g)
    by = torch.randn(2, 4, 3, dtype=dtype, device="cuda", requires_grad=True)
    torch.autograd.grad(compiled.shift(f, by, "cuda"), (f, by), g)
    assert grad_f.isfinite().all() and grad_k.isfinite().all()


@pytest.mark.parametrize("semiring", ["max_plus", "min_plus"])
def test_the_deterministic_mode_gives_the_same_bits_every_time(semiring: str) -> None:
    f, k, g, out = small(semiring)
    usual = torch.autograd.grad(out, (f, k), g, retain_graph=True)
    torch.use_deterministic_algorithms(True)
    try:
        first = torch.autograd.grad(out, (f, k), g, retain_graph=True)
        for _ in range(5):
            for again, law in zip(torch.autograd.grad(out, (f, k), g, retain_graph=True), first, strict=True):
                assert torch.equal(again, law)
    finally:
        torch.use_deterministic_algorithms(False)
    for result, law in zip(usual, first, strict=True):
        torch.testing.assert_close(result, law, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")  # the compiler's advice for the product
@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty")  # one that the compiler keeps its memory by
@pytest.mark.parametrize("size", [1000, 5000])
def test_kernels_wait_for_what_comes_before_them_in_a_captured_graph(size: int) -> None:
    """A kernel on another stream than torch's current one would read the product before it is there."""

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.product = nn.Linear(size, size)

        def forward(self, x: Tensor, k: Tensor) -> Tensor:
            y = self.product(x)
            f = y.view(1, 1, 1, -1, size)
            return compiled.semiring_convolution(f, k, "max_plus", "cuda").sum()

    layer = Layer().cuda()
    x, k = torch.randn(size, size, device="cuda"), torch.rand(1, 1, 1, 3, 3, device="cuda")
    with torch.no_grad():
        expected = layer(x, k)
        captured = torch.compile(layer, mode="reduce-overhead", fullgraph=True)
        for _ in range(4):
            torch.testing.assert_close(captured(x, k), expected, rtol=1e-4, atol=1e-2)


def test_a_side_stream_is_obeyed() -> None:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        f = torch.ones(1, 1, 1, 64, 64, device="cuda")
        out = compiled.semiring_convolution(f, torch.zeros(1, 1, 1, 3, 3, device="cuda"), "max_plus", "cuda")
    stream.synchronize()
    assert out.eq(1).all()


def test_tensors_beyond_two_to_the_31_elements() -> None:
    if torch.cuda.mem_get_info()[0] < 20 * 2**30:
        pytest.skip("needs 20 GiB of free memory")
    f = torch.zeros(2**17 + 1, 1, 1, 128, 128, dtype=torch.float16, device="cuda")
    f[-1, 0, 0, 100, 100] = 1
    out = compiled.semiring_convolution(
        f, torch.zeros(1, 1, 1, 3, 3, dtype=f.dtype, device="cuda"), "max_plus", "cuda"
    )
    assert out[-1].sum() == 9 and out[:-1].count_nonzero() == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(2, 16, 8, 64, 64), (2, 5, 6, 9, 10, 11), (3, 7, 33)])
def test_a_normalised_linear_map_is_that_of_two_steps(size: tuple[int, ...], dtype: torch.dtype) -> None:
    f = torch.randn(size, dtype=dtype, device="cuda") + 1
    w = torch.randn(18, size[1], dtype=dtype, device="cuda")
    gain, offset = torch.rand(2, 18, dtype=dtype, device="cuda")
    g = torch.randn(size[0], 18, *size[2:], dtype=dtype, device="cuda")
    results = []
    for backend in ("cuda", "reference"):
        leaves = [x.clone().requires_grad_() for x in (f, w, gain, offset)]
        running = torch.zeros(18, dtype=dtype, device="cuda"), torch.ones(18, dtype=dtype, device="cuda")
        out = ops.normalised_linear(*leaves, *running, backend=backend)
        results.append([out.detach(), *running, *torch.autograd.grad(out, leaves, g)])
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-11}[
        dtype
    ]  # of sums over all points, which cancel in part
    for found, law in zip(*results, strict=True):
        assert (found - law).norm() <= tolerance * law.norm()
