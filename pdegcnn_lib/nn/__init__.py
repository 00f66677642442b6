"""Layers of PDE-G-CNNs, ordinary `torch.nn.Module`s, each told the space it lives on: M2(8) unless told otherwise."""

from pdegcnn_lib.nn.dense import CakeLift, GroupConvolution, Lift, Linear, Projection
from pdegcnn_lib.nn.free import FreeConvolution, FreeDilation, FreeErosion, FreeLift
from pdegcnn_lib.nn.m3 import (
    ConvectionM3,
    DiffusionM3,
    DilationM3,
    ErosionM3,
    GroupConvolutionM3,
    LiftM3,
    LineLift,
    PDELayerM3,
    ProjectionM3,
)
from pdegcnn_lib.nn.metric import (
    TrainableAlpha,
    TrainableAxialMetric,
    TrainableDiagonalMetric,
    TrainableFinslerMetric,
    TrainableFullMetric,
)
from pdegcnn_lib.nn.pde import DirectionalNorm, PDELayer, PDELayerR2
from pdegcnn_lib.nn.resample import InvariantPool, Resample
from pdegcnn_lib.nn.shock import DiffusionShock
from pdegcnn_lib.nn.terms import (
    Convection,
    ConvectionR2,
    Diffusion,
    DiffusionR2,
    Dilation,
    DilationR2,
    Erosion,
    ErosionR2,
    KernelTerm,
    frozen,
)

__all__ = [
    "CakeLift",
    "Convection",
    "ConvectionM3",
    "ConvectionR2",
    "Diffusion",
    "DiffusionM3",
    "DiffusionR2",
    "DiffusionShock",
    "Dilation",
    "DilationM3",
    "DilationR2",
    "DirectionalNorm",
    "Erosion",
    "ErosionM3",
    "ErosionR2",
    "FreeConvolution",
    "FreeDilation",
    "FreeErosion",
    "FreeLift",
    "GroupConvolution",
    "GroupConvolutionM3",
    "InvariantPool",
    "KernelTerm",
    "Lift",
    "LiftM3",
    "LineLift",
    "Linear",
    "PDELayer",
    "PDELayerM3",
    "PDELayerR2",
    "Projection",
    "ProjectionM3",
    "Resample",
    "TrainableAlpha",
    "TrainableAxialMetric",
    "TrainableDiagonalMetric",
    "TrainableFinslerMetric",
    "TrainableFullMetric",
    "frozen",
]
