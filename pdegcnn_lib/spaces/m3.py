"""Positions and orientations in space, on a grid of cubic voxels and directions that the turns of a cube keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pdegcnn_lib.geometry import m3, octahedral
from pdegcnn_lib.geometry.constant import constant, on
from pdegcnn_lib.geometry.estimates import Estimate, diagonal, sub_riemannian
from pdegcnn_lib.geometry.splines import quadratic_b_spline
from pdegcnn_lib.spaces.base import Space, Symmetry
from pdegcnn_lib.spaces.window import offsets

DIGITS = 1e12  # coordinates are rounded to so many digits, so that equal ones are equal after any turn
SLOTS = {6: 5, 8: 5, 12: 5, 13: 9, 14: 7, 18: 7, 26: 9}  # usual number of neighbours, a point itself included


def _logarithmic(c: Tensor) -> Tensor:
    return m3.three(m3.logarithmic(c))


ESTIMATES = {
    estimate.name: estimate
    for estimate in (
        m3.AxialEstimate("rho_b", r"$\rho_b$", m3.three, diagonal, "Diagonal"),
        m3.AxialEstimate("rho_c", r"$\rho_c$", _logarithmic, diagonal, "Diagonal", whole=m3.logarithmic),
        *(
            Estimate(
                f"{name}{suffix.lower()}",
                label,
                m3.three,
                partial(formula, nu=m3.NU, covariant=bool(suffix)),
                f"{word}{suffix[1:]}",
                m3.NU,
            )
            for suffix in ("", "_Covariant")
            for name, label, formula, word in (
                ("rho_b_sr", r"$\rho_{b,sr}$", sub_riemannian, "SubRiemannian"),
                ("rho_b_com", r"$\rho_{b,com}$", m3.combined, "CombinedAxial"),
            )
        ),
    )
}


@dataclass(frozen=True)
class M3(Space):
    r"""Positions and orientations in space, $\mathbb{M}_3 = SE(3)/SO(2)$: features `[B, C, N, D, H, W]`, axes z, y, x.

    The N directions are a union of orbits of the 24 turns of a cube: 6 (axes), 8 (corners), 12 (edges), 14, 18 or 26
    (all three); 13 are the lines of the 26, n and -n one point, without a forward direction and thus without
    convection. A window (KN, K, K, K) sees the neighbours within an angle that gives no direction more than KN of them
    (`geometry.octahedral.neighbours`), the point itself in the first slot; for lines KN is at most 11, without those at
    a right angle, which have no nearer end. Metrics are diagonal, (forward, sideways,
    turning), or `axial`, the five numbers of `geometry.m3.AxialMetric`, which tell n from -n and thus are not for
    lines; `rho_b` is the default estimate, exact for diagonal metrics where the first two agree.

    Raises: TypeError or ValueError for a number of directions that is none of these.
    """

    directions: int = 26

    axes = ("N", "D", "H", "W")
    positions = 3
    dim, lengths, velocities = 5, 3, 1

    def __post_init__(self) -> None:
        octahedral.check_directions(self.directions)

    @property
    def fibre(self) -> int:
        return self.directions

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("diagonal",) if self.undirected else ("diagonal", "axial")

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        return ESTIMATES

    @property
    def fibre_in_words(self) -> str:
        return f"sphere of {self.directions} directions"

    @property
    def undirected(self) -> bool:
        """Whether the points of the fibre are lines."""
        return self.directions == octahedral.LINES

    def points(self) -> Tensor:
        """The directions as unit vectors (x, y, z): `[N, 3]`."""
        return octahedral.directions(self.directions)

    uniform = False

    def weights(self) -> Tensor:
        return octahedral.quadrature_weights(self.directions)

    def neighbours(self, window: tuple[int, ...]) -> Tensor:
        return octahedral.neighbours(self.directions, window[0])

    @property
    def lists(self) -> bool:
        return True

    def absent(self, window: tuple[int, ...]) -> Tensor | None:
        lists = self.neighbours(window)
        return (lists < 0)[:, :, None, None, None].expand(*lists.shape, *window[1:])

    def check_window(self, window: tuple[int, ...]) -> tuple[int, ...]:
        window = super().check_window(window)
        if len(set(window[1:])) > 1:
            raise ValueError(f"window must be a cube in space to be turned, got {window}")
        if self.undirected and window[0] == self.fibre:
            raise ValueError(
                f"lines at a right angle have no nearer end: KN must be at most 11, got {window}"
            )
        return window

    def default_window(self, size: int = 3) -> tuple[int, ...]:
        """`size` voxels along each axis and the nearest neighbours: (9, 3, 3, 3) for 26 directions."""
        return (SLOTS[self.directions], size, size, size)

    def relative_elements(
        self,
        window: tuple[int, ...],
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """The half-angle coordinates (s_m, s_d, s_u, beta) of the point seen from each tap: `[N, KN, K, K, K, 4]`.

        The tap (s, i, j, l) is the s-th neighbour at (l - K/2, j - K/2, i - K/2); a line is seen from its nearer end,
        with |s_m| and |s_d|, whose signs would depend on the ends that two lines are given by.
        """
        return _relative(self, self.check_window(window)).to(dtype=dtype, device=device)

    def displacement(self, g0: Tensor) -> Tensor:
        r"""Forward by c: $c\,n$ for every direction n. Shapes: `g0 [C, 1]` -> `[C, N, 3]`, along x, y, z."""
        if self.undirected:
            raise ValueError("lines have no forward direction, so M3(13) has no convection")
        return g0[:, None] * on(g0, octahedral.directions, self.directions)

    def spans(self, window: tuple[int, ...]) -> tuple[int, ...]:
        """A window in space says what length scales suit it; the number of neighbours says nothing of the kind."""
        return window[1:]

    def reach(self, window: tuple[int, ...]) -> list[tuple[int, float]]:
        return [(window[1] // 2, 1.0)] * 2 + [(1, _widest(self, tuple(window)))]

    def lift_basis(self, size: int) -> Tensor:
        r"""The splines of a trained lift, symmetric about n: `[N, size^3, numbers]`, 15 numbers for size 5.

        $$B(x\cdot n - i)\,\big(B(|x_\perp| - j) + B(|x_\perp| + j)\big), \quad |i| \le size/2,\ 0 \le j \le size/2$$

        on the ball of this diameter, $B(|x_\perp|)$ alone for j = 0. Lines have even ones only (9 numbers).
        Raises: ValueError for an even size.
        """
        if not isinstance(size, int) or size < 1 or size % 2 == 0:
            raise ValueError(f"size must be an odd positive integer, got {size!r}")
        return _symmetric_splines(self, size)

    def symmetries(self) -> Mapping[int, Symmetry]:  # type: ignore[override]
        """The turns of the cube, by their number in `geometry.octahedral.rotations`."""
        return {turn: partial(self.turned, turn=turn) for turn in range(1, 24)}

    def turned(self, f: Tensor, turn: int) -> Tensor:
        r"""The action $(\rho_R f)(x, n) = f(R^{-1}x, R^{-1}n)$, also on volumes `[B, C, D, H, W]`."""
        if f.ndim < 5:
            return f
        if f.ndim == 6:
            f = f[:, :, octahedral.permutation(self.directions, turn).to(f.device)]
        return octahedral.turn_volume(f, turn)


@constant
def _widest(space: M3, window: tuple[int, ...]) -> float:
    """The largest angle between neighbours."""
    lists = space.neighbours(window)
    seen = octahedral.angles(space.directions).gather(1, lists.clamp(min=0))
    return float(torch.where(lists < 0, 0, seen).max())


@constant
def _relative(space: M3, window: tuple[int, ...]) -> Tensor:
    _, depth, height, width = window
    n = space.points()
    lists = space.neighbours(window)
    # A slot without a neighbour holds the point itself; `absent` says which those are.
    known = torch.where(lists < 0, torch.arange(space.fibre)[:, None], lists)
    z, y, x = torch.meshgrid(offsets(depth), offsets(height), offsets(width), indexing="ij")
    shape = (*lists.shape, *window[1:], 3)
    place = torch.stack([x, y, z], dim=-1).expand(shape)
    own = n[:, None, None, None, None].expand(shape)
    other = n[known][:, :, None, None, None].expand(shape)
    if space.undirected:
        other = torch.where((own * other).sum(-1, keepdim=True) < -1e-9, -other, other)
    q, p = torch.cat([place, other], dim=-1), torch.cat([torch.zeros_like(place), own], dim=-1)
    c = (m3.coordinates(q, p) * DIGITS).round() / DIGITS
    if space.undirected:  # given by their other ends two lines would have -m and -d, and the same u
        c[..., :2].abs_()
    return c


@constant
def _symmetric_splines(space: M3, size: int) -> Tensor:
    place = places(size)
    along = space.points() @ place.T
    across = ((place**2).sum(-1) - along**2).clamp(min=0).sqrt()
    half, values = size // 2, []
    for i in range(0 if space.undirected else -half, half + 1):
        main = quadratic_b_spline(along - i)
        if space.undirected and i:
            main = main + quadratic_b_spline(along + i)
        for j in range(half + 1):
            lateral = quadratic_b_spline(across - j) + (quadratic_b_spline(across + j) if j else 0)
            values.append(main * lateral)
    ball = (place**2).sum(-1) <= (size / 2) ** 2
    return ((torch.stack(values, dim=-1) * ball[:, None]) * DIGITS).round() / DIGITS


def places(size: int) -> Tensor:
    """The points (x, y, z) of a cubic window in the order of its axes z, y, x: `[size^3, 3]`."""
    z, y, x = torch.meshgrid(*[offsets(size)] * 3, indexing="ij")
    return torch.stack([x, y, z], dim=-1).reshape(-1, 3)
