"""What is timed: the operators with their rivals, a PDE layer, the training steps of the networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pdegcnn_lib import models, nn, ops
from pdegcnn_lib.companion.experiments.config import Training
from pdegcnn_lib.companion.experiments.gradient import Gradient
from pdegcnn_lib.companion.experiments.metrics import dice_loss
from pdegcnn_lib.ops import reference
from pdegcnn_lib.spaces import M2, M3

Call = Callable[[], object]
Size = tuple[int, int, int, int, int]
Window = tuple[int, int, int]
PATCHES = (4, 3, 64, 64)  # of the training step that a peer is timed on too

SMALL: Size = (4, 16, 8, 64, 64)
LARGE: Size = (1, 32, 8, 256, 256)
VOLUMES = (1, 8, 26, 32, 32, 32)  # on M3
WINDOWS: tuple[Window, ...] = ((3, 3, 3), (5, 5, 5), (5, 7, 7), (7, 7, 7))


def taps(size: Size, window: Window) -> int:
    """How many (output, tap) pairs a convolution visits."""
    return size[0] * size[1] * size[2] * size[3] * size[4] * window[0] * window[1] * window[2]


def tensors(size: Size, window: Window, device: str, *, grad: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Random input, kernel and upstream gradient."""
    f = torch.randn(size, device=device, requires_grad=grad)
    k = torch.rand(*size[1:3], *window, device=device, requires_grad=grad)
    return f, k, torch.randn(size, device=device)


def layer_kernel(size: Size, window: Window, device: str) -> Tensor:
    """The kernel of a fresh dilation layer: on random input about half of its taps cannot win."""
    layer = nn.Dilation(size[1], window=window, orientations=size[2]).to(device)
    return layer.kernel().detach().requires_grad_()


def volumes(device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Random input, kernel for 3x3x3 and upstream gradient on M3."""
    space = M3(VOLUMES[2])
    k = torch.rand(*VOLUMES[1:3], *space.default_window(3), device=device, requires_grad=True)
    f = torch.randn(VOLUMES, device=device, requires_grad=True)
    return f, k, torch.randn(VOLUMES, device=device)


def taps_of_volumes() -> int:
    """How many (output, tap) pairs the dilation of `volumes` visits; a slot without a neighbour has none."""
    seen = int((M3(VOLUMES[2]).neighbours(M3(VOLUMES[2]).default_window(3)) >= 0).sum())
    return VOLUMES[0] * VOLUMES[1] * seen * 27 * math.prod(VOLUMES[3:])


def dilation_by_slots(f: Tensor, k: Tensor) -> Tensor:
    """Dilation on M3 as a composition: for each slot the neighbours gathered, dilated on M2 and compared.

    A plane of -inf follows the volume, whose planes M2 takes for orientations.
    """
    depth, lists = f.shape[3], M3(f.shape[2]).neighbours(tuple(k.shape[2:]))
    padded = functional.pad(f, (0, 0, 0, 0, 0, k.shape[3] // 2), value=-math.inf)
    out = torch.full_like(f, -math.inf)
    for slot, sources in enumerate(lists.T.to(f.device)):
        owners = (sources >= 0).nonzero()[:, 0]
        table = k[:, owners, slot].flatten(0, 1)[:, None].expand(-1, padded.shape[3], -1, -1, -1)
        value = ops.dilation(padded[:, :, sources[owners]].flatten(1, 2), table)[:, :, :depth]
        value = value.unflatten(1, (f.shape[1], -1))
        if len(owners) == len(sources):
            out = torch.where(value > out, value, out)
        else:
            known = out[:, :, owners]
            out = out.index_copy(2, owners, torch.where(value > known, value, known))
    return out


def depthwise(f: Tensor, k: Tensor) -> Tensor:
    """Torch's own depthwise convolution with as large a window, the yardstick: one kernel for all orientations."""
    planes, rows, columns = k.shape[2:]
    wrapped = functional.pad(f, (0, 0, 0, 0, planes // 2, planes // 2), mode="circular")
    return functional.conv3d(wrapped, k[:, :1], padding=(0, rows // 2, columns // 2), groups=f.shape[1])


def convection_by_grid_sample(f: Tensor, g0: Tensor) -> Tensor:
    """Convection as a composition of torch's operators around `grid_sample`."""
    b, c, orientations, height, width = f.shape
    by = M2(orientations).displacement(g0)
    wrapped = torch.cat([f[:, :, -1:], f, f[:, :, :1]], dim=2).flatten(0, 1)[:, None]
    o = torch.arange(orientations, device=f.device, dtype=f.dtype)
    y = torch.arange(height, device=f.device, dtype=f.dtype)
    x = torch.arange(width, device=f.device, dtype=f.dtype)
    shape = (c, orientations, height, width)
    grid = torch.stack(
        [
            ((x - by[:, :, 0, None])[:, :, None, :] * (2 / (width - 1)) - 1).expand(shape),
            ((y - by[:, :, 1, None])[:, :, :, None] * (2 / (height - 1)) - 1).expand(shape),
            (((o - by[:, :, 2]) % orientations + 1)[:, :, None, None] * (2 / (orientations + 1)) - 1).expand(
                shape
            ),
        ],
        dim=-1,
    )
    grid = grid[None].expand(b, *grid.shape).flatten(0, 1)
    out = functional.grid_sample(wrapped, grid, padding_mode="border", align_corners=True)
    return out[:, 0].unflatten(0, (b, c))


def both_ways(operator: Callable[..., Tensor], *inputs: Tensor, upstream: Tensor) -> Call:
    """Forward and backward of `operator` to all its inputs."""

    def call() -> object:
        return torch.autograd.grad(operator(*inputs), inputs, upstream)

    return call


def without_gradient(operator: Callable[..., Tensor], *inputs: Tensor) -> Call:
    """Forward of `operator` alone."""

    def call() -> object:
        with torch.no_grad():
            return operator(*inputs)

    return call


def dilation(backend: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The dilation of one backend."""
    if backend == "reference":
        return lambda f, k: reference.semiring_convolution(f, k, "max_plus")
    return lambda f, k: ops.dilation(f, k, backend=backend)


def cde_layer(device: str, backend: str | None) -> Call:
    """Forward and backward of a convection-dilation-erosion layer, 16 to 16 channels."""
    layer = nn.PDELayer(16, 16, window=(5, 5, 5), orientations=8, backend=backend).to(device)
    f, _, g = tensors(SMALL, (1, 1, 1), device, grad=True)
    with torch.no_grad():
        # A convection that starts at the identity would be measured at whole steps.
        layer.evolution["convection"].get_parameter("g0").normal_()
    inputs = (f, *layer.parameters())

    def call() -> object:
        return torch.autograd.grad(layer(f), inputs, g)

    return call


def training_step(
    name: str,
    batch: tuple[int, int, int, int],
    device: str = "cpu",
    *,
    capture: bool = False,
    **options: Any,
) -> Call:
    """A step of the training loop of the experiments, on random images `[B, C, H, W]`: patches or digits.

    Rivals and peers are timed launch by launch, so it is captured only where that is asked for. The options are those
    of `models.build`.
    """
    model = models.build(name, batch[1], **options).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=device == "cuda" or None)
    images = torch.rand(batch, device=device)
    criterion: Callable[[Tensor, Tensor], Tensor] = dice_loss
    if name.startswith("digits"):
        criterion, truth = functional.cross_entropy, torch.arange(batch[0], device=device) % 10
    else:
        truth = (torch.rand(batch[0], 1, *batch[2:], device=device) > 0.9).float()

    gradient = Gradient(
        model, lambda model, x, y: criterion(model(x), y), Training.gradient_clip, capture=capture
    )

    def call() -> object:
        gradient(images, truth)
        optimizer.step()
        return None

    return call


def memory_of_dilation(backend: str) -> tuple[Call, Call]:
    """A small run that loads everything, and the forward and backward whose memory counts, gradient included."""
    f, k, _ = tensors(SMALL, (5, 5, 5), "cpu", grad=True)
    little = tensors((1, 1, 8, 8, 8), (5, 5, 5), "cpu", grad=True)
    operator = dilation(backend)

    def call() -> object:
        out = operator(f, k)
        return torch.autograd.grad(out, (f, k), torch.ones_like(out))

    return both_ways(operator, little[0], little[1], upstream=little[2]), call
