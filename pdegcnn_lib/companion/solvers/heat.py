r"""Fractional diffusion on SE(2), solved spectrally: Fourier in space, exact in time.

On a plane wave $e^{i\omega\cdot x}$ the operator $-\Delta_{\mathcal{G}}$ acts on functions of theta alone,

$$A_\omega = \frac{|\omega|^2}{2}\Big(\frac1{w_M^2} + \frac1{w_L^2}\Big)
  + \frac{|\omega|^2}{2}\Big(\frac1{w_M^2} - \frac1{w_L^2}\Big)\cos 2(\theta - \phi_\omega)
  - \frac{1}{w_A^2}\,\partial_\theta^2,$$

which is a real symmetric matrix in the modes $e^{im(\theta - \phi_\omega)}$ and depends on the length of omega only.
Nothing here knows of the logarithmic estimate or of any approximate kernel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdegcnn_lib.geometry import Metric, as_metric


class SpectralDiffusion:
    r"""The solution operators $e^{-t(-\Delta_{\mathcal{G}})^\alpha}$ on a periodic box of positions.

    Shapes: `w [3]` or a diagonal metric; `shape = (Or, H, W)`. `spacing` is the length of a grid step in the unit of w.
    The spatial axes are periodic: keep the kernel's support inside the box. Functions that the grid resolves are
    solved to rounding; of the unpaired highest frequency of an even axis only the real part is kept. float64.
    Raises: ValueError for a metric that is not diagonal, fewer than 4 orientations or a spacing that is not positive.
    Source: the eigenfunction expansion of an invariant operator; independent of the paper's approximations.
    """

    def __init__(self, w: Tensor | Metric, shape: tuple[int, int, int], *, spacing: float = 1.0) -> None:
        metric = as_metric(w)
        if not metric.is_diagonal or metric.parameters.shape != (3,):
            raise ValueError(f"w must be the three length scales of a diagonal metric, got {w!r}")
        orientations, height, width = shape
        if orientations < 4 or min(height, width) < 1:
            raise ValueError(f"shape must be (Or, H, W) with Or >= 4 and positive H and W, got {shape}")
        if not (math.isfinite(spacing) and spacing > 0):
            raise ValueError(f"spacing must be positive and finite, got {spacing}")
        self.shape, self.spacing = (orientations, height, width), spacing
        main, lateral, angular = (metric.parameters.detach().double().cpu() ** -2).unbind()
        frequency = [
            2 * math.pi * torch.fft.fftfreq(n, spacing, dtype=torch.float64) for n in (height, width)
        ]
        omega_y, omega_x = torch.meshgrid(*frequency, indexing="ij")
        squared = omega_x**2 + omega_y**2
        # Rounding must not split one length into many: lengths are told apart on a scale of 1e-12.
        scale = squared.amax().clamp(min=torch.finfo(torch.float64).tiny)
        distinct, self._which = torch.unique((squared / scale * 2**40).round(), return_inverse=True)
        lengths = torch.zeros_like(distinct).scatter_(0, self._which.flatten(), squared.flatten())
        mode = torch.fft.fftfreq(orientations, 1 / orientations, dtype=torch.float64)
        # The unpaired highest mode of an even grid has no mirror image: coupled, it would make real functions complex.
        paired = mode.abs() < orientations / 2
        coupled = ((mode[:, None] - mode).abs() == 2) & paired[:, None] & paired
        matrix = torch.diag_embed(lengths[:, None] / 2 * (main + lateral) + mode**2 * angular)
        matrix = matrix + lengths[:, None, None] / 4 * (main - lateral) * coupled
        eigenvalues, self._vectors = torch.linalg.eigh(matrix)
        # The generator is non-negative; at omega = 0 the constant has eigenvalue 0, which carries the mass.
        self._eigenvalues = torch.where(eigenvalues > 1e-12 * eigenvalues.amax(), eigenvalues, 0.0)
        angle = torch.atan2(omega_y, omega_x)
        self._phase = torch.exp(1j * mode * torch.where(paired, angle[..., None], 0.0))

    def apply(self, f: Tensor, t: float, alpha: float = 1.0) -> Tensor:
        r"""The solution W(., t) of $W_t = -(-\Delta_{\mathcal{G}})^\alpha W$ with W(., 0) = f.

        Shapes: `f [..., Or, H, W]` -> the same, float64. alpha in (0, 1], t >= 0.
        """
        if f.shape[-3:] != self.shape:
            raise ValueError(f"f must end in the axes {self.shape}, got {list(f.shape)}")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must lie in (0, 1], got {alpha}")
        if not (math.isfinite(t) and t >= 0):
            raise ValueError(f"t must be non-negative and finite, got {t}")
        spectrum = torch.fft.fftn(f.double(), dim=(-3, -2, -1)).movedim(-3, -1) * self._phase
        decay = torch.exp(-t * self._eigenvalues**alpha)
        operator = ((self._vectors * decay[:, None, :]) @ self._vectors.mT)[self._which]
        spectrum = torch.complex(
            *((operator @ part[..., None])[..., 0] for part in (spectrum.real, spectrum.imag))
        )
        return torch.fft.ifftn((spectrum * self._phase.conj()).movedim(-1, -3), dim=(-3, -2, -1)).real

    def kernel(self, t: float, alpha: float = 1.0) -> Tensor:
        r"""The kernel $K_t^\alpha$ as a density with respect to dx dy dtheta: it integrates to 1.

        Shapes: -> `[Or, H, W]`, with p0 at index (0, H//2, W//2); positions and angles as in `grid`.
        """
        _, height, width = self.shape
        delta = torch.zeros(self.shape, dtype=torch.float64)
        delta[0, height // 2, width // 2] = 1 / self.cell
        return self.apply(delta, t, alpha)

    @property
    def cell(self) -> float:
        """The volume of a grid cell, dx dy dtheta."""
        return self.spacing**2 * 2 * math.pi / self.shape[0]

    def grid(self) -> Tensor:
        """The points (x, y, theta) at which `kernel` is sampled, `[Or, H, W, 3]`."""
        orientations, height, width = self.shape
        theta = torch.arange(orientations, dtype=torch.float64) * (2 * math.pi / orientations)
        y = (torch.arange(height, dtype=torch.float64) - height // 2) * self.spacing
        x = (torch.arange(width, dtype=torch.float64) - width // 2) * self.spacing
        t, y, x = torch.meshgrid(theta, y, x, indexing="ij")
        return torch.stack([x, y, t], dim=-1)
