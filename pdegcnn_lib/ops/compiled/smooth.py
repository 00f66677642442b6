"""Launches of the backward of the linear and the logarithmic group convolution."""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.ops.compiled.convolution import SEMIRINGS, UNROLLED, Problem, forward, plan
from pdegcnn_lib.ops.compiled.machines import arithmetic, machine_of, scalar
from pdegcnn_lib.ops.compiled.sources import Unit

# How far exponents may be from a level so that no product of their exponentials leaves the range of the type, as in
# `group_convolution.cu`.
REACH = {torch.float32: 28.0, torch.float64: 320.0}


def transposed(k: Tensor) -> Tensor:
    """The table of the transposed convolution, `kT[c, o, i, j, l] = k[c, o + i - KOr//2, KOr-1-i, KH-1-j, KW-1-l]`."""
    orientations, planes = k.shape[1], k.shape[2]
    i = torch.arange(planes, device=k.device)
    o = (torch.arange(orientations, device=k.device)[:, None] + i - planes // 2) % orientations
    return k.flip(2, 3, 4)[:, o, i]


def gradient_input(g: Tensor, f: Tensor, k: Tensor, out: Tensor, semiring: str) -> Tensor:
    """The gradient of a linear or logarithmic convolution to f."""
    if semiring == "linear":
        return forward(g, transposed(k), "linear", False)[0]
    g, f, out = g.contiguous(), f.contiguous(), out.contiguous()
    if factors := _factors(g, f, k, out):
        upstream, of_f, of_k = factors
        return forward(upstream, transposed(of_k), "linear", False)[0].mul_(of_f).to(f.dtype)
    table = transposed(k.to(arithmetic(f.dtype))).contiguous()
    problem = Problem.of(f, tuple(k.shape[2:]))
    grad_f = f.new_empty(f.shape)
    if not problem.empty:
        machine_of(f).launch(
            _unit(f, semiring, problem),
            "logarithmic_gradient_input",
            [g, f, table, out, grad_f, problem.channels, *problem.sizes],
            blocks=problem.volumes * problem.orientations,
            shared_bytes=0,
        )
    return grad_f


def gradient_kernel(g: Tensor, f: Tensor, k: Tensor, out: Tensor, semiring: str) -> Tensor:
    """The gradient of a linear or logarithmic convolution to k."""
    g, f, out = g.contiguous(), f.contiguous(), out.contiguous()
    if semiring == "log" and (factors := _factors(g, f, k, out)):
        upstream, of_f, of_k = factors
        return (-of_k * gradient_kernel(upstream, of_f, of_k, of_f, "linear")).to(k.dtype)
    table = k.to(arithmetic(f.dtype)).contiguous()
    problem = Problem.of(f, tuple(k.shape[2:]))
    if problem.empty:
        return k.new_zeros(k.shape)
    machine = machine_of(f)
    how = plan(problem, machine, table.element_size())
    partial = table.new_empty((how.tiles * f.shape[0], *k.shape))
    sizes = [problem.volumes, problem.channels, *problem.sizes, how.group, how.rows, how.columns]
    machine.launch(
        _unit(f, semiring, problem),
        "smooth_gradient_kernel",
        [g, f, table, out, partial, *sizes],
        blocks=how.blocks,
        shared_bytes=how.shared_bytes,
    )
    return partial.sum(0).to(k.dtype)


def _factors(g: Tensor, f: Tensor, k: Tensor, out: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """The factors of g e^(f - k - out), which take the exponentials out of the sums over taps.

    They are g e^(level - middle - out), e^(f - level) and e^(middle - k), with a level for each image and channel and
    the k of the tap in the middle. None where they could leave the range; and on a GPU, where to find that out would
    stop the stream, and exponentials are cheap.
    """
    if f.numel() == 0 or not machine_of(f).owns_channels:
        return None
    g, f, k, out = (x.to(arithmetic(f.dtype)) for x in (g, f, k, out))
    low, high = torch.aminmax(f.flatten(2), dim=-1)
    level = ((low + high) / 2)[..., None, None, None]
    middle = k[:, :, k.shape[2] // 2, k.shape[3] // 2, k.shape[4] // 2, None, None, None]
    reach = REACH[f.dtype]
    # Neither holds for a NaN, nor for infinities but k = inf.
    if not ((high - low <= 2 * reach).all() and (middle - k <= reach).all()):
        return None
    upstream = torch.sub(level - middle[..., 0], out).exp_().mul_(g)
    return upstream, (f - level).exp_(), (middle - k).exp_()


def _unit(f: Tensor, semiring: str, problem: Problem) -> Unit:
    columns = problem.window[2] if problem.window[2] in UNROLLED else 0
    macros = (
        ("SCALAR", scalar(f.dtype)),
        ("SEMIRING", SEMIRINGS[semiring][0]),
        ("WINDOW_COLUMNS", str(columns)),
    )
    return Unit("smooth_backward", macros)
