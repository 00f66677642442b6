"""Positions alone: the plane and the volume, on which the distance of an invariant metric is exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pdegcnn_lib.geometry.estimates import NORM, Estimate
from pdegcnn_lib.geometry.octahedral import turn_volume
from pdegcnn_lib.spaces.base import Space, Symmetry
from pdegcnn_lib.spaces.turns import quarter_turn
from pdegcnn_lib.spaces.window import offsets

COMPOSED = {NORM.name: replace(NORM, word=None)}


class _Flat(Space):
    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.positions

    lengths = velocities = dim

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        return {NORM.name: NORM}

    def relative_elements(
        self,
        window: tuple[int, ...],
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """The vectors from the neighbours to the point: `[*window, positions]`, x first."""
        steps = [-offsets(n, dtype=dtype, device=device) for n in self.check_window(window)]
        return torch.stack(torch.meshgrid(*steps, indexing="ij")[::-1], dim=-1)

    def displacement(self, g0: Tensor) -> Tensor:
        """The vector of the convection itself: `[C, positions]` -> `[C, 3]`."""
        return torch.nn.functional.pad(g0, (0, 3 - self.positions))

    def reach(self, window: tuple[int, ...]) -> list[tuple[int, float]]:
        return [(min(window) // 2, 1.0)] * self.positions


@dataclass(frozen=True)
class Plane(_Flat):
    r"""The plane $\mathbb{R}^2$, the homogeneous space of its translations: features `[B, C, H, W]`.

    Its metrics are full by default, which an anisotropic layer needs to have any orientation. The grid has the quarter
    turns too; layers commute with them where their metrics are round.
    """

    axes = ("H", "W")
    positions = 2
    usual_metric = "full"
    metrics = ("diagonal", "full", "finsler")

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """The norm, without its word in the sources: a small table takes as long either way, and so keeps every bit."""
        return COMPOSED

    def symmetries(self) -> Mapping[int, Symmetry]:  # type: ignore[override]
        return {n: partial(quarter_turn, turns=n) for n in (1, 2, 3)}


@dataclass(frozen=True)
class Volume(_Flat):
    r"""Space $\mathbb{R}^3$, the homogeneous space of its translations: features `[B, C, D, H, W]`, z, y, x.

    A cubic grid has the 24 turns of a cube too; layers commute with them where their metrics are round.
    """

    axes = ("D", "H", "W")
    positions = 3
    usual_metric = "full"

    def symmetries(self) -> Mapping[int, Symmetry]:  # type: ignore[override]
        return {turn: partial(self.turned, turn=turn) for turn in range(1, 24)}

    def turned(self, f: Tensor, turn: int) -> Tensor:
        r"""The action $(\rho_R f)(x) = f(R^{-1}x)$; what has no positions stays as it is."""
        return turn_volume(f, turn) if f.ndim == 5 else f
