"""Convection, dilation and erosion by one operator, against the three one after the other."""

from __future__ import annotations

import math
import os

import pytest
import torch
from torch import Tensor

from pdegcnn_lib import nn, ops
from pdegcnn_lib.ops import compiled
from pdegcnn_lib.ops.compiled import host, library, passes
from pdegcnn_lib.ops.compiled.machines import HOST
from pdegcnn_lib.ops.compiled.sources import TRIAL
from pdegcnn_lib.spaces import M2, M3, Plane

pytestmark = [
    pytest.mark.skipif(host.unavailable() is not None, reason=str(host.unavailable())),
    pytest.mark.skipif(os.environ.get("PDEGCNN_TEST_DEVICE", "cpu") != "cpu", reason="about the host"),
]

# As many volumes as make a pass, of which no row is a multiple of a vector; one row that is; too few; too large.
SIZES = [(16, 4, 3, 9, 19), (8, 8, 1, 4, 16), (1, 3, 4, 9, 17), (64, 1, 2, 190, 190)]


def problem(size: tuple[int, ...], dtype: torch.dtype = torch.float32, window: int = 5) -> list[Tensor]:
    """f, g0 and both kernels, which want gradients."""
    c, n = size[1:3]
    kernels = [torch.rand(c, n, 3 if n >= 3 else 1, across, across) for across in (window, 3)]
    tensors = [torch.randn(size), torch.randn(c, 3), *kernels]
    return [x.to(dtype).requires_grad_() for x in tensors]


def three(f: Tensor, g0: Tensor, dilating: Tensor, eroding: Tensor, **options: object) -> Tensor:
    f = ops.convection(f, g0, **options)
    return ops.erosion(ops.dilation(f, dilating, **options), eroding, **options)


def both_ways(evolve, tensors: list[Tensor]) -> list[Tensor]:
    out = evolve(*tensors)
    g = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
    return [out.detach(), *torch.autograd.grad(out, tensors, g)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_bit_is_that_of_the_three_operators(size, dtype):
    tensors = problem(size, dtype)
    for found, law in zip(both_ways(ops.evolution, tensors), both_ways(three, tensors), strict=True):
        assert torch.equal(found, law)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_layouts_change_no_bit(threads):
    tensors = problem(SIZES[0])
    law = both_ways(three, tensors)
    strange = [x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_() for x in tensors]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for given in (tensors, strange):
            for found, one in zip(both_ways(ops.evolution, given), law, strict=True):
                assert torch.equal(found, one)
    finally:
        torch.set_num_threads(before)


def test_nan_and_infinities_stay_in_their_volume():
    tensors = problem(SIZES[0])
    with torch.no_grad():
        tensors[0][3, 1, 0, 2, 2], tensors[0][5, 2, 1, 3, 3], tensors[0][7, 0, 2, 8, 18] = (
            math.nan,
            math.inf,
            -math.inf,
        )
    for found, law in zip(both_ways(ops.evolution, tensors), both_ways(three, tensors), strict=True):
        assert torch.equal(found.isnan(), law.isnan()) and torch.equal(found.nan_to_num(), law.nan_to_num())
    assert both_ways(ops.evolution, tensors)[0].isnan().flatten(2).any(2).nonzero().tolist() == [[3, 1]]


@pytest.mark.parametrize("space", [Plane(), M3(6)])
def test_other_spaces_run_the_three(space):
    f = torch.randn(2, 3, *space.kernels, *[7] * space.positions, requires_grad=True)
    k = torch.rand(3, *space.kernels, *space.default_window(3), requires_grad=True)
    tensors = [
        f,
        torch.randn(3, space.velocities, requires_grad=True),
        k,
        k.detach().clone().requires_grad_(),
    ]
    for found, law in zip(
        both_ways(lambda *t: ops.evolution(*t, space=space), tensors),
        both_ways(lambda *t: three(*t, space=space), tensors),
        strict=True,
    ):
        assert torch.equal(found, law)


def test_gradcheck_to_the_second_derivative():
    tensors = problem((1, 1, 3, 3, 3), torch.float64, 3)
    assert torch.autograd.gradcheck(ops.evolution, tensors, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(ops.evolution, tensors)


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script:DeprecationWarning"
)  # torch itself, at the first tangent
def test_transformations_of_torch_see_the_law():
    tensors = problem((2, 2, 3, 4, 5), torch.float64, 3)

    def loss(*tensors: Tensor) -> Tensor:
        return ops.evolution(*tensors).square().sum()

    plain = [x.detach() for x in tensors]
    law = torch.autograd.grad(loss(*tensors), tensors)
    torch.testing.assert_close(torch.func.grad(loss, (0, 1, 2, 3))(*plain), law)
    _, tangent = torch.func.jvp(loss, tuple(plain), tuple(plain))
    torch.testing.assert_close(tangent, sum((a * b).sum() for a, b in zip(law, plain, strict=True)))


def test_opcheck_and_torch_compile():
    tensors = problem((16, 4, 3, 5, 6))
    by = M2(3).displacement(tensors[1]).detach().requires_grad_()
    f, _, dilating, eroding = tensors
    torch.library.opcheck(library.evolve, (f, by, dilating, eroding))
    out, *taps = library.evolve(f.detach(), by.detach(), dilating.detach(), eroding.detach())
    kept = [x.detach() for x in (f, by, dilating, eroding)]
    torch.library.opcheck(library.evolve_backward, (torch.randn_like(out), *kept, *taps))
    torch._dynamo.reset()
    whole = torch.compile(ops.evolution, fullgraph=True, backend="aot_eager")
    for found, law in zip(both_ways(whole, tensors), both_ways(three, tensors), strict=True):
        assert torch.equal(found, law)


def test_autocast_takes_kernels_beside_16_bit_features_unrounded():
    f, *others = problem(SIZES[0])
    f = f.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        results = [both_ways(evolve, [f, *others]) for evolve in (ops.evolution, three)]
    for found, law in zip(*results, strict=True):
        assert found.dtype == law.dtype and torch.equal(found, law)


def test_a_layer_is_one_operator_unless_somebody_looks(monkeypatch):
    calls = []
    evolution = ops.evolution
    monkeypatch.setattr(ops, "evolution", lambda *t, **options: calls.append(1) or evolution(*t, **options))
    layer = nn.PDELayer(4, 4, orientations=4, window=(3, 3, 3), steps=2)
    f = torch.randn(16, 4, 4, 9, 11)
    out = layer(f)
    assert len(calls) == 2
    seen = []
    handle = layer.evolution["dilation"].register_forward_hook(lambda module, inputs, out: seen.append(out))
    assert torch.equal(layer(f), out) and len(seen) == 2 and len(calls) == 2
    handle.remove()
    layer.evolution["erosion"].backend = "reference"
    torch.testing.assert_close(layer(f), out, rtol=0, atol=1e-5)  # batch normalisation rounds otherwise
    assert len(calls) == 2


def test_a_pass_that_fails_leaves_nothing_to_wait():
    f, by = torch.arange(1.0, 5), torch.tensor([1.0, 0, 0])

    def shifted() -> Tensor:
        out = torch.zeros(4)
        HOST.launch(TRIAL, "shift", [f, by, out, 1, 1, 1, 4, 1], blocks=1, shared_bytes=4096)
        return out

    with pytest.raises(RuntimeError, match="in between"), passes.one_pass(1):
        waiting = shifted()
        raise RuntimeError("in between")
    assert not waiting.any()
    assert shifted().tolist() == [1, 1, 2, 3]
    with passes.one_pass(1):
        waiting = shifted()
        assert not waiting.any()
    assert waiting.tolist() == [1, 1, 2, 3]


def test_arguments_that_do_not_fit_are_refused():
    f, g0, dilating, eroding = problem(SIZES[2])
    with pytest.raises(ValueError, match=r"g0 must have shape \[C, 3\]"):
        ops.evolution(f, g0[:2], dilating, eroding)
    with pytest.raises(ValueError, match="must be odd"):
        ops.evolution(f, g0, dilating, eroding[..., :2])
    with pytest.raises(TypeError, match="dtype of f"):
        ops.evolution(f, g0, dilating.double(), eroding)
    with pytest.raises(ValueError, match="needs tensors on that device"):
        compiled.evolution(f, g0, dilating, eroding, "cuda")
