"""The compiled kernel tables against the laws in plain torch."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from examples.groups_between import GroupsBetween
from pdegcnn_lib import ops
from pdegcnn_lib.geometry import DiagonalMetric
from pdegcnn_lib.geometry.constant import name_of, of_name
from pdegcnn_lib.geometry.estimates import ESTIMATES as ESTIMATES_OF_M2
from pdegcnn_lib.kernels import diffusion_kernel, morphological_kernel
from pdegcnn_lib.ops import compiled
from pdegcnn_lib.ops.compiled import library
from pdegcnn_lib.ops.compiled.laws import METRICS
from pdegcnn_lib.spaces import M2, M3, Sampled, Space, Volume

DEVICE = os.environ.get("PDEGCNN_TEST_DEVICE", "cpu")
ESTIMATES = ("rho_c", "rho_b", "rho_b_sr", "rho_b_com", "rho_b_sr_covariant", "rho_b_com_covariant")
LAWS = {"morphological": morphological_kernel, "diffusion": diffusion_kernel}
# Law, order, time.
CASES = [
    ("morphological", 0.65, 1.0),
    ("morphological", 0.55, 0.5),
    ("morphological", 1.0, 2.0),
    ("diffusion", 1.0, 1.0),
    ("diffusion", 1.0, 0.3),
    ("diffusion", 0.5, 1.0),
    ("diffusion", 0.5, 2.5),
]

pytestmark = pytest.mark.skipif(
    compiled.availability()[DEVICE] is not None, reason=str(compiled.availability()[DEVICE])
)


def table(w: Tensor, law: str, alpha: float, t: float, estimate: str) -> Tensor:
    k = compiled.kernel_table(w.to(DEVICE), law, alpha, (3, 5, 7), M2(8), t, estimate, "diagonal", DEVICE)
    assert k is not None
    return k.cpu()


def metrics(dtype: torch.dtype) -> Tensor:
    # Both orders of the spatial weights, near and far apart; equal ones are a kink of rho_b_com.
    w = torch.tensor([[1.0, 2, 1], [2, 1, 0.5], [1, 1.3, 1], [0.3, 8, 2], [3.5, 0.3, 0.7]])
    return w.to(dtype).requires_grad_()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize(("law", "alpha", "t"), CASES)
def test_table_and_gradient_are_those_of_the_law(
    law: str, alpha: float, t: float, estimate: str, dtype: torch.dtype
) -> None:
    def in_double(w: Tensor) -> Tensor:
        # The law itself loses digits of the coordinates in float32, the tables do not.
        return LAWS[law](w.double(), alpha=alpha, window=(3, 5, 7), orientations=8, t=t, estimate=estimate)

    w = metrics(dtype)
    result, expected = table(w, law, alpha, t, estimate), in_double(w)
    # Rounded coordinates and weights, whose relative error the power multiplies by its exponent, 5.5 at alpha = 0.55.
    # Of a Gaussian e^-x with x up to 200 the relative error is multiplied by x, which leaves x e^-x < 1.
    tolerance = 100 * torch.finfo(dtype).eps
    torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=tolerance)
    g = torch.randn_like(result)
    (grad,), (of_law,) = torch.autograd.grad(result, w, g), torch.autograd.grad(expected, w, g.double())
    (terms,) = torch.autograd.grad(in_double(w), w, g.double().abs())  # every term of the sum with one sign
    # Normalised tables subtract two sums; each is at most the largest |g| times the derivative of the profile.
    sums = terms.abs() + (g.abs().max() * 100 if law == "diffusion" else 0)
    assert ((grad - of_law).abs() <= tolerance * (1 + sums)).all()


@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("estimate", ESTIMATES)
def test_a_diffusion_table_has_mass_one(alpha: float, estimate: str) -> None:
    w = metrics(torch.float32)
    k = table(w, "diffusion", alpha, 1.0, estimate)
    assert (k >= 0).all()
    torch.testing.assert_close(k.sum((2, 3, 4)), torch.ones(5, 8), rtol=0, atol=1e-6)
    # So that a constant upstream gradient moves nothing.
    (grad,) = torch.autograd.grad(k.sum(), w)
    torch.testing.assert_close(grad, torch.zeros_like(grad), rtol=0, atol=1e-5)


def test_a_value_beyond_the_range_is_infinite_with_gradient_zero() -> None:
    w = torch.tensor([[1e12, 1.0, 1.0], [1.0, 1.0, 1.0]], requires_grad=True)
    result = table(w, "morphological", 0.65, 1.0, "rho_c")
    assert result[0].isinf().any() and result[1].isfinite().all()
    (grad,) = torch.autograd.grad(result[result.isfinite()].sum(), w)
    assert grad.isfinite().all()


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_a_metric_that_lets_nothing_through_leaves_the_identity(alpha: float) -> None:
    w = torch.full((1, 3), 1e12, requires_grad=True)
    k = table(w, "diffusion", alpha, 1.0, "rho_c")
    delta = torch.zeros_like(k)
    delta[:, :, 1, 2, 3] = 1
    torch.testing.assert_close(k, delta, rtol=0, atol=1e-20)
    (grad,) = torch.autograd.grad((k * torch.randn_like(k)).sum(), w)
    assert grad.isfinite().all()


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize(("law", "alpha"), [("morphological", 0.65), ("diffusion", 1.0), ("diffusion", 0.5)])
def test_gradcheck_and_opcheck(law: str, alpha: float, estimate: str) -> None:
    w = torch.rand(2, 3, dtype=torch.float64, device=DEVICE).add(0.4).requires_grad_()
    arguments = (w, law, name_of(M2(4)), [3, 3, 3], alpha, 1.0, estimate, "diagonal")
    assert torch.autograd.gradcheck(lambda w: library.kernel_table(w, *arguments[1:]), (w,))
    torch.library.opcheck(library.kernel_table, arguments)
    k = library.kernel_table(*arguments).detach()
    torch.library.opcheck(
        library.kernel_table_backward, (torch.randn_like(k), k, w.detach(), law, arguments[2], *arguments[4:])
    )


@pytest.mark.parametrize(
    ("operator", "alpha", "space", "window"),
    [
        (ops.morphological_table, 0.65, M2, (3, 5, 5)),
        (ops.diffusion_table, 1.0, M2, (3, 5, 5)),
        (ops.diffusion_table, 1.0, partial(M3, 8), (5, 3, 3, 3)),
        (ops.morphological_table, 0.65, Volume, (5, 5, 5)),
    ],
)
def test_torch_compile_takes_a_table_whole(operator, alpha: float, space, window: tuple[int, ...]) -> None:
    def kernel(w: Tensor) -> Tensor:
        return operator(DiagonalMetric(w), alpha=alpha, window=window, space=space(), backend=DEVICE) * 2

    torch._dynamo.reset()
    w = metrics(torch.float64).detach()[:, : space().lengths].to(DEVICE).requires_grad_()
    out, expected = torch.compile(kernel, fullgraph=True, backend="aot_eager")(w), kernel(w)
    assert torch.equal(out, expected)
    g = torch.randn_like(out)
    assert torch.equal(*(torch.autograd.grad(x, w, g)[0] for x in (out, expected)))


def test_a_table_has_code_where_the_law_is_closed() -> None:
    w = torch.ones(1, 3, device=DEVICE)
    for law, alpha, closed in [
        ("morphological", 0.5, False),
        ("morphological", 0.51, True),
        ("diffusion", 0.5, True),
        ("diffusion", 0.75, False),
    ]:
        found = compiled.kernel_table(w, law, alpha, (1, 3, 3), M2(4), 1.0, "rho_c", "diagonal", DEVICE)
        assert (found is not None) == closed


# One of each kind: lists with and without empty slots, a fibre without lists, none at all.
HEISENBERG = Sampled(GroupsBetween(0.0), range(-3, 4))
ELSEWHERE = [
    *((M3(8), estimate, "diagonal", "morphological", 0.65) for estimate in M3(8).estimates),
    (M3(26), "rho_b_com", "diagonal", "diffusion", 1.0),
    (M3(6), "rho_c", "diagonal", "diffusion", 0.5),
    (M3(8), "rho_c", "axial", "morphological", 0.65),
    (M3(8), "rho_b", "axial", "diffusion", 1.0),
    (Volume(), "rho_c", "diagonal", "diffusion", 0.5),
    (Volume(), "rho_c", "diagonal", "morphological", 0.65),
    (HEISENBERG, "rho_c", "diagonal", "morphological", 0.65),
]


def somewhere(space: Space, kind: str, dtype: torch.dtype) -> Tensor:
    w = metrics(dtype).detach()[:, : space.lengths]
    if kind == "axial":
        w = torch.cat([w, (w[:, 1] * w[:, 2])[:, None] * torch.tensor([0.5, -0.3], dtype=dtype)], dim=-1)
    return w.contiguous().requires_grad_()


@pytest.mark.parametrize(("space", "estimate", "kind", "law", "alpha"), ELSEWHERE)
def test_the_table_of_another_space_is_that_of_the_law(
    space: Space, estimate: str, kind: str, law: str, alpha: float
) -> None:
    window, w = space.default_window(3), somewhere(space, kind, torch.float64)
    k = compiled.kernel_table(w.to(DEVICE), law, alpha, window, space, 0.7, estimate, kind, DEVICE)
    assert k is not None
    metric = METRICS[kind].with_parameters(w)
    expected = LAWS[law](metric, alpha=alpha, window=window, space=space, t=0.7, estimate=estimate)
    # Some hundred units, as above.
    torch.testing.assert_close(k.cpu(), expected, rtol=1e-13, atol=1e-13)
    g = torch.randn_like(expected).masked_fill(expected.isinf(), 0)
    (grad,), (of_law,) = (torch.autograd.grad(x, w, g.to(x.device)) for x in (k, expected))
    torch.testing.assert_close(grad, of_law, rtol=1e-11, atol=1e-12 * of_law.abs().max().item())
    if law == "diffusion":
        mass = k.flatten(1 + len(space.kernels)).sum(-1)
        torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-14)


@pytest.mark.parametrize("space", [M3(8), Volume()])
def test_a_table_in_single_precision_is_that_of_the_law_in_double(space: Space) -> None:
    window, w = space.default_window(3), somewhere(space, "diagonal", torch.float32)
    options = {"alpha": 0.65, "window": window, "space": space}
    k = ops.morphological_table(w.to(DEVICE), backend=DEVICE, **options).cpu()
    expected = morphological_kernel(w.double(), **options)
    torch.testing.assert_close(k.double(), expected, rtol=100 * torch.finfo(k.dtype).eps, atol=0)


@pytest.mark.parametrize(
    ("space", "estimate", "kind", "law", "alpha"),
    [
        (M3(8), "rho_b_com", "diagonal", "morphological", 0.65),
        (M3(8), "rho_b", "axial", "diffusion", 1.0),
        (Volume(), "rho_c", "diagonal", "diffusion", 0.5),
    ],
)
def test_gradcheck_and_opcheck_elsewhere(
    space: Space, estimate: str, kind: str, law: str, alpha: float
) -> None:
    w = somewhere(space, kind, torch.float64)[2:3].detach().to(DEVICE).requires_grad_()
    rest = (alpha, 1.0, estimate, kind)
    arguments = (w, law, name_of(space), [*[3] * len(space.kernels), *[3] * space.positions], *rest)
    finite = library.kernel_table(*arguments).isfinite()

    def values(w: Tensor) -> Tensor:
        return library.kernel_table(w, *arguments[1:])[finite]

    assert torch.autograd.gradcheck(values, (w,))
    assert torch.autograd.gradgradcheck(values, (w,))  # by the law, of the space that was named
    torch.library.opcheck(library.kernel_table, arguments)
    k = library.kernel_table(*arguments).detach()
    g = torch.randn_like(k).masked_fill(k.isinf(), 0)
    torch.library.opcheck(library.kernel_table_backward, (g, k, w.detach(), *arguments[1:3], *rest))


def test_an_axial_metric_that_rounding_makes_negative_has_length_zero() -> None:
    """Beyond the bound the squared length would be negative: it is 0 with gradient 0, as in the law."""
    w = torch.tensor([[1.0, 1, 1, 3, 0]], dtype=torch.float64, requires_grad=True)
    options = {"alpha": 1.0, "window": (5, 3, 3, 3), "space": M3(6), "estimate": "rho_b"}
    k = compiled.kernel_table(
        w.to(DEVICE), "morphological", 1.0, (5, 3, 3, 3), M3(6), 1.0, "rho_b", "axial", DEVICE
    )
    expected = morphological_kernel(METRICS["axial"].with_parameters(w), **options)
    torch.testing.assert_close(k.cpu(), expected, rtol=1e-13, atol=1e-13)
    assert (k == 0).sum() > 6


def test_all_layers_on_named_estimates_and_diagonal_metrics_are_compiled() -> None:
    for space in (M2(4), M3(6), Volume(), HEISENBERG):
        w = torch.ones(1, space.lengths, device=DEVICE, requires_grad=True)
        options = {"alpha": 0.65, "window": space.default_window(3), "space": space}
        assert "kernel_table" in ops.morphological_table(w, **options).grad_fn.name()
        assert all(estimate.word for estimate in space.estimates.values())


def test_an_operator_is_told_the_space_that_is_meant() -> None:
    """Two that write themselves alike have two names, and equal ones one."""

    class Alike(GroupsBetween):
        def __repr__(self) -> str:
            return "a group"

    one, other = (Sampled(Alike(nu), (0.0, 1.0)) for nu in (0.0, 0.5))
    assert repr(one) == repr(other) and name_of(one) != name_of(other)
    assert of_name(name_of(one)) == one and of_name(name_of(other)) == other
    assert name_of(M3(8)) == name_of(M3(directions=8)) == "M3(directions=8)"


def test_a_word_with_other_coordinates_than_a_metric_has_lengths_is_refused(monkeypatch) -> None:
    narrow = replace(ESTIMATES_OF_M2["rho_c"], coordinates=lambda p: p[..., :2])
    monkeypatch.setitem(ESTIMATES_OF_M2, "narrow", narrow)
    with pytest.raises(
        ValueError, match="narrow needs 3 coordinates on M2.* to be compiled, one for each .* got 2"
    ):
        ops.morphological_table(
            torch.ones(1, 3, device=DEVICE), alpha=0.65, window=(3, 3, 3), estimate="narrow"
        )
