"""Two neighbours on the package index that take maxima of sums, timed where this interpreter has them.

pytorch-nd-semiconv (P. Adema) has the dilation of the plane, of every channel by a kernel of its own, in torch
operators on a CPU. tropical-gemm (TensorBFS) has the product of matrices over the max-plus semiring: no window and no
border, but the same pair of operations for each term. Neither has kernels that turn with an orientation.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import torch

from pdegcnn_lib import ops
from pdegcnn_lib.companion.bench import cases
from pdegcnn_lib.companion.bench.measure import side_by_side
from pdegcnn_lib.spaces import Plane

SIZE, WINDOW, MATRIX = (4, 128, 64, 64), 5, 1024


def semiconv() -> float:
    """The time of its dilation of the plane, forward and backward, over ours. Raises: whatever it does."""
    operator = importlib.import_module("pytorch_nd_semiconv").BroadcastSemifield.tropical_max().dynamic()
    f = torch.randn(SIZE, requires_grad=True)
    k = torch.rand(SIZE[1], WINDOW, WINDOW, requires_grad=True)

    def theirs(f: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = operator(f, -k[:, None], padding=WINDOW // 2, groups=SIZE[1], kind="corr")
        return found

    def ours(f: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return ops.dilation(f, k, space=Plane(), backend="cpu")

    torch.testing.assert_close(theirs(f, k), ours(f, k))  # the same operator, so that the times compare
    g = torch.randn(SIZE)
    times = side_by_side(
        {name: cases.both_ways(call, f, k, upstream=g) for name, call in (("a", theirs), ("b", ours))}
    )
    return times["a"].median / times["b"].median


def gemm() -> float:
    """Pairs of a sum and a maximum a second in our dilation, over those of its product; one thread each."""
    product = importlib.import_module("tropical_gemm").maxplus_matmul
    a, b = (np.random.default_rng(n).random((MATRIX, MATRIX), dtype=np.float32) for n in (0, 1))
    f, k, _ = cases.tensors(cases.SMALL, (5, 5, 5), "cpu", grad=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = side_by_side(
            {"a": lambda: product(a, b), "b": cases.without_gradient(cases.dilation("cpu"), f, k)}
        )
    finally:
        torch.set_num_threads(before)
    return cases.taps(cases.SMALL, (5, 5, 5)) / times["b"].median / (MATRIX**3 / times["a"].median)


NEIGHBOURS: dict[str, Callable[[], float]] = {
    "dilation of the plane 5x5, forward + backward / pytorch-nd-semiconv": semiconv,
    "dilation 5x5x5 forward, one thread, taps a second / tropical-gemm": gemm,
}


def measured() -> list[dict[str, object]]:
    """For every neighbour the figure with its value, or with the reason why there is none."""
    found: list[dict[str, object]] = []
    for figure, measure in NEIGHBOURS.items():
        try:
            found.append({"figure": figure, "value": round(measure(), 3)})
        except Exception as error:  # a package that is not there, or does not work here, fails in its own way
            found.append({"figure": figure, "reason": f"{type(error).__name__}: {error}".splitlines()[0]})
    return found
