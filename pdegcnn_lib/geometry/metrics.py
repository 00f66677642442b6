"""Left-invariant metrics: Riemannian, given by their components in the invariant frame, and Finslerian on the plane."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from pdegcnn_lib.geometry.autocast import outside_autocast
from pdegcnn_lib.geometry.checks import has_values, last_axis, positive


class Metric(ABC):
    """A left-invariant metric, one or many at once, that answers for itself what its users need to know of it."""

    component_axes: int  # how many axes of `parameters` belong to one metric
    kind: ClassVar[str]  # the word that spaces and layers know such metrics by

    @property
    @abstractmethod
    def parameters(self) -> Tensor:
        """The numbers that the metric is given by: any axes, then those of one metric."""

    @property
    @abstractmethod
    def matrix(self) -> Tensor:
        """The components G in the invariant frame: `[..., n, n]`."""

    @abstractmethod
    def squared(self, v: Tensor) -> Tensor:
        """The squared length ||v||_G^2 of frame components v: `[..., n]` -> `[...]`, broadcast against the metric."""

    @classmethod
    def with_parameters(cls, parameters: Tensor) -> Metric:
        """A metric of the same kind with other numbers, unchecked."""
        return cls(parameters, checked=False)  # type: ignore[call-arg]

    @property
    def dim(self) -> int:
        """The number n of vector fields of the frame."""
        return self.parameters.shape[-1]

    @property
    def lengths(self) -> Tensor:
        """How long the vectors of the frame are, sqrt(G_ii): `[..., n]`; the length scales of a diagonal metric."""
        return torch.diagonal(self.matrix, dim1=-2, dim2=-1).sqrt()

    @property
    def is_diagonal(self) -> bool:
        """Whether the metric is given by length scales."""
        return False

    @property
    def is_riemannian(self) -> bool:
        """Whether lengths come from a scalar product, by which diffusion is linear."""
        return True

    def diagonal(self, of: str, instead: str = "") -> Tensor:
        """The length scales w `[..., n]`; where there are none a ValueError says what they were asked for."""
        advice = f"; use {instead}" if instead else ""
        raise ValueError(f"{of} is defined for diagonal metrics only, got {self.in_words}{advice}")

    @property
    def in_words(self) -> str:
        """The class with its article, as errors quote it."""
        name = type(self).__name__
        return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"

    def to(self, *arguments: Any, **options: Any) -> Metric:
        """The same metric in another dtype or on another device, as `Tensor.to`."""
        return self.with_parameters(self.parameters.to(*arguments, **options))

    def __getitem__(self, index: Any) -> Metric:
        """The metrics at an index of the axes before the components."""
        own = (slice(None),) * self.component_axes
        first = index if isinstance(index, tuple) else (index,)
        return self.with_parameters(
            self.parameters[(*first, *(() if any(i is Ellipsis for i in first) else (Ellipsis,)), *own)]
        )

    def window_axes(self, n: int) -> Metric:
        """The same metric with `n` axes of length 1 before the components, to broadcast against a window."""
        return self[(..., *(None,) * n)]

    def on(self, n: int) -> Tensor:
        """The parameters, checked to be those of metrics on n vector fields; ValueError otherwise."""
        return last_axis("w", self.parameters, n)

    def over_channels(self, n: int) -> Tensor:
        """The parameters, checked to be those of one metric on n vector fields per channel; ValueError otherwise."""
        tensor = self.on(n)
        if tensor.ndim != 1 + self.component_axes:
            expected = ", ".join(["C", *map(str, tensor.shape[-self.component_axes :])])
            raise ValueError(f"the metric must have shape [{expected}], got {list(tensor.shape)}")
        return tensor


@dataclass(frozen=True)
class DiagonalMetric(Metric):
    r"""The metric $\mathcal{G} = \sum_i w_i^2\, \omega^i \otimes \omega^i$ with positive length scales w.

    Shapes: `w [..., n]`; on M2 w = (w_main, w_lateral, w_angular). LieTorch's parameters are w**2.
    `checked=False` is for values that a parameterisation keeps positive: the check reads them back from a GPU.
    Raises: TypeError or ValueError unless w is floating, of at least one axis, positive and finite.
    """

    w: Tensor
    checked: bool = True
    component_axes = 1
    kind = "diagonal"

    def __post_init__(self) -> None:
        if not self.checked:
            return
        if not isinstance(self.w, Tensor) or self.w.ndim == 0:
            raise TypeError(f"w must be a tensor of shape [..., n], got {self.w!r}")
        positive("w", last_axis("w", self.w, self.w.shape[-1]))

    @property
    def parameters(self) -> Tensor:
        return self.w

    @property
    def matrix(self) -> Tensor:
        """The components G = diag(w**2): `[..., n, n]`."""
        return torch.diag_embed(self.w**2)

    @property
    def lengths(self) -> Tensor:
        return self.w

    @property
    def is_diagonal(self) -> bool:
        return True

    def diagonal(self, of: str, instead: str = "") -> Tensor:
        return self.w

    def squared(self, v: Tensor) -> Tensor:
        """The squared length ||v||_G^2 of frame components v: `[..., n]` -> `[...]`, broadcast against w."""
        return ((self.w * v) ** 2).sum(-1)


@dataclass(frozen=True)
class FullMetric(Metric):
    r"""The metric $\mathcal{G} = H^\top H$, any left-invariant metric, by a factor H of its components.

    Shapes: `factor [..., n, n]`. A factor keeps G positive semi-definite whatever its entries; G is definite
    exactly when H is invertible. `checked` as in `DiagonalMetric`.
    Raises: TypeError or ValueError unless the factor is floating, square, finite and invertible.
    """

    factor: Tensor
    checked: bool = True
    component_axes = 2
    kind = "full"

    def __post_init__(self) -> None:
        if not self.checked:
            return
        h = self.factor
        if not isinstance(h, Tensor) or not h.is_floating_point():
            raise TypeError(f"factor must be a floating point tensor [..., n, n], got {h!r}")
        if h.ndim < 2 or h.shape[-1] != h.shape[-2]:
            raise ValueError(f"factor must have shape [..., n, n], got {list(h.shape)}")
        if has_values(h) and h.numel():
            # torch has no determinant in 16 bits.
            positive("|det factor|", torch.linalg.det(h.detach().double()).abs())

    @property
    def parameters(self) -> Tensor:
        return self.factor

    @property
    @outside_autocast
    def matrix(self) -> Tensor:
        """The components G = H^T H: `[..., n, n]`."""
        return self.factor.mT @ self.factor

    @outside_autocast
    def squared(self, v: Tensor) -> Tensor:
        """The squared length ||H v||^2 of frame components v: `[..., n]` -> `[...]`, broadcast against the factor."""
        return ((self.factor @ v[..., None])[..., 0] ** 2).sum(-1)


@dataclass(frozen=True)
class FinslerMetric(Metric):
    r"""A length of vectors of the plane that depends on their direction, and may differ between one and its opposite.

    $$F(v) = |v|\, \exp\Big(a_0 + \sum_{k=1}^{n} a_k \cos k\psi + b_k \sin k\psi\Big), \qquad
      v = |v| (\cos\psi, \sin\psi)$$

    It is positive whatever its coefficients $(a_0, a_1, b_1, \dots, a_n, b_n)$, and a Finsler metric where it is
    `convex`. With $a_0$ alone it is round; with even k it is symmetric.

    Shapes: `coefficients [..., 2n + 1]`. `checked` as in `DiagonalMetric`. Raises: TypeError or ValueError unless the
    coefficients are floating, finite and of odd number.
    Source: the circular harmonics are LieTorch's, whose F need not be positive.
    """

    coefficients: Tensor
    checked: bool = True
    component_axes = 1
    kind = "finsler"

    def __post_init__(self) -> None:
        if not self.checked:
            return
        if not isinstance(self.coefficients, Tensor) or not self.coefficients.is_floating_point():
            raise TypeError(f"coefficients must be a floating point tensor, got {self.coefficients!r}")
        if self.coefficients.ndim == 0 or self.coefficients.shape[-1] % 2 == 0:
            raise ValueError(
                f"coefficients must have shape [..., 2n + 1], got {list(self.coefficients.shape)}"
            )
        if has_values(self.coefficients):
            positive("exp(coefficients)", self.coefficients.detach().exp())

    @property
    def parameters(self) -> Tensor:
        return self.coefficients

    @property
    def dim(self) -> int:
        return 2

    @property
    def is_riemannian(self) -> bool:
        return False

    @property
    def matrix(self) -> Tensor:
        raise ValueError("a FinslerMetric is no scalar product and has no matrix")

    def on(self, n: int) -> Tensor:
        if n != 2:
            raise ValueError(f"a FinslerMetric is one of the plane, and here are {n} vector fields")
        return self.coefficients

    def squared(self, v: Tensor) -> Tensor:
        """The squared length F(v)^2: `[..., 2]` -> `[...]`, broadcast against the coefficients."""
        r2 = v.square().sum(-1)
        u, w = (v / torch.where(r2 == 0, 1.0, r2).sqrt()[..., None]).unbind(-1)  # cos psi and sin psi
        log, cos, sin = self.coefficients[..., 0], torch.ones_like(u), torch.zeros_like(u)
        for k in range(1, self.coefficients.shape[-1], 2):
            cos, sin = cos * u - sin * w, sin * u + cos * w
            log = log + self.coefficients[..., k] * cos + self.coefficients[..., k + 1] * sin
        return r2 * torch.exp(2 * log)

    def convex(self, angles: int = 360) -> Tensor:
        r"""Whether the ball of $F = |v| e^h$ is convex, $1 + h'' + h'^2 \ge 0$ at so many angles: -> bool `[...]`."""
        k = torch.arange(1, self.coefficients.shape[-1] // 2 + 1).to(self.coefficients)
        psi = torch.arange(angles).to(self.coefficients)[:, None] * (2 * math.pi / angles) * k
        a, b = self.coefficients[..., None, 1::2], self.coefficients[..., None, 2::2]
        slope = (k * (b * psi.cos() - a * psi.sin())).sum(-1)
        bend = (-(k**2) * (a * psi.cos() + b * psi.sin())).sum(-1)
        return (1 + bend + slope**2 >= 0).all(-1)


def as_metric(w: Tensor | Metric) -> Metric:
    """The metric that an argument stands for: a tensor `[..., n]` is read as the length scales of a diagonal one."""
    return w if isinstance(w, Metric) else DiagonalMetric(w)
