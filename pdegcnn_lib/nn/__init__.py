"""Layers of PDE-G-CNNs (M2) and PDE-CNNs (R^2), ordinary `torch.nn.Module`s."""

from pdegcnn_lib.nn.metric import TrainableDiagonalMetric, TrainableFullMetric
from pdegcnn_lib.nn.operators import (
    Convection,
    ConvectionR2,
    Dilation,
    DilationR2,
    Erosion,
    ErosionR2,
    GroupConvolution,
    Lift,
    Linear,
    Projection,
)
from pdegcnn_lib.nn.pde import PDELayer, PDELayerR2
from pdegcnn_lib.nn.resample import InvariantPool, Resample

__all__ = [
    "Convection",
    "ConvectionR2",
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
    "TrainableDiagonalMetric",
    "TrainableFullMetric",
]
