"""How the features of a network lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pdegcnn_lib.ops.tracing import exporting


def channels_last(f: Tensor) -> Tensor:
    """The same images with their channels last in memory, in which torch's convolutions are faster.

    Convolutions keep that order, so the first features of a network decide it for all: the weights stay contiguous, as
    FSDP2, torch.export and safetensors ask for. An export writes the images down as they come: whoever runs it orders
    them, and torch finds no bounds for the sizes of a U-Net in this order.
    """
    if exporting():
        return f
    # Not by a memory format, which `vmap` refuses. A copy, for only strides tell the order where there is one channel.
    return f.movedim(1, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 1)


class ChannelsLast(nn.Sequential):
    """Layers one after the other, of features that lie channels last."""

    def forward(self, f: Tensor) -> Tensor:
        return super().forward(channels_last(f))
