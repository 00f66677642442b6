"""The compiled operators as citizens of torch: opcheck, torch.compile, threads, determinism, second derivatives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pdegcnn_lib import nn, ops
from pdegcnn_lib.kernels import lift_kernel, morphological_kernel
from pdegcnn_lib.ops import compiled, reference
from pdegcnn_lib.ops.compiled import convolution, host, library, sources
from pdegcnn_lib.ops.compiled.machines import HOST
from pdegcnn_lib.ops.compiled.sources import Call, Unit
from pdegcnn_lib.spaces import M2, M3, Space, Volume

# `make gpu` runs this file with the operators on the GPU.
DEVICE = os.environ.get("PDEGCNN_TEST_DEVICE", "cpu")

pytestmark = pytest.mark.skipif(
    compiled.availability()[DEVICE] is not None, reason=str(compiled.availability()[DEVICE])
)


def tensors(dtype: torch.dtype = torch.float32, *, grad: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    shapes = ((2, 3, 4, 9, 17), (3, 4, 3, 5, 5), (3, 4, 3))
    f, k, by = (torch.randn(shape, dtype=dtype, device=DEVICE, requires_grad=grad) for shape in shapes)
    return f, k, by


def dense_permuted(x: Tensor) -> Tensor:
    """The same values in another dense order of memory."""
    return x.detach().transpose(-1, -2).contiguous().transpose(-1, -2).requires_grad_(x.requires_grad)


@pytest.mark.parametrize("layout", ["contiguous", "permuted"])
def test_opcheck(layout: str) -> None:
    f, k, by = tensors()
    if layout == "permuted":
        f, k, by = dense_permuted(f), dense_permuted(k), dense_permuted(by)
    out = library.semiring_convolution(f, k, "log").detach()
    g, taps = torch.randn_like(f), library.tropical_convolution(f, k, "max_plus")[1]
    for operator, arguments in [
        (library.semiring_convolution, (f, k, "linear")),
        (library.semiring_convolution, (f, k, "log")),
        (library.tropical_convolution, (f, k, "max_plus")),
        (library.tropical_convolution, (f, k, "min_plus")),
        (library.tropical_convolution_backward, (g, taps, k.detach(), "max_plus")),
        (library.smooth_gradient_input, (g, f.detach(), k.detach(), out, "log")),
        (library.smooth_gradient_kernel, (g, f.detach(), k.detach(), out, "linear")),
        (library.shift, (f, by)),
        (library.shift, (f, by, False)),
        (library.shift_gradient_input, (g, by.detach())),
        (library.shift_gradient_displacement, (g, f.detach(), by.detach())),
    ]:
        torch.library.opcheck(operator, arguments)


# Two volumes: the first sees itself, the second the first and itself.
LISTS = [0, -1, 0, 1]


def volumes() -> tuple[Tensor, Tensor, Tensor]:
    """f, k and an upstream gradient for LISTS, in float64."""
    f, g = torch.randn(2, 1, 3, 2, 3, 4, 5, device=DEVICE, dtype=torch.float64)
    k = torch.rand(3, 2, 2, 3, 3, 3, device=DEVICE, dtype=torch.float64)
    return f.requires_grad_(), k.requires_grad_(), g


def test_opcheck_with_lists_of_volumes() -> None:
    f, k, g = volumes()
    out = library.semiring_convolution(f, k, "log", LISTS).detach()
    taps = library.tropical_convolution(f, k, "max_plus", LISTS)[1]
    for operator, arguments in [
        (library.semiring_convolution, (f, k, "log", LISTS)),
        (library.tropical_convolution, (f, k, "max_plus", LISTS)),
        (library.tropical_convolution_backward, (g, taps, k.detach(), "max_plus", LISTS)),
        (library.smooth_gradient_input, (g, f.detach(), k.detach(), out, "log", LISTS)),
        (library.smooth_gradient_kernel, (g, f.detach(), k.detach(), out, "linear", LISTS)),
    ]:
        torch.library.opcheck(operator, arguments)


@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
def test_lists_of_volumes_agree_with_the_reference_to_the_second_derivative(semiring: str) -> None:
    f, k, g = volumes()
    g.requires_grad_()  # in which all first derivatives are linear

    def all_of(convolve: Callable[..., Tensor]) -> list[Tensor]:
        out = convolve(f, k, semiring, lists=LISTS)
        grads = torch.autograd.grad(out, (f, k), g, create_graph=True)
        twice = torch.autograd.grad(
            sum(x.square().sum() for x in grads), (f, k, g), allow_unused=True, materialize_grads=True
        )
        return [out, *grads, *twice]

    found = all_of(lambda *given, **lists: compiled.semiring_convolution(*given, DEVICE, **lists))
    for result, law in zip(found, all_of(reference.semiring_convolution), strict=True):
        # Sums of at most 54 products, and of as many of those, of order ten.
        torch.testing.assert_close(result, law, rtol=1e-10, atol=1e-10)


def test_lists_that_do_not_fit_are_refused() -> None:
    f, k, _ = volumes()
    for wrong in ([0, -1, 0], [0, -1, 0, 2], [1, -1, 0, 1]):
        with pytest.raises(ValueError, match="lists must name 2 of 2 volumes.*itself included"):
            compiled.semiring_convolution(f, k, "max_plus", DEVICE, wrong)


@pytest.mark.parametrize("space", [M3(6), Volume()])
def test_torch_compile_takes_spaces_with_volumes_whole(space: Space) -> None:
    shape = (1, 2, *space.kernels, 4, 5, 3)
    f = torch.randn(shape, device=DEVICE, dtype=torch.float64)
    k = torch.rand(2, *space.kernels, *space.default_window(3), device=DEVICE, dtype=torch.float64)
    torch._dynamo.reset()
    whole = torch.compile(ops.dilation, fullgraph=True, backend="aot_eager")
    assert torch.equal(
        whole(f, k, space=space, backend=DEVICE), ops.dilation(f, k, space=space, backend=DEVICE)
    )


@pytest.mark.parametrize("space", [M2(4), M3(6), M3(14)])
def test_a_space_that_is_made_while_a_graph_is_traced_is_that_one(space: Space) -> None:
    """Its tables are looked up for it, and not for the space of the usual number of points."""
    of, points = type(space), space.fibre
    w = torch.rand(2, 3, dtype=torch.float64) + 0.5
    numbers = torch.randn(2, 1, *space.lift_basis(3).shape[2:], dtype=torch.float64)
    f = torch.randn(1, 2, points, *[4] * space.positions, dtype=torch.float64, device=DEVICE)
    window = space.default_window(3)

    def called(w: Tensor, numbers: Tensor, f: Tensor) -> tuple[Tensor, ...]:
        k = morphological_kernel(w, alpha=0.65, window=window, space=of(points))
        moved = ops.dilation(f, k.to(f), space=of(points), backend=DEVICE)
        return lift_kernel(numbers, space=of(points), size=3), k, moved

    torch._dynamo.reset()
    whole = torch.compile(called, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(whole(w, numbers, f), called(w, numbers, f), rtol=0, atol=1e-12)


@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
def test_torch_compile_takes_the_operators_whole(semiring: str) -> None:
    def layer(f: Tensor, k: Tensor, by: Tensor) -> Tensor:
        moved = compiled.shift(f, by, DEVICE)
        return compiled.semiring_convolution(moved, k, semiring, DEVICE) * 2

    torch._dynamo.reset()
    whole = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for width in (17, 12, 19):
        f, k, by = tensors(torch.float64)
        f = (
            f.detach()[..., :width].requires_grad_()
            if width <= 17
            else torch.randn(2, 3, 4, 9, width, device=DEVICE).double()
        )
        f.requires_grad_()
        g = torch.randn_like(f)
        expected, out = layer(f, k, by), whole(f, k, by)
        assert torch.equal(out, expected)
        for result, law in zip(
            torch.autograd.grad(out, (f, k, by), g), torch.autograd.grad(expected, (f, k, by), g), strict=True
        ):
            # On a GPU the sums of the scatter have no fixed order.
            torch.testing.assert_close(result, law, rtol=0, atol=0 if DEVICE == "cpu" else 1e-12)


@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
def test_a_second_derivative_is_that_of_the_reference(semiring: str) -> None:
    f, k, _ = tensors(torch.float64)
    g = torch.randn_like(f, requires_grad=True)

    def second(convolve: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, ...]:
        (grad_f,) = torch.autograd.grad(convolve(f, k), f, g, create_graph=True)
        return torch.autograd.grad(grad_f.square().sum(), (g, k), allow_unused=True, materialize_grads=True)

    found = second(lambda f, k: compiled.semiring_convolution(f, k, semiring, DEVICE))
    law = second(lambda f, k: reference.semiring_convolution(f, k, semiring))
    torch.testing.assert_close(found, law, rtol=1e-10, atol=1e-10)


def test_a_second_derivative_of_the_shift_is_that_of_the_reference() -> None:
    f, _, by = tensors(torch.float64)

    def second(shift: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, ...]:
        (grad_by,) = torch.autograd.grad(shift(f, by).square().sum(), by, create_graph=True)
        return torch.autograd.grad(grad_by.square().sum(), (f, by))

    found, law = second(lambda f, by: compiled.shift(f, by, DEVICE)), second(reference.shift)
    torch.testing.assert_close(found, law, rtol=1e-10, atol=1e-10)


on_the_host = pytest.mark.skipif(DEVICE != "cpu", reason="about the host's threads and compiler")


@on_the_host
@pytest.mark.parametrize("semiring", reference.SEMIRINGS)
def test_results_do_not_depend_on_the_number_of_threads(semiring: str) -> None:
    f, k, by = tensors()
    g = torch.randn_like(f)

    def everything() -> list[Tensor]:
        out = compiled.semiring_convolution(compiled.shift(f, by, DEVICE), k, semiring, DEVICE)
        return [out, *torch.autograd.grad(out, (f, k, by), g)]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = everything()
        torch.set_num_threads(5)
        for _ in range(3):
            for result, law in zip(everything(), expected, strict=True):
                assert torch.equal(result, law)
    finally:
        torch.set_num_threads(before)


@on_the_host
def test_the_gather_of_the_deterministic_mode_is_the_scatter() -> None:
    """The host always scatters in one order; the gather kernels that a GPU takes instead are called directly."""
    f, k, _ = tensors(torch.float64, grad=False)
    for semiring, sign in (("max_plus", 1), ("min_plus", -1)):
        taps = library.tropical_convolution(f, k, semiring)[1]
        g = torch.randn_like(f)
        grad_f, grad_k = library.tropical_convolution_backward(g, taps, k, semiring)
        unit = Unit("tropical_backward", (("SCALAR", "double"), ("CODE", "Code8"), ("GRID", "Circle")))
        by_gather, partial = torch.empty_like(f), f.new_empty(f.shape[0], *k.shape)
        planes = f.shape[0] * f.shape[1] * f.shape[2]
        HOST.launch(
            unit,
            "tropical_gather_input",
            [g, taps, by_gather, None, 1, *f.shape[2:], 1, *k.shape[2:]],
            blocks=planes,
        )
        HOST.launch(
            unit,
            "tropical_gather_kernel",
            [g, taps, partial, sign, *f.shape[3:], k[0, 0].numel()],
            blocks=planes,
        )
        torch.testing.assert_close(by_gather, grad_f, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(partial.sum(0), grad_k, rtol=1e-12, atol=1e-12)


@on_the_host
@pytest.mark.parametrize("deterministic", [False, True])
def test_a_machine_without_an_order_gathers_in_the_deterministic_mode(
    monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    """Which kernels a GPU would be given; the host runs them, on one thread, as its blocks would add at once."""
    launched: list[str] = []

    def run(call: Call) -> None:
        launched.append(call.kernel)
        host.run(call)

    f, k, _ = tensors(torch.float64, grad=False)
    g, taps = torch.randn_like(f), library.tropical_convolution(f, k, "max_plus")[1]
    expected = convolution.tropical_backward(g, taps, k, "max_plus")
    unordered = replace(HOST, owns_channels=False, run=run)
    monkeypatch.setattr(convolution, "machine_of", lambda x: unordered)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(deterministic)
    try:
        found = convolution.tropical_backward(g, taps, k, "max_plus")
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)
    assert launched == (
        ["tropical_gather_input", "tropical_gather_kernel"] if deterministic else ["tropical_scatter"]
    )
    for result, law in zip(found, expected, strict=True):
        torch.testing.assert_close(result, law, rtol=1e-12, atol=1e-12)


def test_what_the_forward_keeps_is_one_byte_for_each_output() -> None:
    f, k, _ = tensors()
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        compiled.semiring_convolution(f, k, "max_plus", DEVICE)
    assert sum(x.nbytes for x in saved if x.data_ptr() != k.data_ptr()) == f.numel()


def test_importing_the_library_compiles_nothing_and_leaves_cupy_alone() -> None:
    """Nor does asking what is available, but for a GPU: a kernel is tried on it."""
    code = (
        "import sys, torch, pdegcnn_lib.ops.compiled as c; assert 'cupy' not in sys.modules; "
        "c.availability(); assert torch.cuda.is_available() or 'cupy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=Path(__file__).parents[2])


@on_the_host
def test_without_a_compiler_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "compiler", lambda: None)
    assert "install g++" in str(compiled.availability()["cpu"])


@on_the_host
def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no_such_semiring"):
        host.build(
            Unit("semiring_convolution"),
            tmp_path / "never.so",
            [
                *host.FLAGS,
                *sources.contract(),
                "-DSCALAR=float",
                "-DSEMIRING=no_such_semiring",
                "-DWINDOW_ROWS=0",
                "-DWINDOW_COLUMNS=0",
            ],
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("storage", [torch.bfloat16, torch.float16])
def test_a_layer_runs_under_autocast_with_the_scores_stored_in_16_bits(storage: torch.dtype) -> None:
    layer = nn.PDELayer(3, 4, window=(3, 5, 5), orientations=4, backend=DEVICE).to(DEVICE)
    f = tensors(grad=False)[0]
    expected = layer(f)
    with torch.autocast(DEVICE, storage):
        out = layer(f.to(storage))
    out.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in layer.parameters())
    # Three operators and a normalisation, each of which rounds values of a few units.
    torch.testing.assert_close(out.float(), expected, rtol=0, atol=32 * torch.finfo(storage).eps)


@pytest.mark.skipif(torch.__version__ < "2.7", reason="torch 2.6 cannot translate list[int]")
def test_signatures_are_those_that_torch_reads():
    operators = [o for o in vars(library).values() if isinstance(o, torch._library.custom_ops.CustomOpDef)]
    assert len(operators) == 16
    for operator in operators:
        launch = operator._init_fn
        assert library.schema(launch) == torch.library.infer_schema(launch, mutates_args=())
