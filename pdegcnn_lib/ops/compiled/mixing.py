"""What mixes channels or orientations: the normalised linear map, the gradient of the projection; launches."""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.ops.compiled.machines import machine_of, scalar
from pdegcnn_lib.ops.compiled.sources import Unit


def _unit(dtype: torch.dtype) -> Unit:
    return Unit("mixing", (("SCALAR", scalar(dtype)),))


def _segments(f: Tensor, rows: int) -> tuple[int, int]:
    """How many points a block owns, of which it may hold so many rows, and how many blocks an image has."""
    machine, length = machine_of(f), f[0, 0].numel()
    fit = machine.fast_bytes // (rows * f.element_size() * machine.lanes) * machine.lanes
    points = max(machine.lanes, min(2048, fit, -(-length // machine.lanes) * machine.lanes))
    return points, -(-length // points)


def mix(f: Tensor, g: Tensor | None, w: Tensor, shift: Tensor) -> Tensor:
    """`w [Cout, C + D]` times the channels of `f [B, C, ...]` and of `g [B, D, ...]`, plus `shift [Cout]`."""
    others = 0 if g is None else g.shape[1]
    out = f.new_empty((len(f), len(w), *f.shape[2:]))
    points, segments = _segments(f, 1)
    tensors = [f, g, w.contiguous(), shift.contiguous(), out]
    machine_of(f).launch(
        _unit(f.dtype),
        "mix",
        [*tensors, f.shape[1], others, len(w), f[0, 0].numel(), points],
        blocks=len(f) * segments,
    )
    return out


def moments(g: Tensor, f: Tensor, centre_g: Tensor, centre_f: Tensor) -> tuple[Tensor, Tensor]:
    """The sums over all points of `(g_a - centre_a) (f_c - centre_c)`, `[D, C]`, and of `g_a - centre_a`; float64."""
    rows = 4 * (-(-g.shape[1] // 4) - (-f.shape[1] // 4))
    points, segments = _segments(f, rows)
    blocks = len(f) * segments
    products, sums = f.new_empty((blocks, g.shape[1], f.shape[1])), f.new_empty((blocks, g.shape[1]))
    machine_of(f).launch(
        _unit(f.dtype),
        "moments",
        [g, f, centre_g, centre_f, products, sums, g.shape[1], f.shape[1], f[0, 0].numel(), points],
        blocks=blocks,
        shared_bytes=rows * points * f.element_size(),
    )
    return products.sum(0, dtype=torch.float64), sums.sum(0, dtype=torch.float64)


def normalised_linear(
    f: Tensor, w: Tensor, gain: Tensor, offset: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    r"""$(w f - \mu)\,\sigma^{-1}$ gain + offset, with the mean m and the covariance C of the channels of f.

    $$\mu = w\,m, \qquad \sigma_a^2 = (w\,C\,w^T)_{aa} + eps$$

    Shapes: `f [B, C, ...]`, `w [Cout, C]`, `gain, offset [Cout]` -> `[B, Cout, ...]`, `[C]`, `[C, C]`, the latter
    float64.
    """
    f = f.contiguous()
    # A value of f is seldom many deviations away from the mean: squares of what is left lose no digits.
    centre = f[0].flatten(1)[:, 0].contiguous()
    products, sums = moments(f, f, centre, centre)
    n = f.numel() // f.shape[1]
    mean, covariance = centre + sums / n, products / n - torch.outer(sums, sums) / n**2
    scale, _ = _scales(w, gain, covariance, eps)
    weights = scale[:, None] * w
    return mix(f, None, weights.to(f.dtype), (offset - weights @ mean).to(f.dtype)), mean, covariance


def normalised_linear_backward(
    g: Tensor, f: Tensor, w: Tensor, gain: Tensor, mean: Tensor, covariance: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""The gradients to f, w, gain and offset from the upstream gradient g.

    With $z = w f$, $\hat z = (z - \mu)/\sigma$ and means over all points,
    $\partial z = gain\,\sigma^{-1}\,(g - \overline{g} - \hat z\,\overline{g \hat z})$ is linear in g and f, so that the
    gradient to f is one mix of both.
    """
    g, f = g.contiguous(), f.contiguous()
    n, centre = f.numel() // f.shape[1], mean.to(f.dtype)
    products, sums = moments(g, f, centre.new_zeros(g.shape[1]), centre)
    products = products - torch.outer(sums, mean - centre)
    scale, inverse = _scales(w, gain, covariance, eps)
    exact = w.double()
    of_gain = inverse * (exact * products).sum(1)
    bend = inverse * of_gain
    of_w = scale[:, None] * (products - bend[:, None] * (exact @ covariance))
    from_g, from_f = exact.T * scale, -(exact.T * (scale * bend / n)) @ exact
    shift = -from_g @ sums / n - from_f @ mean
    grad_f = mix(g, f, torch.cat([from_g, from_f], dim=1).to(f.dtype), shift.to(f.dtype))
    return grad_f, of_w.to(w.dtype), of_gain.to(gain.dtype), sums.to(gain.dtype)


def _scales(w: Tensor, gain: Tensor, covariance: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """gain / sigma and 1 / sigma of every channel of w f, float64."""
    exact = w.double()
    inverse = ((exact @ covariance * exact).sum(1).clamp(min=0) + eps).rsqrt()
    return gain * inverse, inverse


def projection_gradient(g: Tensor, f: Tensor, out: Tensor) -> Tensor:
    """The gradient of `out = f.amax(2)` to f, shared by equal maxima."""
    g, f, out = g.contiguous(), f.contiguous(), out.contiguous()
    grad_f = f.new_empty(f.shape)
    if f.numel() == 0:
        return grad_f
    machine_of(f).launch(
        Unit("projection", (("SCALAR", scalar(f.dtype)),)),
        "projection_gradient",
        [g, f, out, grad_f, f.shape[2], f[0, 0, 0].numel()],
        blocks=f.shape[0] * f.shape[1],
    )
    return grad_f
