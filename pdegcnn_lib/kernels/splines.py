"""Trainable kernels on a disc, rotated exactly: a B-spline expansion sampled on a turned grid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pdegcnn_lib.geometry._check import sizes
from pdegcnn_lib.geometry.autocast import outside_autocast
from pdegcnn_lib.geometry.constant import constant
from pdegcnn_lib.kernels.window import check_window, offsets, orientation_angles
from pdegcnn_lib.spaces import M2, Space, chosen


def quadratic_b_spline(x: Tensor) -> Tensor:
    """The centred quadratic B-spline: 3/4 - x^2 for |x| <= 1/2, (3/2 - |x|)^2 / 2 for |x| <= 3/2, 0 beyond."""
    a = x.abs()
    return torch.where(a <= 0.5, 0.75 - a**2, 0.5 * (1.5 - a).clamp(min=0) ** 2)


@constant
def rotation_table(size: int, orientations: int) -> Tensor:
    r"""The values on the grid turned by $-\theta_o$ of every basis spline of a square grid.

    $$\Phi[o, p, m] = \beta\big((R_{\theta_o}^{-1} x_p - x_m)_1\big)\, \beta\big((R_{\theta_o}^{-1} x_p - x_m)_2\big)$$

    for grid points $x_p, x_m$ of the size x size window; rows with $|x_p| > size/2$ are zero, so that the kernel lives
    on a disc at every orientation. With coefficients a, the kernel at orientation o is `(table[o] @ a)`.

    Shapes: -> `[Or, size*size, size*size]`, float64 on the CPU.
    """
    check_window((size, size))
    theta = orientation_angles(orientations)
    y, x = (g.reshape(-1) for g in torch.meshgrid(offsets(size), offsets(size), indexing="ij"))
    c, s = torch.cos(theta)[:, None], torch.sin(theta)[:, None]
    turned_x, turned_y = c * x + s * y, c * y - s * x
    values = quadratic_b_spline(turned_x[..., None] - x) * quadratic_b_spline(turned_y[..., None] - y)
    disc = (x**2 + y**2 <= (size / 2) ** 2).to(values.dtype)
    return values * disc[None, :, None]


def _basis_on_m2(space: Space, size: int) -> Tensor:
    return rotation_table(size, space.fibre).unflatten(-1, (size, size))


# What makes the basis of trained lifts to a space, `(space, size) -> [fibre, size^positions, *numbers]`.
LIFTS: dict[type[Space], Callable[[Space, int], Tensor]] = {M2: _basis_on_m2}


def lift_basis(space: Space, size: int) -> Tensor:
    """The values of every basis function of a lift on its window: `[fibre, size^positions, *numbers]`.

    Raises: ValueError for a space that nothing is lifted to.
    """
    if type(space) not in LIFTS:
        raise ValueError(f"there are lifts to {', '.join(of.__name__ for of in LIFTS)}, and none to {space}")
    return LIFTS[type(space)](space, size)


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
    another space `[Cout, Cin, *numbers]` of `lift_basis` at the given `size`.
    """
    space, size = chosen(space, orientations), sizes(coefficients)[-1] if size is None else size
    table = lift_basis(space, size).flatten(2).to(coefficients)
    out = torch.einsum("opm,acm->aocp", table, coefficients.flatten(2))
    return out.transpose(1, 2).unflatten(-1, (size,) * space.positions)


def group_kernel(coefficients: Tensor, orientations: int) -> Tensor:
    r"""The kernels $K(q^{-1} p)$ of a linear group convolution, one for every orientation of the output.

    The axis KOr holds orientation steps relative to the output; the spatial part turns with the output orientation.

    Shapes: `coefficients [Cout, Cin, KOr, K, K]` -> `[Cout, Cin, Or, KOr, K, K]`.
    """
    c_out, c_in, k_or, size, _ = sizes(coefficients)
    check_window((k_or, size, size), orientations)
    turned = lift_kernel(coefficients.flatten(1, 2), orientations)
    return turned.unflatten(1, (c_in, k_or)).transpose(2, 3)
