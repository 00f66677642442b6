"""Operators that mix channels: lift, linear group convolution, pointwise linear map, projection.

They are compositions of torch's own matrix products and convolutions, which no kernel of ours would beat.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pdegcnn_lib.ops import _check

PADDINGS = ("valid", "zeros", "reflect")


def _pad(f: Tensor, k_h: int, k_w: int, padding: str) -> Tensor:
    if padding not in PADDINGS:
        raise ValueError(f"padding must be one of {', '.join(PADDINGS)}, got {padding!r}")
    height, width = f.shape[-2:]
    if padding == "valid":
        if height < k_h or width < k_w:
            raise ValueError(
                f"padding 'valid' needs an image of at least {k_h} x {k_w}, got {height} x {width}"
            )
        return f
    if padding == "reflect" and (height <= k_h // 2 or width <= k_w // 2):
        raise ValueError(
            f"padding 'reflect' needs an image larger than {k_h // 2} x {k_w // 2}, got {height} x {width}"
        )
    mode = "reflect" if padding == "reflect" else "constant"
    return functional.pad(f, (k_w // 2, k_w // 2, k_h // 2, k_h // 2), mode=mode)


def lift(f: Tensor, k: Tensor, *, padding: str = "reflect") -> Tensor:
    r"""The lift of an image to an orientation score, $out(x, \theta_o) = \sum_y k_o(y - x)\, f(y)$.

    With $k_o(x) = \psi(R_{\theta_o}^{-1}x)$ (see `kernels.lift_kernel`) it commutes with roto-translations. Positive
    theta turns +x toward +y, as everywhere.

    Shapes: `f [B, Cin, H, W]`, `k [Cout, Cin, Or, KH, KW]` -> `[B, Cout, Or, H, W]` (H-KH+1, W-KW+1 if `valid`).
    `padding`: `reflect` mirrors the image at its border, `zeros` continues it by 0, `valid` keeps whole windows only.
    Raises: TypeError or ValueError for a wrong dtype, shape, even window or padding. Source: main paper, section 4.1.
    """
    _check.floating("f", f, 4, "[B, Cin, H, W]")
    _check.floating("k", k, 5, "[Cout, Cin, Or, KH, KW]")
    _check.alike("k", k, f)
    if k.shape[1] != f.shape[1]:
        raise ValueError(f"k must have Cin = {f.shape[1]} in its second axis, got {list(k.shape)}")
    _check.odd_window(k.shape[3:])
    c_out, _, orientations, k_h, k_w = k.shape
    filters = k.transpose(1, 2).flatten(0, 1)
    return functional.conv2d(_pad(f, k_h, k_w, padding), filters).unflatten(1, (c_out, orientations))


def group_convolution(f: Tensor, k: Tensor, *, padding: str = "reflect") -> Tensor:
    r"""The linear group convolution of a G-CNN, which mixes channels.

    $$out[b,a,o,y,x] = \sum_{c,i,j,l} f[b, c, (o+i-KOr/2) \bmod Or, y+j-KH/2, x+l-KW/2]\; k[a,c,o,i,j,l]$$

    With the kernel of `kernels.group_kernel` it commutes with roto-translations.

    Shapes: `f [B, Cin, Or, H, W]`, `k [Cout, Cin, Or, KOr, KH, KW]` -> `[B, Cout, Or, H, W]`.
    Padding and errors as in `lift`.
    """
    _check.floating("f", f, 5, "[B, Cin, Or, H, W]")
    _check.floating("k", k, 6, "[Cout, Cin, Or, KOr, KH, KW]")
    _check.alike("k", k, f)
    if k.shape[1:3] != f.shape[1:3]:
        raise ValueError(f"k must have [Cin, Or] = {list(f.shape[1:3])} in axes 1 and 2, got {list(k.shape)}")
    _check.odd_window(k.shape[3:], f.shape[2])
    c_out, c_in, orientations, k_or, k_h, k_w = k.shape
    # Channels and orientations together are the channels of an ordinary convolution whose kernel is circulant in
    # the orientations. The zeros in it cost less than a grouped convolution without them: torch is tuned for dense.
    output = torch.arange(orientations, device=f.device)[:, None]
    seen = (output + torch.arange(k_or, device=f.device) - k_or // 2) % orientations
    filters = k.new_zeros(c_out, orientations, c_in, orientations, k_h, k_w)
    filters[:, output, :, seen] = k.permute(2, 3, 0, 1, 4, 5)
    out = functional.conv2d(_pad(f.flatten(1, 2), k_h, k_w, padding), filters.flatten(2, 3).flatten(0, 1))
    return out.unflatten(1, (c_out, orientations))


def linear(f: Tensor, w: Tensor) -> Tensor:
    r"""The affine part of a PDE layer: a linear combination of channels at every point, $out_a = \sum_c w_{ac} f_c$.

    Shapes: `f [B, Cin, ...]`, `w [Cout, Cin]` -> `[B, Cout, ...]`. Source: main paper, eq. (23).
    """
    _check.floating("w", w, 2, "[Cout, Cin]")
    _check.floating("f", f, max(2, getattr(f, "ndim", 0)), "[B, Cin, ...]")
    _check.alike("w", w, f)
    if f.shape[1] != w.shape[1]:
        raise ValueError(f"w must have Cin = {f.shape[1]} in its second axis, got {list(w.shape)}")
    # One product for each image: unlike einsum and matmul it neither copies f nor permutes the axes of its result, and
    # unlike a convolution with a window of one point it fills no buffer with zeros on its way back.
    points = f[..., None].flatten(2)
    return torch.bmm(w.expand(len(f), -1, -1), points).reshape(len(f), len(w), *f.shape[2:])


def projection(f: Tensor) -> Tensor:
    r"""The projection of an orientation score to an image, $out(x) = \max_\theta f(x, \theta)$.

    Shapes: `[B, C, Or, H, W]` -> `[B, C, H, W]`. Equal maxima share the gradient. Source: main paper, section 4.1.
    """
    return _check.floating("f", f, 5, "[B, C, Or, H, W]").amax(dim=2)
