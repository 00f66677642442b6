"""The PDE layer: one step of operator splitting per term of the equation, then a linear combination of channels."""

from __future__ import annotations

from torch import Tensor, nn

from pdegcnn_lib.nn.operators import (
    Convection,
    ConvectionR2,
    Dilation,
    DilationR2,
    Erosion,
    ErosionR2,
    Linear,
)

TERMS = {"convection": Convection, "dilation": Dilation, "erosion": Erosion}
TERMS_R2 = {"convection": ConvectionR2, "dilation": DilationR2, "erosion": ErosionR2}
CDE = ("convection", "dilation", "erosion")
PDE_OPTIONS = ("terms", "steps", "window", "alpha", "estimate", "metric", "backend")


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
        backend: str | None = None,
        **morphology: object,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        unknown = [term for term in terms if term not in self.terms_of_space]
        if unknown or not terms or len(set(terms)) < len(terms):
            raise ValueError(
                f"terms must be one or more of {', '.join(self.terms_of_space)}, each once, got {tuple(terms)}"
            )
        self.steps = steps
        self.evolution = nn.ModuleDict()
        for term in terms:
            options = {} if term == "convection" else morphology
            self.evolution[term] = self.terms_of_space[term](in_channels, backend=backend, **options)
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

    $$W_t = -c\,W + \|\nabla W\|_{\mathcal{G}_1}^{2\alpha} - \|\nabla W\|_{\mathcal{G}_2}^{2\alpha},\qquad
      out = \mathrm{BN}\Big(\sum_c w_{ac}\, W_c(\cdot, 1)\Big)$$

    The terms are solved one after the other, `steps` times (with shared coefficients). Each solver, the mixing and
    the normalisation commute with roto-translations, so the layer does.

    Shapes: `[B, Cin, Or, H, W]` -> `[B, Cout, Or, H, W]`. Further options (`window`, `orientations`, `alpha`,
    `estimate`, `metric`) are those of `Dilation`. Parameters: 9 Cin + Cin Cout + 2 Cout for the default
    convection-dilation-erosion layer. Raises: ValueError for unknown terms or steps < 1.
    Source: main paper, section 4.2, eq. (23).
    """

    terms_of_space = TERMS
    norm_of_space = nn.BatchNorm3d


class PDELayerR2(_PDELayer):
    """A layer of a PDE-CNN on R^2, as `PDELayer` but on images: it commutes with translations only.

    Shapes: `[B, Cin, H, W]` -> `[B, Cout, H, W]`; window (KH, KW).
    """

    terms_of_space = TERMS_R2
    norm_of_space = nn.BatchNorm2d
