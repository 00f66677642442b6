"""The segmentation networks of the papers: CNN, G-CNN, PDE-G-CNN and PDE-CNN of 3, 6 and 12 layers, for any size.

All end in a pointwise map to one channel; their output is the logit of the probability of a vessel.
The narrow family is that of the Analysis paper, the wide one that of the main paper, the fixed lift that of the
Geometric Adaptations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from pdegcnn_lib.kernels import default_window
from pdegcnn_lib.models.layout import ChannelsLast
from pdegcnn_lib.models.registry import Entry, check_sizes, register
from pdegcnn_lib.nn import (
    CakeLift,
    Convection,
    GroupConvolution,
    Lift,
    Linear,
    PDELayer,
    PDELayerR2,
    Projection,
)
from pdegcnn_lib.nn.metric import Draw, initial_scales
from pdegcnn_lib.nn.pde import CDDE, CDE, DE

TASK = "vessels"
LAST = 16  # channels before the final pointwise map
COPIES = 40  # convections of the fixed lift
DROPOUT = (
    0.1  # the share of the channels that are left out behind some layers of the papers' networks in training
)


class Head(nn.Module):
    """The pointwise map to one channel, `[B, C, H, W]` -> logits `[B, 1, H, W]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = Linear(channels, 1)

    def forward(self, f: Tensor) -> Tensor:
        return self.linear(f)


class Residual(nn.Module):
    """A layer that says what is added to its features, $f + L f$, so that deep networks begin near the identity."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, f: Tensor) -> Tensor:
        return f + self.layer(f)


def _check(layers: int, channels: int, dropout: float) -> None:
    check_sizes(channels=channels)
    if layers not in (3, 6, 12):
        raise ValueError(f"layers must be 3, 6 or 12, got {layers!r}")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        raise ValueError(f"dropout must be a number from 0 to 1, got {dropout!r}")


def _conv(c_in: int, c_out: int, size: int, dropout: float | None = None) -> list[nn.Module]:
    convolution = nn.Conv2d(c_in, c_out, size, padding=size // 2, padding_mode="reflect", bias=False)
    return [convolution, nn.BatchNorm2d(c_out), nn.ReLU()] + (
        [] if dropout is None else [nn.Dropout2d(dropout)]
    )


def _group(
    c_in: int, c_out: int, size: int, orientations: int, dropout: float | None = None
) -> list[nn.Module]:
    window = default_window(orientations, size)
    convolution = GroupConvolution(c_in, c_out, window=window, orientations=orientations)
    return [convolution, nn.BatchNorm3d(c_out), nn.ReLU()] + (
        [] if dropout is None else [nn.Dropout3d(dropout)]
    )


def cnn(in_channels: int, *, layers: int, channels: int, dropout: float = DROPOUT) -> nn.Module:
    """An ordinary fully convolutional network; no equivariance but under translations.

    `dropout` is the share of the channels that training leaves out behind some of its layers. Its features lie channels
    last: torch's convolutions then take 0.6 of the time.
    """
    _check(layers, channels, dropout)
    c = channels
    body = _conv(in_channels, c, 7)
    if layers == 3:
        # The three-layer network has no 5 x 5 layer; 18 channels before its last map give the paper's count.
        return ChannelsLast(*body, *_conv(c, 18, 1), Head(18))
    body += _conv(c, c, 5, dropout) + _conv(c, c, 5) + _conv(c, c, 5, dropout)
    if layers == 6:
        body += _conv(c, LAST, 1)
    else:
        body += _conv(c, c, 1)
        for _ in range(5):
            body += _conv(c, c, 5)
        body += _conv(c, LAST, 5)
    return ChannelsLast(*body, Head(LAST))


def _lift(in_channels: int, c: int, orientations: int, lift: str, backend: str | None) -> list[nn.Module]:
    r"""The normalised lift: of trained kernels, or of cake wavelets that are convected and combined.

    $$\sum_i a_i\, (\mathcal{W}_\phi f)(p\,g_i^{-1}) = (\mathcal{W}_\psi f)(p), \qquad
      \psi(z) = \sum_i a_i\, \phi(g_i \cdot z),$$

    so that trained convections of one fixed lift can take the place of trained kernels.
    Source: Geometric Adaptations of PDE-G-CNNs.
    """
    if lift == "trained":
        return [Lift(in_channels, c, size=7, orientations=orientations), nn.BatchNorm3d(c)]
    if lift != "fixed":
        raise ValueError(f"lift must be trained or fixed, got {lift!r}")
    return [
        # With scores of 1/Or of the image, and a variance of 1/Or^2, the eps of the normalisation would be felt.
        CakeLift(orientations, gain=orientations),
        Linear(in_channels, COPIES),
        # Convections that start at the identity are one feature 40 times over. Spread by a pixel and a radian they
        # already span kernels of 7 x 7: a least-squares fit of random ones leaves 0.55 of them, without spread 0.98.
        Convection(COPIES, spread=1.0, backend=backend),
        nn.BatchNorm3d(COPIES),
        Linear(COPIES, c),
    ]


def gcnn(
    in_channels: int,
    *,
    layers: int,
    channels: int,
    lift: str = "trained",
    orientations: int = 8,
    dropout: float = DROPOUT,
    backend: str | None = None,
) -> nn.Module:
    """Lift, linear group convolutions, projection: equivariant under roto-translations.

    `lift` is `trained`, or `fixed` with trained convections of cake wavelets (which `backend` is for). The ReLU after
    the lift stays in both, or the fixed lift and the first convolution would be one linear map. `dropout` as in `cnn`.
    """
    _check(layers, channels, dropout)
    c, n = channels, orientations
    body = [*_lift(in_channels, c, n, lift, backend), nn.ReLU()]
    for layer in range({3: 0, 6: 3, 12: 9}[layers]):
        body += _group(c, c, 5, n, dropout if layer in (0, 2) else None)
    body += _group(c, LAST, 1, n)
    return nn.Sequential(*body, Projection(), Head(LAST))


def _times(factor: float, draw: Draw, *shape: Any, **given: Any) -> Tensor:
    return factor * draw(*shape, **given)


def pdegcnn(
    in_channels: int,
    *,
    layers: int,
    channels: int,
    lift: str = "trained",
    orientations: int = 8,
    residual: bool = False,
    norm: bool = True,
    first_scales: float = 1.0,
    dropout: float = DROPOUT,
    **pde: Any,
) -> nn.Module:
    """Lift, PDE layers, projection: equivariant under roto-translations.

    It is exactly so under quarter turns where 4 divides the orientations. `lift` is `trained` or `fixed` as in
    the G-CNN; with `residual` a layer with as many channels behind it as before it adds to its features, which costs no
    parameter; without `norm` the PDE layers mix their channels and do not normalise them; `first_scales` multiplies
    the length scales w that the metrics begin with: the smaller, the farther a kernel reaches. `dropout` as in `cnn`.
    Options beyond those and `orientations` are those of `PDELayer`.
    Raises: ValueError for `first_scales` that are no positive number, and for others than 1 where a term beyond those
    of the usual layer may draw lengths of its own; TypeError for a `residual` or a `norm` that is no truth value.
    """
    _check(layers, channels, dropout)
    if (
        isinstance(first_scales, bool)
        or not isinstance(first_scales, int | float)
        or not 0 < first_scales < math.inf
    ):
        raise ValueError(f"first_scales must be a positive number, got {first_scales!r}")
    for name, flag in {"residual": residual, "norm": norm}.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {flag!r}")
    if first_scales != 1:
        if pde.get("scales") is None and not set(terms := pde.get("terms", CDE)) <= set(CDE):
            raise ValueError(
                f"first_scales must be 1 with terms beyond {CDE}, got {first_scales!r} with {terms}"
            )
        pde["scales"] = partial(_times, first_scales, pde.get("scales") or initial_scales)
    body = _lift(in_channels, channels, orientations, lift, pde.get("backend"))
    leave_out = partial(nn.Dropout3d, dropout)
    body += _evolve(PDELayer, leave_out, layers, channels, residual, norm, orientations=orientations, **pde)
    return nn.Sequential(*body, Projection(), Head(LAST))


def pdecnn(
    in_channels: int, *, layers: int, channels: int, dropout: float = DROPOUT, **pde_r2: Any
) -> nn.Module:
    """A PDE-CNN on R^2: convolution, PDE layers; equivariant under translations.

    It differs from the PDE-G-CNN of as many layers in the space alone: a convolution of the same size stands where the
    lift does, and widths, windows and dropout are the same. On R^2 the metrics are full by default, 4 numbers each in
    the place of 3, and there are 2 numbers of a convection in the place of 3: 2 624 parameters for 6 layers and gray
    images, 2 798 for 12. The authors' networks on R^2 are wider and have Finsler metrics. `dropout` as in `cnn`; other
    options are those of `PDELayerR2`.
    """
    _check(layers, channels, dropout)
    convolution = nn.Conv2d(in_channels, channels, 7, padding=3, padding_mode="reflect", bias=False)
    body: list[nn.Module] = [convolution, nn.BatchNorm2d(channels)]
    body += _evolve(PDELayerR2, partial(nn.Dropout2d, dropout), layers, channels, **pde_r2)
    return nn.Sequential(*body, Head(LAST))


def _evolve(
    layer: Callable[..., nn.Module],
    dropout: Callable[[], nn.Module],
    layers: int,
    channels: int,
    residual: bool = False,
    norm: bool = True,
    **options: Any,
) -> list[nn.Module]:
    """The PDE layers of a network of so many layers, which has two others; dropout after the first and the fifth.

    `residual` adds its input to what a layer makes of it, where both have as many channels; without `norm` no layer
    normalises.
    """
    count = {3: 1, 6: 4, 12: 10}[layers]
    body: list[nn.Module] = []
    for i in range(count):
        made = layer(channels, out := LAST if i == count - 1 else channels, **options)
        if not norm:
            made.norm = nn.Identity()
        body.append(Residual(made) if residual and out == channels else made)
        if i == 0 or (layers == 12 and i == 4):
            body.append(dropout())
    return body


# The channels of (CNN, G-CNN, PDE-G-CNN): the wide family is the main paper's, the narrow one the Analysis paper's and
# that of the tables, where its labels say no more than the layers. Both papers use the same PDE-G-CNNs.
_WIDTHS = {
    "": {6: (24, 16, 16), 12: (24, 10, 10)},
    "-narrow": {3: (40, 30, 16), 6: (18, 8, 16), 12: (18, 8, 10)},
}
_KINDS: dict[str, tuple[str, str, Callable[..., nn.Module]]] = {
    "cnn": ("CNN", "Plane", cnn),
    "gcnn": ("G-CNN", "M2", gcnn),
    "pdegcnn": ("PDE-G-CNN", "M2", pdegcnn),
}


def _of_a_family(suffix: str, depth: int, family: str, width: int) -> Entry:
    called, space, builder = _KINDS[family]
    wide = "" if family == "pdegcnn" or suffix else ", wide"
    return Entry(
        f"vessels-{family}{depth}" + (suffix if family != "pdegcnn" else ""),
        TASK,
        family,
        space,
        depth,
        width,
        f"{called}, {depth} layers{wide}",
        f"{called} of {depth} layers",
        builder,
        # CNN and G-CNN of three layers leave no channels out.
        {"layers": depth} if depth > 3 or family == "pdegcnn" else {"layers": depth, "dropout": 0.0},
        {"channels": width},
    )


def _changed(kind: str, suffix: str, words: str, **fixed: object) -> Entry:
    """A network of six layers of the main paper with something changed."""
    base = _of_a_family("", 6, kind, 16)
    summary, label = f"{base.summary}, {words}", f"{_KINDS[kind][0]}, 6 layers, {words}"
    return replace(
        base, name=f"{base.name}-{suffix}", label=label, summary=summary, fixed={**base.fixed, **fixed}
    )


def _on_the_plane(depth: int, width: int) -> Entry:
    label, summary = f"PDE-CNN, {depth} layers", f"PDE-CNN on R^2 of {depth} layers"
    fixed, usual = {"layers": depth}, {"channels": width}
    name = f"vessels-pdecnn{depth}"
    return Entry(name, TASK, "pdegcnn", "Plane", depth, width, label, summary, pdecnn, fixed, usual)


register(
    *(
        _of_a_family(suffix, depth, family, width)
        for suffix, family_of_depth in _WIDTHS.items()
        for depth, widths in family_of_depth.items()
        for family, width in zip(_KINDS, widths, strict=True)
    ),
    _changed("pdegcnn", "full", "full metrics", metric="full"),
    _changed("pdegcnn", "de", "no convection", terms=DE),
    _changed("pdegcnn", "cdde", "with diffusion", terms=CDDE),
    _changed("pdegcnn", "fixed-lift", "fixed lift", lift="fixed"),
    _changed("gcnn", "fixed-lift", "fixed lift", lift="fixed"),
    _on_the_plane(6, 16),
    _on_the_plane(12, 10),
)
