"""The operators: lift, convection, dilation, erosion, linear maps, projection. Differentiable, on any space.

They take a `space`, M2 where none is named. Those with a `backend` argument run as plain torch (`reference`) or as
compiled code (`compiled`: `cpu` or `cuda`, by the device of the tensor); None takes that of a scope, `with
ops.backend("reference"):`, or chooses by device and by what is available, see `pdegcnn_lib.ops.backends`.

All tensors of a call have one dtype. Under `torch.autocast` that is relaxed. Lift, group convolution and linear map are
convolutions of torch and run in the dtype of autocast. The other operators keep the dtype of f, as torch's pooling
does, and take a kernel or displacement of any floating dtype as it is: float32 beside a 16-bit f is not rounded to 16
bits. Each gradient has the dtype of its tensor.
"""

from pdegcnn_lib.ops.backends import BACKENDS, availability, backend
from pdegcnn_lib.ops.components import connected_components
from pdegcnn_lib.ops.dense import group_convolution, lift, linear, normalised_linear, projection
from pdegcnn_lib.ops.evolution import evolution
from pdegcnn_lib.ops.semiring import (
    dilation,
    dilation_r2,
    erosion,
    erosion_r2,
    linear_convolution,
    linear_convolution_r2,
    log_convolution,
)
from pdegcnn_lib.ops.tables import diffusion_table, morphological_table
from pdegcnn_lib.ops.transport import convection, convection_r2

__all__ = [
    "BACKENDS",
    "availability",
    "backend",
    "connected_components",
    "convection",
    "convection_r2",
    "diffusion_table",
    "dilation",
    "dilation_r2",
    "erosion",
    "erosion_r2",
    "evolution",
    "group_convolution",
    "lift",
    "linear",
    "linear_convolution",
    "linear_convolution_r2",
    "log_convolution",
    "morphological_table",
    "normalised_linear",
    "projection",
]
