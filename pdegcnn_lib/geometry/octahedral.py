r"""The 24 turns of a cube, and the sets of directions that they leave as they are.

A grid of cubic voxels has these rotations as exact symmetries, so a layer on M3 is exactly equivariant where its
directions are a union of their orbits: the 6 axes, the 12 edges, the 8 corners of a cube, and more.
"""

from __future__ import annotations

from itertools import permutations, product

import torch
from torch import Tensor

from pdegcnn_lib.geometry.constant import constant

# The orbits in each set and the quadrature weight of one direction of each, exact to the degree of Lebedev's rules.
AXES, EDGES, CORNERS = (0, 0, 1), (0, 1, 1), (1, 1, 1)
SETS: dict[int, dict[tuple[int, int, int], float]] = {
    6: {AXES: 1 / 6},
    8: {CORNERS: 1 / 8},
    12: {EDGES: 1 / 12},
    14: {AXES: 1 / 15, CORNERS: 3 / 40},
    18: {AXES: 1 / 30, EDGES: 1 / 15},
    26: {AXES: 1 / 21, EDGES: 4 / 105, CORNERS: 9 / 280},
}
LINES = 13  # the 26 directions without their signs


@constant
def rotations() -> Tensor:
    """The 24 turns of a cube as matrices on (x, y, z), the identity first: `[24, 3, 3]`, float64."""
    found = []
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            matrix = torch.zeros(3, 3, dtype=torch.float64)
            matrix[range(3), order] = torch.tensor(signs, dtype=torch.float64)
            if torch.linalg.det(matrix) > 0:
                found.append(matrix)
    return torch.stack(found)


def check_directions(count: int) -> int:
    """Return the number of directions if there is a set of so many that the turns of a cube keep; raise otherwise."""
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"directions must be an int, got {count!r}")
    if count not in SETS and count != LINES:
        raise ValueError(
            f"directions must be one of {', '.join(map(str, SETS))}, the sets that are closed under the 24 turns of a "
            f"cube, or {LINES} for the lines of the 26, got {count}"
        )
    return count


def _orbit(corner: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """All signed permutations of three numbers, largest first, so that each -n comes after its n."""
    signed = {
        (a * x, b * y, c * z) for x, y, z in permutations(corner) for a, b, c in product((1, -1), repeat=3)
    }
    return sorted(signed, reverse=True)


def _listed(count: int) -> list[tuple[int, int, int]]:
    return [n for corner in SETS[count] for n in _orbit(corner)]


@constant
def directions(count: int) -> Tensor:
    """The unit vectors of a set of directions, axes, then edges, then corners: `[count, 3]` as (x, y, z), float64.

    13 stands for the lines of the 26: of each pair the half that comes first.
    Raises: TypeError or ValueError for a number without a set.
    """
    whole = 26 if check_directions(count) == LINES else count
    found = _listed(whole)
    if count == LINES:
        found = [n for n in found if n > (0, 0, 0)]
    vectors = torch.tensor(found, dtype=torch.float64)
    return vectors / torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)


@constant
def quadrature_weights(count: int) -> Tensor:
    r"""The weights $q_n$ of the mean over the sphere, $\sum_n q_n f(n)$, of sum 1: `[count]`, float64.

    Exact for polynomials up to degree 3 (6, 8 or 12 directions), 5 (14, 18) and 7 (26 directions); on 13 lines to
    degree 7 for even ones, an odd one has no values there.
    Source: Lebedev's rules. Errors as in `directions`.
    """
    if check_directions(count) == LINES:
        return 2 * quadrature_weights(26)[[i for i, n in enumerate(_listed(26)) if n > (0, 0, 0)]]
    return torch.tensor([w for corner, w in SETS[count].items() for _ in _orbit(corner)], dtype=torch.float64)


@constant
def angles(count: int) -> Tensor:
    """The angle between each two directions, of lines the smaller one: `[count, count]`, radians, float64."""
    n = directions(count)
    cosine = n @ n.T
    sine = torch.linalg.vector_norm(torch.linalg.cross(n[:, None], n[None]), dim=-1)
    found = torch.atan2(sine, cosine.abs() if count == LINES else cosine)
    # Rounded so that angles that are equal in exact arithmetic are equal here, whatever turns lie between.
    return (found * 1e12).round() / 1e12


@constant
def neighbours(count: int, most: int) -> Tensor:
    """For each direction those within an angle, itself first, then by angle: `[count, most]`, -1 where there are fewer.

    The angle is the largest that gives no direction more than `most` of them. So the relation is symmetric, and the
    turns of a cube keep it. With 26 directions, `most` = 9 is all within 61 degrees: 9 for axes, edges; 7 for corners.
    """
    angle = angles(count)
    reach = 0.0
    for candidate in angle.unique().tolist():
        if int((angle <= candidate).sum(-1).max()) > most:
            break
        reach = candidate
    inside = angle <= reach
    lists = torch.full((count, most), -1)
    for i in range(count):
        near = inside[i].nonzero()[:, 0]
        lists[i, : len(near)] = near[torch.argsort(angle[i, near], stable=True)]
    return lists


@constant
def permutation(count: int, turn: int) -> Tensor:
    """Which direction the turn R carries to each one, so that `f[permutation]` is f at R^-1 n: `[count]`."""
    n = directions(count)
    cosine = n @ (n @ rotations()[turn].T).T  # [at, from]
    return (cosine.abs() if count == LINES else cosine).argmax(-1)


def turn_volume(f: Tensor, turn: int) -> Tensor:
    r"""The action $(\rho_R f)(x) = f(R^{-1}x)$ of a turn about the centre of a cubic grid, exact.

    Shapes: `[..., D, H, W]` with axes z, y, x and D = H = W. Raises: ValueError where the grid is not cubic.
    """
    if len(set(f.shape[-3:])) > 1:
        raise ValueError(f"a turn of the cube needs a grid with D = H = W, got {list(f.shape[-3:])}")
    inverse = rotations()[turn].T
    # Axis a of the result (a = x, y, z) moves along axis |column| of f: x lies last, so axes count from the end.
    sources = inverse.abs().argmax(dim=0).tolist()
    order = [0, 0, 0]
    for a, source in enumerate(sources):
        order[2 - a] = f.ndim - 1 - source
    moved = f.permute(*range(f.ndim - 3), *order)
    reversed_axes = [f.ndim - 1 - a for a, source in enumerate(sources) if inverse[source, a] < 0]
    return moved.flip(reversed_axes)
