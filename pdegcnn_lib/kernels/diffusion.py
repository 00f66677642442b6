r"""The approximate kernels of fractional diffusion: the flat radial kernel at an estimate of the distance."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from pdegcnn_lib.geometry import Metric, as_metric
from pdegcnn_lib.geometry.autocast import outside_autocast
from pdegcnn_lib.geometry.estimates import Squared
from pdegcnn_lib.kernels.morphological import by_channel, check_alpha, check_time, squared_distances
from pdegcnn_lib.spaces import Plane, Space, chosen

ANGLES = 24  # Gauss-Legendre nodes in Kanter's angle
STEP = 0.5  # of the trapezoidal rule in the logarithm of Kanter's exponential variable


def stable_mixture(alpha: Tensor) -> tuple[Tensor, Tensor]:
    r"""Nodes and weights that turn an average over the one-sided stable law into a sum.

    Subordination writes the fractional diffusion of order alpha as a mixture of ordinary ones,
    $K_t^\alpha = E[K_{t^{1/\alpha} S}]$ with $E[e^{-\lambda S}] = e^{-\lambda^\alpha}$, and Kanter's representation is

    $$S = \big(A(U)/E\big)^{(1-\alpha)/\alpha}, \qquad A(u)^{1-\alpha} =
      \frac{\sin(\alpha u)^\alpha\, \sin((1-\alpha)u)^{1-\alpha}}{\sin u},$$

    U uniform on (0, pi), E exponential. Every weight is positive, so a mixture of kernels stays a kernel.

    Shapes: `alpha [...]` in [1/2, 1) -> `log S [..., n]` and `log weight [n]`; float64 is advised.
    The profile of the kernel is reproduced to 2e-6 of its peak. Source: Kanter, Ann. Probab. 3 (1975), 697-707.
    """
    import numpy as np

    nodes, weights = (torch.as_tensor(a).to(alpha) for a in np.polynomial.legendre.leggauss(ANGLES))
    # Where alpha is close to 1, A varies within 1 - alpha of u = pi: u = pi (1 - v^3) spreads the nodes there.
    v = (nodes + 1) / 2
    u, log_u_weight = math.pi * (1 - v**3), torch.log(weights / 2 * 3 * v**2)
    s = torch.arange(-20.0, 4.0, STEP, dtype=alpha.dtype, device=alpha.device)
    a = alpha[..., None]
    log_power = (
        a * torch.log(torch.sin(a * u))
        + (1 - a) * torch.log(torch.sin((1 - a) * u))
        - torch.log(torch.sin(u))
    )
    log_s = (log_power[..., :, None] - ((1 - a) * s)[..., None, :]) / a[..., None]
    log_weight = log_u_weight[:, None] + s - torch.exp(s) + math.log(STEP)
    return log_s.flatten(-2), log_weight.flatten()


def log_profile(squared: Tensor, alpha: float | Tensor, t: float, dim: int) -> Tensor:
    r"""The logarithm of the radial kernel up to a constant, as a function of the squared distance.

    $$\alpha = 1:\ -\frac{\rho^2}{4t}, \qquad
      \alpha = \tfrac12:\ -\frac{\dim + 1}{2}\log(\rho^2 + t^2), \qquad
      \text{else}:\ \log E\Big[\tau^{-\dim/2} e^{-\rho^2/4\tau}\Big],\ \tau = t^{1/\alpha} S.$$

    Shapes: `squared [...]`; `alpha` a float or a tensor that broadcasts against it -> `[...]`.
    """
    if not isinstance(alpha, Tensor):
        if alpha == 1:
            return -squared / (4 * t)
        if alpha == 0.5:
            return -(dim + 1) / 2 * torch.log(squared + t**2)
        alpha = torch.tensor(alpha, dtype=torch.float64, device=squared.device)
    # At alpha = 1 exactly the representation is 0 * infinity. The mixture is as narrow as rounding before that.
    alpha = alpha.double().clamp(max=1 - 1e-6)
    log_s, log_weight = stable_mixture(alpha)
    log_tau = (log_s + math.log(t) / alpha[..., None]).to(squared.dtype)
    return torch.logsumexp(
        log_weight.to(squared.dtype) - dim / 2 * log_tau - squared[..., None] / 4 * torch.exp(-log_tau),
        dim=-1,
    )


@outside_autocast
def diffusion_kernel(
    w: Tensor | Metric,
    *,
    alpha: float | Tensor,
    window: tuple[int, ...],
    space: Space | None = None,
    orientations: int | None = None,
    t: float = 1.0,
    estimate: str | Squared | None = None,
) -> Tensor:
    r"""The approximate kernel of fractional diffusion, sampled analytically and normalised on the window.

    $$k[c, o, i, j, l] \propto K_t^\alpha\big(\rho(q^{-1}p)\big), \qquad \sum_{i,j,l} k[c, o, i, j, l] = 1,$$

    with p, q, `space` and `orientations` as in `morphological_kernel` and $K_t^\alpha$ the radial kernel of
    $-(-\Delta)^\alpha$ on the tangent space, $\mathbb{R}^3$ for M2: a Gaussian at alpha = 1, on M2
    $t/(\rho^2 + t^2)^2$ at alpha = 1/2, a positive mixture of Gaussians between. On R^2 it is exact up to sampling.
    Where the points of a fibre have different quadrature weights they enter. `linear_convolution` applies the kernel.
    Differentiable in w and in alpha where it is a tensor.

    Shapes: `w [C, 3]` or a metric over C channels; `alpha` a float or `[C]` -> `[C, Or, KOr, KH, KW]` on M2.
    Between the two closed forms the work and memory are about 1 200 times those of the window.
    Units: as in `morphological_kernel`; t in the time of $W_t = -(-\Delta_{\mathcal{G}})^\alpha W$.
    Raises: ValueError for an alpha outside [1/2, 1] or for another number of channels, a non-positive w or t, an even
    window, a window wider than the circle, an unknown estimate, a Finsler metric.
    Source: main paper, section 5.2, for alpha = 1; the subordination between is classical.
    """
    metric, alpha, t, space = as_metric(w), check_alpha(alpha), check_time(t), chosen(space, orientations)
    if not metric.is_riemannian:
        raise ValueError(
            f"diffusion is a convolution for Riemannian metrics only, got a {type(metric).__name__}"
        )
    squared = squared_distances(metric, space, window, estimate)
    log_k = log_profile(squared, by_channel(alpha, squared), t, dim=space.dim)
    shares = space.shares(window)
    if shares is not None:
        log_k = log_k + shares.log().to(log_k)
    first = 1 + len(space.kernels)
    return torch.softmax(log_k.flatten(first), dim=-1).unflatten(-1, log_k.shape[first:])


diffusion_kernel_r2 = partial(diffusion_kernel, space=Plane())  # `w [C, 2]` -> `[C, KH, KW]`
