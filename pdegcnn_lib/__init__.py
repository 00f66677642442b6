"""PDE-based group equivariant convolutional neural networks: geometry, spaces, kernels, operators, layers, experiments.

The layers of the library, each importing only from those before it: `geometry`, `spaces`, `kernels`, `ops`, `nn`,
`models`, `data`, `experiments`. Tensors on M2 are `[B, C, Or, H, W]`, positions are in pixels, angles in radians.
"""

__version__ = "0.1.0"
