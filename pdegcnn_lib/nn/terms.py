"""The terms of the equation as layers with trainable coefficients, on the space that each is told.

Each solves its own equation up to the time t, which is 1 unless a layer divides it among the steps of a splitting. A
term of one's own is one more class: its constructor takes the channels and, of the options of `PDELayer`, those that it
names, `space`, `t` and `backend` among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from pdegcnn_lib import ops
from pdegcnn_lib.geometry.autocast import outside_autocast
from pdegcnn_lib.geometry.estimates import Squared
from pdegcnn_lib.kernels.morphological import check_time
from pdegcnn_lib.nn.layer import Layer, asked, watched
from pdegcnn_lib.nn.metric import Draw, diffusion_scales, initial_scales, trainable_alpha, trainable_metric
from pdegcnn_lib.ops._check import beside
from pdegcnn_lib.spaces import M2, Plane, Space, chosen


class Convection(Layer):
    r"""Convection by a trainable group element for every channel, $f \mapsto f(p\,g_0^{-t})$.

    $g_0^t = \exp(t \log g_0)$ with the principal logarithm; t = 1 takes g0 as it is. On R^2 it is $f(x - t c)$ and g0
    is the vector c. It commutes with roto-translations, on R^2 with translations. g0 `[C, velocities]` starts at
    `spread` times a normal sample (0: the identity).
    Shapes: those of the space, `[B, C, Or, H, W]` for any Or where none is named, -> the same.
    Source: main paper, section 5.1.
    """

    def __init__(
        self,
        channels: int,
        *,
        space: Space | None = None,
        t: float = 1.0,
        spread: float = 0.0,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.space = None if space is None else chosen(space, None)
        self.t, self.spread, self.backend = check_time(t), spread, backend
        (space or M2()).displacement(torch.zeros(1, (space or M2()).velocities))  # raises where there is none
        self.g0 = nn.Parameter(torch.empty(channels, (space or M2()).velocities))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw g0 anew."""
        with torch.no_grad():
            self.g0.normal_(std=self.spread) if self.spread else self.g0.zero_()

    def element(self) -> Tensor:
        """What the layer moves by, $g_0^t$, in the shape of g0."""
        return (self.space or M2()).power(self.g0, self.t)

    def forward(self, f: Tensor) -> Tensor:
        return ops.convection(f, beside(self.element(), f), space=self.space, backend=self.backend)

    def extra_repr(self) -> str:
        return f"channels={self.g0.shape[0]}, space={self.space or 'M2'}, t={self.t:g}"


class KernelTerm(Layer):
    """What the terms with a kernel share: its window, time, exponent and estimate, and a trainable metric.

    A subclass says in `table` what makes its kernel, `ops.morphological_table` or the like, and in `forward` what the
    kernel does.
    """

    table: ClassVar[Callable[..., Tensor]]
    kept: Tensor | None
    usual_alpha: ClassVar[float] = 0.65
    # An argument that is another option of the layer than the one of its name.
    layer_options: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        channels: int,
        *,
        space: Space | None = None,
        orientations: int | None = None,
        window: tuple[int, ...] | None = None,
        alpha: float | str | None = None,
        t: float = 1.0,
        estimate: str | Squared | None = None,
        metric: str | None = None,
        scales: Draw | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.space = space = chosen(space, orientations)
        self.window = space.window(window)
        self.t, self.backend = check_time(t), backend
        if metric is not None and metric not in space.metrics:
            allowed = f"one of {', '.join(space.metrics)}"
            if len(space.metrics) == 1:
                allowed = f"{space.metrics[0]} on {type(space).__name__}"
            raise ValueError(f"metric must be {allowed}, got {metric!r}")
        self.estimate = next(iter(space.estimates)) if estimate is None else estimate
        self.alpha = trainable_alpha(self.usual_alpha if alpha is None else alpha, channels)
        draw, sizes = self.first_scales() if scales is None else (scales, space.spans(self.window))
        self.metric = trainable_metric(metric or space.usual_metric, channels, space.lengths, sizes, draw)
        self.register_buffer("kept", None)

    def first_scales(self) -> tuple[Draw, tuple[int, ...]]:
        """What draws the first length scales, and the sizes of the window that it is told."""
        return initial_scales, self.space.spans(self.window)

    @property
    def orientations(self) -> int:
        """The number of orientations on M2, of points of the fibre on another space."""
        return self.space.fibre

    def exponent(self) -> float | Tensor:
        """The current alpha: a number, or one for every channel `[C]` where it is trained."""
        return self.alpha() if isinstance(self.alpha, nn.Module) else self.alpha

    def kernel(self) -> Tensor:
        """The sampled kernel of the current coefficients, `[C, *kernels, *window]`: `[C, Or, KOr, KH, KW]` on M2."""
        if self.kept is not None:
            return self.kept
        return type(self).table(
            asked(self.metric),
            alpha=self.exponent(),
            window=self.window,
            space=self.space,
            t=self.t,
            estimate=self.estimate,
            backend=self.backend,
        )

    @torch.no_grad()
    def freeze(self) -> None:
        """Keep the kernel of the current coefficients, which are given up: nothing is trained any more."""
        if self.kept is None:
            self.kept = self.kernel()
            del self.metric

    def extra_repr(self) -> str:
        estimate = (
            self.estimate if isinstance(self.estimate, str) else getattr(self.estimate, "__name__", "own")
        )
        fixed = "" if isinstance(self.alpha, nn.Module) else f", alpha={self.alpha:g}"
        return f"space={self.space}, window={self.window}, estimate={estimate}, t={self.t:g}{fixed}"


class _Morphology(KernelTerm):
    table = staticmethod(ops.morphological_table)
    operator: ClassVar[Callable[..., Tensor]]

    def forward(self, f: Tensor) -> Tensor:
        k = beside(self.kernel(), f)
        return type(self).operator(f, k, space=self.space, backend=self.backend)


class Dilation(_Morphology):
    r"""Dilation with a trainable metric, the solution of $W_t = +\|\nabla W\|_{\mathcal{G}}^{2\alpha}$ at the time t.

    It commutes with the symmetries of its space: roto-translations on M2, the default, translations on R^2. With turns
    of M2 it does where the window is square in space: another one cuts the kernel otherwise at every orientation.

    `space`, or `orientations` for one of M2; `window` one size for each axis, None for that of `space.default_window`;
    `alpha` in [1/2, 1], or `"trained"` (`TrainableAlpha`); `metric` `diagonal`, the default, `full`, the default on R^2
    and R^3, on R^2 `finsler`, or on M3 `axial`; `estimate` a name or a function; `scales` draws the first lengths.
    Shapes: those of the space, -> the same. Raises: TypeError or ValueError for a bad window, alpha, t or metric.
    Source: main paper, Theorem 5.21.
    """

    operator = staticmethod(ops.dilation)


class Erosion(_Morphology):
    r"""Erosion with a trainable metric, the solution of $W_t = -\|\nabla W\|_{\mathcal{G}}^{2\alpha}$ at the time t.

    Options, shapes, errors and source as for `Dilation`.
    """

    operator = staticmethod(ops.erosion)


def evolved(terms: Sequence[nn.Module], f: Tensor) -> Tensor:
    """f after each of the terms in turn; convection, dilation and erosion by one operator, see `ops.evolution`."""
    if [type(term) for term in terms] == [Convection, Dilation, Erosion] and not watched(*terms):
        move, dilate, erode = (cast(Any, term) for term in terms)
        if all(t.space == move.space and t.backend == move.backend for t in (dilate, erode)):
            element, *kernels = (beside(x, f) for x in (move.element(), dilate.kernel(), erode.kernel()))
            return ops.evolution(f, element, *kernels, space=move.space, backend=move.backend)
    for term in terms:
        f = term(f)
    return f


class Diffusion(KernelTerm):
    r"""Fractional diffusion with a trainable metric: $W_t = -(-\Delta_{\mathcal{G}})^\alpha W$ up to the time t.

    $$out(p) = \frac{\sum_q K_t^\alpha(q^{-1}p)\, f(q)}{\sum_q K_t^\alpha(q^{-1}p)}, \qquad q \text{ in the image.}$$

    As in every operator the taps outside the image are left out, and here the others make up for their weight: a
    constant stays constant, and every value is a mean of values of f. It commutes with the symmetries of its space
    as `Dilation` does.

    alpha = 1, a Gaussian, is the default: of the two closed forms it is the one that a small window holds, since the
    tail of the Poisson kernel at alpha = 1/2 falls only as $\rho^{-4}$. An alpha between, or `"trained"`, takes about
    1 200 times the work and memory of the window for the kernel (see `kernels.diffusion_kernel`).

    Shapes: those of the space, -> the same. Other options and errors as for `Dilation`.
    Source: main paper, section 5.2; the rule at the border is our choice.
    """

    table = staticmethod(ops.diffusion_table)
    usual_alpha = 1.0
    layer_options: ClassVar[dict[str, str]] = {"alpha": "diffusion_alpha"}

    def first_scales(self) -> tuple[Draw, tuple[int, ...]]:
        return partial(diffusion_scales, space=self.space), self.window

    def forward(self, f: Tensor) -> Tensor:
        k = beside(self.kernel(), f)
        total = ops.linear_convolution(f, k, space=self.space, backend=self.backend)
        return (total / _mass_inside(k, f, self.space)).to(f.dtype)


@outside_autocast
def _mass_inside(k: Tensor, f: Tensor, space: Space) -> Tensor:
    """The weight of the taps of a kernel that lie in the grid of f, for every point, to divide `f [B, C, *axes]` by."""

    def inside(size: int, taps: int) -> Tensor:
        at = torch.arange(size, device=k.device)[:, None] + torch.arange(taps, device=k.device) - taps // 2
        return ((at >= 0) & (at < size)).to(k)

    if space.kernels and (space.lists or space.periodic[0]):
        k = k.sum(2)  # all neighbours in the fibre are there
    elif space.kernels:
        # Slices that end: what is there depends on the slice.
        k = torch.einsum("os,cos...->co...", inside(space.fibre, k.shape[2]), k)
    mass = inside(f.shape[-2], k.shape[-2]) @ k @ inside(f.shape[-1], k.shape[-1]).mT
    if space.positions == 3:
        mass = torch.einsum("zs,...syx->...zyx", inside(f.shape[-3], k.shape[-3]), mass)
    return mass


def frozen(network: nn.Module) -> nn.Module:
    """A copy of a network, in evaluation mode, whose terms keep their kernels: what inference and an export need.

    Every `Layer` with a method `freeze` is told, one that holds others before these.
    """
    copied = deepcopy(network).eval()
    for layer in copied.modules():
        if isinstance(layer, Layer) and callable(freeze := getattr(layer, "freeze", None)):
            freeze()
    return copied.requires_grad_(False)


ConvectionR2 = partial(Convection, space=Plane())
DilationR2 = partial(Dilation, space=Plane())
ErosionR2 = partial(Erosion, space=Plane())
DiffusionR2 = partial(Diffusion, space=Plane())
