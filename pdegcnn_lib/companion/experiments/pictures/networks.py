"""Pictures of a trained network: what its lift sees, which way its kernels reach, the metrics that it learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from pdegcnn_lib.companion import paths, pictures
from pdegcnn_lib.companion.data import retina
from pdegcnn_lib.companion.experiments import load_model, read_result
from pdegcnn_lib.companion.segment import prepare, read, refuse_volumes
from pdegcnn_lib.companion.viz.fields import orientation_montage
from pdegcnn_lib.companion.viz.kernels import learned_metrics
from pdegcnn_lib.companion.viz.shapes import association_fields
from pdegcnn_lib.companion.viz.style import LATERAL, SIGNED_MAP, pixels, use_style
from pdegcnn_lib.geometry import squared_estimate
from pdegcnn_lib.kernels.morphological import power_law
from pdegcnn_lib.nn import CakeLift, Convection, Dilation, Erosion, Lift, PDELayer


def operators(model: nn.Module) -> dict[str, Dilation | Erosion]:
    """The dilations and erosions of a network in order: `layer 1, dilation`, ..."""
    found: dict[str, Dilation | Erosion] = {}
    count = {"dilation": 0, "erosion": 0}
    for module in model.modules():
        if isinstance(module, Dilation | Erosion):
            kind = type(module).__name__.lower()
            count[kind] += 1
            found[f"layer {count[kind]}, {kind}"] = module
    return found


def kernel_of(operator: Dilation | Erosion, channel: int) -> Callable[[Tensor], Tensor]:
    """The kernel of one channel as a function on M2, `p [..., 3]` -> `[...]`, not only on the grid."""
    metric = operator.metric()
    chosen = metric[channel].with_parameters(metric[channel].parameters.detach().double())
    alpha = operator.exponent()
    if isinstance(alpha, Tensor):
        alpha = alpha[channel].item()
    return lambda p: power_law(squared_estimate(operator.estimate)(p, chosen), alpha, operator.t)


def learned_fields(operator: Dilation | Erosion, channels: int = 4) -> Figure:
    """The association fields that an operator has learned, of its first channels with a diagonal metric."""
    count = min(channels, operator.metric().parameters.shape[0])
    return association_fields({f"channel {c}": kernel_of(operator, c) for c in range(count)})


def anisotropy_by_layer(models: Sequence[nn.Module]) -> Figure:
    """The spatial anisotropy zeta = w_L / w_M of every channel by layer, for dilation and erosion; a dot per channel.

    Above 1 it costs more to go sideways than forward. The black line is the median of a layer over all `models`.
    """
    groups: dict[str, dict[int, list[float]]] = {"dilation": {}, "erosion": {}}
    for model in models:
        for name, operator in operators(model).items():
            number, kind = name.removeprefix("layer ").split(", ")
            w = operator.metric().lengths.detach()
            groups[kind].setdefault(int(number), []).extend((w[:, 1] / w[:, 0]).tolist())
    figure, axes = plt.subplots(1, 2, figsize=(6.6, 3.0), sharey=True)
    for ax, (kind, layers) in zip(axes, groups.items(), strict=True):
        for place, values in layers.items():
            across = place + 0.3 * (np.linspace(0, 1, len(values)) - 0.5)
            ax.plot(across, sorted(values), "o", ms=3, alpha=0.5, color=LATERAL)
            ax.plot([place - 0.25, place + 0.25], [np.median(values)] * 2, color="black")
        ax.axhline(1, color="0.6", lw=1, zorder=0)
        ax.set(title=kind, xlabel="layer", yscale="log", xticks=sorted(layers))
    axes[0].set_ylabel(r"$\zeta = w_L / w_M$")
    return figure


def learned_transport(model: nn.Module) -> Figure:
    """Where the convections of a network fetch their values from: an arrow per channel from the origin, by layer.

    The arrow of a channel is the position of g0 seen from a line along +x; its colour is the turn in degrees.
    """
    fields = [module.g0.detach() for module in model.modules() if isinstance(module, Convection)]
    reach = 1.15 * max(float(g0[:, :2].abs().max()) for g0 in fields)
    turn = max(float(g0[:, 2].abs().max()) for g0 in fields) * 180 / math.pi
    figure, axes = plt.subplots(1, len(fields), figsize=(2.2 * len(fields), 2.5), squeeze=False, sharey=True)
    for place, (ax, g0) in enumerate(zip(axes[0], fields, strict=True), 1):
        x, y, theta = g0.T.numpy()
        drawn = ax.quiver(
            np.zeros_like(x),
            np.zeros_like(x),
            x,
            y,
            theta * 180 / math.pi,
            cmap=SIGNED_MAP,
            clim=(-turn, turn),
            angles="xy",
            scale_units="xy",
            scale=1,
            width=0.012,
            edgecolor="0.3",
            linewidth=0.4,
        )
        ax.set(
            title=f"layer {place}", xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal", xlabel="$x$"
        )
    axes[0, 0].set_ylabel("$y$")
    figure.colorbar(drawn, ax=axes, shrink=0.8, label="turn in degrees")
    return figure


@torch.no_grad()
def features(model: nn.Sequential, image: Tensor, *, channels: int = 6) -> Figure:
    """What the layers of a network make of an image `[Cin, H, W]`: the most varied channels after each, over theta.

    Of orientation scores the maximum over theta is shown.
    """
    shown = {"image": image}
    f = image[None]
    for module in model:
        f = module(f)
        if isinstance(module, Lift | CakeLift | PDELayer):
            shown[f"layer {len(shown) - 1}" if isinstance(module, PDELayer) else "lift"] = f[0].amax(dim=1)
    shown["output"] = torch.sigmoid(f[0])
    figure, axes = plt.subplots(
        len(shown), channels, figsize=(1.15 * channels + 0.6, 1.2 * len(shown)), squeeze=False
    )
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.set_frame_on(False)
    for line, (name, maps) in zip(axes, shown.items(), strict=True):
        order = maps.flatten(1).std(dim=1).argsort(descending=True)
        line[0].set_ylabel(name, fontsize=9)
        for ax, n in zip(line, order.tolist(), strict=False):
            ax.imshow(maps[n].numpy(), cmap="gray")
    return figure


@torch.no_grad()
def lift_of(model: nn.Module, image: Tensor) -> Tensor:
    """What the lift of a network makes of an image, `[Cin, H, W]` -> `[C, Or, H, W]`; ValueError without a lift."""
    for module in model.modules():
        if isinstance(module, Lift | CakeLift):
            return module(image[None])[0]
    raise ValueError("the network has no lift: it has no orientation score to show")


def view(result: Path, image: Path | None, out: Path) -> list[Path]:
    """Write the pictures of a saved network into a folder: the score of one channel, the metrics, the kernels.

    Of one without dilations and erosions, such as a G-CNN, that is the score alone.
    `image` is what the network is shown, prepared as the pictures that it learned from, by default the crossing of the
    first chapter as it is there. Raises: DataError for a network on volumes and where a file of the reader would be
    replaced, OSError for a folder that takes no files.
    """
    use_style()
    paths.check_writable(out, make=False)
    model, record = load_model(result), read_result(result)
    refuse_volumes(record, "view shows")
    if image is not None and "preparation" in record:
        shown, _ = prepare(record, read(image))
    else:
        picture = retina.crossing().float()[None] if image is None else read(image)
        shown = picture.mean(dim=0).expand(record["in_channels"], -1, -1)
    grey, score = shown.mean(dim=0), lift_of(model, shown)
    strongest = int(score.flatten(1).std(dim=1).argmax())
    figures: dict[str, Callable[[], Figure]] = {"score": partial(orientation_montage, grey, score[strongest])}
    if kernels := operators(model):
        figures["metrics"] = lambda: learned_metrics(
            {n: o.metric().lengths.tolist() for n, o in kernels.items()}
        )
    for name, operator in kernels.items():
        figures[name.replace(", ", "-").replace(" ", "")] = partial(learned_fields, operator)
    return pictures.write({out / f"{name}.png": pixels(figure()) for name, figure in figures.items()})
