r"""The operators on M3: features `[B, C, N, D, H, W]`, N directions at every voxel of a volume.

Dilation, erosion, linear convolution and convection are those of `pdegcnn_lib.ops` on the space M3(N) of the features.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from pdegcnn_lib.ops import _check, semiring, transport
from pdegcnn_lib.spaces.m3 import M3

ZERO = {name: zero for name, (zero, _) in semiring.SEMIRINGS.items()}
SHAPE, KERNEL = "[B, C, N, D, H, W]", "[C, N, KN, KD, KH, KW]"


def _space(f: Tensor, k: Tensor) -> M3:
    _check.floating("f", f, 6, SHAPE)
    _check.floating("k", k, 6, KERNEL)
    if k.shape[:2] != f.shape[1:3]:
        raise ValueError(f"k must start with [C, N] = {list(f.shape[1:3])} as f does, got {list(k.shape)}")
    space = M3(f.shape[2])
    space.check_window(tuple(k.shape[2:]))
    return space


def dilation(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""The dilation on M3, $out(p) = \sup_q f(q) - k(q^{-1}p)$, over the neighbours of every direction.

    On the grid: `out[b,c,o,z,y,x] = max_{s,i,j,l} f[b, c, nbr[o,s], z+i-K//2, y+j-K//2, x+l-K//2] - k[c,o,s,i,j,l]`;
    taps outside the volume are left out. Shapes: `f [B, C, N, D, H, W]`, `k [C, N, KN, K, K, K]` -> as f.
    Raises: TypeError or ValueError for a wrong dtype, shape, window or number of directions.
    """
    return semiring.dilation(f, k, space=_space(f, k), backend=backend)


def erosion(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""The erosion on M3, $out(p) = \inf_q f(q) + k(q^{-1}p)$. Shapes, taps and errors as in `dilation`."""
    return semiring.erosion(f, k, space=_space(f, k), backend=backend)


def linear_convolution(f: Tensor, k: Tensor, *, backend: str | None = None) -> Tensor:
    r"""The channel-wise linear convolution on M3, $out(p) = \sum_q k(q^{-1}p)\, f(q)$, as in `dilation`."""
    return semiring.linear_convolution(f, k, space=_space(f, k), backend=backend)


def convection(f: Tensor, g0: Tensor, *, backend: str | None = None) -> Tensor:
    r"""Convection on M3 for unit time, $out(x, n) = f(x - c\,n,\, n)$: the only one there is besides the flip of n.

    A feature moves by +c along its own direction. Linear interpolation along z, y and x; positions beyond the volume
    read its border. Shapes: `f [B, C, N, D, H, W]`, `g0 [C, 1]`, the c of each channel in voxels -> as f.
    Raises: TypeError or ValueError for a wrong dtype or shape, or for the 13 lines, which have no forward direction.
    """
    _check.floating("f", f, 6, SHAPE)
    return transport.convection(f, g0, space=M3(f.shape[2]), backend=backend)


def _pad(f: Tensor, size: int) -> Tensor:
    half = size // 2
    if min(f.shape[-3:]) <= half:
        raise ValueError(f"the volume must be larger than {half} in every axis, got {list(f.shape[-3:])}")
    return functional.pad(f, (half,) * 6, mode="reflect")


def lift(f: Tensor, k: Tensor) -> Tensor:
    r"""The lift of a volume, $out(x, n_o) = \sum_y k_o(y - x)\, f(y)$, mirrored at the border.

    Shapes: `f [B, Cin, D, H, W]`, `k [Cout, Cin, N, K, K, K]` -> `[B, Cout, N, D, H, W]`.
    Raises: TypeError or ValueError for a wrong dtype or shape, or a volume smaller than half the window.
    """
    _check.floating("f", f, 5, "[B, Cin, D, H, W]")
    _check.floating("k", k, 6, "[Cout, Cin, N, K, K, K]")
    _check.alike("k", k, f)
    if k.shape[1] != f.shape[1]:
        raise ValueError(f"k must have Cin = {f.shape[1]} in its second axis, got {list(k.shape)}")
    out = functional.conv3d(_pad(f, k.shape[-1]), k.transpose(1, 2).flatten(0, 1))
    return out.unflatten(1, (k.shape[0], k.shape[2]))


def group_convolution(f: Tensor, k: Tensor) -> Tensor:
    r"""The linear group convolution of a G-CNN on M3, which mixes channels, mirrored at the border.

    Shapes: `f [B, Cin, N, D, H, W]`, `k [Cout, Cin, N, KN, K, K, K]` with slots as in `dilation`
    -> `[B, Cout, N, D, H, W]`.
    Raises: TypeError or ValueError for a wrong dtype or shape.
    """
    _check.floating("f", f, 6, SHAPE)
    _check.floating("k", k, 7, "[Cout, Cin, N, KN, K, K, K]")
    _check.alike("k", k, f)
    if k.shape[1:3] != f.shape[1:3]:
        raise ValueError(f"k must have [Cin, N] = {list(f.shape[1:3])} in axes 1 and 2, got {list(k.shape)}")
    c_out, c_in, count, slots, *window = k.shape
    lists = M3(count).neighbours((slots, *window)).to(f.device)
    owner, slot = (lists >= 0).nonzero().unbind(1)
    filters = k.new_zeros(c_out, count, c_in, count, *window)
    filters[:, owner, :, lists[owner, slot]] = k[:, :, owner, slot].permute(2, 0, 1, 3, 4, 5)
    padded = _pad(f.flatten(1, 2), window[-1])
    return functional.conv3d(padded, filters.flatten(2, 3).flatten(0, 1)).unflatten(1, (c_out, count))


def projection(f: Tensor) -> Tensor:
    r"""The projection to a volume, $out(x) = \max_n f(x, n)$: `[B, C, N, D, H, W]` -> `[B, C, D, H, W]`."""
    return _check.floating("f", f, 6, SHAPE).amax(dim=2)
