"""Launches of the semiring group convolution: forward for all semirings, backward for the tropical ones."""

from __future__ import annotations

from dataclasses import dataclass

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
    """The sizes of one convolution: `f [B, C, Or, H, W]` and a window `(KOr, KH, KW)`."""

    volumes: int
    channels: int
    orientations: int
    height: int
    width: int
    window: tuple[int, int, int]

    @classmethod
    def of(cls, f: Tensor, window: tuple[int, ...]) -> Problem:
        b, c, orientations, height, width = f.shape
        planes, rows, columns = window
        return cls(b * c, c, orientations, height, width, (planes, rows, columns))

    @property
    def taps(self) -> int:
        return self.window[0] * self.window[1] * self.window[2]

    @property
    def sizes(self) -> list[int]:
        """What every kernel is told: orientations, height, width, and the window."""
        return [self.orientations, self.height, self.width, *self.window]

    @property
    def empty(self) -> bool:
        return self.volumes * self.orientations * self.height * self.width == 0


@dataclass(frozen=True)
class Plan:
    """How the outputs are divided among blocks, see `tile.cuh`, and what a block holds in shared memory."""

    group: int
    rows: int
    columns: int
    blocks: int
    tiles: int
    shared_bytes: int


def plan(problem: Problem, machine: Machine, itemsize: int) -> Plan:
    """The largest group of orientations that leaves enough blocks and whose tile fits the fast memory.

    Where even one orientation does not fit, the tile shrinks.
    """
    planes, window_rows, window_columns = problem.window
    columns = min(machine.tile[1], _ceil(problem.width, machine.lanes) * machine.lanes)
    rows = min(machine.tile[0], _ceil(problem.height, 8) * 8)
    group = problem.orientations
    while True:
        held = min(group + planes - 1, problem.orientations)
        pitch = _ceil(columns + window_columns - 1, machine.lanes) * machine.lanes
        size = (held * (rows + window_rows - 1) * pitch + group * problem.taps) * itemsize
        if machine.lists_taps:
            size += group * (2 * problem.taps + 1) * 4 + itemsize
        tiles = _ceil(problem.height, rows) * _ceil(problem.width, columns)
        blocks = problem.volumes * tiles * _ceil(problem.orientations, group)
        fits = size <= machine.fast_bytes
        if fits and (group == 1 or blocks >= machine.enough_blocks()):
            return Plan(group, rows, columns, blocks, tiles, size)
        if group > 1:
            group = (group + 1) // 2
        elif rows > 8:
            rows = rows // 16 * 8
        elif columns > machine.lanes:
            columns -= machine.lanes
        else:
            return Plan(group, rows, columns, blocks, tiles, size)


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


def forward(f: Tensor, k: Tensor, semiring: str, keep_taps: bool) -> tuple[Tensor, Tensor | None]:
    """The convolution, and the codes of the winning taps if asked for (tropical semirings)."""
    f, k = f.contiguous(), k.to(arithmetic(f.dtype)).contiguous()
    problem = Problem.of(f, tuple(k.shape[2:]))
    name, sign = SEMIRINGS[semiring]
    out = f.new_empty(f.shape)
    taps = f.new_empty(f.shape, dtype=code_dtype(problem.taps)) if keep_taps else None
    if problem.empty:
        return out, taps
    macros = [("SCALAR", scalar(f.dtype)), ("SEMIRING", name), *_window_macros(*problem.window[1:])]
    if taps is not None:
        macros.append(_code(taps.dtype))
    machine = machine_of(f)
    how = plan(problem, machine, k.element_size())
    machine.launch(
        Unit("group_convolution", tuple(macros)),
        "group_convolution",
        [f, k, out, taps, sign, problem.channels, *problem.sizes, how.group, how.rows, how.columns],
        blocks=how.blocks,
        shared_bytes=how.shared_bytes,
    )
    return out, taps


def tropical_backward(g: Tensor, taps: Tensor, k: Tensor, semiring: str) -> tuple[Tensor, Tensor]:
    """The gradients to f and k from the codes of the winning taps; of k only shape and type are read."""
    g, taps = g.contiguous(), taps.contiguous()
    problem = Problem.of(g, tuple(k.shape[2:]))
    if problem.empty:
        return g.new_zeros(g.shape), k.new_zeros(k.shape)
    sign = SEMIRINGS[semiring][1]
    machine = machine_of(g)
    unit = Unit("tropical_backward", (("SCALAR", scalar(g.dtype)), _code(taps.dtype)))
    computed = arithmetic(g.dtype)
    partial = g.new_empty((g.shape[0], *k.shape), dtype=computed)
    planes = problem.volumes * problem.orientations
    if machine.owns_channels or not torch.are_deterministic_algorithms_enabled():
        allocate = g.new_empty if machine.owns_channels else g.new_zeros
        grad_f = allocate(g.shape, dtype=computed)
        group = problem.orientations if machine.owns_channels else 1
        machine.launch(
            unit,
            "tropical_scatter",
            [g, taps, grad_f, partial, sign, *problem.sizes, group, int(machine.owns_channels)],
            blocks=problem.volumes * _ceil(problem.orientations, group),
            shared_bytes=group * problem.taps * (8 + 8 * partial.element_size()),
        )
    else:
        grad_f = g.new_empty(g.shape, dtype=computed)
        machine.launch(
            unit, "tropical_gather_input", [g, taps, grad_f, *problem.sizes], blocks=planes, shared_bytes=0
        )
        machine.launch(
            unit,
            "tropical_gather_kernel",
            [g, taps, partial, sign, problem.height, problem.width, problem.taps],
            blocks=planes,
            shared_bytes=0,
        )
    return grad_f.to(g.dtype), partial.sum(0).to(k.dtype)
