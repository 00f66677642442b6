"""Groups that lie over the plane in slices: positions and orientations, and any group of that kind of one's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pdegcnn_lib.geometry.constant import constant
from pdegcnn_lib.geometry.estimates import ESTIMATES, Estimate
from pdegcnn_lib.geometry.groups import SE2, LieGroup
from pdegcnn_lib.geometry.splines import quadratic_b_spline
from pdegcnn_lib.spaces.base import Space, Symmetry
from pdegcnn_lib.spaces.turns import quarter_turn
from pdegcnn_lib.spaces.window import check_odd, offsets


class Slices(Space):
    r"""A group $\mathbb{R}^2 \rtimes \mathbb{R}$ sampled at equal steps of its third coordinate, its own fibre.

    $$(x, t)\,(y, s) = (x + M_t\, y,\; t + s)$$

    `group` is such a group, `start` the first sample, `step` the distance of two.
    """

    group: LieGroup
    positions = 2
    dim = lengths = velocities = 3

    @property
    def start(self) -> float:
        return 0.0

    @property
    def step(self) -> float:
        raise NotImplementedError

    def samples(self, dtype: torch.dtype, device: torch.device | str | None = None) -> Tensor:
        """The third coordinates of the slices, `[fibre]`."""
        steps = torch.arange(self.fibre, dtype=dtype, device=device) * self.step
        return steps + self.start if self.start else steps

    def points(self) -> Tensor:
        return self.samples(torch.float64)[:, None]

    def relative_elements(
        self,
        window: tuple[int, ...],
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        r"""The group elements $q^{-1} p$ for a point $p = (0, 0, t_o)$ and every neighbour q in its window.

        The neighbour of tap (i, j, l) is $q = (l - KW/2,\; j - KH/2,\; t_o + (i - K/2)\,\mathrm{step})$. A kernel of
        the continuous theory is sampled at these elements on every slice; nothing is moved by interpolation.
        Shapes: -> `[fibre, *window, 3]`.
        """
        slots, rows, columns = self.check_window(window)
        t = self.samples(dtype, device)
        steps = offsets(slots, dtype=dtype, device=device) * self.step
        y, x = offsets(rows, dtype=dtype, device=device), offsets(columns, dtype=dtype, device=device)
        shape = (self.fibre, slots, rows, columns)
        neighbour = (t[:, None] + steps)[:, :, None, None]
        q = torch.stack([a.expand(shape) for a in (x, y[:, None], neighbour)], dim=-1)
        zero = torch.zeros_like(t)
        p = torch.stack([zero, zero, t], dim=-1)[:, None, None, None]
        relative = self.group.product(self.group.inverse(q), p)
        # The step is known exactly; the product would return an angle with rounding, and on either side of its cut.
        return torch.cat([relative[..., :2], -steps[:, None, None].expand(shape)[..., None]], dim=-1)

    def displacement(self, g0: Tensor) -> Tensor:
        r"""$p - p\,g_0^{-1} = (M_{t-s}\, a,\; s)$ for $g_0 = (a, s)$ and $p = (x, t)$, the same for every x.

        Shapes: `g0 [C, 3]` -> `[C, fibre, 3]` in pixels, pixels and steps.
        """
        t = self.samples(g0.dtype, g0.device) - g0[:, 2:3]
        origin = torch.zeros_like(t)
        moved = self.group.act(torch.stack([origin, origin, t], dim=-1), g0[:, None, :2])
        return torch.cat([moved, (g0[:, 2:3] / self.step).expand_as(t)[..., None]], dim=-1)

    def power(self, g0: Tensor, t: float) -> Tensor:
        r"""$g_0^t = \exp(t \log g_0)$ with the principal logarithm; t = 1 takes g0 as it is."""
        return g0 if t == 1 else self.group.exp(t * self.group.log(g0))

    def reach(self, window: tuple[int, ...]) -> list[tuple[int, float]]:
        return [(min(window[1:]) // 2, 1.0)] * 2 + [(window[0] // 2, self.step)]


@dataclass(frozen=True)
class M2(Slices):
    r"""Positions and orientations in the plane, $\mathbb{M}_2 = SE(2)$: features `[B, C, Or, H, W]`.

    $\theta_i = 2\pi i/Or$ over the full circle. Raises: TypeError or ValueError for orientations that are not an
    integer of at least 1.
    """

    orientations: int = 8

    axes = ("Or", "H", "W")
    periodic = (True, False, False)
    group = SE2
    turns = True

    def __post_init__(self) -> None:
        if not isinstance(self.orientations, int) or isinstance(self.orientations, bool):
            raise TypeError(f"orientations must be an int, got {self.orientations!r}")
        if self.orientations < 1:
            raise ValueError(f"orientations must be at least 1, got {self.orientations}")

    @property
    def fibre(self) -> int:
        return self.orientations

    @property
    def step(self) -> float:
        return 2 * math.pi / self.orientations

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        return ESTIMATES

    @property
    def fibre_in_words(self) -> str:
        return f"circle of {self.orientations} orientations"

    def lift_basis(self, size: int) -> Tensor:
        r"""The values on the grid turned by $-\theta_o$ of every basis spline of a square grid.

        $$\Phi[o, p, m] = \beta\big((R_{\theta_o}^{-1} x_p - x_m)_1\big)\,
          \beta\big((R_{\theta_o}^{-1} x_p - x_m)_2\big)$$

        for grid points $x_p, x_m$ of the size x size window; rows with $|x_p| > size/2$ are zero, so that the kernel
        lives on a disc at every orientation. Shapes: -> `[Or, size*size, size, size]`, float64 on the CPU.
        """
        return _turned_splines(self, size)

    def symmetries(self) -> Mapping[int, Symmetry]:  # type: ignore[override]
        """The quarter turns by their number, those that move orientations by whole steps: for Or = 6 half a turn."""
        return {n: partial(quarter_turn, turns=n) for n in (1, 2, 3) if n * self.orientations % 4 == 0}


@constant
def _turned_splines(space: M2, size: int) -> Tensor:
    check_odd((size, size), ("H", "W"))
    theta = space.samples(torch.float64)
    y, x = (g.reshape(-1) for g in torch.meshgrid(offsets(size), offsets(size), indexing="ij"))
    c, s = torch.cos(theta)[:, None], torch.sin(theta)[:, None]
    turned_x, turned_y = c * x + s * y, c * y - s * x
    values = quadratic_b_spline(turned_x[..., None] - x) * quadratic_b_spline(turned_y[..., None] - y)
    disc = (x**2 + y**2 <= (size / 2) ** 2).to(values.dtype)
    return (values * disc[None, :, None]).unflatten(-1, (size, size))


@dataclass(frozen=True)
class Sampled(Slices):
    r"""A group of one's own on a grid: features `[B, C, T, H, W]`, all layers and operators without a further line.

    The group is a `LieGroup` of the kind $(x, t)\,(y, s) = (x + M_t\, y,\; t + s)$ with $x, y$ in the plane, sampled at
    `slices`, equally spaced values of t; with `periodic` the last is followed by the first, otherwise they end and a
    tap beyond is left out. Two spaces are equal where group and slices are.

    Raises: TypeError or ValueError for a group of another kind or slices that are not equally spaced.
    """

    group: LieGroup
    slices: tuple[float, ...]
    wraps: bool = False

    axes = ("T", "H", "W")

    def __init__(self, group: LieGroup, slices: Sequence[float] | Tensor, *, periodic: bool = False) -> None:
        values = torch.as_tensor(slices, dtype=torch.float64)
        if values.ndim != 1 or not len(values) or not torch.isfinite(values).all():
            raise ValueError(f"slices must be a row of finite numbers, got {slices}")
        steps = values.diff()
        if len(steps) and not (steps[0] > 0 and (steps - steps[0]).abs().max() <= 1e-9 * steps[0]):
            raise ValueError(f"slices must grow by equal steps, got {values.tolist()}")
        for name, value in (("group", group), ("slices", tuple(values.tolist())), ("wraps", bool(periodic))):
            object.__setattr__(self, name, value)
        self._check_group()

    def _check_group(self) -> None:
        if not isinstance(self.group, LieGroup):
            raise TypeError(f"group must have the members of geometry.LieGroup, got {self.group!r}")
        if self.group.dim != 3:
            raise ValueError(
                f"group must have three coordinates (x, y, t), got {self.group.dim} of {self.group!r}"
            )
        g, h = torch.tensor([[0.3, -0.7, 0.4], [1.1, 0.2, -0.9]], dtype=torch.float64)
        product, expected = self.group.product(g, h), self.group.act(g, h[:2])
        linear = self.group.act(g, 2 * h[:2]) - 2 * expected + g[:2]
        wrong = [(product[:2] - expected).abs().max(), (product[2] - g[2] - h[2]).abs(), linear.abs().max()]
        if max(wrong) > 1e-9:
            raise ValueError(
                f"group must multiply as (x, t)(y, s) = (x + M_t y, t + s), got {product.tolist()} "
                f"for {g.tolist()} and {h.tolist()} of {self.group!r}"
            )
        whole = torch.tensor([0.0, 0.0, self.fibre * self.step], dtype=torch.float64)
        if self.wraps and (self.group.act(whole, h[:2]) - h[:2]).abs().max() > 1e-9:
            raise ValueError(
                f"slices may be periodic only where M_t is: it is not after t = {whole[2].item():g}"
            )

    @property
    def fibre(self) -> int:
        return len(self.slices)

    @property
    def start(self) -> float:
        return self.slices[0]

    @property
    def step(self) -> float:
        return (self.slices[-1] - self.slices[0]) / (self.fibre - 1) if self.fibre > 1 else 1.0

    @property
    def periodic(self) -> tuple[bool, ...]:
        return (self.wraps, False, False)

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """The logarithmic estimate, and the half-angle one where the group has `half_angle`."""
        coordinates = {"rho_c": self.group.log, "rho_b": getattr(self.group, "half_angle", None)}
        return {name: replace(ESTIMATES[name], coordinates=of) for name, of in coordinates.items() if of}

    def symmetries(self) -> Mapping[int, Symmetry]:  # type: ignore[override]
        """The motions by whole steps, by their number, whose matrix M_t maps the pixels onto the pixels.

        Shears by whole slopes are among them. The grid is continued periodically, in the plane and along the slices:
        features that stay away from its rim are moved exactly.
        """
        found: dict[int, Symmetry] = {}
        for n in range(1 - self.fibre, self.fibre):
            origin = torch.tensor([0.0, 0.0, -n * self.step], dtype=torch.float64)
            columns = [self.group.act(origin, unit) for unit in torch.eye(2, dtype=torch.float64)]
            inverse = torch.stack(columns, dim=-1)
            onto = torch.linalg.det(inverse).abs().round() == 1  # a scaling by 2 leaves pixels out
            if n and onto and (inverse - inverse.round()).abs().max() < 1e-9:
                found[n] = partial(_moved, steps=n, inverse=tuple(inverse.round().long().flatten().tolist()))
        return found


def _moved(f: Tensor, steps: int, inverse: tuple[int, int, int, int]) -> Tensor:
    """The features moved by a whole number of steps and the matrix whose inverse is given, on a periodic grid."""
    if f.ndim < 4:
        return f
    xx, xy, yx, yy = inverse
    height, width = f.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    # About the middle of the grid where that maps pixels to pixels, otherwise about the pixel next to it.
    for cy, cx in ((height - 1, width - 1), (2 * (height // 2), 2 * (width // 2))):
        from_x = xx * (2 * x - cx) + xy * (2 * y - cy) + cx
        from_y = yx * (2 * x - cx) + yy * (2 * y - cy) + cy
        if not ((from_x % 2).any() or (from_y % 2).any()):
            break
    f = torch.roll(f, steps, dims=2) if f.ndim == 5 else f
    return f[..., from_y // 2 % height, from_x // 2 % width]
