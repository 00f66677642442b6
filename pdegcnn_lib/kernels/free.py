"""Trained kernels that no metric restricts: smooth functions on a group, and on the plane for a lift."""

from __future__ import annotations

import torch
from torch import Tensor

from pdegcnn_lib.geometry.autocast import outside_autocast
from pdegcnn_lib.geometry.constant import constant, on
from pdegcnn_lib.geometry.splines import quadratic_b_spline
from pdegcnn_lib.kernels.window import check_window, offsets, orientation_angles
from pdegcnn_lib.spaces import Space, chosen


def free_numbers(space: Space, window: tuple[int, ...]) -> tuple[int, ...]:
    """How many splines a free kernel has along each coordinate of the space: a knot for every step that it sees."""
    return tuple(2 * steps + 1 for steps, _ in space.reach(space.check_window(window)))


@constant
def free_basis(space: Space, window: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Every spline at every tap, `[*kernels, *window, splines]`, and which taps a free kernel lives on."""
    reach = space.reach(space.check_window(window))
    estimate = next(iter(space.estimates.values()))
    c = estimate.coordinates(space.relative_elements(window)) / torch.tensor([step for _, step in reach])
    along = len(reach) - bool(space.kernels)  # the last coordinate belongs to the fibre, where there is one
    radius = torch.tensor([steps + 0.5 for steps, _ in reach[:along]])
    inside, absent = (c[..., :along] / radius).square().sum(-1) <= 1, space.absent(window)
    basis = torch.ones(*c.shape[:-1], 1, dtype=torch.float64)
    for n, number in enumerate(free_numbers(space, window)):
        next_one = quadratic_b_spline(c[..., n, None] - offsets(number))
        basis = (basis[..., None] * next_one[..., None, :]).flatten(-2)
    return basis, inside if absent is None else inside & ~absent


@outside_autocast
def free_kernel(
    coefficients: Tensor,
    *,
    window: tuple[int, ...],
    space: Space | None = None,
    orientations: int | None = None,
    outside: float = 0.0,
) -> Tensor:
    r"""A kernel that is any smooth function on the group, sampled at every point of the fibre.

    $$k[c, o, i, j, l] = \sum_m a_{cm} \prod_n \beta\big(c^n(q^{-1}p)/h_n - m_n\big)$$

    with quadratic B-splines beta at the steps h of the grid in the coordinates of the space's first estimate: on M2 the
    logarithm of the relative element, on R^2 the vector itself. One function serves all orientations and is evaluated
    at each; nothing is rotated. It lives on the ball that a window holds at every orientation, of the radius
    size/2 in pixels; beyond, the kernel is `outside`: 0 in a sum, infinity in a dilation or erosion.

    Shapes: `coefficients [C, *free_numbers(space, window)]`, `[C, K, K, KOr]` (main, lateral, angular) on M2 ->
    `[C, *kernels, *window]`. Raises: ValueError for another number of coefficients or a bad window.
    Source: LieTorch's morphological and linear convolutions, which rotate one array by interpolation instead.
    """
    space = chosen(space, orientations)
    numbers = free_numbers(space, window)
    if tuple(coefficients.shape[1:]) != numbers:
        expected = ", ".join(map(str, ("C", *numbers)))
        raise ValueError(f"coefficients must be [{expected}] on {space}, got {list(coefficients.shape)}")
    basis, inside = on(coefficients, free_basis, space, tuple(window))
    k = (coefficients.flatten(1) @ basis.flatten(0, -2).mT).unflatten(1, inside.shape)
    return k.masked_fill(~inside, outside)


@outside_autocast
def free_lift_kernel(
    weights: Tensor, nodes: Tensor, scales: Tensor, *, size: int, orientations: int = 8
) -> Tensor:
    r"""The lifting kernels $\psi(R_{\theta_o}^{-1}x)$ of a sum of splines that lie anywhere, of any width.

    $$\psi(x) = \sum_s a_s\, \beta\big((x - x_s)_1/\sigma_s\big)\, \beta\big((x - x_s)_2/\sigma_s\big),
      \qquad |x| \le size/2$$

    With the nodes on the grid and widths of 1 it is `lift_kernel`. Differentiable in all three.

    Shapes: `weights [Cout, Cin, S]`, `nodes [Cout, Cin, S, 2]` as (x, y) in pixels, positive `scales [Cout, Cin, S]` in
    pixels -> `[Cout, Cin, Or, size, size]`. Raises: ValueError for an even size or shapes that do not agree.
    Source: LieTorch's lift by non-uniform B-splines, without the corners that leave the window when it turns.
    """
    check_window((size, size))
    if nodes.shape != (*weights.shape, 2) or scales.shape != weights.shape:
        raise ValueError(
            f"weights [Cout, Cin, S], nodes [Cout, Cin, S, 2] and scales [Cout, Cin, S] must agree, got "
            f"{list(weights.shape)}, {list(nodes.shape)} and {list(scales.shape)}"
        )
    theta = orientation_angles(orientations)
    y, x = torch.meshgrid(offsets(size), offsets(size), indexing="ij")
    c, s = torch.cos(theta)[:, None, None], torch.sin(theta)[:, None, None]
    turned = torch.stack([c * x + s * y, c * y - s * x], dim=-1).to(weights)[..., None, :]
    splines = quadratic_b_spline(
        (turned - nodes[:, :, None, None, None]) / scales[:, :, None, None, None, :, None]
    )
    k = torch.einsum("acoyxs,acs->acoyx", splines.prod(dim=-1), weights)
    return k * (x**2 + y**2 <= (size / 2) ** 2).to(weights)
