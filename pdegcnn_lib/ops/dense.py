"""Operators that mix channels: lift, linear group convolution, pointwise linear map, projection.

They are compositions of torch's own matrix products and convolutions, which no kernel of ours would beat.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pdegcnn_lib.geometry.checks import sizes
from pdegcnn_lib.geometry.constant import constant, on
from pdegcnn_lib.ops import _check
from pdegcnn_lib.ops.backends import implementation
from pdegcnn_lib.spaces import Space

PADDINGS = ("valid", "zeros", "reflect")


CONVOLUTIONS = {2: functional.conv2d, 3: functional.conv3d}  # by the number of axes of positions


def _product(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def _pad(f: Tensor, window: tuple[int, ...], padding: str) -> Tensor:
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {', '.join(PADDINGS)}, got {padding!r}")
    size = f.shape[-len(window) :]
    if padding == "valid":
        if any(n < k for n, k in zip(size, window, strict=True)):
            raise ValueError(
                f"padding 'valid' needs an image of at least {_product(window)}, got {_product(size)}"
            )
        return f
    halves = [k // 2 for k in window]
    if padding == "reflect" and any(n <= h for n, h in zip(size, halves, strict=True)):
        raise ValueError(
            f"padding 'reflect' needs an image larger than {_product(halves)}, got {_product(size)}"
        )
    around = [h for half in reversed(halves) for h in (half, half)]
    return functional.pad(f, around, mode="reflect" if padding == "reflect" else "constant")


def lift(f: Tensor, k: Tensor, *, padding: str = "reflect") -> Tensor:
    r"""The lift of an image to an orientation score, $out(x, \theta_o) = \sum_y k_o(y - x)\, f(y)$.

    With $k_o(x) = \psi(R_{\theta_o}^{-1}x)$ (see `kernels.lift_kernel`) it commutes with roto-translations. Positive
    theta turns +x toward +y, as everywhere.

    Shapes: `f [B, Cin, H, W]`, `k [Cout, Cin, Or, KH, KW]` -> `[B, Cout, Or, H, W]` (H-KH+1, W-KW+1 if `valid`);
    volumes `f [B, Cin, D, H, W]` by `k [Cout, Cin, N, KD, KH, KW]` alike.
    `padding`: `reflect` mirrors the image at its border, `zeros` continues it by 0, `valid` keeps whole windows only.
    Raises: TypeError or ValueError for a wrong dtype, shape, even window or padding. Source: main paper, section 4.1.
    """
    image, kernel = ("D, H, W", "N, KD, KH, KW") if getattr(k, "ndim", 0) == 6 else ("H, W", "Or, KH, KW")
    positions = image.count(",") + 1
    _check.floating("f", f, 2 + positions, f"[B, Cin, {image}]")
    _check.floating("k", k, 3 + positions, f"[Cout, Cin, {kernel}]")
    _check.alike("k", k, f)
    if k.shape[1] != f.shape[1]:
        raise ValueError(f"k must have Cin = {f.shape[1]} in its second axis, got {list(k.shape)}")
    _check.odd_window(k.shape[3:])
    filters = k.transpose(1, 2).flatten(0, 1)
    out = CONVOLUTIONS[positions](_pad(f, tuple(k.shape[3:]), padding), filters)
    return out.unflatten(1, (k.shape[0], k.shape[2]))


def group_convolution(
    f: Tensor, k: Tensor, *, padding: str = "reflect", space: Space | None = None
) -> Tensor:
    r"""The linear group convolution of a G-CNN, which mixes channels.

    $$out[b,a,o,y,x] = \sum_{c,i,j,l} f[b, c, (o+i-KOr/2) \bmod Or, y+j-KH/2, x+l-KW/2]\; k[a,c,o,i,j,l]$$

    With the kernel of `kernels.group_kernel` it commutes with roto-translations.

    Shapes: `f [B, Cin, Or, H, W]`, `k [Cout, Cin, Or, KOr, KH, KW]` -> `[B, Cout, Or, H, W]` on M2; on M3
    `f [B, Cin, N, D, H, W]`, `k [Cout, Cin, N, KN, KD, KH, KW]`, a slot for each neighbour of a direction.
    Padding and errors as in `lift`.
    """
    space = _check.features(f, space, "Cin")
    _check.floating("k", k, 3 + len(space.axes), f"[Cout, Cin, {space.shape('k')[4:]}")
    _check.alike("k", k, f)
    if k.shape[1:3] != f.shape[1:3]:
        names = f"[Cin, {space.axes[0]}]"
        raise ValueError(f"k must have {names} = {list(f.shape[1:3])} in axes 1 and 2, got {list(k.shape)}")
    if space.lists:
        space.check_window(sizes(k)[3:])
    _check.odd_window(k.shape[3:], None if space.lists else space.fibre)
    c_out, c_in, points, slots, *window = sizes(k)
    # Channels and points of the fibre together are the channels of an ordinary convolution, whose kernel is circulant
    # in the orientations. The zeros in it cost less than a grouped convolution without them: torch is tuned for dense.
    owner, slot, seen = on(k, _entries, space, (slots, *window))
    filters = k.new_zeros(c_out, points, c_in, points, *window)
    filters[:, owner, :, seen] = k[:, :, owner, slot].movedim((0, 1), (1, 2))
    padded = _pad(f.flatten(1, 2), tuple(window), padding)
    out = CONVOLUTIONS[space.positions](padded, filters.flatten(2, 3).flatten(0, 1))
    return out.unflatten(1, (c_out, points))


@constant
def _entries(space: Space, window: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """The kernels that a linear group convolution has: (point, slot of its window, point that is seen there)."""
    seen = space.neighbours(window)
    owner, slot = (seen >= 0).nonzero(as_tuple=True)
    return owner, slot, seen[owner, slot]


def linear(f: Tensor, w: Tensor) -> Tensor:
    r"""The affine part of a PDE layer: a linear combination of channels at every point, $out_a = \sum_c w_{ac} f_c$.

    Shapes: `f [B, Cin, ...]`, `w [Cout, Cin]` -> `[B, Cout, ...]`. Source: main paper, eq. (23).
    """
    _check_mixing(f, w)
    # One product for each image: unlike einsum and matmul it neither copies f nor permutes the axes of its result, and
    # unlike a convolution with a window of one point it fills no buffer with zeros on its way back.
    points = f[..., None].flatten(2)
    return torch.bmm(w.expand(f.shape[0], -1, -1), points).reshape(f.shape[0], w.shape[0], *f.shape[2:])


def _check_mixing(f: Tensor, w: Tensor) -> None:
    _check.floating("w", w, 2, "[Cout, Cin]")
    _check.floating("f", f, max(2, getattr(f, "ndim", 0)), "[B, Cin, ...]")
    _check.alike("w", w, f)
    if f.shape[1] != w.shape[1]:
        raise ValueError(f"w must have Cin = {f.shape[1]} in its second axis, got {list(w.shape)}")


def normalised_linear(
    f: Tensor,
    w: Tensor,
    gain: Tensor,
    offset: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    *,
    momentum: float = 0.1,
    eps: float = 1e-5,
    backend: str | None = None,
) -> Tensor:
    r"""The linear map and its batch normalisation in training, $out = gain\,(w f - \mu)/\sigma + offset$.

    The statistics of $w f$ over images and points follow from the mean m and the covariance C of the channels of f,
    $\mu = w m$ and $\sigma^2 = \mathrm{diag}(w C w^T) + eps$, so that both maps are one product. The running mean and
    the running variance (of n - 1 values) are moved by `momentum` toward those of this batch, in place.

    Shapes: `f [B, Cin, ...]`, `w [Cout, Cin]`, gain, offset and both running statistics or neither `[Cout]` ->
    `[B, Cout, ...]`. Up to rounding equal to
    `functional.batch_norm(linear(f, w), running_mean, running_var, gain, offset, training=True, ...)`.
    Raises: TypeError or ValueError for a wrong dtype or shape, ValueError for one value per channel.
    """
    _check_mixing(f, w)
    running = {"running_mean": running_mean, "running_var": running_var}
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must be given both or neither")
    for name, x in {"gain": gain, "offset": offset, **running}.items():
        if x is not None and x.shape != w.shape[:1]:
            raise ValueError(f"{name} must have shape [Cout] = [{len(w)}], got {list(x.shape)}")
    points = f if f.ndim > 2 else f[..., None]
    found = implementation(backend, f).normalised_linear(points, w, gain, offset, eps)
    if found is not None:
        out, mean, covariance = found
        if running_mean is not None and running_var is not None:
            n = f.numel() // f.shape[1]
            _move((running_mean, running_var), momentum, w.double(), mean, covariance, n)
    else:
        mixed = linear(points, w).flatten(2)  # torch normalises five axes on a GPU, and not six
        out = functional.batch_norm(mixed, running_mean, running_var, gain, offset, True, momentum, eps)
    return out.reshape(len(f), len(w), *f.shape[2:])


@torch.no_grad()
def _move(
    running: tuple[Tensor, Tensor], momentum: float, w: Tensor, mean: Tensor, covariance: Tensor, n: int
) -> None:
    variance = (w @ covariance * w).sum(1) * (n / (n - 1))
    for moved, towards in zip(running, (w @ mean, variance), strict=True):
        moved.lerp_(towards.to(moved), momentum)


def projection(f: Tensor, *, space: Space | None = None, backend: str | None = None) -> Tensor:
    r"""The projection to positions, $out(x) = \max_\theta f(x, \theta)$ over the fibre.

    Shapes: `[B, C, Or, H, W]` -> `[B, C, H, W]`, or as `space` has it; f itself where there is no fibre. Equal maxima
    share the gradient. Source: main paper, section 4.1.
    """
    space = _check.features(f, space)
    return implementation(backend, f).projection(f) if space.kernels else f
