"""Networks that find tubes in volumes: PDE-G-CNN, CNN and G-CNN in space, in any width, depth and number of directions.

All keep the size of the volume and end in a pointwise map to one channel, the logit of the probability of a tube.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pdegcnn_lib.models.registry import Entry, check_sizes, register
from pdegcnn_lib.nn import DirectionalNorm, GroupConvolutionM3, Lift, PDELayer, Projection
from pdegcnn_lib.spaces import M3, Volume

TASK = "tubes"
LIFT = 5  # voxels


class _Network(nn.Sequential):
    """A network that says which space it works on, whose turns `testing.equivariance_error` takes."""

    def __init__(self, space: M3 | Volume, *parts: nn.Module) -> None:
        super().__init__(*parts)
        self.space = space

    def forward(self, f: Tensor) -> Tensor:
        if f.ndim != 5:
            raise ValueError(f"a network of tubes takes volumes [B, Cin, D, H, W], got {list(f.shape)}")
        return super().forward(f)


def pdegcnn(
    in_channels: int,
    *,
    channels: int = 8,
    layers: int = 2,
    directions: int = 6,
    **pde: Any,
) -> nn.Module:
    """Lift, PDE layers on M3, maximum over directions: 417 parameters for 8 channels and 2 layers.

    The number of directions does not matter. 8 and 3: 553; 16 and 3: 1 489; 16 and 4: 1 889. Equivariant under
    roto-translations, exactly under the turns of a cube. Options beyond the sizes are those of `nn.PDELayer`; on
    lines (13 directions) `terms` must leave convection out.
    """
    check_sizes(channels=channels, layers=layers)
    space = M3(directions)
    body: list[nn.Module] = [Lift(in_channels, channels, size=LIFT, space=space), DirectionalNorm(channels)]
    body += [PDELayer(channels, channels, space=space, **pde) for _ in range(layers)]
    return _Network(space, *body, Projection(), nn.Conv3d(channels, 1, 1))


def cnn(in_channels: int, *, channels: int = 8, layers: int = 3) -> nn.Module:
    """An ordinary CNN, 5^3 and then 3^3, of 593 (2 channels, 3 layers), 6 257 (8, 3) or 29 825 (16, 4) parameters."""
    check_sizes(channels=channels, layers=layers)
    body: list[nn.Module] = []
    for i in range(layers + 1):
        size = LIFT if i == 0 else 3
        before = in_channels if i == 0 else channels
        body += [
            nn.Conv3d(before, channels, size, padding=size // 2, padding_mode="reflect", bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(),
        ]
    return _Network(Volume(), *body, nn.Conv3d(channels, 1, 1))


def gcnn(in_channels: int, *, channels: int = 4, layers: int = 2, directions: int = 6) -> nn.Module:
    """Lift, linear group convolutions on M3: 1 241 parameters for 4 channels, 2 layers, 6 directions; 4 785 for 8."""
    check_sizes(channels=channels, layers=layers)
    space = M3(directions)
    body: list[nn.Module] = [
        Lift(in_channels, channels, size=LIFT, space=space),
        DirectionalNorm(channels),
        nn.ReLU(),
    ]
    for _ in range(layers):
        body += [GroupConvolutionM3(channels, channels, space=space), DirectionalNorm(channels), nn.ReLU()]
    return _Network(space, *body, Projection(), nn.Conv3d(channels, 1, 1))


register(
    Entry(
        "tubes-pdegcnn",
        TASK,
        "pdegcnn",
        "M3",
        2,
        8,
        "PDE-G-CNN in space",
        "PDE-G-CNN in space, of any number of layers",
        pdegcnn,
    ),
    Entry(
        "tubes-cnn", TASK, "cnn", "Volume", 3, 8, "CNN in space", "CNN in space, of any number of layers", cnn
    ),
    Entry(
        "tubes-gcnn",
        TASK,
        "gcnn",
        "M3",
        2,
        4,
        "G-CNN in space",
        "G-CNN in space, of any number of layers",
        gcnn,
    ),
)
