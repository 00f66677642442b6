r"""The operators on M3: features `[B, C, N, D, H, W]`, N directions at every voxel of a volume.

They are those of `pdegcnn_lib.ops` on the space M3(N), where N is read from the features: a kernel `[C, N, KN, KD, KH,
KW]` has a slot for each neighbour of a direction, `g0 [C, 1]` is how far a feature moves along its own direction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from torch import Tensor

from pdegcnn_lib.ops import _check, dense, semiring, transport
from pdegcnn_lib.spaces.m3 import M3

ZERO = {name: zero for name, (zero, _) in semiring.SEMIRINGS.items()}


def _space(f: Tensor) -> M3:
    return M3(_check.floating("f", f, 6, "[B, C, N, D, H, W]").shape[2])


def _on_m3(operator: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(operator)
    def run(f: Tensor, *arguments: Tensor, **options: str | None) -> Tensor:
        return operator(f, *arguments, space=_space(f), **options)

    return run


dilation = _on_m3(semiring.dilation)
erosion = _on_m3(semiring.erosion)
linear_convolution = _on_m3(semiring.linear_convolution)
convection = _on_m3(transport.convection)
group_convolution = _on_m3(dense.group_convolution)
projection = _on_m3(dense.projection)
lift = dense.lift
