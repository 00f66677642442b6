"""A trained PDE-G-CNN as the data that a page for a browser runs, on the kernels of `kernels_cu/` alone."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pdegcnn_lib import nn as layers
from pdegcnn_lib.companion import segment
from pdegcnn_lib.geometry import ESTIMATES
from pdegcnn_lib.kernels import lift_kernel
from pdegcnn_lib.kernels.morphological import nu_alpha
from pdegcnn_lib.models.tiling import reach
from pdegcnn_lib.models.vessels import Head


def encoded(x: Tensor) -> str:
    """The numbers of a tensor as float32, little-endian, in base 64."""
    return base64.b64encode(x.detach().float().contiguous().numpy().astype("<f4").tobytes()).decode()


def combination(w: Tensor, bias: Tensor, size: int = 1) -> dict[str, Any]:
    """A step that combines planes: `w [outputs, terms]`, `bias [outputs]`, as `dense.cu` takes them.

    With `size` above 1 the terms are the neighbours of a pixel in a square of this side, in every channel.
    """
    outputs, terms = w.shape
    padded = -(-outputs // 4) * 4
    table, shift = w.new_zeros(terms, padded), w.new_zeros(padded)
    table[:, :outputs], shift[:outputs] = w.T, bias
    step = {"step": "combination", "terms": terms, "outputs": outputs, "size": size}
    return {**step, "w": encoded(table), "bias": encoded(shift)}


def normalisation(norm: Any) -> tuple[Tensor, Tensor]:
    """The factor and the summand of a batch normalisation in evaluation, one for each channel, in float64."""
    factor = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return factor, norm.bias.double() - factor * norm.running_mean.double()


def morphology(name: str, term: Any) -> dict[str, Any]:
    """A dilation or an erosion: the scales of its metrics and the constants of its table, as `tables.cu` has them."""
    if term.estimate not in ESTIMATES or not isinstance(term.alpha, float) or not hasattr(term.metric, "w"):
        raise TypeError(f"a page runs diagonal metrics, a fixed alpha and a named estimate, got {term}")
    exponent = term.alpha / (2 * term.alpha - 1)
    scale = float(nu_alpha(term.alpha)) * term.t ** (1 - 2 * exponent)
    return {
        "step": name,
        "channels": len(term.metric.w),
        "window": list(term.window),
        "estimate": term.estimate,
        "exponent": exponent,
        "scale": scale,
        "w": encoded(term.metric.w),
    }


def steps(model: nn.Module) -> list[dict[str, Any]]:
    """The steps of a network in their order, with every normalisation folded into what precedes it.

    Raises: TypeError for a layer that a page cannot run.
    """
    found: list[dict[str, Any]] = []
    children: list[Any] = list(model.children())
    for place, layer in enumerate(children):
        if isinstance(layer, layers.Lift):
            norm = children[place + 1]
            factor, bias = normalisation(norm)
            orientations = layer.space.fibre
            kernel = lift_kernel(layer.coefficients.double(), orientations).transpose(1, 2).flatten(2)
            # [Cout, Or, Cin K K]: every orientation of a channel is an output of its own.
            w = (factor[:, None, None] * kernel).flatten(0, 1)
            found.append(combination(w, bias.repeat_interleave(orientations), layer.coefficients.shape[-1]))
        elif isinstance(layer, layers.PDELayer):
            terms: dict[str, Any] = dict(layer.evolution.items())
            for _ in range(layer.steps):
                for name, term in terms.items():
                    if name == "convection":
                        by = term.space.displacement(term.element())
                        found.append({"step": "shift", "channels": len(by), "displacement": encoded(by)})
                    elif name in ("dilation", "erosion"):
                        found.append(morphology(name, term))
                    else:
                        raise TypeError(f"a page runs convection, dilation and erosion, got {name}")
            factor, bias = normalisation(layer.norm)
            found.append(combination(factor[:, None] * layer.linear.weight.double(), bias))
        elif isinstance(layer, layers.Projection):
            found.append({"step": "projection"})
        elif isinstance(layer, Head):
            weight = layer.linear.weight.double()
            found.append(combination(weight, weight.new_zeros(len(weight))))
        elif not isinstance(layer, nn.BatchNorm3d | nn.Dropout3d):
            raise TypeError(f"a page runs PDE-G-CNNs, got a layer {layer}")
    return found


@torch.no_grad()
def network(result: Path, label: str) -> dict[str, Any]:
    """A trained network of the vessel experiments, with what a page says about it."""
    model, record = segment.load(result)
    found = steps(model)
    [lift] = (layer for layer in model.children() if isinstance(layer, layers.Lift))
    return {
        "label": label,
        "parameters": record["parameters"],
        "channels": record["in_channels"],
        "orientations": lift.space.fibre,
        "reach": reach(model, record["in_channels"]),
        "threshold": segment.threshold(record),
        "steps": found,
    }
