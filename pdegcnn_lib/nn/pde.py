"""The PDE layer: a splitting of the equation into its terms, then a linear combination of channels."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from pdegcnn_lib.geometry.estimates import Squared
from pdegcnn_lib.kernels.morphological import check_time
from pdegcnn_lib.nn.dense import DirectionalNorm, Linear, normalised
from pdegcnn_lib.nn.layer import Layer
from pdegcnn_lib.nn.metric import Draw
from pdegcnn_lib.nn.shock import DiffusionShock
from pdegcnn_lib.nn.terms import Convection, Diffusion, Dilation, Erosion, evolved
from pdegcnn_lib.spaces import Plane, Space, chosen

Term = str | Callable[..., nn.Module]

TERMS = {"convection": Convection, "diffusion": Diffusion, "dilation": Dilation, "erosion": Erosion}
CDE = ("convection", "dilation", "erosion")
CDDE = ("convection", "diffusion", "dilation", "erosion")
DE = ("dilation", "erosion")
DS = (DiffusionShock,)
CDS = ("convection", DiffusionShock)
PDE_OPTIONS_R2 = ("terms", "t", "steps", "window", "alpha", "diffusion_alpha", "metric", "backend")
PDE_OPTIONS = (*PDE_OPTIONS_R2, "estimate")


class PDELayer(Layer):
    r"""A layer of a PDE-G-CNN: every channel evolves by the PDE for the time t, then channels are mixed.

    $$W_t = -c\,W - (-\Delta_{\mathcal{G}_0})^{\alpha_0} W + \|\nabla W\|_{\mathcal{G}_1}^{2\alpha}
      - \|\nabla W\|_{\mathcal{G}_2}^{2\alpha},\qquad out = \mathrm{BN}\Big(\sum_c w_{ac}\, W_c(\cdot, t)\Big)$$

    `terms` are classes, `Convection`, `partial(Dilation, alpha=0.8)` or one's own, and their order; a name stands for
    one of convection, diffusion, dilation and erosion. They are solved one after the other (Lie-Trotter splitting),
    $W(\cdot, t) = (\Phi^E_{t/N} \circ \Phi^D_{t/N} \circ \Phi^C_{t/N})^N U$ with
    N = `steps`: each step solves every term for the time t/N, so the number of steps changes how well the equation
    is solved, and not which. On a grid more steps are not always better: convection interpolates in each of them, and
    a dilation that reaches less than a pixel in a step reaches nothing at all. Each solver, the mixing and the
    normalisation commute with the symmetries of the space, roto-translations on M2, so the layer does, with turns where
    its window is square in space.

    Shapes: those of `space`, M2(8) by default, or M2 with so many `orientations`: `[B, Cin, Or, H, W]` ->
    `[B, Cout, Or, H, W]`; on R^2 `[B, Cin, H, W]` -> `[B, Cout, H, W]`. `alpha` is that of dilation and erosion,
    `diffusion_alpha` that of diffusion; `window`, `estimate`, `metric` and `scales` are those of `Dilation`. A term
    takes the options that its constructor names, or passes on by `**`, and `partial` fixes others.
    Parameters: 9 Cin + Cin Cout + 2 Cout for the default convection-dilation-erosion layer; diffusion adds 3 Cin, a
    trained alpha Cin for every term that has one, full metrics 6 Cin for every metric. On M3
    convection has Cin in place of 3 Cin, and axial metrics add 2 Cin for every metric.
    Raises: ValueError for unknown terms, t <= 0 or steps < 1.
    Source: main paper, section 4.2, eq. (23); the authors' implementation takes N steps of unit time.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        space: Space | None = None,
        orientations: int | None = None,
        terms: Sequence[Term] = CDE,
        t: float = 1.0,
        steps: int = 1,
        window: tuple[int, ...] | None = None,
        alpha: float | str = 0.65,
        diffusion_alpha: float | str = 1.0,
        estimate: str | Squared | None = None,
        metric: str | None = None,
        scales: Draw | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps must be an integer of at least 1, got {steps!r}")
        self.space = chosen(space, orientations)
        self.t, self.steps, self.backend = check_time(t), steps, backend
        options: dict[str, Any] = {
            "space": self.space,
            "t": self.t / steps,
            "window": window,
            "alpha": alpha,
            "diffusion_alpha": diffusion_alpha,
            "estimate": estimate,
            "metric": metric,
            "scales": scales,
            "backend": backend,
        }
        made = [(name, make) for name, make in map(_named, terms) if callable(make)]
        if not made or len(made) < len(terms) or len({name for name, _ in made}) < len(terms):
            raise ValueError(
                f"terms must be one or more of {', '.join(TERMS)} or classes, each once, got {tuple(terms)}"
            )
        evolution = {name: make(in_channels, **_options_of(make, options)) for name, make in made}
        self.evolution = nn.ModuleDict(evolution)
        self.linear = Linear(in_channels, out_channels)
        self.norm = NORMS[len(self.space.axes)](out_channels)

    def forward(self, f: Tensor) -> Tensor:
        for _ in range(self.steps):
            f = evolved(tuple(self.evolution.values()), f)
        return normalised(self.linear, self.norm, f, self.backend)

    def extra_repr(self) -> str:
        return f"t={self.t:g}, steps={self.steps}"


def _named(term: Term) -> tuple[str, Callable[..., nn.Module] | None]:
    """A term's name in a layer, its class in small letters, and what makes it; None for something else."""
    make = TERMS.get(term) if isinstance(term, str) else term
    of = make.func if isinstance(make, partial) else make
    return getattr(of, "__name__", "").lower(), None if isinstance(make, nn.Module) else make


def _options_of(make: Callable[..., nn.Module], options: Mapping[str, Any]) -> dict[str, Any]:
    """Of the options of a layer those that a term names and that are neither fixed nor left to its own default."""
    of, fixed = (make.func, make.keywords) if isinstance(make, partial) else (make, {})
    other = getattr(of, "layer_options", {})
    taken = {name: options.get(other.get(name, name)) for name in _arguments(of)}
    return {name: value for name, value in taken.items() if value is not None and name not in fixed}


def _arguments(make: Callable[..., nn.Module]) -> list[str]:
    """The names that a constructor takes, with those that it passes on to the classes above it by `**`."""
    found: list[str] = []
    for of in getattr(make, "__mro__", (make,)):
        parameters = inspect.signature(of).parameters.values()
        found += [p.name for p in parameters]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


NORMS = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d, 4: DirectionalNorm}  # by the number of axes of a space
PDELayerR2 = partial(PDELayer, space=Plane())
