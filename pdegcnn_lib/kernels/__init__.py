"""The kernels of the theory, sampled on the window of a discrete group convolution."""

from pdegcnn_lib.kernels.cake import cake_wavelets
from pdegcnn_lib.kernels.diffusion import diffusion_kernel, diffusion_kernel_r2
from pdegcnn_lib.kernels.free import free_kernel, free_lift_kernel
from pdegcnn_lib.kernels.morphological import morphological_kernel, morphological_kernel_r2, nu_alpha
from pdegcnn_lib.kernels.splines import group_kernel, lift_kernel
from pdegcnn_lib.kernels.window import default_window, orientation_angles, relative_elements

__all__ = [
    "cake_wavelets",
    "default_window",
    "diffusion_kernel",
    "diffusion_kernel_r2",
    "free_kernel",
    "free_lift_kernel",
    "group_kernel",
    "lift_kernel",
    "morphological_kernel",
    "morphological_kernel_r2",
    "nu_alpha",
    "orientation_angles",
    "relative_elements",
]
