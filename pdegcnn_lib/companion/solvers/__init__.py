"""Numerical solvers of the PDEs that share nothing with the kernels: what the closed forms are held against."""

from pdegcnn_lib.companion.solvers.characteristics import convection_by_characteristics
from pdegcnn_lib.companion.solvers.evolution import Evolution
from pdegcnn_lib.companion.solvers.hamilton_jacobi import hamilton_jacobi
from pdegcnn_lib.companion.solvers.heat import SpectralDiffusion
from pdegcnn_lib.companion.solvers.momentum_bound import momentum_bound

__all__ = [
    "Evolution",
    "SpectralDiffusion",
    "convection_by_characteristics",
    "hamilton_jacobi",
    "momentum_bound",
]
