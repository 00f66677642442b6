"""The five-parameter metrics of M3 in layers: their numbers, their symmetries, and the diagonal ones among them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pdegcnn_lib.geometry import m3 as geometry
from pdegcnn_lib.kernels import diffusion_kernel, morphological_kernel
from pdegcnn_lib.nn import PDELayer, TrainableAxialMetric
from pdegcnn_lib.spaces import M3
from pdegcnn_lib.testing import equivariance_error
from tests.geometry.test_m3 import P0, D, points
from tests.kernels.test_m3 import turned
from tests.nn.test_m3 import CDDE, network

W = torch.tensor([[0.9, 2.1, 1.4], [1.0, 1.0, 0.5]], dtype=D)
METRIC = geometry.AxialMetric(W, torch.tensor([1.1, -0.2], dtype=D), torch.tensor([-0.7, 0.3], dtype=D))


@pytest.mark.parametrize(("count", "estimate"), [(6, "rho_c"), (14, "rho_b"), (26, "rho_b")])
def test_tables_are_equal_under_all_turns_and_not_under_reflections(count: int, estimate: str) -> None:
    """The same bits, as for diagonal metrics; the sum that divides diffusion's has another order (1e-15)."""
    space = M3(count)
    window = space.default_window()
    options = {"alpha": 1.0, "window": window, "space": space, "estimate": estimate}
    k, spread = morphological_kernel(METRIC, **options), diffusion_kernel(METRIC, **options)
    present = torch.isfinite(k)
    for turn in range(1, 24):
        moved = turned(torch.cat([k, spread]), space, turn)
        assert torch.equal(moved[:2], k) and (moved[2:] - spread).abs().max() <= 1e-15
    # b counts with another sign in a mirror, and a where n and -n are exchanged.
    opposite = (space.points() @ space.points().T).argmin(-1)
    lists = space.neighbours(window)
    moved = torch.full_like(k, torch.nan)
    for i, seen in enumerate(lists.tolist()):
        for slot, j in enumerate(seen):
            if j >= 0:
                other = int((lists[opposite[i]] == opposite[j]).nonzero()[0, 0])
                moved[:, i, slot] = k[:, opposite[i], other]
    assert (moved[present] - k[present]).abs().max() > 0.1
    assert (moved.flip(-3, -2, -1)[present] - k[present]).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, D])
@pytest.mark.parametrize("estimate", ["rho_b", "rho_c"])
def test_without_the_two_numbers_it_is_the_diagonal_metric_bit_for_bit(dtype, estimate: str) -> None:
    zero = torch.zeros(2, dtype=dtype)
    options = {"window": (9, 3, 3, 3), "space": M3(26), "estimate": estimate}
    for law, alpha in ((morphological_kernel, 0.65), (diffusion_kernel, 1.0)):
        diagonal = law(W.to(dtype), alpha=alpha, **options)
        assert torch.equal(
            law(geometry.AxialMetric(W.to(dtype), zero, zero), alpha=alpha, **options), diagonal
        )
    layer, usual = (
        PDELayer(2, 2, space=M3(6), terms=CDDE, metric=kind, estimate=estimate).to(dtype)
        for kind in ("axial", "diagonal")
    )
    for name, parameter in layer.named_parameters():
        if name.endswith("mixed"):
            nn.init.zeros_(parameter)
    state = {k.replace("metric.diagonal.", "metric."): v for k, v in layer.state_dict().items()}
    usual.load_state_dict({k: v for k, v in state.items() if not k.endswith("mixed")})
    f = torch.randn(1, 2, 6, 4, 4, 4, dtype=dtype)
    assert torch.equal(layer(f), usual(f))


@pytest.mark.parametrize(("c_in", "c_out"), [(8, 8), (16, 4)])
def test_the_number_of_parameters(c_in: int, c_out: int) -> None:
    for terms, numbers in ((CDDE[:1] + CDDE[2:], 11), (CDDE, 16)):
        layer = PDELayer(c_in, c_out, space=M3(6), terms=terms, metric="axial")
        count = sum(p.numel() for p in layer.parameters())
        assert count == numbers * c_in + c_in * c_out + 2 * c_out


def test_networks_commute_with_all_turns() -> None:
    errors = equivariance_error(network(M3(14), metric="axial"), torch.randn(1, 1, 6, 6, 6, dtype=D))
    assert len(errors) == 23 and max(errors.values()) < 1e-12


def test_any_numbers_make_a_metric() -> None:
    metric = TrainableAxialMetric(3, 3, (3, 3, 3))
    nn.init.constant_(metric.mixed, 1e6)
    made = metric()
    checked = geometry.AxialMetric(made.w, made.a, made.b)  # refuses what is not positive
    assert torch.linalg.eigvalsh(checked.matrix.double()).min() > 0
    assert torch.equal(checked[1:].parameters, checked.parameters[1:]) and checked.dim == 4
    metric.reset_parameters()
    assert metric.mixed.abs().max() < 1


def test_the_matrix_is_that_of_the_squared_length() -> None:
    v = torch.randn(50, 4, dtype=D, generator=torch.Generator().manual_seed(3))
    by_matrix = torch.einsum("ni,cij,nj->nc", v, METRIC.matrix, v)
    assert torch.allclose(METRIC.window_axes(1).squared(v).T, by_matrix, rtol=1e-13)


def test_both_estimates_agree_to_fourth_order() -> None:
    """The half-way frame and the logarithm differ by the factor r = 1 + O(beta^2) on coordinates of first order."""
    axial = METRIC[0]
    far = []
    for scale in (0.1, 0.05):
        p = points(500, 4)
        n = nn.functional.normalize(P0[3:] + scale * p[:, 3:], dim=-1)
        near = torch.cat([scale * p[:, :3], n], dim=-1)
        far.append((geometry.rho_b(P0, near, axial) ** 2 - geometry.rho_c(P0, near, axial) ** 2).abs().max())
    assert far[0] / far[1] == pytest.approx(16, rel=0.1)


def test_bad_input() -> None:
    with pytest.raises(
        ValueError, match="rho_b_com is defined for diagonal metrics only, got an AxialMetric; use"
    ):
        PDELayer(2, 2, space=M3(6), metric="axial", estimate="rho_b_com")(torch.zeros(1, 2, 6, 3, 3, 3))
    with pytest.raises(ValueError, match="metric must be one of diagonal, full, got 'axial'"):
        PDELayer(2, 2, metric="axial")
    with pytest.raises(ValueError, match=r"metric must have shape \[C, 5\], got \[2, 2, 5\]"):
        morphological_kernel(
            METRIC[torch.tensor([[0, 1], [1, 0]])], alpha=0.65, window=(5, 3, 3, 3), space=M3(6)
        )
