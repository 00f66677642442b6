"""Group convolutions over a semiring: dilation, erosion, linear and logarithmic, on M2 and on R^2.

All of them see the same taps: the orientation axis is periodic, a tap outside the image is left out (it reads the
semiring's zero), the window is centred on its odd sizes, and the first of equal taps, in the order (i, j, l), takes
the gradient. A NaN under a tap spreads to the output; infinities are ordinary values.
"""

from __future__ import annotations

from torch import Tensor

from pdegcnn_lib.ops import _check, reference
from pdegcnn_lib.ops.backends import choose


def _convolve(f: Tensor, k: Tensor, semiring: str, backend: str | None) -> Tensor:
    backend = choose(backend, f)
    if backend == "reference":
        return reference.semiring_convolution(*reference.widened(f, k), semiring).to(f.dtype)
    from pdegcnn_lib.ops import compiled

    return compiled.semiring_convolution(f, k, semiring, backend)


def dilation(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""The morphological dilation on M2, the viscosity solution of $W_t = +\|\nabla W\|^{2\alpha}$ for the kernel's k.

    $$out(p) = \sup_q f(q) - k(q^{-1}p) = -(k \,\square\, {-f})(p)$$

    On the grid: `out[b,c,o,y,x] = max_{i,j,l} f[b, c, (o+i-KOr//2) % Or, y+j-KH//2, x+l-KW//2] - k[c,o,i,j,l]`.

    Shapes: `f [B, C, Or, H, W]`, `k [C, Or, KOr, KH, KW]` -> as f.
    Raises: TypeError or ValueError for a wrong dtype, shape, even window or KOr > Or. Source: main paper, Theorem 5.21.
    """
    _check.channelwise(f, k)
    return _convolve(f, k, "max_plus", backend)


def erosion(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""The morphological erosion on M2, the viscosity solution of $W_t = -\|\nabla W\|^{2\alpha}$ for the kernel's k.

    $$out(p) = \inf_q f(q) + k(q^{-1}p) = (k \,\square\, f)(p)$$

    On the grid: `out[b,c,o,y,x] = min_{i,j,l} f[b, c, (o+i-KOr//2) % Or, y+j-KH//2, x+l-KW//2] + k[c,o,i,j,l]`.
    Shapes, errors and source as in `dilation`.
    """
    _check.channelwise(f, k)
    return _convolve(f, k, "min_plus", backend)


def linear_convolution(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""The channel-wise linear group convolution on M2, $out(p) = \sum_q k(q^{-1}p)\, f(q)$.

    On the grid: `out[b,c,o,y,x] = sum_{i,j,l} f[b, c, (o+i-KOr//2) % Or, y+j-KH//2, x+l-KW//2] * k[c,o,i,j,l]`.
    Shapes and errors as in `dilation`. Source: main paper, section 5.2.
    """
    _check.channelwise(f, k)
    return _convolve(f, k, "linear", backend)


def log_convolution(f: Tensor, k: Tensor, *, mu: float = 1.0, backend: str | None = None) -> Tensor:
    r"""The group convolution over the logarithmic semifield, a smooth dilation.

    $$out(p) = \tfrac1\mu \log \sum_q \exp \mu\big(f(q) - k(q^{-1}p)\big)$$

    It exceeds `dilation` by at most log(taps)/mu, so it tends to dilation as mu grows.
    Shapes and errors as in `dilation`; ValueError for mu <= 0. Source: PDE-CNNs (axiomatic derivations).
    """
    _check.channelwise(f, k)
    if not mu > 0:
        raise ValueError(f"mu must be positive, got {mu}")
    if mu == 1:
        return _convolve(f, k, "log", backend)
    return _convolve(mu * f, mu * k, "log", backend) / mu


def _as_m2(f: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    _check.floating("f", f, 4, "[B, C, H, W]")
    _check.floating("k", k, 3, "[C, KH, KW]")
    _check.alike("k", k, f)
    if k.shape[0] != f.shape[1]:
        raise ValueError(f"k must start with C = {f.shape[1]} as f does, got {list(k.shape)}")
    _check.odd_window(k.shape[1:])
    return f[:, :, None], k[:, None, None]


def dilation_r2(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""The dilation on R^2, $out(x) = \sup_h f(x + h) - k(h)$, the case of one orientation of `dilation`.

    Shapes: `f [B, C, H, W]`, `k [C, KH, KW]` -> as f. For a kernel that is not even, mind the sign of h:
    scipy.ndimage.grey_dilation mirrors its structure, this function does not.
    """
    f, k = _as_m2(f, k)
    return _convolve(f, k, "max_plus", backend)[:, :, 0]


def erosion_r2(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""The erosion on R^2, $out(x) = \inf_h f(x + h) + k(h)$, the case of one orientation of `erosion`.

    Shapes: `f [B, C, H, W]`, `k [C, KH, KW]` -> as f.
    """
    f, k = _as_m2(f, k)
    return _convolve(f, k, "min_plus", backend)[:, :, 0]


def linear_convolution_r2(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""The channel-wise linear convolution on R^2, $out(x) = \sum_h f(x + h)\, k(h)$; shapes as in `dilation_r2`."""
    f, k = _as_m2(f, k)
    return _convolve(f, k, "linear", backend)[:, :, 0]
