"""The operators: lift, convection, dilation, erosion, linear maps, projection. Differentiable, on M2 and on R^2.

Functions with a `backend` argument run as plain torch (`reference`), as compiled code (`cpu`) or on a GPU (`cuda`);
None chooses by device and by what is available, see `pdegcnn_lib.ops.backends`.
"""

from pdegcnn_lib.ops.backends import BACKENDS, availability
from pdegcnn_lib.ops.dense import group_convolution, lift, linear, projection
from pdegcnn_lib.ops.semiring import (
    dilation,
    dilation_r2,
    erosion,
    erosion_r2,
    linear_convolution,
    linear_convolution_r2,
    log_convolution,
)
from pdegcnn_lib.ops.tables import morphological_table
from pdegcnn_lib.ops.transport import convection, convection_r2

__all__ = [
    "BACKENDS",
    "availability",
    "convection",
    "convection_r2",
    "dilation",
    "dilation_r2",
    "erosion",
    "erosion_r2",
    "group_convolution",
    "lift",
    "linear",
    "linear_convolution",
    "linear_convolution_r2",
    "log_convolution",
    "morphological_table",
    "projection",
]
