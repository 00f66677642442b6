"""The turns of a cube and the directions they keep: against definitions point by point, and spherical harmonics."""

from __future__ import annotations

import math

import pytest
import torch

from pdegcnn_lib.geometry import octahedral as cube

COUNTS = (6, 8, 12, 13, 14, 18, 26)


def test_there_are_24_turns_and_they_form_a_group() -> None:
    r = cube.rotations()
    assert torch.equal(r[0], torch.eye(3, dtype=r.dtype))
    keys = {tuple(m.flatten().tolist()) for m in r}
    assert len(keys) == 24 and (torch.linalg.det(r) == 1).all()
    assert {tuple((a @ b + 0.0).flatten().tolist()) for a in r for b in r} <= keys


@pytest.mark.parametrize("turn", range(24))
def test_a_turned_volume_is_read_at_the_turned_point(turn: int) -> None:
    f = torch.arange(125.0).reshape(5, 5, 5)
    moved, inverse = cube.turn_volume(f, turn), cube.rotations()[turn].T
    for z, y, x in torch.cartesian_prod(*[torch.arange(5)] * 3).tolist():
        a, b, c = (inverse @ torch.tensor([x - 2.0, y - 2, z - 2], dtype=torch.float64)).long().tolist()
        assert moved[z, y, x] == f[c + 2, b + 2, a + 2]


def test_a_grid_that_is_no_cube_is_not_turned() -> None:
    with pytest.raises(ValueError, match=r"D = H = W, got \[4, 5, 5\]"):
        cube.turn_volume(torch.zeros(4, 5, 5), 1)


@pytest.mark.parametrize("count", COUNTS)
def test_turns_permute_the_directions(count: int) -> None:
    n = cube.directions(count)
    assert n.shape == (count, 3)
    for turn, matrix in enumerate(cube.rotations()):
        moved = n[cube.permutation(count, turn)] @ matrix.T
        difference = (moved - n).abs().amax(-1)
        if count == cube.LINES:
            difference = torch.minimum(difference, (moved + n).abs().amax(-1))
        assert difference.max() < 1e-15
        assert cube.permutation(count, turn).unique().numel() == count


@pytest.mark.parametrize(("count", "degree"), [(6, 3), (8, 3), (12, 3), (14, 5), (18, 5), (26, 7), (13, 7)])
def test_quadrature_is_exact_to_its_degree_and_no_further(count: int, degree: int) -> None:
    """Means of monomials over the sphere: (a-1)!!(b-1)!!(c-1)!!/(a+b+c+1)!! for even powers, 0 otherwise."""

    def odd_factorial(m: int) -> int:
        return math.prod(range(m, 0, -2))

    n, q = cube.directions(count), cube.quadrature_weights(count)
    assert q.sum().item() == pytest.approx(1, abs=1e-15)
    error = {}
    for total in range(degree + 2):
        if count == cube.LINES and total % 2:
            continue  # an odd function has no values on lines
        worst = 0.0
        for a in range(total + 1):
            for b in range(total + 1 - a):
                c = total - a - b
                even = all(m % 2 == 0 for m in (a, b, c))
                exact = (
                    math.prod(odd_factorial(m - 1) for m in (a, b, c)) / odd_factorial(total + 1)
                    if even
                    else 0
                )
                found = (q * n[:, 0] ** a * n[:, 1] ** b * n[:, 2] ** c).sum().item()
                worst = max(worst, abs(found - exact))
        error[total] = worst
    assert max(e for total, e in error.items() if total <= degree) < 1e-15
    assert error[degree + 1] > 1e-3


@pytest.mark.parametrize(
    ("count", "most", "pairs", "degrees"),
    [(6, 5, 30, 91.0), (14, 7, 86, 71.0), (26, 9, 218, 61.0), (26, 5, 122, 46.0), (13, 9, 109, 61.0)],
)
def test_neighbours_are_all_within_an_angle(count: int, most: int, pairs: int, degrees: float) -> None:
    lists = cube.neighbours(count, most)
    assert int((lists >= 0).sum()) == pairs
    assert torch.equal(lists[:, 0], torch.arange(count))
    largest = math.radians(degrees)
    for i in range(count):
        inside = {j for j in range(count) if cube.angles(count)[i, j] <= largest}
        assert set(lists[i].tolist()) - {-1} == inside


@pytest.mark.parametrize("count", COUNTS)
def test_the_relation_of_neighbours_is_symmetric_and_turns_with_the_cube(count: int) -> None:
    lists = cube.neighbours(count, 5)
    pairs = {(i, j) for i in range(count) for j in lists[i].tolist() if j >= 0}
    assert pairs == {(j, i) for i, j in pairs}
    for turn in range(24):
        origin = cube.permutation(count, turn).tolist()
        assert pairs == {
            (i, j) for i in range(count) for j in range(count) if (origin[i], origin[j]) in pairs
        }


@pytest.mark.parametrize("count", [0, 7, 20, 24])
def test_sets_that_the_turns_do_not_keep_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"closed under the 24 turns.*got {count}"):
        cube.directions(count)
    with pytest.raises(TypeError, match="directions must be an int, got '26'"):
        cube.directions("26")
