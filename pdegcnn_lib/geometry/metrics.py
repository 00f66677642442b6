"""Left-invariant Riemannian metrics, given by their components in the invariant frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdegcnn_lib.geometry._check import last_axis, positive


@dataclass(frozen=True)
class DiagonalMetric:
    r"""The metric $\mathcal{G} = \sum_i w_i^2\, \omega^i \otimes \omega^i$ with positive length scales w.

    Shapes: `w [..., n]`; on M2 w = (w_main, w_lateral, w_angular). LieTorch's parameters are w**2.
    `checked=False` is for values that a parameterisation keeps positive: the check reads them back from a GPU.
    Raises: TypeError or ValueError unless w is floating, of at least one axis, positive and finite.
    """

    w: Tensor
    checked: bool = True

    def __post_init__(self) -> None:
        if not self.checked:
            return
        if not isinstance(self.w, Tensor) or self.w.ndim == 0:
            raise TypeError(f"w must be a tensor of shape [..., n], got {self.w!r}")
        positive("w", last_axis("w", self.w, self.w.shape[-1]))

    @property
    def matrix(self) -> Tensor:
        """The components G = diag(w**2): `[..., n, n]`."""
        return torch.diag_embed(self.w**2)

    def squared(self, v: Tensor) -> Tensor:
        """The squared length ||v||_G^2 of frame components v: `[..., n]` -> `[...]`, broadcast against w."""
        return ((self.w * v) ** 2).sum(-1)

    def window_axes(self, n: int) -> DiagonalMetric:
        """The same metric with `n` axes of length 1 before the components, to broadcast against a window."""
        return DiagonalMetric(self.w[(..., *(None,) * n, slice(None))], checked=False)


@dataclass(frozen=True)
class FullMetric:
    r"""The metric $\mathcal{G} = H^\top H$, any left-invariant metric, by a factor H of its components.

    Shapes: `factor [..., n, n]`. A factor keeps G positive semi-definite whatever its entries; G is definite
    exactly when H is invertible. `checked` as in `DiagonalMetric`.
    Raises: TypeError or ValueError unless the factor is floating, square, finite and invertible.
    """

    factor: Tensor
    checked: bool = True

    def __post_init__(self) -> None:
        if not self.checked:
            return
        h = self.factor
        if not isinstance(h, Tensor) or not h.is_floating_point():
            raise TypeError(f"factor must be a floating point tensor [..., n, n], got {h!r}")
        if h.ndim < 2 or h.shape[-1] != h.shape[-2]:
            raise ValueError(f"factor must have shape [..., n, n], got {list(h.shape)}")
        if not torch.compiler.is_compiling() and h.numel():
            positive("|det factor|", torch.linalg.det(h.detach()).abs())

    @property
    def matrix(self) -> Tensor:
        """The components G = H^T H: `[..., n, n]`."""
        return self.factor.mT @ self.factor

    def squared(self, v: Tensor) -> Tensor:
        """The squared length ||H v||^2 of frame components v: `[..., n]` -> `[...]`, broadcast against the factor."""
        return ((self.factor @ v[..., None])[..., 0] ** 2).sum(-1)

    def window_axes(self, n: int) -> FullMetric:
        """The same metric with `n` axes of length 1 before the components, to broadcast against a window."""
        return FullMetric(self.factor[(..., *(None,) * n, slice(None), slice(None))], checked=False)


Metric = DiagonalMetric | FullMetric


def as_metric(w: Tensor | Metric) -> Metric:
    """The metric that an argument stands for: a tensor `[..., n]` is read as the length scales of a diagonal one."""
    return w if isinstance(w, DiagonalMetric | FullMetric) else DiagonalMetric(w)
