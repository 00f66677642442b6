"""Numerical solvers of the PDEs that share nothing with the kernels: what the closed forms are held against."""

from pdegcnn_lib.solvers.heat import SpectralDiffusion

__all__ = ["SpectralDiffusion"]
