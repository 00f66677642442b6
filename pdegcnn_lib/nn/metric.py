"""Trainable coefficients of the equation: the metrics and exponents of diffusion, dilation and erosion."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.geometry import DiagonalMetric, FinslerMetric, FullMetric
from pdegcnn_lib.geometry.checks import positive
from pdegcnn_lib.geometry.m3 import AxialMetric
from pdegcnn_lib.kernels.morphological import check_alpha
from pdegcnn_lib.spaces import M2, Plane, Space

TRAINED = "trained"
START = 0.65  # of a trained alpha: the value that the authors' implementation keeps fixed

# (channels, dim, window) -> random length scales [channels, dim]
Draw = Callable[[int, int, tuple[int, ...]], Tensor]


def initial_scales(channels: int, dim: int, window: tuple[int, ...]) -> Tensor:
    """Random length scales whose kernels are neither a point nor flat on the window: w^2 ~ U(1.4/max, 0.7 min).

    Shapes: -> `[channels, dim]`. Source: the range that the authors' implementation draws its g = w^2 from.
    """
    spread = [n for n in window if n > 1] or [3]
    low, high = sorted((1.4 / max(spread), 0.7 * min(spread)))
    return torch.empty(channels, dim).uniform_(low, high).sqrt()


def diffusion_scales(
    channels: int,
    dim: int,
    window: tuple[int, ...],
    *,
    space: Space | None = None,
    orientations: int | None = None,
) -> Tensor:
    r"""Random length scales whose Gaussians neither vanish between the grid points nor are cut off by the window.

    The heat kernel at t = 1 has the standard deviation $\sqrt2/w_i$ along $\mathcal{A}_i$. It is drawn from
    U(0.4, h/2), in steps of the grid, with h = size // 2 the reach of the window: at 0.4 a neighbour weighs 4 percent
    of the centre and the layer is nearly the identity, at h/2 the window ends at two deviations. Ranges that suit
    dilation would not do: their widest Gaussian is flat over the window, and an orientation score averaged over most
    of its orientations has lost them.

    Shapes: -> `[channels, dim]`, in the units of the space, which `orientations` is short for on M2 (dim = 3).
    """
    if space is None and orientations is None and dim != 2:
        raise ValueError("orientations must be given on M2, where they are the unit of the angle, got None")
    seen = (space or (Plane() if orientations is None else M2(orientations))).reach(window)
    narrow, wide = 0.4, torch.tensor([max(h, 1) / 2 for h, _ in seen])
    deviation = narrow + (wide - narrow) * torch.rand(channels, dim)
    return math.sqrt(2) / (deviation * torch.tensor([step for _, step in seen]))


class TrainableDiagonalMetric(nn.Module):
    r"""A diagonal metric for every channel, $w = \mathrm{softplus}(v)$ with free parameters v `[C, n]`.

    Softplus is positive with a positive slope everywhere, so no channel can die; for w above 1 it is nearly the
    identity, so a step of the optimiser is a step in w.
    """

    def __init__(
        self, channels: int, dim: int, window: tuple[int, ...], scales: Draw = initial_scales
    ) -> None:
        super().__init__()
        self.window, self.scales = window, scales
        self.v = nn.Parameter(torch.empty(channels, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new length scales."""
        with torch.no_grad():
            w = positive("scales", self.scales(self.v.shape[0], self.v.shape[1], self.window))
            self.v.copy_(w + torch.log(-torch.expm1(-w)))  # the inverse of softplus

    @property
    def w(self) -> Tensor:
        """The length scales `[C, n]`, in the order of the invariant frame (main, lateral, angular)."""
        # softplus underflows to 0 for very negative v; the smallest normal number keeps its promise.
        return functional.softplus(self.v) + torch.finfo(self.v.dtype).tiny

    def forward(self) -> DiagonalMetric:
        """The metric as the kernels take it."""
        return DiagonalMetric(self.w, checked=False)

    def extra_repr(self) -> str:
        return f"channels={self.v.shape[0]}, dim={self.v.shape[1]}"


class TrainableFullMetric(nn.Module):
    r"""Any left-invariant metric for every channel, $\mathcal{G} = H^\top H$ with free parameters H `[C, n, n]`.

    H starts at a diagonal metric with a small full perturbation, so that the first metrics are well conditioned.
    """

    def __init__(
        self, channels: int, dim: int, window: tuple[int, ...], scales: Draw = initial_scales
    ) -> None:
        super().__init__()
        self.window, self.scales = window, scales
        self.factor = nn.Parameter(torch.empty(channels, dim, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw a new diagonal and a perturbation of a tenth of its size."""
        with torch.no_grad():
            w = positive("scales", self.scales(self.factor.shape[0], self.factor.shape[1], self.window))
            noise = torch.randn_like(self.factor) * (0.1 / math.sqrt(self.factor.shape[-1]))
            self.factor.copy_(torch.diag_embed(w) + w.mean(-1)[:, None, None] * noise)

    def forward(self) -> FullMetric:
        """The metric as the kernels take it."""
        return FullMetric(self.factor, checked=False)

    def extra_repr(self) -> str:
        return f"channels={self.factor.shape[0]}, dim={self.factor.shape[1]}"


class TrainableFinslerMetric(nn.Module):
    r"""A Finsler metric of the plane for every channel, with free coefficients `[C, 5]` up to the second harmonic.

    It starts close to a round metric, where it is convex; see `geometry.FinslerMetric`.
    """

    harmonics = 2

    def __init__(
        self, channels: int, dim: int, window: tuple[int, ...], scales: Draw = initial_scales
    ) -> None:
        super().__init__()
        self.window, self.scales, self.dim = window, scales, dim
        self.coefficients = nn.Parameter(torch.empty(channels, 2 * self.harmonics + 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw a new round metric, as large as a diagonal one, and harmonics of a twentieth."""
        with torch.no_grad():
            w = positive("scales", self.scales(self.coefficients.shape[0], self.dim, self.window))
            self.coefficients.normal_(std=0.05)
            self.coefficients[:, 0] = w.log().mean(-1)

    def forward(self) -> FinslerMetric:
        """The metric as the kernels take it."""
        return FinslerMetric(self.coefficients, checked=False)

    def extra_repr(self) -> str:
        return f"channels={self.coefficients.shape[0]}, harmonics={self.harmonics}"


class TrainableAxialMetric(nn.Module):
    r"""Any invariant metric of M3 for every channel: a diagonal one with its scales w, and free numbers m `[C, 2]`.

    $$(a, b) = r\, w_L w_A\, \frac{m}{\sqrt{1 + |m|^2}}, \qquad r = 0.99$$

    It is positive whatever the numbers, see `geometry.m3.AxialMetric`, and by r < 1 stays so in float32. It starts
    close to the diagonal one; at m = 0 its kernels are those, bit for bit.
    """

    most = 0.99

    def __init__(
        self, channels: int, dim: int, window: tuple[int, ...], scales: Draw = initial_scales
    ) -> None:
        super().__init__()
        self.diagonal = TrainableDiagonalMetric(channels, dim, window, scales)
        self.mixed = nn.Parameter(nn.init.normal_(torch.empty(channels, 2), std=0.1))

    def reset_parameters(self) -> None:
        """Draw new length scales, and mixed terms of about a tenth of what they may be."""
        self.diagonal.reset_parameters()
        nn.init.normal_(self.mixed, std=0.1)

    def forward(self) -> AxialMetric:
        """The metric as the kernels take it."""
        w = self.diagonal.w
        share = self.mixed / (1 + (self.mixed**2).sum(-1, keepdim=True)).sqrt()
        a, b = (self.most * (w[:, 1] * w[:, 2])[:, None] * share).unbind(-1)
        return AxialMetric(w, a, b, checked=False)


def trainable_metric(
    kind: str, channels: int, dim: int, window: tuple[int, ...], scales: Draw = initial_scales
) -> nn.Module:
    """The trainable metric of a kind, `diagonal`, `full`, `finsler` or `axial`; ValueError for another."""
    kinds: dict[str, Callable[..., nn.Module]] = {
        "diagonal": TrainableDiagonalMetric,
        "full": TrainableFullMetric,
        "finsler": TrainableFinslerMetric,
        "axial": TrainableAxialMetric,
    }
    if kind not in kinds:
        raise ValueError(f"metric must be one of {', '.join(kinds)}, got {kind!r}")
    return kinds[kind](channels, dim, window, scales)


class TrainableAlpha(nn.Module):
    r"""A trainable exponent alpha in (1/2, 1] for every channel, $\alpha = \frac{\beta}{2(\beta - 1)}$.

    The free parameters v `[C]` set $\beta = \frac{2\alpha}{2\alpha - 1} = 2 + \mathrm{softplus}(v)$, the exponent
    of the morphological kernel. An optimiser then moves the shape of the kernel by even steps, and reaches neither
    alpha = 1/2, where beta is infinite, nor a place without slope. There is one alpha per channel because every
    channel evolves by an equation of its own, with a metric of its own.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.empty(channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start at alpha = 0.65."""
        excess = 2 * START / (2 * START - 1) - 2
        with torch.no_grad():
            self.v.fill_(math.log(math.expm1(excess)))

    def forward(self) -> Tensor:
        """The exponents `[C]`."""
        # In float32 alpha would round to 1/2 at beta = 2^24.
        beta = (2 + functional.softplus(self.v)).clamp(max=min(1e6, torch.finfo(self.v.dtype).max))
        return beta / (2 * (beta - 1))

    def extra_repr(self) -> str:
        return f"channels={self.v.shape[0]}"


def trainable_alpha(alpha: float | str, channels: int) -> float | TrainableAlpha:
    """A fixed alpha, checked, or a trainable one for "trained"; TypeError or ValueError for anything else."""
    if not isinstance(alpha, str):
        return check_alpha(alpha)  # type: ignore[return-value]
    if alpha != TRAINED:
        raise ValueError(f"alpha must be a number in [1/2, 1] or {TRAINED!r}, got {alpha!r}")
    return TrainableAlpha(channels)
