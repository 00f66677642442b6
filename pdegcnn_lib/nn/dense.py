"""Layers that mix channels or change the space: lifts, group convolution, pointwise linear map, projection."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pdegcnn_lib import ops
from pdegcnn_lib.geometry.constant import constant, on
from pdegcnn_lib.kernels import cake_wavelets, group_kernel, lift_kernel
from pdegcnn_lib.kernels.window import check_orientations, check_window
from pdegcnn_lib.nn.layer import Layer, watched
from pdegcnn_lib.ops import _check
from pdegcnn_lib.spaces import Space, chosen


class Lift(Layer):
    r"""The trained lift $f \mapsto \sum_y \psi(R_\theta^{-1}(y - x)) f(y)$, which commutes with roto-translations.

    On M2 psi is a quadratic B-spline on a size x size grid of coefficients, evaluated on the grid turned by each angle.
    Shapes: `[B, Cin, H, W]` -> `[B, Cout, Or, H, W]` on M2, the default; padding as in `ops.lift`. `orientations` is
    short for a space M2. Raises: ValueError for an even size or a space without a lift.
    Source: main paper, section 4.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        size: int,
        space: Space | None = None,
        orientations: int | None = None,
        padding: str = "reflect",
    ) -> None:
        super().__init__()
        self.space, self.size, self.padding = chosen(space, orientations), size, padding
        numbers = self.space.lift_basis(size).shape[2:]
        self.coefficients = nn.Parameter(torch.empty(out_channels, in_channels, *numbers))
        self.reset_parameters()

    @property
    def orientations(self) -> int:
        """The number of orientations, or of points of another fibre."""
        return self.space.fibre

    def reset_parameters(self) -> None:
        """Kaiming initialisation by the number of inputs of one output."""
        nn.init.kaiming_uniform_(self.coefficients, a=math.sqrt(5))

    def forward(self, f: Tensor) -> Tensor:
        k = lift_kernel(self.coefficients, space=self.space, size=self.size).to(f.dtype)
        return ops.lift(f, k, padding=self.padding)

    def extra_repr(self) -> str:
        return f"{list(self.coefficients.shape)}, space={self.space}, padding={self.padding}"


@constant
def _wavelets(orientations: int, size: int, gain: float) -> Tensor:
    return gain * cake_wavelets(orientations, size)


class CakeLift(Layer):
    r"""The fixed lift of every channel by cake wavelets, $f \mapsto \mathrm{gain} \sum_y \psi_\theta(y - x)\, f(y)$.

    It has no parameters and commutes with roto-translations. With gain 1 the sum over theta gives the image back, up
    to the frequencies near Nyquist's that the wavelets remove, and every orientation has the same share of its mean;
    with the gain Or the mean over theta does, so that scores are as large as the image for any number of orientations.
    A line gives the same answer from both ends: $out(\cdot, \theta + \pi) = out(\cdot, \theta)$ for an even Or.

    Shapes: `[B, C, H, W]` -> `[B, C, Or, H, W]`; the wavelets span size x size pixels; padding as in `ops.lift`.
    Raises: ValueError for an even size or orientations < 1. Source: main paper, section 4.1; the wavelets are those
    of `kernels.cake_wavelets`.
    """

    def __init__(
        self, orientations: int = 8, *, size: int = 21, gain: float = 1.0, padding: str = "reflect"
    ) -> None:
        super().__init__()
        check_window((size, size))
        self.orientations, self.size = check_orientations(orientations), size
        self.gain, self.padding = gain, padding

    @property
    def wavelets(self) -> Tensor:
        """The wavelets times the gain, `[Or, size, size]`, float64 on the CPU."""
        # Neither a buffer, where float32 in between would cost a network in float64 its exact equivariance, nor a
        # tensor beside the buffers, which would stay behind when a network built on meta gets its memory.
        return _wavelets(self.orientations, self.size, self.gain)

    def forward(self, f: Tensor) -> Tensor:
        _check.floating("f", f, 4, "[B, C, H, W]")
        # Channels are lifted alike and apart: they join the batch.
        wavelets = on(f, _wavelets, self.orientations, self.size, self.gain)
        lifted = ops.lift(f.flatten(0, 1)[:, None], wavelets[None, None], padding=self.padding)
        return lifted.reshape(*f.shape[:2], *lifted.shape[2:])

    def extra_repr(self) -> str:
        return (
            f"orientations={self.orientations}, size={self.size}, gain={self.gain:g}, padding={self.padding}"
        )


class GroupConvolution(Layer):
    r"""The linear group convolution of a G-CNN, $f \mapsto \int K(q^{-1}p) f(q)\,dq$ with a trainable K.

    Shapes: `[B, Cin, Or, H, W]` -> `[B, Cout, Or, H, W]`; window (KOr, K, K), None for that of
    `M2.default_window`; padding as in `ops.group_convolution`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        window: tuple[int, ...] | None = None,
        space: Space | None = None,
        orientations: int | None = None,
        padding: str = "reflect",
    ) -> None:
        super().__init__()
        self.space = space = chosen(space, orientations)
        if not space.turns:
            raise ValueError(f"space must be M2 for kernels that turn with its orientations, got {space}")
        window = space.window(window)
        if window[1] != window[2]:
            raise ValueError(f"window must be square in space to be turned, got {window}")
        self.orientations, self.padding = space.fibre, padding
        self.coefficients = nn.Parameter(torch.empty(out_channels, in_channels, *window))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming initialisation by the number of inputs of one output."""
        nn.init.kaiming_uniform_(self.coefficients, a=math.sqrt(5))

    def forward(self, f: Tensor) -> Tensor:
        kernel = group_kernel(self.coefficients, self.orientations).to(f.dtype)
        return ops.group_convolution(f, kernel, padding=self.padding, space=self.space)

    def extra_repr(self) -> str:
        return f"{list(self.coefficients.shape)}, space={self.space}, padding={self.padding}"


class Linear(Layer):
    r"""The trainable linear combination of channels at every point, $out_a = \sum_c w_{ac} f_c$, without bias.

    It commutes with every action on the domain. Shapes: `[B, Cin, ...]` -> `[B, Cout, ...]`.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming initialisation by the number of input channels."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, f: Tensor) -> Tensor:
        return ops.linear(f, self.weight.to(f.dtype))

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]} -> {self.weight.shape[0]}"


class DirectionalNorm(nn.BatchNorm3d):
    """Batch normalisation of every channel over all directions and voxels: `[B, C, N, D, H, W]` -> the same."""

    def forward(self, f: Tensor) -> Tensor:
        return super().forward(f.flatten(2, 3)).unflatten(2, f.shape[2:4])


def normalised(linear: nn.Module, norm: nn.Module, f: Tensor, backend: str | None = None) -> Tensor:
    """`norm(linear(f))`, in training by one product where both are plain modules, see `ops.normalised_linear`."""
    if (
        watched(linear, norm)
        or type(linear) is not Linear
        or not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d)
        or type(norm) not in (nn.BatchNorm2d, nn.BatchNorm3d, DirectionalNorm)
    ):
        return norm(linear(f))
    count = norm.num_batches_tracked
    if not norm.training or not norm.affine or count is None or f.dtype != norm.weight.dtype:
        return norm(linear(f))
    count.add_(1)
    momentum = 1 / float(count) if norm.momentum is None else norm.momentum
    numbers = (linear.weight.to(f.dtype), norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return ops.normalised_linear(f, *numbers, momentum=momentum, eps=norm.eps, backend=backend)


class Projection(Layer):
    r"""The projection $f \mapsto \max_\theta f(\cdot, \theta)$ to the positions of a space.

    Shapes: `[B, C, Or, H, W]` -> `[B, C, H, W]`, for any Or where no space is named; as `ops.projection` on others.
    """

    def __init__(self, *, space: Space | None = None) -> None:
        super().__init__()
        self.space = None if space is None else chosen(space, None)

    def forward(self, f: Tensor) -> Tensor:
        return ops.projection(f, space=self.space)

    def extra_repr(self) -> str:
        return "" if self.space is None else f"space={self.space}"
