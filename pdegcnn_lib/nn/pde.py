"""The PDE layer: a splitting of the equation into its terms, then a linear combination of channels."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pdegcnn_lib.nn.dense import Linear
from pdegcnn_lib.nn.terms import (
    Convection,
    ConvectionR2,
    Diffusion,
    DiffusionR2,
    Dilation,
    DilationR2,
    Erosion,
    ErosionR2,
)

TERMS = {"convection": Convection, "diffusion": Diffusion, "dilation": Dilation, "erosion": Erosion}
TERMS_R2 = {
    "convection": ConvectionR2,
    "diffusion": DiffusionR2,
    "dilation": DilationR2,
    "erosion": ErosionR2,
}
CDE = ("convection", "dilation", "erosion")
CDDE = ("convection", "diffusion", "dilation", "erosion")
DE = ("dilation", "erosion")
PDE_OPTIONS_R2 = ("terms", "steps", "window", "alpha", "diffusion_alpha", "metric", "backend")
PDE_OPTIONS = (*PDE_OPTIONS_R2, "estimate")


class _PDELayer(nn.Module):
    terms_of_space: dict[str, type[nn.Module]]
    norm_of_space: type[nn.Module]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        terms: tuple[str, ...] = CDE,
        steps: int = 1,
        alpha: float | str = 0.65,
        diffusion_alpha: float | str = 1.0,
        backend: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps must be an integer of at least 1, got {steps!r}")
        unknown = [term for term in terms if term not in self.terms_of_space]
        if unknown or not terms or len(set(terms)) < len(terms):
            raise ValueError(
                f"terms must be one or more of {', '.join(self.terms_of_space)}, each once, got {tuple(terms)}"
            )
        self.steps = steps
        of_term = {
            "convection": {},
            "diffusion": {"alpha": diffusion_alpha, **options},
            "dilation": {"alpha": alpha, **options},
            "erosion": {"alpha": alpha, **options},
        }
        self.evolution = nn.ModuleDict(
            {
                term: self.terms_of_space[term](in_channels, t=1 / steps, backend=backend, **of_term[term])
                for term in terms
            }
        )
        self.linear = Linear(in_channels, out_channels)
        self.norm = self.norm_of_space(out_channels)

    def forward(self, f: Tensor) -> Tensor:
        for _ in range(self.steps):
            for term in self.evolution.values():
                f = term(f)
        return self.norm(self.linear(f))

    def extra_repr(self) -> str:
        return f"steps={self.steps}"


class PDELayer(_PDELayer):
    r"""A layer of a PDE-G-CNN on M2: every channel evolves by the PDE for unit time, then channels are mixed.

    $$W_t = -c\,W - (-\Delta_{\mathcal{G}_0})^{\alpha_0} W + \|\nabla W\|_{\mathcal{G}_1}^{2\alpha}
      - \|\nabla W\|_{\mathcal{G}_2}^{2\alpha},\qquad out = \mathrm{BN}\Big(\sum_c w_{ac}\, W_c(\cdot, 1)\Big)$$

    `terms` chooses among convection, diffusion, dilation and erosion, and their order. They are solved one after
    the other (Lie-Trotter splitting), $W(\cdot, 1) = (\Phi^E_{1/N} \circ \Phi^D_{1/N} \circ \Phi^C_{1/N})^N U$ with
    N = `steps`: each step solves every term for the time 1/N, so the number of steps changes how well the equation
    is solved, and not which. On a grid more steps are not always better: convection interpolates in each of them, and
    a dilation that reaches less than a pixel in a step reaches nothing at all. Each solver, the mixing and the
    normalisation commute with roto-translations, so the layer does.

    Shapes: `[B, Cin, Or, H, W]` -> `[B, Cout, Or, H, W]`. `alpha` is that of dilation and erosion, `diffusion_alpha`
    that of diffusion; further options (`window`, `orientations`, `estimate`, `metric`) are those of `Dilation`.
    Parameters: 9 Cin + Cin Cout + 2 Cout for the default convection-dilation-erosion layer; diffusion adds 3 Cin, a
    trained alpha Cin for every term that has one, full metrics 6 Cin for every metric.
    Raises: ValueError for unknown terms or steps < 1.
    Source: main paper, section 4.2, eq. (23); the authors' implementation takes N steps of unit time.
    """

    terms_of_space = TERMS
    norm_of_space = nn.BatchNorm3d


class PDELayerR2(_PDELayer):
    """A layer of a PDE-CNN on R^2, as `PDELayer` but on images: it commutes with translations only.

    Shapes: `[B, Cin, H, W]` -> `[B, Cout, H, W]`; window (KH, KW); full metrics unless told otherwise.
    """

    terms_of_space = TERMS_R2
    norm_of_space = nn.BatchNorm2d
