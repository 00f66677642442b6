"""The two machines behind one interface: what a launcher must know of each, and how storage types are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdegcnn_lib.ops.compiled import device, passes
from pdegcnn_lib.ops.compiled.sources import CONTRACT, Arguments, Call, Unit, check

SCALARS = {torch.float32: "float", torch.float64: "double", torch.float16: "Half", torch.bfloat16: "BFloat16"}


def scalar(dtype: torch.dtype) -> str:
    """The source's name of a storage type. Raises TypeError for one that no kernel has."""
    if dtype not in SCALARS:
        raise TypeError(f"compiled operators take {', '.join(map(str, SCALARS))}, got {dtype}")
    return SCALARS[dtype]


def arithmetic(dtype: torch.dtype) -> torch.dtype:
    """The type that computes: float64 for itself, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


@dataclass(frozen=True)
class Machine:
    """`run`: does a call. `lanes`: a multiple of every warp's width. `tile`: rows and columns of outputs for one
    block, at most. `fast_bytes`: what a block may hold in shared memory. `owns_channels`: a block is one thread, so
    that a kernel that scatters can own a whole channel. `warps`: in a block. `lists_taps`: it holds lists of taps as
    well. `slot_by_slot`: it holds one volume of a list at a time. `copies`: of the sum for each tap.
    """

    run: Callable[[Call], None]
    lanes: int
    tile: tuple[int, int]
    fast_bytes: int
    owns_channels: bool
    warps: int
    lists_taps: bool
    slot_by_slot: bool
    copies: int

    def launch(
        self, unit: Unit, kernel: str, arguments: Arguments, *, blocks: int, shared_bytes: int = 0
    ) -> None:
        """Run a kernel of a unit over a grid, see `Call`. Raises: TypeError for arguments that it does not take."""
        check(unit, kernel, arguments)
        if blocks:
            self.run(Call(unit, kernel, arguments, blocks, shared_bytes))

    def enough_blocks(self) -> int:
        """As many blocks as keep every core busy to the end.

        On the host it is not the number of threads that decides, so that results cannot depend on it: the logarithmic
        convolution rounds by what a block holds.
        """
        return 64 if self.owns_channels else device.multiprocessors() * 2

    def holds(self, shared_bytes: int, where: torch.device) -> bool:
        """Whether a block may hold so many bytes."""
        usual = self.owns_channels or shared_bytes <= device.USUAL_SHARED_BYTES
        return usual or shared_bytes <= device.most_shared_bytes(where.index)


HOST = Machine(passes.run, 16, (64, 64), 512 * 1024, True, 1, True, False, CONTRACT["HOST_COPIES"])
DEVICE = Machine(
    device.run, 32, (16, 64), 64 * 1024, False, device.WARPS, False, True, CONTRACT["GPU_COPIES"]
)


def machine_of(x: Tensor) -> Machine:
    """The machine on which a tensor lives. Raises ValueError for a device that is neither CPU nor CUDA."""
    if x.device.type == "cpu":
        return HOST
    if x.device.type == "cuda":
        return DEVICE
    raise ValueError(f"compiled operators run on cpu and cuda tensors, got one on {x.device}")
