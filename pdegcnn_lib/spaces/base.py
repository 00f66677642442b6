"""What the rest of the library asks of a space: a small frozen value that knows its grid and nothing of features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from pdegcnn_lib.geometry.estimates import Estimate
from pdegcnn_lib.spaces.window import check_odd, widest

Symmetry = Callable[[Tensor], Tensor]


class Space(ABC):
    r"""A homogeneous space on a grid: positions, and at each of them the points of a fibre.

    Features are `[B, C, *axes]`: the axis of the fibre, where there is one, then those of the positions, x last. A
    subclass is a frozen dataclass, so that equal spaces are equal values and keys of tables.

    `axes` are the names of the axes after `[B, C]`; `periodic` says of each whether its last point is followed by its
    first, other axes end. `dim` is the dimension of the space, `lengths` the numbers of a diagonal metric,
    `velocities` those of a convection. `positions` counts the axes of positions. `usual_metric` is the kind of
    metric that a layer has unless told otherwise; `turns` whether the fibre are the turns of the plane, by which
    kernels on images can be turned.

    What is left to a space is little: its points and `relative_elements`, the displacement of a convection, names of
    estimates and symmetries. A fibre whose points have no order, the directions in space, names the `neighbours` of
    each; along an ordered one they are the steps to both sides.
    """

    axes: ClassVar[tuple[str, ...]]
    dim: int
    lengths: int
    velocities: int
    positions: ClassVar[int]
    usual_metric: ClassVar[str] = "diagonal"
    turns: ClassVar[bool] = False

    @property
    def periodic(self) -> tuple[bool, ...]:
        return (False,) * len(self.axes)

    @property
    def fibre(self) -> int:
        """The number of points of the fibre."""
        return 1

    @property
    def kernels(self) -> tuple[int, ...]:
        """The axes of a kernel before its window, `(fibre,)`, or none where there is no fibre: one kernel for all."""
        return () if len(self.axes) == self.positions else (self.fibre,)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The kinds of metric that a layer may have here, see `Metric.kind`."""
        return ("diagonal", "full")

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """The estimates of the distance that have a name here, the one that a layer takes by default first."""
        raise NotImplementedError

    @property
    def fibre_in_words(self) -> str:
        return f"fibre of {self.fibre} points"

    def points(self) -> Tensor:
        """The coordinates of the points of the fibre, `[fibre, ...]` in float64."""
        return torch.zeros(self.fibre, 0, dtype=torch.float64)

    def weights(self) -> Tensor:
        """The quadrature weights of the points of the fibre, `[fibre]` in float64, of sum 1."""
        return torch.full((self.fibre,), 1 / self.fibre, dtype=torch.float64)

    @property
    def uniform(self) -> bool:
        """Whether all points of the fibre have the same weight."""
        return True

    def neighbours(self, window: tuple[int, ...]) -> Tensor:
        """For each point of the fibre the points that a window sees, `[fibre, slots]`; -1 where there is none.

        One that ends sees fewer near its ends.
        """
        if not self.kernels:
            return torch.zeros(1, 1, dtype=torch.long)
        seen = torch.arange(self.fibre)[:, None] + torch.arange(window[0]) - window[0] // 2
        inside = (seen >= 0) & (seen < self.fibre)
        return seen % self.fibre if self.periodic[0] else torch.where(inside, seen, -1)

    @property
    def lists(self) -> bool:
        """Whether a convolution needs the lists of `neighbours`: where they are not the steps along an axis."""
        return False

    def spans(self, window: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of a window along the components of a metric and their like, by which first metrics are drawn."""
        return window

    def shares(self, window: tuple[int, ...]) -> Tensor | None:
        """What every tap counts for in a mean, `[*kernels, *window]` in float64; None where all count the same.

        That is the weight of its point of the fibre, and 0 where there is no neighbour.
        """
        absent = self.absent(window)
        if self.uniform and absent is None:
            return None
        seen = self.weights()[self.neighbours(window)]
        shares = seen[(..., *(None,) * self.positions)].expand(*seen.shape, *window[-self.positions :])
        return shares if absent is None else shares.masked_fill(absent, 0)

    def absent(self, window: tuple[int, ...]) -> Tensor | None:
        """Which entries of a kernel belong to no neighbour, `[*kernels, *window]`; None where all do.

        Taps that a grid leaves out at its ends are not meant, but slots that pad lists of unequal length.
        """
        return None

    def check_window(self, window: tuple[int, ...]) -> tuple[int, ...]:
        """Return the window if it has odd positive sizes and no axis of the fibre is narrower; raise otherwise."""
        window = check_odd(window, self.axes)
        if self.kernels and window[0] > self.fibre:
            raise ValueError(
                f"window must not be wider than the {self.fibre_in_words}, got K{self.axes[0]} = {window[0]}"
            )
        return window

    def window(self, window: tuple[int, ...] | None) -> tuple[int, ...]:
        """The window that an option names, checked; that of `default_window` where it is None."""
        return self.check_window(self.default_window() if window is None else window)

    def default_window(self, size: int = 5) -> tuple[int, ...]:
        """The window of `size` along each axis, or as wide as the fibre allows."""
        return tuple(widest(size, n) for n in self.kernels) + (size,) * self.positions

    @abstractmethod
    def relative_elements(
        self,
        window: tuple[int, ...],
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """The coordinates of $q^{-1} p$ for the point p over the origin and each neighbour q.

        Shapes: -> `[*kernels, *window, n]`, in pixels and radians: what the estimates of this space take.
        """

    @abstractmethod
    def displacement(self, g0: Tensor) -> Tensor:
        """The vector from which convection by g0 fetches, per channel and point of the fibre.

        Shapes: `g0 [C, velocities]` -> `[C, *kernels, 3]`: pixels along x and y, and steps of the axis before y: the
        third position, or an ordered fibre (0 where there is none).
        """

    def power(self, g0: Tensor, t: float) -> Tensor:
        """What convection by g0 moves by in the time t: $g_0^t$, in the shape of g0."""
        return t * g0

    @abstractmethod
    def reach(self, window: tuple[int, ...]) -> list[tuple[int, float]]:
        """How far a window sees along each component of a metric: the steps to one side, and the length of a step."""

    def lift_basis(self, size: int) -> Tensor:
        """The values of every basis function of a trained lift on its window: `[fibre, size^positions, *numbers]`.

        Raises: ValueError for an even size, or for a space that nothing is lifted to.
        """
        raise ValueError(f"there are lifts to M2 and to M3, and none to {self}")

    def symmetries(self) -> Mapping[Hashable, Symmetry]:
        """The maps of the space onto itself that are exact on its grid, as functions of features.

        They act on features over the positions alone too, and leave what has no positions as it is.
        """
        return {}

    def shape(self, letters: str = "") -> str:
        """The shape of features in words, as errors quote it; with `letters`, of a kernel."""
        if not letters:
            return f"[B, C, {', '.join(self.axes)}]"
        window = [f"K{name}" for name in self.axes]
        return f"[C, {', '.join([*self.axes[: len(self.kernels)], *window])}]"
