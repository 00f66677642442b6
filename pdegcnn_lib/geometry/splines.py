"""The spline of which trained lifts and free kernels are sums."""

from __future__ import annotations

import torch
from torch import Tensor


def quadratic_b_spline(x: Tensor) -> Tensor:
    """The centred quadratic B-spline: 3/4 - x^2 for |x| <= 1/2, (3/2 - |x|)^2 / 2 for |x| <= 3/2, 0 beyond."""
    a = x.abs()
    return torch.where(a <= 0.5, 0.75 - a**2, 0.5 * (1.5 - a).clamp(min=0) ** 2)
