"""Launches of the backward of the linear and the logarithmic convolution."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from pdegcnn_lib.ops.compiled.convolution import SEMIRINGS, UNROLLED, Problem, convolve, plan
from pdegcnn_lib.ops.compiled.machines import arithmetic, machine_of, scalar
from pdegcnn_lib.ops.compiled.sources import CONTRACT, Unit

REACH = {torch.float32: CONTRACT["FLOAT_REACH"], torch.float64: CONTRACT["DOUBLE_REACH"]}

Lists = list[int] | None


def transposed(k: Tensor, lists: Lists = None) -> tuple[Tensor, Lists]:
    """The table of the transposed convolution, `kT[c, o, i, j, l] = k[c, o + i - KOr//2, KOr-1-i, KH-1-j, KW-1-l]`.

    With lists also those of the volumes that see each volume, see `smooth_backward.cu`.
    """
    if lists is not None:
        readers, slots = _readers(tuple(lists), k.shape[2])
        own, slot = (torch.tensor(x, device=k.device).clamp(min=0) for x in (readers, slots))
        return k.flip(3, 4, 5)[:, own, slot], [n for row in readers for n in row]
    orientations, planes = k.shape[1], k.shape[2]
    i = torch.arange(planes, device=k.device)
    o = (torch.arange(orientations, device=k.device)[:, None] + i - planes // 2) % orientations
    return k.flip(2, 3, 4)[:, o, i], None


@cache
def _readers(lists: tuple[int, ...], slots: int) -> tuple[list[list[int]], list[list[int]]]:
    """For every volume those whose lists name it, and the slots in which they do; -1 where there are fewer."""
    points = len(lists) // slots
    seen_by = [[divmod(n, slots) for n, m in enumerate(lists) if m == o] for o in range(points)]
    most = max(map(len, seen_by))
    padded = [row + [(-1, -1)] * (most - len(row)) for row in seen_by]
    return [[o for o, _ in row] for row in padded], [[s for _, s in row] for row in padded]


def gradient_input(
    g: Tensor, f: Tensor, k: Tensor, out: Tensor, semiring: str, lists: Lists = None
) -> Tensor:
    """The gradient of a linear or logarithmic convolution to f."""
    if semiring == "linear":
        return _transposed_convolution(g, k, lists)
    g, f, out = g.contiguous(), f.contiguous(), out.contiguous()
    if factors := _factors(g, f, k, out, lists):
        upstream, of_f, of_k = factors
        return _transposed_convolution(upstream, of_k, lists).mul_(of_f).to(f.dtype)
    table, lists = transposed(k.to(arithmetic(f.dtype)), lists)
    table = table.contiguous()
    problem = Problem.of(f, tuple(table.shape[2:]), lists)
    grad_f = f.new_empty(f.shape)
    if not problem.empty:
        machine_of(f).launch(
            _unit(f, semiring, problem),
            "logarithmic_gradient_input",
            [g, f, table, out, grad_f, problem.sources(f.device), problem.channels, *problem.sizes],
            blocks=problem.volumes * problem.depth,
        )
    return grad_f


def _transposed_convolution(g: Tensor, k: Tensor, lists: Lists) -> Tensor:
    table, lists = transposed(k, lists)
    return convolve(g, table, "linear", False, lists)[0]


def gradient_kernel(
    g: Tensor, f: Tensor, k: Tensor, out: Tensor, semiring: str, lists: Lists = None
) -> Tensor:
    """The gradient of a linear or logarithmic convolution to k."""
    g, f, out = g.contiguous(), f.contiguous(), out.contiguous()
    if semiring == "log" and (factors := _factors(g, f, k, out, lists)):
        upstream, of_f, of_k = factors
        return (-of_k * gradient_kernel(upstream, of_f, of_k, of_f, "linear", lists)).to(k.dtype)
    table = k.to(arithmetic(f.dtype)).contiguous()
    problem = Problem.of(f, tuple(k.shape[2:]), lists)
    if problem.empty:
        return k.new_zeros(k.shape)
    machine = machine_of(f)
    how = plan(problem, machine, table.element_size())
    partial = table.new_empty((how.tiles * f.shape[0], *k.shape))
    sizes = [problem.volumes, problem.channels, *problem.sizes, how.planes, how.rows, how.columns]
    machine.launch(
        _unit(f, semiring, problem),
        "smooth_gradient_kernel",
        [g, f, table, out, partial, problem.sources(f.device), *sizes],
        blocks=how.blocks,
        shared_bytes=how.shared_bytes,
    )
    return partial.sum(0).to(k.dtype)


def _factors(
    g: Tensor, f: Tensor, k: Tensor, out: Tensor, lists: Lists
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The factors of g e^(f - k - out), which take the exponentials out of the sums over taps.

    They are g e^(level - middle - out), e^(f - level) and e^(middle - k), with a level for each image and channel and
    the k of the tap in the middle. None where they could leave the range; and on a GPU, where to find that out would
    stop the stream, and exponentials are cheap.
    """
    if f.numel() == 0 or not machine_of(f).owns_channels:
        return None
    g, f, k, out = (x.to(arithmetic(f.dtype)) for x in (g, f, k, out))
    low, high = torch.aminmax(f.flatten(2), dim=-1)
    level = ((low + high) / 2)[(..., *[None] * (f.ndim - 2))]
    middle = _middle(k, lists)[(..., *[None] * (f.ndim - 2))]
    reach = REACH[f.dtype]
    # Neither holds for a NaN, nor for infinities but k = inf.
    if not ((high - low <= 2 * reach).all() and (middle - k <= reach).all()):
        return None
    upstream = torch.sub(level - middle[..., 0], out).exp_().mul_(g)
    return upstream, (f - level).exp_(), (middle - k).exp_()


def _middle(k: Tensor, lists: Lists) -> Tensor:
    """The entry of every kernel at the tap with offset zero in the volume itself, `[C, tables]`."""
    middle = k[..., k.shape[-3] // 2, k.shape[-2] // 2, k.shape[-1] // 2]
    if lists is None:
        return middle
    slots = k.shape[2]
    home = [lists[o * slots : (o + 1) * slots].index(o) for o in range(k.shape[1])]
    return middle[:, range(k.shape[1]), home]


def _unit(f: Tensor, semiring: str, problem: Problem) -> Unit:
    columns = problem.window[3] if problem.window[3] in UNROLLED else 0
    macros = (
        ("SCALAR", scalar(f.dtype)),
        ("SEMIRING", SEMIRINGS[semiring][0]),
        problem.grid,
        ("WINDOW_COLUMNS", str(columns)),
    )
    return Unit("smooth_backward", macros)
