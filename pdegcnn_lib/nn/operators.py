"""The operators as layers with trainable coefficients, on M2 (`Dilation`, ...) and on R^2 (`DilationR2`, ...)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pdegcnn_lib import ops
from pdegcnn_lib.kernels import group_kernel, lift_kernel, morphological_kernel_r2
from pdegcnn_lib.kernels.morphological import check_alpha
from pdegcnn_lib.kernels.window import check_window
from pdegcnn_lib.nn.metric import trainable_metric


class Lift(nn.Module):
    r"""The trainable lift $f \mapsto \sum_y \psi(R_\theta^{-1}(y - x)) f(y)$, which commutes with roto-translations.

    psi is a quadratic B-spline on a size x size grid of coefficients, evaluated on the grid turned by every angle.
    Shapes: `[B, Cin, H, W]` -> `[B, Cout, Or, H, W]`; padding as in `ops.lift`. Source: main paper, section 4.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        size: int,
        orientations: int = 8,
        padding: str = "reflect",
    ) -> None:
        super().__init__()
        check_window((size, size))
        self.orientations, self.padding = orientations, padding
        self.coefficients = nn.Parameter(torch.empty(out_channels, in_channels, size, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming initialisation by the number of inputs of one output."""
        nn.init.kaiming_uniform_(self.coefficients, a=math.sqrt(5))

    def forward(self, f: Tensor) -> Tensor:
        return ops.lift(
            f, lift_kernel(self.coefficients, self.orientations).to(f.dtype), padding=self.padding
        )

    def extra_repr(self) -> str:
        return f"{list(self.coefficients.shape)}, orientations={self.orientations}, padding={self.padding}"


class GroupConvolution(nn.Module):
    r"""The linear group convolution of a G-CNN, $f \mapsto \int K(q^{-1}p) f(q)\,dq$ with a trainable K.

    Shapes: `[B, Cin, Or, H, W]` -> `[B, Cout, Or, H, W]`; window (KOr, K, K); padding as in `ops.group_convolution`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        window: tuple[int, int, int] = (5, 5, 5),
        orientations: int = 8,
        padding: str = "reflect",
    ) -> None:
        super().__init__()
        check_window(window, orientations)
        if window[1] != window[2]:
            raise ValueError(f"window must be square in space to be turned, got {window}")
        self.orientations, self.padding = orientations, padding
        self.coefficients = nn.Parameter(torch.empty(out_channels, in_channels, *window))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming initialisation by the number of inputs of one output."""
        nn.init.kaiming_uniform_(self.coefficients, a=math.sqrt(5))

    def forward(self, f: Tensor) -> Tensor:
        kernel = group_kernel(self.coefficients, self.orientations).to(f.dtype)
        return ops.group_convolution(f, kernel, padding=self.padding)

    def extra_repr(self) -> str:
        return f"{list(self.coefficients.shape)}, orientations={self.orientations}, padding={self.padding}"


class Convection(nn.Module):
    r"""Convection by a trainable group element for every channel, $f \mapsto f(p\,g_0^{-1})$.

    It commutes with roto-translations. g0 `[C, 3]` starts at `spread` times a normal sample (0: the identity).
    Shapes: `[B, C, Or, H, W]` -> the same. Source: main paper, section 5.1.
    """

    def __init__(self, channels: int, *, spread: float = 0.0, backend: str | None = None) -> None:
        super().__init__()
        self.spread, self.backend = spread, backend
        self.g0 = nn.Parameter(torch.empty(channels, 3))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw g0 anew."""
        with torch.no_grad():
            self.g0.normal_(std=self.spread) if self.spread else self.g0.zero_()

    def forward(self, f: Tensor) -> Tensor:
        return ops.convection(f, self.g0.to(f.dtype), backend=self.backend)

    def extra_repr(self) -> str:
        return f"channels={self.g0.shape[0]}"


class ConvectionR2(Convection):
    r"""Convection on R^2 by a trainable vector for every channel, $f \mapsto f(x - c)$; c `[C, 2]`."""

    def __init__(self, channels: int, *, spread: float = 0.0, backend: str | None = None) -> None:
        super().__init__(channels, spread=spread, backend=backend)
        self.g0 = nn.Parameter(self.g0.detach()[:, :2].clone())

    def forward(self, f: Tensor) -> Tensor:
        return ops.convection_r2(f, self.g0.to(f.dtype), backend=self.backend)


class _Morphology(nn.Module):
    """What dilation and erosion on M2 share: a trainable metric and the kernel made from it."""

    operator: Callable[..., Tensor]

    def __init__(
        self,
        channels: int,
        *,
        window: tuple[int, int, int] = (5, 5, 5),
        orientations: int = 8,
        alpha: float = 0.65,
        estimate: str = "rho_c",
        metric: str = "diagonal",
        backend: str | None = None,
    ) -> None:
        super().__init__()
        check_window(window, orientations)
        self.window, self.orientations = (window[0], window[1], window[2]), orientations
        self.alpha, self.estimate, self.backend = check_alpha(alpha), estimate, backend
        self.metric = trainable_metric(metric, channels, 3, self.window)

    def kernel(self) -> Tensor:
        """The sampled kernel of the current metric, `[C, Or, KOr, KH, KW]`."""
        return ops.morphological_table(
            self.metric(),
            alpha=self.alpha,
            window=self.window,
            orientations=self.orientations,
            estimate=self.estimate,
            backend=self.backend,
        )

    def forward(self, f: Tensor) -> Tensor:
        return type(self).operator(f, self.kernel().to(f.dtype), backend=self.backend)

    def extra_repr(self) -> str:
        return f"window={self.window}, orientations={self.orientations}, alpha={self.alpha}, estimate={self.estimate}"


class Dilation(_Morphology):
    r"""Dilation with a trainable metric, the solution of $W_t = +\|\nabla W\|_{\mathcal{G}}^{2\alpha}$ at t = 1.

    It commutes with roto-translations. Shapes: `[B, C, Or, H, W]` -> the same. Source: main paper, Theorem 5.21.
    """

    operator = staticmethod(ops.dilation)


class Erosion(_Morphology):
    r"""Erosion with a trainable metric, the solution of $W_t = -\|\nabla W\|_{\mathcal{G}}^{2\alpha}$ at t = 1.

    It commutes with roto-translations. Shapes: `[B, C, Or, H, W]` -> the same. Source: main paper, Theorem 5.21.
    """

    operator = staticmethod(ops.erosion)


class _MorphologyR2(nn.Module):
    """What dilation and erosion on R^2 share."""

    operator: Callable[..., Tensor]

    def __init__(
        self,
        channels: int,
        *,
        window: tuple[int, int] = (5, 5),
        alpha: float = 0.65,
        metric: str = "full",
        backend: str | None = None,
    ) -> None:
        super().__init__()
        check_window(window)
        self.window, self.alpha, self.backend = (window[0], window[1]), check_alpha(alpha), backend
        self.metric = trainable_metric(metric, channels, 2, self.window)

    def kernel(self) -> Tensor:
        """The sampled kernel of the current metric, `[C, KH, KW]`."""
        return morphological_kernel_r2(self.metric(), alpha=self.alpha, window=self.window)

    def forward(self, f: Tensor) -> Tensor:
        return type(self).operator(f, self.kernel().to(f.dtype), backend=self.backend)

    def extra_repr(self) -> str:
        return f"window={self.window}, alpha={self.alpha}"


class DilationR2(_MorphologyR2):
    """Dilation on R^2 with a trainable metric; it commutes with translations. Shapes: `[B, C, H, W]` -> the same."""

    operator = staticmethod(ops.dilation_r2)


class ErosionR2(_MorphologyR2):
    """Erosion on R^2 with a trainable metric; it commutes with translations. Shapes: `[B, C, H, W]` -> the same."""

    operator = staticmethod(ops.erosion_r2)


class Linear(nn.Module):
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


class Projection(nn.Module):
    r"""The projection $f \mapsto \max_\theta f(\cdot, \theta)$ to the plane.

    Shapes: `[B, C, Or, H, W]` -> `[B, C, H, W]`.
    """

    def forward(self, f: Tensor) -> Tensor:
        return ops.projection(f)
