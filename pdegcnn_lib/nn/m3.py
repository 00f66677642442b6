r"""The layers that are M3's own: a fixed lift, and the group convolution of a G-CNN.

They commute with roto-translations of space, and exactly with the 24 turns of a cubic grid. All others are the layers
of every space, told `space=M3(directions)`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pdegcnn_lib import ops
from pdegcnn_lib.geometry.constant import constant, on
from pdegcnn_lib.kernels.m3 import line_wavelets, orbits
from pdegcnn_lib.nn.layer import Layer
from pdegcnn_lib.spaces import M3


def _of_m3(space: M3 | None) -> M3:
    """The space named, M3() where none is. Raises: ValueError for a space of another kind."""
    space = M3() if space is None else space
    if not isinstance(space, M3):
        raise ValueError(f"space must be M3 for a layer of directions in space, got {space!r}")
    return space


@constant
def _wavelets(space: M3, size: int, sharpness: float) -> Tensor:
    return line_wavelets(space, size, sharpness=sharpness) / space.weights()[:, None, None, None]


class LineLift(Layer):
    r"""The fixed lift of every channel by line wavelets, divided by $q_n$ so that scores are as large as the volume.

    The weighted sum $\sum_n q_n\, out(x, n)$ gives the volume back up to its highest frequencies.
    Shapes: `[B, C, D, H, W]` -> `[B, C, N, D, H, W]`. No parameters.
    """

    def __init__(self, *, size: int = 15, sharpness: float = 0.3, space: M3 | None = None) -> None:
        super().__init__()
        self.space, self.size, self.sharpness = _of_m3(space), size, sharpness
        _wavelets(self.space, size, sharpness)  # refuses a bad size now, not at the first call

    @property
    def wavelets(self) -> Tensor:
        """The wavelets divided by q_n, `[N, size, size, size]`, float64 on the CPU."""
        # No buffer: float32 in between would cost a network in float64 its exact equivariance.
        return _wavelets(self.space, self.size, self.sharpness)

    def forward(self, f: Tensor) -> Tensor:
        wavelets = on(f, _wavelets, self.space, self.size, self.sharpness)
        lifted = ops.lift(f.flatten(0, 1)[:, None], wavelets[None, None])
        return lifted.reshape(*f.shape[:2], *lifted.shape[2:])

    def extra_repr(self) -> str:
        return f"size={self.size}, space={self.space}"


class GroupConvolutionM3(Layer):
    r"""The linear group convolution of a G-CNN on M3 with a trainable kernel, the most general equivariant one.

    One number for each orbit of (direction, neighbour, offset) under the turns of the cube (`kernels.m3.orbits`).
    Shapes: `[B, Cin, N, D, H, W]` -> `[B, Cout, N, D, H, W]`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        window: tuple[int, ...] | None = None,
        space: M3 | None = None,
    ) -> None:
        super().__init__()
        self.space = _of_m3(space)
        self.window = self.space.window(window)
        self.numbers = nn.Parameter(
            torch.empty(out_channels, in_channels, orbits(self.space, self.window)[1])
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within the bound of Kaiming's rule for the number of inputs of one output."""
        taps = orbits(self.space, self.window)[0][0]
        bound = 1 / math.sqrt(self.numbers.shape[1] * int((taps >= 0).sum()))
        nn.init.uniform_(self.numbers, -bound, bound)

    def kernel(self) -> Tensor:
        """The kernel at every direction, `[Cout, Cin, N, KN, K, K, K]`."""
        return self.numbers[:, :, on(self.numbers, orbits, self.space, self.window)[0].clamp(min=0)]

    def forward(self, f: Tensor) -> Tensor:
        return ops.group_convolution(f, self.kernel().to(f.dtype), space=self.space)

    def extra_repr(self) -> str:
        return f"{list(self.numbers.shape)}, window={self.window}, space={self.space}"
