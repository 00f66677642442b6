"""What the table of support has a line for: every operator, the layers and some networks, each as a module."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from examples.groups_between import GroupsBetween
from pdegcnn_lib import models, ops, spaces
from pdegcnn_lib import nn as layers


class Operator(nn.Module):
    """An operator with its other argument as a parameter, so that what holds of layers can be asked of it."""

    def __init__(self, run: Callable[..., Tensor], *sizes: int) -> None:
        super().__init__()
        self.run = run
        self.k = nn.Parameter(torch.empty(sizes).uniform_(0.2, 1.2)) if sizes else None

    def forward(self, f: Tensor) -> Tensor:
        return self.run(f) if self.k is None else self.run(f, self.k)


class Evolution(nn.Module):
    """Convection, dilation and erosion by one operator, with its element and its kernels as parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.g0 = nn.Parameter(torch.empty(2, 3).uniform_(0.2, 1.2))
        self.dilating, self.eroding = (nn.Parameter(torch.empty(K).uniform_(0.2, 1.2)) for _ in range(2))

    def forward(self, f: Tensor) -> Tensor:
        return ops.evolution(f, self.g0, self.dilating, self.eroding)


class Table(nn.Module):
    """The kernel of a metric times the sum of the input, which gives it a shape to be asked about."""

    def __init__(self, law: Callable[..., Tensor]) -> None:
        super().__init__()
        self.law = law
        self.w = nn.Parameter(torch.empty(2, 3).uniform_(0.7, 1.5))

    def forward(self, f: Tensor) -> Tensor:
        k = self.law(self.w, alpha=1.0, window=(3, 3, 3), orientations=4)
        return f.mean((2, 3, 4))[..., None, None, None, None] * k


M2, IMAGE, VOLUME = (2, 2, 4, 7, 9), (2, 2, 9, 11), (1, 1, 6, 7, 8)
DIGIT = (2, 1, 28, 28)
M3 = (1, 2, 6, 4, 6, 7)
K = (2, 4, 3, 3, 3)
small = {"window": (3, 3, 3), "orientations": 4}
plane = {"window": (3, 3), "space": spaces.Plane()}
six = {"space": spaces.M3(6)}
own = {"space": spaces.Sampled(GroupsBetween(0.0), range(-1, 3)), "window": (3, 3, 3)}

# name -> (what makes it, the shape of its input)
OPERATORS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ops.lift": (partial(Operator, ops.lift, 3, 2, 4, 3, 3), IMAGE),
    "ops.convection": (partial(Operator, ops.convection, 2, 3), M2),
    "ops.dilation": (partial(Operator, ops.dilation, *K), M2),
    "ops.erosion": (partial(Operator, ops.erosion, *K), M2),
    "ops.linear_convolution": (partial(Operator, ops.linear_convolution, *K), M2),
    "ops.log_convolution": (partial(Operator, ops.log_convolution, *K), M2),
    "ops.evolution": (Evolution, M2),
    "ops.dilation, plane": (partial(Operator, ops.dilation_r2, 2, 3, 3), IMAGE),
    "ops.erosion, plane": (partial(Operator, ops.erosion_r2, 2, 3, 3), IMAGE),
    "ops.convection, plane": (partial(Operator, ops.convection_r2, 2, 2), IMAGE),
    "ops.linear_convolution, plane": (partial(Operator, ops.linear_convolution_r2, 2, 3, 3), IMAGE),
    "ops.group_convolution": (partial(Operator, ops.group_convolution, 3, 2, 4, 3, 3, 3), M2),
    "ops.linear": (partial(Operator, ops.linear, 3, 2), M2),
    "ops.projection": (partial(Operator, ops.projection), M2),
    "ops.morphological_table": (partial(Table, ops.morphological_table), M2),
    "ops.diffusion_table": (partial(Table, ops.diffusion_table), M2),
}
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "nn.Lift": (partial(layers.Lift, 2, 3, size=3, orientations=4), IMAGE),
    "nn.CakeLift": (partial(layers.CakeLift, 4, size=5), IMAGE),
    "nn.Convection": (partial(layers.Convection, 2, spread=1.0), M2),
    "nn.Dilation": (partial(layers.Dilation, 2, **small), M2),
    "nn.Erosion": (partial(layers.Erosion, 2, **small), M2),
    "nn.Diffusion": (partial(layers.Diffusion, 2, **small), M2),
    "nn.Dilation, full metric": (partial(layers.Dilation, 2, metric="full", **small), M2),
    "nn.Dilation, Finsler metric, plane": (partial(layers.Dilation, 2, metric="finsler", **plane), IMAGE),
    "nn.Dilation, trained alpha": (partial(layers.Dilation, 2, alpha="trained", **small), M2),
    "nn.Dilation, plane": (partial(layers.Dilation, 2, **plane), IMAGE),
    "nn.Dilation, M3": (partial(layers.Dilation, 2, **six), M3),
    "nn.Dilation, axial metric, M3": (partial(layers.Dilation, 2, metric="axial", **six), M3),
    "nn.Diffusion, plane": (partial(layers.Diffusion, 2, **plane), IMAGE),
    "nn.Diffusion, M3": (partial(layers.Diffusion, 2, **six), M3),
    "nn.Convection, plane": (partial(layers.Convection, 2, spread=1.0, space=spaces.Plane()), IMAGE),
    "nn.Convection, M3": (partial(layers.Convection, 2, spread=1.0, **six), M3),
    "nn.DiffusionShock": (partial(layers.DiffusionShock, 2, **small), M2),
    "nn.DiffusionShock, plane": (partial(layers.DiffusionShock, 2, **plane), IMAGE),
    "nn.FreeLift": (partial(layers.FreeLift, 2, 3, size=3, orientations=4), IMAGE),
    "nn.FreeDilation": (partial(layers.FreeDilation, 2, **small), M2),
    "nn.FreeErosion": (partial(layers.FreeErosion, 2, **small), M2),
    "nn.FreeConvolution": (partial(layers.FreeConvolution, 2, **small), M2),
    "nn.GroupConvolution": (partial(layers.GroupConvolution, 2, 3, **small), M2),
    "nn.Linear": (partial(layers.Linear, 2, 3), M2),
    "nn.Projection": (layers.Projection, M2),
    "nn.PDELayer": (partial(layers.PDELayer, 2, 3, **small), M2),
    "nn.PDELayer, plane": (partial(layers.PDELayer, 2, 3, **plane), IMAGE),
    "nn.PDELayer, M3": (partial(layers.PDELayer, 2, 3, **six), M3),
    "nn.PDELayer, a group of one's own": (partial(layers.PDELayer, 2, 3, **own), M2),
    "nn.LineLift": (partial(layers.LineLift, size=5, **six), VOLUME),
    "nn.GroupConvolutionM3": (partial(layers.GroupConvolutionM3, 2, 3, **six), M3),
    "nn.DirectionalNorm": (partial(layers.DirectionalNorm, 2), M3),
    "nn.InvariantPool": (layers.InvariantPool, M2),
    "nn.Resample": (partial(layers.Resample, 5), IMAGE),
}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "digits-gcnn": (partial(models.build, "digits-gcnn", orientations=4), DIGIT),
    "digits-pdegcnn": (partial(models.build, "digits-pdegcnn", **small), DIGIT),
    "digits-pdegcnn-invariant": (partial(models.build, "digits-pdegcnn-invariant", **small), DIGIT),
    "digits-pdecnn-de": (partial(models.build, "digits-pdecnn-de", window=(3, 3)), DIGIT),
    "vessels-pdegcnn3": (
        partial(models.build, "vessels-pdegcnn3", window=(3, 3, 3), orientations=4),
        (1, 1, 9, 10),
    ),
    "vessels-cnn3-narrow": (partial(models.build, "vessels-cnn3-narrow"), (1, 1, 9, 10)),
    "vessels-gcnn3-narrow": (
        partial(models.build, "vessels-gcnn3-narrow", orientations=4),
        (1, 1, 9, 10),
    ),
    "vessels-pdecnn6": (partial(models.build, "vessels-pdecnn6", window=(3, 3)), (1, 1, 9, 10)),
    "vessels-unet": (partial(models.build, "vessels-unet"), (1, 1, 9, 10)),
    "tubes-pdegcnn": (
        partial(models.build, "tubes-pdegcnn", channels=2, layers=1, directions=6),
        VOLUME,
    ),
    "tubes-gcnn": (partial(models.build, "tubes-gcnn", channels=2, layers=1, directions=6), VOLUME),
    "tubes-cnn": (partial(models.build, "tubes-cnn"), VOLUME),
}
SUBJECTS = {**OPERATORS, **LAYERS, **NETWORKS}
# Of these the slow questions are asked in every run.
SLOWLY = ("nn.Lift", "nn.Convection", "nn.Dilation")
