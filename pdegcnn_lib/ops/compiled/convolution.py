"""Launches of the semiring convolution: forward for all semirings, backward for the tropical ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from pdegcnn_lib.ops.compiled.machines import Machine, arithmetic, machine_of, scalar
from pdegcnn_lib.ops.compiled.sources import Unit

# Semiring of the source and the sign that the input enters and the output leaves with: erosion is the dilation of -f.
SEMIRINGS = {
    "max_plus": ("Tropical", 1),
    "min_plus": ("Tropical", -1),
    "linear": ("Linear", 1),
    "log": ("Logarithmic", 1),
}

# Windows with code of their own; any other runs through loops whose bounds are read at run time.
UNROLLED = (3, 5, 7)


@dataclass(frozen=True)
class Problem:
    """The sizes of one convolution: `volumes` of B C O, `points` of O, the grid and the window (S, KZ, KH, KW).

    Without lists, on a circle, O = S = 1 and every plane has a kernel of its own.
    """

    volumes: int
    channels: int
    points: int
    depth: int
    height: int
    width: int
    window: tuple[int, int, int, int]
    lists: tuple[int, ...] | None

    @classmethod
    def of(cls, f: Tensor, window: tuple[int, ...], lists: list[int] | None) -> Problem:
        b, c, *grid = f.shape
        points, depth, height, width = grid if lists is not None else [1, *grid]
        slots, planes, rows, columns = window if lists is not None else (1, *window)
        known = None if lists is None else _checked(tuple(lists), points, slots)
        return cls(b * c * points, c, points, depth, height, width, (slots, planes, rows, columns), known)

    @property
    def taps(self) -> int:
        return math.prod(self.window)

    @property
    def tables(self) -> int:
        """The kernels of a channel."""
        return self.depth if self.lists is None else self.points

    @property
    def images(self) -> int:
        """The channels of all images."""
        return self.volumes // self.points

    @property
    def sizes(self) -> list[int]:
        """What every kernel is told: the grid and the window."""
        return [self.points, self.depth, self.height, self.width, *self.window]

    @property
    def grid(self) -> tuple[str, str]:
        return ("GRID", "Circle" if self.lists is None else "Neighbours")

    def sources(self, device: torch.device) -> Tensor | None:
        """The lists as a kernel reads them."""
        return None if self.lists is None else _on_device(self.lists, device)

    @property
    def empty(self) -> bool:
        return self.volumes * self.depth * self.height * self.width == 0


@cache
def _checked(lists: tuple[int, ...], points: int, slots: int) -> tuple[int, ...]:
    rows = [lists[o * slots : (o + 1) * slots] for o in range(points)]
    if len(lists) != points * slots or any(
        o not in row or not all(-1 <= n < points for n in row) for o, row in enumerate(rows)
    ):
        raise ValueError(
            f"lists must name {slots} of {points} volumes or -1 for each of them, itself included, got {list(lists)}"
        )
    return lists


@cache
def _on_device(lists: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(lists, dtype=torch.int32, device=device)


@dataclass(frozen=True)
class Plan:
    """How the outputs are divided among blocks, see `tile.cuh`, and what a block holds in shared memory."""

    planes: int
    rows: int
    columns: int
    blocks: int
    tiles: int
    shared_bytes: int


def plan(problem: Problem, machine: Machine, itemsize: int) -> Plan:
    """As many planes in a block as leave enough blocks and make a tile that fits the fast memory.

    Where not even one plane does, the tile shrinks.
    """
    slots, deep, window_rows, window_columns = problem.window
    columns = min(machine.tile[1], _ceil(problem.width, machine.lanes) * machine.lanes)
    rows = min(machine.tile[0], _ceil(problem.height, 8) * 8)
    planes, circle = problem.depth, problem.lists is None
    if machine.slot_by_slot and not circle:
        # As many strips, of four rows, as there are warps: more would fill the tile again with every slot.
        slots, rows, columns, planes = 1, 8, machine.lanes, min(planes, machine.warps // 2)
    while True:
        held = min(planes + deep - 1, problem.depth) if circle else slots * (planes + deep - 1)
        tables = planes if circle else 1
        pitch = _ceil(columns + window_columns - 1, machine.lanes) * machine.lanes
        size = (held * (rows + window_rows - 1) * pitch + tables * problem.taps) * itemsize
        if machine.lists_taps:
            size += tables * (2 * problem.taps + 1) * 4 + itemsize
        tiles = _ceil(problem.height, rows) * _ceil(problem.width, columns)
        groups = _ceil(problem.depth, planes)
        blocks = problem.volumes * tiles * groups
        fits = size <= machine.fast_bytes
        if fits and (planes == 1 or blocks >= machine.enough_blocks()):
            return Plan(planes, rows, columns, blocks, tiles * (1 if circle else groups), size)
        if planes > 1:
            planes = (planes + 1) // 2
        elif rows > 8:
            rows = rows // 16 * 8
        elif columns > machine.lanes:
            columns -= machine.lanes
        else:
            return Plan(planes, rows, columns, blocks, tiles * (1 if circle else groups), size)


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def code_dtype(taps: int) -> torch.dtype:
    """The integer type that holds the code of a tap; int16 is read as unsigned."""
    if taps > 65536:
        raise ValueError(f"a window may have at most 65536 taps for its gradient, got {taps}")
    return torch.uint8 if taps <= 256 else torch.int16


def _code(dtype: torch.dtype) -> tuple[str, str]:
    return ("CODE", "Code8" if dtype == torch.uint8 else "Code16")


def _window_macros(rows: int, columns: int) -> tuple[tuple[str, str], ...]:
    unrolled = rows == columns and rows in UNROLLED
    return (
        ("WINDOW_ROWS", str(rows if unrolled else 0)),
        ("WINDOW_COLUMNS", str(columns if unrolled else 0)),
    )


def convolve(
    f: Tensor, k: Tensor, semiring: str, keep_taps: bool, lists: list[int] | None
) -> tuple[Tensor, Tensor | None]:
    """The convolution, and the codes of the winning taps if asked for (tropical semirings)."""
    f, k = f.contiguous(), k.to(arithmetic(f.dtype)).contiguous()
    problem = Problem.of(f, tuple(k.shape[2:]), lists)
    name, sign = SEMIRINGS[semiring]
    out = f.new_empty(f.shape)
    taps = f.new_empty(f.shape, dtype=code_dtype(problem.taps)) if keep_taps else None
    if problem.empty:
        return out, taps
    macros = [("SCALAR", scalar(f.dtype)), ("SEMIRING", name), problem.grid]
    macros += _window_macros(*problem.window[2:])
    if taps is not None:
        macros.append(_code(taps.dtype))
    machine = machine_of(f)
    how = plan(problem, machine, k.element_size())
    sizes = [problem.channels, *problem.sizes, how.planes, how.rows, how.columns]
    machine.launch(
        Unit("semiring_convolution", tuple(macros)),
        "semiring_convolution",
        [f, k, out, taps, problem.sources(f.device), sign, *sizes],
        blocks=how.blocks,
        shared_bytes=how.shared_bytes,
    )
    return out, taps


def tropical_backward(
    g: Tensor, taps: Tensor, k: Tensor, semiring: str, lists: list[int] | None = None
) -> tuple[Tensor, Tensor]:
    """The gradients to f and k from the codes of the winning taps; of k only shape and type are read."""
    grad_f, of_images = tropical_gradients(g, taps, k, semiring, lists)
    return grad_f.to(g.dtype), of_images.sum(0).to(k.dtype)


def tropical_gradients(
    g: Tensor, taps: Tensor, k: Tensor, semiring: str, lists: list[int] | None
) -> tuple[Tensor, Tensor]:
    """The same in the type that computes, and for k by each image `[B, *k.shape]`."""
    g, taps = g.contiguous(), taps.contiguous()
    problem = Problem.of(g, tuple(k.shape[2:]), lists)
    if problem.empty:
        return g.new_zeros(g.shape), k.new_zeros((g.shape[0], *k.shape))
    sign, sources = SEMIRINGS[semiring][1], problem.sources(g.device)
    machine = machine_of(g)
    unit = Unit("tropical_backward", (("SCALAR", scalar(g.dtype)), _code(taps.dtype), problem.grid))
    computed = arithmetic(g.dtype)
    partial = g.new_empty((g.shape[0], *k.shape), dtype=computed)
    tables = problem.tables
    group = tables if machine.owns_channels else 1
    sums_bytes = group * problem.taps * (8 + machine.copies * partial.element_size())
    deterministic = not machine.owns_channels and torch.are_deterministic_algorithms_enabled()
    # Sums for the taps of a very large window are too many for a block: there they are gathered.
    if machine.holds(sums_bytes, g.device) and not deterministic:
        allocate = g.new_empty if machine.owns_channels else g.new_zeros
        grad_f = allocate(g.shape, dtype=computed)
        machine.launch(
            unit,
            "tropical_scatter",
            [g, taps, grad_f, partial, sources, sign, *problem.sizes, group, int(machine.owns_channels)],
            blocks=problem.images * _ceil(tables, group),
            shared_bytes=sums_bytes,
        )
    else:
        grad_f = g.new_empty(g.shape, dtype=computed)
        machine.launch(
            unit,
            "tropical_gather_input",
            [g, taps, grad_f, sources, *problem.sizes],
            blocks=problem.volumes * problem.depth,
        )
        rows = problem.height * (1 if lists is None else problem.depth)
        machine.launch(
            unit,
            "tropical_gather_kernel",
            [g, taps, partial, sign, rows, problem.width, problem.taps],
            blocks=problem.images * tables,
        )
    return grad_f, partial
