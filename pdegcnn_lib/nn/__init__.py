"""Layers of PDE-G-CNNs, ordinary `torch.nn.Module`s, each told the space it lives on: M2(8) unless told otherwise."""

from pdegcnn_lib.nn.dense import CakeLift, GroupConvolution, Lift, Linear, Projection
from pdegcnn_lib.nn.free import FreeConvolution, FreeDilation, FreeErosion, FreeLift
from pdegcnn_lib.nn.m3 import GroupConvolutionM3, LineLift
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
    "ConvectionR2",
    "Diffusion",
    "DiffusionR2",
    "DiffusionShock",
    "Dilation",
    "DilationR2",
    "DirectionalNorm",
    "Erosion",
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
    "LineLift",
    "Linear",
    "PDELayer",
    "PDELayerR2",
    "Projection",
    "Resample",
    "TrainableAlpha",
    "TrainableAxialMetric",
    "TrainableDiagonalMetric",
    "TrainableFinslerMetric",
    "TrainableFullMetric",
    "frozen",
]
