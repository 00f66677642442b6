"""The networks of the rotated-digit experiment, for 28 x 28 images and ten classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from pdegcnn_lib.kernels.window import Window
from pdegcnn_lib.models.registry import Entry, register
from pdegcnn_lib.nn import GroupConvolution, InvariantPool, Lift, PDELayer, PDELayerR2, Projection, Resample
from pdegcnn_lib.nn.pde import DE

CLASSES = 10
TASK = "digits"


def lenet5(in_channels: int) -> nn.Module:
    """LeNet-5 with tanh and max pooling: 44 426 parameters for one channel."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 6, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Dropout(0.1),
        nn.Linear(84, CLASSES),
    )


def _lift(in_channels: int, channels: int, orientations: int) -> list[nn.Module]:
    lift = Lift(in_channels, channels, size=5, orientations=orientations, padding="valid")
    return [lift, nn.BatchNorm3d(channels), nn.ReLU()]


def _flat(channels: int) -> list[nn.Module]:
    return [nn.Dropout(0.1), nn.Flatten(), nn.Linear(25 * channels, CLASSES)]


def _head(kind: str, channels: int) -> list[nn.Module]:
    """The paper's head, which sees positions, or one that pools over space and orientation before the linear layer.

    The pooled features are few and each is needed: dropout slows that network down and gains nothing.
    """
    if kind == "flat":
        return [Resample(5), Projection(), *_flat(channels)]
    return [InvariantPool(), nn.Linear(2 * channels, CLASSES)]


def gcnn(
    in_channels: int, *, head: str, last: int, orientations: int = 8, window: Window | None = None
) -> nn.Module:
    """Lift, two linear group convolutions, head: 12 700 parameters for one channel with the flat head.

    Equivariant under roto-translations up to the head; the flat head sees positions and so is not.
    """
    body = _lift(in_channels, 6, orientations)
    for c_in, c_out in ((6, 6), (6, last)):
        convolution = GroupConvolution(c_in, c_out, window=window, orientations=orientations, padding="valid")
        body += [convolution, nn.BatchNorm3d(c_out), nn.ReLU()]
    return nn.Sequential(*body, *_head(head, last))


def pdegcnn(
    in_channels: int, *, head: str, channels: Sequence[int] = (12, 16, 32), orientations: int = 8, **pde: Any
) -> nn.Module:
    """Lift, PDE layers, half the resolution after the first, head: 2 542 parameters for one channel with the flat head.

    `channels` are those that each PDE layer returns; with the invariant head there may be as many layers as one likes.
    Without convection (`digits-pdegcnn-de`) 2 488: three less for every channel that enters a PDE layer.
    Equivariant under roto-translations up to the head, exactly so under quarter turns where 4 divides the orientations;
    with the invariant head the whole network is invariant. Options beyond `orientations` are those of `PDELayer`.
    """
    whole = isinstance(channels, Sequence) and all(type(n) is int and n > 0 for n in channels)
    if not whole or not channels:
        raise ValueError(f"channels must be positive integers, one for each layer, got {channels!r}")
    body = _lift(in_channels, 6, orientations)
    # Nearest-neighbour resampling aliases, which a quarter turn does not see but other angles do; means do not.
    smaller = [Resample(14), nn.Dropout3d(0.1)] if head == "flat" else [nn.AvgPool3d((1, 2, 2))]
    body += [PDELayer(6, channels[0], orientations=orientations, **pde), *smaller]
    for c_in, c_out in pairwise(channels):
        body.append(PDELayer(c_in, c_out, orientations=orientations, **pde))
    return nn.Sequential(*body, *_head(head, channels[-1]))


def pdecnn(in_channels: int, **pde_r2: Any) -> nn.Module:
    """A PDE-CNN on R^2: 2 524 parameters for one channel, with dilation and erosion.

    It differs from `digits-pdegcnn-de` in the space alone: a convolution stands where the lift does; widths, windows,
    resampling and head are the same. On R^2 the metrics are full by default, 4 numbers each in the place of 3.
    It is not the authors' network of this kind, which has 2 476: theirs has no convolution and Finsler metrics of
    circular harmonics. The kernel of a Riemannian metric is even, so that without a convolution no layer could tell
    left from right.
    Equivariant under translations up to resampling and head. Options are those of `PDELayerR2`.
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, 6, 5, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        PDELayerR2(6, 12, **pde_r2),
        Resample(14),
        nn.Dropout2d(0.1),
        PDELayerR2(12, 8, **pde_r2),
        Resample(5),
        *_flat(8),
    )


register(
    Entry(
        "digits-lenet5", TASK, "lenet", "Plane", 5, 6, "LeNet-5", "the ordinary CNN of the comparison", lenet5
    ),
    Entry(
        "digits-gcnn",
        TASK,
        "gcnn",
        "M2",
        3,
        6,
        "G-CNN, flat head",
        "the linear G-CNN of the paper, flat head",
        gcnn,
        {"head": "flat", "last": 8},
    ),
    Entry(
        "digits-gcnn-invariant",
        TASK,
        "gcnn",
        "M2",
        3,
        6,
        "G-CNN, invariant head",
        "the linear G-CNN, rotation-invariant head",
        gcnn,
        {"head": "invariant", "last": 16},
    ),
    Entry(
        "digits-pdegcnn",
        TASK,
        "pdegcnn",
        "M2",
        3,
        12,
        "PDE-G-CNN, flat head",
        "the PDE-G-CNN of the paper, flat head",
        pdegcnn,
        {"head": "flat", "channels": (12, 8)},
    ),
    Entry(
        "digits-pdegcnn-de",
        TASK,
        "pdegcnn",
        "M2",
        3,
        12,
        "PDE-G-CNN, no convection",
        "the PDE-G-CNN without convection, flat head",
        pdegcnn,
        {"head": "flat", "channels": (12, 8), "terms": DE},
    ),
    Entry(
        "digits-pdegcnn-invariant",
        TASK,
        "pdegcnn",
        "M2",
        4,
        32,
        "PDE-G-CNN, invariant head",
        "the PDE-G-CNN, rotation-invariant head",
        pdegcnn,
        {"head": "invariant"},
    ),
    Entry(
        "digits-pdecnn-de",
        TASK,
        "pdegcnn",
        "Plane",
        3,
        12,
        "PDE-CNN on R², no convection",
        "dilation and erosion on R^2, the counterpart of digits-pdegcnn-de",
        pdecnn,
        {"terms": DE},
    ),
)
