"""The terms of the equation as layers with trainable coefficients, on M2 (`Dilation`) and on R^2 (`DilationR2`).

Each solves its own equation up to the time t, which is 1 unless a layer divides it among the steps of a splitting.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pdegcnn_lib import ops
from pdegcnn_lib.geometry import SE2
from pdegcnn_lib.kernels import diffusion_kernel_r2, morphological_kernel_r2
from pdegcnn_lib.kernels.morphological import check_time
from pdegcnn_lib.kernels.window import Window, check_window, default_window
from pdegcnn_lib.nn.metric import Draw, diffusion_scales, initial_scales, trainable_alpha, trainable_metric


class Convection(nn.Module):
    r"""Convection by a trainable group element for every channel, $f \mapsto f(p\,g_0^{-t})$.

    $g_0^t = \exp(t \log g_0)$ with the principal logarithm; t = 1 takes g0 as it is. It commutes with
    roto-translations. g0 `[C, 3]` starts at `spread` times a normal sample (0: the identity).
    Shapes: `[B, C, Or, H, W]` -> the same. Source: main paper, section 5.1.
    """

    dim = 3
    operator: Callable[..., Tensor] = staticmethod(ops.convection)

    def __init__(
        self, channels: int, *, t: float = 1.0, spread: float = 0.0, backend: str | None = None
    ) -> None:
        super().__init__()
        self.t, self.spread, self.backend = check_time(t), spread, backend
        self.g0 = nn.Parameter(torch.empty(channels, self.dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw g0 anew."""
        with torch.no_grad():
            self.g0.normal_(std=self.spread) if self.spread else self.g0.zero_()

    def element(self) -> Tensor:
        """What the layer moves by, $g_0^t$, in the shape of g0."""
        return self.g0 if self.t == 1 else SE2.exp(self.t * SE2.log(self.g0))

    def forward(self, f: Tensor) -> Tensor:
        return type(self).operator(f, self.element().to(f.dtype), backend=self.backend)

    def extra_repr(self) -> str:
        return f"channels={self.g0.shape[0]}, t={self.t:g}"


class ConvectionR2(Convection):
    r"""Convection on R^2 by a trainable vector for every channel, $f \mapsto f(x - t c)$; c is g0 `[C, 2]`."""

    dim = 2
    operator = staticmethod(ops.convection_r2)

    def element(self) -> Tensor:
        """What the layer moves by, $t c$."""
        return self.t * self.g0


class _Term(nn.Module):
    """What the terms with a kernel share: its window, time and exponent, and the trainable metric it is made from."""

    def __init__(
        self,
        channels: int,
        dim: int,
        window: tuple[int, ...],
        alpha: float | str,
        t: float,
        metric: str,
        backend: str | None,
        scales: Draw,
    ) -> None:
        super().__init__()
        self.t, self.backend = check_time(t), backend
        self.alpha = trainable_alpha(alpha, channels)
        self.metric = trainable_metric(metric, channels, dim, window, scales)

    def exponent(self) -> float | Tensor:
        """The current alpha: a number, or one for every channel `[C]` where it is trained."""
        return self.alpha() if isinstance(self.alpha, nn.Module) else self.alpha

    def extra_repr(self) -> str:
        fixed = "" if isinstance(self.alpha, nn.Module) else f", alpha={self.alpha:g}"
        return f"t={self.t:g}{fixed}"


class _TermM2(_Term):
    def __init__(
        self,
        channels: int,
        *,
        window: Window | None = None,
        orientations: int = 8,
        alpha: float | str = 0.65,
        t: float = 1.0,
        estimate: str = "rho_c",
        metric: str = "diagonal",
        backend: str | None = None,
        scales: Draw = initial_scales,
    ) -> None:
        window = default_window(orientations) if window is None else window
        k_or, k_h, k_w = check_window(window, orientations)
        super().__init__(channels, 3, (k_or, k_h, k_w), alpha, t, metric, backend, scales)
        self.window, self.orientations, self.estimate = (k_or, k_h, k_w), orientations, estimate

    def extra_repr(self) -> str:
        own = f"window={self.window}, orientations={self.orientations}, estimate={self.estimate}"
        return f"{own}, {super().extra_repr()}"


class _TermR2(_Term):
    def __init__(
        self,
        channels: int,
        *,
        window: tuple[int, int] = (5, 5),
        alpha: float | str = 0.65,
        t: float = 1.0,
        metric: str = "full",
        backend: str | None = None,
        scales: Draw = initial_scales,
    ) -> None:
        k_h, k_w = check_window(window)
        super().__init__(channels, 2, (k_h, k_w), alpha, t, metric, backend, scales)
        self.window = (k_h, k_w)

    def extra_repr(self) -> str:
        return f"window={self.window}, {super().extra_repr()}"


class _Morphology(_TermM2):
    operator: Callable[..., Tensor]

    def kernel(self) -> Tensor:
        """The sampled kernel of the current coefficients, `[C, Or, KOr, KH, KW]`."""
        return ops.morphological_table(
            self.metric(),
            alpha=self.exponent(),
            window=self.window,
            orientations=self.orientations,
            t=self.t,
            estimate=self.estimate,
            backend=self.backend,
        )

    def forward(self, f: Tensor) -> Tensor:
        return type(self).operator(f, self.kernel().to(f.dtype), backend=self.backend)


class Dilation(_Morphology):
    r"""Dilation with a trainable metric, the solution of $W_t = +\|\nabla W\|_{\mathcal{G}}^{2\alpha}$ at the time t.

    It commutes with roto-translations. `window` (KOr, KH, KW), None for that of `kernels.default_window`;
    `alpha` in [1/2, 1], or `"trained"` (`TrainableAlpha`); `metric` `diagonal` or `full`; `scales` draws the first
    length scales.
    Shapes: `[B, C, Or, H, W]` -> the same. Raises: TypeError or ValueError for a bad window, alpha, t or metric.
    Source: main paper, Theorem 5.21.
    """

    operator = staticmethod(ops.dilation)


class Erosion(_Morphology):
    r"""Erosion with a trainable metric, the solution of $W_t = -\|\nabla W\|_{\mathcal{G}}^{2\alpha}$ at the time t.

    Options, shapes, errors and source as for `Dilation`.
    """

    operator = staticmethod(ops.erosion)


class Diffusion(_TermM2):
    r"""Fractional diffusion with a trainable metric: $W_t = -(-\Delta_{\mathcal{G}})^\alpha W$ up to the time t.

    $$out(p) = \frac{\sum_q K_t^\alpha(q^{-1}p)\, f(q)}{\sum_q K_t^\alpha(q^{-1}p)}, \qquad q \text{ in the image.}$$

    As in every operator the taps outside the image are left out, and here the others make up for their weight: a
    constant stays constant, and every value is a mean of values of f. It commutes with roto-translations.

    alpha = 1, a Gaussian, is the default: of the two closed forms it is the one that a small window holds, since the
    tail of the Poisson kernel at alpha = 1/2 falls only as $\rho^{-4}$. An alpha between, or `"trained"`, takes about
    1 200 times the work and memory of the window for the kernel (see `kernels.diffusion_kernel`).

    Shapes: `[B, C, Or, H, W]` -> the same. Other options and errors as for `Dilation`.
    Source: main paper, section 5.2; the rule at the border is our choice.
    """

    def __init__(
        self, channels: int, *, orientations: int = 8, alpha: float | str = 1.0, **options: Any
    ) -> None:
        draw = {"scales": partial(diffusion_scales, orientations=orientations), **options}
        super().__init__(channels, orientations=orientations, alpha=alpha, **draw)

    def kernel(self) -> Tensor:
        """The sampled kernel of the current coefficients, `[C, Or, KOr, KH, KW]`."""
        return ops.diffusion_table(
            self.metric(),
            alpha=self.exponent(),
            window=self.window,
            orientations=self.orientations,
            t=self.t,
            estimate=self.estimate,
            backend=self.backend,
        )

    def forward(self, f: Tensor) -> Tensor:
        k = self.kernel().to(f.dtype)
        return ops.linear_convolution(f, k, backend=self.backend) / _mass_inside(k.sum(2), f)


class _MorphologyR2(_TermR2):
    operator: Callable[..., Tensor]

    def kernel(self) -> Tensor:
        """The sampled kernel of the current coefficients, `[C, KH, KW]`."""
        return morphological_kernel_r2(self.metric(), alpha=self.exponent(), window=self.window, t=self.t)

    def forward(self, f: Tensor) -> Tensor:
        return type(self).operator(f, self.kernel().to(f.dtype), backend=self.backend)


class DilationR2(_MorphologyR2):
    """Dilation on R^2, as `Dilation`; it commutes with translations. Shapes: `[B, C, H, W]`; window (KH, KW)."""

    operator = staticmethod(ops.dilation_r2)


class ErosionR2(_MorphologyR2):
    """Erosion on R^2, as `Erosion`; it commutes with translations. Shapes: `[B, C, H, W]`; window (KH, KW)."""

    operator = staticmethod(ops.erosion_r2)


class DiffusionR2(_TermR2):
    """Diffusion on R^2, as `Diffusion`; it commutes with translations. Shapes: `[B, C, H, W]`; window (KH, KW)."""

    def __init__(self, channels: int, *, alpha: float | str = 1.0, **options: Any) -> None:
        super().__init__(channels, alpha=alpha, **{"scales": diffusion_scales, **options})

    def kernel(self) -> Tensor:
        """The sampled kernel of the current coefficients, `[C, KH, KW]`."""
        return diffusion_kernel_r2(self.metric(), alpha=self.exponent(), window=self.window, t=self.t)

    def forward(self, f: Tensor) -> Tensor:
        k = self.kernel().to(f.dtype)
        return ops.linear_convolution_r2(f, k, backend=self.backend) / _mass_inside(k, f)


def _mass_inside(k: Tensor, f: Tensor) -> Tensor:
    """The weight of the taps of a window `[..., KH, KW]` that lie in the image of f, for every pixel: `[..., H, W]`."""

    def inside(size: int, taps: int) -> Tensor:
        at = torch.arange(size, device=k.device)[:, None] + torch.arange(taps, device=k.device) - taps // 2
        return ((at >= 0) & (at < size)).to(k)

    return inside(f.shape[-2], k.shape[-2]) @ k @ inside(f.shape[-1], k.shape[-1]).mT
