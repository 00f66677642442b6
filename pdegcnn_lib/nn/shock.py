"""The diffusion-shock term: it smooths where nothing is to be seen and sharpens lines and edges across them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib import ops
from pdegcnn_lib.geometry.estimates import Squared
from pdegcnn_lib.nn.layer import Layer, asked
from pdegcnn_lib.nn.metric import Draw
from pdegcnn_lib.nn.terms import Diffusion, Dilation
from pdegcnn_lib.ops._check import beside
from pdegcnn_lib.spaces import M2, Plane, Space, chosen


class DiffusionShock(Layer):
    r"""Regularised diffusion-shock filtering with trainable metrics and thresholds, one step up to the time t.

    $$W_t = -g\,(-\Delta_{\mathcal{G}_0})^{\alpha_0} W - (1 - g)\, S\, \|\nabla W\|_{\mathcal{G}_1}^{2\alpha}, \qquad
      g = \frac{1}{1 + \|\nabla u\|^2/\lambda^2}, \quad S = \tfrac2\pi \arctan \frac{\Delta^\perp u}{\varepsilon}$$

    u is W, smoothed by a diffusion of its own. Flat parts are smoothed; elsewhere ridges, where the derivatives across
    are negative, are dilated and valleys are eroded. With D, d and e for the terms alone the step is

    $$out = W + g\,(D W - W) + (1 - g)\big(S^-\,(d W - W) + S^+\,(e W - W)\big),$$

    a mean of W, DW, dW and eW: no value leaves their range, and constants stay constant. On M2 the gradient is that of
    the metric of the smoothing and $\Delta^\perp = w_L^{-2} \mathcal{A}_2^2 + w_A^{-2} \mathcal{A}_3^2$; on R^2
    the gradient is per pixel and $\Delta^\perp$ the second derivative along the main direction of the smoothed
    structure tensor. Differences are central, periodic in theta; at the border the last values continue the image.

    It commutes with the symmetries of its space as `Dilation` does. `diffusion_alpha` is that of the diffusion, the
    other options are those of `Dilation`. Shapes: those of the space, -> the same. Raises: ValueError for a space but
    M2 and R^2.
    Source: regularised diffusion-shock filtering on M2, arXiv 2502.17146 and 2509.06405; on R^2 the filter of Schaefer
    and Weickert.
    """

    kept: Tensor | None

    def __init__(
        self,
        channels: int,
        *,
        space: Space | None = None,
        orientations: int | None = None,
        window: tuple[int, ...] | None = None,
        alpha: float | str = 0.65,
        diffusion_alpha: float | str = 1.0,
        t: float = 1.0,
        estimate: str | Squared | None = None,
        metric: str | None = None,
        scales: Draw | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.space, self.backend = chosen(space, orientations), backend
        if not isinstance(self.space, M2 | Plane):
            raise ValueError(f"there is diffusion-shock filtering on M2 and on R^2, and none on {self.space}")
        common: dict[str, Any] = {
            "space": self.space,
            "window": window,
            "estimate": estimate,
            "scales": scales,
            "backend": backend,
        }
        self.smoothing = Diffusion(channels, metric="diagonal", **common)
        self.diffusion = Diffusion(channels, alpha=diffusion_alpha, t=t, metric=metric, **common)
        self.shock = Dilation(channels, alpha=alpha, t=t, metric=metric, **common)
        self.logs = nn.Parameter(torch.empty(channels, 2))
        self.register_buffer("kept", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the contrast lambda to 0.2 and the softness epsilon of the sign to 0.1, for features of variance 1."""
        with torch.no_grad():
            self.logs.copy_(torch.tensor([0.2, 0.1]).log())

    def lengths(self) -> Tensor:
        """The length scales of the metric of the gradient, `[C, 3]` on M2."""
        return asked(self.smoothing.metric).diagonal("a gradient") if self.kept is None else self.kept

    @torch.no_grad()
    def freeze(self) -> None:
        """Keep the length scales of the gradient, whose metric the smoothing gives up when it is frozen after this."""
        self.kept = self.lengths()

    def switches(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """The weight g of diffusion in (0, 1] and the sign S of the shock in (-1, 1): two tensors in the shape of f."""
        # Squares of slopes, and the fourth power of the contrast, are below the smallest number of float16.
        u = self.smoothing(f).to(torch.promote_types(f.dtype, torch.float32))
        contrast, softness = (
            x.reshape(-1, *(1,) * (f.ndim - 2)) for x in self.logs.to(u.dtype).exp().unbind(-1)
        )
        if isinstance(self.space, M2):
            slope, across = self._on_m2(u, self.space)
        else:
            slope, across = self._on_the_plane(u, contrast)
        g = 1 / (1 + slope / contrast**2)
        return g.to(f.dtype), (2 / math.pi * torch.atan(across / softness)).to(f.dtype)

    def _on_m2(self, u: Tensor, space: M2) -> tuple[Tensor, Tensor]:
        (x, y), (xx, xy, yy) = differences(u)
        forth, back = u.roll(-1, 2), u.roll(1, 2)
        theta = space.points()[:, :1, None].to(u)
        c, s = torch.cos(theta), torch.sin(theta)
        main, lateral, turn = self.lengths().to(u)[..., None, None, None].square().unbind(1)
        slope = (c * x + s * y) ** 2 / main + (c * y - s * x) ** 2 / lateral
        slope = slope + ((forth - back) / (2 * space.step)) ** 2 / turn
        across = (s**2 * xx - 2 * s * c * xy + c**2 * yy) / lateral
        return slope, across + (forth - 2 * u + back) / space.step**2 / turn

    def _on_the_plane(self, u: Tensor, contrast: Tensor) -> tuple[Tensor, Tensor]:
        (x, y), (xx, xy, yy) = differences(u)
        along, mixed = self.smoothing(x**2 - y**2), self.smoothing(2 * x * y)
        # Slopes far below the contrast have no direction: there, half of the Laplacian is left.
        norm = torch.sqrt(along**2 + mixed**2 + 1e-6 * contrast**4)
        return x**2 + y**2, (xx + yy + (along * (xx - yy) + 2 * mixed * xy) / norm) / 2

    def forward(self, f: Tensor) -> Tensor:
        g, sign = self.switches(f)
        k = beside(self.shock.kernel(), f)
        grown = ops.dilation(f, k, space=self.space, backend=self.backend) - f
        shrunk = ops.erosion(f, k, space=self.space, backend=self.backend) - f
        shock = functional.relu(-sign) * grown + functional.relu(sign) * shrunk
        return f + g * (self.diffusion(f) - f) + (1 - g) * shock

    def extra_repr(self) -> str:
        return f"channels={self.logs.shape[0]}, space={self.space}"


def differences(u: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """The central differences (d_x, d_y) and (d_xx, d_xy, d_yy) along the last two axes, each in the shape of u."""
    p = torch.cat([u[..., :1, :], u, u[..., -1:, :]], -2)  # `pad` refuses an empty batch
    p = torch.cat([p[..., :1], p, p[..., -1:]], -1)
    rows = {n: p[..., 1 + n : p.shape[-2] - 1 + n, :] for n in (-1, 0, 1)}
    at = {(i, j): row[..., 1 + j : p.shape[-1] - 1 + j] for i, row in rows.items() for j in (-1, 0, 1)}
    first = ((at[0, 1] - at[0, -1]) / 2, (at[1, 0] - at[-1, 0]) / 2)
    mixed = (at[1, 1] - at[1, -1] - at[-1, 1] + at[-1, -1]) / 4
    return first, (at[0, 1] - 2 * u + at[0, -1], mixed, at[1, 0] - 2 * u + at[-1, 0])
