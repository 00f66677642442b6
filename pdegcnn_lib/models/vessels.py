"""The segmentation networks of the papers: CNN, G-CNN and PDE-G-CNN of 3, 6 and 12 layers, for images of any size.

All end in a pointwise map to one channel; their output is the logit of the probability of a vessel.
The narrow family is that of the Analysis paper, the wide one that of the main paper.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pdegcnn_lib.models.registry import register
from pdegcnn_lib.nn import GroupConvolution, Lift, Linear, PDELayer, Projection

TASK = "vessels"
LAST = 16  # channels before the final pointwise map


class Head(nn.Module):
    """The pointwise map to one channel, `[B, C, H, W]` -> logits `[B, 1, H, W]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = Linear(channels, 1)

    def forward(self, f: Tensor) -> Tensor:
        return self.linear(f)


def _conv(c_in: int, c_out: int, size: int, dropout: bool = False) -> list[nn.Module]:
    convolution = nn.Conv2d(c_in, c_out, size, padding=size // 2, padding_mode="reflect", bias=False)
    return [convolution, nn.BatchNorm2d(c_out), nn.ReLU()] + ([nn.Dropout2d(0.1)] if dropout else [])


def _group(c_in: int, c_out: int, size: int, orientations: int, dropout: bool = False) -> list[nn.Module]:
    window = (min(size, orientations - 1 + orientations % 2), size, size) if size > 1 else (1, 1, 1)
    convolution = GroupConvolution(c_in, c_out, window=window, orientations=orientations)
    return [convolution, nn.BatchNorm3d(c_out), nn.ReLU()] + ([nn.Dropout3d(0.1)] if dropout else [])


def cnn(in_channels: int, *, layers: int, channels: int) -> nn.Module:
    """An ordinary fully convolutional network; no equivariance but under translations."""
    c = channels
    body = _conv(in_channels, c, 7)
    if layers == 3:
        # The three-layer network has no 5 x 5 layer; 18 channels before its last map give the paper's count.
        return nn.Sequential(*body, *_conv(c, 18, 1), Head(18))
    body += _conv(c, c, 5, dropout=True) + _conv(c, c, 5) + _conv(c, c, 5, dropout=True)
    if layers == 6:
        body += _conv(c, LAST, 1)
    else:
        body += _conv(c, c, 1)
        for _ in range(5):
            body += _conv(c, c, 5)
        body += _conv(c, LAST, 5)
    return nn.Sequential(*body, Head(LAST))


def gcnn(in_channels: int, *, layers: int, channels: int, orientations: int = 8) -> nn.Module:
    """Lift, linear group convolutions, projection: equivariant under roto-translations."""
    c, n = channels, orientations
    body = [Lift(in_channels, c, size=7, orientations=n), nn.BatchNorm3d(c), nn.ReLU()]
    for layer in range({3: 0, 6: 3, 12: 9}[layers]):
        body += _group(c, c, 5, n, dropout=layer in (0, 2))
    body += _group(c, LAST, 1, n)
    return nn.Sequential(*body, Projection(), Head(LAST))


def pdegcnn(in_channels: int, *, layers: int, channels: int, orientations: int = 8, **pde: Any) -> nn.Module:
    """Lift, PDE layers, projection: equivariant under roto-translations, exactly so under quarter turns.

    Options beyond `orientations` are those of `PDELayer`.
    """
    count, c = {3: 1, 6: 4, 12: 10}[layers], channels
    body: list[nn.Module] = [Lift(in_channels, c, size=7, orientations=orientations), nn.BatchNorm3d(c)]
    for layer in range(count):
        body.append(PDELayer(c, LAST if layer == count - 1 else c, orientations=orientations, **pde))
        if layer == 0 or (layers == 12 and layer == 4):
            body.append(nn.Dropout3d(0.1))
    return nn.Sequential(*body, Projection(), Head(LAST))


# The channels of (CNN, G-CNN, PDE-G-CNN): the wide family is the main paper's, the narrow one the Analysis paper's.
# Both papers use the same PDE-G-CNNs.
_WIDTHS = {
    "": {6: (24, 16, 16), 12: (24, 10, 10)},
    "-narrow": {3: (40, 30, 16), 6: (18, 8, 16), 12: (18, 8, 10)},
}

for _suffix, _family in _WIDTHS.items():
    for _layers, _channels in _family.items():
        for _kind, _builder, _width in zip(
            ("cnn", "gcnn", "pdegcnn"), (cnn, gcnn, pdegcnn), _channels, strict=True
        ):
            _name = f"vessels-{_kind}{_layers}" + (_suffix if _kind != "pdegcnn" else "")
            register(_name, TASK, f"{_kind} of {_layers} layers", layers=_layers, channels=_width)(_builder)
register(
    "vessels-pdegcnn6-full",
    TASK,
    "PDE-G-CNN of 6 layers with full metrics",
    layers=6,
    channels=16,
    metric="full",
)(pdegcnn)
