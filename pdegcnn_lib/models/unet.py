"""A small U-Net, the rival of today on vessels: many features at coarse scales in the place of symmetry."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdegcnn_lib.models.layout import channels_last
from pdegcnn_lib.models.registry import Entry, register

WIDTHS = (8, 16, 32)  # channels at full, half and quarter resolution


def _convolution(c_in: int, c_out: int) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out)]


def _first(f: Tensor, axis: int, size: int, whole: int) -> Tensor:
    """`size` pixels along an axis of an image of `whole` of them, which goes on mirrored."""
    # Not by slices and `functional.pad`, for which an exporter of free sizes finds no bounds.
    at = torch.arange(size, device=f.device)
    return f.index_select(axis, torch.where(at < whole, at, 2 * (whole - 1) - at))


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a pointwise one: `[B, C, H, W]` -> `[B, C', H, W]`."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(c_in, c_out), nn.ReLU(), *_convolution(c_out, c_out))
        self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, f: Tensor) -> Tensor:
        return torch.relu(self.body(f) + self.shortcut(f))


class UNet(nn.Module):
    """Three scales of `Block`, joined on the way up: `[B, C, H, W]` -> logits `[B, 1, H, W]` for any size.

    Images are continued by mirroring to a multiple of 4 pixels. It commutes with translations by multiples of 4 only,
    its `period`, as `models.tiling` takes it.
    Raises: ValueError for a side below 3 pixels, which is too short for that.
    """

    period = 2 ** (len(WIDTHS) - 1)

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        pairs = list(zip(WIDTHS, WIDTHS[1:], strict=False))
        self.down = nn.ModuleList(Block(a, b) for a, b in [(in_channels, WIDTHS[0]), *pairs])
        self.bridge = nn.ModuleList(nn.Sequential(*_convolution(a, a), nn.ReLU()) for a, _ in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairs)
        self.join = nn.ModuleList(Block(2 * a, a) for a, _ in pairs)
        self.head = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, f: Tensor) -> Tensor:
        height, width = f.shape[-2:]
        if height < 3 or width < 3:
            raise ValueError(f"a U-Net takes images of 3 x 3 pixels at least, got {list(f.shape)}")
        for axis, size in ((2, height), (3, width)):
            f = _first(f, axis, (size + 3) // 4 * 4, size)
        f = channels_last(f)
        kept: list[Tensor] = []
        for block in self.down:
            f = block(functional.max_pool2d(f, 2) if kept else f)
            kept.append(f)
        for i in reversed(range(len(self.up))):
            f = self.join[i](torch.cat([self.bridge[i](kept[i]), self.up[i](f)], dim=1))
        f = self.head(f)
        for axis, size in ((2, height), (3, width)):
            f = _first(f, axis, size, size)
        return f


def unet(in_channels: int) -> nn.Module:
    """A U-Net of 33 857 parameters for one channel, of the kind of which Little W-Net has two.

    Its features lie channels last as those of the CNN.
    Source: Galdran et al., State-of-the-art retinal vessel segmentation with minimalistic models (2022).
    """
    return UNet(in_channels)


register(
    Entry(
        "vessels-unet",
        "vessels",
        "unet",
        "Plane",
        3,
        WIDTHS[0],
        "U-Net",
        "a small U-Net of the kind of Little W-Net",
        unet,
    )
)
