"""Trainable metrics: the parameters of the diffusion, dilation and erosion layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.geometry import DiagonalMetric, FullMetric


def initial_scales(channels: int, dim: int, window: tuple[int, ...]) -> Tensor:
    """Random length scales whose kernels are neither a point nor flat on the window: w^2 ~ U(1.4/max, 0.7 min).

    Shapes: -> `[channels, dim]`. Source: the range that the authors' implementation draws its g = w^2 from.
    """
    spread = [n for n in window if n > 1] or [3]
    low, high = sorted((1.4 / max(spread), 0.7 * min(spread)))
    return torch.empty(channels, dim).uniform_(low, high).sqrt()


class TrainableDiagonalMetric(nn.Module):
    r"""A diagonal metric for every channel, $w = \mathrm{softplus}(v)$ with free parameters v `[C, n]`.

    Softplus is positive with a positive slope everywhere, so no channel can die; for w above 1 it is nearly the
    identity, so a step of the optimiser is a step in w.
    """

    def __init__(self, channels: int, dim: int, window: tuple[int, ...]) -> None:
        super().__init__()
        self.window = window
        self.v = nn.Parameter(torch.empty(channels, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new length scales."""
        with torch.no_grad():
            w = initial_scales(self.v.shape[0], self.v.shape[1], self.window)
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

    def __init__(self, channels: int, dim: int, window: tuple[int, ...]) -> None:
        super().__init__()
        self.window = window
        self.factor = nn.Parameter(torch.empty(channels, dim, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw a new diagonal and a perturbation of a tenth of its size."""
        with torch.no_grad():
            w = initial_scales(self.factor.shape[0], self.factor.shape[1], self.window)
            noise = torch.randn_like(self.factor) * (0.1 / math.sqrt(self.factor.shape[-1]))
            self.factor.copy_(torch.diag_embed(w) + w.mean(-1)[:, None, None] * noise)

    def forward(self) -> FullMetric:
        """The metric as the kernels take it."""
        return FullMetric(self.factor, checked=False)

    def extra_repr(self) -> str:
        return f"channels={self.factor.shape[0]}, dim={self.factor.shape[1]}"


def trainable_metric(kind: str, channels: int, dim: int, window: tuple[int, ...]) -> nn.Module:
    """The trainable metric of the given kind, `diagonal` or `full`; ValueError for another."""
    kinds = {"diagonal": TrainableDiagonalMetric, "full": TrainableFullMetric}
    if kind not in kinds:
        raise ValueError(f"metric must be one of {', '.join(kinds)}, got {kind!r}")
    return kinds[kind](channels, dim, window)
