"""Trained kernels without a metric: any smooth function, on the group for a term, on the plane for a lift."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib import ops
from pdegcnn_lib.kernels.free import free_kernel, free_lift_kernel, free_numbers
from pdegcnn_lib.nn.layer import Layer
from pdegcnn_lib.ops._check import beside
from pdegcnn_lib.spaces import Plane, Space, chosen


class _Free(Layer):
    operator: ClassVar[Callable[..., Tensor]]
    outside: ClassVar[float] = math.inf

    def __init__(
        self,
        channels: int,
        *,
        space: Space | None = None,
        orientations: int | None = None,
        window: tuple[int, ...] | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.space = space = chosen(space, orientations)
        self.window = space.window(window)
        self.backend = backend
        self.coefficients = nn.Parameter(torch.empty(channels, *free_numbers(space, self.window)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the coefficients anew from U(0, 1)."""
        nn.init.uniform_(self.coefficients)

    def kernel(self) -> Tensor:
        """The sampled kernel of the current coefficients, `[C, *kernels, *window]`: `[C, Or, KOr, KH, KW]` on M2."""
        return free_kernel(self.coefficients, window=self.window, space=self.space, outside=self.outside)

    def forward(self, f: Tensor) -> Tensor:
        return type(self).operator(f, beside(self.kernel(), f), space=self.space, backend=self.backend)

    def extra_repr(self) -> str:
        return f"channels={self.coefficients.shape[0]}, space={self.space}, window={self.window}"


class FreeDilation(_Free):
    r"""Dilation by a trained kernel, $out(p) = \sup_q f(q) - k(q^{-1}p)$ with any smooth k.

    k is that of `kernels.free_kernel`, infinite outside of its ball. A kernel of the PDE belongs to an equation with a
    time; this one has none, and a `PDELayer` of N steps applies it N times. It commutes with the symmetries of its
    space: roto-translations on M2, the default, translations on R^2.
    Shapes: those of the space, -> the same. `coefficients` `[C, K, K, KOr]` on M2, `[C, K, K]` on R^2.
    Raises: ValueError for a bad window. Source: LieTorch's morphological convolution, rotated exactly.
    """

    operator = staticmethod(ops.dilation)


class FreeErosion(_Free):
    r"""Erosion by a trained kernel, $out(p) = \inf_q f(q) + k(q^{-1}p)$; as `FreeDilation` otherwise."""

    operator = staticmethod(ops.erosion)


class FreeConvolution(_Free):
    r"""The linear convolution of every channel by a trained kernel, $out(p) = \sum_q k(q^{-1}p)\, f(q)$.

    `FreeDilation` with a sum in the place of the supremum and a kernel that is 0 outside of its ball. A
    `GroupConvolution` mixes channels and has a kernel for each pair of them; this is a term, with one for each channel.
    """

    operator = staticmethod(ops.linear_convolution)
    outside = 0.0

    def reset_parameters(self) -> None:
        """Kaiming initialisation by the number of inputs of one output."""
        bound = 1 / math.sqrt(self.coefficients[0].numel())
        nn.init.uniform_(self.coefficients, -bound, bound)


class FreeLift(Layer):
    r"""The trained lift $f \mapsto \sum_y \psi(R_\theta^{-1}(y - x)) f(y)$ whose splines move and change their width.

    `Lift` has one coefficient for each pixel of its window; here psi is a sum of so many `splines`, each with a trained
    position, width and weight, see `kernels.free_lift_kernel`: 4 numbers a spline, whatever the window. It commutes
    with roto-translations. Shapes: `[B, Cin, H, W]` -> `[B, Cout, Or, H, W]`; padding as in `ops.lift`.
    Raises: ValueError for an even size, fewer than one spline or a space other than M2.
    Source: LieTorch's lift by non-uniform B-splines.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        size: int,
        splines: int = 9,
        space: Space | None = None,
        orientations: int | None = None,
        padding: str = "reflect",
    ) -> None:
        super().__init__()
        self.space, self.padding = chosen(space, orientations), padding
        self.size = Plane().check_window((size, size))[0]
        if not self.space.turns or splines < 1:
            raise ValueError(f"a free lift leads to M2 by one spline or more, got {self.space} and {splines}")
        shape = (out_channels, in_channels, splines)
        self.weights = nn.Parameter(torch.empty(shape))
        self.nodes = nn.Parameter(torch.empty(*shape, 2))
        self.v = nn.Parameter(torch.empty(shape))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Spread the splines over the disc, of a width of a pixel, with Kaiming weights."""
        with torch.no_grad():
            angle = 2 * math.pi * torch.rand_like(self.v)
            radius = torch.rand_like(self.v).sqrt() * self.size / 2
            self.nodes.copy_(torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1))
            self.v.fill_(math.log(math.expm1(1)))  # softplus(v) = 1
        nn.init.kaiming_uniform_(self.weights, a=math.sqrt(5))

    @property
    def scales(self) -> Tensor:
        """The widths of the splines, `[Cout, Cin, S]` in pixels, positive."""
        return functional.softplus(self.v) + torch.finfo(self.v.dtype).tiny

    def kernel(self) -> Tensor:
        """The sampled kernel of the current coefficients, `[Cout, Cin, Or, size, size]`."""
        return free_lift_kernel(
            self.weights, self.nodes, self.scales, size=self.size, orientations=self.space.fibre
        )

    def forward(self, f: Tensor) -> Tensor:
        return ops.lift(f, self.kernel().to(f.dtype), padding=self.padding)

    def extra_repr(self) -> str:
        return f"{list(self.weights.shape)}, size={self.size}, space={self.space}, padding={self.padding}"
