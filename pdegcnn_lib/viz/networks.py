"""Pictures of a trained network: what its lift sees, which way its kernels reach, the metrics that it learned."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from pdegcnn_lib import paths
from pdegcnn_lib.data import retina
from pdegcnn_lib.experiments import load_model
from pdegcnn_lib.geometry import squared_estimate
from pdegcnn_lib.kernels.morphological import power_law
from pdegcnn_lib.nn import Dilation, Erosion, Lift
from pdegcnn_lib.segment import read
from pdegcnn_lib.viz.fields import orientation_montage
from pdegcnn_lib.viz.kernels import learned_metrics
from pdegcnn_lib.viz.shapes import association_fields
from pdegcnn_lib.viz.style import use_style


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
    chosen = type(metric)(metric.w[channel].detach().double())
    return lambda p: power_law(squared_estimate(operator.estimate)(p, chosen), operator.alpha)


def learned_fields(operator: Dilation | Erosion, channels: int = 4) -> Figure:
    """The association fields that an operator has learned, of its first channels with a diagonal metric."""
    count = min(channels, operator.metric().w.shape[0])
    return association_fields({f"channel {c}": kernel_of(operator, c) for c in range(count)})


@torch.no_grad()
def lift_of(model: nn.Module, image: Tensor) -> Tensor:
    """What the lift of a network makes of an image, `[Cin, H, W]` -> `[C, Or, H, W]`; ValueError without a lift."""
    for module in model.modules():
        if isinstance(module, Lift):
            return module(image[None])[0]
    raise ValueError("the network has no lift: it has no orientation score to show")


def view(result: Path, image: Path | None, out: Path) -> list[Path]:
    """Write the pictures of a saved network into a folder: the score of one channel, the metrics, the kernels.

    `image` is what the network is shown, by default the crossing of the first chapter.
    """
    use_style()
    model, channels = load_model(result), json.loads(result.read_text())["in_channels"]
    shown = retina.crossing().float()[None] if image is None else read(image)
    grey = shown.mean(dim=0)
    score = lift_of(model, grey.expand(channels, -1, -1))
    strongest = int(score.flatten(1).std(dim=1).argmax())
    figures: dict[str, Callable[[], Figure]] = {
        "score": partial(orientation_montage, grey, score[strongest]),
        "metrics": lambda: learned_metrics({n: o.metric().w.tolist() for n, o in operators(model).items()}),
    }
    for name, operator in operators(model).items():
        figures[name.replace(", ", "-").replace(" ", "")] = partial(learned_fields, operator)
    return [_save(figure(), out / f"{name}.png") for name, figure in figures.items()]


def _save(figure: Figure, path: Path) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return paths.write_atomically(path, buffer.getvalue())
