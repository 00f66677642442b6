"""The kernels on M3: equal under all turns, with their mass, their orbits, and wavelets that answer to lines."""

from __future__ import annotations

import pytest
import torch

from pdegcnn_lib.geometry import octahedral
from pdegcnn_lib.kernels.m3 import (
    diffusion_kernel_m3,
    line_wavelets,
    morphological_kernel_m3,
    orbits,
)
from pdegcnn_lib.spaces import M3

W = torch.tensor([[0.9, 2.1, 1.4], [1.0, 1.0, 0.5]], dtype=torch.float64)
COUNTS = pytest.mark.parametrize("count", [6, 13, 14, 26])


def turned(k: torch.Tensor, space: M3, turn: int) -> torch.Tensor:
    """What stands at the slot of the turned neighbour: `[C, N, KN, K, K, K]`, turned by R."""
    lists = space.neighbours((k.shape[2], 3, 3, 3))
    to = torch.argsort(octahedral.permutation(space.fibre, turn))
    i, slot = (lists >= 0).nonzero(as_tuple=True)
    # The slot, in the list of the turned direction, of the turned neighbour.
    same = lists[to[i]] == to[lists[i, slot]][:, None]
    assert (same.sum(1) == 1).all()
    out = torch.full_like(k, torch.nan)
    out[:, lists < 0] = k[:, lists < 0]
    out[:, to[i], same.int().argmax(1)] = octahedral.turn_volume(k[:, i, slot], turn)
    return out


@COUNTS
@pytest.mark.parametrize("estimate", ["rho_b", "rho_c", "rho_b_com", "rho_b_sr_covariant"])
def test_tables_are_equal_under_all_turns(count: int, estimate: str) -> None:
    space = M3(count)
    window = space.default_window()
    for law in (morphological_kernel_m3, diffusion_kernel_m3):
        k = law(W, alpha=1.0, window=window, space=space, estimate=estimate)
        for turn in range(1, 24):
            moved = turned(k, space, turn)
            finite = torch.isfinite(k)
            # Dilation's table: the same bits. Diffusion's is divided by a sum, whose order differs.
            allowed = 0.0 if law is morphological_kernel_m3 else 1e-15
            assert (moved[finite] - k[finite]).abs().max() <= allowed


@COUNTS
def test_a_kernel_sees_the_same_from_both_ends(count: int) -> None:
    """k(q^-1 p) = k(p^-1 q): the estimates do not change when the points are exchanged."""
    space = M3(count)
    window = space.default_window()
    k = morphological_kernel_m3(W, alpha=0.65, window=window, space=space)
    lists = space.neighbours(window)
    for i in range(count):
        for slot, j in enumerate(lists[i].tolist()):
            if j >= 0:
                back = int((lists[j] == i).nonzero()[0, 0])
                assert torch.equal(k[:, i, slot], k[:, j, back].flip(-3, -2, -1))


@COUNTS
def test_diffusion_has_mass_one_and_counts_directions_by_their_weights(count: int) -> None:
    space = M3(count)
    window = space.default_window()
    k = diffusion_kernel_m3(W, alpha=1.0, window=window, space=space)
    assert (k.flatten(2).sum(-1) - 1).abs().max() < 1e-14
    assert (k[:, space.absent(window)] == 0).all()
    flat = diffusion_kernel_m3(1e-6 * W, alpha=1.0, window=window, space=space)[0, 0, :, 1, 1, 1]
    q, lists = space.weights(), space.neighbours(window)[0]
    known = lists >= 0
    assert torch.allclose(flat[known] / flat[0], q[lists[known]] / q[0], rtol=1e-9)


@pytest.mark.parametrize(("count", "numbers"), [(6, 36), (14, 101), (13, 139), (26, 251)])
def test_the_number_of_orbits(count: int, numbers: int) -> None:
    space = M3(count)
    table, found = orbits(space, space.default_window())
    assert found == numbers == len(table[table >= 0].unique())
    assert torch.equal(turned(table[None].double(), space, 7), table[None].double())


@pytest.mark.parametrize(("count", "numbers"), [(6, 15), (14, 15), (26, 15), (13, 9)])
def test_a_lift_has_its_numbers_and_its_symmetry(count: int, numbers: int) -> None:
    basis = M3(count).lift_basis(5)
    assert basis.shape == (count, 125, numbers)
    assert {int(torch.linalg.matrix_rank(b)) for b in basis} == {numbers}
    volume = basis.movedim(-1, 0).unflatten(-1, (5, 5, 5))
    for turn in range(24):
        moved = octahedral.turn_volume(volume, turn)[:, octahedral.permutation(count, turn)]
        assert torch.equal(moved, volume)
    with pytest.raises(ValueError, match="size must be an odd positive integer, got 4"):
        M3(count).lift_basis(4)


@pytest.mark.parametrize("axis", [(0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 1.0)])
def test_line_wavelets_answer_to_lines(axis: tuple[float, float, float]) -> None:
    """A straight Gaussian tube (sigma 1.2): the right pair of directions wins, the next has half or less."""
    space, size = M3(26), 15
    psi = line_wavelets(space, size) / space.weights()[:, None, None, None]
    n = torch.nn.functional.normalize(torch.tensor(axis, dtype=torch.float64), dim=0)
    z, y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float64) - size // 2] * 3, indexing="ij")
    place = torch.stack([x, y, z], dim=-1)
    across2 = (place**2).sum(-1) - (place @ n) ** 2
    answer = (psi * torch.exp(-across2 / (2 * 1.2**2))).sum((1, 2, 3))
    first, order = answer.max(), answer.argsort(descending=True)
    assert {tuple(space.points()[i].sign().tolist()) for i in order[:2]} == {
        tuple(n.sign().tolist()),
        tuple((-n).sign().tolist()),
    }
    assert answer[order[2]] < 0.6 * first


def test_line_wavelets_share_the_mean() -> None:
    space = M3(14)
    assert torch.allclose(line_wavelets(space, 9).sum((1, 2, 3)), space.weights(), atol=1e-14)
    with pytest.raises(ValueError, match="size must be odd and sharpness positive, got 8"):
        line_wavelets(space, 8)


def test_bad_input() -> None:
    options = {"alpha": 0.65, "window": (5, 3, 3, 3), "space": M3(6)}
    with pytest.raises(ValueError, match="estimate must be one of rho_b, rho_c"):
        morphological_kernel_m3(W, estimate="rho", **options)
    with pytest.raises(ValueError, match="alpha must lie in"):
        morphological_kernel_m3(W, **{**options, "alpha": 0.4})
    with pytest.raises(ValueError, match="w must be positive and finite"):
        morphological_kernel_m3(-W, **options)
