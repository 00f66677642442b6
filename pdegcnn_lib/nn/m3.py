r"""The layers on M3, each told how many directions there are: `[B, C, N, D, H, W]` -> the same unless said otherwise.

All of them commute with roto-translations of space, and exactly with the 24 turns of a cubic grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pdegcnn_lib.kernels.m3 import (
    diffusion_kernel_m3,
    lift_basis,
    line_wavelets,
    morphological_kernel_m3,
    orbits,
)
from pdegcnn_lib.kernels.morphological import check_time
from pdegcnn_lib.nn.metric import Draw, initial_scales
from pdegcnn_lib.nn.pde import CDE, _PDELayer
from pdegcnn_lib.nn.terms import _mass_inside, _Term
from pdegcnn_lib.ops import m3 as ops
from pdegcnn_lib.spaces import M3


class LiftM3(nn.Module):
    r"""The trained lift of a volume, $f \mapsto \sum_y \psi_n(y - x) f(y)$ with a psi that is symmetric about n.

    15 numbers for each pair of channels at size 5 (`kernels.m3.lift_basis`).
    Shapes: `[B, Cin, D, H, W]` -> `[B, Cout, N, D, H, W]`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, size: int, space: M3 | None = None) -> None:
        super().__init__()
        self.space, self.size = space or M3(), size
        self.coefficients = nn.Parameter(
            torch.empty(out_channels, in_channels, lift_basis(self.space, size).shape[-1])
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming initialisation by the number of inputs of one output."""
        nn.init.kaiming_uniform_(self.coefficients, a=math.sqrt(5))

    def kernel(self) -> Tensor:
        """The kernel for every direction, `[Cout, Cin, N, size, size, size]`."""
        basis = lift_basis(self.space, self.size).to(self.coefficients)
        return torch.einsum("nxb,aib->ainx", basis, self.coefficients).unflatten(-1, (self.size,) * 3)

    def forward(self, f: Tensor) -> Tensor:
        return ops.lift(f, self.kernel().to(f.dtype))

    def extra_repr(self) -> str:
        return f"{list(self.coefficients.shape)}, size={self.size}, space={self.space}"


class LineLift(nn.Module):
    r"""The fixed lift of every channel by line wavelets, divided by $q_n$ so that scores are as large as the volume.

    The weighted sum $\sum_n q_n\, out(x, n)$ gives the volume back up to its highest frequencies.
    Shapes: `[B, C, D, H, W]` -> `[B, C, N, D, H, W]`. No parameters.
    """

    def __init__(self, *, size: int = 15, sharpness: float = 0.3, space: M3 | None = None) -> None:
        super().__init__()
        self.space, self.size = space or M3(), size
        weights = self.space.weights()[:, None, None, None]
        # No buffer: float32 in between would cost a network in float64 its exact equivariance.
        self.wavelets = line_wavelets(self.space, size, sharpness=sharpness) / weights

    def forward(self, f: Tensor) -> Tensor:
        lifted = ops.lift(f.flatten(0, 1)[:, None], self.wavelets.to(f)[None, None])
        return lifted.reshape(*f.shape[:2], *lifted.shape[2:])

    def extra_repr(self) -> str:
        return f"size={self.size}, space={self.space}"


class ConvectionM3(nn.Module):
    r"""Convection forward by a trainable c for every channel, $f \mapsto f(x - t\,c\,n, n)$; `g0 [C, 1]` is c."""

    def __init__(
        self,
        channels: int,
        *,
        space: M3 | None = None,
        t: float = 1.0,
        spread: float = 0.0,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.space, self.t, self.spread, self.backend = space or M3(), check_time(t), spread, backend
        self.space.displacement(torch.zeros(channels, 1))  # lines have none
        self.g0 = nn.Parameter(torch.empty(channels, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw g0 anew."""
        with torch.no_grad():
            self.g0.normal_(std=self.spread) if self.spread else self.g0.zero_()

    def forward(self, f: Tensor) -> Tensor:
        return ops.convection(f, (self.t * self.g0).to(f.dtype))

    def extra_repr(self) -> str:
        return f"channels={self.g0.shape[0]}, t={self.t:g}"


class _TermM3(_Term):
    law: Callable[..., Tensor]

    def __init__(
        self,
        channels: int,
        *,
        space: M3 | None = None,
        window: tuple[int, ...] | None = None,
        alpha: float | str = 0.65,
        t: float = 1.0,
        estimate: str = "rho_b",
        metric: str = "diagonal",
        backend: str | None = None,
        scales: Draw = initial_scales,
    ) -> None:
        space = space or M3()
        window = space.check_window(space.default_window() if window is None else window)
        if metric != "diagonal":
            raise ValueError(f"metric must be diagonal on M3, got {metric!r}")
        # A window in space says what length scales suit it; the number of neighbours says nothing of the kind.
        super().__init__(channels, space.lengths, window[1:], alpha, t, metric, backend, scales)
        self.space, self.window, self.estimate = space, window, estimate

    def kernel(self) -> Tensor:
        """The sampled kernel of the current coefficients, `[C, N, KN, K, K, K]`."""
        return type(self).law(
            self.metric(),
            alpha=self.exponent(),
            window=self.window,
            space=self.space,
            t=self.t,
            estimate=self.estimate,
        )

    def extra_repr(self) -> str:
        own = f"window={self.window}, space={self.space}, estimate={self.estimate}"
        return f"{own}, {super().extra_repr()}"


class DilationM3(_TermM3):
    """Dilation with a trainable metric, as `Dilation`, on M3."""

    law = staticmethod(morphological_kernel_m3)

    def forward(self, f: Tensor) -> Tensor:
        return ops.dilation(f, self.kernel().to(f.dtype), backend=self.backend)


class ErosionM3(_TermM3):
    """Erosion with a trainable metric, as `Erosion`, on M3."""

    law = staticmethod(morphological_kernel_m3)

    def forward(self, f: Tensor) -> Tensor:
        return ops.erosion(f, self.kernel().to(f.dtype), backend=self.backend)


class DiffusionM3(_TermM3):
    """Fractional diffusion with a trainable metric, as `Diffusion`, on M3: the taps in the volume share the weight."""

    law = staticmethod(diffusion_kernel_m3)

    def __init__(self, channels: int, *, alpha: float | str = 1.0, **options: Any) -> None:
        super().__init__(channels, alpha=alpha, **options)

    def forward(self, f: Tensor) -> Tensor:
        k = self.kernel().to(f.dtype)
        return ops.linear_convolution(f, k, backend=self.backend) / _mass_in_volume(k.sum(2), f)


def _mass_in_volume(k: Tensor, f: Tensor) -> Tensor:
    """The weight of the taps `k [C, N, K, K, K]` that lie in the volume of f, for every voxel: `[C, N, D, H, W]`."""
    planes = _mass_inside(k, f)  # [C, N, K, H, W]
    depth, reach = f.shape[3], k.shape[2]
    at = torch.arange(depth, device=k.device)[:, None] + torch.arange(reach, device=k.device) - reach // 2
    return torch.einsum("zi,cniyx->cnzyx", ((at >= 0) & (at < depth)).to(k), planes)


class GroupConvolutionM3(nn.Module):
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
        self.space = space or M3()
        self.window = self.space.check_window(self.space.default_window() if window is None else window)
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
        return self.numbers[:, :, orbits(self.space, self.window)[0].to(self.numbers.device).clamp(min=0)]

    def forward(self, f: Tensor) -> Tensor:
        return ops.group_convolution(f, self.kernel().to(f.dtype))

    def extra_repr(self) -> str:
        return f"{list(self.numbers.shape)}, window={self.window}, space={self.space}"


class ProjectionM3(nn.Module):
    """The projection to a volume, the maximum over the directions: `[B, C, N, D, H, W]` -> `[B, C, D, H, W]`."""

    def forward(self, f: Tensor) -> Tensor:
        return ops.projection(f)


class DirectionalNorm(nn.BatchNorm3d):
    """Batch normalisation of every channel over all directions and voxels: `[B, C, N, D, H, W]` -> the same."""

    def forward(self, f: Tensor) -> Tensor:
        return super().forward(f.flatten(2, 3)).unflatten(2, f.shape[2:4])


TERMS_M3 = {
    "convection": ConvectionM3,
    "diffusion": DiffusionM3,
    "dilation": DilationM3,
    "erosion": ErosionM3,
}


class PDELayerM3(_PDELayer):
    r"""A layer of a PDE-G-CNN on M3, as `PDELayer`: convection along n, diffusion, dilation, erosion, then mixing.

    There is one invariant vector field, so 7 Cin + Cin Cout + 2 Cout parameters for convection, dilation and erosion.
    On lines (`M3(13)`) there is none: `terms` must leave convection out.
    Shapes: `[B, Cin, N, D, H, W]` -> `[B, Cout, N, D, H, W]`. Options: `PDELayer`, and `space`, `window` (KN, K, K, K).
    """

    terms_of_space = TERMS_M3
    norm_of_space = DirectionalNorm

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        space: M3 | None = None,
        terms: tuple[str, ...] = CDE,
        **options: Any,
    ) -> None:
        space = space or M3()
        self.terms_of_space = {**TERMS_M3, "convection": partial(ConvectionM3, space=space)}  # type: ignore[dict-item]
        super().__init__(in_channels, out_channels, terms=terms, space=space, **options)
