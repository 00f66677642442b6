"""A checkpoint of LieTorch as one of this library, where the two networks are the same function."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pdegcnn_lib.nn import Convection, Dilation, Erosion, GroupConvolution, KernelTerm, Lift, Linear
from pdegcnn_lib.nn.metric import TrainableFullMetric
from pdegcnn_lib.spaces import M2

VERSIONS = ("0.7", "0.8")
# Which way a layer turns with the index of orientation: with the compiled operators and ours, or with their lift.
OURS, THEIRS = "+x toward +y", "+x toward -y"


@dataclass
class Conversion:
    """What a checkpoint became: `state_dict` for the network here, and what is to be known of it.

    `dead` names, by the metric here, the channels with an entry that the ReLU there has set to zero for good. `notes`
    say where outputs differ although the functions agree: at the border of the image.
    """

    state_dict: dict[str, Tensor] = field(default_factory=dict)
    dead: dict[str, list[int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Group:
    """The tensors of a layer of theirs, called by their name, and which were: one that nobody calls for is lost."""

    prefix: str
    tensors: Mapping[str, Tensor]
    called: set[str] = field(default_factory=set)

    def __call__(self, name: str) -> Tensor:
        if name not in self.tensors:
            raise ValueError(
                f"{self.prefix} should have {name}, and has {', '.join(self.tensors)}: truncated, or another network"
            )
        self.called.add(name)
        return self.tensors[name]

    @property
    def lost(self) -> list[str]:
        """Names with an underscore in front are their grids of B-splines, which follow from the size."""
        return [name for name in self.tensors if name not in self.called and not name.startswith("_")]


def lietorch_state_dict(
    checkpoint: Mapping[str, Any] | str | Path, model: nn.Module, *, version: str
) -> Conversion:
    r"""Convert a checkpoint of LieTorch, a state dict or its file, for a network of this library of the same layers.

    Layers are paired in their order. The scales are $w = \sqrt{\max(g, 0)}$, mixing weights are transposed, group
    elements reversed. Where all of their layers turn with their lift, the orientations here are theirs backwards, and
    group elements, kernels and convections are mirrored for it. `version` is that of LieTorch, "0.7" or "0.8", which
    turn convections differently; alpha, windows and iterations are in no checkpoint and must be those of `model`.

    Raises: ValueError, with the layer and the reason, for a file that cannot be read, another version, another network,
    and wherever the two are not the same function: kernels that were turned by nearest neighbours, layers that turn
    both ways in one network, splines that leave their window.
    """
    if not (isinstance(version, str) and version.startswith(VERSIONS)):
        raise ValueError(f"version must be that of LieTorch, {' or '.join(VERSIONS)}, got {version!r}")
    theirs, ours = _groups(_read(checkpoint)), list(_layers(model))
    if len(theirs) != len(ours):
        raise ValueError(
            f"the checkpoint has {len(theirs)} layers with parameters, the network here {len(ours)}: it is truncated, "
            "or of another network"
        )
    result, ways = Conversion(), {}
    for (_, layer), (prefix, tensors) in zip(ours, theirs.items(), strict=True):
        if way := _way(layer, tensors, version):
            ways[prefix] = way
    if len(set(ways.values())) > 1:
        both = [next(prefix for prefix, way in ways.items() if way == each) for each in (OURS, THEIRS)]
        raise ValueError(
            f"{both[0]} turns {OURS} with the index of orientation and {both[1]} {THEIRS}: in LieTorch {version} they "
            "are not one frame, and no network here is that function"
        )
    mirrored, expected = THEIRS in ways.values(), model.state_dict()
    for (name, layer), (prefix, tensors) in zip(ours, theirs.items(), strict=True):
        get = _Group(prefix, tensors)
        made = _convert(name, layer, get, mirrored, result)
        if get.lost:
            raise ValueError(
                f"{prefix} has {', '.join(get.lost)}, which {name or 'the layer here'} has no place for: "
                "another network"
            )
        for key, value in made.items():
            wanted = expected[key]
            if wanted.shape != value.shape:
                raise ValueError(
                    f"{prefix} has the shape {list(value.shape)} where {key} has {list(wanted.shape)}: another network"
                )
            result.state_dict[key] = value.to(wanted)
    return result


def _read(checkpoint: Mapping[str, Any] | str | Path) -> Mapping[str, Tensor]:
    if isinstance(checkpoint, str | os.PathLike):
        try:
            checkpoint = torch.load(checkpoint, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise
        except Exception as error:  # torch raises whatever its reader stumbles on
            reason = f"{type(error).__name__}: {error}".split(". ")[0].splitlines()[0]
            raise ValueError(
                f"{checkpoint} is not a whole checkpoint: it is truncated, or not a state dict that torch.save wrote "
                f"({reason})"
            ) from error
    if not isinstance(checkpoint, Mapping) or not checkpoint:
        raise ValueError(f"a checkpoint is a state dict with tensors in it, got {type(checkpoint).__name__}")
    for key, value in checkpoint.items():
        if not isinstance(value, Tensor) or not isinstance(key, str) or value.layout != torch.strided:
            raise ValueError(
                f"a checkpoint is a state dict of dense tensors by their names, got {key!r} in it; is it one level "
                "further down?"
            )
        if not value.isfinite().all():
            raise ValueError(
                f"a checkpoint holds finite values, got others in {key}: it is damaged, or its run diverged"
            )
    return checkpoint


def _groups(checkpoint: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors by the layer that they belong to, in their order."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in checkpoint.items():
        prefix, _, name = key.rpartition(".")
        groups.setdefault(prefix, {})[name] = value
    return groups


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a network here that have a counterpart there; ValueError for another one with parameters."""
    known = (
        Lift,
        GroupConvolution,
        Convection,
        KernelTerm,
        Linear,
        nn.Conv2d,
        nn.modules.batchnorm._BatchNorm,
    )
    inside: str | None = None
    for name, layer in model.named_modules():
        if inside is not None and name.startswith(inside):
            continue
        if isinstance(layer, known):
            inside = f"{name}.".lstrip(".")  # the network itself may be one
            yield name, layer
        elif next(layer.parameters(recurse=False), None) is not None:
            raise ValueError(f"{name} is a {type(layer).__name__}, which LieTorch has no counterpart of")


def _way(layer: nn.Module, tensors: Mapping[str, Tensor], version: str) -> str | None:
    """Which way a layer of theirs turns with the orientation, where that can be told from its outputs."""
    space = getattr(layer, "space", None)
    if isinstance(layer, Convection):
        moves = "g0" in tensors and bool(tensors["g0"].any())
        return (THEIRS if version.startswith("0.8") else OURS) if moves else None
    if not isinstance(space, M2) or space.orientations <= 2:  # half a turn is the same both ways
        return None
    if isinstance(layer, Lift | GroupConvolution):
        return THEIRS
    metric = tensors.get("metric_params", torch.empty(0))
    # Seen from one orientation only, or round, a diagonal kernel is the same after both quarter turns.
    flat = isinstance(layer, KernelTerm) and layer.window[0] == 1
    if metric.ndim == 2 and (flat or torch.equal(metric[:, 0].relu(), metric[:, 1].relu())):
        return None
    return OURS


def _convert(
    name: str,
    layer: nn.Module,
    get: _Group,
    mirrored: bool,
    result: Conversion,
) -> dict[str, Tensor]:
    """The tensors of one layer here from those of its counterpart."""
    prefix = get.prefix
    at: Callable[[str], str] = lambda key: f"{name}.{key}".lstrip(".")  # noqa: E731
    if isinstance(layer, Lift | GroupConvolution):
        return {at("coefficients"): _spline(layer, prefix, get("_weights"), mirrored, result)}
    if isinstance(layer, Convection):
        g0 = get("g0").flip(-1)  # (theta, y, x)
        if g0[..., :2].any():
            result.notes.append(
                f"{prefix} lets zeros flow in where {name} continues the values of the border"
            )
        return {at("g0"): g0 * g0.new_tensor([1, -1, -1]) if mirrored else g0}
    if isinstance(layer, KernelTerm):
        return {at(f"metric.{key}"): value for key, value in _metric(name, layer, get, result).items()}
    if isinstance(layer, Linear):
        weight = get("weight")
        return {at("weight"): weight.flatten(1) if weight.ndim == 4 else weight.mT}
    if isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1:
        result.notes.append(
            f"{prefix} repeats the border of the image, {name} pads by {layer.padding_mode!r}"
        )
    return {at(key): get(key) for key in layer.state_dict()}


def _spline(
    layer: Lift | GroupConvolution, prefix: str, weights: Tensor, mirrored: bool, result: Conversion
) -> Tensor:
    own = layer.coefficients
    size = own.shape[-1]
    if size > 3:
        raise ValueError(
            f"{prefix} has a kernel of {size} by {size} pixels, whose corners leave the window when it turns; here "
            "kernels live on a disc, and from 5 pixels on that is another function"
        )
    if weights.numel() != own.numel():
        raise ValueError(
            f"{prefix} has {weights.numel()} coefficients where {own.numel()} are wanted: another network"
        )
    a = weights.reshape(own.shape)
    if isinstance(layer, Lift):
        return a
    if size > 1:
        result.notes.append(f"{prefix} repeats the last pixel when it pads, the layer here does not")
    # Theirs are splines along the orientation too; here each orientation has its own coefficient.
    steps = torch.arange(a.shape[2], device=a.device)
    apart = (steps[:, None] - steps).abs()
    blur = torch.where(apart == 0, 0.75, torch.where(apart == 1, 0.125, 0.0)).to(a)
    a = torch.einsum("im,acmyx->aciyx", blur, a)
    return a.flip(2) if mirrored else a


def _metric(name: str, layer: KernelTerm, get: _Group, result: Conversion) -> dict[str, Tensor]:
    prefix, g, space = get.prefix, get("metric_params"), layer.space
    if not isinstance(layer, Dilation | Erosion) or isinstance(layer.alpha, nn.Module):
        raise ValueError(f"{prefix}: diffusion and a trained alpha are other functions in LieTorch than here")
    if not isinstance(space, M2) or space.orientations not in (1, 2, 4):
        raise ValueError(
            f"{prefix} has kernels that LieTorch turns by nearest neighbours; here they are sampled, which is the same "
            f"function for 1, 2 or 4 orientations and another one on {space}"
        )
    if isinstance(layer.metric, TrainableFullMetric):
        return {"factor": g}
    dead = (g <= 0).any(-1)
    if dead.any():
        result.dead[f"{name}.metric".lstrip(".")] = dead.nonzero()[:, 0].tolist()
    w = g.relu().sqrt().double()
    # softplus of -100 is as flat as a length scale of 0, and has as little slope.
    return {"v": torch.where(w > 0, w + torch.log(-torch.expm1(-w)), -100.0)}
