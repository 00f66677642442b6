"""Layers of PDE-G-CNNs (M2) and PDE-CNNs (R^2), ordinary `torch.nn.Module`s."""

from pdegcnn_lib.nn.dense import CakeLift, GroupConvolution, Lift, Linear, Projection
from pdegcnn_lib.nn.metric import TrainableAlpha, TrainableDiagonalMetric, TrainableFullMetric
from pdegcnn_lib.nn.pde import PDELayer, PDELayerR2
from pdegcnn_lib.nn.resample import InvariantPool, Resample
from pdegcnn_lib.nn.terms import (
    Convection,
    ConvectionR2,
    Diffusion,
    DiffusionR2,
    Dilation,
    DilationR2,
    Erosion,
    ErosionR2,
)

__all__ = [
    "CakeLift",
    "Convection",
    "ConvectionR2",
    "Diffusion",
    "DiffusionR2",
    "Dilation",
    "DilationR2",
    "Erosion",
    "ErosionR2",
    "GroupConvolution",
    "InvariantPool",
    "Lift",
    "Linear",
    "PDELayer",
    "PDELayerR2",
    "Projection",
    "Resample",
    "TrainableAlpha",
    "TrainableDiagonalMetric",
    "TrainableFullMetric",
]
