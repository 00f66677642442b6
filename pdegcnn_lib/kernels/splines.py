"""Trainable kernels on a disc, rotated exactly: a B-spline expansion sampled on a turned grid."""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.geometry.autocast import outside_autocast
from pdegcnn_lib.geometry.checks import sizes
from pdegcnn_lib.geometry.constant import constant, on
from pdegcnn_lib.kernels.window import check_window
from pdegcnn_lib.spaces import Space, chosen


@outside_autocast
def lift_kernel(
    coefficients: Tensor,
    orientations: int | None = None,
    *,
    space: Space | None = None,
    size: int | None = None,
) -> Tensor:
    r"""The lifting kernels $\psi(R_{\theta_o}^{-1} x)$ of a spline psi at every orientation.

    Shapes: on M2 `coefficients [Cout, Cin, K, K]` -> `[Cout, Cin, Or, K, K]`, with `orientations` or a `space`; on
    another space `[Cout, Cin, *numbers]` of its `lift_basis` at the given `size`.
    """
    space, size = chosen(space, orientations), sizes(coefficients)[-1] if size is None else size
    table = on(coefficients, _basis, space, size)
    out = torch.einsum("opm,acm->aocp", table, coefficients.flatten(2))
    return out.transpose(1, 2).unflatten(-1, (size,) * space.positions)


@constant
def _basis(space: Space, size: int) -> Tensor:
    return space.lift_basis(size).flatten(2)


def group_kernel(coefficients: Tensor, orientations: int) -> Tensor:
    r"""The kernels $K(q^{-1} p)$ of a linear group convolution, one for every orientation of the output.

    The axis KOr holds orientation steps relative to the output; the spatial part turns with the output orientation.

    Shapes: `coefficients [Cout, Cin, KOr, K, K]` -> `[Cout, Cin, Or, KOr, K, K]`.
    """
    c_out, c_in, k_or, size, _ = sizes(coefficients)
    check_window((k_or, size, size), orientations)
    turned = lift_kernel(coefficients.flatten(1, 2), orientations)
    return turned.unflatten(1, (c_in, k_or)).transpose(2, 3)
