"""Group convolutions over a semiring: dilation, erosion, linear and logarithmic, on any space.

All of them see the same taps: a periodic axis comes round, a tap outside the grid is left out (it reads the semiring's
zero), the window is centred on its odd sizes, and the first of equal taps, in the order (i, j, l), takes the gradient.
A NaN under a tap spreads to the output; infinities are ordinary values.

Compiled backends leave out what is outside; the reference, and an export, read the zero there and weigh it as any other
value. That is the same where the kernel is finite, or +inf for all but the linear one, up to a gradient: where nothing
in the image beats the zero, the first tap has it, outside or not.
"""

from __future__ import annotations

import math

from torch import Tensor

from pdegcnn_lib.geometry.checks import sizes
from pdegcnn_lib.geometry.constant import constant
from pdegcnn_lib.ops import _check
from pdegcnn_lib.ops.backends import implementation
from pdegcnn_lib.ops.reference import widened
from pdegcnn_lib.spaces import Plane, Space


def convolve(f: Tensor, k: Tensor, semiring: str, space: Space, backend: str | None) -> Tensor:
    """The convolution on the grid of a space: planes that come round, or volumes that end and the lists they read."""
    run = implementation(backend, f).semiring_convolution
    if space.lists:
        return run(f, k, semiring, lists=_lists(space, sizes(k)[2:]))
    if not space.kernels:  # one plane that is its own neighbour, or one volume
        lists = None if space.positions == 2 else [0]
        return run(f[:, :, None], k[:, None, None], semiring, lists=lists)[:, :, 0]
    if space.periodic[0]:
        return run(f, k, semiring)
    # Planes that end and have kernels of their own: volumes of one, each of which reads those beside it.
    lists = _lists(space, sizes(k)[2:])
    return run(f[:, :, :, None], k[:, :, :, None], semiring, lists=lists)[:, :, :, 0]


@constant
def _lists(space: Space, window: tuple[int, ...]) -> list[int]:
    return [int(n) for n in space.neighbours(window).flatten()]


def dilation(f: Tensor, k: Tensor, *, space: Space | None = None, backend: str | None = None) -> Tensor:
    r"""The morphological dilation, the viscosity solution of $W_t = +\|\nabla W\|^{2\alpha}$ for the kernel's k.

    $$out(p) = \sup_q f(q) - k(q^{-1}p) = -(k \,\square\, {-f})(p)$$

    On the grid of M2: `out[b,c,o,y,x] = max_{i,j,l} f[b, c, (o+i-KOr//2) % Or, y+j-KH//2, x+l-KW//2] - k[c,o,i,j,l]`.

    Shapes: `f [B, C, Or, H, W]`, `k [C, Or, KOr, KH, KW]` on M2, which None stands for, -> as f; on another space
    `f [B, C, *axes]`, `k [C, *kernels, *window]`, see `spaces.Space`.
    Raises: TypeError or ValueError for a wrong dtype, shape, even window or KOr > Or. Source: main paper, Theorem 5.21.
    """
    return convolve(f, k, "max_plus", _check.channelwise(f, k, space), backend)


def erosion(f: Tensor, k: Tensor, *, space: Space | None = None, backend: str | None = None) -> Tensor:
    r"""The morphological erosion, the viscosity solution of $W_t = -\|\nabla W\|^{2\alpha}$ for the kernel's k.

    $$out(p) = \inf_q f(q) + k(q^{-1}p) = (k \,\square\, f)(p)$$

    On the grid of M2: `out[b,c,o,y,x] = min_{i,j,l} f[b, c, (o+i-KOr//2) % Or, y+j-KH//2, x+l-KW//2] + k[c,o,i,j,l]`.
    Shapes, errors and source as in `dilation`.
    """
    return convolve(f, k, "min_plus", _check.channelwise(f, k, space), backend)


def linear_convolution(
    f: Tensor, k: Tensor, *, space: Space | None = None, backend: str | None = None
) -> Tensor:
    r"""The channel-wise linear group convolution, $out(p) = \sum_q k(q^{-1}p)\, f(q)$.

    On the grid of M2: `out[b,c,o,y,x] = sum_{i,j,l} f[b, c, (o+i-KOr//2) % Or, y+j-KH//2, x+l-KW//2] * k[c,o,i,j,l]`.
    Shapes and errors as in `dilation`. Source: main paper, section 5.2.
    """
    return convolve(f, k, "linear", _check.channelwise(f, k, space), backend)


def log_convolution(
    f: Tensor, k: Tensor, *, mu: float = 1.0, space: Space | None = None, backend: str | None = None
) -> Tensor:
    r"""The group convolution over the logarithmic semifield, a smooth dilation.

    $$out(p) = \tfrac1\mu \log \sum_q \exp \mu\big(f(q) - k(q^{-1}p)\big)$$

    It exceeds `dilation` by at most log(taps)/mu, so it tends to dilation as mu grows.
    Shapes and errors as in `dilation`; ValueError unless mu is positive and finite.
    Source: PDE-CNNs (axiomatic derivations).
    """
    space = _check.channelwise(f, k, space)
    if not 0 < mu < math.inf:
        raise ValueError(f"mu must be positive and finite, got {mu}")
    if mu == 1:
        return convolve(f, k, "log", space, backend)
    wide, k = widened(f, k)  # 16 bits have no room for mu f
    return (convolve(mu * wide, mu * k, "log", space, backend) / mu).to(f.dtype)


def dilation_r2(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""`dilation` with `space=Plane()`, $out(x) = \sup_h f(x + h) - k(h)$: `f [B, C, H, W]`, `k [C, KH, KW]`.

    For a kernel that is not even, mind the sign of h: scipy.ndimage.grey_dilation mirrors its structure.
    """
    return dilation(f, k, space=Plane(), backend=backend)


def erosion_r2(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""`erosion` with `space=Plane()`, $out(x) = \inf_h f(x + h) + k(h)$: `f [B, C, H, W]`, `k [C, KH, KW]`."""
    return erosion(f, k, space=Plane(), backend=backend)


def linear_convolution_r2(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""`linear_convolution` with `space=Plane()`, $out(x) = \sum_h f(x + h)\, k(h)$; shapes as in `dilation_r2`."""
    return linear_convolution(f, k, space=Plane(), backend=backend)
